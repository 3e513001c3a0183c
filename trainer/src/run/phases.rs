//! What each phase bought: tokens, minutes and held-out bits per byte from its begin to its end.

use std::fmt;

use flashlm_core::config::Depth;
use serde::{Deserialize, Serialize};

use crate::nn::Story;
use crate::run::amplify;
use crate::run::clock::Point;
use crate::run::levels::Opened;
use crate::run::prepare::Run;
use crate::run::progress::Progress;

/// The run's phases so far. Part of every checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub segments: Vec<Segment>,
    pub amplification: amplify::State,
}

/// A phase that was entered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Row of the schedule, and its name.
    pub phase: usize,
    pub name: String,
    pub begin: Mark,
    /// `None` while it lasts.
    pub end: Option<Mark>,
}

/// Where the run stood.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    pub step: u64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Wall-clock seconds over all sessions.
    pub seconds: f64,
    /// Bits per byte of the held-out text that is scored during the run, at the deepest depth.
    pub bpc: f64,
}

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

/// Bits per byte of the first part of the held-out text, at the deepest depth: figures of one run compare, whether or not
/// the choice of depth was fitted in between.
pub fn held_out_bpc(run: &mut Run, progress: &Progress) -> f64 {
    let deepest = run.config.rcsm.map_or(1, |rcsm| rcsm.depths[2]);
    let part = &run.held_out_head;
    let stories: Vec<Story> = part.stories.iter().map(|s| (&s.tokens[..], s.terminated)).collect();
    let bpc = run.engine.evaluate(&stories, Depth::Fixed(deepest)).bits / part.bytes as f64;
    progress.line(&format!("step {}: held-out {bpc:.4} bpc at {deepest} passes", run.step));
    bpc
}

/// A table, a line a phase, and a line on phase 4 where there was one.
impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<16}{:>10}{:>12}{:>10}  held-out bpc", "phase", "steps", "tokens", "minutes")?;
        for Segment { name, begin, end, .. } in &self.segments {
            let Some(end) = end else {
                write!(f, "\n{name:<16}  not ended; {:.4} bpc at its begin", begin.bpc)?;
                continue;
            };
            let (steps, minutes) = (end.step.saturating_sub(begin.step), (end.seconds - begin.seconds) / 60.0);
            let millions = format!("{:.2} M", end.tokens.saturating_sub(begin.tokens) as f64 / 1e6);
            write!(f, "\n{name:<16}{steps:>10}{millions:>12}{minutes:>10.1}")?;
            write!(f, "  {:.4} -> {:.4} ({:+.4})", begin.bpc, end.bpc, end.bpc - begin.bpc)?;
        }
        if self.amplification.begin.is_some() {
            write!(f, "\n{}", self.amplification)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_each_phase_bought() {
        let mark = |step, bpc| Mark { step, tokens: 8192 * step, seconds: 6.0 * step as f64, bpc };
        let segment = |phase, name: &str, begin, end| Segment { phase, name: name.into(), begin, end };
        let mut log = Log {
            segments: vec![
                segment(0, "foundation", mark(0, 4.0), Some(mark(150, 1.5))),
                segment(1, "amplification", mark(150, 1.5), None),
            ],
            amplification: amplify::State::default(),
        };
        let want = "phase                steps      tokens   minutes  held-out bpc\n\
                    foundation             150      1.23 M      15.0  4.0000 -> 1.5000 (-2.5000)\n\
                    amplification     not ended; 1.5000 bpc at its begin";
        assert_eq!(log.to_string(), want);
        log.amplification.begin = Some(amplify::Check { step: 150, bpc: 1.5 });
        assert!(log.to_string().ends_with("\nphase 4: told 0 stories in 0 rounds, kept 0; not rolled back"));
        let back = amplify::Check { step: 160, bpc: 1.6 };
        log.amplification.ended = Some(amplify::End::RolledBack(back));
        assert!(log.to_string().ends_with("rolled back at step 160 to step 150 (1.6000 bpc, 1.5000 before)"), "{log}");
    }
}
