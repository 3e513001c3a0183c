//! Checkpoints: everything a run needs to go on as if it had never stopped, in one safetensors file.
//!
//! A file holds the model's tensors under their names, the optimiser's under `adam.m.<name>`, `adam.v.<name>` or
//! `muon.m.<name>`, the recurrent state of every lane as `lanes`, the stories that phase 4 kept
//! as `generated` (tokens, an end-of-story token after each story), the tokenizer's tables as the bytes `tokenizer`,
//! and as metadata the model's `config` and the run's `state`, both JSON. It is written under a temporary name, synced
//! and renamed, so a name ending in `.safetensors` is always a whole file; a run keeps its last two, so that even a
//! file damaged later costs one interval only.

mod shared;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flashlm_core::Tokenizer;
use flashlm_core::blob::Facts;
use flashlm_core::config::ModelConfig;
use flashlm_host::output::{self, OutputError};
use flashlm_host::{LFS_POINTER, Shortage, check_memory, is_lfs_pointer, read_file};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::data::Fingerprints;
use crate::export;
use crate::kernels::zeros;
use crate::nn::{Layout, Params};
use crate::optim::Optimizer;
use crate::run::answers::AnswerRates;
use crate::run::clock::Clock;
use crate::run::levels::{DIFFICULTIES, Levels};
use crate::run::log;
use crate::run::settings::Settings;

pub use self::shared::spread;

/// Files kept in a run's directory.
const KEPT: usize = 2;
/// Version of the metadata's meaning.
const FORMAT: u32 = 3;

/// What can go wrong with a checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    #[error("{path}: cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Write(#[from] OutputError),
    #[error("{path}: not a whole safetensors file ({reason})")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path}: not a checkpoint of this trainer: {reason}")]
    Foreign { path: PathBuf, reason: String },
    #[error("{path}: {reason}")]
    NoMemory { path: PathBuf, reason: String },
}

/// Where a run stands, beside its tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub format: u32,
    /// Which run it is of: a number that no other run has; 0 where an earlier trainer wrote none.
    #[serde(default)]
    pub run: u64,
    /// Of the data it was trained on; absent where an earlier trainer wrote none.
    #[serde(default)]
    pub fingerprints: Option<Fingerprints>,
    /// Optimiser steps taken, those skipped for a gradient that was not finite included.
    pub step: u64,
    /// Updates the optimiser applied.
    pub updates: u64,
    /// Wall-clock seconds over all sessions.
    pub elapsed: f64,
    /// Tokens trained on.
    pub tokens: u64,
    /// Where the data stream stands, as the data module wrote it.
    pub cursor: Value,
    /// How hard reasoning stories are so far.
    pub levels: Levels,
    /// Answers in training of late.
    pub answers: AnswerRates,
    /// What each phase bought so far.
    #[serde(default)]
    pub phases: log::Log,
    pub settings: Settings,
}

impl State {
    /// The state of a run at `step` that has seen no answers and no phases.
    pub fn new(step: u64, updates: u64, elapsed: f64, tokens: u64, cursor: Value, settings: Settings) -> Self {
        let (levels, answers, phases) = (Levels::new(), AnswerRates::default(), log::Log::default());
        let (format, run, fingerprints) = (FORMAT, 0, None);
        Self { format, run, fingerprints, step, updates, elapsed, tokens, cursor, levels, answers, phases, settings }
    }

    /// What of a state from a file could not be of any run, and would end this one.
    fn nonsense(&self) -> Option<String> {
        /// Seconds, some three centuries.
        const LONGEST: f64 = 1e10;
        if !(0.0..LONGEST).contains(&self.elapsed) {
            return Some(format!("{} seconds elapsed", self.elapsed));
        }
        if self.settings.schedule.phases.is_empty() {
            return Some("a schedule without phases".to_owned());
        }
        let (open, levels) = (self.levels.open(), DIFFICULTIES.len());
        (open > levels).then(|| format!("level {open} of {levels} is open"))
    }

