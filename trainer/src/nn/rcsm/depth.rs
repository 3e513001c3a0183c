//! How deep: the choice to go on at inference, the blend of depths, and what the choice is trained towards.

use flashlm_core::math::{dot, exp, rms, sigmoid};

use super::spans::Spans;
use super::{Passes, Rcsm};
use crate::kernels::Kernels;
use crate::nn::params::Rng;
use crate::nn::shape::{add_scaled, row, row_mut};

/// Adds to `gradient` ([weights (2, R); biases (2)]) that of the mean binary cross-entropy of the choice: `x` (R) is
/// rms(r) after the `choice`th depth, `pays` 0 or 1 whether going deeper pays, `weight` 1 / terms. Returns the weighted
/// loss in nats.
pub fn depth_gradient(params: &[f32], choice: usize, x: &[f32], pays: f32, weight: f32, gradient: &mut [f32]) -> f64 {
    let r = x.len();
    let logit = dot(row(params, choice, r), x) + params[2 * r + choice];
    let d = weight * (sigmoid(logit) - pays);
    add_scaled(row_mut(gradient, choice, r), d, x);
    gradient[2 * r + choice] += d;
    // softplus without overflow
    let logit = f64::from(logit);
    f64::from(weight) * (logit.max(0.0) - logit * f64::from(pays) + (-logit.abs()).exp().ln_1p())
}

impl Rcsm {
    /// After pass `pass`, where that is a depth: the logits for going deeper, and at inference who goes on.
    pub(super) fn choose_depths(
        &mut self,
        kernels: Kernels,
        params: &[f32],
        spans: &Spans,
        passes: Passes,
        pass: usize,
    ) {
        let depths = self.config.depths;
        let chooses = matches!(passes, Passes::Hard | Passes::Blend { .. });
        let Some(choice) = depths[..2].iter().position(|&d| d as usize == pass + 1).filter(|_| chooses) else { return };
        let r = self.config.width as usize;
        let weights = row(&params[spans.deeper.clone()], choice, r);
        let bias = params[spans.deeper_biases.start + choice];
        let p = &self.passes[pass];
        let normed = &mut self.gradients.dv[..r];
        kernels.vectorize(
            #[inline(always)]
            || {
                for (k, &i) in p.rows.iter().enumerate() {
                    rms(row(&p.r, k, r), normed);
                    let logit = dot(weights, normed) + bias;
                    self.deeper[i as usize][choice] = logit;
                    if passes == Passes::Hard && logit > 0.0 {
                        self.row_passes[i as usize] = depths[choice + 1];
                    }
                }
            },
        );
    }

    /// The state that each row outputs: that after its last pass, or the blend.
    pub(super) fn choose_states(&mut self, kernels: Kernels, passes: Passes) {
        let r = self.config.width as usize;
        let Passes::Blend { tau, noise_seed } = passes else {
            for (i, state) in self.state.chunks_exact_mut(r).enumerate() {
                state.copy_from_slice(self.passes[self.row_passes[i] as usize - 1].state(i));
            }
            return;
        };
        let depths = self.config.depths;
        kernels.vectorize(
            #[inline(always)]
            || {
                for i in 0..self.shape.rows() {
                    let chances = stop_chances(self.deeper[i]);
                    let w = &mut self.depth_weights[i];
                    *w = [0.0; 3];
                    if let Some(seed) = noise_seed {
                        gumbel(seed, i, w);
                    }
                    for (w, chance) in w.iter_mut().zip(chances) {
                        *w = (chance + *w) / tau;
                    }
                    let most = w[0].max(w[1]).max(w[2]);
                    w.iter_mut().for_each(|w| *w = exp(*w - most));
                    let total: f32 = w.iter().sum();
                    w.iter_mut().for_each(|w| *w /= total);
                    let state = row_mut(&mut self.state, i, r);
                    state.fill(0.0);
                    for (&w, &depth) in w.iter().zip(&depths) {
                        add_scaled(state, w, self.passes[depth as usize - 1].state(i));
                    }
                    // what a hard choice would take
                    let [first, second] = self.deeper[i].map(|logit| logit > 0.0);
                    self.row_passes[i] = if !first {
                        depths[0]
                    } else if !second {
                        depths[1]
                    } else {
                        depths[2]
                    };
                }
            },
        );
    }

    /// Of the blend: adds to the gradient of the state after pass `pass` of every row, where that is a depth, its share
    /// of the output's and, by the choice made on it, the choice's. Passes come in reverse.
    #[inline(always)]
    pub(super) fn blend_backward(&mut self, params: &[f32], spans: &Spans, grads: &mut [f32], tau: f32, pass: usize) {
        let r = self.config.width as usize;
        let depths = self.config.depths;
        let Some(depth) = depths.iter().position(|&d| d as usize == pass + 1) else { return };
        let g = &mut self.gradients;
        let Ok([dweights, dbiases]) = grads.get_disjoint_mut([spans.deeper.clone(), spans.deeper_biases.clone()])
        else {
            unreachable!("tensors of one layout overlap")
        };
        let (normed, dnormed) = g.dv[..2 * r].split_at_mut(r);
        for i in 0..self.shape.rows() {
            let (dstate, dr) = (row(&g.dstate, i, r), row_mut(&mut g.dr, i, r));
            let w = self.depth_weights[i];
            add_scaled(dr, w[depth], dstate);
            if depth == 2 {
                continue;
            }
            // of the log-chances, then of this choice's logit: ln sigmoid(-l) where it stops, ln sigmoid(l) beyond
            let along = depths.map(|d| dot(dstate, self.passes[d as usize - 1].state(i)));
            let mean: f32 = w.iter().zip(&along).map(|(w, a)| w * a).sum();
            let chance = sigmoid(self.deeper[i][depth]);
            let mut dlogit = 0.0;
            for j in depth..3 {
                let d = w[j] * (along[j] - mean) / tau;
                dlogit += d * if j == depth { -chance } else { 1.0 - chance };
            }
            let state = self.passes[pass].state(i);
            let reciprocal = rms(state, normed);
            add_scaled(row_mut(dweights, depth, r), dlogit, normed);
            dbiases[depth] += dlogit;
            dnormed.fill(0.0);
            add_scaled(dnormed, dlogit, row(&params[spans.deeper.clone()], depth, r));
            super::rms_backward(normed, reciprocal, dnormed, dr);
        }
    }
}

/// Logarithms of the chances to stop at each depth.
#[inline(always)]
fn stop_chances([first, second]: [f32; 2]) -> [f32; 3] {
    let (on, stop) = (log_sigmoid(first), log_sigmoid(-first));
    [stop, on + log_sigmoid(-second), on + log_sigmoid(second)]
}

/// ln(1 / (1 + e^-x)).
#[inline(always)]
fn log_sigmoid(x: f32) -> f32 {
    x.min(0.0) - (1.0 + exp(-x.abs())).ln()
}

/// Gumbel noise for the depths of one row: a function of seed and row alone.
fn gumbel(seed: u64, row: usize, noise: &mut [f32]) {
    let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ row as u64);
    for n in noise {
        *n = -(-rng.uniform().ln()).ln();
    }
}
