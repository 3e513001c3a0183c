//! The reasoning loop (RCSM, [DESIGN section 2](crate::design::models)). What does not depend on the memory runs for
//! all tokens together; reads and writes are sequential in time by nature.

use super::Chunk;
use crate::config::{Depth, RcsmConfig, Writes};
use crate::kernels::Kernels;
use crate::math;
use crate::memory::MAX_CHUNK;
use crate::observer::{MemoryWrite, Observer, Pass};
use crate::parts::{Parts, take};
use crate::schema::padded;
use crate::streams::Streams;
use crate::views::Rcsm;

/// Floats of the memory, S x R.
pub(crate) const fn memory_floats(r: &RcsmConfig) -> usize {
    r.slots as usize * r.width as usize
}

/// Floats of what it keeps of the tokens before: u of each, and their trace, (taps + 1) x R.
pub(crate) const fn past_floats(r: &RcsmConfig) -> usize {
    (r.taps as usize + 1) * r.width as usize
}

/// Floats one token's passes work in: the state, what the pass sees of it, what was read and that normalised, two
/// operations' outputs and a product, R each; an address, the code of what was read, and the rows of [router; code].
pub(crate) const fn pass_floats(r: &RcsmConfig) -> usize {
    7 * r.width as usize + 3 * padded(r.slots as usize) + padded(r.ops as usize)
}

/// Floats that every token of a chunk keeps while the engine runs: u and context, R each, and three addresses.
pub(crate) const fn token_floats(r: &RcsmConfig) -> usize {
    2 * r.width as usize + 3 * padded(r.slots as usize)
}

