//! The products of a step by themselves: what a benchmark compares a whole step with.

use crate::arena::MAX_CHUNK;
use crate::kernels::Kernels;
use crate::model::{Embedding, Model, TernaryMatrix};
use std::vec::Vec;

/// Rows of the head computed at a time, as a session does.
const HEAD_ROWS: usize = 128;

/// Runs over a model's own weights, in a step's order, with made-up activations.
#[derive(Clone, Debug)]
pub struct Products<'m> {
    kernels: Kernels,
    /// Every ternary product of a token, in order.
    ternary: Vec<TernaryMatrix<'m>>,
    /// Float products of a token with weights, the memory's reads left out: matrix and number of outputs.
    float: Vec<(&'m [f32], usize)>,
    embedding: Embedding<'m>,
    q: Vec<i8>,
    x: Vec<i16>,
    floats: Vec<f32>,
    y: Vec<f32>,
}

impl<'m> Products<'m> {
    /// The products of a step whose reasoning loop takes `passes` passes; a model without the loop has none of its.
    pub fn new(model: &Model<'m>, kernels: Kernels, passes: u8) -> Self {
        let (mut ternary, mut float) = (Vec::new(), Vec::new());
        for i in 0..model.config().layers.into() {
            ternary.extend(model.block_matrices(i));
        }
        if let Some(rcsm) = model.rcsm() {
            let (r, router_rows) = (rcsm.out_gain.len(), rcsm.pass.rows() - rcsm.code.rows());
            // of the token, its context and its query
            ternary.extend([rcsm.input, rcsm.code, rcsm.code, rcsm.code]);
            for pass in 0..usize::from(passes) {
                // the first reads at the query; later ones at the code of the state and of what was read
                match pass {
                    0 => ternary.push(rcsm.pass.row_range(0, router_rows)),
                    _ => ternary.extend([rcsm.pass, rcsm.code]),
                }
                let op = |i: usize| rcsm.ops.row_range(i % usize::from(rcsm.config.ops) * r, r);
                ternary.extend([op(2 * pass), op(2 * pass + 1)]);
                float.push((rcsm.mix, r));
            }
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
            floats: float.iter().flat_map(|(w, n)| (0..w.len() / n).map(|i| i as f32 * 0.01)).collect(),
            float,
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
        let mut inputs = &self.floats[..];
        for (w, n) in &self.float {
            let (x, rest) = inputs.split_at(w.len() / n);
            self.kernels.matvec(w, x, &mut self.y[..*n]);
            inputs = rest;
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
            let r = 32;
            // router and two operations, behind the first pass two codes; down, up, three codes
            let rcsm = usize::from(passes) * (16 + 2 * r) * r + usize::from(passes - 1) * 32 * r + 2 * r * d + 48 * r;
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
