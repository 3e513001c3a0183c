//! The layer's backward pass.

use super::{Attention, inner};
use crate::kernels::{Kernels, Write};
use crate::nn::block::Projections;
use crate::nn::norm::rms_norm_backward;
use crate::nn::profile::Part;
use crate::nn::recurrence::Scratch;
use crate::nn::shape::{blocks, row, row_mut};
use flashlm_core::config::MAX_HEADS;
use flashlm_core::math::rotate;

impl Attention {
    /// Turns `dx`, the gradient with respect to y (M, D), into that with respect to x, and adds to `grads`.
    pub fn backward(
        &mut self,
        kernels: Kernels,
        weights: &Projections,
        params: &[f32],
        x: &[f32],
        dx: &mut [f32],
        grads: &mut [f32],
        reset: &[bool],
        scratch: &mut Scratch,
    ) {
        let (d, m, b) = (self.d, self.shape.rows(), self.shape.sequences);
        let heads = self.heads;
        let (w, maps, h, width) = (heads.inner(), heads.maps, heads.count, heads.width);
        for (block, rows) in blocks(m).enumerate() {
            let dnormed = &mut scratch.block[..rows.len() * w];
            let dy = &dx[rows.start * d..rows.end * d];
            kernels.backward_input(dy, rows.len(), &weights.output, dnormed, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            let dw = &mut grads[self.spans.proj.clone()];
            kernels.backward_weight(dy, &self.q_out[block], d, dw, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
            let (gain, dgain) = (&params[self.spans.head_norm.clone()], &mut grads[self.spans.head_norm.clone()]);
            let (read, y_r, dread) = (&self.y, &self.y_r, &mut scratch.all);
            kernels.vectorise(
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
            scratch.profile.lap(Part::Attention);
        }

        let lambda = self.lambda(params);
        let mut dlambda = [0.0; MAX_HEADS as usize];
        let factors = (&self.q[..], &self.k[..], &self.v[..]);
        let dread = &scratch.all[..m * w];
        let (attention, workspace) = (&mut scratch.attention, &mut scratch.workspace);
        inner::backward(kernels, &heads, lambda.as_ref(), factors, dread, &mut dlambda, attention, workspace);
        if let (Some(lambda), Some(span)) = (lambda, self.spans.lambda.clone()) {
            for ((g, d), l) in grads[span].iter_mut().zip(dlambda).zip(lambda) {
                *g += d * l * (1.0 - l);
            }
        }
        scratch.profile.lap_products(Part::Attention, scratch.workspace.take_macs());

        let width_in = (2 * maps + 1) * w;
        for (block, rows) in blocks(m).enumerate() {
            let q = self.input.q(block);
            let again = |y: &mut [f32]| kernels.ternary_forward(q, &weights.input, y, &mut scratch.workspace);
            let projected = self.projected.block(&rows, again);
            scratch.profile.lap_products(Part::Forward, scratch.workspace.take_macs());
            let dprojected = &mut scratch.wide[..rows.len() * width_in];
            let attention = &mut scratch.attention;
            let (q_gain, k_gain) = (&params[self.spans.q_norm.clone()], &params[self.spans.k_norm.clone()]);
            let (q_r, k_r) = (&self.q_r, &self.k_r);
            // the two gains' gradients need not be neighbours
            let (dq_gain, rest) = scratch.narrow.split_at_mut(width);
            let dk_gain = &mut rest[..width];
            dq_gain.fill(0.0);
            dk_gain.fill(0.0);
            let temperature = heads.temperature();
            kernels.vectorise(
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
            scratch.profile.lap(Part::Attention);
            let du = &mut scratch.all[rows.start * d..rows.end * d];
            kernels.backward_input(dprojected, rows.len(), &weights.input, du, Write::Set, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardInput, scratch.workspace.take_macs());
            let dw = &mut grads[self.spans.input.clone()];
            kernels.backward_weight(dprojected, q, width_in, dw, &mut scratch.workspace);
            scratch.profile.lap_products(Part::BackwardWeight, scratch.workspace.take_macs());
        }
        self.input.backward(kernels, params, x, dx, grads, reset, scratch);
        scratch.profile.lap(Part::Attention);
    }
}
