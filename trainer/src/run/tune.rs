//! Tuning: a trained model goes on with another text for a minute, and rehearses what it knew.
//!
//! What it rehearses is text that it was trained on, if that is at hand; if not, stories that it tells itself before it
//! begins (Robins, 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal").

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use flashlm_core::SamplerConfig;
use flashlm_core::text::{Prompt, SEPARATOR};
use flashlm_host::text::Form;
use flashlm_host::{Blob, output};
use rayon::prelude::*;

use crate::data::bpe::EOT_TEXT;
use crate::data::hash::{hash, mix};
use crate::data::prepare::default_cache_dir;
use crate::data::{DataError, evaluation};
use crate::interrupt;
use crate::run::clock::Clock;
use crate::run::closing::{self, Invocation};
use crate::run::directory::PACKED;
use crate::run::generate::continue_text;
use crate::run::progress::Progress;
use crate::run::request::Request;
use crate::run::settings::MixedText;
use crate::run::{prepare, train};
use crate::terminal;

/// Stories that the model tells, how many of them are held out, and the most tokens of one.
const STORIES: u32 = 700;
const HELD_OUT: usize = 100;
const LONGEST: usize = 400;
/// Bytes of a text that are scored before and after.
const SCORED: usize = 200_000;

/// What of the old text is rehearsed.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    /// Text the model was trained on, as `--data` has it; `None`: stories of its own.
    pub text: Option<String>,
    /// Share of the tokens; 0: none.
    pub share: f32,
}

/// Bits per byte of a text before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub text: String,
    pub before: f64,
    pub after: f64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { text, before, after } = self;
        let percent = 100.0 * (after - before) / before.max(f64::MIN_POSITIVE);
        write!(f, "{text}: {before:.4} -> {after:.4} bits per character ({percent:+.1} %)")
    }
}

/// Trains as `request` asks for, which names the model to begin with, and says what that did to either text.
///
/// # Errors
/// As a training run.
pub fn tune(mut request: Request, rehearsal: &Rehearsal, invocation: &Invocation) -> anyhow::Result<()> {
    interrupt::install().context("cannot install the Ctrl-C handler")?;
    let mut progress = Progress::new();
    let own = match rehearsal {
        Rehearsal { text: None, share } if *share > 0.0 => Some(tell_own(&request, &progress)?),
        _ => None,
    };
    if rehearsal.share > 0.0 {
        let told = own.as_ref().map(|own| own.told.display().to_string());
        let data = told.or(rehearsal.text.clone()).context("expected a text to rehearse")?;
        request.settings.source.texts.push(MixedText { data, share: rehearsal.share });
    }
    let mut run = prepare::prepare(&request, &progress)?;
    let before = run.pack()?;
    let mut texts = vec![("new text".to_owned(), run.held_out_path.clone())];
    match own {
        Some(own) => texts.push(("its own stories".into(), own.held_out)),
        None => texts.extend(run.held_out_mixed.clone()),
    }
    let threads = request.settings.batch.threads;
    let first: anyhow::Result<Vec<f64>> = texts.iter().map(|(_, path)| bits_per_byte(&before, path, threads)).collect();
    let first = first?;
    // the budget is for training alone
    run.clock = Clock::start(request.settings.budget, Duration::ZERO);
    train::go_on(&request, &mut run, None, &mut progress)?;
    let tuned = request.out.join(PACKED);
    let after = Blob::open(&tuned)?;
    for ((text, path), before) in texts.into_iter().zip(first) {
        let after = bits_per_byte(&after, &path, threads)?;
        progress.line(&Change { text, before, after }.to_string());
    }
    terminal::print("to talk to it:");
    closing::talk(&request.out, invocation, terminal::width()).iter().for_each(|line| terminal::print(line));
    Ok(())
}

/// Bits per byte of the first part of a text's held-out stories.
fn bits_per_byte(blob: &Blob, path: &Path, threads: usize) -> anyhow::Result<f64> {
    let text = evaluation::read(path, &Form::default())?;
    let part = &text[..text.len().min(SCORED)];
    // whole stories
    let end = memchr::memmem::rfind(part, SEPARATOR).map_or(part.len(), |at| at + SEPARATOR.len());
    let part = if part.len() < text.len() { &part[..end] } else { part };
    Ok(flashlm_host::file(blob, part, None, threads)?.bits_per_byte())
}

/// Files of stories that the model told.
struct Own {
    told: PathBuf,
    held_out: PathBuf,
}

/// Has the model tell stories, where the cache does not have them already.
fn tell_own(request: &Request, progress: &Progress) -> anyhow::Result<Own> {
    let start = request.start.as_ref().context("expected a model to begin with")?;
    let (blob, seed) = (start.pack()?, request.settings.seed);
    let cache = request.cache.clone().unwrap_or_else(|| default_cache_dir().into());
    let key = mix(hash(blob.bytes()) ^ mix(seed));
    let path = |what: &str| cache.join(format!("{what}-{key:016x}.txt"));
    let own = Own { told: path("own-stories"), held_out: path("own-stories-held-out") };
    if own.told.exists() && own.held_out.exists() {
        return Ok(own);
    }
    progress.line(&format!("the model tells {STORIES} stories, to rehearse"));
    let told: anyhow::Result<Vec<String>> = (0..STORIES)
        .into_par_iter()
        .with_max_len(8)
        .map(|number| tell(&blob, mix(seed ^ mix(number.into()))))
        .collect();
    let told = told?;
    if interrupt::requested() {
        return Err(DataError::Interrupted.into());
    }
    std::fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let (held_out, train) = told.split_at(HELD_OUT);
    for (path, stories) in [(&own.held_out, held_out), (&own.told, train)] {
        let text: String = stories.iter().map(|story| format!("{story}\n{EOT_TEXT}\n")).collect();
        output::write(path, &[], |file| file.write_all(text.as_bytes()))?;
    }
    Ok(own)
}

/// One story, from the model's own distribution; empty where the user does not want to wait any more.
fn tell(blob: &Blob, seed: u64) -> anyhow::Result<String> {
    if interrupt::requested() {
        return Ok(String::new());
    }
    let config = SamplerConfig { temperature: 1.0, top_p: 1.0, seed, ..SamplerConfig::default() };
    let mut text = String::new();
    continue_text(blob, Prompt::new(b""), LONGEST, config, None, |piece| {
        // any byte is a token, and a text with this one is refused when it is read
        text.extend(piece.chars().filter(|&character| character != '\0'));
        Ok(())
    })?;
    Ok(text)
}
