//! A session with its sampler and its statistics: what chat and `generate` write with.

mod story;

use std::fmt;
use std::io;
use std::time::Instant;

use anyhow::{Context, Result};
use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::Tokenizer;
use flashlm_core::{Generation, Line, Sampler, SamplerConfig, Session, sampler};
use flashlm_host::Blob;

pub use self::story::Writer;
use self::story::{Stage, Story};
use crate::interrupt::Generating;
use crate::settings::Settings;
use crate::stats::{Drew, Stats};
use crate::stop::{Seen, Stop};
use crate::trace::Trace;

/// Why a generation stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The model ended the story.
    Story,
    /// A stop word came; the story can go on, with that word.
    StopWord,
    /// The length asked for was reached; the story can go on.
    Length,
    /// Ctrl-C; the story can go on.
    Interrupted,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Story => "end of story",
            Self::StopWord => "stop word",
            Self::Length => "length",
            Self::Interrupted => "interrupted",
        })
    }
}

/// What a model has read of a text: what is to be shown before what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The model's own words that a stop word had held back, and that it goes on from.
    pub held: String,
    pub text: String,
    /// Whether white space at the end [was left out](Prompt).
    pub folded: bool,
}

/// Where an engine stood, to go back to.
#[derive(Clone, Debug)]
pub struct Snapshot {
    state: Vec<Line>,
    sampler: Sampler,
    story: Story,
}

/// Writes stories.
pub struct Engine<'m> {
    session: Session<'m, Vec<Line>>,
    tokenizer: Tokenizer<'m>,
    eot: u16,
    sampler: Sampler,
    settings: Settings,
    story: Story,
    stats: Stats,
    /// Tokens of the story before those that the last [`generate`](Self::generate) drew.
    drawn_from: usize,
}

impl<'m> Engine<'m> {
    pub fn new(blob: &'m Blob, settings: Settings) -> Result<Self> {
        let session = blob.session(settings.depth)?;
        let (tokenizer, eot) = (session.model().tokenizer().copied(), session.model().config().eot);
        let tokenizer = tokenizer.with_context(|| format!("{}: expected a model with a tokenizer", blob.name()))?;
        let eot = eot.with_context(|| format!("{}: expected a model with an end-of-story token", blob.name()))? as u16;
        let stats = Stats::new(session.model().config().rcsm.as_ref());
        let sampler = Sampler::new(config(&settings))?;
        Ok(Self { tokenizer, eot, sampler, settings, story: Story::default(), stats, drawn_from: 0, session })
    }

    /// Takes new settings; a sampler's setting begins the random numbers anew from the seed.
    pub fn set(&mut self, settings: Settings) -> Result<()> {
        let depth = settings.depth.unwrap_or(self.session.model().default_depth());
        self.session.set_depth(depth)?;
        self.settings = settings;
        self.renew_sampler()
    }

    fn renew_sampler(&mut self) -> Result<()> {
        self.sampler = Sampler::new(config(&self.settings))?;
        let recent = self.story.last(sampler::PENALTY_WINDOW);
        recent.iter().for_each(|&token| self.sampler.observe(token));
        Ok(())
    }

    pub fn depth(&self) -> Depth {
        self.session.depth()
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    pub fn tokenizer(&self) -> &Tokenizer<'m> {
        &self.tokenizer
    }

    /// Whether there is a story to go on with.
    pub fn in_story(&self) -> bool {
        self.story.stage != Stage::None
    }

    /// Where it stands: the session, the story and the random numbers.
    pub fn snapshot(&self) -> Snapshot {
        let state = self.session.state().to_vec();
        Snapshot { state, sampler: self.sampler.clone(), story: self.story.clone() }
    }

