//! The passes backward, the last first, each over all rows that took it.

use flashlm_core::config::TOP_K_OPS;
use flashlm_core::math::{dot, exp};

use super::memory::read_address_backward;
use super::spans::Spans;
use super::{Losses, Passes, Rcsm, Weights, rms_backward, unit_backward};
use crate::kernels::{Kernels, Macs, Write};
use crate::nn::context::Context;
use crate::nn::norm::rms_norm_backward;
use crate::nn::profile::Part;
use crate::nn::shape::{add, add_scaled, row, row_mut};

impl Rcsm {
    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`. What
    /// `losses` says of passes must be what the forward was given.
    pub fn backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
        losses: Losses,
    ) {
        let (d, m) = (self.d, self.shape.rows());
        let (r, ..) = self.dims();
        let (kernels, params, spans) = (cx.worker.kernels, cx.params, &weights.spans);
        let ws = &mut cx.worker.workspace;
        // of the scaled and normalised state, then of the state
        let dnormed = &mut cx.scratch.all[..m * r];
        kernels.backward_input(dx, m, &weights.up, dnormed, Write::Set, ws);
        kernels.backward_weight(dx, &self.q_state, d, &mut grads[spans.up.clone()], ws);
        cx.worker.lap_products(Part::RcsmProducts);
        let gain = &params[spans.out_gain.clone()];
        let dgain = &mut grads[spans.out_gain.clone()];
        let g = &mut self.gradients;
        kernels.vectorize(
            #[inline(always)]
            || {
                g.dstate.fill(0.0);
                for i in 0..m {
                    let (state, dnormed) = (row(&self.state, i, r), row(dnormed, i, r));
                    rms_norm_backward(state, gain, self.state_r[i], dnormed, row_mut(&mut g.dstate, i, r), dgain);
                }
            },
        );
        // a row's gradient is first read at its own last pass
        match losses.passes {
            Passes::Blend { .. } => g.dr.fill(0.0),
            _ => g.dr.copy_from_slice(&g.dstate),
        }
        for part in [&mut g.dheld, &mut g.dheld_normed, &mut g.weights].into_iter().chain(&mut g.dvectors) {
            part.fill(0.0);
        }
        cx.worker.lap(Part::RcsmBackward);
        let total: usize = self.passes[..self.taken].iter().map(|p| p.rows.len()).sum();
        for pass in (0..self.taken).rev() {
            if let Passes::Blend { tau, .. } = losses.passes {
                kernels.vectorize(
                    #[inline(always)]
                    || self.blend_backward(params, spans, grads, tau, pass),
                );
            }
            self.pass_backward(cx, weights, grads, pass, total, losses.balance);
            cx.worker.lap_pass(Part::RcsmBackward, pass, Macs::default());
        }
        add(&mut grads[spans.hop.clone()], &self.gradients.weights[..r]);
        add(&mut grads[spans.hold.clone()], &self.gradients.weights[r..2 * r]);
        self.sweep_backward(cx, spans, grads);
        cx.worker.lap(Part::RcsmBackward);
        self.input_backward(cx, weights, x, dx, grads);
    }

    /// One pass: from `dr`, `dheld` and `dheld_normed` after it to those before it, of its rows.
    fn pass_backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        grads: &mut [f32],
        pass: usize,
        total: usize,
        balance: f32,
    ) {
        let (kernels, params, spans) = (cx.worker.kernels, cx.params, &weights.spans);
        let (r, o, s) = self.dims();
        let n = self.passes[pass].rows.len();
        grads[spans.pass_scale.start + pass] += kernels.vectorize(
            #[inline(always)]
            || self.update_backward(pass, params[spans.pass_scale.start + pass]),
        );
        let ws = &mut cx.worker.workspace;
        let (p, g) = (&self.passes[pass], &mut self.gradients);
        let (dproduct, dmixed) = (&g.dproduct[..n * r], &mut g.dmixed[..n * r]);
        kernels.matmul_nn(dproduct, n, &weights.mix, dmixed, Write::Set, ws);
        kernels.matmul_tn(dproduct, &p.mixed[..n * r], n, r, r, &mut grads[spans.mix.clone()], ws);
        self.operate_backward(cx.worker, weights, pass, n, grads);
        self.route_backward(kernels, pass, total, balance, &mut cx.scratch.narrow);

        let ws = &mut cx.worker.workspace;
        let (p, g) = (&self.passes[pass], &mut self.gradients);
        let (dlogits, dv) = (&g.dlogits[..n * o], &mut g.dv[..n * r]);
        kernels.backward_input(dlogits, n, &weights.router, dv, Write::Add, ws);
        kernels.backward_weight(dlogits, &p.q, o, &mut grads[spans.router.clone()], ws);
        if pass > 0 {
            let (down, dheld_code) = (&g.down[..n * s], &g.dheld_code[..n * s]);
            kernels.backward_input(down, n, &weights.code, dv, Write::Add, ws);
            let dcode = &mut grads[spans.code.clone()];
            kernels.backward_weight(down, &p.q, s, dcode, ws);
            kernels.backward_weight(dheld_code, &p.q_held, s, dcode, ws);
            // the blended operations' gradient is done with
            kernels.backward_input(dheld_code, n, &weights.code, &mut g.dmixed[..n * r], Write::Set, ws);
        }
        let biases = kernels.vectorize(
            #[inline(always)]
            || self.input_of_pass_backward(pass, params, spans),
        );
        grads[spans.hop_bias] += biases[0];
        grads[spans.hold_bias] += biases[1];
    }

    /// `r += hold scale (product + held_normed)`, the read and its address: sets `dproduct`, `dread`, the codes' and
    /// the gates' gradients; turns `dheld` back to before the pass. Returns the gradient of the pass's scale.
    #[inline(always)]
    fn update_backward(&mut self, pass: usize, scale: f32) -> f32 {
        let (r, _, s) = self.dims();
        let writes = self.config.writes.count();
        let (before, rest) = self.passes.split_at_mut(pass);
        let (p, before) = (&mut rest[0], before.last());
        let g = &mut self.gradients;
        let mut dscale = 0.0;
        for (k, &i) in p.rows.iter().enumerate() {
            let i = i as usize;
            let hold = if before.is_some() { p.hold[k] } else { 1.0 };
            let dr = row(&g.dr, i, r);
            let held_normed = row(&p.held_normed, k, r);
            let along = dot(dr, row(&p.product, k, r)) + dot(dr, held_normed);
            dscale += hold * along;
            let step = hold * scale;
            let dheld_normed = row_mut(&mut g.dheld_normed, i, r);
            for ((dp, dn), &d) in row_mut(&mut g.dproduct, k, r).iter_mut().zip(&mut *dheld_normed).zip(dr) {
                *dp = step * d;
                *dn += step * d;
            }
            let dheld = row_mut(&mut g.dheld, i, r);
            rms_backward(held_normed, p.held_r[k], dheld_normed, dheld);
            // what the pass before adds comes from its own step, and from this pass's address below
            dheld_normed.fill(0.0);
            let dread = row_mut(&mut p.dread, k, r);
            let Some(before) = before else {
                dread.copy_from_slice(dheld);
                continue;
            };
            let mut dhold = scale * along;
            dhold += dot(dheld, row(&p.read, k, r)) - dot(dheld, row(&before.held, p.parent[k] as usize, r));
            for (dread, dheld) in dread.iter_mut().zip(dheld) {
                *dread = hold * *dheld;
                *dheld *= 1.0 - hold;
            }
            let (down, dheld_code) = (row_mut(&mut g.down, k, s), row_mut(&mut g.dheld_code, k, s));
            if writes == 0 {
                down.fill(0.0);
                dheld_code.fill(0.0);
                g.dgates[k] = [0.0, dhold * hold * (1.0 - hold)];
                continue;
            }
            read_address_backward(row(&self.memory, i, s * r), dread, dheld_code);
            unit_backward(row(&p.address, k, s), p.length[k], dheld_code);
            let (held_code, own, hop) = (row(&p.held_code, k, s), row(&p.own, k, s), p.hop[k]);
            let dhop = dot(dheld_code, held_code) - dot(dheld_code, own);
            for (down, dheld_code) in down.iter_mut().zip(dheld_code.iter_mut()) {
                *down = (1.0 - hop) * *dheld_code;
                *dheld_code *= hop;
            }
            unit_backward(own, p.own_length[k], down);
            unit_backward(held_code, p.held_length[k], dheld_code);
            g.dgates[k] = [dhop * hop * (1.0 - hop), dhold * hold * (1.0 - hold)];
        }
        dscale
    }

    /// Sets `dlogits` (N, O) from the gradient of the blended operations and the load-balance loss.
    fn route_backward(&mut self, kernels: Kernels, pass: usize, total: usize, balance: f32, scratch: &mut [f32]) {
        let (r, o, _) = self.dims();
        let (p, g) = (&self.passes[pass], &mut self.gradients);
        let share = &mut scratch[..o];
        // per row: how far an operation's share of the routes is from even, scaled for the gradient
        let rows = total as f32;
        for (f, &n) in share.iter_mut().zip(&self.op_counts) {
            *f = balance * o as f32 / rows * (n as f32 / (TOP_K_OPS as f32 * rows));
        }
        kernels.vectorize(
            #[inline(always)]
            || {
                for k in 0..p.rows.len() {
                    let (a, b) = row(&p.op_out, k, 2 * r).split_at(r);
                    let dmixed = row(&g.dmixed, k, r);
                    let (chosen, blend) = (p.chosen[k].map(usize::from), p.blend[k]);
                    let dlogit = (dot(dmixed, a) - dot(dmixed, b)) * blend[0] * blend[1];
                    let dlogits = row_mut(&mut g.dlogits, k, o);
                    dlogits.fill(0.0);
                    if balance != 0.0 {
                        balance_backward(row(&p.logits, k, o), share, dlogits);
                    }
                    dlogits[chosen[0]] += dlogit;
                    dlogits[chosen[1]] -= dlogit;
                }
            },
        );
    }

    /// The gates and `v = rms(r + u)`: from `dv` to `dr` and to the gradient of u; `dmixed` holds that of what the pass
    /// before held, normalised. Returns the gradients of the gates' biases.
    #[inline(always)]
    fn input_of_pass_backward(&mut self, pass: usize, params: &[f32], spans: &Spans) -> [f32; 2] {
        let r = self.config.width as usize;
        let (p, g) = (&self.passes[pass], &mut self.gradients);
        let (hop, hold) = (&params[spans.hop.clone()], &params[spans.hold.clone()]);
        let mut biases = [0.0; 2];
        for (k, &i) in p.rows.iter().enumerate() {
            let (i, dv) = (i as usize, row_mut(&mut g.dv, k, r));
            if pass > 0 {
                let [dhop, dhold] = g.dgates[k];
                let v = row(&p.v, k, r);
                add_scaled(dv, dhop, hop);
                add_scaled(dv, dhold, hold);
                let (dweight_hop, rest) = g.weights.split_at_mut(r);
                add_scaled(dweight_hop, dhop, v);
                add_scaled(&mut rest[..r], dhold, v);
                biases[0] += dhop;
                biases[1] += dhold;
                add(row_mut(&mut g.dheld_normed, i, r), row(&g.dmixed, k, r));
            }
            // of the sum r + u: of both
            let dsum = row_mut(&mut g.dproduct, k, r);
            dsum.fill(0.0);
            rms_backward(row(&p.v, k, r), p.v_r[k], dv, dsum);
            add(row_mut(&mut g.dvectors[super::TOKEN], i, r), dsum);
            add(row_mut(&mut g.dr, i, r), dsum);
        }
        biases
    }
}

/// Adds to `dlogits` (O) the gradient of sum_i share_i p_i, p the softmax of `logits`.
#[inline(always)]
fn balance_backward(logits: &[f32], share: &[f32], dlogits: &mut [f32]) {
    let largest = logits.iter().fold(f32::MIN, |m, &v| m.max(v));
    let (mut total, mut mean) = (0.0, 0.0);
    for (&l, &f) in logits.iter().zip(share) {
        let e = exp(l - largest);
        total += e;
        mean += e * f;
    }
    mean /= total;
    for ((d, &l), &f) in dlogits.iter_mut().zip(logits).zip(share) {
        *d += exp(l - largest) / total * (f - mean);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn balance_gradient_matches_finite_differences() {
        let share = [0.5, 0.1, 0.3, 0.1];
        let logits = [0.3f32, -1.0, 0.7, 0.0];
        let loss = |l: &[f32]| {
            let total: f32 = l.iter().map(|v| v.exp()).sum();
            l.iter().zip(&share).map(|(v, s)| v.exp() / total * s).sum::<f32>()
        };
        let mut got = [0.0; 4];
        balance_backward(&logits, &share, &mut got);
        for i in 0..4 {
            let at = |step: f32| {
                let mut l = logits;
                l[i] += step;
                loss(&l)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope - got[i]).abs() < 1e-4, "{slope} {}", got[i]);
        }
    }
}
