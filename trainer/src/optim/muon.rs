//! Muon: momentum made orthogonal (Keller Jordan, 2024, "Muon: an optimizer for hidden layers in neural networks").
//!
//! The update of a matrix is its Nesterov momentum with all singular values pushed towards one by five
//! Newton-Schulz steps of a quintic polynomial. An orthogonal rows x cols update has a root mean square of
//! `1 / sqrt(max(rows, cols))`; multiplied by `0.2 sqrt(max(rows, cols))` (Liu et al., 2025, "Muon is scalable for LLM
//! training") its size is that of an AdamW update, so both share one learning rate and weight decay.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::moments::{Moment, Moments, noise};
use crate::kernels::{FloatMatrix, Kernels, Workspace, Write, zeros};
use crate::ranks::Ranks;

/// Coefficients of the quintic, tuned to grow small singular values fastest.
const QUINTIC: (f32, f32, f32) = (3.4445, -4.7750, 2.0315);
/// Newton-Schulz steps.
const STEPS: usize = 5;
/// Root mean square of an update at learning rate one.
const UPDATE_RMS: f32 = 0.2;
/// Balanced shares of the matrices; fixed, so that scratch is bounded on machines with many cores.
const SHARES: usize = 16;

/// One matrix in the flat buffers.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub offset: usize,
    pub rows: usize,
    pub cols: usize,
    /// Multiplies the learning rate.
    pub lr: f32,
    pub decay: f32,
}

/// Work space of one share, sized for its largest matrix.
struct Scratch {
    x: Vec<f32>,
    next: Vec<f32>,
    gram: Vec<f32>,
    square: Vec<f32>,
    workspace: Workspace,
    packed: Vec<[FloatMatrix; 2]>,
}

/// Indices into the matrices, with the share's work space.
type Share = (Vec<usize>, Scratch);

/// The matrices and how they are shared out.
pub struct Muon {
    kernels: Kernels,
    matrices: Vec<Matrix>,
    momentum: f32,
    shares: Vec<Share>,
    sharing: Sharing,
}

impl Muon {
    /// For `matrices`, rising by offset; products run on `kernels`.
    pub fn new(kernels: Kernels, matrices: Vec<Matrix>, momentum: f32) -> Self {
        let total: usize = matrices.iter().map(cost).sum();
        let mut shares: Vec<Vec<usize>> = Vec::new();
        let mut done = 0;
        for (i, m) in matrices.iter().enumerate() {
            // neighbours stay together, so that a share's parameters are one slice
            let share = done * SHARES / total.max(1);
            if shares.is_empty() || share > shares.len() - 1 {
                shares.push(Vec::new());
            }
            shares.last_mut().expect("just pushed").push(i);
            done += cost(m);
        }
        let shares = shares.into_iter().map(|of| {
            let largest = of.iter().map(|&i| matrices[i].rows * matrices[i].cols).max().unwrap_or(0);
            let small = of.iter().map(|&i| matrices[i].rows.min(matrices[i].cols)).max().unwrap_or(0);
            let scratch = Scratch {
                x: zeros(largest),
                next: zeros(largest),
                gram: zeros(small * small),
                square: zeros(small * small),
                workspace: Workspace::new(),
                packed: Vec::new(),
            };
            (of, scratch)
        });
        let sharing = Sharing::Trying { updates: 0, times: [Duration::ZERO; 2] };
        Self { kernels, shares: shares.collect(), matrices, momentum, sharing }
    }

    /// Multiply-adds of the products in one update.
    pub fn macs(&self) -> u64 {
        (STEPS * self.matrices.iter().map(cost).sum::<usize>()) as u64
    }

    /// One update of every matrix.
    ///
    /// Ranks share the products out where that is faster: every one moves its part of the matrices and takes the
    /// others' from whoever moved them. Momenta are everyone's own, as all have the gradients: a checkpoint is one
    /// rank's. The bits are the same either way.
    pub fn step(&mut self, ranks: &Ranks, rule: Rule, params: &mut [f32], grads: &[f32], momenta: &mut Moments) {
        let shared = self.sharing.next();
        let started = Instant::now();
        let Self { kernels, momentum, ref matrices, .. } = *self;
        let own = if shared { self.matrices_of(ranks.rank(), ranks.count()) } else { 0..matrices.len() };
        let step = Step { kernels, rule, momentum, matrices, own, grads };
        match momenta {
            Moments::F32(m) => step.run(&mut self.shares, 0, params, m),
            Moments::Bf16(m) => step.run(&mut self.shares, 0, params, m),
        }
        if shared {
            ranks.exchange_parts(params, |rank| self.elements_of(rank, ranks.count()));
        }
        self.sharing.took(ranks, started.elapsed());
    }

