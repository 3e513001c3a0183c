//! The backward loop, token by token in reverse, and the weight gradients gathered outside it.

use super::address::{address_backward, read_backward, write_backward};
use super::{GATHER, Passes, Rcsm, Weights};
use crate::kernels::{Kernels, Rounding, Workspace, Write, rows_times_matrix};
use crate::nn::norm::{dot, layer_norm_backward, rms_norm_backward};
use crate::nn::params::RcsmSpans;
use crate::nn::profile::{Part, Profile};
use crate::nn::recurrence::Scratch;
use crate::nn::shape::{add, add_scaled, row, row_mut};
use flashlm_core::config::TOP_K_OPS;
use flashlm_core::math::exp;

/// What the backward pass needs to know of the loss beside `dx`.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    pub passes: Passes,
    pub memory_writes: bool,
    /// Weight of the load-balance loss, O sum_i f_i P_i over this micro-batch (Fedus et al., 2022), already divided by
    /// the micro-batches of the step.
    pub balance: f32,
    /// Loss per pass and token, already divided by the tokens of the step.
    pub pass_cost: f32,
}

impl Rcsm {
    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`. What the
    /// flags say must be what the forward was given.
    pub fn backward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
        reset: &[bool],
        losses: Losses,
        scratch: &mut Scratch,
    ) {
        let (d, m) = (self.d, self.shape.rows());
        let (r, o, s) = self.dims();
        let ws = &mut scratch.workspace;
        kernels.backward_input(dx, m, &weights.up, &mut self.dstate, Write::Set, ws);
        kernels.backward_weight(dx, &self.q_state, d, &mut grads[spans.up.clone()], ws);
        scratch.profile.lap_products(Part::RcsmProducts, ws.take_macs());
        let Scratch { narrow, profile, workspace: ws, .. } = scratch;
        kernels.vectorise(
            #[inline(always)]
            || self.run_backward(kernels, weights, params, spans, grads, reset, losses, narrow, profile),
        );
        profile.lap_products(Part::RcsmBackward, self.backward_macs(losses.passes, losses.memory_writes));
        for p in &self.passes[..self.taken] {
            kernels.matmul_tn(&p.dsum, &p.mix_in, m, r, 2 * r, &mut grads[spans.mix.clone()], ws);
            kernels.backward_weight(&p.dkeys, &p.q, o + s, &mut grads[spans.route_read.clone()], ws);
        }
        if matches!(losses.passes, Passes::Blend { .. }) {
            let depths = self.config.depths.len();
            kernels.backward_weight(&self.ddepth, &self.passes[0].q, depths, &mut grads[spans.depth.clone()], ws);
        }
        if losses.memory_writes {
            kernels.backward_weight(&self.dwrite_out, &self.q_state, s + r, &mut grads[spans.write.clone()], ws);
        }
        self.operation_gradients(kernels, &mut grads[spans.ops.clone()], ws);

        kernels.backward_weight(&self.dfirst, &self.q_in, r, &mut grads[spans.down.clone()], ws);
        let dnormed = &mut scratch.all[..m * d];
        kernels.backward_input(&self.dfirst, m, &weights.down, dnormed, Write::Set, ws);
        let gain = &params[spans.in_norm.clone()];
        let dgain = &mut grads[spans.in_norm.clone()];
        kernels.vectorise(
            #[inline(always)]
            || {
                for i in 0..m {
                    rms_norm_backward(row(x, i, d), gain, self.in_r[i], row(dnormed, i, d), row_mut(dx, i, d), dgain);
                }
            },
        );
        profile.lap_products(Part::RcsmProducts, ws.take_macs());
    }

    #[inline(always)]
    fn run_backward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        grads: &mut [f32],
        reset: &[bool],
        losses: Losses,
        scratch: &mut [f32],
        profile: &mut Profile,
    ) {
        let (r, o, s) = self.dims();
        let b = self.shape.sequences;
        let cells = s * r;
        let depths = self.config.depths;
        let (dr, rest) = scratch.split_at_mut(b * r);
        let (work, rest) = rest.split_at_mut(2 * r + s);
        let (share, _) = rest.split_at_mut(o);
        // per choice: how far an operation's share of the routes is from even, scaled for the gradient
        let chosen = (self.taken * self.shape.rows()) as f32;
        for (f, &n) in share.iter_mut().zip(&self.op_counts) {
            *f = losses.balance * o as f32 / chosen * (n as f32 / (TOP_K_OPS as f32 * chosen));
        }
        self.dmemory.fill(0.0);
        for t in (0..self.shape.tokens).rev() {
            for i in t * b..(t + 1) * b {
                if losses.memory_writes {
                    self.write_backward(kernels, weights, params, spans, grads, t, i, work);
                }
                if let Passes::Blend { tau, .. } = losses.passes {
                    let dstate = row(&self.dstate, i, r);
                    let w = row(&self.depth_weights, i, depths.len());
                    let dlogits = row_mut(&mut self.ddepth, i, depths.len());
                    let mut mean = 0.0;
                    for ((dl, &w), &depth) in dlogits.iter_mut().zip(w).zip(&depths) {
                        let at = row(&self.passes[depth as usize - 1].r, i, r);
                        *dl = dot(dstate, at) + losses.pass_cost * depth as f32;
                        mean += w * *dl;
                    }
                    for (dl, &w) in dlogits.iter_mut().zip(w) {
                        *dl = w * (*dl - mean) / tau;
                    }
                }
            }
            dr.fill(0.0);
            profile.lap(Part::RcsmBackward);
            for pass in (0..self.taken).rev() {
                for (k, i) in (t * b..(t + 1) * b).enumerate() {
                    let (dr, dstate) = (row_mut(dr, k, r), row(&self.dstate, i, r));
                    match losses.passes {
                        Passes::Blend { .. } => {
                            for (j, _) in depths.iter().enumerate().filter(|(_, d)| **d as usize == pass + 1) {
                                add_scaled(dr, self.depth_weights[i * depths.len() + j], dstate);
                            }
                        }
                        _ if pass + 1 == self.taken => add(dr, dstate),
                        _ => {}
                    }
                }
                self.pass_backward(kernels, weights, params, spans, grads, t, pass, losses, share, dr, work);
                profile.lap_pass(Part::RcsmBackward, pass);
            }
            self.dfirst[t * b * r..(t + 1) * b * r].copy_from_slice(dr);
            for i in t * b..(t + 1) * b {
                if reset[i] || (t == 0 && !losses.memory_writes) {
                    let dmemory = row_mut(&mut self.dmemory, i - t * b, cells);
                    add(&mut grads[spans.slots.clone()], dmemory);
                    dmemory.fill(0.0);
                }
            }
        }
    }

    /// The memory write of row `i`: adds to its `dstate`, and turns `dmemory` back over the write.
    #[inline(always)]
    fn write_backward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        grads: &mut [f32],
        t: usize,
        i: usize,
        work: &mut [f32],
    ) {
        let (r, _, s) = self.dims();
        let cells = s * r;
        let gate = self.write_gate[i];
        let at = row(&self.write_address, i, s);
        let (daddress, dvalue) = work[..s + r].split_at_mut(s);
        let dgate = write_backward(
            gate,
            at,
            row(&self.memory, i, cells),
            row(&self.surprise, i, r),
            row_mut(&mut self.dmemory, i - t * self.shape.sequences, cells),
            daddress,
            dvalue,
        );
        address_backward(&row(&self.write_out, i, s + r)[..s], at, self.write_length[i], daddress);
        let dout = row_mut(&mut self.dwrite_out, i, s + r);
        dout.copy_from_slice(&work[..s + r]);
        let dstate = row_mut(&mut self.dstate, i, r);
        weights.write.backward(kernels, dout, dstate);
        let dgate = dgate * gate * (1.0 - gate);
        add_scaled(dstate, dgate, &params[spans.write_gate.clone()]);
        add_scaled(&mut grads[spans.write_gate.clone()], dgate, row(&self.state, i, r));
        grads[spans.write_gate_bias] += dgate;
    }

    /// One pass of the rows of token `t`: turns `dr` (B, R) from the state after the pass to the state before it.
    #[inline(always)]
    fn pass_backward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        grads: &mut [f32],
        t: usize,
        pass: usize,
        losses: Losses,
        share: &[f32],
        dr: &mut [f32],
        work: &mut [f32],
    ) {
        let (r, o, s) = self.dims();
        let b = self.shape.sequences;
        let cells = s * r;
        let (before, rest) = self.passes.split_at_mut(pass);
        let p = &mut rest[0];
        let input = before.last().map_or(&self.first, |p| &p.r);
        let rows = t * b * r..(t + 1) * b * r;
        let [dgain, dbias] = two(grads, spans.out_gain.clone(), spans.out_bias.clone());
        let gain = &params[spans.out_gain.clone()];
        let dsum = &mut p.dsum[rows.clone()];
        dsum.fill(0.0);
        for (k, i) in (t * b..(t + 1) * b).enumerate() {
            let dsum = row_mut(dsum, k, r);
            layer_norm_backward(row(&p.sum, i, r), p.out_norm[i], gain, row(dr, k, r), dsum, dgain, dbias);
        }
        let dmix_in = &mut p.dmix_in[2 * rows.start..2 * rows.end];
        dmix_in.fill(0.0);
        rows_times_matrix(kernels, Rounding::Fused, dsum, b, &params[spans.mix.clone()], dmix_in);

        let [dgain, dbias] = two(grads, spans.pass_gain.clone(), spans.pass_bias.clone());
        let gain = &params[spans.pass_gain.clone()];
        let (du, dop) = work[..2 * r].split_at_mut(r);
        for (k, i) in (t * b..(t + 1) * b).enumerate() {
            let (dmixed, dread) = row(dmix_in, k, 2 * r).split_at(r);
            let keys = row(&p.keys, i, o + s);
            let (dlogits, dkey) = row_mut(&mut p.dkeys, i, o + s).split_at_mut(o);
            let at = row(&p.address, i, s);
            read_backward(at, row(&self.memory, i, cells), dread, row_mut(&mut self.dmemory, k, cells), dkey);
            address_backward(&keys[o..], at, p.length[i], dkey);

            let (chosen, blend) = (p.chosen[i].map(usize::from), p.blend[i]);
            let outputs = row(&p.op_out, i, 2 * r);
            let dblend = dot(dmixed, &outputs[..r]) - dot(dmixed, &outputs[r..]);
            let dlogit = dblend * blend[0] * blend[1];
            dlogits.fill(0.0);
            if losses.balance != 0.0 {
                balance_backward(&keys[..o], share, dlogits);
            }
            dlogits[chosen[0]] += dlogit;
            dlogits[chosen[1]] -= dlogit;

            du.fill(0.0);
            for (&op, &w) in chosen.iter().zip(&blend) {
                for (d, &v) in dop.iter_mut().zip(dmixed) {
                    *d = w * v;
                }
                weights.ops[op].backward(kernels, dop, du);
            }
            weights.route_read.backward(kernels, row(&p.dkeys, i, o + s), du);
            if pass == 0 && matches!(losses.passes, Passes::Blend { .. }) {
                weights.depth.backward(kernels, row(&self.ddepth, i, self.config.depths.len()), du);
            }
            let dr = row_mut(dr, k, r);
            dr.copy_from_slice(row(dsum, k, r));
            layer_norm_backward(row(input, i, r), p.norm[i], gain, du, dr, dgain, dbias);
        }
    }

    /// Adds to `dops` (O, R, R) the gradient of every operation: its rows of all passes gathered, one product each.
    fn operation_gradients(&mut self, kernels: Kernels, dops: &mut [f32], ws: &mut Workspace) {
        let (r, o, _) = self.dims();
        let m = self.shape.rows();
        // a counting sort of every (pass, row, choice) by operation
        let mut starts = [0usize; 256];
        let mut total = 0;
        for (start, &n) in starts.iter_mut().zip(&self.op_counts) {
            *start = total;
            total += n as usize;
        }
        let mut next = starts;
        for (pass, p) in self.passes[..self.taken].iter().enumerate() {
            for (i, chosen) in p.chosen.iter().enumerate() {
                for (j, &op) in chosen.iter().enumerate() {
                    let at = &mut next[op as usize];
                    self.order[*at] = ((pass * m + i) * TOP_K_OPS + j) as u32;
                    *at += 1;
                }
            }
        }
        for op in 0..o {
            let dw = &mut dops[op * r * r..(op + 1) * r * r];
            for block in self.order[starts[op]..next[op]].chunks(GATHER) {
                let gathered = &mut self.gathered;
                gathered.begin(block.len());
                let (passes, dgathered) = (&self.passes, &mut self.dgathered);
                kernels.vectorise(
                    #[inline(always)]
                    || {
                        for (to, &at) in block.iter().enumerate() {
                            let (pass, i, j) = {
                                let at = at as usize;
                                (at / TOP_K_OPS / m, at / TOP_K_OPS % m, at % TOP_K_OPS)
                            };
                            let p = &passes[pass];
                            gathered.copy_row(to, &p.q, i);
                            let dmixed = &row(&p.dmix_in, i, 2 * r)[..r];
                            for (d, &v) in row_mut(dgathered, to, r).iter_mut().zip(dmixed) {
                                *d = p.blend[i][j] * v;
                            }
                        }
                    },
                );
                kernels.backward_weight(&self.dgathered[..block.len() * r], &self.gathered, r, dw, ws);
            }
        }
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

/// Two disjoint ranges of the gradients at once.
#[inline(always)]
fn two(grads: &mut [f32], a: std::ops::Range<usize>, b: std::ops::Range<usize>) -> [&mut [f32]; 2] {
    match grads.get_disjoint_mut([a, b]) {
        Ok(slices) => slices,
        Err(e) => unreachable!("tensors of one layout overlap: {e}"),
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