/// Adds the loop's output to the residual stream and advances memory and past. `depths`: every token's.
pub(crate) fn reason(
    w: &Rcsm<'_>,
    chunk: &mut Chunk<'_>,
    depths: &[Depth; MAX_CHUNK],
    streams: &mut Streams<'_>,
    observer: &mut impl Observer,
) {
    let Chunk { kernels, tokens, resets, s, .. } = chunk;
    let (kernels, tokens) = (*kernels, *tokens);
    let (d, r, slots) = (w.gain.len(), w.out_gain.len(), usize::from(w.config.slots));
    debug_assert!((1..=MAX_CHUNK).contains(&tokens) && w.mix.len() == r * r);
    debug_assert!(depths.front(tokens).iter().all(|&depth| w.config.allows(depth)));
    debug_assert!(r == usize::from(w.config.width) && [w.input.rows(), w.output.rows()] == [r, d]);
    debug_assert!(w.ops.rows() == usize::from(w.config.ops) * r && w.code.rows() == padded(slots));
    let (x, n) = (s.x.front_mut(tokens * d), s.n.front_mut(tokens * d));
    let mut wide = s.wide.front_mut(tokens * token_floats(&w.config));
    let (u, context) = (take(&mut wide, tokens * r), take(&mut wide, tokens * r));
    let codes = tokens * padded(slots);
    let (of_u, of_context, of_query) = (take(&mut wide, codes), take(&mut wide, codes), wide);
    let mut scales = [[0.0; MAX_CHUNK]; 3];
    let (floats, pass_q) = s.rcsm.cut_mut((pass_floats(&w.config) * 4).div_ceil(64));
    let floats: &mut [f32] = bytemuck::must_cast_slice_mut(floats);

    kernels.prefetch(w.input);
    let [scale, ..] = &mut scales;
    let scale = scale.front_mut(tokens);
    let q = s.q.front_mut(tokens * d);
    kernels.vectorize(
        #[inline(always)]
        || {
            for (((x, u), q), scale) in x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scale.iter_mut()) {
                math::rms_norm(x, w.gain, u);
                *scale = math::quantize_int8(u, q);
            }
        },
    );
    kernels.ternary(w.input, q, scale, u);

    let mut region = streams.past();
    let mut q = s.q.front_mut(3 * tokens * r);
    let (q_u, q_context, q_query) = (take(&mut q, tokens * r), take(&mut q, tokens * r), q);
    kernels.vectorize(
        #[inline(always)]
        || {
            let (query, normed) = floats.front_mut(2 * r).cut_mut(r);
            let rows = u.rows_mut(r).zip(context.rows_mut(r));
            let quantized = q_u.rows_mut(r).zip(q_context.rows_mut(r)).zip(q_query.rows_mut(r));
            for (t, ((u, context), ((q_u, q_context), q_query))) in rows.zip(quantized).enumerate() {
                let past = region.values(t).front_mut(w.context_taps.len());
                if resets.at(t) {
                    past.fill(0.0);
                }
                blend(w.context_taps, past, normed);
                math::rms(normed, context);
                math::rms(u, normed);
                u.set(normed);
                let salience = math::sigmoid(math::dot(w.salience, u) + w.salience_bias);
                remember(past, u, salience);
                blend(w.query_taps, past, query);
                math::rms(query, normed);
                let [a, b, c] = &mut scales;
                for (scale, x, q) in [(a, &*u, q_u), (b, &*context, q_context), (c, &*normed, q_query)] {
                    if let Some(scale) = scale.get_mut(t) {
                        *scale = math::quantize_int8(x, q);
                    }
                }
            }
        },
    );
    for (q, scale, codes) in [
        (&*q_u, &scales[0], &mut *of_u),
        (&*q_context, &scales[1], &mut *of_context),
        (&*q_query, &scales[2], &mut *of_query),
    ] {
        kernels.ternary(w.code, q, scale.front(tokens), codes);
        kernels.vectorize(
            #[inline(always)]
            || {
                for code in codes.rows_mut(padded(slots)) {
                    math::unit(code.front_mut(slots));
                }
            },
        );
    }

    let mut work = Work::new(w, kernels, floats, bytemuck::must_cast_slice_mut(pass_q));
    let addresses = of_u.rows(padded(slots)).zip(of_context.rows(padded(slots))).zip(of_query.rows(padded(slots)));
    let rows = u.rows_mut(r).zip(context.rows(r)).zip(q_u.rows_mut(r)).zip(scales[0].iter_mut());
    let mut region = streams.memory();
    for (t, (((((u, context), q), scale), ((of_u, of_context), of_query)), &depth)) in
        rows.zip(addresses).zip(depths).enumerate()
    {
        let memory = region.values(t).front_mut(slots * r);
        if resets.at(t) {
            memory.fill(0.0);
        }
        work.passes(depth, memory, u, of_query.front(slots), observer);
        let (of_u, of_context) = (of_u.front(slots), of_context.front(slots));
        work.write([u, context], [of_u, of_context], memory, observer);
        *scale = kernels.vectorize(
            #[inline(always)]
            || {
                math::rms_norm(work.state, w.out_gain, u);
                math::quantize_int8(u, q)
            },
        );
    }

    kernels.ternary(w.output, q_u, scales[0].front(tokens), n);
    for (x, &y) in x.iter_mut().zip(n.iter()) {
        *x += y;
    }
}

/// `out = sum_j taps_j past_j`, channel by channel.
#[inline(always)]
fn blend(taps: &[f32], past: &[f32], out: &mut [f32]) {
    let r = out.len();
    out.fill(0.0);
    for (tap, past) in taps.rows(r).zip(past.rows(r)) {
        for ((out, &w), &u) in out.iter_mut().zip(tap).zip(past) {
            *out += w * u;
        }
    }
}

/// Puts `salience` u before the tokens in `past`, whose farthest goes, and blends it into the trace behind them.
#[inline(always)]
fn remember(past: &mut [f32], u: &[f32], salience: f32) {
    let r = u.len();
    let (window, trace) = past.cut_mut(past.len().saturating_sub(r));
    let kept = window.len().saturating_sub(r);
    window.copy_within(..kept, r.min(window.len()));
    for ((now, trace), &u) in window.front_mut(r).iter_mut().zip(trace).zip(u) {
        *now = salience * u;
        *trace = *now + (1.0 - salience) * *trace;
    }
}

