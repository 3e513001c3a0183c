#!/usr/bin/env bash
# Times steps of one process with N threads beside N ranks of one thread, with every exchange, by turns:
#   deploy/time-ranks.sh TRAINER [RANKS [STEPS [ROUNDS]]] [-- FLAGS OF THE TRAINER]
# Prints the median tokens per second of each, of all rounds' steps but the first five.
set -euo pipefail
trainer=$(realpath "$1")
shift
numbers=()
while (($#)) && [[ $1 != -- ]]; do
  numbers+=("$1")
  shift
done
[[ ${1:-} == -- ]] && shift
for number in "${numbers[@]}"; do
  [[ $number =~ ^[1-9][0-9]*$ ]] && continue
  echo "$number: expected a number; flags of the trainer stand behind --"
  exit 1
done
ranks=${numbers[0]:-2} steps=${numbers[1]:-40} rounds=${numbers[2]:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_hwloc_base_binding_policy=none
flags=(--steps "$steps" --no-calibrate --no-phase-4 --eval-every 600 --checkpoint-every 600 --cache "$work/cache" "$@")

run() { # name, command up to the trainer's flags...
  local name=$1
  shift
  rm -rf "$work/out"
  "$@" "${flags[@]}" --out "$work/out" 2>>"$work/log" || { tail -5 "$work/log" && return 1; }
  grep '"kind":"step"' "$work/out/metrics.jsonl" | tail -n +6 |
    sed 's/.*"tokens_per_second":\([0-9.]*\).*/\1/' >>"$work/$name"
}

for ((round = 0; round < rounds; round++)); do
  run one "$trainer" --threads "$ranks"
  for reduce in f32 bf16 int8; do
    run "$reduce" mpirun -n "$ranks" "$trainer" --threads 1 --reduce "$reduce"
  done
done
for name in one f32 bf16 int8; do
  sort -n "$work/$name" | awk -v name="$name" -v ranks="$ranks" '
    { rate[NR] = $1 }
    END { what = name == "one" ? "1 rank x " ranks " threads" : ranks " ranks x 1 thread, " name
          printf "%-28s %10.0f tokens/s (%d steps)\n", what, rate[int((NR + 1) / 2)], NR }'
done
