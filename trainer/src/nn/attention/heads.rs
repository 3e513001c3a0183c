//! The numbers of an attention layer, and where its heads' queries, keys and values lie.

use flashlm_core::config::AttentionConfig;
use flashlm_core::math;

use crate::kernels;
use crate::nn::shape::Shape;

/// Queries whose weights exist at once: with a window of 256 they and their gradients stay in L2.
pub const QUERIES: usize = 64;

/// The layer's numbers, as everything here reads them.
#[derive(Clone, Copy, Debug)]
pub struct Heads {
    /// Heads H, channels of each, and softmaxes.
    pub count: usize,
    pub width: usize,
    pub maps: usize,
    /// Tokens carried into a chunk, C: one less than the window.
    pub carried: usize,
    /// Tokens of a chunk T, and sequences B.
    pub tokens: usize,
    pub sequences: usize,
}

impl Heads {
    pub fn new(config: AttentionConfig, shape: Shape) -> Self {
        Self {
            count: config.heads.count.into(),
            width: config.heads.width.into(),
            maps: config.map.softmaxes(),
            carried: usize::from(config.window) - 1,
            tokens: shape.tokens,
            sequences: shape.sequences,
        }
    }

    /// Channels of all heads, W.
    pub fn inner(&self) -> usize {
        self.count * self.width
    }

    /// Tokens whose keys a chunk sees, C + T.
    pub fn seen(&self) -> usize {
        self.carried + self.tokens
    }

    /// Where query `t` of head `j`, of those of all maps, begins.
    #[inline(always)]
    pub fn query_at(&self, sequence: usize, j: usize, t: usize) -> usize {
        ((sequence * self.maps * self.count + j) * self.tokens + t) * self.width
    }

    /// Where key `seen`, of those carried and the chunk's, of head `j`, of those of all maps, begins.
    #[inline(always)]
    pub fn key_at(&self, sequence: usize, j: usize, seen: usize) -> usize {
        ((sequence * self.maps * self.count + j) * self.seen() + seen) * self.width
    }

    /// The same of a value of head `j`.
    #[inline(always)]
    pub fn value_at(&self, sequence: usize, j: usize, seen: usize) -> usize {
        ((sequence * self.count + j) * self.seen() + seen) * self.width
    }

    /// What products of queries and keys are multiplied by.
    pub fn temperature(&self) -> f32 {
        1.0 / math::sqrt(self.width as f32)
    }

    /// Makes room for the largest products, which not every chunk has.
    pub fn reserve(&self, ws: &mut kernels::Workspace) {
        let queries = QUERIES.min(self.tokens);
        let keys = queries + self.carried;
        for (m, k, n) in [(queries, self.width, keys), (queries, keys, self.width), (keys, queries, self.width)] {
            ws.reserve(m, k, n);
        }
    }

    /// Blocks of queries: sequence, head, first token, tokens.
    pub fn blocks(self) -> impl Iterator<Item = (usize, usize, usize, usize)> {
        let (sequences, count, tokens) = (self.sequences, self.count, self.tokens);
        (0..sequences).flat_map(move |b| {
            (0..count).flat_map(move |h| {
                (0..tokens).step_by(QUERIES).map(move |first| (b, h, first, QUERIES.min(tokens - first)))
            })
        })
    }
}