    /// Goes back to where it stood, with the settings of now. The random numbers are those of then, unless a setting
    /// of the sampler has changed: then they begin anew from the seed.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<()> {
        self.session.restore(&snapshot.state)?;
        self.story = snapshot.story;
        if *snapshot.sampler.config() == config(&self.settings) {
            self.sampler = snapshot.sampler;
            return Ok(());
        }
        self.renew_sampler()
    }

    /// Forgets the story, the statistics and where the random numbers stand.
    pub fn reset(&mut self) -> Result<()> {
        self.story = Story::default();
        self.stats = Stats::new(self.session.model().config().rcsm.as_ref());
        self.renew_sampler()
    }

    /// Begins a story with `text`.
    pub fn start(&mut self, text: &str) -> Result<Shown> {
        self.story = Story::default();
        self.sampler.forget();
        self.read(Prompt::new(text.as_bytes()))
    }

    /// Adds `text` to the story.
    pub fn add(&mut self, text: &str) -> Result<Shown> {
        // the space that the text before ended in, where nothing came of it
        let owed = self.story.generation.owes_space() && !text.is_empty() && !text.starts_with([' ', '\n']);
        let text = [if owed { " " } else { "" }, text].concat();
        self.read(Prompt::within(text.as_bytes()))
    }

    /// Reads a prompt, the first of a story or a further one.
    fn read(&mut self, prompt: Prompt<'_>) -> Result<Shown> {
        let begun = Instant::now();
        let tokens = self.tokenizer.encoded(prompt.text);
        let Self { session, sampler, story, .. } = self;
        match story.stage {
            Stage::None => story.generation = Generation::begin(session, sampler, &tokens, &mut ())?,
            Stage::Open | Stage::Ended(_) => story.generation.add(session, sampler, &tokens, &mut ())?,
        }
        if prompt.space {
            story.generation.owe_space();
        }
        if story.stage == Stage::None || !tokens.is_empty() {
            story.stage = Stage::Open;
        }
        story.tell(Writer::Reader, session.depth(), &tokens);
        self.stats.read(tokens.len(), begun.elapsed());
        let held = std::mem::take(&mut self.story.held);
        Ok(Shown { held, text: String::from_utf8_lossy(prompt.text).into_owned(), folded: prompt.folded })
    }

    /// Draws the next token; `None` at the story's end.
    fn draw(&mut self) -> Result<Option<u16>> {
        let begun = Instant::now();
        let (depth, token) = match self.story.stage {
            Stage::Ended(depth) => (depth, Some(self.pass_the_end()?)),
            Stage::None | Stage::Open => {
                let Self { session, sampler, story, stats, .. } = self;
                (session.depth(), story.generation.next(session, sampler, stats)?)
            }
        };
        let drew = if token.is_some() { Drew::Token } else { Drew::End };
        self.stats.drew(drew, begun.elapsed());
        match token {
            Some(token) => self.story.tell(Writer::Model, depth, &[token]),
            None => self.story.stage = Stage::Ended(depth),
        }
        Ok(token)
    }

    /// Goes on where the model ended the story: with the likeliest token that spells whole letters.
    fn pass_the_end(&mut self) -> Result<u16> {
        let Self { session, sampler, story, stats, tokenizer, eot, .. } = self;
        let owed = story.generation.owes_space();
        let fits = |piece: &[u8]| str::from_utf8(piece).is_ok_and(|text| !owed || text.starts_with(' '));
        let mut best = (f32::NEG_INFINITY, None);
        session.logits(|first, rows| {
            for (token, &logit) in (first..).zip(rows) {
                let token = token as u16;
                if logit > best.0 && token != *eot && fits(&tokenizer.piece(token)) {
                    best = (logit, Some(token));
                }
            }
        })?;
        let token = best.1.context("expected a token to go on with, found none whose logit is a number")?;
        story.generation.add(session, sampler, &[token], stats)?;
        story.stage = Stage::Open;
        Ok(token)
    }

    /// Writes on until the story ends, a stop word comes, the length is reached or Ctrl-C is pressed. `show` gets whole
    /// characters; one that is not whole at the end is kept for when the story goes on.
    pub fn generate(&mut self, generating: &Generating, mut show: impl FnMut(&str) -> io::Result<()>) -> Result<Ended> {
        self.stats.under(self.settings.drawing(self.session.depth()));
        self.drawn_from = self.story.tokens.len();
        let mut stop = Stop::new(self.settings.stop.clone());
        let mut ended = Ended::Length;
        for _ in 0..self.settings.length {
            if generating.interrupted() {
                ended = Ended::Interrupted;
                break;
            }
            let mut text = String::new();
            match self.draw()? {
                Some(token) => self.story.utf8.push(&self.tokenizer.piece(token), |c| text.push_str(c)),
                None => {
                    self.story.utf8.finish(|c| text.push_str(c));
                    ended = Ended::Story;
                }
            }
            match stop.push(&text) {
                Seen::Text(text) => show(&text)?,
                Seen::Stopped { before, rest } => {
                    show(&before)?;
                    self.story.held = rest;
                    return Ok(Ended::StopWord);
                }
            }
            if ended == Ended::Story {
                break;
            }
        }
        show(&stop.finish())?;
        Ok(ended)
    }

    /// The story's text so far, and who wrote each of its tokens: their bytes one after another.
    pub fn pieces(&self) -> impl Iterator<Item = (Writer, Vec<u8>)> + '_ {
        self.story.told().map(|(writer, _, token)| (writer, self.tokenizer.piece(token).to_vec()))
    }

    /// Where in the story the last [`generate`](Self::generate) began, in tokens.
    pub fn drawn_from(&self) -> usize {
        self.drawn_from
    }

    /// Follows the reasoning loop through the story once more, and tells how it came to each token from the story's
    /// `from`th on, and to its end if that was reached. `None` for a model without the loop, or where Ctrl-C is pressed
    /// meanwhile: `generating` is to have begun with it.
    pub fn trace(&self, from: usize, generating: &Generating) -> Result<Option<Trace>> {
        let Some(rcsm) = &self.session.model().config().rcsm else { return Ok(None) };
        let mut trace = Trace::new(rcsm, self.eot, from);
        let mut session = self.session.clone();
        session.reset();
        let mut before = self.eot;
        let end = match self.story.stage {
            Stage::Ended(depth) => Some((Writer::Model, depth, self.eot)),
            Stage::None | Stage::Open => None,
        };
        for (_, depth, token) in self.story.told().chain(end) {
            if generating.interrupted() {
                return Ok(None);
            }
            session.set_depth(depth)?;
            trace.expect(&[before]);
            session.step_observed(before, &mut trace)?;
            trace.drawn(token);
            before = token;
        }
        Ok(Some(trace))
    }
}