    /// Which matrices one of `count` ranks moves.
    fn matrices_of(&self, rank: usize, count: usize) -> Range<usize> {
        let first = |rank: usize| {
            let share = rank * self.shares.len() / count;
            self.shares.get(share).map_or(self.matrices.len(), |(of, _)| of[0])
        };
        first(rank)..first(rank + 1)
    }

    /// Where those lie in the flat buffers, with what may lie between them.
    fn elements_of(&self, rank: usize, count: usize) -> Range<usize> {
        match &self.matrices[self.matrices_of(rank, count)] {
            [] => 0..0,
            [first, .., last] => first.offset..last.offset + last.rows * last.cols,
            [only] => only.offset..only.offset + only.rows * only.cols,
        }
    }
}

/// Multiply-adds of one Newton-Schulz step of a matrix.
fn cost(m: &Matrix) -> usize {
    let (small, large) = (m.rows.min(m.cols), m.rows.max(m.cols));
    // two products are symmetric
    small * (small + 1) / 2 * (large + small) + small * small * large
}

/// Whether ranks share an update out: tried both ways, by turns, until it is known what is faster here.
enum Sharing {
    Trying { updates: usize, times: [Duration; 2] },
    Decided(bool),
}

impl Sharing {
    /// Updates that touch memory and links for the first time, which are not counted, and those that are.
    const WARM_UP: usize = 2;
    const TRIED: usize = 4;

    /// Whether the next update is to be shared.
    fn next(&self) -> bool {
        match *self {
            Self::Trying { updates, .. } => updates.is_multiple_of(2),
            Self::Decided(shared) => shared,
        }
    }

    /// Takes what an update took; the first rank's decides.
    fn took(&mut self, ranks: &Ranks, time: Duration) {
        let Self::Trying { updates, times } = self else { return };
        if *updates >= Self::WARM_UP {
            times[*updates % 2] += time;
        }
        *updates += 1;
        if *updates == Self::WARM_UP + Self::TRIED {
            let shared = times[0] <= times[1];
            *self = Self::Decided(ranks.agree_whether(shared));
        }
    }
}

/// What is the same for all matrices in one update.
#[derive(Clone, Copy)]
pub struct Rule {
    pub lr: f32,
    /// Multiplies the gradients (clipping).
    pub grad_scale: f32,
    /// Which update this is.
    pub update: u64,
}

/// What all shares of one step have in common.
struct Step<'a> {
    kernels: Kernels,
    rule: Rule,
    momentum: f32,
    matrices: &'a [Matrix],
    /// The matrices that this rank moves; of the others it has the momenta alone.
    own: Range<usize>,
    grads: &'a [f32],
}

