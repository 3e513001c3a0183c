//! What lies between the projections: weights from queries and keys, and what they read of the values.

use flashlm_core::config::MAX_HEADS;
use flashlm_core::math::{self, dot};

use super::heads::Heads;
use super::window::Workspace;
use crate::kernels::{self, Kernels, Precision, Strided, Write};
use crate::nn::context::Worker;
use crate::nn::shape::{row, row_mut};

/// Queries, keys and values: (B, maps, H, T, width), (B, maps, H, C + T, width), (B, H, C + T, width). A head's are
/// neighbours, as rows far apart would share few sets of the caches.
pub type Factors<'a> = (&'a [f32], &'a [f32], &'a [f32]);

/// One block of queries of one head against all keys any of them sees.
struct Block<'a> {
    h: &'a Heads,
    sequence: usize,
    head: usize,
    /// First query and their number.
    first: usize,
    queries: usize,
    /// First key, of those seen, and their number.
    from: usize,
    keys: usize,
}

impl<'a> Block<'a> {
    fn new(h: &'a Heads, (sequence, head, first, queries): (usize, usize, usize, usize), starts: &[u32]) -> Self {
        // later queries see nothing earlier
        let from = starts[first * h.sequences + sequence] as usize;
        Self { h, sequence, head, first, queries, from, keys: first + queries + h.carried - from }
    }

    /// Where the queries of map `map`, its keys and the values begin.
    fn query_at(&self, map: usize) -> usize {
        self.h.query_at(self.sequence, map * self.h.count + self.head, self.first)
    }

    fn key_at(&self, map: usize) -> usize {
        self.h.key_at(self.sequence, map * self.h.count + self.head, self.from)
    }

    fn value_at(&self) -> usize {
        self.h.value_at(self.sequence, self.head, self.from)
    }

    /// Where the head's channels begin in rows that are time-major, (M, W).
    fn row_at(&self) -> usize {
        (self.first * self.h.sequences + self.sequence) * self.h.inner() + self.head * self.h.width
    }

    fn query<'x>(&self, q: &'x [f32], map: usize) -> Strided<'x> {
        Strided::new(&q[self.query_at(map)..], self.queries, self.h.width, self.h.width)
    }

    fn key<'x>(&self, k: &'x [f32], map: usize) -> Strided<'x> {
        Strided::new(&k[self.key_at(map)..], self.keys, self.h.width, self.h.width)
    }

    fn value<'x>(&self, v: &'x [f32]) -> Strided<'x> {
        Strided::new(&v[self.value_at()..], self.keys, self.h.width, self.h.width)
    }

    /// Softmax weights of map `map`, (queries, keys), zero where a query does not see.
    fn weights(
        &self,
        kernels: Kernels,
        (q, k, _): Factors,
        starts: &[u32],
        map: usize,
        out: &mut [f32],
        ws: &mut kernels::Workspace,
    ) {
        let n = self.keys;
        kernels.strided_product(self.query(q, map), self.key(k, map).transposed(), out, n, Write::Set, ws);
        kernels.vectorize(
            #[inline(always)]
            || {
                for i in 0..self.queries {
                    let t = self.first + i;
                    let from = starts[t * self.h.sequences + self.sequence] as usize - self.from;
                    let to = t + self.h.carried + 1 - self.from;
                    let scores = row_mut(out, i, n);
                    scores[..from].fill(0.0);
                    scores[to..].fill(0.0);
                    math::softmax(&mut scores[from..to]);
                }
            },
        );
    }
}