/// One token's passes: the engine's parameters, and working vectors.
struct Work<'a, 'w> {
    w: &'w Rcsm<'w>,
    kernels: Kernels,
    /// r, R.
    state: &'a mut [f32],
    /// rms(r + u), R, and quantised.
    v: &'a mut [f32],
    q: &'a mut [i8],
    /// What is held of the reads, R, and normalised.
    held: &'a mut [f32],
    held_normed: &'a mut [f32],
    /// The operations' outputs, and a product, R each.
    first: &'a mut [f32],
    second: &'a mut [f32],
    product: &'a mut [f32],
    /// S, padded.
    address: &'a mut [f32],
    held_code: &'a mut [f32],
    /// Logits of [router; code], each padded.
    logits: &'a mut [f32],
}

impl<'a, 'w> Work<'a, 'w> {
    fn new(w: &'w Rcsm<'w>, kernels: Kernels, mut floats: &'a mut [f32], q: &'a mut [i8]) -> Self {
        let (r, codes) = (usize::from(w.config.width), w.code.rows());
        Self {
            w,
            kernels,
            state: take(&mut floats, r),
            v: take(&mut floats, r),
            q: q.front_mut(r),
            held: take(&mut floats, r),
            held_normed: take(&mut floats, r),
            first: take(&mut floats, r),
            second: take(&mut floats, r),
            product: take(&mut floats, r),
            address: take(&mut floats, codes),
            held_code: take(&mut floats, codes),
            logits: take(&mut floats, w.pass.rows()),
        }
    }

    /// Leaves in `state` what the token's passes make of `u` (R), the first of which reads at `query` (S).
    fn passes(&mut self, depth: Depth, memory: &[f32], u: &[f32], query: &[f32], observer: &mut impl Observer) {
        let (w, kernels) = (self.w, self.kernels);
        let [first, second, deepest] = w.config.depths;
        let mut passes = match depth {
            Depth::Fixed(passes) => passes,
            Depth::Adaptive => first,
        };
        let (mut deeper, mut asked) = ([0.0; 2], 0);
        self.state.fill(0.0);
        let mut index = 0;
        while index < passes {
            self.pass(index, memory, u, query, observer);
            index += 1;
            if depth == Depth::Adaptive && index == passes && index < deepest {
                let (weights, bias) = (w.deeper.part(asked * u.len(), u.len()), w.deeper_biases.part(asked, 1));
                let logit = kernels.vectorize(
                    #[inline(always)]
                    || {
                        math::rms(self.state, self.v);
                        math::dot(weights, self.v) + bias.first().copied().unwrap_or_default()
                    },
                );
                if let Some(kept) = deeper.get_mut(asked) {
                    *kept = logit;
                }
                asked += 1;
                if logit > 0.0 {
                    passes = if passes == first { second } else { deepest };
                }
            }
        }
        observer.depth(passes, deeper.front(asked));
    }

