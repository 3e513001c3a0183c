//! Entering and leaving phases, and what each of them bought.

use crate::run::amplify;
use crate::run::levels::Opened;
use crate::run::log::{Mark, Segment};
use crate::run::progress::Progress;
use crate::run::schedule::Point;
use crate::run::standing::held_out_bpc;
use crate::run::training::Run;

/// Makes `point`'s phase, at `share` of the run, the current one, and does what is due in it before the next step.
/// Returns what [`Run::enter`] does.
pub fn enter(run: &mut Run, point: &Point, share: f64, progress: &Progress) -> anyhow::Result<Option<Opened>> {
    let lasts = |segment: &&Segment| segment.phase == point.phase && segment.end.is_none();
    if run.phases.segments.last().filter(lasts).is_none() {
        // a phase's end is the next one's begin
        let now = mark(run, progress);
        let segments = &mut run.phases.segments;
        if let Some(last) = segments.last_mut() {
            last.end.get_or_insert(now);
        }
        let name = run.settings.schedule.phases[point.phase].name.clone();
        segments.push(Segment { phase: point.phase, name, begin: now, end: None });
    }
    let opened = run.enter(point);
    amplify::turn(run, share, progress)?;
    Ok(opened)
}

/// Ends the last phase of a complete run. Whether anything was left to do: what is on disk is then behind.
pub fn close(run: &mut Run, progress: &Progress) -> bool {
    if run.phases.segments.last().is_none_or(|segment| segment.end.is_some()) {
        return false;
    }
    amplify::last_check(run, progress);
    let now = mark(run, progress);
    if let Some(last) = run.phases.segments.last_mut() {
        last.end = Some(now);
    }
    true
}

fn mark(run: &mut Run, progress: &Progress) -> Mark {
    let seconds = run.clock.elapsed().as_secs_f64();
    Mark { step: run.step, tokens: run.tokens, seconds, bpc: held_out_bpc(run, progress) }
}
