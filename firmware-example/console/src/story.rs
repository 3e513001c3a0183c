//! A model that tells stories, and what it took.

use core::fmt::Write;

use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::{
    Error, Generation, Kernels, Line, Model, Observer, Sampler, SamplerConfig, Session, StoryLink, Tokenizer, blob,
    fingerprint,
};

use crate::Board;
use crate::console::{Console, LINE};

/// What the last story took.
#[derive(Clone, Copy, Default)]
pub struct Stats {
    pub prompt_tokens: u32,
    pub prompt_ticks: u64,
    pub tokens: u32,
    pub ticks: u64,
    /// Passes of the reasoning loop over the tokens told.
    pub passes: u32,
}

impl Observer for Stats {
    fn depth(&mut self, passes: u8, _logits: &[f32]) {
        self.passes += u32::from(passes);
    }
}

/// What reading the model took, ticks.
#[derive(Clone, Copy)]
pub struct Start {
    pub checksum: u64,
    /// All other checks.
    pub checks: u64,
}

/// Settings that a story is told with.
#[derive(Clone, Copy)]
struct Settings {
    temperature: f32,
    seed: u64,
    length: u32,
}

/// As the desktop program begins.
const DEFAULTS: Settings = Settings { temperature: 0.7, seed: 1, length: 400 };

/// The model with all it needs to write.
pub struct Storyteller<'m> {
    session: Session<'m, &'m mut [Line]>,
    tokenizer: Tokenizer<'m>,
    settings: Settings,
    /// Bytes of the model.
    pub model_bytes: usize,
    /// Bytes of everything that changes.
    pub arena_bytes: usize,
    pub start: Start,
    pub stats: Stats,
}

impl<'m> Storyteller<'m> {
    /// Checks the model in `blob` and puts everything that changes into `arena`.
    pub fn new(blob: &'m [u8], arena: &'m mut [Line], board: &impl Board) -> Result<Self, Error> {
        // what `from_bytes` does, its two halves timed
        let begun = board.ticks();
        blob::verify_checksum(blob)?;
        let verified = board.ticks();
        let model = Model::from_bytes_trusted(blob)?;
        let start = Start { checksum: verified - begun, checks: board.ticks() - verified };
        let tokenizer = *model.tokenizer().ok_or(Error::NoTokenizer)?;
        let (model_bytes, arena_bytes) = (blob.len(), size_of_val(arena));
        let session = Session::new(model, Kernels::detect(), arena)?;
        let (settings, stats) = (DEFAULTS, Stats::default());
        Ok(Self { session, tokenizer, settings, model_bytes, arena_bytes, start, stats })
    }

    /// Name of the model.
    pub fn name(&self) -> &'m str {
        self.session.model().facts().name
    }

    /// Name of the kernels' level.
    pub fn level(&self) -> &'static str {
        self.session.kernels().level().name()
    }

    pub fn set_temperature(&mut self, temperature: f32) {
        self.settings.temperature = temperature;
    }

    /// The seed of the next story; the one after it has the next number.
    pub fn set_seed(&mut self, seed: u64) {
        self.settings.seed = seed;
    }

    pub fn set_length(&mut self, length: u32) {
        self.settings.length = length;
    }

    pub fn set_depth(&mut self, depth: Depth) -> Result<(), Error> {
        Ok(self.session.set_depth(depth)?)
    }

    /// Everything as after the start.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.session.reset();
        self.session.set_depth(self.session.model().default_depth())?;
        self.stats = Stats::default();
        self.settings = DEFAULTS;
        Ok(())
    }

    /// Writes a story that begins with `prompt` to the console, token by token, until it ends, is long enough, or
    /// Ctrl-C is typed; then the link by which a page tells it again.
    pub fn tell<B: Board>(&mut self, prompt: &[u8], console: &mut Console<B>) -> Result<(), Error> {
        let mut stats = Stats::default();
        let Settings { temperature, seed, length } = self.settings;
        let link = StoryLink { seed, prompt, temperature, depth: self.session.depth() };
        let mut sampler = Sampler::new(SamplerConfig { temperature, seed, ..SamplerConfig::default() })?;
        let begun = console.board.ticks();
        let mut room = [0; LINE];
        let prompt = Prompt::new(prompt);
        let tokens = self.encode(prompt.text, &mut room)?;
        let mut story = Generation::begin(&mut self.session, &mut sampler, tokens, &mut ())?;
        if prompt.space {
            story.owe_space();
        }
        stats.prompt_tokens = tokens.len() as u32;
        stats.prompt_ticks = console.board.ticks() - begun;

        prompt.text.iter().for_each(|&byte| console.put(byte));
        while stats.tokens < length && !console.interrupted() {
            let begun = console.board.ticks();
            let Some(token) = story.next(&mut self.session, &mut sampler, &mut stats)? else { break };
            stats.tokens += 1;
            stats.ticks += console.board.ticks() - begun;
            self.tokenizer.for_each_byte(token, |byte| console.put(byte));
        }
        let _ = writeln!(console, "\nstory.html{link}");
        self.settings.seed = seed.wrapping_add(1);
        self.stats = stats;
        Ok(())
    }

    /// The [`fingerprint`] of a story of `tokens` tokens after `prompt`.
    pub fn checksum(&mut self, tokens: u32, seed: u64, prompt: &[u8]) -> Result<u64, Error> {
        let config = SamplerConfig { temperature: 0.8, top_k: 40, seed, ..SamplerConfig::default() };
        let mut sampler = Sampler::new(config)?;
        let mut room = [0; LINE];
        let prompt = self.encode(prompt, &mut room)?;
        Ok(fingerprint(&mut self.session, &mut sampler, prompt, tokens as usize)?)
    }

    fn encode<'r>(&self, text: &[u8], room: &'r mut [u16; LINE]) -> Result<&'r [u16], Error> {
        let n = self.tokenizer.encode(text, room)?;
        Ok(room.get(..n).unwrap_or(room))
    }
}
