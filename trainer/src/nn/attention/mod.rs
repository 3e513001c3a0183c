//! Causal attention over a window, plain or differential: `softmax(q1 k1) v - lambda * softmax(q2 k2) v`, queries and
//! keys normalised, rotary positions counted from the story's start (Ye et al., 2024; Su et al., 2021).
//!
//! The keys and values of the window before a chunk are carried into it, as inference carries them in its ring, but
//! gradients stop at the chunk's start, as they do for every state. In training the products run block by block of
//! queries against the keys any of them sees, and backward makes the weights again instead of keeping them. Evaluation
//! goes query by query, in core's order.

mod backward;
mod exact;
mod heads;
mod inner;
mod key_values;
pub mod window;

pub use key_values::KeyValues;

use std::ops::Range;

use flashlm_core::blob::Role;
use flashlm_core::config::{AttentionConfig, MAX_HEADS};
use flashlm_core::math::{rms_norm, rotate, sigmoid};

use self::heads::Heads;
use super::context::{Context, Need};
use super::input::Input;
use super::output::Output;
use super::params::Layout;
use super::profile::Part;
use super::projections::Projections;
use super::shape::{Activations, Shape, blocks, row};
use crate::kernels::{Kernels, zeros};

/// Where the layer's own tensors lie.
#[derive(Clone, Debug)]
struct Spans {
    q_norm: Range<usize>,
    k_norm: Range<usize>,
    head_norm: Range<usize>,
    /// (H), of the differential kind only.
    lambda: Option<Range<usize>>,
}

/// What one layer of one replica keeps between forward and backward, and between chunks. W: channels of all heads H,
/// maps: softmaxes, C: tokens carried, one less than the window.
pub struct Attention {
    spans: Spans,
    d: usize,
    heads: Heads,
    shape: Shape,
    input: Input,
    /// Outputs of the projections, (M, (2 maps + 1) W).
    projected: Activations,
    /// Queries as they meet the keys, (B, maps, H, T, width).
    q: Vec<f32>,
    /// Keys and values, those carried first, (B, maps, H, C + T, width) and (B, H, C + T, width).
    k: Vec<f32>,
    v: Vec<f32>,
    /// In evaluation, what every head of a key and of a value is to be multiplied by, laid out as these.
    k_scale: Vec<f32>,
    v_scale: Vec<f32>,
    /// 1 / rms of every query head, key head and read-out head, (M, maps H), (M, maps H), (M, H).
    q_r: Vec<f32>,
    k_r: Vec<f32>,
    y_r: Vec<f32>,
    /// What attention reads, before the norm, (M, W).
    y: Vec<f32>,
    output: Output,
}

impl Attention {
    pub fn new(
        kernels: Kernels,
        layout: &Layout,
        layer: usize,
        config: AttentionConfig,
        d: usize,
        shape: Shape,
    ) -> Self {
        let heads = Heads::new(config, shape);
        let (m, w, maps, h) = (shape.rows(), heads.inner(), heads.maps, heads.count);
        let one = |name: &str| layout.one(layer, name);
        let qkv = layout.stacked(layer, Role::MixerIn);
        Self {
            spans: Spans {
                q_norm: one("mixer.q_norm.gain"),
                k_norm: one("mixer.k_norm.gain"),
                head_norm: one("mixer.head_norm.gain"),
                lambda: (maps > 1).then(|| one("mixer.lam")),
            },
            d,
            shape,
            input: Input::new(one("mixer.norm.gain"), None, qkv, d, shape, Part::Attention),
            projected: Activations::new(kernels, m, (2 * maps + 1) * w),
            q: zeros(m * maps * w),
            k: zeros(shape.sequences * heads.seen() * maps * w),
            v: zeros(shape.sequences * heads.seen() * w),
            k_scale: zeros(shape.sequences * heads.seen() * maps * h),
            v_scale: zeros(shape.sequences * heads.seen() * h),
            q_r: zeros(m * maps * h),
            k_r: zeros(m * maps * h),
            y_r: zeros(m * h),
            y: zeros(m * w),
            output: Output::new(one("mixer.proj.weight"), (d, w), shape, Part::Attention),
            heads,
        }
    }

    /// For a model of width `d`.
    pub fn need(config: AttentionConfig, d: usize) -> Need {
        let (w, maps, width) = (config.heads.inner(), config.map.softmaxes(), config.heads.width as usize);
        // backward: the gradients of two heads' gains
        let narrow = w.max(2 * width);
        Need { all: w, block: w, wide: (2 * maps + 1) * w, narrow, ..Need::default() }.max(Input::need(d))
    }

    /// What every sequence carries into the next chunk: for each its heads' last C keys, then their last C values.
    pub fn carried(&self) -> impl Iterator<Item = &[f32]> {
        let heads = self.heads;
        let head = heads.seen() * heads.width;
        let each = self.k.chunks_exact(heads.maps * heads.count * head).zip(self.v.chunks_exact(heads.count * head));
        each.flat_map(move |(k, v)| k.chunks_exact(head).chain(v.chunks_exact(head)))
            .map(move |head| &head[heads.tokens * heads.width..])
    }

