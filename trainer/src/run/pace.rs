//! Why tokens per second changed with a phase: what was measured of the steps before it and in it.

use std::collections::VecDeque;
use std::time::Duration;

use crate::nn::{Part, StepProfile, StepStats};

/// Steps that are compared, of the phase before and of the new one: at the most, and at least of the one before.
const STEPS: usize = 40;
const FEWEST: usize = 20;
/// Steps at a phase's begin that are not compared: rows of the batch still read what the phase before began.
const SETTLING: usize = 5;
/// Change of the tokens per second that is worth a line (a share).
const WORTH_SAYING: f64 = 0.08;
/// Standard errors that two means are apart when they differ.
const APART: f64 = 2.0;
/// Share of a change that has to come from one group of parts for it to be the reason; and how many times as much as
/// the whole step it has to have changed, as everything does where another program takes the machine.
const MOST: f64 = 0.5;
const MORE_THAN_ALL: f64 = 1.5;
/// Changes of passes a token, and of the share of reasoning stories, that are worth saying.
const PASSES: f64 = 0.02;
const REASONING: f64 = 0.02;

const PARTS: usize = Part::ALL.len();
const LOOP: usize = 0;
/// What parts of a step are called together; what none of them has is the last's.
const GROUPS: [(&str, &[Part]); 8] = [
    ("the reasoning loop", &[Part::RcsmForward, Part::RcsmBackward, Part::RcsmProducts]),
    ("the head", &[Part::Head, Part::HeadProducts]),
    ("the projections", &[Part::Forward, Part::BackwardInput, Part::BackwardWeight]),
    ("the recurrence", &[Part::Recurrence]),
    ("attention", &[Part::Attention]),
    ("the channel mixers", &[Part::ChannelMixer]),
    ("the optimiser", &[Part::Reduction, Part::Optimizer, Part::Packing]),
    ("reading stories, and threads that wait for one another", &[]),
];

/// One step.
#[derive(Clone, Copy, Debug)]
struct Step {
    tokens: f64,
    seconds: f64,
    /// Over all tokens.
    passes: f64,
    /// Seconds by part.
    parts: [f64; PARTS],
}

impl Step {
    fn new(stats: &StepStats, took: Duration, profile: &StepProfile) -> Self {
        let mut parts = [0.0; PARTS];
        profile.parts.iter().for_each(|p| parts[p.part as usize] = p.time.as_secs_f64());
        let tokens = stats.tokens as f64;
        Self { tokens, seconds: took.as_secs_f64(), passes: stats.mean_passes * tokens, parts }
    }
}

/// Some steps of one phase.
#[derive(Clone, Debug)]
struct Stretch {
    phase: String,
    /// Share of reasoning stories that the phase asks for.
    reasoning: f64,
    /// Mean over the steps, and its standard error.
    tokens_per_second: (f64, f64),
    passes: f64,
    /// Seconds a token: of a step, and of each of [`GROUPS`].
    seconds: f64,
    groups: [f64; GROUPS.len()],
}

impl Stretch {
    fn new(phase: &str, reasoning: f64, steps: &VecDeque<Step>) -> Self {
        let sum = |of: &dyn Fn(&Step) -> f64| steps.iter().map(of).sum::<f64>();
        let (count, tokens) = (steps.len().max(2) as f64, sum(&|s| s.tokens).max(1.0));
        let rate = |s: &Step| s.tokens / s.seconds.max(1e-9);
        let mean = sum(&rate) / count;
        let variance = sum(&|s| (rate(s) - mean).powi(2)) / (count - 1.0);
        let seconds = sum(&|s| s.seconds) / tokens;
        let mut groups = GROUPS.map(|(_, parts)| sum(&|s| parts.iter().map(|&p| s.parts[p as usize]).sum()) / tokens);
        let known: f64 = groups.iter().sum();
        groups[GROUPS.len() - 1] = (seconds - known).max(0.0);
        let (tokens_per_second, passes) = ((mean, (variance / count).sqrt()), sum(&|s| s.passes) / tokens);
        Self { phase: phase.to_owned(), reasoning, tokens_per_second, passes, seconds, groups }
    }
}

