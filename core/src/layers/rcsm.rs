//! The reasoning loop (RCSM, DESIGN section 2). Its products over all tokens run together; the passes and the memory
//! are sequential in time by nature.

use super::Resets;
use crate::arena::{MAX_CHUNK, Scratch, padded, rcsm_floats};
use crate::config::Depth;
use crate::kernels::Kernels;
use crate::math;
use crate::model::Rcsm;
use crate::observer::Observer;
use crate::parts::Parts;

/// Adds the loop's output to the residual stream `s.x` (T x D) and advances `memory` (S x R).
pub(crate) fn reason(
    w: &Rcsm<'_>,
    kernels: Kernels,
    tokens: usize,
    resets: Resets,
    depth: Depth,
    memory: &mut [f32],
    s: &mut Scratch<'_>,
    observer: &mut impl Observer,
) {
    let (d, r) = (w.gain.len(), w.out_gain.len());
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && memory.len() == w.slots.len() && w.mix.len() == 2 * r * r);
    debug_assert!(r == usize::from(w.config.width) && [w.input.rows(), w.output.rows()] == [r, d]);
    debug_assert!(w.ops.rows() == usize::from(w.config.ops) * r && w.config.allows(depth));
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let states = s.wide.front_mut(tokens * r);
    let mut scale = [0.0; MAX_CHUNK];
    let scale = scale.front_mut(tokens);

    kernels.prefetch(w.input);
    let q = s.q.front_mut(tokens * d);
    kernels.vectorise(
        #[inline(always)]
        || {
            for (((x, u), q), scale) in x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut()) {
                math::rms_norm(x, w.gain, u);
                *scale = math::quantise_int8(u, q);
            }
        },
    );
    kernels.ternary(w.input, q, scale, states);

    let q = s.q.front_mut(tokens * r);
    let (floats, pass_q) = s.rcsm.cut_mut((rcsm_floats(&w.config) * 4).div_ceil(64));
    let mut work = Work::new(w, bytemuck::must_cast_slice_mut(floats), bytemuck::must_cast_slice_mut(pass_q));
    for (t, ((state, q), scale)) in states.rows_mut(r).zip(q.rows_mut(r)).zip(scale.iter_mut()).enumerate() {
        if resets.at(t) {
            memory.set(w.slots);
        }
        work.passes(w, kernels, depth, memory, state, observer);
        *scale = kernels.vectorise(
            #[inline(always)]
            || math::quantise_int8(state, q),
        );
        if w.config.memory_writes {
            work.write(w, kernels, state, q, *scale, memory, observer);
        }
    }

    kernels.ternary(w.output, q, scale, n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}

/// Working vectors of one token's passes.
struct Work<'a> {
    u: &'a mut [f32],
    q: &'a mut [i8],
    /// [op_out; read], 2R.
    both: &'a mut [f32],
    /// R floats each: the second operation's output, and a product.
    second: &'a mut [f32],
    product: &'a mut [f32],
    /// Logits of [router; read_key; depth], each padded; or [write_key; write_value].
    logits: &'a mut [f32],
    address: &'a mut [f32],
}

impl<'a> Work<'a> {
    fn new(w: &Rcsm<'_>, floats: &'a mut [f32], q: &'a mut [i8]) -> Self {
        let r: usize = w.config.width.into();
        let slots: usize = w.config.slots.into();
        let (u, rest) = floats.cut_mut(r);
        let (both, rest) = rest.cut_mut(2 * r);
        let (second, rest) = rest.cut_mut(r);
        let (product, rest) = rest.cut_mut(r);
        let (address, rest) = rest.cut_mut(padded(slots));
        // w.pass has padded(ops) + padded(slots) + 16 rows, w.write padded(slots) + R
        debug_assert!(rest.len() >= w.pass.rows().max(w.write.rows()));
        Self { u, q: q.front_mut(r), both, second, product, logits: rest, address: address.front_mut(slots) }
    }

    /// Takes `state` (R) through the passes.
    fn passes(
        &mut self,
        w: &Rcsm<'_>,
        kernels: Kernels,
        depth: Depth,
        memory: &[f32],
        state: &mut [f32],
        observer: &mut impl Observer,
    ) {
        let r = state.len();
        let ops: usize = w.config.ops.into();
        let slots = self.address.len();
        let (key_at, depth_at) = (padded(ops), padded(ops) + padded(slots));
        let mut passes = match depth {
            Depth::Fixed(passes) => {
                observer.depth(passes, &[]);
                passes
            }
            // until the first product tells
            Depth::Adaptive => 1,
        };
        let mut index = 0;
        while index < passes {
            let scale = kernels.vectorise(
                #[inline(always)]
                || {
                    math::layer_norm(state, w.pass_gain, w.pass_bias, self.u);
                    math::quantise_int8(self.u, self.q)
                },
            );
            let choosing = depth == Depth::Adaptive && index == 0;
            let rows = if choosing { w.pass.rows() } else { depth_at };
            kernels.ternary(w.pass.row_range(0, rows), self.q, &[scale], self.logits.front_mut(rows));
            if choosing {
                let logits = self.logits.part(depth_at, w.config.depths.len());
                passes = w.config.depths.get(math::argmax(logits)).copied().unwrap_or(1);
                observer.depth(passes, logits);
            }

            let [(first, a), (second, b)] = math::top2(self.logits.front(ops));
            let weights = math::softmax2(a, b);
            let (op_out, read) = self.both.cut_mut(r);
            kernels.ternary(w.ops.row_range(first * r, r), self.q, &[scale], op_out);
            kernels.ternary(w.ops.row_range(second * r, r), self.q, &[scale], self.second);
            math::unit_address(self.logits.part(key_at, slots), self.address);
            kernels.matvec(memory, self.address, read);
            kernels.vectorise(
                #[inline(always)]
                || {
                    for (y, &other) in op_out.iter_mut().zip(self.second.iter()) {
                        *y = weights[0] * *y + weights[1] * other;
                    }
                },
            );
            observer.pass(index, [first as u8, second as u8], weights, self.address);

            kernels.matvec(w.mix, self.both, self.product);
            kernels.vectorise(
                #[inline(always)]
                || {
                    for (sum, &state) in self.product.iter_mut().zip(state.iter()) {
                        *sum += state;
                    }
                    math::layer_norm(self.product, w.out_gain, w.out_bias, state);
                },
            );
            index += 1;
        }
    }

    /// Moves what the memory holds at the token's write address towards its value: the delta rule.
    fn write(
        &mut self,
        w: &Rcsm<'_>,
        kernels: Kernels,
        state: &[f32],
        q: &[i8],
        scale: f32,
        memory: &mut [f32],
        observer: &mut impl Observer,
    ) {
        let slots = self.address.len();
        let rows = self.logits.front_mut(w.write.rows());
        kernels.ternary(w.write, q, &[scale], rows);
        let (key, value) = rows.cut(padded(slots));
        math::unit_address(key.front(slots), self.address);
        let mut sum = [0.0];
        kernels.matvec(w.write_gate, state, &mut sum);
        let gate = math::sigmoid(sum[0] + w.write_gate_bias);
        kernels.matvec(memory, self.address, self.product);
        kernels.vectorise(
            #[inline(always)]
            || {
                for (old, &new) in self.product.iter_mut().zip(value) {
                    *old = new - *old;
                }
                for (slot, &address) in memory.rows_mut(state.len()).zip(self.address.iter()) {
                    let step = gate * address;
                    for (m, &surprise) in slot.iter_mut().zip(self.product.iter()) {
                        *m += step * surprise;
                    }
                }
            },
        );
        observer.write(gate, self.address);
    }
}
