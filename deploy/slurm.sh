#!/usr/bin/env bash
# A training run on a Slurm cluster: sbatch slurm.sh [flags of the trainer]
#SBATCH --job-name=flashlm
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=32
#SBATCH --time=13:00:00
# three minutes before the time is up every rank gets an interrupt: rank 0 saves, and all end
#SBATCH --signal=INT@180
# a job whose machine failed comes again, and goes on from the last checkpoint
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=flashlm-%j.log
set -euo pipefail

# a directory that rank 0's machine can write and that is still there after the job
out=${FLASHLM_OUT:-$SLURM_SUBMIT_DIR/out}
trainer=${FLASHLM_TRAINER:-$SLURM_SUBMIT_DIR/target/release/trainer}

# one rank a machine, its threads wherever Slurm lets it run; --kill-on-bad-exit: a lost rank ends the others
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --cpu-bind=cores --kill-on-bad-exit=1 \
  "$trainer" --threads "$SLURM_CPUS_PER_TASK" --hours 12 --out "$out" "$@"
