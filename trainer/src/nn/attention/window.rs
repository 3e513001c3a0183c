//! What all attention layers of a replica share: where every token's window and story begin, its rotation, and working
//! memory.

use flashlm_core::config::{Mixer, ModelConfig};
use flashlm_core::math::{cos_sin, rotary_step};

use super::KeyValues;
use super::heads::{Heads, QUERIES};
use crate::kernels::zeros;
use crate::nn::shape::Shape;

/// Empty for models without attention.
#[derive(Default)]
pub struct Workspace {
    heads: Option<Heads>,
    /// Whether everything is done in core's order, as in evaluation, so that the packed model gives the same bits.
    pub exact: bool,
    /// What keys and values are rounded to.
    pub key_values: KeyValues,
    /// Tokens of its story that every sequence has behind it, (B).
    position: Vec<u32>,
    /// Steps of the rotary positions, a pair of channels each.
    steps: Vec<u32>,
    /// The first key, of those carried and the chunk's, that every row sees, (M).
    pub starts: Vec<u32>,
    /// Cosines, then sines of every row's rotary position, (M, width).
    pub rotation: Vec<f32>,
    /// Weights of a block of queries by every softmax, their difference, and its gradient.
    pub weights: [Vec<f32>; 2],
    pub combined: Vec<f32>,
    pub dweights: Vec<f32>,
    /// Gradients of queries, keys and values, laid out as these.
    pub dq: Vec<f32>,
    pub dk: Vec<f32>,
    pub dv: Vec<f32>,
}

impl Workspace {
    pub fn new(config: &ModelConfig, key_values: KeyValues, shape: Shape) -> Self {
        let Mixer::Attention(attention) = config.mixer else { return Self::default() };
        let heads = Heads::new(attention, shape);
        let (m, b, w) = (shape.rows(), shape.sequences, heads.inner());
        let block = || zeros(QUERIES.min(heads.tokens) * (QUERIES.min(heads.tokens) + heads.carried));
        Self {
            exact: false,
            key_values,
            position: vec![0; b],
            steps: (0..heads.width / 2).map(|i| rotary_step(i, heads.width)).collect(),
            starts: zeros(m),
            rotation: zeros(m * heads.width),
            weights: [block(), if heads.maps > 1 { block() } else { Vec::new() }],
            combined: block(),
            dweights: block(),
            dq: zeros(m * heads.maps * w),
            dk: zeros(b * heads.seen() * heads.maps * w),
            dv: zeros(b * heads.seen() * w),
            heads: Some(heads),
        }
    }

    /// Follows a chunk whose rows start a story where `reset` says so, and in core's order if `exact`.
    pub fn begin(&mut self, reset: &[bool], exact: bool) {
        self.exact = exact;
        let Some(heads) = self.heads else { return };
        let b = heads.sequences;
        for (i, (&reset, start)) in reset.iter().zip(&mut self.starts).enumerate() {
            let (t, position) = (i / b, &mut self.position[i % b]);
            if reset {
                *position = 0;
            }
            *start = (t + heads.carried - (*position as usize).min(heads.carried)) as u32;
            let (cos, sin) = self.rotation[i * heads.width..][..heads.width].split_at_mut(heads.width / 2);
            for ((cos, sin), step) in cos.iter_mut().zip(sin).zip(&self.steps) {
                (*cos, *sin) = cos_sin(position.wrapping_mul(*step));
            }
            // no story is this long
            *position = position.saturating_add(1);
        }
    }

    /// Rounds one head's key or value; its scale goes to `scale` in evaluation and into `head` in training.
    #[inline(always)]
    pub fn round(&self, head: &mut [f32], scale: &mut f32) {
        let own = self.key_values.round(head);
        if self.exact {
            *scale = own;
        } else {
            head.iter_mut().for_each(|v| *v *= own);
        }
    }

    /// The positions of all sequences as floats that hold them exactly, two each, appended to `out`.
    pub fn save(&self, out: &mut Vec<f32>) {
        out.extend(self.position.iter().flat_map(|p| [(p >> 16) as f32, (p & 0xFFFF) as f32]));
    }

    /// Numbers that [`Self::save`] appends.
    pub fn saved_len(&self) -> usize {
        2 * self.position.len()
    }

    /// Restores what [`Self::save`] saved.
    pub fn load(&mut self, saved: &[f32]) {
        for (position, halves) in self.position.iter_mut().zip(saved.chunks_exact(2)) {
            *position = (halves[0] as u32) << 16 | halves[1] as u32;
        }
    }
}
