//! What a run did so far, phase after phase: part of every checkpoint and of the report.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::run::amplify::select::Means;

/// The run's phases so far. Part of every checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub segments: Vec<Segment>,
    pub amplification: Amplification,
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

/// What phase 4 did so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Amplification {
    /// The held-out text when the phase began, and at every later look.
    pub begin: Option<Check>,
    pub checks: Vec<Check>,
    pub rounds: Vec<Round>,
    /// Rows of the tables of rounds and checks that are behind: a short phase may skip some.
    pub(super) rounds_due: usize,
    pub(super) checks_due: usize,
    /// Why no stories are generated or mixed in any more.
    pub ended: Option<End>,
}

/// Held-out bits per byte after so many steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    pub step: u64,
    pub bpc: f64,
}

/// One round of telling and choosing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub step: u64,
    /// Stories told, those of them that are sane, and those kept.
    pub generated: usize,
    pub sane: usize,
    pub kept: usize,
    /// Tokens of the kept ones.
    pub kept_tokens: usize,
    /// Wall-clock time it took.
    pub seconds: f64,
    /// Means over all told and over the kept ones.
    pub all: Means,
    pub best: Means,
}

/// Why phase 4 went on without generated stories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The held-out text got worse: the run went back to the phase's begin.
    RolledBack(Check),
    /// There was no copy to go back to, so it would not be safe.
    WithoutCopy(String),
}

impl Amplification {
    /// Stories told, and stories kept, in all rounds.
    pub fn totals(&self) -> (usize, usize) {
        (self.rounds.iter().map(|r| r.generated).sum(), self.rounds.iter().map(|r| r.kept).sum())
    }
}

impl Log {
    /// The table where a terminal is wide enough for it, or else a sentence a phase.
    pub fn fitting(&self, width: Option<usize>) -> String {
        let table = self.to_string();
        let last = self.amplification.begin.map(|_| self.amplification.to_string());
        // the last line is no row
        let rows = table.lines().count() - usize::from(last.is_some());
        let widest = table.lines().take(rows).map(str::len).max().unwrap_or(0);
        if width.is_none_or(|width| widest < width) {
            return table;
        }
        let sentence = |Segment { name, begin, end, .. }: &Segment| match end {
            Some(end) => format!(
                "{name}: {} steps, {:.2} M tokens, {:.1} minutes, {:.4} -> {:.4} held-out bpc ({:+.4})",
                end.step.saturating_sub(begin.step),
                end.tokens.saturating_sub(begin.tokens) as f64 / 1e6,
                (end.seconds - begin.seconds) / 60.0,
                begin.bpc,
                end.bpc,
                end.bpc - begin.bpc
            ),
            None => format!("{name}: not ended; {:.4} bpc at its begin", begin.bpc),
        };
        self.segments.iter().map(sentence).chain(last).collect::<Vec<_>>().join("\n")
    }
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

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generated, sane, kept, kept_tokens, seconds, all, best, .. } = self;
        write!(
            f,
            "phase 4: told {generated} stories in {seconds:.1} s, {sane} sane, kept {kept} ({kept_tokens} tokens)"
        )?;
        for (name, means) in [("kept", best), ("all", all)].into_iter().skip(usize::from(*kept == 0)) {
            let Means { log_likelihood, repetition, names } = means;
            write!(
                f,
                "; {name}: {log_likelihood:.3} nats a token, {repetition:.3} repeated, {names:.2} of names known"
            )?;
        }
        Ok(())
    }
}

/// What phase 4 did, in a line for the end of a run.
impl fmt::Display for Amplification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generated, kept) = self.totals();
        write!(f, "phase 4: told {generated} stories in {} rounds, kept {kept}; ", self.rounds.len())?;
        match &self.ended {
            None => write!(f, "not rolled back"),
            Some(End::RolledBack(at)) => {
                let begin = self.begin.unwrap_or(*at);
                write!(
                    f,
                    "rolled back at step {} to step {} ({:.4} bpc, {:.4} before)",
                    at.step, begin.step, at.bpc, begin.bpc
                )
            }
            Some(End::WithoutCopy(why)) => write!(f, "ended early: {why}"),
        }
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
            amplification: Amplification::default(),
        };
        let want = "phase                steps      tokens   minutes  held-out bpc\n\
                    foundation             150      1.23 M      15.0  4.0000 -> 1.5000 (-2.5000)\n\
                    amplification     not ended; 1.5000 bpc at its begin";
        assert_eq!(log.to_string(), want);
        assert_eq!([log.fitting(None), log.fitting(Some(80))], [want, want]);
        let narrow = "foundation: 150 steps, 1.23 M tokens, 15.0 minutes, 4.0000 -> 1.5000 held-out bpc (-2.5000)\n\
                      amplification: not ended; 1.5000 bpc at its begin";
        assert_eq!(log.fitting(Some(60)), narrow);
        log.amplification.begin = Some(Check { step: 150, bpc: 1.5 });
        assert!(log.fitting(Some(60)).ends_with("\nphase 4: told 0 stories in 0 rounds, kept 0; not rolled back"));
        assert!(log.to_string().ends_with("\nphase 4: told 0 stories in 0 rounds, kept 0; not rolled back"));
        let back = Check { step: 160, bpc: 1.6 };
        log.amplification.ended = Some(End::RolledBack(back));
        assert!(log.to_string().ends_with("rolled back at step 160 to step 150 (1.6000 bpc, 1.5000 before)"), "{log}");
    }
}