/// Watches the steps of a run.
#[derive(Debug, Default)]
pub struct Pace {
    /// The phase at hand: its number, name and share of reasoning stories.
    phase: Option<(usize, String, f64)>,
    /// Steps of it that were left out, and the last of the others.
    settled: usize,
    recent: VecDeque<Step>,
    /// The end of the phase before, until the new one was compared with it.
    before: Option<Stretch>,
}

impl Pace {
    /// A phase begins or goes on.
    pub fn enter(&mut self, phase: usize, name: &str, reasoning: f64) {
        if self.phase.as_ref().is_some_and(|&(at, ..)| at == phase) {
            return;
        }
        if let Some((_, name, reasoning)) = &self.phase {
            let enough = self.recent.len() >= FEWEST;
            self.before = enough.then(|| Stretch::new(name, *reasoning, &self.recent));
        }
        self.phase = Some((phase, name.to_owned(), reasoning));
        self.settled = 0;
        self.recent.clear();
    }

    /// Adds a step of `took` and where its time went. Returns a line, once, when tokens per second turn out to have
    /// changed with the phase.
    pub fn add(&mut self, stats: &StepStats, took: Duration, profile: &StepProfile) -> Option<String> {
        if self.settled < SETTLING {
            self.settled += 1;
            return None;
        }
        if self.recent.len() == STEPS {
            self.recent.pop_front();
        }
        self.recent.push_back(Step::new(stats, took, profile));
        let (_, name, reasoning) = self.phase.as_ref().filter(|_| self.recent.len() == STEPS)?;
        let before = self.before.take()?;
        explained(&before, &Stretch::new(name, *reasoning, &self.recent))
    }
}

/// How much tokens per second changed and why; `None` where they hardly did, or the steps vary too much to tell.
fn explained(before: &Stretch, after: &Stretch) -> Option<String> {
    let ((was, was_error), (is, is_error)) = (before.tokens_per_second, after.tokens_per_second);
    let change = is / was - 1.0;
    if change.abs() <= WORTH_SAYING || (is - was).abs() <= APART * was_error.hypot(is_error) {
        return None;
    }
    let name = &before.phase;
    let head = format!("{}: {is:.0} tokens/s, {was:.0} in {name} ({:+.0} %)", after.phase, 100.0 * change);
    Some(format!("{head}: {}", reason(before, after)))
}

