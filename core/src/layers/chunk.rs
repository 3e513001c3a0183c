//! A chunk of tokens on its way through the layers: what they are given, and the two things that all of them do.

use crate::kernels::Kernels;
use crate::math;
use crate::memory::{MAX_CHUNK, Scratch};
use crate::parts::Parts;
use crate::streams::{Region, Streams};
use crate::views::TernaryMatrix;

/// T tokens: those of one stream follow one another.
pub(crate) struct Chunk<'a> {
    pub kernels: Kernels,
    /// T, at most [`MAX_CHUNK`].
    pub tokens: usize,
    pub resets: Resets,
    pub positions: Positions,
    /// The scales of what is quantised in `s.q`, one a token.
    pub scales: [f32; MAX_CHUNK],
    /// Working memory; its `x` is the residual stream (T x D).
    pub s: Scratch<'a>,
}

/// How far a mixer must go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// All the way into the residual stream.
    Output,
    /// Its state only: no token of the chunk takes its output.
    State,
}

/// What a token's normalised input is mixed with.
pub(crate) struct Shift<'a> {
    /// Shares of its own, D.
    pub keep: &'a [f32],
    /// The input of the token before, D floats, which every token replaces by its own.
    pub before: Region<'a>,
}

impl Chunk<'_> {
    /// u = rms_norm(x), mixed with the one of the token before where there is a `shift`, quantised in `s.q` and
    /// multiplied: leaves `input` u (T x its rows) in `s.wide`. `then` is the matrix that comes next.
    pub(crate) fn project(
        &mut self,
        gain: &[f32],
        shift: Option<Shift<'_>>,
        input: TernaryMatrix<'_>,
        then: TernaryMatrix<'_>,
    ) {
        let Self { kernels, tokens, resets, scales, s, .. } = self;
        let d = gain.len();
        debug_assert!((1..=MAX_CHUNK).contains(tokens) && input.columns == d);
        let scales = scales.front_mut(*tokens);
        let (x, n) = (s.x.front(*tokens * d), s.n.front_mut(*tokens * d));
        let q = s.q.front_mut(*tokens * d);
        kernels.prefetch(input);
        kernels.vectorize(
            #[inline(always)]
            || {
                let rows = x.rows(d).zip(n.rows_mut(d)).zip(q.rows_mut(d)).zip(scales.iter_mut());
                let Some(Shift { keep, mut before }) = shift else {
                    for (((x, u), q), scale) in rows {
                        math::rms_norm(x, gain, u);
                        *scale = math::quantize_int8(u, q);
                    }
                    return;
                };
                for (t, (((x, u), q), scale)) in rows.enumerate() {
                    let before = before.values::<f32>(t).front_mut(d);
                    if resets.at(t) {
                        before.fill(0.0);
                    }
                    math::rms_norm(x, gain, u);
                    mix(u, before, keep);
                    *scale = math::quantize_int8(u, q);
                }
            },
        );
        kernels.ternary(input, q, scales, s.wide.front_mut(*tokens * input.rows()));
        kernels.prefetch(then);
    }

    /// Adds `output` q, of what is quantised in `s.q`, to the residual stream.
    pub(crate) fn residual(&mut self, output: TernaryMatrix<'_>) {
        let Self { kernels, tokens, scales, s, .. } = self;
        let d = output.rows();
        let (x, n) = (s.x.front_mut(*tokens * d), s.n.front_mut(*tokens * d));
        kernels.ternary(output, s.q.front(*tokens * output.columns), scales.front(*tokens), n);
        for (x, &y) in x.iter_mut().zip(n.iter()) {
            *x += y;
        }
    }
}

/// `u = m n + (1 - m) n_before` in the place of n, which becomes the next token's n_before.
#[inline(always)]
fn mix(u: &mut [f32], before: &mut [f32], keep: &[f32]) {
    for ((u, before), &m) in u.iter_mut().zip(before).zip(keep) {
        let n = *u;
        *u = m * n + (1.0 - m) * *before;
        *before = n;
    }
}

/// Which of a chunk's tokens reset the state before they are processed: bit t for token t.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resets(u16);

impl Resets {
    pub(crate) fn new(tokens: &[u16], eot: Option<u32>) -> Self {
        debug_assert!(tokens.len() <= MAX_CHUNK, "a bit for each");
        let is_reset = |&token: &u16| eot == Some(token.into());
        Self(tokens.iter().enumerate().fold(0, |bits, (t, token)| bits | u16::from(is_reset(token)) << t))
    }

    pub(crate) fn at(self, t: usize) -> bool {
        self.0 >> t & 1 == 1
    }
}

/// How far every token of a chunk is into its story.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions([u64; MAX_CHUNK]);

impl Positions {
    /// Counts `tokens` tokens into their streams' headers: each is one further into a story, or at a reset begins one.
    pub(crate) fn count(tokens: usize, resets: Resets, streams: &mut Streams<'_>) -> Self {
        let mut positions = [0; MAX_CHUNK];
        for (t, position) in positions.iter_mut().enumerate().take(tokens) {
            let mut header = streams.header(t);
            *position = if resets.at(t) { 0 } else { header.story };
            header.story = position.saturating_add(1);
            header.position = header.position.saturating_add(1);
            streams.set_header(t, header);
        }
        Self(positions)
    }

    pub(crate) fn at(&self, t: usize) -> u64 {
        debug_assert!(t < MAX_CHUNK);
        self.0.get(t).copied().unwrap_or(0)
    }

    /// Cosines, then sines of the rotary positions of `tokens` tokens, by the pairs' `steps`.
    pub(crate) fn rotations(&self, tokens: usize, steps: &[u32], out: &mut [f32]) {
        if steps.is_empty() {
            return;
        }
        for (out, &position) in out.rows_mut(2 * steps.len()).zip(self.0.front(tokens)) {
            let (cos, sin) = out.cut_mut(steps.len());
            for ((cos, sin), step) in cos.iter_mut().zip(sin).zip(steps) {
                // whole turns wrap away
                (*cos, *sin) = math::cos_sin((position as u32).wrapping_mul(*step));
            }
        }
    }
}

const _: () = assert!(MAX_CHUNK <= u16::BITS as usize);
