//! A block: a mixer, a channel mixer and, where tokens are routed around it, a router. What each is, the configuration says.

use super::attention::Attention;
use super::glu::{self, Glu};
use super::head::LossScale;
use super::parallel::ParallelRecurrence;
use super::params::Layout;
use super::recurrence::{self, GatedRecurrence, Scratch};
use super::relu2::{Relu2, TokenShift};
use super::routing::{Router, Routing};
use super::shape::Shape;
use crate::kernels::{Kernels, TernaryMatrix};
use flashlm_core::blob::Role;
use flashlm_core::config::{self, ChannelMixer, ModelConfig};
use std::ops::Range;

/// The packed ternary weights of one layer: what reads its input, stacked, and what writes its output.
pub struct Projections {
    pub input: TernaryMatrix,
    pub output: TernaryMatrix,
    input_span: Range<usize>,
    output_span: Range<usize>,
}

impl Projections {
    /// Of what lies below each other in two sections of a block, (N, D) and (D, K).
    fn new(kernels: Kernels, layout: &Layout, layer: usize, d: usize, [input, output]: [Role; 2]) -> Self {
        let (input_span, output_span) = (layout.stacked(layer, input), layout.stacked(layer, output));
        Self {
            input: TernaryMatrix::new(kernels, input_span.len() / d, d),
            output: TernaryMatrix::new(kernels, d, output_span.len() / d),
            input_span,
            output_span,
        }
    }

    fn pack(&mut self, params: &[f32]) {
        self.input.pack(&params[self.input_span.clone()]);
        self.output.pack(&params[self.output_span.clone()]);
    }
}

/// The packed weights of one block.
pub struct Weights {
    mixer: Projections,
    ffn: Projections,
}

impl Weights {
    pub fn new(kernels: Kernels, config: &ModelConfig, layout: &Layout, layer: usize) -> Self {
        let of = |roles| Projections::new(kernels, layout, layer, config.d_model.into(), roles);
        Self { mixer: of([Role::MixerIn, Role::MixerOut]), ffn: of([Role::FfnIn, Role::FfnOut]) }
    }

    /// Quantises the latent weights.
    pub fn pack(&mut self, params: &[f32]) {
        self.mixer.pack(params);
        self.ffn.pack(params);
    }
}

enum Mixer {
    Gated(GatedRecurrence),
    Parallel(ParallelRecurrence),
    Attention(Attention),
}

enum Ffn {
    Glu(Glu),
    Relu2(Relu2),
}

/// What one block of one replica keeps between forward and backward, and between chunks.
pub struct Block {
    mixer: Mixer,
    ffn: Ffn,
    router: Option<Router>,
}

impl Block {
    pub fn new(kernels: Kernels, config: &ModelConfig, layout: &Layout, layer: usize, shape: Shape) -> Self {
        let (d, f) = (config.d_model as usize, config.d_ffn as usize);
        let relu2 = |shift| Ffn::Relu2(Relu2::new(kernels, layout, layer, shift, (d, f), shape));
        Self {
            mixer: match config.mixer {
                config::Mixer::GatedRecurrence => {
                    Mixer::Gated(GatedRecurrence::new(kernels, recurrence::Spans::new(layout, layer), d, shape))
                }
                config::Mixer::ParallelRecurrence(heads) => {
                    let floor = config.forget_floor(layer);
                    Mixer::Parallel(ParallelRecurrence::new(kernels, layout, layer, floor, heads, d, shape))
                }
                config::Mixer::Attention(attention) => {
                    Mixer::Attention(Attention::new(kernels, layout, layer, attention, d, shape))
                }
            },
            ffn: match config.ffn {
                ChannelMixer::Glu => Ffn::Glu(Glu::new(kernels, glu::Spans::new(layout, layer), d, f, shape)),
                ChannelMixer::Relu2 => relu2(TokenShift::No),
                ChannelMixer::ShiftedRelu2 => relu2(TokenShift::Yes),
            },
            router: config
                .mixture_of_depths
                .filter(|_| config.routed(layer))
                .map(|mixture| Router::new(layout, layer, mixture, d, shape)),
        }
    }