fn reason(before: &Stretch, after: &Stretch) -> String {
    let all = after.seconds - before.seconds;
    let relative = |after: f64, before: f64| after / before.max(1e-12) - 1.0;
    let whole = relative(after.seconds, before.seconds).abs();
    let share = |group: usize| (after.groups[group] - before.groups[group]) / all;
    let most = (0..GROUPS.len()).max_by(|&a, &b| share(a).total_cmp(&share(b))).unwrap_or(LOOP);
    let own = relative(after.groups[most], before.groups[most]).abs();
    if share(most).is_nan() || share(most) < MOST || own < MORE_THAN_ALL * whole {
        return "no part of a step accounts for it, they changed alike: something else on this machine".into();
    }
    let (name, percent) = (GROUPS[most].0, 100.0 * share(most).min(1.0));
    let [is, was] = [after, before].map(|s| 1e6 * s.groups[most]);
    let passes = after.passes - before.passes;
    let mut text = if most == LOOP && passes.abs() > PASSES && passes.signum() == all.signum() {
        format!(
            "{:.2} passes a token, {:.2} before; {percent:.0} % of it is {name}'s time",
            after.passes, before.passes
        )
    } else {
        format!("{percent:.0} % of it is {name}: {is:.1} us a token, {was:.1} before")
    };
    if (after.reasoning - before.reasoning).abs() > REASONING {
        let [is, was] = [after, before].map(|s| 100.0 * s.reasoning);
        text += &format!("; {is:.0} % reasoning stories, {was:.0} % before");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::PartProfile;

    const TOKENS: usize = 1000;

    /// A step: milliseconds of the projections, the reasoning loop and the whole of it.
    fn step(projections: f64, reasoning: f64, whole: f64, mean_passes: f64) -> (StepStats, Duration, StepProfile) {
        let stats = StepStats { tokens: TOKENS, mean_passes, ..StepStats::default() };
        let seconds = |ms: f64| Duration::from_secs_f64(ms / 1e3);
        let time = |part: Part| match part {
            Part::Forward => seconds(projections),
            Part::RcsmForward => seconds(reasoning),
            _ => Duration::ZERO,
        };
        let parts = Part::ALL.map(|part| PartProfile { part, time: time(part), macs: Default::default() });
        (stats, seconds(whole), StepProfile { parts: parts.into(), passes: Vec::new() })
    }

    /// What is said when the steps of two phases are these; whole steps vary by 1 %.
    fn said(before: [f64; 4], after: [f64; 4], reasoning: [f64; 2]) -> Vec<String> {
        let mut pace = Pace::default();
        let mut lines = Vec::new();
        for (phase, of) in [before, after].into_iter().enumerate() {
            for i in 0..100 {
                pace.enter(phase, ["foundation", "operations"][phase], reasoning[phase]);
                let [projections, reasoning, whole, passes] = of;
                let (stats, took, profile) = step(projections, reasoning, whole * [0.99, 1.01][i % 2], passes);
                lines.extend(pace.add(&stats, took, &profile));
            }
        }
        lines
    }

    #[test]
    fn more_passes_are_the_reason_where_the_loop_takes_the_time() {
        let lines = said([60.0, 30.0, 100.0, 1.31], [60.0, 55.0, 126.0, 2.4], [0.1, 0.3]);
        let want = "operations: 7937 tokens/s, 10001 in foundation (-21 %): 2.40 passes a token, 1.31 before; 96 % of \
                    it is the reasoning loop's time; 30 % reasoning stories, 10 % before";
        assert_eq!(lines, [want]);
    }

    #[test]
    fn fewer_passes_are_the_reason_of_more_tokens() {
        let lines = said([60.0, 55.0, 126.0, 2.4], [60.0, 30.0, 100.0, 1.31], [0.1, 0.1]);
        assert_eq!(lines.len(), 1);
        let said = &lines[0];
        assert!(said.contains("(+26 %): 1.31 passes a token, 2.40 before") && !said.contains("stories"), "{said}");
    }

    #[test]
    fn time_outside_of_the_parts_is_reading_and_waiting() {
        let lines = said([60.0, 30.0, 100.0, 1.3], [60.0, 30.0, 130.0, 1.3], [0.1, 0.1]);
        let want =
            "100 % of it is reading stories, and threads that wait for one another: 40.0 us a token, 10.0 before";
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with(want), "{lines:?}");
    }

    #[test]
    fn where_every_part_is_slower_it_is_something_else_even_if_passes_rose() {
        let lines = said([60.0, 30.0, 100.0, 1.3], [90.0, 45.0, 150.0, 1.35], [0.1, 0.1]);
        assert_eq!(lines.len(), 1);
        assert!(lines[0].ends_with("they changed alike: something else on this machine"), "{lines:?}");
    }

    #[test]
    fn a_small_change_or_one_that_the_noise_hides_is_not_worth_a_line() {
        assert_eq!(said([60.0, 30.0, 100.0, 1.3], [60.0, 36.0, 106.0, 1.6], [0.1, 0.1]), [""; 0]);
        let noisy = |mean: f64, error: f64| Stretch {
            phase: "x".into(),
            reasoning: 0.0,
            tokens_per_second: (mean, error),
            passes: 1.0,
            seconds: 1.0 / mean,
            groups: [0.0; GROUPS.len()],
        };
        assert!(explained(&noisy(1000.0, 100.0), &noisy(800.0, 100.0)).is_none());
        assert!(explained(&noisy(1000.0, 10.0), &noisy(800.0, 10.0)).is_some());
    }

    #[test]
    fn a_phase_of_few_steps_is_not_compared() {
        let mut pace = Pace::default();
        for phase in 0..3 {
            for _ in 0..SETTLING + FEWEST - 1 {
                pace.enter(phase, "short", 0.0);
                let (stats, took, profile) = step(60.0, 30.0, 100.0 * (1 + phase) as f64, 1.3);
                assert_eq!(pace.add(&stats, took, &profile), None);
            }
        }
    }

    #[test]
    fn every_part_is_in_one_group() {
        let mut of: Vec<usize> = GROUPS.iter().flat_map(|(_, parts)| parts.iter().map(|&p| p as usize)).collect();
        of.sort_unstable();
        assert_eq!(of, (0..PARTS).collect::<Vec<_>>());
    }
}