    /// What a packed model called `name` says about this training.
    fn facts<'a>(&'a self, name: &'a str) -> Facts<'a> {
        let settings = &self.settings;
        let progress = Clock::start(settings.budget, Duration::from_secs_f64(self.elapsed)).progress(self.step);
        Facts {
            name,
            data: export::short_name(&settings.source.train),
            tokens: self.tokens,
            steps: self.step,
            phase: (settings.schedule.at(progress).phase + 1).min(4) as u8,
            ..Facts::default()
        }
    }
}

/// What a checkpoint is written from.
pub struct Snapshot<'a> {
    pub config: &'a ModelConfig,
    pub state: &'a State,
    pub tokenizer: &'a [u8],
    pub params: &'a Params,
    pub optimizer: &'a Optimizer,
    pub lanes: &'a [f32],
    /// Stories of the model's own, an end-of-story token after each.
    pub generated: &'a [u16],
}

/// A checkpoint in memory.
pub struct Checkpoint {
    pub path: PathBuf,
    pub config: ModelConfig,
    /// `None` for a file without a run's state: a model only.
    pub state: Option<State>,
    /// The blob's tokenizer tables.
    pub tokenizer: Vec<u8>,
    pub params: Params,
    /// Carried recurrent state of every lane.
    pub lanes: Vec<f32>,
    /// Stories of the model's own, an end-of-story token after each.
    pub generated: Vec<u16>,
    /// The optimiser's tensors by name.
    moments: std::collections::HashMap<String, Vec<f32>>,
}

impl Checkpoint {
    /// What a packed model of it, called `name`, says about its training.
    pub fn facts<'a>(&'a self, name: &'a str) -> Facts<'a> {
        self.state.as_ref().map_or(Facts { name, ..Facts::default() }, |state| state.facts(name))
    }

    /// Refuses weights that are not numbers: a run that goes on from them has nothing to go on from.
    fn finite(self) -> Result<Self, CheckpointError> {
        let wrong = self.params.layout.tensors.iter().find(|t| {
            let values = &self.params.data[t.offset..t.offset + t.shape.iter().product::<usize>()];
            values.iter().any(|v| !v.is_finite())
        });
        match wrong {
            Some(t) => Err(foreign(&self.path, format!("{} holds values that are no numbers", t.name))),
            None => Ok(self),
        }
    }

    /// Gives the optimiser its moments back.
    pub fn restore(&self, optimizer: &mut Optimizer) -> Result<(), CheckpointError> {
        let updates = self.state.as_ref().map_or(0, |s| s.updates);
        optimizer
            .restore(updates, |name| self.moments.get(name).map(Vec::as_slice))
            .map_err(|name| foreign(&self.path, format!("it lacks {name}, which --optimizer needs")))
    }
}

/// Reads a checkpoint file.
pub fn read(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let bytes = read_file(path, u64::MAX).map_err(|source| match source.kind() {
        io::ErrorKind::OutOfMemory => CheckpointError::NoMemory { path: path.into(), reason: source.to_string() },
        _ => CheckpointError::Read { path: path.into(), source },
    })?;
    from_bytes(path, &bytes)
}

