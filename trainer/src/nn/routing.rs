//! Mixture of depths (Raposo et al., 2024): the block's change reaches only the tokens its router picks,
//! `y = x + sigmoid(logit) * (block(x) - x)` for these and `y = x` for the others, logit = router . x.

use std::ops::Range;

use flashlm_core::config::MixtureOfDepths;
use flashlm_core::math::{dot, sigmoid};

use super::context::Context;
use super::params::Layout;
use super::shape::{Shape, add_scaled, row, row_mut};
use crate::kernels::{Kernels, zeros};

/// Weight of the routers' loss, as in the reference.
pub const ROUTING_LOSS: f32 = 0.01;

/// Who picks the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Training: those of the largest logits, a share of each sequence's chunk.
    TopShare,
    /// Inference, causal: those of a positive logit. The loss teaches the logit to predict the training's pick.
    PositiveLogit,
}

/// One block's router in one replica.
pub struct Router {
    span: Range<usize>,
    mixture: MixtureOfDepths,
    d: usize,
    shape: Shape,
    /// (M), and their sigmoids where picked, else 0.
    logits: Vec<f32>,
    gates: Vec<f32>,
    /// Tokens of one sequence, the picked first.
    order: Vec<u32>,
    /// Mean binary cross-entropy of the last forward's logits against its pick, nats.
    loss: f64,
}

impl Router {
    pub fn new(layout: &Layout, layer: usize, mixture: MixtureOfDepths, d: usize, shape: Shape) -> Self {
        Self {
            span: layout.one(layer, "router"),
            mixture,
            d,
            shape,
            logits: zeros(shape.rows()),
            gates: zeros(shape.rows()),
            order: (0..shape.tokens as u32).collect(),
            loss: 0.0,
        }
    }

    /// Mean binary cross-entropy of the last forward's logits against its pick, nats.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// Turns `y`, the block's output for every token (M, D), into what the routed block gives for `x` (M, D).
    pub fn forward(&mut self, kernels: Kernels, params: &[f32], routing: Routing, x: &[f32], y: &mut [f32]) {
        let (d, m) = (self.d, self.shape.rows());
        let router = &params[self.span.clone()];
        let logits = &mut self.logits;
        kernels.vectorize(
            #[inline(always)]
            || {
                for (i, logit) in logits.iter_mut().enumerate() {
                    *logit = dot(row(x, i, d), router);
                }
            },
        );
        self.gates.fill(0.0);
        match routing {
            Routing::PositiveLogit => {
                for (gate, &logit) in self.gates.iter_mut().zip(&self.logits) {
                    *gate = if logit > 0.0 { sigmoid(logit) } else { 0.0 };
                }
            }
            Routing::TopShare => {
                for sequence in 0..self.shape.sequences {
                    self.pick_top(sequence);
                }
            }
        }
        self.loss = 0.0;
        for (&logit, &gate) in self.logits.iter().zip(&self.gates) {
            let (size, pick) = (f64::from(logit.abs()), if gate > 0.0 { 1.0 } else { 0.0 });
            self.loss += f64::from(logit).max(0.0) - f64::from(logit) * pick + (-size).exp().ln_1p();
        }
        self.loss /= m as f64;
        let gates = &self.gates;
        kernels.vectorize(
            #[inline(always)]
            || {
                for (i, &gate) in gates.iter().enumerate() {
                    let (x, y) = (row(x, i, d), row_mut(y, i, d));
                    if gate > 0.0 {
                        for (y, &x) in y.iter_mut().zip(x) {
                            *y = x + gate * (*y - x);
                        }
                    } else {
                        y.copy_from_slice(x);
                    }
                }
            },
        );
    }

    /// Opens the gates of one sequence's largest logits, the earlier token first among equals.
    fn pick_top(&mut self, sequence: usize) {
        let (b, logits) = (self.shape.sequences, &self.logits);
        let at = |t: u32| t as usize * b + sequence;
        let picked = self.mixture.picked(self.shape.tokens);
        let by_logit = |&i: &u32, &j: &u32| logits[at(j)].total_cmp(&logits[at(i)]).then(i.cmp(&j));
        self.order.select_nth_unstable_by(picked - 1, by_logit);
        for &t in &self.order[..picked] {
            // a picked token's gate is never quite zero
            self.gates[at(t)] = sigmoid(logits[at(t)]).max(f32::MIN_POSITIVE);
        }
    }