    /// Numbers of a row of the widest products' gradients that layers of this configuration work in.
    pub fn widest(config: &ModelConfig) -> usize {
        let (w, f) = (config.inner(), config.d_ffn as usize);
        let mixer = match config.mixer {
            config::Mixer::Attention(attention) => (2 * attention.map.softmaxes() + 1) * w,
            _ => 3 * w,
        };
        mixer.max(3 * f)
    }

    /// Calls `f` with each piece of what every sequence carries into the next chunk.
    pub fn carried(&self, mut f: impl FnMut(&[f32])) {
        match &self.mixer {
            Mixer::Gated(layer) => layer.carried().into_iter().for_each(&mut f),
            Mixer::Parallel(layer) => layer.carried().into_iter().for_each(&mut f),
            Mixer::Attention(layer) => layer.carried().for_each(&mut f),
        }
        if let Ffn::Relu2(layer) = &self.ffn {
            f(layer.carried());
        }
    }

    /// The same pieces, to be restored.
    pub fn carried_mut(&mut self, mut f: impl FnMut(&mut [f32])) {
        match &mut self.mixer {
            Mixer::Gated(layer) => layer.carried_mut().into_iter().for_each(&mut f),
            Mixer::Parallel(layer) => layer.carried_mut().into_iter().for_each(&mut f),
            Mixer::Attention(layer) => layer.carried_mut().for_each(&mut f),
        }
        if let Ffn::Relu2(layer) = &mut self.ffn {
            f(layer.carried_mut());
        }
    }

    /// The router's loss of the last forward, nats; 0 without a router.
    pub fn routing_loss(&self) -> f64 {
        self.router.as_ref().map_or(0.0, Router::loss)
    }

    /// Takes the residual stream from the first of the three `points` to the last, (M, D) each.
    pub fn forward(
        &mut self,
        k: Kernels,
        weights: &Weights,
        params: &[f32],
        routing: Routing,
        points: [&mut [f32]; 3],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let [x, middle, y] = points;
        match &mut self.mixer {
            Mixer::Gated(layer) => layer.forward(k, &weights.mixer, params, x, middle, reset, scratch),
            Mixer::Parallel(layer) => layer.forward(k, &weights.mixer, params, x, middle, reset, scratch),
            Mixer::Attention(layer) => layer.forward(k, &weights.mixer, params, x, middle, reset, scratch),
        }
        match &mut self.ffn {
            Ffn::Glu(layer) => layer.forward(k, &weights.ffn, params, middle, y, scratch),
            Ffn::Relu2(layer) => layer.forward(k, &weights.ffn, params, middle, y, reset, scratch),
        }
        if let Some(router) = &mut self.router {
            router.forward(k, params, routing, x, y);
        }
    }

    /// Turns `dx`, the gradient with respect to the last of the `points` (M, D), into that with respect to the first,
    /// and adds to `grads`.
    pub fn backward(
        &mut self,
        k: Kernels,
        weights: &Weights,
        params: &[f32],
        scale: LossScale,
        [x, middle, y]: [&[f32]; 3],
        dx: &mut [f32],
        grads: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        if let Some(router) = &self.router {
            router.enter_block(k, dx, &mut scratch.kept);
        }
        match &mut self.ffn {
            Ffn::Glu(layer) => layer.backward(k, &weights.ffn, params, middle, dx, grads, scratch),
            Ffn::Relu2(layer) => layer.backward(k, &weights.ffn, params, middle, dx, grads, reset, scratch),
        }
        match &mut self.mixer {
            Mixer::Gated(layer) => layer.backward(k, &weights.mixer, params, x, dx, grads, reset, scratch),
            Mixer::Parallel(layer) => layer.backward(k, &weights.mixer, params, x, dx, grads, reset, scratch),
            Mixer::Attention(layer) => layer.backward(k, &weights.mixer, params, x, dx, grads, reset, scratch),
        }
        if let Some(router) = &self.router {
            router.leave_block(k, params, scale.per_token, (x, y, &scratch.kept), dx, grads);
        }
    }
}