/// Takes a checkpoint from the bytes of the file at `path`. What its metadata says is held against limits and against
/// the tensors that are there before any memory is taken for it.
pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    if is_lfs_pointer(bytes) {
        return Err(foreign(path, LFS_POINTER));
    }
    let damaged =
        |e: safetensors::SafeTensorError| CheckpointError::Damaged { path: path.into(), reason: e.to_string() };
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(damaged)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(damaged)?;
    let facts = metadata.metadata().as_ref();
    let fact = |key: &str| facts.and_then(|m| m.get(key));
    // first of all, for another format's parts mean nothing here
    let format = fact("state").and_then(|text| Some(serde_json::from_str::<Value>(text).ok()?.get("format")?.clone()));
    if let Some(format) = format.filter(|format| *format != FORMAT) {
        let reason =
            format!("its format is {format}, this trainer writes {FORMAT}: train anew, or use the trainer it is of");
        return Err(foreign(path, reason));
    }
    let config = fact("config").ok_or_else(|| foreign(path, "its metadata has no `config`"))?;
    let config: ModelConfig =
        serde_json::from_str(config).map_err(|e| foreign(path, format!("its `config` is not understood: {e}")))?;
    config.validate().map_err(|e| foreign(path, format!("its `config` is of no model: {e}")))?;
    let state: Option<State> = match fact("state") {
        Some(text) => {
            Some(serde_json::from_str(text).map_err(|e| foreign(path, format!("its `state` is not understood: {e}")))?)
        }
        None => None,
    };
    if let Some(reason) = state.as_ref().and_then(State::nonsense) {
        return Err(foreign(path, format!("its `state` makes no sense: {reason}")));
    }
    let layout = Layout::new(&config);
    for t in &layout.tensors {
        let view = tensors.tensor(&t.name).map_err(|_| foreign(path, format!("it has no tensor {}", t.name)))?;
        if view.dtype() != Dtype::F32 || view.shape() != t.shape {
            let (dtype, shape) = (view.dtype(), view.shape());
            let reason = format!("{} is {dtype:?} {shape:?}, its config expects F32 {:?}", t.name, t.shape);
            return Err(foreign(path, reason));
        }
    }
    // what is taken from here on is no more than the file has
    let no_memory = |shortage: Shortage| CheckpointError::NoMemory { path: path.into(), reason: shortage.to_string() };
    check_memory("keeping its tensors", bytes.len() as u64, "").map_err(no_memory)?;
    let mut params = Params { data: zeros(layout.len), layout };
    for t in &params.layout.tensors {
        let view = tensors.tensor(&t.name).map_err(|_| foreign(path, format!("it has no tensor {}", t.name)))?;
        floats(view.data(), &mut params.data[t.range()]);
    }
    let bytes_of = |name: &str| tensors.tensor(name).map(|v| v.data().to_vec()).unwrap_or_default();
    let floats_of = |data: &[u8]| {
        let mut values = vec![0.0; data.len() / 4];
        floats(data, &mut values);
        values
    };
    let tokenizer = bytes_of("tokenizer");
    // a table that is none is refused where a text is to be read
    if let Some(words) = Tokenizer::from_bytes(&tokenizer).ok().filter(|words| words.vocab() != config.vocab) {
        let reason = format!("its tokenizer has {} tokens, its config says {}", words.vocab(), config.vocab);
        return Err(foreign(path, reason));
    }
    let generated: Vec<u16> = bytes_of("generated").chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    if let Some(token) = generated.iter().find(|token| u32::from(**token) >= config.vocab) {
        return Err(foreign(path, format!("its `generated` has token {token}, of {} that there are", config.vocab)));
    }
    let moments = tensors.iter().filter(|(name, view)| is_moment(name) && view.dtype() == Dtype::F32);
    Ok(Checkpoint {
        path: path.into(),
        config,
        state,
        tokenizer,
        lanes: floats_of(&bytes_of("lanes")),
        generated,
        moments: moments.map(|(name, view)| (name.to_string(), floats_of(view.data()))).collect(),
        params,
    })
}

fn is_moment(name: &str) -> bool {
    ["adam.m.", "adam.v.", "muon.m."].iter().any(|prefix| name.starts_with(prefix))
}

fn foreign(path: &Path, reason: impl Into<String>) -> CheckpointError {
    CheckpointError::Foreign { path: path.into(), reason: reason.into() }
}

fn floats(bytes: &[u8], values: &mut [f32]) {
    for (v, b) in values.iter_mut().zip(bytes.chunks_exact(4)) {
        *v = f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    }
}