fn config(settings: &Settings) -> SamplerConfig {
    let &Settings { temperature, top_k, top_p, min_p, repeat: repetition_penalty, seed, .. } = settings;
    SamplerConfig { temperature, top_k, top_p, min_p, repetition_penalty, seed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    #[test]
    fn a_space_that_no_word_has_paid_yet_goes_before_what_is_added() {
        let blob = model::open(None).unwrap();
        let mut engine = Engine::new(&blob, Settings::default()).unwrap();
        let shown = |text: &str, folded| Shown { held: String::new(), text: text.into(), folded };
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

    #[test]
    fn a_trace_takes_every_part_at_the_depth_it_was_told_at() {
        let blob = model::open(None).unwrap();
        let at =
            |depth| Settings { depth: Some(Depth::Fixed(depth)), length: 3, temperature: 0.0, ..Settings::default() };
        let mut engine = Engine::new(&blob, at(1)).unwrap();
        engine.start("Tom saw a").unwrap();
        let given = engine.story.tokens.len();
        engine.generate(&Generating::begin(), |_| Ok(())).unwrap();
        engine.set(at(2)).unwrap();
        engine.generate(&Generating::begin(), |_| Ok(())).unwrap();
        // reading the prompt took the step of the first, and is not counted
        assert_eq!((engine.stats.all.tokens, engine.stats.all.passes), (6, 2 + 2 * 3));
        let trace = engine.trace(0, &Generating::begin()).unwrap().unwrap();
        let steps = trace.json(engine.tokenizer());
        let passes = steps.as_array().unwrap().iter().map(|step| step["passes"].as_array().unwrap().len());
        let want: Vec<usize> = [vec![1; given + 3], vec![2; 3]].concat();
        assert_eq!(passes.collect::<Vec<_>>(), want);
        let writers: Vec<Writer> = engine.pieces().map(|(writer, _)| writer).collect();
        assert_eq!(writers, [vec![Writer::Reader; given], vec![Writer::Model; 6]].concat());
    }
}
