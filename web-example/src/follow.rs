//! What the reasoning loop did for each token of a story, kept to be looked at.

use flashlm_core::{MemoryWrite, Observer, Pass, RcsmConfig};
use flashlm_host::{Link, Links};
use serde_json::{Value, json};

/// One pass.
struct Hop {
    ops: [u8; 2],
    weights: [f32; 2],
    hop: f32,
    hold: f32,
    /// The links of the largest shares of what it read.
    reads: Vec<Link>,
}

/// Follows one story from its begin. Its steps are those that led to the story's tokens, the first one to the first.
pub struct Follow {
    links: Links,
    steps: Vec<Vec<Hop>>,
}

impl Follow {
    /// Follows a model with this engine.
    pub fn new(config: &RcsmConfig) -> Self {
        Self { links: Links::new(config.writes), steps: Vec::new() }
    }

    /// Passes that led to the story's token `at`; 0 where none are known.
    pub fn passes(&self, at: usize) -> usize {
        self.steps.get(at).map_or(0, Vec::len)
    }

    /// The operation that weighed most in the passes that led to the story's token `at`.
    pub fn operation(&self, at: usize) -> Option<u8> {
        let mut weights = [0.0; u8::MAX as usize + 1];
        for hop in self.steps.get(at)? {
            hop.ops.iter().zip(hop.weights).for_each(|(&op, weight)| weights[usize::from(op)] += weight);
        }
        let most = flashlm_core::math::argmax(&weights);
        (weights[most] > 0.0).then_some(most as u8)
    }

    /// The passes that led to the story's token `at`. A token that was read is named by its place in the story, -1
    /// being what begins it.
    pub fn described(&self, at: usize) -> Value {
        let read = |link: &Link| {
            json!({
                "at": link.writer as i64 - 1,
                "direction": link.direction.name(),
                "share": link.share,
                "similarity": link.similarity,
            })
        };
        let hop = |hop: &Hop| {
            json!({
                "operations": hop.ops,
                "weights": hop.weights,
                "hop": hop.hop,
                "hold": hop.hold,
                "reads": hop.reads.iter().map(read).collect::<Vec<_>>(),
            })
        };
        self.steps.get(at).into_iter().flatten().map(hop).collect()
    }
}

impl Observer for Follow {
    fn pass(&mut self, pass: Pass<'_>) {
        let Pass { index, ops, weights, address, hop, hold, .. } = pass;
        if index == 0 {
            self.steps.push(Vec::new());
        }
        if let Some(step) = self.steps.last_mut() {
            step.push(Hop { ops, weights, hop, hold, reads: self.links.largest(address) });
        }
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.links.add(write);
    }
}
