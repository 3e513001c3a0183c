//! What every token brings: u, its context and its query, their addresses and the write gates, all tokens at once.

use flashlm_core::math::{dot, rms, rms_norm, sigmoid, unit};

use super::spans::Spans;
use super::{CONTEXT, Gradients, QUERY, Rcsm, TOKEN, Weights, rms_backward, unit_backward};
use crate::kernels::Write;
use crate::nn::context::Context;
use crate::nn::norm::rms_norm_backward;
use crate::nn::profile::Part;
use crate::nn::shape::{add_scaled, row, row_mut};

/// u times its salience of `j` tokens before row `i`: of the chunk (M, R), or carried from before it (taps + 1, B, R).
#[inline(always)]
fn earlier<'a>(salient: &'a [f32], past: &'a [f32], i: usize, j: usize, b: usize, r: usize) -> &'a [f32] {
    match i.checked_sub(j * b) {
        Some(at) => row(salient, at, r),
        // the first row of the chunk has past row 0 before it
        None => row(past, (j - i / b - 1) * b + i % b, r),
    }
}

/// `sum += a * b`, channel by channel.
#[inline(always)]
fn add_product(sum: &mut [f32], a: &[f32], b: &[f32]) {
    for ((sum, &a), &b) in sum.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

impl Rcsm {
    /// From the residual stream to addresses and write gates.
    pub(super) fn read_input(&mut self, cx: &mut Context<'_>, weights: &Weights, x: &[f32]) {
        let (kernels, params, spans) = (cx.worker.kernels, cx.params, &weights.spans);
        let (d, m) = (self.d, self.shape.rows());
        let (r, _, s) = self.dims();
        let gain = &params[spans.in_norm.clone()];
        self.q_in.begin(m);
        kernels.vectorize(
            #[inline(always)]
            || {
                let normed = &mut cx.scratch.narrow[..d];
                for i in 0..m {
                    self.in_r[i] = rms_norm(row(x, i, d), gain, normed);
                    self.q_in.quantize_row(i, normed);
                }
            },
        );
        kernels.ternary_forward(&self.q_in, &weights.down, &mut self.vectors[TOKEN], &mut cx.worker.workspace);
        cx.worker.lap_products(Part::RcsmProducts);
        self.age(cx.reset);
        kernels.vectorize(
            #[inline(always)]
            || self.look_back(params, spans, &mut cx.scratch.narrow),
        );
        self.carry_past();
        cx.worker.lap(Part::RcsmForward);
        for ((q, address), length) in self.q.iter().zip(&mut self.address).zip(&mut self.length) {
            kernels.ternary_forward(q, &weights.code, address, &mut cx.worker.workspace);
            kernels.vectorize(
                #[inline(always)]
                || {
                    for (address, length) in address.chunks_exact_mut(s).zip(length) {
                        *length = unit(address);
                    }
                },
            );
        }
        let (gates, biases) = (&params[spans.write_gates.clone()], &params[spans.write_biases.clone()]);
        kernels.vectorize(
            #[inline(always)]
            || {
                for (gate, u) in self.gates.iter_mut().zip(self.vectors[TOKEN].chunks_exact(r)) {
                    for (j, gate) in gate.iter_mut().enumerate() {
                        *gate = sigmoid(dot(row(gates, j, r), u) + biases[j]);
                    }
                }
            },
        );
        cx.worker.lap_products(Part::RcsmForward);
    }

    /// How many earlier tokens of its story each row sees.
    fn age(&mut self, reset: &[bool]) {
        let (b, taps) = (self.shape.sequences, self.config.taps);
        for i in 0..self.shape.rows() {
            self.age[i] = match (reset[i], i.checked_sub(b)) {
                (true, _) => 0,
                // what lies before the chunk is zero where it is another story
                (false, None) => taps,
                (false, Some(before)) => self.age[before].saturating_add(1).min(taps),
            };
        }
    }

    /// u, context and query of every row, quantised, and the trace.
    #[inline(always)]
    fn look_back(&mut self, params: &[f32], spans: &Spans, scratch: &mut [f32]) {
        let (b, m, r) = (self.shape.sequences, self.shape.rows(), self.config.width as usize);
        let window = self.config.taps as usize;
        let (context_taps, query_taps) = (&params[spans.context_taps.clone()], &params[spans.query_taps.clone()]);
        let mixed = &mut scratch[..r];
        let [u, context, query] = &mut self.vectors;
        self.q.iter_mut().for_each(|q| q.begin(m));
        for i in 0..m {
            let own = row_mut(u, i, r);
            mixed.copy_from_slice(own);
            self.vectors_r[TOKEN][i] = rms(mixed, own);
            self.q[TOKEN].quantize_row(i, own);
            let salience = sigmoid(dot(&params[spans.salience.clone()], own) + params[spans.salience_bias]);
            self.salience[i] = salience;
            let (earlier_traces, trace) = self.trace.split_at_mut(i * r);
            let (trace, age) = (&mut trace[..r], self.age[i] as usize);
            let before = (age > 0).then(|| match i.checked_sub(b) {
                Some(at) => row(earlier_traces, at, r),
                None => row(&self.past, window * b + i, r),
            });
            for ((salient, trace), &u) in row_mut(&mut self.salient, i, r).iter_mut().zip(&mut *trace).zip(&*own) {
                *salient = salience * u;
                *trace = *salient;
            }
            if let Some(before) = before {
                add_scaled(trace, 1.0 - salience, before);
            }
            for (kind, taps, first, trace, out) in
                [(CONTEXT, context_taps, 1, before, &mut *context), (QUERY, query_taps, 0, Some(&*trace), &mut *query)]
            {
                mixed.fill(0.0);
                let (taps, of_trace) = taps.split_at(window * r);
                for (j, tap) in taps.chunks_exact(r).enumerate().take((age + 1).saturating_sub(first)) {
                    add_product(mixed, tap, earlier(&self.salient, &self.past, i, first + j, b, r));
                }
                if let Some(trace) = trace {
                    add_product(mixed, of_trace, trace);
                }
                let out = row_mut(out, i, r);
                self.vectors_r[kind][i] = rms(mixed, out);
                self.q[kind].quantize_row(i, out);
            }
        }
    }

    /// Keeps what later tokens of every story see for the next chunk; the backward still reads that from before this
    /// one.
    fn carry_past(&mut self) {
        let (b, t, r) = (self.shape.sequences, self.shape.tokens, self.config.width as usize);
        let window = self.config.taps as usize;
        std::mem::swap(&mut self.past, &mut self.past_before);
        for j in 0..window {
            for lane in 0..b {
                let last = (t - 1) * b + lane;
                let out = row_mut(&mut self.past, j * b + lane, r);
                if j <= self.age[last] as usize {
                    out.copy_from_slice(earlier(&self.salient, &self.past_before, last, j, b, r));
                } else {
                    out.fill(0.0);
                }
            }
        }
        self.past[window * b * r..].copy_from_slice(&self.trace[(t - 1) * b * r..]);
    }

    /// From the gradients of u, context and addresses to `dx` (M, D), to which it adds, and `grads`.
    pub(super) fn input_backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let (kernels, params, spans) = (cx.worker.kernels, cx.params, &weights.spans);
        let (d, m) = (self.d, self.shape.rows());
        let (r, _, s) = self.dims();
        let g = &mut self.gradients;
        let ws = &mut cx.worker.workspace;
        let dcode = &mut grads[spans.code.clone()];
        for (kind, write) in [(TOKEN, Write::Add), (CONTEXT, Write::Add), (QUERY, Write::Set)] {
            let da = &mut g.daddress[kind];
            let (address, length) = (&self.address[kind], &self.length[kind]);
            kernels.vectorize(
                #[inline(always)]
                || {
                    for ((da, a), &length) in da.chunks_exact_mut(s).zip(address.chunks_exact(s)).zip(length) {
                        unit_backward(a, length, da);
                    }
                },
            );
            kernels.backward_weight(da, &self.q[kind], s, dcode, ws);
            kernels.backward_input(da, m, &weights.code, &mut g.dvectors[kind], write, ws);
        }
        cx.worker.lap_products(Part::RcsmBackward);
        kernels.vectorize(
            #[inline(always)]
            || self.look_back_backward(params, spans, grads, &mut cx.scratch.narrow),
        );
        cx.worker.lap(Part::RcsmBackward);
        let ws = &mut cx.worker.workspace;
        let dfirst = &self.gradients.dr;
        kernels.backward_weight(dfirst, &self.q_in, r, &mut grads[spans.down.clone()], ws);
        let dnormed = &mut cx.scratch.all[..m * d];
        kernels.backward_input(dfirst, m, &weights.down, dnormed, Write::Set, ws);
        let (gain, dgain) = (&params[spans.in_norm.clone()], &mut grads[spans.in_norm.clone()]);
        kernels.vectorize(
            #[inline(always)]
            || {
                for i in 0..m {
                    rms_norm_backward(row(x, i, d), gain, self.in_r[i], row(dnormed, i, d), row_mut(dx, i, d), dgain);
                }
            },
        );
        cx.worker.lap_products(Part::RcsmProducts);
    }

    /// Takes the gradients of context and query back to the u they were made of, and leaves that of down's output in
    /// `dr`.
    #[inline(always)]
    fn look_back_backward(&mut self, params: &[f32], spans: &Spans, grads: &mut [f32], scratch: &mut [f32]) {
        let (b, m, r) = (self.shape.sequences, self.shape.rows(), self.config.width as usize);
        let window = self.config.taps as usize;
        let Self { vectors, vectors_r, past_before, age, salience, salient, trace, gradients, .. } = self;
        let Gradients { dvectors: [du, dcontext, dquery], dsalient, dtrace, dr, .. } = gradients;
        dsalient.fill(0.0);
        dtrace.fill(0.0);
        // the row of the trace that a row's own began with, and the trace
        let before = |i: usize| (age[i] > 0).then(|| i.checked_sub(b));
        let trace_before = |i: usize| match before(i)? {
            Some(at) => Some(row(trace, at, r)),
            None => Some(row(past_before, window * b + i, r)),
        };
        let dmixed = &mut scratch[..r];
        for (kind, span, first, dvector) in
            [(CONTEXT, &spans.context_taps, 1, &*dcontext), (QUERY, &spans.query_taps, 0, &*dquery)]
        {
            let (taps, of_trace) = params[span.clone()].split_at(window * r);
            let (dtaps, dof_trace) = grads[span.clone()].split_at_mut(window * r);
            for i in 0..m {
                dmixed.fill(0.0);
                rms_backward(row(&vectors[kind], i, r), vectors_r[kind][i], row(dvector, i, r), dmixed);
                let seen = (age[i] as usize + 1).saturating_sub(first);
                for (j, (tap, dtap)) in taps.chunks_exact(r).zip(dtaps.chunks_exact_mut(r)).enumerate().take(seen) {
                    add_product(dtap, dmixed, earlier(salient, past_before, i, first + j, b, r));
                    if let Some(at) = i.checked_sub((first + j) * b) {
                        add_product(row_mut(dsalient, at, r), dmixed, tap);
                    }
                }
                let (trace, at) = match kind {
                    QUERY => (Some(row(trace, i, r)), Some(i)),
                    _ => (trace_before(i), before(i).flatten()),
                };
                if let Some(trace) = trace {
                    add_product(dof_trace, dmixed, trace);
                }
                if let Some(at) = at {
                    add_product(row_mut(dtrace, at, r), dmixed, of_trace);
                }
            }
        }
        let (weights, dweights) = (&params[spans.salience.clone()], spans.salience.clone());
        for i in (0..m).rev() {
            let (u, salience) = (row(&vectors[TOKEN], i, r), salience[i]);
            let (dearlier, dtrace) = dtrace.split_at_mut(i * r);
            let (dtrace, dsalient) = (&dtrace[..r], row_mut(dsalient, i, r));
            add_scaled(dsalient, 1.0, dtrace);
            let kept = trace_before(i).map_or(0.0, |trace| dot(dtrace, trace));
            let d = (dot(dsalient, u) - kept) * salience * (1.0 - salience);
            let du = row_mut(du, i, r);
            add_scaled(du, salience, dsalient);
            add_scaled(du, d, weights);
            add_scaled(&mut grads[dweights.clone()], d, u);
            grads[spans.salience_bias] += d;
            if let Some(at) = before(i).flatten() {
                add_scaled(row_mut(dearlier, at, r), 1.0 - salience, dtrace);
            }
            let dfirst = row_mut(dr, i, r);
            dfirst.fill(0.0);
            rms_backward(u, vectors_r[TOKEN][i], du, dfirst);
        }
    }

    /// Adds to `du` of row `i` and to the gates' gradients what `dgates`, of the write gates, asks for.
    #[inline(always)]
    pub(super) fn gates_backward(
        gates: [f32; 2],
        dgates: [f32; 2],
        weights: &[f32],
        u: &[f32],
        du: &mut [f32],
        dweights: &mut [f32],
        dbiases: &mut [f32],
    ) {
        let r = u.len();
        for j in 0..2 {
            let d = dgates[j] * gates[j] * (1.0 - gates[j]);
            add_scaled(du, d, row(weights, j, r));
            add_scaled(row_mut(dweights, j, r), d, u);
            dbiases[j] += d;
        }
    }
}
