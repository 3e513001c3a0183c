//! Choosing the next token, the same for the same seed on every target.

use core::cell::Cell;

use heapless::Vec;

use crate::kernels::Kernels;
use crate::log_sum_exp::LogSumExp;
use crate::math;
use crate::tokenizer::{Character, Tokenizer};

/// Tokens that can be drawn at all: the likeliest this many. Larger `top_k` mean this, and so does 0.
pub const MAX_CANDIDATES: usize = 64;
/// Tokens back that the repetition penalty looks.
pub const PENALTY_WINDOW: usize = 64;

/// How the next token is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct SamplerConfig {
    /// Logits are divided by it; 0 takes the likeliest token (the lowest among equals).
    pub temperature: f32,
    /// Draw from the likeliest this many tokens, at most [`MAX_CANDIDATES`]; 0 for that many.
    pub top_k: u32,
    /// Draw from the likeliest tokens whose probabilities together reach this (Holtzman et al., 2019); 1 for all.
    pub top_p: f32,
    /// Draw from tokens at least this many times as likely as the likeliest (Nguyen et al., 2024); 0 for all.
    pub min_p: f32,
    /// Logits of the last [`PENALTY_WINDOW`] tokens are divided (positive) or multiplied (negative) by it (Keskar et
    /// al., 2019, "CTRL"); 1 for none.
    pub repetition_penalty: f32,
    /// Same seed, same text.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> Self {
        Self { temperature: 0.8, top_k: 0, top_p: 0.95, min_p: 0.0, repetition_penalty: 1.0, seed: 0 }
    }
}

/// Which parameter is out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum SamplerError {
    /// The temperature is not a finite number of at least 0.
    Temperature,
    /// `top_p` is not within 0 (exclusive) to 1.
    TopP,
    /// `min_p` is not within 0 to 1.
    MinP,
    /// The repetition penalty is not a finite number above 0.
    RepetitionPenalty,
}

impl core::fmt::Display for SamplerError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Temperature => "temperature must be a finite number, 0 or more",
            Self::TopP => "top-p must be above 0 and at most 1",
            Self::MinP => "min-p must be within 0 and 1",
            Self::RepetitionPenalty => "repetition penalty must be a finite number above 0",
        })
    }
}

impl core::error::Error for SamplerError {}

/// Draws tokens. Carries its random numbers and the tokens it has seen lately: about 200 bytes.
///
/// A [`Generation`](crate::Generation) uses it as it should be; by hand:
///
/// ```
/// use flashlm_core::*;
///
/// const BLOB: &[u8] = include_blob!("../../tiny.flm");
/// let mut arena = [Line::ZERO; arena_lines(BLOB, 1)];
/// let mut session = Session::new(Model::from_bytes(BLOB)?, Kernels::detect(), &mut arena[..])?;
/// let mut sampler = Sampler::new(SamplerConfig { temperature: 0.7, top_k: 20, seed: 7, ..Default::default() })?;
///
/// session.step(0)?;
/// for _ in 0..10 {
///     let token = session.sample(&mut sampler)?; // drawn, and not processed yet
///     session.step(token)?;
/// }
/// let refused = Sampler::new(SamplerConfig { temperature: -1.0, ..Default::default() }).err();
/// assert_eq!(refused, Some(SamplerError::Temperature));
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sampler {
    config: SamplerConfig,
    random: Xoshiro128,
    recent: Recent,
}

impl Sampler {
    /// A sampler with these parameters.
    pub fn new(config: SamplerConfig) -> Result<Self, SamplerError> {
        let SamplerConfig { temperature, top_p, min_p, repetition_penalty, .. } = config;
        let check = |holds: bool, error| if holds { Ok(()) } else { Err(error) };
        check(temperature >= 0.0 && temperature.is_finite(), SamplerError::Temperature)?;
        check(top_p > 0.0 && top_p <= 1.0, SamplerError::TopP)?;
        check((0.0..=1.0).contains(&min_p), SamplerError::MinP)?;
        check(repetition_penalty > 0.0 && repetition_penalty.is_finite(), SamplerError::RepetitionPenalty)?;
        Ok(Self { config, random: Xoshiro128::new(config.seed), recent: Recent::default() })
    }

    /// Its parameters.
    pub fn config(&self) -> &SamplerConfig {
        &self.config
    }

    /// Counts `token` among the recent ones, as a prompt's should be: for the repetition penalty, and because a
    /// character that they leave unfinished is gone on with. Drawn tokens count by themselves.
    pub fn observe(&mut self, token: u16) {
        self.recent.push(token);
    }

    /// Forgets the recent tokens, as at the start of a new text. The random numbers go on.
    pub fn forget(&mut self) {
        self.recent = Recent::default();
    }

    /// The character that the recent tokens leave unfinished.
    pub(crate) fn unfinished(&self, tokenizer: &Tokenizer<'_>) -> Character {
        // it has three bytes at most, and a token spells one at least
        self.recent.latest::<3>().fold(Character::NONE, |at, token| tokenizer.unfinished(at, token))
    }

