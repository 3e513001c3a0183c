//! The passes forward: each over all rows that take it.

use flashlm_core::math::{dot, rms, sigmoid, softmax2, top2, unit};

use super::memory::read;
use super::spans::Spans;
use super::{ABSENT, PassRecord, Passes, Rcsm, TOKEN, Weights};
use crate::kernels::{Macs, Rounding, rows_times_matrix};
use crate::nn::context::Context;
use crate::nn::profile::Part;
use crate::nn::shape::{row, row_mut};

impl Rcsm {
    /// Takes every row through its passes.
    pub(super) fn take_passes(&mut self, cx: &mut Context<'_>, weights: &Weights, passes: Passes, depths: &[u8]) {
        let [first, .., deepest] = self.config.depths;
        match passes {
            Passes::Fixed(n) => self.row_passes.fill((n as u8).clamp(1, deepest)),
            Passes::Rows => {
                for (own, &told) in self.row_passes.iter_mut().zip(depths) {
                    *own = told.clamp(1, deepest);
                }
            }
            Passes::Blend { .. } => self.row_passes.fill(deepest),
            Passes::Hard => self.row_passes.fill(first),
        }
        self.op_counts.fill(0);
        self.taken = 0;
        for pass in 0..deepest as usize {
            let n = self.begin_pass(pass);
            if n == 0 {
                break;
            }
            self.taken = pass + 1;
            let macs = self.pass(cx, weights, pass, n);
            self.choose_depths(cx.worker.kernels, cx.params, &weights.spans, passes, pass);
            cx.worker.lap_pass(Part::RcsmForward, pass, macs);
        }
    }

    /// Lists the rows of a pass; returns how many there are.
    fn begin_pass(&mut self, pass: usize) -> usize {
        let (before, rest) = self.passes.split_at_mut(pass);
        let p = &mut rest[0];
        p.rows.clear();
        p.parent.clear();
        p.place.fill(ABSENT);
        let mut join = |i: u32, parent: u32| {
            if self.row_passes[i as usize] as usize > pass {
                p.place[i as usize] = p.rows.len() as u32;
                p.rows.push(i);
                p.parent.push(parent);
            }
        };
        match before.last() {
            None => (0..self.shape.rows() as u32).for_each(|i| join(i, i)),
            Some(before) => before.rows.iter().enumerate().for_each(|(parent, &i)| join(i, parent as u32)),
        }
        p.rows.len()
    }

