//! What a model's reasoning loop does on a text: passes, operations, gates, watched through core.

use flashlm_core::{MemoryWrite, Observer, Pass};
use flashlm_host::Blob;
use serde::{Deserialize, Serialize};

use crate::nn::Story;

/// Tokens watched, at the most: enough for shares of one percent.
const TOKENS: usize = 4096;

/// Means over watched tokens and passes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reasoning {
    pub tokens: u64,
    /// Tokens by the passes they took, from one pass on.
    pub by_passes: Vec<u64>,
    /// Share of the weight that each operation got over all passes.
    pub op_use: Vec<f64>,
    /// Entropy of those shares, in bits; the logarithm of the number of operations where all are used alike.
    pub use_entropy: f64,
    /// Mean entropy of a pass's weights, of which it has two, in bits.
    pub pass_entropy: f64,
    /// Means over passes after a token's first: how far it read where the pass before pointed, and how far what it read
    /// replaced what was read before; absent where all tokens took one pass.
    pub hop: Option<f64>,
    pub hold: Option<f64>,
    /// Mean write gates of the link from a token's context to itself, and of the one back.
    pub write: [f64; 2],
}

/// Watches the model read the first few thousand tokens of `stories`, each from the reset state, at the depth it takes
/// by itself. `None` for a model without a reasoning loop, and where there are no tokens.
///
/// # Errors
/// The model has no end-of-story token, or the stories have one it does not know.
pub fn observe(blob: &Blob, stories: &[Story<'_>]) -> anyhow::Result<Option<Reasoning>> {
    let config = *blob.model()?.config();
    let (Some(rcsm), Some(eot)) = (config.rcsm, config.eot) else { return Ok(None) };
    let mut sums = Sums { op_weight: vec![0.0; rcsm.ops.into()], ..Sums::default() };
    let mut session = blob.session(None)?;
    for (tokens, _) in stories {
        let left = TOKENS.saturating_sub(sums.tokens as usize);
        if left == 0 {
            break;
        }
        session.reset();
        session.step_observed(eot as u16, &mut sums)?;
        session.prefill_observed(&tokens[..tokens.len().min(left)], &mut sums)?;
    }
    Ok((sums.tokens > 0).then(|| sums.means()))
}

/// Entropy of what adds up to some total, in bits; 0 where it adds up to nothing.
pub fn entropy(parts: impl IntoIterator<Item = f64> + Clone) -> f64 {
    let total: f64 = parts.clone().into_iter().sum();
    let shares = parts.into_iter().map(|part| part / total).filter(|&share| share > 0.0);
    // from 0: a sum of nothing is a negative zero
    0.0 + shares.map(|share| -share * share.log2()).sum::<f64>()
}

#[derive(Default)]
struct Sums {
    tokens: u64,
    by_passes: Vec<u64>,
    op_weight: Vec<f64>,
    passes: u64,
    entropy: f64,
    later: u64,
    hop: f64,
    hold: f64,
    writes: u64,
    write: [f64; 2],
}

impl Sums {
    fn means(self) -> Reasoning {
        let weight: f64 = self.op_weight.iter().sum();
        let later = |sum: f64| (self.later > 0).then(|| sum / self.later as f64);
        Reasoning {
            tokens: self.tokens,
            use_entropy: entropy(self.op_weight.iter().copied()),
            pass_entropy: self.entropy / self.passes.max(1) as f64,
            hop: later(self.hop),
            hold: later(self.hold),
            write: self.write.map(|sum| sum / self.writes.max(1) as f64),
            op_use: self.op_weight.iter().map(|sum| sum / weight.max(f64::MIN_POSITIVE)).collect(),
            by_passes: self.by_passes,
        }
    }
}

impl Observer for Sums {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        let passes = usize::from(passes);
        if self.by_passes.len() < passes {
            self.by_passes.resize(passes, 0);
        }
        self.tokens += 1;
        if let Some(count) = passes.checked_sub(1).and_then(|at| self.by_passes.get_mut(at)) {
            *count += 1;
        }
    }

    fn pass(&mut self, pass: Pass<'_>) {
        let weights = pass.weights.map(f64::from);
        for (op, weight) in pass.ops.into_iter().zip(weights) {
            if let Some(sum) = self.op_weight.get_mut(usize::from(op)) {
                *sum += weight;
            }
        }
        self.passes += 1;
        self.entropy += entropy(weights);
        // in the first pass there is nothing that either gate could choose
        if pass.index > 0 {
            self.later += 1;
            self.hop += f64::from(pass.hop);
            self.hold += f64::from(pass.hold);
        }
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.writes += 1;
        self.write.iter_mut().zip(write.gates).for_each(|(sum, gate)| *sum += f64::from(gate));
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::testing::{SMALL, random_blob};

    use super::*;

    #[test]
    fn entropy_is_that_of_shares_whatever_they_add_up_to() {
        assert_eq!(entropy([2.0, 2.0, 0.0, 2.0, 2.0]), 2.0);
        assert_eq!((entropy([3.0]), entropy([0.0, 0.0])), (0.0, 0.0));
        assert!((entropy([0.75, 0.25]) - 0.811_278).abs() < 1e-6);
    }

    #[test]
    fn means_are_of_tokens_passes_and_writes_each() {
        let mut sums = Sums { op_weight: vec![0.0; 4], ..Sums::default() };
        let mut pass = |index, ops, weights, hop, hold| {
            sums.pass(Pass { index, ops, weights, address: &[], hop, hold, read: &[] });
        };
        pass(0, [0, 1], [0.5, 0.5], 0.0, 1.0);
        pass(0, [3, 1], [1.0, 0.0], 0.0, 1.0);
        pass(1, [0, 2], [0.5, 0.5], 0.25, 0.5);
        sums.depth(1, &[]);
        sums.depth(2, &[0.5]);
        for gates in [[0.5, 0.0], [1.0, 0.5]] {
            sums.write(MemoryWrite { gates, context: &[], token: &[] });
        }
        let means = sums.means();
        assert_eq!((means.tokens, &means.by_passes[..]), (2, &[1, 1][..]));
        assert_eq!((means.hop, means.hold, means.write), (Some(0.25), Some(0.5), [0.75, 0.25]));
        let third = 1.0 / 3.0;
        assert_eq!(means.op_use, [third, third / 2.0, third / 2.0, third]);
        assert_eq!((means.use_entropy, means.pass_entropy), (entropy([2.0, 1.0, 1.0, 2.0]), 2.0 * third));
    }

    #[test]
    fn so_many_tokens_of_a_text_are_watched_and_no_more() {
        let blob = Blob::copy("random", random_blob(&SMALL, 4).bytes()).unwrap();
        let story: Vec<u16> = (0..300).map(|i| (i * 7 % 200) as u16).collect();
        let stories = vec![(&story[..], true); 20];
        let few = observe(&blob, &stories[..2]).unwrap().unwrap();
        assert_eq!(few.tokens, 602, "the end-of-story token that begins a story counts too");
        assert_eq!(few.by_passes.iter().sum::<u64>(), few.tokens);
        assert!((few.op_use.iter().sum::<f64>() - 1.0).abs() < 1e-9 && few.write[0] > 0.0, "{few:?}");
        let all = observe(&blob, &stories).unwrap().unwrap().tokens as usize;
        assert!((TOKENS..=TOKENS + 1).contains(&all), "{all}");
        assert_eq!(observe(&blob, &[]).unwrap(), None);
    }
}
