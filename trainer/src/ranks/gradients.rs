//! Gradients between ranks, as an engine asks for them.

use std::ops::Range;
use std::sync::Arc;

use super::shards::Shards;
use super::{Link, Ranks, Reduce, chain};
use crate::nn::Exchange;

/// An engine's way to those of the other ranks.
pub struct Gradients {
    link: Arc<dyn Link>,
    way: Way,
}

enum Way {
    /// Sums that have the bits of one process.
    Chain,
    /// Sums of rounded gradients.
    Shards(Shards),
}

impl Gradients {
    /// Between these ranks, for so many parameters; `None` where there are no others.
    pub fn new(ranks: &Ranks, reduce: Reduce, parameters: usize) -> Option<Self> {
        let way = || match reduce {
            Reduce::F32 => Way::Chain,
            code => Way::Shards(Shards::new(code, parameters)),
        };
        ranks.link().map(|link| Self { link: Arc::clone(link), way: way() })
    }

    /// Bytes that one keeps between steps.
    pub fn memory(reduce: Reduce, parameters: usize) -> u64 {
        Shards::memory(reduce, parameters)
    }
}

impl Exchange for Gradients {
    fn place(&self) -> (usize, usize) {
        (self.link.rank(), self.link.count())
    }

    fn add_up(&mut self, range: Range<usize>, parts: &[&[f32]], total: &mut [f32]) {
        match &mut self.way {
            Way::Chain => chain::add_up(&*self.link, parts, total),
            Way::Shards(shards) => shards.add_up(&*self.link, &range, parts, total),
        }
    }

    fn spread(&mut self, range: Range<usize>, total: &mut [f32]) {
        match &mut self.way {
            Way::Chain => chain::spread(&*self.link, total),
            Way::Shards(shards) => shards.spread(&*self.link, &range, total),
        }
    }

    fn gather(&mut self, own: &[f64]) -> Vec<f64> {
        let mut all = vec![0.0; self.link.count() * own.len()];
        self.link.all_gather(bytemuck::cast_slice(own), bytemuck::cast_slice_mut(&mut all));
        all
    }
}
