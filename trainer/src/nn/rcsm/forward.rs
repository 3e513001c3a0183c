//! The forward loop.

use super::address::{read, write};
use super::{Passes, Rcsm, Weights, gumbel};
use crate::kernels::{Kernels, Rounding, rows_times_matrix};
use crate::nn::params::RcsmSpans;
use crate::nn::profile::{Part, Profile};
use crate::nn::recurrence::Scratch;
use crate::nn::shape::{add, row, row_mut};
use flashlm_core::math::{argmax, exp, layer_norm, rms_norm, sigmoid, softmax2, top2, unit_address};

impl Rcsm {
    /// `y = x + up(r)`, x and y (M, D). `reset[row]` says that the row's token starts from the learned slots.
    pub fn forward(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        x: &[f32],
        y: &mut [f32],
        reset: &[bool],
        passes: Passes,
        memory_writes: bool,
        scratch: &mut Scratch,
    ) {
        let (d, m) = (self.d, self.shape.rows());
        let gain = &params[spans.in_norm.clone()];
        kernels.vectorise(
            #[inline(always)]
            || {
                let normed = &mut scratch.narrow[..d];
                self.q_in.begin(m);
                for i in 0..m {
                    self.in_r[i] = rms_norm(row(x, i, d), gain, normed);
                    self.q_in.quantise_row(i, normed);
                }
            },
        );
        kernels.ternary_forward(&self.q_in, &weights.down, &mut self.first, &mut scratch.workspace);
        scratch.profile.lap_products(Part::RcsmProducts, scratch.workspace.take_macs());
        let depths = self.config.depths;
        self.taken = match passes {
            Passes::Fixed(n) => n.clamp(1, self.passes.len()),
            _ => depths[depths.len() - 1] as usize,
        };
        kernels.vectorise(
            #[inline(always)]
            || {
                let Scratch { narrow, profile, .. } = scratch;
                self.run(kernels, weights, params, spans, reset, passes, memory_writes, narrow, profile)
            },
        );
        scratch.profile.lap_products(Part::RcsmForward, self.forward_macs(passes, memory_writes));
        kernels.ternary_forward(&self.q_state, &weights.up, y, &mut scratch.workspace);
        kernels.vectorise(
            #[inline(always)]
            || add(y, &x[..m * d]),
        );
        scratch.profile.lap_products(Part::RcsmProducts, scratch.workspace.take_macs());
    }

    #[inline(always)]
    fn run(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        reset: &[bool],
        passes: Passes,
        memory_writes: bool,
        scratch: &mut [f32],
        profile: &mut Profile,
    ) {
        let (r, _, s) = self.dims();
        let (b, m) = (self.shape.sequences, self.shape.rows());
        let slots = &params[spans.slots.clone()];
        let cells = s * r;
        self.memory[..b * cells].copy_from_slice(&self.memory_carry);
        self.q_state.begin(m);
        for record in &mut self.passes[..self.taken] {
            record.q.begin(m);
        }
        self.op_counts.fill(0);
        for t in 0..self.shape.tokens {
            for i in t * b..(t + 1) * b {
                // without writes the memory is the slots themselves, also in mid-story
                if reset[i] || (t == 0 && !memory_writes) {
                    row_mut(&mut self.memory, i, cells).copy_from_slice(slots);
                }
            }
            profile.lap(Part::RcsmForward);
            for pass in 0..self.taken {
                self.pass(kernels, weights, params, spans, t, pass, scratch);
                profile.lap_pass(Part::RcsmForward, pass);
            }
            for i in t * b..(t + 1) * b {
                self.choose_depth(kernels, weights, passes, i);
                let state = row(&self.state, i, r);
                self.q_state.quantise_row(i, state);
                let (before, after) = self.memory.split_at_mut((t + 1) * b * cells);
                let before = row(before, i, cells);
                let after = row_mut(after, i - t * b, cells);
                if !memory_writes {
                    after.copy_from_slice(before);
                    continue;
                }
                let out = row_mut(&mut self.write_out, i, s + r);
                weights.write.forward(kernels, self.q_state.q(i), self.q_state.scale(i), out);
                let (key, value) = out.split_at(s);
                let at = row_mut(&mut self.write_address, i, s);
                self.write_length[i] = unit_address(key, at);
                let weights = state.iter().zip(&params[spans.write_gate.clone()]);
                let gate = weights.fold(0.0, |sum, (&v, &w)| sum + w * v) + params[spans.write_gate_bias];
                let gate = sigmoid(gate);
                self.write_gate[i] = gate;
                write(gate, at, value, before, row_mut(&mut self.surprise, i, r), after);
            }
        }
        self.memory_carry.copy_from_slice(&self.memory[m * cells..]);
    }

