//! The rollback: a copy of the run as it was when phase 4 began, and when to go back to it.
//!
//! In the last phase the learning rate falls, and with it the held-out bits per byte of any run that is well; so a rise
//! over the phase's begin means that the generated stories do harm. The copy is a checkpoint of its own in the run's
//! directory, so a run that was killed and goes on can still go back.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use flashlm_host::output;

use crate::run::checkpoint;
use crate::run::standing::with_snapshot;
use crate::run::training::Run;

/// The copy's file name in the run's directory.
pub const COPY: &str = "phase-4-begin.safetensors";

/// Whether held-out bits per byte are worse than at the begin by more than `tolerance`. What is no number is worse.
pub fn has_worsened(begin: f64, now: f64, tolerance: f64) -> bool {
    now.is_nan() || now > begin + tolerance
}

/// Writes the copy, whole or not at all.
///
/// # Errors
/// Why it could not be written, on every rank.
pub fn keep_copy(run: &mut Run) -> Result<(), String> {
    let path = run.out.join(COPY);
    with_snapshot(run, |snapshot| output::write(&path, &[], |file| checkpoint::write_to(snapshot, file)))
}

/// Goes back to the copy, taken at `step`: parameters, optimiser, lanes and what they carry. Steps, tokens and time
/// that were spent stay spent. On an error parameters and optimiser are as they were.
pub fn restore(run: &mut Run, step: u64) -> anyhow::Result<()> {
    let path = run.out.join(COPY);
    let name = path.display();
    let read = checkpoint::spread(&run.ranks, || checkpoint::read(&path).map(Some));
    if !run.ranks.all(matches!(read, Ok(Some(_)))) {
        read?;
        bail!("{name}: cannot be read on every rank");
    }
    let copy = read?.with_context(|| format!("{name}: no copy"))?;
    let state = copy.state.as_ref().with_context(|| format!("{name}: no training state"))?;
    ensure!(state.step == step, "{name}: is of step {}, phase 4 began at step {step}", state.step);
    let (expected, found) = (run.engine.params().data.len(), copy.params.data.len());
    ensure!(expected == found, "{name}: holds {found} parameters, this model has {expected}");
    let restored = run.streams.restore(&state.cursor) && run.engine.set_states(run.ranks.part(&copy.lanes)).is_ok();
    if !run.ranks.all(restored) {
        bail!("{name}: its lanes are not those of this run");
    }
    copy.restore(&mut run.optimizer)?;
    run.engine.update(|params, _, _| params.copy_from_slice(&copy.params.data));
    // the choice of depth, if it was fitted since, is not any more
    if let Some(rcsm) = copy.config.rcsm {
        run.set_depth(rcsm.default_depth);
    }
    Ok(())
}

/// Removes the copy from a run's directory: a complete run goes back no more.
pub fn remove_copy(dir: &Path) {
    // what cannot be removed costs disk space, not the run
    let _ = fs::remove_file(dir.join(COPY));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worse_is_beyond_the_tolerance_and_no_number_is_worse() {
        for (begin, now, tolerance, worse) in [
            (1.0, 0.9, 0.01, false),
            (1.0, 1.0, 0.01, false),
            (1.0, 1.009, 0.01, false),
            (1.0, 1.011, 0.01, true),
            (1.0, 0.95, -0.1, true), // a fall was demanded
            (1.0, 0.85, -0.1, false),
            (1.0, f64::NAN, 0.01, true),
            (1.0, f64::INFINITY, 0.01, true),
        ] {
            assert_eq!(has_worsened(begin, now, tolerance), worse, "{begin} {now} {tolerance}");
        }
    }
}
