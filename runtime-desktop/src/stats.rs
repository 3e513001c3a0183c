//! What was measured while generating.

use std::time::Duration;

use flashlm_core::config::RcsmConfig;
use flashlm_core::{Observer, Pass};

/// Sums over decoding steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Tokens generated and the time that took.
    pub tokens: u64,
    pub time: Duration,
    /// Reasoning passes over the `steps` decoding steps counted.
    pub passes: u64,
    pub steps: u64,
}

impl Count {
    pub fn tokens_per_second(&self) -> f64 {
        rate(self.tokens, self.time)
    }

    /// Mean passes of a decoding step; `None` before the first and for models without a reasoning loop.
    pub fn mean_passes(&self) -> Option<f64> {
        (self.passes > 0).then(|| self.passes as f64 / self.steps as f64)
    }
}

/// What a step led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drew {
    Token,
    /// The end of the story.
    End,
}

/// Sums since the program, or `/reset`, began.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Of all settings.
    pub all: Count,
    /// By what was set, in the order in which it first was.
    pub by_setting: Vec<(String, Count)>,
    /// Which of them is counted for.
    current: usize,
    /// Prompt tokens read and the time that took.
    pub prompt_tokens: u64,
    prompt_time: Duration,
    /// How often each operation was among a pass's two.
    pub operations: Vec<u64>,
}

impl Stats {
    /// Nothing yet, for a model with this reasoning loop.
    pub fn new(rcsm: Option<&RcsmConfig>) -> Self {
        Self { operations: vec![0; rcsm.map_or(0, |r| r.ops.into())], ..Self::default() }
    }

    /// What comes counts for `setting` too.
    pub fn under(&mut self, setting: String) {
        let found = self.by_setting.iter().position(|(known, _)| *known == setting);
        self.current = found.unwrap_or_else(|| {
            self.by_setting.push((setting, Count::default()));
            self.by_setting.len() - 1
        });
    }

    /// A token was drawn, or the end of a story.
    pub fn drew(&mut self, what: Drew, time: Duration) {
        self.each(|count| {
            count.tokens += u64::from(what == Drew::Token);
            count.time += time;
        });
    }

    /// A prompt was read.
    pub fn read(&mut self, tokens: usize, time: Duration) {
        self.prompt_tokens += tokens as u64;
        self.prompt_time += time;
    }

    pub fn prompt_tokens_per_second(&self) -> f64 {
        rate(self.prompt_tokens, self.prompt_time)
    }

    fn each(&mut self, add: impl Fn(&mut Count)) {
        add(&mut self.all);
        self.by_setting.get_mut(self.current).into_iter().for_each(|(_, count)| add(count));
    }
}

/// Events a second, 0 when no time has passed.
fn rate(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

impl Observer for Stats {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.each(|count| {
            count.passes += u64::from(passes);
            count.steps += 1;
        });
    }

    fn pass(&mut self, pass: Pass<'_>) {
        for op in pass.ops {
            if let Some(count) = self.operations.get_mut(usize::from(op)) {
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_counts_for_all_and_for_its_setting() {
        let mut stats = Stats::new(Some(&RcsmConfig::DEFAULT));
        let second = Duration::from_secs(1);
        for (setting, passes) in [("a", 2), ("b", 8), ("a", 4)] {
            stats.under(setting.into());
            stats.depth(passes, &[]);
            stats.drew(Drew::Token, second);
        }
        stats.drew(Drew::End, second);
        let of = |count: &Count| (count.tokens, count.time.as_secs(), count.mean_passes());
        assert_eq!(of(&stats.all), (3, 4, Some(14.0 / 3.0)));
        let names: Vec<_> = stats.by_setting.iter().map(|(name, count)| (&name[..], of(count))).collect();
        assert_eq!(names, [("a", (2, 3, Some(3.0))), ("b", (1, 1, Some(8.0)))]);
        assert_eq!(stats.all.tokens_per_second(), 0.75);
    }
}
