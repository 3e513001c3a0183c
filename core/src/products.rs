//! The products of a step by themselves: what a benchmark compares a whole step with.

use std::vec::Vec;

use crate::kernels::Kernels;
use crate::memory::MAX_CHUNK;
use crate::model::Model;
use crate::views::{Embedding, TernaryMatrix};

/// Rows of the head computed at a time, as a session does.
const HEAD_ROWS: usize = 128;

/// Runs over a model's own weights, in a step's order, with made-up activations.
#[derive(Clone, Debug)]
pub struct Products<'m> {
    kernels: Kernels,
    /// Every ternary product of a token, in order.
    ternary: Vec<TernaryMatrix<'m>>,
    /// Float products of a token, in order, each R wide: the matrix, or none for the memory.
    float: Vec<Option<&'m [f32]>>,
    /// A made-up memory of the reasoning loop, S x R.
    memory: Vec<f32>,
    /// R.
    width: usize,
    embedding: Embedding<'m>,
    q: Vec<i8>,
    x: Vec<i16>,
    floats: Vec<f32>,
    y: Vec<f32>,
}

impl<'m> Products<'m> {
    /// The products of a step whose reasoning loop takes `passes` passes; a model without the loop has none of its.
    pub fn new(model: &Model<'m>, kernels: Kernels, passes: u8) -> Self {
        let (mut ternary, mut float, mut memory, mut width) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for i in 0..model.config().layers.into() {
            ternary.extend(model.block_matrices(i));
        }
        if let Some(rcsm) = model.rcsm() {
            let r = rcsm.out_gain.len();
            width = r;
            memory = numbers(usize::from(rcsm.config.slots) * r);
            // down; the addresses of token, context and query
            ternary.extend([rcsm.input, rcsm.code, rcsm.code, rcsm.code]);
            for pass in 0..usize::from(passes) {
                let op = |i: usize| rcsm.ops.row_range(i % usize::from(rcsm.config.ops) * r, r);
                // the first pass reads at the query, later ones at the code of what they see and of what is held
                let router = rcsm.pass.row_range(0, rcsm.pass.rows() - rcsm.code.rows());
                ternary.push(if pass == 0 { router } else { rcsm.pass });
                ternary.extend([op(2 * pass), op(2 * pass + 1)]);
                ternary.extend((pass > 0).then_some(rcsm.code));
                float.extend([None, Some(rcsm.mix)]);
            }
            float.extend(core::iter::repeat_n(None, rcsm.config.writes.count()));
            ternary.push(rcsm.output);
        }
        let columns = ternary.iter().map(|m| m.columns).max().unwrap_or(0);
        let rows = ternary.iter().map(TernaryMatrix::rows).max().unwrap_or(0);
        let embedding = model.embedding();
        Self {
            kernels,
            ternary,
            embedding,
            q: (0..MAX_CHUNK * columns).map(|i| (i * 37 % 255) as i8).map(|q| q.max(-127)).collect(),
            x: (0..embedding.columns).map(|i| (i * 7919 % 65535) as i16).collect(),
            floats: numbers(width.max(memory.len() / width.max(1))),
            float,
            memory,
            width,
            y: std::vec![0.0; MAX_CHUNK * rows],
        }
    }

    /// Rows and columns of the distinct ternary matrices, in the order of their first use.
    pub fn shapes(&self) -> Vec<(usize, usize)> {
        let mut shapes = Vec::new();
        for m in &self.ternary {
            if !shapes.contains(&(m.rows(), m.columns)) {
                shapes.push((m.rows(), m.columns));
            }
        }
        shapes
    }

    /// Multiply-adds of a token's ternary products, or of those of one shape.
    pub fn ternary_macs(&self, shape: Option<(usize, usize)>) -> u64 {
        self.chosen(shape).map(|m| (m.rows() * m.columns) as u64).sum()
    }

    /// Multiply-adds of a token's logits.
    pub fn head_macs(&self) -> u64 {
        (self.embedding.scales.len() * self.embedding.columns) as u64
    }

    fn chosen(&self, shape: Option<(usize, usize)>) -> impl Iterator<Item = &TernaryMatrix<'m>> {
        self.ternary.iter().filter(move |m| shape.is_none_or(|shape| shape == (m.rows(), m.columns)))
    }

    /// The ternary products, or those of one shape, of `tokens` tokens together, at most [`MAX_CHUNK`].
    pub fn ternary(&mut self, shape: Option<(usize, usize)>, tokens: usize) {
        let tokens = tokens.min(MAX_CHUNK);
        let (kernels, q, mut y) = (self.kernels, &self.q, core::mem::take(&mut self.y));
        for m in self.chosen(shape) {
            kernels.ternary(*m, &q[..tokens * m.columns], &[1.0; MAX_CHUNK][..tokens], &mut y[..tokens * m.rows()]);
        }
        self.y = y;
    }

    /// One token's float products.
    pub fn float(&mut self) {
        for w in &self.float {
            let w = w.unwrap_or(&self.memory);
            self.kernels.matvec(w, &self.floats[..w.len() / self.width], &mut self.y[..self.width]);
        }
    }

    /// One token's logits.
    pub fn head(&mut self) {
        let rows = self.embedding.scales.len();
        for first in (0..rows).step_by(HEAD_ROWS) {
            let mut y = [0.0; HEAD_ROWS];
            let n = HEAD_ROWS.min(rows - first);
            self.kernels.head(self.embedding, first, &self.x, 1.0, &mut y[..n]);
            core::hint::black_box(&y);
        }
    }
}

fn numbers(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 * 0.01).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SMALL, random_blob};

    #[test]
    fn products_are_those_of_the_configuration() {
        let blob = random_blob(&SMALL, 1);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        let (d, f, layers) = (48, 80, 3);
        let blocks = layers * (3 * d * d + d * d + 2 * f * d + d * f);
        for passes in [1, 8] {
            let mut products = Products::new(&model, Kernels::detect(), passes);
            let (r, later) = (32, usize::from(passes) - 1);
            // down, up, three addresses; router and two operations; in later passes the addresses of two vectors more
            let rcsm = r * d + d * r + 3 * 16 * r + usize::from(passes) * (16 + 2 * r) * r + later * 2 * 16 * r;
            assert_eq!(products.ternary_macs(None), (blocks + rcsm) as u64);
            assert_eq!(products.ternary_macs(Some((3 * d, d))), (layers * 3 * d * d) as u64);
            assert_eq!(products.head_macs(), 304 * 48);
            let of_shapes: u64 = products.shapes().into_iter().map(|s| products.ternary_macs(Some(s))).sum();
            assert_eq!(of_shapes, products.ternary_macs(None));
            products.ternary(None, 16);
            products.float();
            products.head();
        }
    }
}
