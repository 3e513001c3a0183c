//! The packed ternary weights of a layer.

use std::ops::Range;

use flashlm_core::blob::Role;

use super::params::Layout;
use crate::kernels::{Kernels, TernaryMatrix};

/// What reads a layer's input, stacked, and what writes its output.
pub struct Projections {
    pub input: TernaryMatrix,
    pub output: TernaryMatrix,
    input_span: Range<usize>,
    output_span: Range<usize>,
}

impl Projections {
    /// Of what lies below each other in two sections of a block, (N, D) and (D, K).
    pub fn new(kernels: Kernels, layout: &Layout, layer: usize, d: usize, [input, output]: [Role; 2]) -> Self {
        let (input_span, output_span) = (layout.stacked(layer, input), layout.stacked(layer, output));
        Self {
            input: TernaryMatrix::new(kernels, input_span.len() / d, d),
            output: TernaryMatrix::new(kernels, d, output_span.len() / d),
            input_span,
            output_span,
        }
    }

    /// Quantises the latent weights.
    pub fn pack(&mut self, params: &[f32]) {
        self.input.pack(&params[self.input_span.clone()]);
        self.output.pack(&params[self.output_span.clone()]);
    }
}
