//! `flashlm` without a command: prompts in, stories out, `/commands` in between.

mod command;
mod history;
mod input;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use flashlm_host::{Blob, FOLDED, Seed, check_depth, peak_memory};

use self::command::{Change, Command};
use self::input::Input;
use super::args;
use crate::engine::{Ended, Engine, Shown};
use crate::interrupt::{self, Generating};
use crate::model;
use crate::settings::{Settings, check_trace};

const HELP: &str = "\
A line of text begins a new story with it; the model goes on.
An empty line, or /continue, goes on with the current story (after Ctrl-C, or where its length ran out).
/continue TEXT      adds TEXT to the current story and goes on
/temp X             temperature, 0 to 10; 0 always takes the likeliest token
/top-p X            keep the likeliest tokens that together have this probability, above 0 to 1
/top-k N            keep the N likeliest tokens, 1 to 64; 0 is 64
/min-p X            drop tokens less likely than this share of the likeliest, 0 to 1
/repeat X           repetition penalty on recent tokens, 0.1 to 10; 1 is none
/seed N|random      the same seed and settings give the same text; any new setting begins the random numbers anew
/depth N|auto       passes of the reasoning loop per token: 1 to the model's most, or the model's choice
/trace on|off       after every story, show for each of its tokens the passes, their operations and gates, and which
                    earlier tokens the memory gave; switched on within a story, it knows what comes from there on
/length N           the most tokens generated at a time
/set                show these settings
/stats              tokens/s, passes per token, operations used, memory
/load FILE          change to another model
/reset              forget the current story, the statistics and where the random numbers stand
/help               this
/quit               leave (so does Ctrl-D)
Ctrl-C stops a generation.";

/// Why a model's part of the conversation ended.
enum Next {
    Quit,
    Load(PathBuf),
}

pub fn run(path: Option<PathBuf>, args: args::Chat) -> Result<()> {
    let mut blob = model::open(path.as_deref())?;
    // A wrong model or depth on the command line ends the program before anything is asked.
    blob.depth(args.sampling.depth)?;
    let mut settings = args.sampling.settings(args.tokens);
    interrupt::install()?;
    let mut input = Input::open(args.history)?;
    show_drawn(args.sampling.seed)?;
    loop {
        match talk(&blob, &mut settings, &mut input)? {
            Next::Quit => return Ok(()),
            Next::Load(path) => match model::open(Some(&path)) {
                Ok(loaded) => blob = loaded,
                Err(error) => complain(&format!("{error:#}; {} stays", blob.name()))?,
            },
        }
    }
}

/// Talks with the model in `file` until another is wanted.
fn talk(blob: &Blob, settings: &mut Settings, input: &mut Input) -> Result<Next> {
    let model = blob.model()?;
    if settings.depth.is_some_and(|depth| check_depth(depth, model.config().rcsm.as_ref()).is_err()) {
        settings.depth = None;
    }
    settings.trace &= model.config().rcsm.is_some();
    let mut engine = Engine::new(blob, *settings)?;
    if input.is_interactive() {
        let facts = model.facts();
        let bpc = facts.held_out_bpc.map_or(String::new(), |bpc| format!(", {bpc:.3} BPC"));
        say(&format!("{} ({}{bpc}). Begin a story, or type /help.", blob.name(), facts.name))?;
    }
    while let Some(line) = input.line()? {
        let command = match Command::parse(&line) {
            Ok(command) => command,
            Err(error) => {
                complain(&error)?;
                continue;
            }
        };
        match command {
            Command::Story(text) => {
                let shown = engine.start(text)?;
                write(&mut engine, &shown)?;
            }
            Command::Continue(_) if !engine.in_story() => {
                complain("there is no story to go on with: type how one begins")?
            }
            Command::Continue(text) => {
                let shown = engine.add(text)?;
                write(&mut engine, &shown)?;
            }
            Command::Set(change) => {
                let mut changed = *settings;
                change.apply(&mut changed);
                let rcsm = model.config().rcsm.as_ref();
                let depth = changed.depth.map_or(Ok(()), |depth| check_depth(depth, rcsm));
                match depth.and_then(|()| check_trace(changed.trace, rcsm)) {
                    Ok(()) => {
                        *settings = changed;
                        engine.set(changed)?;
                        if let Change::Seed(seed) = change {
                            show_drawn(seed)?;
                        }
                    }
                    Err(error) => complain(&error)?,
                }
            }
            Command::Show => say(&settings.to_string())?,
            Command::Stats => say(&report(&engine, blob))?,
            Command::Load(path) => return Ok(Next::Load(path)),
            Command::Reset => engine.reset()?,
            Command::Help => say(HELP)?,
            Command::Quit => return Ok(Next::Quit),
        }
    }
    Ok(Next::Quit)
}

/// Shows what was read, then generates until the story, the length or the reader's patience ends.
fn write(engine: &mut Engine, shown: &Shown) -> Result<()> {
    let generating = Generating::begin();
    if shown.folded {
        complain(FOLDED)?;
    }
    let mut out = io::stdout().lock();
    out.write_all(shown.text.as_bytes())?;
    out.flush()?;
    let ended = engine.generate(&generating, |piece| {
        out.write_all(piece.as_bytes())?;
        out.flush()
    })?;
    // an interrupted line ends where the terminal echoed ^C
    out.write_all(if ended == Ended::Story { b"\n\n" } else { b"\n" })?;
    if let Some((trace, tokenizer)) = engine.trace() {
        writeln!(out, "{}", trace.lines(tokenizer))?;
    }
    out.flush()?;
    Ok(())
}

fn report(engine: &Engine, blob: &Blob) -> String {
    let stats = engine.stats();
    let mut text = format!(
        "generated {} tokens, {:.1} tokens/s; read {} prompt tokens, {:.1} tokens/s\n",
        stats.tokens,
        stats.tokens_per_second(),
        stats.prompt_tokens,
        stats.prompt_tokens_per_second()
    );
    let depth = engine.depth();
    match stats.mean_passes() {
        Some(passes) => text += &format!("passes per token {passes:.2} (depth {depth})\n"),
        None => text += &format!("passes per token: none counted yet (depth {depth})\n"),
    }
    let total: u64 = stats.operations.iter().sum();
    if total > 0 {
        text += "operations used:\n";
        for (i, &n) in stats.operations.iter().enumerate() {
            let share = n as f64 / total as f64;
            let bar = "#".repeat((share * 50.0).round() as usize);
            text += &format!("{i:4} {:5.1} % {bar}", 100.0 * share);
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    let peak = peak_memory().map_or("unknown".into(), |b| format!("{:.1} MB", b as f64 / 1e6));
    let (arena, blob) = (blob.arena_bytes() as f64 / 1e3, blob.bytes().len() as f64 / 1e6);
    text + &format!("memory: session {arena:.1} KB, model {blob:.2} MB, peak of the program {peak}")
}

fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A seed that was drawn, so that its text can be had again.
fn show_drawn(seed: Seed) -> io::Result<()> {
    if seed.drawn { complain(&format!("seed {seed}")) } else { Ok(()) }
}

fn complain(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{text}")
}