/// What attention reads, `y` (M, W), time-major.
pub fn forward(
    worker: &mut Worker,
    h: &Heads,
    lambda: Option<&[f32; MAX_HEADS as usize]>,
    factors: Factors,
    y: &mut [f32],
    workspace: &mut Workspace,
) {
    let (kernels, ws) = (worker.kernels, &mut worker.workspace);
    if kernels.precision() == Precision::Bf16 {
        h.reserve(ws);
    }
    let Workspace { starts, weights: [first, second], .. } = workspace;
    for at in h.blocks() {
        let block = Block::new(h, at, starts);
        let len = block.queries * block.keys;
        block.weights(kernels, factors, starts, 0, &mut first[..len], ws);
        if let Some(lambda) = lambda {
            block.weights(kernels, factors, starts, 1, &mut second[..len], ws);
            subtract(kernels, lambda[block.head], &second[..len], &mut first[..len]);
        }
        let weights = Strided::new(&first[..len], block.queries, block.keys, block.keys);
        let row_stride = h.sequences * h.inner();
        kernels.strided_product(weights, block.value(factors.2), &mut y[block.row_at()..], row_stride, Write::Set, ws);
    }
}

/// `a -= lambda * b`.
fn subtract(kernels: Kernels, lambda: f32, b: &[f32], a: &mut [f32]) {
    kernels.vectorize(
        #[inline(always)]
        || {
            for (a, &b) in a.iter_mut().zip(b) {
                *a -= lambda * b;
            }
        },
    );
}

/// Gradients of queries, keys and values into the workspace, laid out as those, by `dy`, that of [`forward`]'s output.
/// Adds to `dlambda` (H).
pub fn backward(
    worker: &mut Worker,
    h: &Heads,
    lambda: Option<&[f32; MAX_HEADS as usize]>,
    factors: Factors,
    dy: &[f32],
    dlambda: &mut [f32],
    workspace: &mut Workspace,
) {
    let (kernels, ws) = (worker.kernels, &mut worker.workspace);
    let (q, k, v) = factors;
    let Workspace { starts, weights: [first, second], combined, dweights, dq, dk, dv, .. } = workspace;
    dk.fill(0.0);
    dv.fill(0.0);
    let row_stride = h.sequences * h.inner();
    for at in h.blocks() {
        let block = Block::new(h, at, starts);
        let (queries, n) = (block.queries, block.keys);
        let len = queries * n;
        let second_len = if h.maps > 1 { len } else { 0 };
        let (first, second) = (&mut first[..len], &mut second[..second_len]);
        let dweights = &mut dweights[..len];
        let dread = Strided::new(&dy[block.row_at()..], queries, h.width, row_stride);
        kernels.strided_product(dread, block.value(v).transposed(), dweights, n, Write::Set, ws);

        block.weights(kernels, factors, starts, 0, first, ws);
        let combined = &mut combined[..len];
        let combined: &[f32] = if let Some(lambda) = lambda {
            block.weights(kernels, factors, starts, 1, second, ws);
            let lambda = lambda[block.head];
            dlambda[block.head] -= kernels.vectorize(
                #[inline(always)]
                || {
                    for ((combined, &first), &second) in combined.iter_mut().zip(&*first).zip(&*second) {
                        *combined = first - lambda * second;
                    }
                    dot(dweights, second)
                },
            );
            combined
        } else {
            first
        };
        let into_values = Strided::new(combined, queries, n, n).transposed();
        kernels.strided_product(into_values, dread, &mut dv[block.value_at()..], h.width, Write::Add, ws);

        for (map, weights) in [first, second].into_iter().enumerate().take(h.maps) {
            let sign = lambda.filter(|_| map == 1).map_or(1.0, |lambda| -lambda[block.head]);
            kernels.vectorize(
                #[inline(always)]
                || {
                    for i in 0..queries {
                        let (weights, dweights) = (row_mut(weights, i, n), row(dweights, i, n));
                        let mean = dot(weights, dweights);
                        for (w, &d) in weights.iter_mut().zip(dweights) {
                            *w *= sign * (d - mean);
                        }
                    }
                },
            );
            let dscores = Strided::new(weights, queries, n, n);
            let (dq, dk) = (&mut dq[block.query_at(map)..], &mut dk[block.key_at(map)..]);
            kernels.strided_product(dscores, block.key(k, map), dq, h.width, Write::Set, ws);
            kernels.strided_product(dscores.transposed(), block.query(q, map), dk, h.width, Write::Add, ws);
        }
    }
}
