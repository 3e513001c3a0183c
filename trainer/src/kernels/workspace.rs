//! The products' scratch memory.

use super::Macs;
use super::buffer::Buffer;
use super::int8::Int8Scratch;
use super::operands::{BF16_PAD, ROW_PAD, odd_lines};

/// Scratch memory of the products: one for each thread. It grows the first time a shape is seen, and no product
/// allocates once it has seen the largest.
#[derive(Clone)]
pub struct Workspace {
    /// The left factor in bfloat16, row-major.
    pub(super) left: Buffer<u16>,
    /// The right factor in bfloat16 panels.
    pub(super) right: Buffer<u16>,
    /// A product before it is added to its destination, or a factor in f32.
    pub(super) float: Buffer<f32>,
    /// A gradient in int8.
    pub(super) int8: Int8Scratch,
    /// Multiplications done with this workspace.
    pub(super) macs: Macs,
}

impl Workspace {
    /// Empty scratch memory.
    pub fn new() -> Self {
        let (left, right, float) = (Buffer::new(0), Buffer::new(0), Buffer::new(0));
        Self { left, right, float, int8: Int8Scratch::new(), macs: Macs::default() }
    }

    /// Makes room for bfloat16 products of up to (m, k) times (k, n), whatever is multiplied first.
    pub fn reserve(&mut self, m: usize, k: usize, n: usize) {
        let depth = k.next_multiple_of(BF16_PAD);
        self.left.at_least(m.next_multiple_of(ROW_PAD) * odd_lines(depth));
        self.right.at_least(n.next_multiple_of(ROW_PAD) * depth);
    }

    /// The multiplications of all products since the last call.
    pub fn take_macs(&mut self) -> Macs {
        std::mem::take(&mut self.macs)
    }
}

impl Default for Workspace {
    fn default() -> Self {
        Self::new()
    }
}
