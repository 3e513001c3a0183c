//! Causal attention over the last tokens, plain or differential (Ye et al., 2024, "Differential Transformer"): queries
//! and keys normalised, rotary positions counted from the story's start, keys and values kept in a ring as int8 with a
//! scale for every head.

use super::{Chunk, Reach};
use crate::config::{AttentionConfig, ModelConfig};
use crate::math::{self, LANES};
use crate::memory::{Line, lines};
use crate::parts::Parts;
use crate::schema::tensor;
use crate::streams::Region;
use crate::views::TernaryMatrix;

/// Keys and values of the last tokens: window slots, each the keys, W for every softmax, and W values.
struct Ring<'a> {
    codes: &'a mut [i8],
    /// What every head of a slot is to be multiplied by.
    scales: &'a mut [f32],
}

impl<'a> Ring<'a> {
    /// What a block carries, cut.
    #[inline(always)]
    fn new(config: &AttentionConfig, state: &'a mut [Line]) -> Self {
        let (codes, scales) = state.cut_mut(ring_lines(config));
        let (codes, scales): (&mut [i8], &mut [f32]) =
            (bytemuck::must_cast_slice_mut(codes), bytemuck::must_cast_slice_mut(scales));
        let window = usize::from(config.window);
        Self {
            codes: codes.front_mut(window * slot_channels(config)),
            scales: scales.front_mut(window * slot_heads(config)),
        }
    }
}

/// Bytes a block carries: a ring of `window` slots, each the keys of every softmax (W each) and the values (W) as int8;
/// then, for each slot, the scales of its heads, f32.
pub(super) const fn state_bytes(a: &AttentionConfig) -> usize {
    64 * ring_lines(a) + a.window as usize * slot_heads(a) * size_of::<f32>()
}

/// Lines of the ring without its scales.
pub(super) const fn ring_lines(a: &AttentionConfig) -> usize {
    lines(a.window as usize * slot_channels(a))
}

/// Channels of one slot of the ring.
const fn slot_channels(a: &AttentionConfig) -> usize {
    slot_heads(a) * a.heads.width as usize
}

/// Heads of one slot, each with a scale of its own: the keys' of every softmax, then the values'.
const fn slot_heads(a: &AttentionConfig) -> usize {
    (a.map.softmaxes() + 1) * a.heads.count as usize
}

/// Parameters of attention; W channels in heads.
pub(crate) struct Attention<'a> {
    pub config: AttentionConfig,
    /// D.
    pub gain: &'a [f32],
    /// A head's width each.
    pub q_gain: &'a [f32],
    pub k_gain: &'a [f32],
    pub head_gain: &'a [f32],
    /// sigmoid of the trained lambda, H; empty with one softmax.
    pub lambda: &'a [f32],
    /// [q; k; v], q and k once for every softmax.
    pub input: TernaryMatrix<'a>,
    /// proj, D x W.
    pub output: TernaryMatrix<'a>,
}

