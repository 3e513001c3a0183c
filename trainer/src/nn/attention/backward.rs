//! The layer's backward pass.

use flashlm_core::config::MAX_HEADS;
use flashlm_core::math::rotate;

use super::{Attention, inner};
use crate::nn::context::Context;
use crate::nn::norm::rms_norm_backward;
use crate::nn::profile::Part;
use crate::nn::projections::Projections;
use crate::nn::shape::{blocks, row, row_mut};

impl Attention {
    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`.
    pub fn backward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Projections,
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
    ) {
        let (d, m, b) = (self.d, self.shape.rows(), self.shape.sequences);
        let heads = self.heads;
        let (w, maps, h, width) = (heads.inner(), heads.maps, heads.count, heads.width);
        for (block, rows) in blocks(m).enumerate() {
            let dnormed = &mut cx.scratch.block[..rows.len() * w];
            self.output.backward(cx.worker, (block, &rows), &weights.output, dx, dnormed, grads);
            let (gain, dgain) = (&cx.params[self.spans.head_norm.clone()], &mut grads[self.spans.head_norm.clone()]);
            let (read, y_r, dread) = (&self.y, &self.y_r, &mut cx.scratch.all);
            cx.worker.rows(
                Part::Attention,
                #[inline(always)]
                || {
                    for (p, i) in rows.clone().enumerate() {
                        let (read, dnormed, dread) = (row(read, i, w), row(dnormed, p, w), row_mut(dread, i, w));
                        dread.fill(0.0);
                        for j in 0..h {
                            let at = j * width..(j + 1) * width;
                            let (x, dy, dx) = (&read[at.clone()], &dnormed[at.clone()], &mut dread[at]);
                            rms_norm_backward(x, gain, y_r[i * h + j], dy, dx, dgain);
                        }
                    }
                },
            );
        }

        let lambda = self.lambda(cx.params);
        let mut dlambda = [0.0; MAX_HEADS as usize];
        let factors = (&self.q[..], &self.k[..], &self.v[..]);
        let dread = &cx.scratch.all[..m * w];
        let attention = &mut cx.scratch.attention;
        inner::backward(cx.worker, &heads, lambda.as_ref(), factors, dread, &mut dlambda, attention);
        if let (Some(lambda), Some(span)) = (lambda, self.spans.lambda.clone()) {
            for ((g, d), l) in grads[span].iter_mut().zip(dlambda).zip(lambda) {
                *g += d * l * (1.0 - l);
            }
        }
        cx.worker.lap_products(Part::Attention);

        let width_in = (2 * maps + 1) * w;
        for (block, rows) in blocks(m).enumerate() {
            let input = &self.input;
            let projected = self.projected.block(&rows, |y| input.project(cx.worker, block, &weights.input, y));
            let dprojected = &mut cx.scratch.wide[..rows.len() * width_in];
            let attention = &mut cx.scratch.attention;
            let (q_gain, k_gain) = (&cx.params[self.spans.q_norm.clone()], &cx.params[self.spans.k_norm.clone()]);
            let (q_r, k_r) = (&self.q_r, &self.k_r);
            // the two gains' gradients need not be neighbours
            let (dq_gain, rest) = cx.scratch.narrow.split_at_mut(width);
            let dk_gain = &mut rest[..width];
            dq_gain.fill(0.0);
            dk_gain.fill(0.0);
            let temperature = heads.temperature();
            cx.worker.rows(
                Part::Attention,
                #[inline(always)]
                || {
                    for (p, i) in rows.clone().enumerate() {
                        let (t, sequence) = (i / b, i % b);
                        let (cos, sin) = row_mut(&mut attention.rotation, i, width).split_at_mut(width / 2);
                        // back by the same angle
                        sin.iter_mut().for_each(|s| *s = -*s);
                        let (query, rest) = row(projected, p, width_in).split_at(maps * w);
                        let key = &rest[..maps * w];
                        let (dquery, rest) = row_mut(dprojected, p, width_in).split_at_mut(maps * w);
                        let (dkey, dvalue) = rest.split_at_mut(maps * w);
                        dquery.fill(0.0);
                        dkey.fill(0.0);
                        let seen = heads.carried + t;
                        for (j, dvalue) in dvalue.chunks_exact_mut(width).enumerate() {
                            dvalue.copy_from_slice(&attention.dv[heads.value_at(sequence, j, seen)..][..width]);
                        }
                        for j in 0..maps * h {
                            let (at, r) = (j * width..(j + 1) * width, i * maps * h + j);
                            let dq = &mut attention.dq[heads.query_at(sequence, j, t)..][..width];
                            let dk = &mut attention.dk[heads.key_at(sequence, j, seen)..][..width];
                            dq.iter_mut().for_each(|d| *d *= temperature);
                            rotate(dq, cos, sin);
                            rotate(dk, cos, sin);
                            rms_norm_backward(&query[at.clone()], q_gain, q_r[r], dq, &mut dquery[at.clone()], dq_gain);
                            rms_norm_backward(&key[at.clone()], k_gain, k_r[r], dk, &mut dkey[at], dk_gain);
                        }
                        sin.iter_mut().for_each(|s| *s = -*s);
                    }
                    for (span, sums) in [(&self.spans.q_norm, &*dq_gain), (&self.spans.k_norm, &*dk_gain)] {
                        for (g, s) in grads[span.clone()].iter_mut().zip(sums) {
                            *g += s;
                        }
                    }
                },
            );
            let du = &mut cx.scratch.all[rows.start * d..rows.end * d];
            input.backward_project(cx.worker, block, &weights.input, dprojected, du, grads);
        }
        self.input.backward(cx, x, dx, grads);
    }
}
