//! A model that tells a story, in the caller's memory.

use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::{MAX_PRE_TOKEN, PreTokens, Utf8Stream};
use flashlm_core::{Generation, Kernels, Line, Model, Observer, Sampler, SamplerConfig, Session, Tokenizer, tokenizer};

use crate::Status;

/// Bytes that `flashlm_next` may write before the zero behind them: a token's, and those that the tokens before left of
/// a character.
pub const MAX_PIECE: usize = tokenizer::MAX_PIECE + 3;

/// How tokens are drawn; `flashlm_options` in the header.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Options {
    /// Same seed, same story.
    pub seed: u64,
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Draw from the likeliest tokens that together have this probability.
    pub top_p: f32,
    /// Draw from tokens at least this many times as likely as the likeliest.
    pub min_p: f32,
    /// Makes recent tokens less likely.
    pub repetition_penalty: f32,
    /// Draw from the likeliest this many tokens, 0 for 64.
    pub top_k: u32,
}

impl Options {
    /// Those of the desktop program.
    pub const DEFAULT: Self =
        Self { seed: 1, temperature: 0.7, top_p: 0.95, min_p: 0.0, repetition_penalty: 1.0, top_k: 0 };

    fn config(self) -> SamplerConfig {
        let Self { seed, temperature, top_p, min_p, repetition_penalty, top_k } = self;
        SamplerConfig { temperature, top_k, top_p, min_p, repetition_penalty, seed }
    }
}

/// What a story took; `flashlm_statistics` in the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Stats {
    /// Tokens of the text that the story began with.
    pub prompt_tokens: u32,
    /// Tokens drawn.
    pub tokens: u32,
    /// Passes of the reasoning loop over them.
    pub passes: u32,
}

impl Observer for Stats {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.passes = self.passes.saturating_add(passes.into());
    }
}

/// What an open handle begins with: bytes that are unlikely anywhere else.
const OPEN: u64 = u64::from_le_bytes(*b"flashlm\x01");

/// A model, a session and a story in it; `flashlm` in the header, which does not say what is inside.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Flashlm {
    open: u64,
    session: Session<'static, &'static mut [Line]>,
    tokenizer: Tokenizer<'static>,
    sampler: Sampler,
    story: Story,
    stats: Stats,
}

/// Where a story stands.
#[derive(Clone, Copy, Debug)]
enum Story {
    None,
    Told { generation: Generation, utf8: Utf8Stream },
    Ended,
}

impl Flashlm {
    pub(crate) fn new(model: Model<'static>, lines: &'static mut [Line]) -> Result<Self, Status> {
        let tokenizer = *model.tokenizer().ok_or(Status::Text)?;
        model.config().eot.ok_or(Status::Text)?;
        let session = Session::new(model, Kernels::detect(), lines)?;
        let sampler = Sampler::new(Options::DEFAULT.config())?;
        Ok(Self { open: OPEN, session, tokenizer, sampler, story: Story::None, stats: Stats::default() })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open == OPEN
    }

    pub(crate) fn close(&mut self) {
        self.open = 0;
    }

    pub(crate) fn set_options(&mut self, options: Options) -> Result<Status, Status> {
        self.sampler = Sampler::new(options.config())?;
        self.story = Story::None;
        Ok(Status::Ok)
    }

    pub(crate) fn set_depth(&mut self, depth: Depth) -> Result<Status, Status> {
        self.session.set_depth(depth)?;
        Ok(Status::Ok)
    }

    pub(crate) fn begin(&mut self, text: &[u8]) -> Result<Status, Status> {
        let Self { session, tokenizer, sampler, .. } = self;
        self.story = Story::None;
        self.stats = Stats::default();
        let prompt = Prompt::new(text);
        let mut generation = Generation::begin(session, sampler, &[], &mut ())?;
        // two of the longest words, so that products take many short ones together
        let (mut room, mut used) = ([0; 2 * MAX_PRE_TOKEN], 0);
        let mut add = |session: &mut _, tokens: &[u16]| {
            self.stats.prompt_tokens = self.stats.prompt_tokens.saturating_add(tokens.len() as u32);
            generation.add(session, sampler, tokens, &mut ())
        };
        for word in PreTokens::new(prompt.text) {
            if used > MAX_PRE_TOKEN {
                add(session, room.get(..used).unwrap_or(&[]))?;
                used = 0;
            }
            let place = room.get_mut(used..).unwrap_or(&mut []);
            // there is room for the longest word
            used += tokenizer.encode_pre_token(word, place).map_err(|_| Status::Text)?;
        }
        add(session, room.get(..used).unwrap_or(&[]))?;
        if prompt.space {
            generation.owe_space();
        }
        self.story = Story::Told { generation, utf8: Utf8Stream::new() };
        Ok(Status::Ok)
    }

    /// Writes whole characters only; `length` says how many bytes.
    pub(crate) fn next(&mut self, piece: &mut [u8], length: &mut usize) -> Result<Status, Status> {
        let Self { session, tokenizer, sampler, stats, story, .. } = self;
        let (generation, utf8) = match story {
            Story::None => return Err(Status::NotBegun),
            Story::Ended => return Ok(Status::End),
            Story::Told { generation, utf8 } => (generation, utf8),
        };
        let mut write = |text: &str| {
            for &byte in text.as_bytes() {
                // the last place stays for the zero
                if let Some(place) = piece.get_mut(*length).filter(|_| *length < MAX_PIECE) {
                    *place = byte;
                    *length += 1;
                }
            }
        };
        match generation.next(session, sampler, stats)? {
            Some(token) => {
                stats.tokens = stats.tokens.saturating_add(1);
                utf8.push(&tokenizer.piece(token), &mut write);
                Ok(Status::Ok)
            }
            None => {
                utf8.finish(&mut write);
                *story = Story::Ended;
                Ok(Status::End)
            }
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.stats
    }
}