    /// The same, to be restored.
    pub fn carried_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let heads = self.heads;
        let head = heads.seen() * heads.width;
        let (keys, values) = (heads.maps * heads.count * head, heads.count * head);
        let each = self.k.chunks_exact_mut(keys).zip(self.v.chunks_exact_mut(values));
        each.flat_map(move |(k, v)| k.chunks_exact_mut(head).chain(v.chunks_exact_mut(head)))
            .map(move |head| &mut head[heads.tokens * heads.width..])
    }

    /// `y = x + mixer(x)`, x and y (M, D). Where stories start is in `cx.scratch.attention`.
    pub fn forward(&mut self, cx: &mut Context<'_>, weights: &Projections, x: &[f32], y: &mut [f32]) {
        let (m, b) = (self.shape.rows(), self.shape.sequences);
        let heads = self.heads;
        let (w, maps, h, width) = (heads.inner(), heads.maps, heads.count, heads.width);
        let (q_gain, k_gain) = (&cx.params[self.spans.q_norm.clone()], &cx.params[self.spans.k_norm.clone()]);
        let head_gain = &cx.params[self.spans.head_norm.clone()];
        let lambda = self.lambda(cx.params);
        let temperature = heads.temperature();
        // the last chunk's end is carried to before this one
        for buffer in [&mut self.k, &mut self.v] {
            for head in buffer.chunks_exact_mut(heads.seen() * width) {
                head.copy_within(heads.tokens * width.., 0);
            }
        }
        for scales in [&mut self.k_scale, &mut self.v_scale] {
            for head in scales.chunks_exact_mut(heads.seen()) {
                head.copy_within(heads.tokens.., 0);
            }
        }
        for (block, rows) in blocks(m).enumerate() {
            let projected = self.projected.block_mut(&rows);
            self.input.forward(cx, (block, &rows), &weights.input, x, projected);
            let (all_q, all_k, all_v, q_r, k_r) = (&mut self.q, &mut self.k, &mut self.v, &mut self.q_r, &mut self.k_r);
            let (k_scale, v_scale) = (&mut self.k_scale, &mut self.v_scale);
            let attention = &cx.scratch.attention;
            cx.worker.rows(
                Part::Attention,
                #[inline(always)]
                || {
                    for (p, i) in rows.clone().enumerate() {
                        let (t, sequence) = (i / b, i % b);
                        let (cos, sin) = row(&attention.rotation, i, width).split_at(width / 2);
                        let (query, rest) = row(projected, p, (2 * maps + 1) * w).split_at(maps * w);
                        let (key, value) = rest.split_at(maps * w);
                        let seen = heads.carried + t;
                        for j in 0..maps * h {
                            let at = j * width..(j + 1) * width;
                            let q = &mut all_q[heads.query_at(sequence, j, t)..][..width];
                            q_r[i * maps * h + j] = rms_norm(&query[at.clone()], q_gain, q);
                            rotate(q, cos, sin);
                            q.iter_mut().for_each(|q| *q *= temperature);
                            let key_at = heads.key_at(sequence, j, seen);
                            let k = &mut all_k[key_at..][..width];
                            k_r[i * maps * h + j] = rms_norm(&key[at], k_gain, k);
                            rotate(k, cos, sin);
                            attention.round(k, &mut k_scale[key_at / width]);
                        }
                        for (j, value) in value.chunks_exact(width).enumerate() {
                            let value_at = heads.value_at(sequence, j, seen);
                            let v = &mut all_v[value_at..][..width];
                            v.copy_from_slice(value);
                            attention.round(v, &mut v_scale[value_at / width]);
                        }
                    }
                },
            );
        }
        let factors = (&self.q[..], &self.k[..], &self.v[..]);
        let attention = &mut cx.scratch.attention;
        if attention.exact {
            let scales = (&self.k_scale[..], &self.v_scale[..]);
            exact::forward(cx.worker.kernels, &heads, lambda.as_ref(), factors, scales, &mut self.y, attention);
            cx.worker.lap(Part::Attention);
        } else {
            inner::forward(cx.worker, &heads, lambda.as_ref(), factors, &mut self.y, attention);
            cx.worker.lap_products(Part::Attention);
        }
        for (block, rows) in blocks(m).enumerate() {
            let (q, read, y_r) = (self.output.q_mut(block), &self.y, &mut self.y_r);
            let normed = &mut cx.scratch.narrow[..w];
            cx.worker.rows(
                Part::Attention,
                #[inline(always)]
                || {
                    q.begin(rows.len());
                    for (p, i) in rows.clone().enumerate() {
                        let read = row(read, i, w);
                        for j in 0..h {
                            let at = j * width..(j + 1) * width;
                            y_r[i * h + j] = rms_norm(&read[at.clone()], head_gain, &mut normed[at]);
                        }
                        q.quantize_row(p, normed);
                    }
                },
            );
            self.output.forward(cx, (block, &rows), &weights.output, x, y);
        }
    }

    /// sigmoid(lambda) of every head; `None` for one softmax.
    fn lambda(&self, params: &[f32]) -> Option<[f32; MAX_HEADS as usize]> {
        let span = self.spans.lambda.clone()?;
        let mut lambda = [0.0; MAX_HEADS as usize];
        for (l, &p) in lambda.iter_mut().zip(&params[span]) {
            *l = sigmoid(p);
        }
        Some(lambda)
    }
}
