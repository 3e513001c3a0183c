//! `flashlm` without a prompt or a command: prompts in, stories out, `/commands` in between.

mod command;
mod complete;
mod history;
mod input;
mod learn;
mod newest;
mod report;
mod turns;
mod why;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use flashlm_core::config::RcsmConfig;
use flashlm_host::{Blob, FOLDED, Seed, check_depth, output};

use self::command::{Change, Command};
use self::input::Input;
use self::learn::Learning;
use self::turns::{Line, Turns};
use super::args;
use crate::engine::{Ended, Engine};
use crate::interrupt::{self, Generating};
use crate::model;
use crate::screen::{Screen, Voice};
use crate::settings::{Settings, check_trace};

/// Where training leaves its models.
const RUNS: &str = "out";

/// Why a model's part of the conversation ended.
enum Next {
    Quit,
    Load(PathBuf),
}

pub fn run(path: Option<PathBuf>, args: args::Chat, screen: Screen) -> Result<()> {
    let mut blob = model::open(path.as_deref())?;
    // where it is from, but for the built-in one
    let mut model = path.clone();
    // A wrong model or depth on the command line ends the program before anything is asked.
    blob.depth(args.telling.sampling.depth)?;
    let mut settings = args.telling.settings();
    interrupt::install()?;
    let mut input = Input::open(args.history, screen)?;
    if path.is_none()
        && let Some(found) = offered(&mut input)?
    {
        match model::open(Some(&found)) {
            Ok(loaded) => (blob, model) = (loaded, Some(found)),
            Err(error) => screen.complain(&format!("{error:#}; {} stays", blob.name()))?,
        }
    }
    show_drawn(args.telling.sampling.seed, screen)?;
    let mut lasting = Lasting::default();
    loop {
        let next = Chat::new(&blob, model.as_deref(), &mut settings, &mut lasting, screen)?.talk(&mut input)?;
        match next {
            Next::Quit => return Ok(()),
            Next::Load(path) => match model::open(Some(&path)) {
                Ok(loaded) => {
                    (blob, model) = (loaded, Some(path));
                    lasting.turns.close();
                }
                Err(error) => screen.complain(&format!("{error:#}; {} stays", blob.name()))?,
            },
        }
    }
}

/// The newest model of the runs here, if there is one and it is wanted.
fn offered(input: &mut Input) -> Result<Option<PathBuf>> {
    if !input.is_interactive() {
        return Ok(None);
    }
    let Some((path, age)) = newest::newest(Path::new(RUNS)) else { return Ok(None) };
    let (shown, age) = (path.display(), newest::spoken(age));
    let question = format!("newest model in {RUNS}/: {shown}, of {age} ago; use it?");
    Ok(input.agrees(&question)?.then_some(path))
}

/// What stays when the model is another.
#[derive(Default)]
struct Lasting {
    turns: Turns,
    /// Files that this chat wrote, and may write again.
    saved: Vec<PathBuf>,
    learning: Learning,
}

/// The conversation with one model.
struct Chat<'a> {
    blob: &'a Blob,
    /// Where the model is from; `None`: it is built in.
    model: Option<&'a Path>,
    engine: Engine<'a>,
    settings: &'a mut Settings,
    lasting: &'a mut Lasting,
    screen: Screen,
}

impl<'a> Chat<'a> {
    fn new(
        blob: &'a Blob,
        from: Option<&'a Path>,
        settings: &'a mut Settings,
        lasting: &'a mut Lasting,
        screen: Screen,
    ) -> Result<Self> {
        let model = blob.model()?;
        let rcsm = model.config().rcsm.as_ref();
        if settings.depth.is_some_and(|depth| check_depth(depth, rcsm).is_err()) {
            settings.depth = None;
        }
        settings.trace &= rcsm.is_some();
        Ok(Self { blob, model: from, engine: Engine::new(blob, settings.clone())?, settings, lasting, screen })
    }

    /// Talks until another model is wanted, or none.
    fn talk(mut self, input: &mut Input) -> Result<Next> {
        let (model, screen) = (self.blob.model()?, self.screen);
        if input.is_interactive() {
            let facts = model.facts();
            let bpc = facts.held_out_bpc.map_or(String::new(), |bpc| format!(", {bpc:.3} BPC"));
            screen.say(&format!("{} ({}{bpc}). Begin a story, or type /help.", self.blob.name(), facts.name))?;
        }
        let rcsm = model.config().rcsm.as_ref();
        while let Some(line) = input.line()? {
            if let Some(ended) = self.lasting.learning.ended() {
                screen.say(&ended)?;
            }
            let command = match Command::parse(&line) {
                Ok(command) => command,
                Err(error) => {
                    screen.complain(&error)?;
                    continue;
                }
            };
            match command {
                Command::Story(text) => self.tell(Line::Story(text))?,
                Command::Continue(_) if !self.engine.in_story() => {
                    screen.complain("there is no story to go on with: type how one begins")?;
                }
                Command::Continue(text) => self.tell(Line::Continue(text))?,
                Command::Retry => self.retry()?,
                Command::Undo => self.undo()?,
                Command::Save(path) => self.save(path)?,
                Command::Why if rcsm.is_none() => {
                    screen.complain("this model has no reasoning loop, so there is nothing to explain")?;
                }
                Command::Why => why::why(&self.engine, screen)?,
                Command::Set(change) => self.set(change, rcsm)?,
                Command::Show => screen.say(&self.settings.to_string())?,
                Command::Stats => screen.say(&report::report(&self.engine, self.blob))?,
                Command::Load(path) => return Ok(Next::Load(path)),
                Command::Learn(file) => match self.lasting.learning.begin(file, self.model) {
                    Ok(said) => screen.say(&said)?,
                    Err(error) => screen.complain(&format!("/learn: {error:#}"))?,
                },
                Command::Reset => {
                    self.engine.reset()?;
                    self.lasting.turns = Turns::default();
                }
                Command::Help => screen.say(&command::help())?,
                Command::Quit => return Ok(Next::Quit),
            }
        }
        Ok(Next::Quit)
    }

