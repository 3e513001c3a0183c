//! Shapes and small things every layer shares.

/// How the rows of a micro-batch are laid out: time-major, row `t * sequences + b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Sequences B.
    pub sequences: usize,
    /// Tokens T of each.
    pub tokens: usize,
}

impl Shape {
    /// Rows M = B T.
    pub fn rows(self) -> usize {
        self.sequences * self.tokens
    }
}

/// Row `i` of a row-major matrix of width `w`.
#[inline(always)]
pub fn row(x: &[f32], i: usize, w: usize) -> &[f32] {
    &x[i * w..(i + 1) * w]
}

/// Row `i` of a row-major matrix of width `w`, to write.
#[inline(always)]
pub fn row_mut(x: &mut [f32], i: usize, w: usize) -> &mut [f32] {
    &mut x[i * w..(i + 1) * w]
}

/// `a += b`.
#[inline(always)]
pub fn add(a: &mut [f32], b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

/// `a += s * b`.
#[inline(always)]
pub fn add_scaled(a: &mut [f32], s: f32, b: &[f32]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += s * b;
    }
}