impl Step<'_> {
    /// Moves the matrices of `shares`, whose parameters and momenta begin at element `start`, on all threads.
    ///
    /// Halved until a share is left, and not gathered into tasks: a step allocates nothing.
    fn run<M: Moment>(&self, shares: &mut [Share], start: usize, params: &mut [f32], momenta: &mut [M]) {
        match shares {
            [] => {}
            [(of, scratch)] => {
                for &i in &*of {
                    let matrix = &self.matrices[i];
                    let at = matrix.offset - start..matrix.offset - start + matrix.rows * matrix.cols;
                    self.accumulate(matrix, &mut momenta[at.clone()], &mut scratch.x);
                    if self.own.contains(&i) {
                        self.apply(matrix, &mut params[at], scratch);
                    }
                }
            }
            _ => {
                let (left, right) = shares.split_at_mut(shares.len() / 2);
                let last = &self.matrices[*left[left.len() - 1].0.last().expect("a share holds a matrix")];
                let border = last.offset + last.rows * last.cols;
                let (p, right_p) = params.split_at_mut(border - start);
                let (m, right_m) = momenta.split_at_mut(border - start);
                rayon::join(|| self.run(left, start, p, m), || self.run(right, border, right_p, right_m));
            }
        }
    }

    /// Takes a matrix's gradient into its momentum; `direction` is what Nesterov's rule would move along.
    fn accumulate<M: Moment>(&self, matrix: &Matrix, momenta: &mut [M], direction: &mut [f32]) {
        let Matrix { offset, rows, cols, .. } = *matrix;
        let (beta, Rule { grad_scale, update, .. }) = (self.momentum, self.rule);
        let grads = &self.grads[offset..offset + rows * cols];
        self.kernels.vectorize(
            #[inline(always)]
            || {
                for (i, ((m, &g), d)) in momenta.iter_mut().zip(grads).zip(direction).enumerate() {
                    let g = g * grad_scale;
                    let first = beta * m.load() + (1.0 - beta) * g;
                    *m = M::store(first, noise((offset + i) as u32, update as u32));
                    *d = beta * first + (1.0 - beta) * g;
                }
            },
        );
    }

    /// Moves a matrix along `scratch.x`, made orthogonal.
    fn apply(&self, matrix: &Matrix, params: &mut [f32], scratch: &mut Scratch) {
        let Matrix { rows, cols, lr, decay, .. } = *matrix;
        let lr = self.rule.lr * lr;
        let (small, large) = (rows.min(cols), rows.max(cols));
        if rows > cols {
            transpose(&scratch.x[..rows * cols], rows, cols, &mut scratch.next);
            std::mem::swap(&mut scratch.x, &mut scratch.next);
        }
        orthogonalise(self.kernels, small, large, scratch);
        if rows > cols {
            transpose(&scratch.x[..rows * cols], small, large, &mut scratch.next);
            std::mem::swap(&mut scratch.x, &mut scratch.next);
        }
        let (keep, scale) = (1.0 - lr * decay, lr * UPDATE_RMS * (large as f32).sqrt());
        self.kernels.vectorize(
            #[inline(always)]
            || {
                for (p, &o) in params.iter_mut().zip(&scratch.x[..rows * cols]) {
                    *p = *p * keep - scale * o;
                }
            },
        );
    }
}

/// `y (cols x rows) = x (rows x cols)` transposed, in square tiles that stay in the nearest cache.
fn transpose(x: &[f32], rows: usize, cols: usize, y: &mut [f32]) {
    const TILE: usize = 16;
    for row0 in (0..rows).step_by(TILE) {
        for col0 in (0..cols).step_by(TILE) {
            for row in row0..(row0 + TILE).min(rows) {
                for col in col0..(col0 + TILE).min(cols) {
                    y[col * rows + row] = x[row * cols + col];
                }
            }
        }
    }
}

/// Replaces `scratch.x` (small x large, small <= large) by a nearly orthogonal matrix with the same singular vectors.
fn orthogonalise(kernels: Kernels, small: usize, large: usize, scratch: &mut Scratch) {
    let (a, b, c) = QUINTIC;
    let Scratch { x, next, gram, square, workspace, packed, .. } = scratch;
    let size = small * large;
    let [wide, narrow] = packed_for(packed, kernels, small, large);
    let (gram, square) = (&mut gram[..small * small], &mut square[..small * small]);
    kernels.vectorize(
        #[inline(always)]
        || {
            let norm: f64 = x[..size].chunks(1024).map(|p| flashlm_core::math::sum_by(p, |v| v * v) as f64).sum();
            let inverse = 1.0 / (norm.sqrt() as f32 + 1e-7);
            x[..size].iter_mut().for_each(|v| *v *= inverse);
        },
    );
    for _ in 0..STEPS {
        // with g = x x^T, which is symmetric: x <- a x + (b g + c g^2) x
        wide.pack(&x[..size]);
        kernels.matmul_nt_symmetric(&x[..size], wide, gram, workspace);
        narrow.pack(gram);
        kernels.matmul_nt_symmetric(gram, narrow, square, workspace);
        kernels.vectorize(
            #[inline(always)]
            || {
                for (g, &s) in gram.iter_mut().zip(&*square) {
                    *g = b * *g + c * s;
                }
                for (n, &v) in next[..size].iter_mut().zip(&x[..size]) {
                    *n = a * v;
                }
            },
        );
        kernels.matmul_nn(gram, small, wide, &mut next[..size], Write::Add, workspace);
        std::mem::swap(x, next);
    }
}

/// The packed factors (small, large) and (small, small), made the first time a shape is seen.
fn packed_for(
    packed: &mut Vec<[FloatMatrix; 2]>,
    kernels: Kernels,
    small: usize,
    large: usize,
) -> &mut [FloatMatrix; 2] {
    let at = packed.iter().position(|p| p[0].n() == small && p[0].k() == large).unwrap_or_else(|| {
        packed.push([FloatMatrix::new(kernels, small, large), FloatMatrix::new(kernels, small, small)]);
        packed.len() - 1
    });
    &mut packed[at]
}
