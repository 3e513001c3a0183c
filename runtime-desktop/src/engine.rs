//! A session with its sampler and its statistics: what chat and `generate` write with; and the scorer of `eval` and
//! `score`.

use std::io;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use flashlm_core::config::Depth;
use flashlm_core::tokenizer::{Tokenizer, Utf8Stream};
use flashlm_core::{
    Kernels, Line, MemoryWrite, Model, Observer, Pass, Sampler, SamplerConfig, Session, sampler, score,
};

use crate::interrupt::Generating;
use crate::model::{ModelFile, encode};
use crate::settings::Settings;
use crate::stats::Stats;
use crate::trace::Trace;

/// Why a generation stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The model ended the story.
    Story,
    /// The length asked for was reached; the story can go on.
    Length,
    /// Ctrl-C; the story can go on.
    Interrupted,
}

/// Writes stories.
pub struct Engine<'m, 'a> {
    session: Session<'m, &'a mut [Line]>,
    tokenizer: Tokenizer<'m>,
    eot: u16,
    sampler: Sampler,
    settings: Settings,
    utf8: Utf8Stream,
    /// The last token drawn, which the session has not processed yet.
    pending: Option<u16>,
    /// The story's last tokens, for a new sampler to know.
    recent: Vec<u16>,
    in_story: bool,
    stats: Stats,
    trace: Option<Trace>,
}

impl<'m, 'a> Engine<'m, 'a> {
    pub fn new(file: &ModelFile, model: &Model<'m>, arena: &'a mut [Line], settings: Settings) -> Result<Self> {
        let (session, tokenizer, eot) = session(file, model, arena, file.depth(model, settings.depth)?)?;
        Ok(Self {
            session,
            tokenizer,
            eot,
            sampler: new_sampler(&settings)?,
            settings,
            utf8: Utf8Stream::new(),
            pending: None,
            recent: Vec::new(),
            in_story: false,
            stats: new_stats(model),
            trace: new_trace(model, eot, &settings),
        })
    }

    /// Takes new settings; a sampler's setting begins the random numbers anew from the seed.
    pub fn set(&mut self, settings: Settings) -> Result<()> {
        let depth = settings.depth.unwrap_or(self.session.model().default_depth());
        self.session.set_depth(depth)?;
        self.settings = settings;
        self.trace = self.trace.take().filter(|_| settings.trace);
        self.trace = self.trace.take().or_else(|| new_trace(self.session.model(), self.eot, &settings));
        self.sampler = new_sampler(&settings)?;
        self.recent.iter().for_each(|&token| self.sampler.observe(token));
        Ok(())
    }

