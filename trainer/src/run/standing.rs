//! What is done with a run as it stands: it is saved, shown, scored, its choice of depth fitted.

use std::fmt;

use flashlm_core::config::Depth;

use crate::nn::{Calibration, Story};
use crate::run::checkpoint::{self, Snapshot, State};
use crate::run::progress::Progress;
use crate::run::training::Run;

/// Saves a checkpoint; a failure is reported and training goes on, for the next attempt may succeed.
pub(crate) fn save(run: &mut Run, progress: &Progress) -> bool {
    if let Some(message) = run.metrics.flush() {
        progress.warning(&message);
    }
    let out = run.out.clone();
    match with_snapshot(run, |snapshot| checkpoint::save(&out, snapshot).map(drop)) {
        Ok(()) => {
            run.saved = Some(run.step);
            true
        }
        Err(e) => {
            progress.warning(&format!("checkpoint not saved: {e}"));
            false
        }
    }
}

/// Shows `f` the run as it stands: on the first rank, to which the others send what they have of it.
///
/// # Errors
/// Those of `f`, on every rank.
pub(crate) fn with_snapshot<E: fmt::Display>(
    run: &mut Run,
    f: impl FnOnce(&Snapshot) -> Result<(), E>,
) -> Result<(), String> {
    let shown = match run.streams.gather(&run.ranks) {
        Ok(()) => show(run, |snapshot| f(snapshot).map_err(|e| e.to_string())),
        Err(e) => Err(format!("where the lanes of all ranks stand is not known: {e}")),
    };
    let failure = run.ranks.share(shown.err().unwrap_or_default().into_bytes());
    if failure.is_empty() { Ok(()) } else { Err(String::from_utf8_lossy(&failure).into_owned()) }
}

fn show(run: &Run, f: impl FnOnce(&Snapshot) -> Result<(), String>) -> Result<(), String> {
    let own = run.engine.states();
    let lanes = match run.ranks.link() {
        None => own,
        Some(_) => bytemuck::pod_collect_to_vec(&run.ranks.gather(bytemuck::cast_slice(&own).to_vec())),
    };
    if !run.ranks.leads() {
        return Ok(());
    }
    let elapsed = run.clock.elapsed().as_secs_f64();
    let updates = run.optimizer.updates();
    let state = State::new(run.step, updates, elapsed, run.tokens, run.streams.cursor(), run.settings.clone());
    let (levels, answers, phases) = (run.levels.clone(), run.answers.clone(), run.phases.clone());
    f(&Snapshot {
        config: &run.config,
        state: &State {
            run: run.identity.run,
            fingerprints: Some(run.identity.fingerprints),
            levels,
            answers,
            phases,
            ..state
        },
        tokenizer: &run.tokenizer,
        params: run.engine.params(),
        optimizer: &run.optimizer,
        lanes: &lanes,
        generated: &run.streams.stories().to_tokens(),
    })
}

/// Fits the choice of depth, where it is to be fitted, to at most so many batches, and says what it is worth.
pub(crate) fn calibrate(run: &mut Run, progress: &Progress, batches: usize) -> Option<Calibration> {
    let found = run.calibrate(batches)?;
    let [first, second, third] = found.depth_nats;
    progress.line(&format!(
        "step {}: choice of depth fitted on {} tokens: {first:.3}/{second:.3}/{third:.3} nats at the three depths, \
         {:.3} as chosen; {:.1} % go on after the first, {:.1} % after the second",
        run.step,
        found.tokens,
        found.chosen_nats,
        100.0 * found.deeper[0],
        100.0 * found.deeper[1]
    ));
    Some(found)
}

/// Bits per byte of the first part of the held-out text, at the deepest depth, as the first rank finds it: figures of
/// one run compare, whether or not the choice of depth was fitted in between.
pub fn held_out_bpc(run: &mut Run, progress: &Progress) -> f64 {
    let deepest = run.config.rcsm.map_or(1, |rcsm| rcsm.depths[2]);
    let Run { ranks, engine, held_out_head: part, .. } = run;
    let bpc = ranks.decide(|| {
        let stories: Vec<Story> = part.stories.iter().map(|s| (&s.tokens[..], s.terminated)).collect();
        engine.evaluate(&stories, Depth::Fixed(deepest)).bits / part.bytes as f64
    });
    progress.line(&format!("step {}: held-out {bpc:.4} bpc at {deepest} passes", run.step));
    bpc
}
