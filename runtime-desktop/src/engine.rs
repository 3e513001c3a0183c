//! A session with its sampler and its statistics: what chat and `generate` write with.

use std::io;
use std::time::Instant;

use anyhow::{Context, Result};
use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::{Tokenizer, Utf8Stream};
use flashlm_core::{Generation, Line, MemoryWrite, Model, Observer, Pass, Sampler, SamplerConfig, Session, sampler};
use flashlm_host::Blob;

use crate::interrupt::Generating;
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

/// What a model has read of a text: what is to be shown before what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub text: String,
    /// Whether white space at the end [was left out](Prompt).
    pub folded: bool,
}

/// Writes stories.
pub struct Engine<'m> {
    session: Session<'m, Vec<Line>>,
    tokenizer: Tokenizer<'m>,
    eot: u16,
    sampler: Sampler,
    settings: Settings,
    utf8: Utf8Stream,
    story: Generation,
    /// The story's last tokens, for a new sampler to know.
    recent: Vec<u16>,
    in_story: bool,
    stats: Stats,
    trace: Option<Trace>,
}

impl<'m> Engine<'m> {
    pub fn new(blob: &'m Blob, settings: Settings) -> Result<Self> {
        let session = blob.session(settings.depth)?;
        let (tokenizer, eot) = (session.model().tokenizer().copied(), session.model().config().eot);
        let tokenizer = tokenizer.with_context(|| format!("{}: expected a model with a tokenizer", blob.name()))?;
        let eot = eot.with_context(|| format!("{}: expected a model with an end-of-story token", blob.name()))? as u16;
        Ok(Self {
            tokenizer,
            eot,
            sampler: new_sampler(&settings)?,
            settings,
            utf8: Utf8Stream::new(),
            story: Generation::default(),
            recent: Vec::new(),
            in_story: false,
            stats: new_stats(session.model()),
            trace: new_trace(session.model(), eot, &settings),
            session,
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
        self.story = Generation::default();
        self.utf8 = Utf8Stream::new();
        self.recent.clear();
        self.sampler.forget();
    }

    /// Begins a story with `text`.
    pub fn start(&mut self, text: &str) -> Result<Shown> {
        self.forget();
        self.in_story = true;
        self.read(Prompt::new(text.as_bytes()), true)
    }

    /// Adds `text` to the story.
    pub fn add(&mut self, text: &str) -> Result<Shown> {
        // the space that the text before ended in, where nothing came of it
        let owed = self.story.owes_space() && !text.is_empty() && !text.starts_with([' ', '\n']);
        let text = [if owed { " " } else { "" }, text].concat();
        self.read(Prompt::within(text.as_bytes()), false)
    }

    /// Reads a prompt, the first of a story or a further one.
    fn read(&mut self, prompt: Prompt<'_>, first: bool) -> Result<Shown> {
        let begun = Instant::now();
        let tokens = self.tokenizer.encoded(prompt.text);
        let Self { session, sampler, story, trace, .. } = self;
        let before = if first { Some(self.eot) } else { story.pending() };
        let expected = [before.as_slice(), &tokens].concat();
        let mut read = |observer: &mut Traced<'_>| -> Result<()> {
            match first {
                true => *story = Generation::begin(session, sampler, &tokens, observer)?,
                false => story.add(session, sampler, &tokens, observer)?,
            }
            Ok(())
        };
        trace.iter_mut().for_each(|trace| trace.expect(&expected));
        read(&mut Traced { stats: None, trace: trace.as_mut() })?;
        if prompt.space {
            story.owe_space();
        }
        tokens.iter().for_each(|&token| self.remember(token));
        self.stats.prompt_tokens += tokens.len() as u64;
        self.stats.prompt_time += begun.elapsed();
        Ok(Shown { text: String::from_utf8_lossy(prompt.text).into_owned(), folded: prompt.folded })
    }

    /// Draws the next token; `None` at the story's end.
    fn draw(&mut self) -> Result<Option<u16>> {
        let Self { session, sampler, story, stats, trace, .. } = self;
        let pending = story.pending();
        trace.iter_mut().for_each(|trace| trace.expect(pending.as_slice()));
        let token = story.next(session, sampler, &mut Traced { stats: Some(stats), trace: trace.as_mut() })?;
        trace.iter_mut().for_each(|trace| trace.drawn(token.unwrap_or(self.eot)));
        Ok(token)
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
            let Some(token) = self.draw()? else {
                self.utf8.finish(|c| text.push_str(c));
                self.in_story = false;
                ended = Ended::Story;
                break;
            };
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

/// Who watches a step: the statistics, where it is one of generating, and the trace, where one is followed.
struct Traced<'a> {
    stats: Option<&'a mut Stats>,
    trace: Option<&'a mut Trace>,
}

impl Observer for Traced<'_> {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        self.stats.iter_mut().for_each(|stats| stats.depth(passes, logits));
        self.trace.iter_mut().for_each(|trace| trace.depth(passes, logits));
    }

    fn pass(&mut self, pass: Pass<'_>) {
        self.stats.iter_mut().for_each(|stats| stats.pass(pass));
        self.trace.iter_mut().for_each(|trace| trace.pass(pass));
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.trace.iter_mut().for_each(|trace| trace.write(write));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    #[test]
    fn a_space_that_no_word_has_paid_yet_goes_before_what_is_added() {
        let blob = model::open(None).unwrap();
        let mut engine = Engine::new(&blob, Settings::default()).unwrap();
        let shown = |text: &str, folded| Shown { text: text.into(), folded };
        // as after a Ctrl-C before the first token
        assert_eq!(engine.start("Tom saw the ").unwrap(), shown("Tom saw the", true));
        assert_eq!(engine.add("").unwrap(), shown("", false));
        assert_eq!(engine.add("cat").unwrap(), shown(" cat", false));
        assert_eq!(engine.add(" and ").unwrap(), shown(" and", true));
        assert_eq!(engine.add(" a").unwrap(), shown(" a", false), "one space is enough");
        assert_eq!(engine.add("  ").unwrap(), shown("", true));
        assert_eq!(engine.add("\nThen").unwrap(), shown("\nThen", false), "a line end needs none");
        let mut other = Engine::new(&blob, Settings::default()).unwrap();
        other.start("Tom saw the cat and a\nThen").unwrap();
        let told = |engine: &mut Engine| {
            let mut text = String::new();
            let show = |piece: &str| {
                text.push_str(piece);
                Ok(())
            };
            engine.generate(&Generating::begin(), show).unwrap();
            text
        };
        assert_eq!(told(&mut engine), told(&mut other), "it is the text that was shown");
    }
}