    /// Keeps `dy`, the gradient of the routed output (M, D), in `kept`, and turns it into that of the block's own.
    pub fn enter_block(&self, kernels: Kernels, dy: &mut [f32], kept: &mut [f32]) {
        kept.copy_from_slice(dy);
        kernels.vectorize(
            #[inline(always)]
            || {
                for (dy, &gate) in dy.chunks_exact_mut(self.d).zip(&self.gates) {
                    dy.iter_mut().for_each(|d| *d *= gate);
                }
            },
        );
    }

    /// Completes `dx`, the gradient that came through the block (M, D), by what passed it by and by what moves the
    /// router; adds to `grads`. `y` is the routed output, `per_token` 1 / tokens of the optimiser step.
    pub fn leave_block(
        &self,
        cx: &Context<'_>,
        per_token: f32,
        (x, y): (&[f32], &[f32]),
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let d = self.d;
        let (router, drouter) = (&cx.params[self.span.clone()], &mut grads[self.span.clone()]);
        let kept = &cx.scratch.kept;
        cx.worker.kernels.vectorize(
            #[inline(always)]
            || {
                for (i, (&gate, &logit)) in self.gates.iter().zip(&self.logits).enumerate() {
                    let (x, y, dy, dx) = (row(x, i, d), row(y, i, d), row(kept, i, d), row_mut(dx, i, d));
                    let pick = if gate > 0.0 { 1.0 } else { 0.0 };
                    // y - x holds the gate, whose slope is gate (1 - gate)
                    let through = (dot(dy, y) - dot(dy, x)) * (1.0 - gate) * pick;
                    let dlogit = through + ROUTING_LOSS * per_token * (sigmoid(logit) - pick);
                    add_scaled(dx, 1.0 - gate, dy);
                    add_scaled(dx, dlogit, router);
                    add_scaled(drouter, dlogit, x);
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::ModelConfig;

    use super::*;
    use crate::kernels::{Isa, Precision};
    use crate::nn::params::{Params, Rng};

    #[test]
    fn training_picks_the_share_and_inference_the_positive() {
        let shape = Shape { sequences: 2, tokens: 10 };
        let config = ModelConfig { d_model: 16, layers: 3, ..ModelConfig::NOVA_IGNITION };
        let params = Params::init(&config, 1);
        let mixture = config.mixture_of_depths.expect("routed");
        let mut router = Router::new(&params.layout, 2, mixture, 16, shape);
        let mut rng = Rng::new(3);
        let x: Vec<f32> = (0..shape.rows() * 16).map(|_| rng.normal()).collect();
        let kernels = Kernels::new(Isa::Portable, Precision::F32).expect("portable");
        let body: Vec<f32> = x.iter().map(|v| v + 1.0).collect();
        for routing in [Routing::TopShare, Routing::PositiveLogit] {
            let mut y = body.clone();
            router.forward(kernels, &params.data, routing, &x, &mut y);
            for b in 0..2 {
                let rows: Vec<usize> = (0..10).map(|t| t * 2 + b).collect();
                let passed = |i: usize| y[i * 16..][..16] == x[i * 16..][..16];
                let picked: Vec<f32> = rows.iter().filter(|&&i| !passed(i)).map(|&i| router.logits[i]).collect();
                let left: Vec<f32> = rows.iter().filter(|&&i| passed(i)).map(|&i| router.logits[i]).collect();
                match routing {
                    Routing::TopShare => {
                        assert_eq!(picked.len(), 7);
                        assert!(picked.iter().all(|p| left.iter().all(|l| p >= l)));
                    }
                    Routing::PositiveLogit => {
                        assert!(picked.iter().all(|&p| p > 0.0) && left.iter().all(|&l| l <= 0.0));
                    }
                }
            }
        }
    }
}