    /// One pass: applies two operations, reads, and adds both to the state.
    fn pass(&mut self, index: u8, memory: &[f32], u: &[f32], query: &[f32], observer: &mut impl Observer) {
        let (w, kernels) = (self.w, self.kernels);
        let r = u.len();
        let (ops, slots, router_rows) = (usize::from(w.config.ops), query.len(), padded(w.config.ops.into()));
        let scale = kernels.vectorize(
            #[inline(always)]
            || {
                for ((sum, &state), &u) in self.first.iter_mut().zip(self.state.iter()).zip(u) {
                    *sum = state + u;
                }
                math::rms(self.first, self.v);
                math::quantize_int8(self.v, self.q)
            },
        );
        let rows = if index == 0 { router_rows } else { w.pass.rows() };
        kernels.ternary(w.pass.row_range(0, rows), self.q, &[scale], self.logits.front_mut(rows));
        let [(first, a), (second, b)] = math::top2(self.logits.front(ops));
        let weights = math::softmax2(a, b);
        kernels.ternary(w.ops.row_range(first * r, r), self.q, &[scale], self.first);
        kernels.ternary(w.ops.row_range(second * r, r), self.q, &[scale], self.second);

        let (mut hop, mut hold) = (0.0, 1.0);
        if index == 0 {
            self.address.front_mut(slots).set(query);
        } else {
            let scale = kernels.vectorize(
                #[inline(always)]
                || math::quantize_int8(self.held_normed, self.q),
            );
            kernels.ternary(w.code, self.q, &[scale], self.held_code);
            (hop, hold) = kernels.vectorize(
                #[inline(always)]
                || {
                    let hop = math::sigmoid(math::dot(w.hop, self.v) + w.hop_bias);
                    let hold = math::sigmoid(math::dot(w.hold, self.v) + w.hold_bias);
                    let (held, own) = (self.held_code.front_mut(slots), self.logits.cut_mut(router_rows).1);
                    let own = own.front_mut(slots);
                    math::unit(held);
                    math::unit(own);
                    let address = self.address.front_mut(slots);
                    for ((address, &held), &own) in address.iter_mut().zip(held.iter()).zip(own.iter()) {
                        *address = hop * held + (1.0 - hop) * own;
                    }
                    math::unit(address);
                    (hop, hold)
                },
            );
        }
        let address = self.address.front(slots);
        kernels.matvec(memory, address, self.product);
        kernels.vectorize(
            #[inline(always)]
            || {
                if index == 0 {
                    self.held.set(self.product);
                } else {
                    for (held, &read) in self.held.iter_mut().zip(self.product.iter()) {
                        *held = (1.0 - hold) * *held + hold * read;
                    }
                }
                math::rms(self.held, self.held_normed);
                for (y, &other) in self.first.iter_mut().zip(self.second.iter()) {
                    *y = weights[0] * *y + weights[1] * other;
                }
            },
        );
        let ops = [first as u8, second as u8];
        observer.pass(Pass { index, ops, weights, address: self.address.front(slots), hop, hold, read: self.held });

        kernels.matvec(w.mix, self.first, self.product);
        let step = hold * w.pass_scales.part(index.into(), 1).first().copied().unwrap_or_default();
        kernels.vectorize(
            #[inline(always)]
            || {
                let sums = self.product.iter().zip(self.held_normed.iter());
                for (state, (&mixed, &held)) in self.state.iter_mut().zip(sums) {
                    *state += step * (mixed + held);
                }
            },
        );
    }

    /// Links the token's `u` to its context (R each), by the delta rule at their addresses (S each): first what its
    /// context leads to, then what it leads to.
    fn write(
        &mut self,
        [u, context]: [&[f32]; 2],
        [of_u, of_context]: [&[f32]; 2],
        memory: &mut [f32],
        observer: &mut impl Observer,
    ) {
        let (w, kernels) = (self.w, self.kernels);
        if w.config.writes == Writes::None {
            return;
        }
        let r = u.len();
        let mut gates = [0.0; 2];
        let links = [(of_context, u), (of_u, context)];
        let parts = gates.iter_mut().zip(w.writes.rows(r)).zip(w.write_biases).zip(links);
        for (((gate, weights), &bias), (address, value)) in parts.take(w.config.writes.count()) {
            *gate = kernels.vectorize(
                #[inline(always)]
                || math::sigmoid(math::dot(weights, u) + bias),
            );
            kernels.matvec(memory, address, self.product);
            kernels.vectorize(
                #[inline(always)]
                || {
                    for (old, &new) in self.product.iter_mut().zip(value) {
                        *old = new - *old;
                    }
                    for (slot, &address) in memory.rows_mut(r).zip(address) {
                        let step = *gate * address;
                        for (m, &surprise) in slot.iter_mut().zip(self.product.iter()) {
                            *m += step * surprise;
                        }
                    }
                },
            );
        }
        observer.write(MemoryWrite { gates, context: of_context, token: of_u });
    }
}

#[cfg(test)]
mod tests;