    /// Reads a line, shows what was read, then generates until the story, the length or the reader's patience ends.
    fn tell(&mut self, line: Line) -> Result<()> {
        let Self { engine, settings, lasting: Lasting { turns, .. }, screen, .. } = self;
        let before = engine.snapshot();
        let shown = match &line {
            Line::Story(text) => engine.start(text)?,
            Line::Continue(text) => engine.add(text)?,
        };
        turns.begin(line, before);
        let generating = Generating::begin();
        if shown.folded {
            screen.complain(FOLDED)?;
        }
        let mut out = screen.text(settings.pace);
        out.show(&shown.held, Voice::Model.style())?;
        out.show(&shown.text, Voice::Own.style())?;
        turns.tell(&shown.held);
        turns.tell(&shown.text);
        let ended = engine.generate(&generating, |piece| {
            turns.tell(piece);
            out.tell(piece, || generating.interrupted())
        })?;
        // an interrupted line ends where the terminal echoed ^C
        out.finish(if ended == Ended::Story { "\n\n" } else { "\n" })?;
        if settings.trace
            && let Some(trace) = engine.trace(engine.drawn_from(), &Generating::begin())?
        {
            screen.print(&(trace.lines(engine.tokenizer()) + "\n"))?;
        }
        Ok(())
    }

    /// Tells the last part again, with the next seed.
    fn retry(&mut self) -> Result<()> {
        let (line, before) = match self.lasting.turns.undo() {
            Ok(undone) => undone,
            Err(error) => return Ok(self.screen.complain(&error)?),
        };
        self.settings.seed = self.settings.seed.wrapping_add(1);
        self.engine.restore(before)?;
        self.engine.set(self.settings.clone())?;
        self.screen.complain(&format!("seed {}", self.settings.seed))?;
        if self.settings.temperature == 0.0 {
            self.screen.complain("temperature 0 always takes the likeliest token, whatever the seed: see /temp")?;
        }
        self.tell(line)
    }

    /// Forgets the last part.
    fn undo(&mut self) -> Result<()> {
        match self.lasting.turns.undo() {
            Ok((line, before)) => {
                self.engine.restore(before)?;
                self.screen.complain(&format!("forgotten: {:?} and what followed", line.text()))?;
            }
            Err(error) => self.screen.complain(&error)?,
        }
        Ok(())
    }

    /// Writes what was told to a file, which is new or from this chat.
    fn save(&mut self, path: PathBuf) -> Result<()> {
        let (shown, stories) = (path.display(), self.lasting.turns.stories());
        let error = if stories.is_empty() {
            "nothing was told yet".into()
        } else if path.exists() && !self.lasting.saved.contains(&path) {
            format!("{shown}: is there already: expected the name of a new file")
        } else if let Err(error) = output::write(&path, &[], |out| out.write_all(stories.as_bytes())) {
            error.to_string()
        } else {
            self.screen.complain(&format!("saved in {shown}"))?;
            self.lasting.saved.push(path);
            return Ok(());
        };
        Ok(self.screen.complain(&format!("/save: {error}"))?)
    }

    fn set(&mut self, change: Change, rcsm: Option<&RcsmConfig>) -> Result<()> {
        let drawn = if let Change::Seed(seed) = change { Some(seed) } else { None };
        let mut changed = self.settings.clone();
        change.apply(&mut changed);
        let depth = changed.depth.map_or(Ok(()), |depth| check_depth(depth, rcsm));
        match depth.and_then(|()| check_trace(changed.trace, rcsm)) {
            Ok(()) => {
                self.engine.set(changed.clone())?;
                *self.settings = changed;
                drawn.map_or(Ok(()), |seed| show_drawn(seed, self.screen))?;
            }
            Err(error) => self.screen.complain(&error)?,
        }
        Ok(())
    }
}

/// A seed that was drawn, so that its text can be had again.
fn show_drawn(seed: Seed, screen: Screen) -> Result<()> {
    if seed.drawn {
        screen.complain(&format!("seed {seed}"))?;
    }
    Ok(())
}