    /// One pass of the rows of token `t`.
    #[inline(always)]
    fn pass(
        &mut self,
        kernels: Kernels,
        weights: &Weights,
        params: &[f32],
        spans: &RcsmSpans,
        t: usize,
        pass: usize,
        scratch: &mut [f32],
    ) {
        let (r, o, s) = self.dims();
        let b = self.shape.sequences;
        let cells = s * r;
        let (before, rest) = self.passes.split_at_mut(pass);
        let p = &mut rest[0];
        let input = before.last().map_or(&self.first, |p| &p.r);
        let (gain, bias) = (&params[spans.pass_gain.clone()], &params[spans.pass_bias.clone()]);
        let u = &mut scratch[..r];
        for i in t * b..(t + 1) * b {
            p.norm[i] = layer_norm(row(input, i, r), gain, bias, u);
            p.q.quantise_row(i, u);
            let (q, scale) = (p.q.q(i), p.q.scale(i));
            let keys = row_mut(&mut p.keys, i, o + s);
            weights.route_read.forward(kernels, q, scale, keys);
            let (logits, key) = keys.split_at(o);

            let [(first, a), (second, b)] = top2(logits);
            let (chosen, blend) = ([first, second], softmax2(a, b));
            let outputs = row_mut(&mut p.op_out, i, 2 * r);
            let (mixed, read_out) = row_mut(&mut p.mix_in, i, 2 * r).split_at_mut(r);
            for (&op, y) in chosen.iter().zip(outputs.chunks_exact_mut(r)) {
                weights.ops[op].forward(kernels, q, scale, y);
                self.op_counts[op] += 1;
            }
            let (y0, y1) = outputs.split_at(r);
            for ((v, &y0), &y1) in mixed.iter_mut().zip(y0).zip(y1) {
                *v = blend[0] * y0 + blend[1] * y1;
            }
            p.chosen[i] = chosen.map(|op| op as u8);
            p.blend[i] = blend;

            let at = row_mut(&mut p.address, i, s);
            p.length[i] = unit_address(key, at);
            read(at, row(&self.memory, i, cells), read_out);
        }
        let rows = t * b * r..(t + 1) * b * r;
        let sum = &mut p.sum[rows.clone()];
        sum.fill(0.0);
        rows_times_matrix(kernels, Rounding::Separate, &p.mix_in[2 * rows.start..2 * rows.end], b, &weights.mix_t, sum);
        add(sum, &input[rows]);
        let (gain, bias) = (&params[spans.out_gain.clone()], &params[spans.out_bias.clone()]);
        for i in t * b..(t + 1) * b {
            p.out_norm[i] = layer_norm(row(&p.sum, i, r), gain, bias, row_mut(&mut p.r, i, r));
        }
    }

    /// Sets the final state of row `i` from the states at the depths.
    #[inline(always)]
    fn choose_depth(&mut self, kernels: Kernels, weights: &Weights, passes: Passes, i: usize) {
        let (r, ..) = self.dims();
        let depths = self.config.depths;
        let state = row_mut(&mut self.state, i, r);
        if let Passes::Fixed(_) = passes {
            state.copy_from_slice(row(&self.passes[self.taken - 1].r, i, r));
            self.row_passes[i] = self.taken as u8;
            return;
        }
        // the first pass normalised the same state, so its quantised input serves the depth controller
        let first = &self.passes[0].q;
        let logits = row_mut(&mut self.depth_logits, i, depths.len());
        weights.depth.forward(kernels, first.q(i), first.scale(i), logits);
        let hard = argmax(logits);
        self.row_passes[i] = depths[hard];
        let w = row_mut(&mut self.depth_weights, i, depths.len());
        match passes {
            Passes::Blend { tau, noise_seed } => {
                w.fill(0.0);
                if let Some(seed) = noise_seed {
                    gumbel(seed, i, w);
                }
                let mut largest = f32::MIN;
                for (w, l) in w.iter_mut().zip(logits) {
                    *w = (*l + *w) / tau;
                    largest = largest.max(*w);
                }
                let mut total = 0.0;
                for w in w.iter_mut() {
                    *w = exp(*w - largest);
                    total += *w;
                }
                state.fill(0.0);
                for (w, &depth) in w.iter_mut().zip(&depths) {
                    *w /= total;
                    let at = row(&self.passes[depth as usize - 1].r, i, r);
                    for (v, &a) in state.iter_mut().zip(at) {
                        *v += *w * a;
                    }
                }
            }
            _ => state.copy_from_slice(row(&self.passes[depths[hard] as usize - 1].r, i, r)),
        }
    }
}
