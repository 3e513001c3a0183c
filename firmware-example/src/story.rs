//! A model that tells stories, and what it took.

use firmware_example::clock;
use firmware_example::console::{Console, LINE};
use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::{
    Error, Generation, Kernels, Line, Model, Observer, Sampler, SamplerConfig, Session, Tokenizer, blob, fingerprint,
};

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
    sampler: Sampler,
    settings: Settings,
    pub start: Start,
    pub stats: Stats,
}

impl<'m> Storyteller<'m> {
    /// Checks the model in `blob` and puts everything that changes into `arena`.
    pub fn new(blob: &'m [u8], arena: &'m mut [Line]) -> Result<Self, Error> {
        // what `from_bytes` does, its two halves timed
        let begun = clock::ticks();
        blob::verify_checksum(blob)?;
        let verified = clock::ticks();
        let model = Model::from_bytes_trusted(blob)?;
        let start = Start { checksum: verified - begun, checks: clock::ticks() - verified };
        let tokenizer = *model.tokenizer().ok_or(Error::NoTokenizer)?;
        let session = Session::new(model, Kernels::detect(), arena)?;
        Ok(Self { session, tokenizer, sampler: sampler(DEFAULTS)?, settings: DEFAULTS, start, stats: Stats::default() })
    }

    /// Name of the model.
    pub fn name(&self) -> &'m str {
        self.session.model().facts().name
    }

    /// Name of the kernels' level.
    pub fn level(&self) -> &'static str {
        self.session.kernels().level().name()
    }

    pub fn set_temperature(&mut self, temperature: f32) -> Result<(), Error> {
        self.set(Settings { temperature, ..self.settings })
    }

    pub fn set_seed(&mut self, seed: u64) -> Result<(), Error> {
        self.set(Settings { seed, ..self.settings })
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
        self.set(DEFAULTS)
    }

    /// Takes new settings; the random numbers begin anew.
    fn set(&mut self, settings: Settings) -> Result<(), Error> {
        self.sampler = sampler(settings)?;
        self.settings = settings;
        Ok(())
    }

    /// Writes a story that begins with `prompt` to the console, token by token, until it ends, is long enough, or
    /// Ctrl-C is typed.
    pub fn tell(&mut self, prompt: &[u8], console: &mut Console) -> Result<(), Error> {
        let mut stats = Stats::default();
        let begun = clock::ticks();
        let mut room = [0; LINE];
        let prompt = Prompt::new(prompt);
        let tokens = self.encode(prompt.text, &mut room)?;
        let mut story = Generation::begin(&mut self.session, &mut self.sampler, tokens, &mut ())?;
        if prompt.space {
            story.owe_space();
        }
        stats.prompt_tokens = tokens.len() as u32;
        stats.prompt_ticks = clock::ticks() - begun;

        prompt.text.iter().for_each(|&byte| console.put(byte));
        while stats.tokens < self.settings.length && !console.interrupted() {
            let begun = clock::ticks();
            let Some(token) = story.next(&mut self.session, &mut self.sampler, &mut stats)? else { break };
            stats.tokens += 1;
            stats.ticks += clock::ticks() - begun;
            self.tokenizer.for_each_byte(token, |byte| console.put(byte));
        }
        console.put(b'\n');
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

fn sampler(settings: Settings) -> Result<Sampler, Error> {
    let Settings { temperature, seed, .. } = settings;
    Ok(Sampler::new(SamplerConfig { temperature, seed, ..SamplerConfig::default() })?)
}
