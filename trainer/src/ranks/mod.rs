//! Several processes that train one model: its ranks, in MPI's word, on one machine or on many.
//!
//! Every rank has the whole model and an engine of `--threads` replicas; the batch is that of all replicas, of which
//! number `rank * threads + i` is replica i of a rank. Data, updates and what phases open are functions of the seed and
//! of steps, so every rank computes them for itself. Three things go between them:
//!
//! - gradients, once a step, while the backward pass still goes on ([`gradients`]);
//! - figures of a step, which all ranks add up in one order, and what the first rank decides: by the clock, at Ctrl-C,
//!   by held-out text ([`Ranks::agree`]);
//! - to the first rank, which alone writes files, where the others' rows of the batch stand ([`Ranks::gather`]).
//!
//! A run without others has [`Ranks::alone`], of which nothing costs anything. [`Link`] is what carries bytes: MPI with
//! the cargo feature `mpi`, threads of one process in tests. Every rank has to make the same calls in the same order; a
//! rank that fails ends all (`MPI_Abort`), and the run goes on from its last checkpoint.

mod chain;
mod codes;
pub mod gradients;
mod link;
#[cfg(feature = "mpi")]
mod mpi;
mod shards;
mod start;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::Pod;

pub use self::chain::PIECE;
pub use self::codes::Reduce;
pub use self::link::Link;
pub use self::start::with;

/// The most bytes that one call hands to a link: MPI counts with 31 bits.
const MOST: usize = 1 << 30;

/// This process among those that train a model.
#[derive(Clone, Default)]
pub struct Ranks {
    link: Option<Arc<dyn Link>>,
}

/// Something is not the same on all ranks.
#[derive(Debug, thiserror::Error)]
#[error("{what}: rank {rank} of {count} has others than rank 0: expected the same on every rank")]
pub struct Differs {
    what: String,
    rank: usize,
    count: usize,
}

/// An error that all ranks have, and that the first one says.
#[derive(Debug, thiserror::Error)]
#[error("the run ended on all ranks: rank 0 says why")]
pub struct Followed;

impl fmt::Debug for Ranks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rank {} of {}", self.rank(), self.count())
    }
}

impl Ranks {
    /// A process that trains by itself.
    pub fn alone() -> Self {
        Self::default()
    }

    /// The ranks that a link connects.
    pub fn new(link: Arc<dyn Link>) -> Self {
        Self { link: Some(link).filter(|link| link.count() > 1) }
    }

    /// Which of them this is, from 0.
    pub fn rank(&self) -> usize {
        self.link.as_ref().map_or(0, |link| link.rank())
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.link.as_ref().map_or(1, |link| link.count())
    }

    /// Whether this is the first, which decides and writes.
    pub fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// What connects them, where there are others.
    pub fn link(&self) -> Option<&Arc<dyn Link>> {
        self.link.as_ref()
    }

    /// The first rank's value.
    pub fn agree<T: Pod>(&self, mut value: T) -> T {
        if let Some(link) = &self.link {
            link.broadcast(bytemuck::bytes_of_mut(&mut value));
        }
        value
    }

    /// [`Self::agree`] of a yes or no.
    pub fn agree_whether(&self, yes: bool) -> bool {
        self.agree(u8::from(yes)) != 0
    }

    /// What `f` gives on the first rank, where alone it is called.
    pub fn decide<T: Pod>(&self, f: impl FnOnce() -> T) -> T {
        self.agree(if self.leads() { f() } else { T::zeroed() })
    }

    /// The first rank's bytes.
    pub fn share(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Some(link) = &self.link else { return bytes };
        let mut bytes = bytes;
        bytes.resize(self.agree(bytes.len() as u64) as usize, 0);
        bytes.chunks_mut(MOST).for_each(|piece| link.broadcast(piece));
        bytes
    }

    /// Puts the first rank's numbers in place of these, as many.
    pub fn share_floats(&self, values: &mut [f32]) {
        if let Some(link) = &self.link {
            values.chunks_mut(MOST / 4).for_each(|piece| link.broadcast(bytemuck::cast_slice_mut(piece)));
        }
    }