/// Writes a snapshot as a safetensors stream: 8 bytes of header length, the JSON header, the tensors in the
/// header's order. Nothing but the header is held in memory.
pub fn write_to(snapshot: &Snapshot, out: &mut impl Write) -> io::Result<()> {
    let mut header = Map::new();
    let config = serde_json::to_string(snapshot.config)?;
    let state = serde_json::to_string(snapshot.state)?;
    header.insert("__metadata__".into(), json!({ "config": config, "state": state }));
    let mut offset = 0;
    let mut declare = |name: &str, dtype: &str, shape: &[usize], bytes: usize| {
        let entry = json!({ "dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bytes] });
        header.insert(name.into(), entry);
        offset += bytes;
    };
    for t in &snapshot.params.layout.tensors {
        declare(&t.name, "F32", &t.shape, t.shape.iter().product::<usize>() * 4);
    }
    for (name, shape) in snapshot.optimizer.state_names() {
        declare(&name, "F32", &shape, shape.iter().product::<usize>() * 4);
    }
    declare("lanes", "F32", &[snapshot.lanes.len()], snapshot.lanes.len() * 4);
    declare("generated", "U16", &[snapshot.generated.len()], snapshot.generated.len() * 2);
    declare("tokenizer", "U8", &[snapshot.tokenizer.len()], snapshot.tokenizer.len());

    let mut header = Value::Object(header).to_string();
    // the tensors start at a multiple of 8, as the format asks
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    write_floats(out, &snapshot.params.data)?;
    snapshot.optimizer.each_state(|_, _, values| write_floats(out, values))?;
    write_floats(out, snapshot.lanes)?;
    snapshot.generated.iter().try_for_each(|token| out.write_all(&token.to_le_bytes()))?;
    out.write_all(snapshot.tokenizer)
}

fn write_floats(out: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut buffer = [0u8; 4096];
    for chunk in values.chunks(buffer.len() / 4) {
        for (b, v) in buffer.chunks_exact_mut(4).zip(chunk) {
            b.copy_from_slice(&v.to_le_bytes());
        }
        out.write_all(&buffer[..chunk.len() * 4])?;
    }
    Ok(())
}

/// The file name of the checkpoint after `step` steps.
pub fn file_name(step: u64) -> String {
    format!("step-{step:08}.safetensors")
}

/// The step of a checkpoint of this name; `None` for other names.
pub fn step_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok()
}

/// Checkpoints in `dir`, newest first.
pub fn list(dir: &Path) -> Vec<(u64, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<_> = paths.filter_map(|path| Some((step_of(&path)?, path))).collect();
    found.sort_by(|a, b| b.cmp(a));
    found
}

/// Reads a checkpoint, all of whose weights are numbers.
pub fn read_finite(path: &Path) -> Result<Checkpoint, CheckpointError> {
    read(path)?.finite()
}

/// Reads a checkpoint to go on from.
///
/// # Errors
/// It cannot be read, is damaged or not this trainer's, holds no numbers, or a model alone.
pub fn read_to_resume(path: &Path) -> Result<Checkpoint, CheckpointError> {
    let found = read_finite(path)?;
    if found.state.is_none() {
        return Err(foreign(path, "it holds a model but no training state to go on from"));
    }
    Ok(found)
}

/// Saves a snapshot as `dir/step-XXXXXXXX.safetensors` and removes all but the last two of the same run. When this
/// fails nothing has changed: the temporary file is gone and the earlier checkpoints are still there.
pub fn save(dir: &Path, snapshot: &Snapshot) -> Result<PathBuf, CheckpointError> {
    let path = dir.join(file_name(snapshot.state.step));
    output::write(&path, &[], |file| write_to(snapshot, file))?;
    let own = list(dir).into_iter().filter(|(_, path)| run_of(path).is_ok_and(|run| run == Some(snapshot.state.run)));
    for (_, old) in own.skip(KEPT) {
        // an old file that cannot be removed costs disk space, not the run
        let _ = fs::remove_file(old);
    }
    Ok(path)
}

/// The run that a checkpoint is of, from its header alone.
fn run_of(path: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    // so that a number that means something else allocates nothing
    let length = u64::from_le_bytes(length).min(file.metadata()?.len());
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let header: Value = serde_json::from_slice(&header)?;
    let state = header["__metadata__"]["state"].as_str().unwrap_or_default();
    Ok(serde_json::from_str::<Value>(state)?["run"].as_u64())
}

#[cfg(test)]
pub(crate) mod tests;
