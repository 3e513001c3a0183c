//! What the user sees of a run: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::run::answers::AnswerRates;

/// Ticks of a whole bar.
const TICKS: u64 = 1000;
/// Time between lines where the output is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Time between redraws of the bar.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The figures on display.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Share of the run, 0 ..= 1.
    pub progress: f64,
    pub phase: &'a str,
    pub step: u64,
    /// Smoothed loss [nats per token].
    pub loss: f64,
    /// Last held-out bits per character.
    pub bpc: Option<f64>,
    pub tokens_per_second: f64,
    pub mean_passes: f64,
    /// Answers in training of late.
    pub answers: &'a AnswerRates,
    pub left: Option<Duration>,
}

impl std::fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} | step {} | loss {:.3} | ", self.phase, self.step, self.loss)?;
        match self.bpc {
            Some(bpc) => write!(f, "held-out {bpc:.4} bpc | ")?,
            None => write!(f, "held-out - bpc | ")?,
        }
        write!(f, "{:.0} tokens/s | {:.2} passes", self.tokens_per_second, self.mean_passes)?;
        let answers = self.answers.to_string();
        if !answers.is_empty() {
            write!(f, " | {answers}")?;
        }
        match self.left {
            Some(left) => write!(f, " | {} left", clock_time(left)),
            None => Ok(()),
        }
    }
}

/// `1:02:03` or `2:03`.
pub fn clock_time(t: Duration) -> String {
    let s = t.as_secs();
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// The display.
pub struct Progress {
    bar: Option<ProgressBar>,
    shown: Option<Instant>,
}

impl Progress {
    /// A bar when standard error is a terminal.
    pub fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(TICKS), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {wide_msg}");
            bar.set_style(style.expect("a valid template").progress_chars("=> "));
            bar
        });
        Self { bar, shown: None }
    }

    /// Shows the figures, not more often than the eye or a log wants them.
    pub fn show(&mut self, status: &Status) {
        let every = if self.bar.is_some() { DRAW_EVERY } else { LINE_EVERY };
        if self.shown.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        match &self.bar {
            Some(bar) => {
                bar.set_position((status.progress.clamp(0.0, 1.0) * TICKS as f64) as u64);
                bar.set_message(status.to_string());
            }
            None => print(&format!("{:5.1} % {status}", 100.0 * status.progress.min(1.0))),
        }
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(text)),
            None => print(text),
        }
    }

    /// Leaves the bar as it is.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}

/// Prints a line on standard error. Where nobody reads it any more (a closed pipe) the run goes on.
fn print(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Answers;

    #[test]
    fn a_line_carries_every_figure_with_its_unit() {
        let mut counts = Answers::default();
        (counts.right[1], counts.total[1]) = ([1, 3, 4], [4; 3]);
        let mut answers = AnswerRates::default();
        answers.add(&counts);
        let status = Status {
            progress: 0.5,
            phase: "memory",
            step: 120,
            loss: 1.2345,
            bpc: Some(0.87654),
            tokens_per_second: 12345.6,
            mean_passes: 2.5,
            answers: &answers,
            left: Some(Duration::from_secs(3723)),
        };
        let want = "memory | step 120 | loss 1.234 | held-out 0.8765 bpc | 12346 tokens/s | 2.50 passes | \
                    answers 2: 25/75/100 % | 1:02:03 left";
        assert_eq!(status.to_string(), want);
        assert_eq!(clock_time(Duration::from_secs(63)), "1:03");
    }
}
