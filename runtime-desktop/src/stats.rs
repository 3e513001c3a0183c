//! What was measured while generating.

use std::time::Duration;

use flashlm_core::{Observer, Pass};

/// Sums since the program, or `/reset`, began.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Tokens generated and the time that took.
    pub tokens: u64,
    pub time: Duration,
    /// Prompt tokens read and the time that took.
    pub prompt_tokens: u64,
    pub prompt_time: Duration,
    /// Reasoning passes over the `steps` decoding steps counted.
    pub passes: u64,
    pub steps: u64,
    /// How often each operation was among a pass's two.
    pub operations: Vec<u64>,
}

impl Stats {
    pub fn tokens_per_second(&self) -> f64 {
        rate(self.tokens, self.time)
    }

    pub fn prompt_tokens_per_second(&self) -> f64 {
        rate(self.prompt_tokens, self.prompt_time)
    }

    /// Mean passes of a decoding step; `None` before the first and for models without a reasoning loop.
    pub fn mean_passes(&self) -> Option<f64> {
        (self.passes > 0).then(|| self.passes as f64 / self.steps as f64)
    }
}

/// Events a second, 0 when no time has passed.
pub fn rate(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

impl Observer for Stats {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.passes += u64::from(passes);
        self.steps += 1;
    }

    fn pass(&mut self, pass: Pass<'_>) {
        for op in pass.ops {
            if let Some(count) = self.operations.get_mut(usize::from(op)) {
                *count += 1;
            }
        }
    }
}