    /// Begins to draw a token: its logits come in pieces.
    pub(crate) fn begin(&mut self, kernels: Kernels) -> Draw<'_> {
        let greedy = self.config.temperature < MIN_TEMPERATURE;
        let best = Candidates::new(if greedy { 1 } else { self.candidates() });
        Draw { sampler: self, kernels, greedy, best, all: LogSumExp::default() }
    }

    fn candidates(&self) -> usize {
        match self.config.top_k as usize {
            0 => MAX_CANDIDATES,
            k => k.min(MAX_CANDIDATES),
        }
    }

    /// Applies the repetition penalty to rows from `first` on, once for each token however often it occurred.
    fn penalise(&self, first: u32, rows: &mut [f32]) {
        let penalty = self.config.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let recent = self.recent.as_slice();
        for (i, &token) in recent.iter().enumerate() {
            let row = u32::from(token).checked_sub(first).and_then(|row| rows.get_mut(row as usize));
            if let Some(logit) = row.filter(|_| !recent.iter().take(i).any(|&earlier| earlier == token)) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }

    /// Draws among the candidates, the likeliest first, that top-p and min-p leave, by their probabilities in the whole
    /// vocabulary.
    fn pick(&mut self, best: &[Candidate], all: &LogSumExp) -> u16 {
        let normalizer = all.value() as f32;
        let (mut kept, mut total, mut likeliest) = (Vec::<(u16, f32), MAX_CANDIDATES>::new(), 0.0, 0.0);
        for candidate in best {
            let probability = math::exp(candidate.logit() - normalizer);
            if kept.is_empty() {
                likeliest = probability;
            } else if probability < self.config.min_p * likeliest || total >= self.config.top_p {
                break;
            }
            total += probability;
            // as many places as there are candidates
            let _ = kept.push((candidate.token(), probability));
        }
        let mut left = self.random.unit() * total;
        for &(token, probability) in &kept {
            left -= probability;
            if left < 0.0 {
                return token;
            }
        }
        // rounding left some: the last takes it. Without probabilities (a logit is infinite or not a number): greedy.
        kept.last().filter(|_| !total.is_nan()).map_or(first(best), |&(token, _)| token)
    }
}

/// A token that is being drawn.
pub(crate) struct Draw<'s> {
    sampler: &'s mut Sampler,
    kernels: Kernels,
    greedy: bool,
    best: Candidates,
    all: LogSumExp,
}

impl Draw<'_> {
    /// Takes the logits of the rows from `first` on, in order, and changes them.
    pub(crate) fn push(&mut self, first: u32, rows: &mut [f32]) {
        self.sampler.penalise(first, rows);
        let max = if self.greedy {
            self.kernels.vectorize(
                #[inline(always)]
                || math::max(rows),
            )
        } else {
            let sharpness = 1.0 / self.sampler.config.temperature;
            self.kernels.vectorize(
                #[inline(always)]
                || rows.iter_mut().for_each(|logit| *logit *= sharpness),
            );
            self.all.push(self.kernels, rows)
        };
        // most pieces of a large vocabulary hold no candidate
        if max > self.best.least {
            let best = &mut self.best;
            self.kernels.vectorize(
                #[inline(always)]
                || best.push(first, rows),
            );
        }
    }

    /// The token, once all logits are in. It is not among the recent ones yet.
    pub(crate) fn finish(mut self) -> u16 {
        let best = self.best.sort();
        if self.greedy { first(best) } else { self.sampler.pick(best, &self.all) }
    }
}

/// The first of candidates in order.
fn first(best: &[Candidate]) -> u16 {
    best.first().map_or(0, |best| best.token())
}

/// The last [`PENALTY_WINDOW`] tokens, in a ring.
#[derive(Clone, Debug)]
struct Recent {
    tokens: [u16; PENALTY_WINDOW],
    length: usize,
    /// Where the next one goes.
    next: usize,
}

impl Default for Recent {
    fn default() -> Self {
        Self { tokens: [0; PENALTY_WINDOW], length: 0, next: 0 }
    }
}

impl Recent {
    fn push(&mut self, token: u16) {
        if let Some(place) = self.tokens.get_mut(self.next) {
            *place = token;
        }
        self.next = (self.next + 1) % PENALTY_WINDOW;
        self.length = (self.length + 1).min(PENALTY_WINDOW);
    }

    /// The last N, or as many as there are, in the order in which they came.
    fn latest<const N: usize>(&self) -> impl Iterator<Item = u16> {
        let back = (1..=N.min(self.length)).rev();
        back.filter_map(|n| self.tokens.get((self.next + PENALTY_WINDOW - n) % PENALTY_WINDOW).copied())
    }

    fn as_slice(&self) -> &[u16] {
        self.tokens.get(..self.length).unwrap_or(&self.tokens)
    }
}

/// Temperatures below it are greedy: logits divided by them could overflow.
const MIN_TEMPERATURE: f32 = 1e-4;

/// A token and its logit, which is a number; the likelier comes first, of equals the lower token.
///
/// One integer that sorts as that: behind the token, the logit's bits, turned so that they fall where the logit rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate(u64);