    /// One pass of its `n` rows. Returns the multiplications that were done outside the workspace's products.
    fn pass(&mut self, cx: &mut Context<'_>, weights: &Weights, pass: usize, n: usize) -> Macs {
        let (r, o, s) = self.dims();
        let (kernels, params, spans) = (cx.worker.kernels, cx.params, &weights.spans);
        let ws = &mut cx.worker.workspace;
        let u = &self.vectors[TOKEN];
        let (before, rest) = self.passes.split_at_mut(pass);
        let (p, before) = (&mut rest[0], before.last());
        p.q.begin(n);
        p.q_held.begin(if before.is_some() { n } else { 0 });
        kernels.vectorize(
            #[inline(always)]
            || {
                let sum = &mut cx.scratch.narrow[..r];
                for k in 0..n {
                    let u = row(u, p.rows[k] as usize, r);
                    match before {
                        None => sum.copy_from_slice(u),
                        Some(before) => {
                            let parent = p.parent[k] as usize;
                            for ((sum, &state), &u) in sum.iter_mut().zip(row(&before.r, parent, r)).zip(u) {
                                *sum = state + u;
                            }
                            p.q_held.quantize_row(k, row(&before.held_normed, parent, r));
                        }
                    }
                    let v = row_mut(&mut p.v, k, r);
                    p.v_r[k] = rms(sum, v);
                    p.q.quantize_row(k, v);
                }
            },
        );
        kernels.ternary_forward(&p.q, &weights.router, &mut p.logits[..n * o], ws);
        if before.is_some() {
            kernels.ternary_forward(&p.q, &weights.code, &mut p.own[..n * s], ws);
            kernels.ternary_forward(&p.q_held, &weights.code, &mut p.held_code[..n * s], ws);
        }
        kernels.vectorize(
            #[inline(always)]
            || {
                for k in 0..n {
                    let [(first, a), (second, b)] = top2(row(&p.logits, k, o));
                    p.chosen[k] = [first as u8, second as u8];
                    p.blend[k] = softmax2(a, b);
                }
                if before.is_some() {
                    aim(params, spans, p, n, r, s);
                }
            },
        );
        self.operate(cx.worker, weights, pass, n);
        let memory = &self.memory;
        let writes = self.config.writes.count();
        let (before, rest) = self.passes.split_at_mut(pass);
        let (p, before) = (&mut rest[0], before.last());
        kernels.vectorize(
            #[inline(always)]
            || {
                for k in 0..n {
                    let i = p.rows[k] as usize;
                    let held = row_mut(&mut p.held, k, r);
                    // the sweep has read for the first pass
                    let read_out = row_mut(&mut p.read, k, r);
                    match before {
                        None => held.copy_from_slice(read_out),
                        Some(before) => {
                            match writes {
                                0 => read_out.fill(0.0),
                                _ => read(kernels, row(&p.address, k, s), row(memory, i, s * r), read_out),
                            }
                            let hold = p.hold[k];
                            let earlier = row(&before.held, p.parent[k] as usize, r);
                            for ((held, &earlier), &read) in held.iter_mut().zip(earlier).zip(&*read_out) {
                                *held = (1.0 - hold) * earlier + hold * read;
                            }
                        }
                    }
                    p.held_r[k] = rms(held, row_mut(&mut p.held_normed, k, r));
                    let (a, b) = row(&p.op_out, k, 2 * r).split_at(r);
                    let blend = p.blend[k];
                    for ((v, &a), &b) in row_mut(&mut p.mixed, k, r).iter_mut().zip(a).zip(b) {
                        *v = blend[0] * a + blend[1] * b;
                    }
                }
                let product = &mut p.product[..n * r];
                product.fill(0.0);
                rows_times_matrix(kernels, Rounding::Separate, &p.mixed[..n * r], n, &weights.mix_t, product);
                let scale = params[spans.pass_scale.start + pass];
                for k in 0..n {
                    let step = if before.is_some() { p.hold[k] } else { 1.0 } * scale;
                    let state = row_mut(&mut p.r, k, r);
                    match before {
                        None => state.fill(0.0),
                        Some(before) => state.copy_from_slice(row(&before.r, p.parent[k] as usize, r)),
                    }
                    let sums = row(&p.product, k, r).iter().zip(row(&p.held_normed, k, r));
                    for (state, (&mixed, &held)) in state.iter_mut().zip(sums) {
                        *state += step * (mixed + held);
                    }
                }
            },
        );
        let reads = if before.is_some() && writes > 0 { s } else { 0 };
        Macs { int8: 0, single: (n * r * (r + reads)) as u64, float: 0 }
    }
}

/// Gates and read addresses of a pass after the first: where the pass before read, or where the state points.
#[inline(always)]
fn aim(params: &[f32], spans: &Spans, p: &mut PassRecord, n: usize, r: usize, s: usize) {
    let (hop, hold) = (&params[spans.hop.clone()], &params[spans.hold.clone()]);
    let (hop_bias, hold_bias) = (params[spans.hop_bias], params[spans.hold_bias]);
    for k in 0..n {
        let v = row(&p.v, k, r);
        p.hop[k] = sigmoid(dot(hop, v) + hop_bias);
        p.hold[k] = sigmoid(dot(hold, v) + hold_bias);
        let (held, own) = (row_mut(&mut p.held_code, k, s), row_mut(&mut p.own, k, s));
        p.held_length[k] = unit(held);
        p.own_length[k] = unit(own);
        let (hop, address) = (p.hop[k], row_mut(&mut p.address, k, s));
        for ((address, &held), &own) in address.iter_mut().zip(&*held).zip(&*own) {
            *address = hop * held + (1.0 - hop) * own;
        }
        p.length[k] = unit(address);
    }
}
