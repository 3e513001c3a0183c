//! A block: a mixer, a channel mixer and, where tokens are routed around it, a router. What each is, the configuration
//! says.

use flashlm_core::blob::Role;
use flashlm_core::config::{self, ChannelMixer, ModelConfig};

use super::attention::Attention;
use super::context::{Context, Need};
use super::gated::GatedRecurrence;
use super::glu::Glu;
use super::parallel::ParallelRecurrence;
use super::params::Layout;
use super::projections::Projections;
use super::relu2::{Relu2, TokenShift};
use super::routing::{Router, Routing};
use super::shape::Shape;
use crate::kernels::Kernels;

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
                config::Mixer::GatedRecurrence => Mixer::Gated(GatedRecurrence::new(kernels, layout, layer, d, shape)),
                config::Mixer::ParallelRecurrence(heads) => {
                    let floor = config.forget_floor(layer);
                    Mixer::Parallel(ParallelRecurrence::new(kernels, layout, layer, floor, heads, d, shape))
                }
                config::Mixer::Attention(attention) => {
                    Mixer::Attention(Attention::new(kernels, layout, layer, attention, d, shape))
                }
            },
            ffn: match config.ffn {
                ChannelMixer::Glu => Ffn::Glu(Glu::new(kernels, layout, layer, (d, f), shape)),
                ChannelMixer::Relu2 => relu2(TokenShift::No),
                ChannelMixer::ShiftedRelu2 => relu2(TokenShift::Yes),
            },
            router: config
                .mixture_of_depths
                .filter(|_| config.routed(layer))
                .map(|mixture| Router::new(layout, layer, mixture, d, shape)),
        }
    }

    /// For a model of this configuration.
    pub fn need(config: &ModelConfig) -> Need {
        let (d, f) = (config.d_model as usize, config.d_ffn as usize);
        let mixer = match config.mixer {
            config::Mixer::GatedRecurrence => GatedRecurrence::need(d),
            config::Mixer::ParallelRecurrence(heads) => ParallelRecurrence::need(d, heads.inner()),
            config::Mixer::Attention(attention) => Attention::need(attention, d),
        };
        mixer.max(match config.ffn {
            ChannelMixer::Glu => Glu::need(d, f),
            ChannelMixer::Relu2 | ChannelMixer::ShiftedRelu2 => Relu2::need(d, f),
        })
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
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Weights, routing: Routing, points: [&mut [f32]; 3]) {
        let [x, middle, y] = points;
        match &mut self.mixer {
            Mixer::Gated(layer) => layer.forward(cx, &weights.mixer, x, middle),
            Mixer::Parallel(layer) => layer.forward(cx, &weights.mixer, x, middle),
            Mixer::Attention(layer) => layer.forward(cx, &weights.mixer, x, middle),
        }
        match &mut self.ffn {
            Ffn::Glu(layer) => layer.forward(cx, &weights.ffn, middle, y),
            Ffn::Relu2(layer) => layer.forward(cx, &weights.ffn, middle, y),
        }
        if let Some(router) = &mut self.router {
            router.forward(cx.worker.kernels, cx.params, routing, x, y);
        }
    }

    /// Turns `dx`, the gradient with respect to the last of the `points` (M, D), into that with respect to the first,
    /// and adds to `grads`. `per_token` is 1 / tokens of the optimiser step.
    pub fn backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        per_token: f32,
        [x, middle, y]: [&[f32]; 3],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        if let Some(router) = &self.router {
            router.enter_block(cx.worker.kernels, dx, &mut cx.scratch.kept);
        }
        match &mut self.ffn {
            Ffn::Glu(layer) => layer.backward(cx, &weights.ffn, middle, dx, grads),
            Ffn::Relu2(layer) => layer.backward(cx, &weights.ffn, middle, dx, grads),
        }
        match &mut self.mixer {
            Mixer::Gated(layer) => layer.backward(cx, &weights.mixer, x, dx, grads),
            Mixer::Parallel(layer) => layer.backward(cx, &weights.mixer, x, dx, grads),
            Mixer::Attention(layer) => layer.backward(cx, &weights.mixer, x, dx, grads),
        }
        if let Some(router) = &self.router {
            router.leave_block(cx, per_token, (x, y), dx, grads);
        }
    }
}