impl Candidate {
    fn new(logit: f32, token: u16) -> Self {
        // no negative zero: it is none of its own
        let bits = (logit + 0.0).to_bits();
        let falling = if logit < 0.0 { bits } else { !bits & i32::MAX as u32 };
        Self(u64::from(falling) << 16 | u64::from(token))
    }

    fn token(self) -> u16 {
        self.0 as u16
    }

    fn logit(self) -> f32 {
        let falling = (self.0 >> 16) as u32;
        f32::from_bits(if falling > i32::MAX as u32 { falling } else { !falling & i32::MAX as u32 })
    }
}

/// The likeliest tokens so far, unsorted, and some that were likely once: a new one is only put beside them. When there
/// is no room, all but the likeliest are dropped at once.
struct Candidates {
    tokens: Vec<Candidate, { 2 * MAX_CANDIDATES }>,
    wanted: usize,
    /// What a logit must exceed to be taken in: the least of the likeliest when others were dropped last.
    least: f32,
}

impl Candidates {
    /// Room for at most [`MAX_CANDIDATES`] and at least 1.
    fn new(wanted: usize) -> Self {
        Self { tokens: Vec::new(), wanted, least: f32::NEG_INFINITY }
    }

    /// Takes in rows, in rising order.
    #[inline(always)]
    fn push(&mut self, first: u32, rows: &[f32]) {
        /// Rows looked at together: few are candidates.
        const TOGETHER: usize = 16;
        let (pieces, rest) = rows.as_chunks::<TOGETHER>();
        let mut row = first;
        for piece in pieces {
            let mut above = 0;
            for (i, &logit) in piece.iter().enumerate() {
                above |= u32::from(logit > self.least) << i;
            }
            while above != 0 {
                let i = above.trailing_zeros();
                self.take(row + i, piece.get(i as usize).copied().unwrap_or_default());
                above &= above - 1;
            }
            row += TOGETHER as u32;
        }
        (row..).zip(rest).for_each(|(row, &logit)| self.take(row, logit));
    }

    /// Takes in a row if it is likely enough.
    #[inline(always)]
    fn take(&mut self, row: u32, logit: f32) {
        // rows rise: an equal one is less likely
        if logit > self.least {
            // there is room
            let _ = self.tokens.push(Candidate::new(logit, row as u16));
            if self.tokens.len() >= 2 * self.wanted {
                self.drop_others();
            }
        }
    }

    /// Keeps the likeliest alone.
    #[inline(never)]
    fn drop_others(&mut self) {
        if self.tokens.len() >= self.wanted {
            select(&mut self.tokens, self.wanted);
            self.tokens.truncate(self.wanted);
            self.least = self.tokens.iter().max().map_or(f32::NEG_INFINITY, |least| least.logit());
        }
    }

    /// The likeliest in order.
    fn sort(&mut self) -> &[Candidate] {
        self.drop_others();
        sort(&mut self.tokens);
        &self.tokens
    }
}

// The standard library's select and sort can panic, by their code, where no program for a small chip may.

/// Puts the first `wanted` of candidates, no two of them the same, before the others (quickselect, Hoare 1961).
fn select(mut all: &mut [Candidate], mut wanted: usize) {
    while (1..all.len()).contains(&wanted)
        && let Some((first, rest)) = parted(all)
    {
        if wanted < first.len() {
            all = first;
        } else {
            wanted -= first.len();
            all = rest;
        }
    }
}

/// Sorts candidates, no two of them the same (quicksort, Hoare 1961).
fn sort(all: &mut [Candidate]) {
    if let Some((first, rest)) = parted(all) {
        sort(first);
        sort(rest);
    }
}

/// Candidates in two parts, those of the first before those of the second, neither empty; `None` where there are less
/// than two.
fn parted(all: &mut [Candidate]) -> Option<(&mut [Candidate], &mut [Candidate])> {
    let (&a, &b, &c) = (all.first()?, all.get(all.len() / 2)?, all.last()?);
    // the middle one of three, the first of two: never the last
    let pivot = if b == c { a.min(c) } else { a.min(b).max(a.max(b).min(c)) };
    let cells = Cell::from_mut(&mut *all).as_slice_of_cells();
    let mut count = 0;
    for cell in cells {
        // count is at most the cell's own index
        let to = cells.get(count)?;
        to.swap(cell);
        count += usize::from(to.get() <= pivot);
    }
    (count < all.len()).then(|| all.split_at_mut_checked(count)).flatten()
}

/// xoshiro128++ 1.0 (Blackman and Vigna, 2019), seeded by splitmix64: 32-bit operations only, for small targets.
#[derive(Clone, Debug)]
struct Xoshiro128([u32; 4]);

impl Xoshiro128 {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ z >> 31
        };
        let (a, b) = (next(), next());
        // splitmix64 gives two zeros in a row for no seed
        Self([a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32])
    }

    fn next(&mut self) -> u32 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(7).wrapping_add(s[0]);
        let t = s[1] << 9;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(11);
        result
    }

    /// Uniform in [0, 1), 24 bits.
    fn unit(&mut self) -> f32 {
        (self.next() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }
}

#[cfg(test)]
mod tests;