    pub fn depth(&self) -> Depth {
        self.session.depth()
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// What the reasoning loop did for the tokens of the last [`generate`](Self::generate), where that is followed, and
    /// the tokenizer that spells them.
    pub fn trace(&self) -> Option<(&Trace, &Tokenizer<'m>)> {
        self.trace.as_ref().map(|trace| (trace, &self.tokenizer))
    }

    /// Whether there is a story to go on with.
    pub fn in_story(&self) -> bool {
        self.in_story
    }

    /// Forgets the story, the statistics and where the random numbers stand.
    pub fn reset(&mut self) -> Result<()> {
        self.in_story = false;
        self.forget();
        self.stats = new_stats(self.session.model());
        self.sampler = new_sampler(&self.settings)?;
        Ok(())
    }

    fn forget(&mut self) {
        self.pending = None;
        self.utf8 = Utf8Stream::new();
        self.recent.clear();
        self.sampler.forget();
    }

    /// Begins a story with `text`.
    pub fn start(&mut self, text: &[u8]) -> Result<()> {
        self.forget();
        // as input, the end of a story begins the next
        self.pending = Some(self.eot);
        self.in_story = true;
        self.add(text)
    }

    /// Adds `text` to the story.
    pub fn add(&mut self, text: &[u8]) -> Result<()> {
        let begun = Instant::now();
        let added = encode(&self.tokenizer, text);
        added.iter().for_each(|&token| self.observe(token));
        let mut tokens: Vec<u16> = self.pending.take().into_iter().collect();
        tokens.extend_from_slice(&added);
        match &mut self.trace {
            Some(trace) => {
                trace.expect(&tokens);
                self.session.prefill_observed(&tokens, trace)?;
            }
            None => self.session.prefill(&tokens)?,
        }
        self.stats.prompt_tokens += added.len() as u64;
        self.stats.prompt_time += begun.elapsed();
        Ok(())
    }

    fn step(&mut self, token: u16) -> Result<()> {
        match &mut self.trace {
            Some(trace) => {
                trace.expect(&[token]);
                self.session.step_observed(token, &mut Both(&mut self.stats, trace))?;
            }
            None => self.session.step_observed(token, &mut self.stats)?,
        }
        Ok(())
    }

    fn observe(&mut self, token: u16) {
        self.sampler.observe(token);
        self.remember(token);
    }

    fn remember(&mut self, token: u16) {
        if self.recent.len() == sampler::PENALTY_WINDOW {
            self.recent.remove(0);
        }
        self.recent.push(token);
    }

    /// Writes on until the story ends, the length is reached or Ctrl-C is pressed. `show` gets whole characters; one
    /// that is not whole at the end is kept for when the story goes on.
    pub fn generate(&mut self, generating: &Generating, mut show: impl FnMut(&str) -> io::Result<()>) -> Result<Ended> {
        let begun = Instant::now();
        self.trace.iter_mut().for_each(Trace::clear);
        let ended = self.write(generating, &mut show);
        self.stats.time += begun.elapsed();
        ended
    }

    fn write(&mut self, generating: &Generating, show: &mut impl FnMut(&str) -> io::Result<()>) -> Result<Ended> {
        let mut text = String::new();
        let mut ended = Ended::Length;
        for _ in 0..self.settings.length {
            if generating.interrupted() {
                ended = Ended::Interrupted;
                break;
            }
            if let Some(token) = self.pending.take() {
                self.step(token)?;
            }
            let token = self.session.sample(&mut self.sampler)?;
            if let Some(trace) = &mut self.trace {
                trace.drawn(token);
            }
            if token == self.eot {
                self.utf8.finish(|c| text.push_str(c));
                self.in_story = false;
                ended = Ended::Story;
                break;
            }
            self.pending = Some(token);
            self.remember(token);
            self.stats.tokens += 1;
            self.utf8.push(&self.tokenizer.piece(token), |c| text.push_str(c));
            show(&text)?;
            text.clear();
        }
        show(&text)?;
        Ok(ended)
    }
}

fn new_sampler(settings: &Settings) -> Result<Sampler> {
    let &Settings { temperature, top_k, top_p, min_p, repeat: repetition_penalty, seed, .. } = settings;
    Ok(Sampler::new(SamplerConfig { temperature, top_k, top_p, min_p, repetition_penalty, seed })?)
}

fn new_stats(model: &Model) -> Stats {
    Stats { operations: vec![0; model.config().rcsm.map_or(0, |r| r.ops.into())], ..Stats::default() }
}

/// A trace where one is wanted and there is a reasoning loop to follow.
fn new_trace(model: &Model, eot: u16, settings: &Settings) -> Option<Trace> {
    let rcsm = model.config().rcsm.as_ref().filter(|_| settings.trace);
    rcsm.map(|rcsm| Trace::new(rcsm, eot))
}

/// Two observers of one step.
struct Both<'a>(&'a mut Stats, &'a mut Trace);

impl Observer for Both<'_> {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        self.0.depth(passes, logits);
        self.1.depth(passes, logits);
    }

    fn pass(&mut self, pass: Pass<'_>) {
        self.0.pass(pass);
        self.1.pass(pass);
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.1.write(write);
    }
}

/// A session of the best kernels this machine has, with what every text needs: a tokenizer and a token that begins it.
fn session<'m, 'a>(
    file: &ModelFile,
    model: &Model<'m>,
    arena: &'a mut [Line],
    depth: Depth,
) -> Result<(Session<'m, &'a mut [Line]>, Tokenizer<'m>, u16)> {
    let (Some(tokenizer), Some(eot)) = (model.tokenizer(), model.config().eot) else {
        bail!("{}: expected a model with a tokenizer and an end-of-story token, found one without", file.name);
    };
    let mut session = Session::new(*model, Kernels::detect(), arena).with_context(|| file.name.clone())?;
    session.set_depth(depth).with_context(|| file.name.clone())?;
    Ok((session, *tokenizer, eot as u16))
}

/// Counts the bits of texts.
pub struct Scorer<'m, 'a> {
    session: Session<'m, &'a mut [Line]>,
    tokenizer: Tokenizer<'m>,
    eot: u16,
}

impl<'m, 'a> Scorer<'m, 'a> {
    pub fn new(file: &ModelFile, model: &Model<'m>, arena: &'a mut [Line], depth: Depth) -> Result<Self> {
        let (session, tokenizer, eot) = session(file, model, arena, depth)?;
        Ok(Self { session, tokenizer, eot })
    }

    /// Bits of `text` from the reset state, and how many tokens they are for; with `terminated`, its end is one.
    pub fn score(&mut self, text: &[u8], terminated: bool) -> Result<(f64, usize)> {
        let mut tokens = encode(&self.tokenizer, text);
        tokens.extend(terminated.then_some(self.eot));
        let bits = score::story(&mut self.session, &tokens, |_, _| ())?;
        Ok((bits, tokens.len()))
    }
}
