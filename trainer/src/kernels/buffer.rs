//! Plain numbers in memory that starts on a cache line, as tile and vector loads like it.

use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

use super::memory::zeros;

/// One cache line.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A growing array of `T` on cache lines, zero where never written.
#[derive(Clone)]
pub(super) struct Buffer<T> {
    lines: Vec<Line>,
    len: usize,
    element: PhantomData<T>,
}

impl<T: Pod> Buffer<T> {
    pub fn new(len: usize) -> Self {
        let mut buffer = Self { lines: Vec::new(), len: 0, element: PhantomData };
        buffer.at_least(len);
        buffer
    }

    /// At least `len` elements, keeping what is there; allocates only where no earlier call asked for as many.
    pub fn at_least(&mut self, len: usize) -> &mut [T] {
        if len > self.len {
            let lines = (len * size_of::<T>()).div_ceil(64);
            let mut grown = zeros(lines);
            grown[..self.lines.len()].copy_from_slice(&self.lines);
            // in a rehearsal there are none
            self.len = if grown.len() == lines { len } else { 0 };
            self.lines = grown;
        }
        self.as_mut()
    }

    pub fn as_ref(&self) -> &[T] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub fn as_mut(&mut self) -> &mut [T] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
