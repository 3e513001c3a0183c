//! Sums of rounded gradients: every rank adds up a share of them, in f32, and sends what they come to to all others.
//!
//! Rounded sums that travelled along a chain would be rounded at every rank. Here a number is rounded twice whatever
//! the ranks: on its way to who adds it up, and as a part of the sum on its way back. A rank's own part of its own
//! share is not rounded at all. With 8-bit codes what either rounding leaves over is kept and goes with the next step's
//! (error feedback; Seide et al., 2014, "1-bit stochastic gradient descent"; Karimireddy et al., 2019). It is lost when
//! a run stops: checkpoints do not have it.
//!
//! Each rank sends `(N - 1) / N` of the gradients twice, to the others in turn, as a ring's all-reduce does.

use std::ops::Range;

use super::Link;
use super::codes::{self, BLOCK, Reduce};
use crate::kernels::zeros;

/// One rank's part of the sums.
pub struct Shards {
    code: Reduce,
    /// What rounding left over of this rank's gradients, and of the sums it is to send; as long as the parameters,
    /// empty where nothing is kept.
    left_over: Vec<f32>,
    left_over_of_sums: Vec<f32>,
    out: Vec<u8>,
    into: Vec<u8>,
}

impl Shards {
    /// For so many parameters.
    pub fn new(code: Reduce, parameters: usize) -> Self {
        let kept = if code == Reduce::Int8 { parameters } else { 0 };
        Self { code, left_over: zeros(kept), left_over_of_sums: zeros(kept), out: Vec::new(), into: Vec::new() }
    }

    /// Bytes that stay taken between steps.
    pub fn memory(code: Reduce, parameters: usize) -> u64 {
        if code == Reduce::Int8 { 8 * parameters as u64 } else { 0 }
    }

    /// Adds up this rank's share of the stretch `range` over all ranks: the others' shares of `total` are of no use
    /// until [`spread`](Self::spread).
    pub fn add_up(&mut self, link: &dyn Link, range: &Range<usize>, parts: &[&[f32]], total: &mut [f32]) {
        let Some((first, others)) = parts.split_first() else { return };
        total.copy_from_slice(first);
        for part in others {
            total.iter_mut().zip(*part).for_each(|(sum, value)| *sum += value);
        }
        let own = share(total.len(), link.rank(), link.count());
        for (to, from) in turns(link) {
            let theirs = share(total.len(), to, link.count());
            let left_over = kept(&mut self.left_over, range, &theirs);
            codes::write(self.code, &total[theirs], left_over, &mut self.out);
            self.into.resize(self.code.bytes(own.len()), 0);
            exchange(link, (to, &self.out), (from, &mut self.into));
            codes::read(self.code, &self.into, &mut total[own.clone()], |sum, value| *sum += value);
        }
    }

    /// Brings every rank's share of the sums to all ranks. Who added it up goes on with what it sent, too: so all have
    /// the same.
    pub fn spread(&mut self, link: &dyn Link, range: &Range<usize>, total: &mut [f32]) {
        let own = share(total.len(), link.rank(), link.count());
        let left_over = kept(&mut self.left_over_of_sums, range, &own);
        codes::write(self.code, &total[own.clone()], left_over, &mut self.out);
        codes::read(self.code, &self.out, &mut total[own], |sum, sent| *sum = sent);
        for (to, from) in turns(link) {
            let theirs = share(total.len(), from, link.count());
            self.into.resize(self.code.bytes(theirs.len()), 0);
            exchange(link, (to, &self.out), (from, &mut self.into));
            codes::read(self.code, &self.into, &mut total[theirs], |sum, sent| *sum = sent);
        }
    }
}

/// What is kept of the part `share` of a stretch; nothing where nothing is kept.
fn kept<'a>(all: &'a mut [f32], range: &Range<usize>, share: &Range<usize>) -> &'a mut [f32] {
    if all.is_empty() { all } else { &mut all[range.start + share.start..range.start + share.end] }
}

/// The part of `numbers` that rank `rank` of `count` adds up: whole blocks.
fn share(numbers: usize, rank: usize, count: usize) -> Range<usize> {
    let width = numbers.div_ceil(count).next_multiple_of(BLOCK);
    (rank * width).min(numbers)..((rank + 1) * width).min(numbers)
}

/// The ranks to send to and to receive from, turn by turn: in each everybody sends to somebody else.
fn turns(link: &dyn Link) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (rank, count) = (link.rank(), link.count());
    (1..count).map(move |turn| ((rank + turn) % count, (rank + count - turn) % count))
}

/// [`Link::pass`], of which what is empty is left out at either end.
fn exchange(link: &dyn Link, (to, out): (usize, &[u8]), (from, into): (usize, &mut [u8])) {
    let out = Some((to, out)).filter(|(_, bytes)| !bytes.is_empty());
    let into = Some((from, into)).filter(|(_, bytes)| !bytes.is_empty());
    if out.is_some() || into.is_some() {
        link.pass(out, into);
    }
}