    /// Puts every rank's own part of `values` in place of the others'; `part` says which is whose.
    ///
    /// The parts go round, as in a ring's all-gather: at every turn each rank hands on what came at the turn before.
    pub fn exchange_parts(&self, values: &mut [f32], part: impl Fn(usize) -> Range<usize>) {
        let Some(link) = &self.link else { return };
        let (rank, count) = (self.rank(), self.count());
        let (next, previous) = ((rank + 1) % count, (rank + count - 1) % count);
        for turn in 0..count - 1 {
            let (leaving, coming) = (part((rank + count - turn) % count), part((previous + count - turn) % count));
            let pieces = leaving.len().max(coming.len()).div_ceil(MOST / 4);
            for piece in 0..pieces {
                let of = |part: &Range<usize>| {
                    let at = |piece: usize| part.end.min(part.start + piece * (MOST / 4));
                    at(piece)..at(piece + 1)
                };
                let (out, into) = two_parts(values, of(&leaving), of(&coming));
                let out = Some((next, bytemuck::cast_slice(out))).filter(|(_, bytes)| !bytes.is_empty());
                let into = Some((previous, bytemuck::cast_slice_mut(into))).filter(|(_, bytes)| !bytes.is_empty());
                link.pass(out, into);
            }
        }
    }

    /// The bytes of all ranks, of each as many as of this one, end to end in their order, on the first rank; nothing on
    /// the others.
    pub fn gather(&self, own: Vec<u8>) -> Vec<u8> {
        let Some(link) = &self.link else { return own };
        let (count, length) = (self.count(), own.len());
        let mut all = vec![0; if self.leads() { count * length } else { 0 }];
        let mut start = 0;
        for piece in own.chunks(MOST / count) {
            let mut part = vec![0; if self.leads() { count * piece.len() } else { 0 }];
            link.gather(piece, &mut part);
            for (rank, part) in part.chunks_exact(piece.len()).enumerate() {
                all[rank * length + start..][..piece.len()].copy_from_slice(part);
            }
            start += piece.len();
        }
        all
    }

    /// This rank's part of what was [gathered](Self::gather); nothing where `all` is not of so many equal parts.
    pub fn part<'a, T>(&self, all: &'a [T]) -> &'a [T] {
        let each = all.len() / self.count();
        if all.len().is_multiple_of(self.count()) { &all[self.rank() * each..][..each] } else { &[] }
    }

    /// [`Self::gather`] of byte strings that need not be equally long.
    pub fn gather_each(&self, own: Vec<u8>) -> Vec<Vec<u8>> {
        let Some(link) = &self.link else { return vec![own] };
        let mut lengths = vec![0u64; self.count()];
        link.all_gather(&(own.len() as u64).to_ne_bytes(), bytemuck::cast_slice_mut(&mut lengths));
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let mut padded = own;
        padded.resize(longest, 0);
        let all = self.gather(padded);
        let of = |rank: usize, length: u64| all[rank * longest..][..length as usize].to_vec();
        let each = lengths.iter().enumerate().filter(|_| self.leads());
        each.map(|(rank, &length)| of(rank, length)).collect()
    }

    /// Whether all ranks say yes.
    pub fn all(&self, yes: bool) -> bool {
        let Some(link) = &self.link else { return yes };
        let mut all = vec![0; self.count()];
        link.all_gather(&[u8::from(yes)], &mut all);
        all.iter().all(|&yes| yes != 0)
    }

    /// Calls `f` on the first rank, and on the others when that is done: they find what it left on disk.
    ///
    /// # Errors
    /// Those of `f`.
    pub fn in_turn<T, E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if self.leads() {
            let result = f()?;
            self.all(true);
            Ok(result)
        } else {
            self.all(true);
            f()
        }
    }

    /// Holds a hash of `what` against that of the first rank.
    ///
    /// # Errors
    /// On every rank, where any of them has another.
    pub fn same(&self, what: &str, own: u64) -> Result<(), Differs> {
        let Some(link) = &self.link else { return Ok(()) };
        let mut all = vec![0u64; self.count()];
        link.all_gather(&own.to_ne_bytes(), bytemuck::cast_slice_mut(&mut all));
        match all.iter().position(|other| *other != all[0]) {
            Some(rank) => Err(Differs { what: what.to_owned(), rank, count: all.len() }),
            None => Ok(()),
        }
    }

    /// An error that every rank has, for the same reason: itself on the first, which is to say it.
    pub fn together(&self, error: anyhow::Error) -> anyhow::Error {
        if self.leads() { error } else { Followed.into() }
    }
}

/// Two stretches that do not overlap, to read and to write.
fn two_parts(values: &mut [f32], read: Range<usize>, write: Range<usize>) -> (&[f32], &mut [f32]) {
    if read.end <= write.start {
        let (left, right) = values.split_at_mut(write.start);
        (&left[read], &mut right[..write.len()])
    } else {
        let (left, right) = values.split_at_mut(read.start);
        (&right[..read.len()], &mut left[write])
    }
}
