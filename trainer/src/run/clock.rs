//! The clock: how much of a run's budget is spent.

use std::time::{Duration, Instant};

use super::schedule::Budget;

/// How much of the budget is spent.
#[derive(Clone, Debug)]
pub struct Clock {
    budget: Budget,
    /// Time spent by earlier sessions of this run.
    before: Duration,
    started: Instant,
}

impl Clock {
    /// Starts now; `before` is the time that earlier sessions spent, from the checkpoint.
    pub fn start(budget: Budget, before: Duration) -> Self {
        Self { budget, before, started: Instant::now() }
    }

    /// Wall-clock time over all sessions.
    pub fn elapsed(&self) -> Duration {
        self.before + self.started.elapsed()
    }

    /// Share of the budget spent before step number `step` (from 0); 1 or more when it is used up.
    pub fn progress(&self, step: u64) -> f64 {
        match self.budget {
            Budget::Hours(hours) => self.elapsed().as_secs_f64() / (hours * 3600.0),
            Budget::Steps(steps) => step as f64 / steps.max(1) as f64,
        }
    }

    /// Estimated time left, from the time spent per share of progress; `None` before there is any.
    pub fn left(&self, step: u64) -> Option<Duration> {
        let spent = self.elapsed().as_secs_f64();
        let left = match self.budget {
            Budget::Hours(hours) => hours * 3600.0 - spent,
            Budget::Steps(_) => {
                let progress = self.progress(step);
                if progress <= 0.0 {
                    return None;
                }
                spent / progress - spent
            }
        };
        Some(Duration::from_secs_f64(left.max(0.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_by_steps_does_not_depend_on_time_and_by_hours_continues_from_the_checkpoint() {
        let steps = Clock::start(Budget::Steps(200), Duration::from_secs(1000));
        assert_eq!((steps.progress(0), steps.progress(50), steps.progress(200)), (0.0, 0.25, 1.0));
        let hours = Clock::start(Budget::Hours(2.0), Duration::from_secs(3600));
        assert!((hours.progress(0) - 0.5).abs() < 1e-3 && (hours.progress(99) - 0.5).abs() < 1e-3);
        assert!((hours.left(0).unwrap().as_secs_f64() - 3600.0).abs() < 5.0);
    }
}