impl<'a> Attention<'a> {
    /// Those of one block, among its floats.
    #[inline(always)]
    pub(super) fn new(
        c: &ModelConfig,
        config: AttentionConfig,
        floats: &'a [f32],
        [input, output]: [TernaryMatrix<'a>; 2],
    ) -> Self {
        Self {
            config,
            gain: tensor!(c, floats, ATTENTION, "mixer.norm.gain"),
            q_gain: tensor!(c, floats, ATTENTION, "mixer.q_norm.gain"),
            k_gain: tensor!(c, floats, ATTENTION, "mixer.k_norm.gain"),
            head_gain: tensor!(c, floats, ATTENTION, "mixer.head_norm.gain"),
            lambda: tensor!(c, floats, ATTENTION, "mixer.lam", Sigmoid),
            input,
            output,
        }
    }

    /// Adds the mixer's output to the residual stream and puts the tokens' keys and values into the ring in `state`.
    pub(super) fn forward(&self, chunk: &mut Chunk<'_>, reach: Reach, mut state: Region<'_>) {
        let (d, w, window) = (self.gain.len(), self.config.heads.inner(), usize::from(self.config.window));
        let (maps, count) = (self.config.map.softmaxes(), usize::from(self.config.heads.count));
        let (width, slot, heads) =
            (usize::from(self.config.heads.width), slot_channels(&self.config), slot_heads(&self.config));
        let rows = maps * w + slot;
        debug_assert!(w.is_multiple_of(width));
        debug_assert!([self.q_gain, self.k_gain, self.head_gain].iter().all(|v| v.len() == width));
        debug_assert!([self.input.rows(), self.output.rows(), self.output.columns] == [rows, d, w]);
        chunk.project(self.gain, None, self.input, self.output);
        let Chunk { kernels, tokens, positions, scales: own_scales, s, .. } = chunk;
        let (wide, q) = (s.wide.front_mut(*tokens * rows), s.q.front_mut(*tokens * w));
        let (first, second) = s.scores.cut_mut(window);
        // a power of two where heads are 16, 64 or 256 wide
        let temperature = 1.0 / math::sqrt(width as f32);
        kernels.vectorize(
            #[inline(always)]
            || {
                let rows =
                    wide.rows_mut(rows).zip(s.rotation.rows(width)).zip(q.rows_mut(w)).zip(own_scales.iter_mut());
                for (t, (((wide, rotation), q), scale)) in rows.enumerate() {
                    let Ring { codes, scales } = Ring::new(&self.config, state.lines(t));
                    let (queries, rest) = wide.cut_mut(maps * w);
                    let (keys, values) = rest.cut_mut(maps * w);
                    let (cos, sin) = rotation.cut(width / 2);
                    let position = positions.at(t);
                    let at = position.checked_rem(window as u64).unwrap_or(0) as usize;

                    for key in keys.rows_mut(width) {
                        normalize(key, self.k_gain);
                        math::rotate(key, cos, sin);
                    }
                    let new = keys.rows(width).chain(values.rows(width));
                    let kept = codes.cut_mut(at * slot).1.rows_mut(width).zip(scales.cut_mut(at * heads).1);
                    for (new, (kept, scale)) in new.zip(kept) {
                        *scale = math::quantize_int8(new, kept);
                    }
                    if reach == Reach::State {
                        continue;
                    }
                    for query in queries.rows_mut(width) {
                        normalize(query, self.q_gain);
                        math::rotate(query, cos, sin);
                        query.iter_mut().for_each(|q| *q *= temperature);
                    }
                    // slots from the oldest token's on; in the first lap those behind this one belong to no token
                    let (newer, older) = codes.cut((at + 1) * slot);
                    let (newer_scales, older_scales) = scales.cut((at + 1) * heads);
                    let older = if position < window as u64 { &[] } else { older };
                    let held = || {
                        let older = older.rows(slot).zip(older_scales.rows(heads));
                        older.chain(newer.rows(slot).zip(newer_scales.rows(heads)))
                    };
                    let (first, second) = (first.front_mut(held().count()), &mut *second);
                    let (queries, other_queries) = queries.cut(w);
                    for (h, (y, query)) in values.rows_mut(width).zip(queries.rows(width)).enumerate() {
                        weights(query, held(), h, first);
                        if let Some(&lambda) = self.lambda.get(h) {
                            let second = second.front_mut(first.len());
                            weights(other_queries.part(h * width, width), held(), count + h, second);
                            for (a, &b) in first.iter_mut().zip(second.iter()) {
                                *a -= lambda * b;
                            }
                        }
                        y.fill(0.0);
                        for (&weight, slot) in first.iter().zip(held()) {
                            let (value, scale) = head(slot, maps * count + h, width);
                            let weight = weight * scale;
                            for (y, &v) in y.iter_mut().zip(value) {
                                *y += weight * f32::from(v);
                            }
                        }
                        normalize(y, self.head_gain);
                    }
                    *scale = math::quantize_int8(values, q);
                }
            },
        );
        if reach == Reach::Output {
            chunk.residual(self.output);
        }
    }
}

/// `x = rms_norm(x)`.
#[inline(always)]
fn normalize(x: &mut [f32], gain: &[f32]) {
    let r = 1.0 / math::sqrt(math::sum_by(x, |v| v * v) / x.len() as f32 + math::EPS);
    for (v, &g) in x.iter_mut().zip(gain) {
        *v = *v * r * g;
    }
}

/// A slot's codes and scales.
type Slot<'a> = (&'a [i8], &'a [f32]);

/// Codes and scale of head `index` of a slot.
#[inline(always)]
fn head((codes, scales): Slot<'_>, index: usize, width: usize) -> (&[i8], f32) {
    debug_assert!(index < scales.len());
    (codes.part(index * width, width), scales.get(index).copied().unwrap_or_default())
}

/// One query's softmax over the keys that head `index` of `slots` holds.
#[inline(always)]
fn weights<'a>(query: &[f32], slots: impl Iterator<Item = Slot<'a>>, index: usize, out: &mut [f32]) {
    for (score, slot) in out.iter_mut().zip(slots) {
        let (key, scale) = head(slot, index, query.len());
        let mut acc = [0.0; LANES];
        for (q, k) in query.as_chunks::<LANES>().0.iter().zip(key.as_chunks::<LANES>().0) {
            for lane in 0..LANES {
                acc[lane] += q[lane] * f32::from(k[lane]);
            }
        }
        *score = math::fold_lanes(acc) * scale;
    }
    math::softmax(out);
}
