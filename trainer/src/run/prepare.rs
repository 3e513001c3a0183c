//! From what is asked for to a run ready for its next step: data, model, optimiser, and where a checkpoint left them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail};
use flashlm_core::Tokenizer;
use flashlm_core::config::{Depth, ModelConfig};
use flashlm_core::tokenizer::FIRST_MERGE;
use flashlm_host::output;

use crate::data::{self, Fingerprints, Prepared, hash};
use crate::nn::{BatchShape, EmbeddingMode, Engine, Footprint, Layout, Params};
use crate::optim::Optimizer;
use crate::ranks::gradients::Gradients;
use crate::run::answers::AnswerRates;
use crate::run::checkpoint::{self, Checkpoint};
use crate::run::clock::Clock;
use crate::run::difference::{self, difference, dimensions};
use crate::run::directory::{CONFIGURATION, Directory};
use crate::run::levels::Levels;
use crate::run::load::load;
use crate::run::log;
use crate::run::metrics::{self, EvalRecord, Metrics};
use crate::run::progress::Progress;
use crate::run::request::{Request, Resume};
use crate::run::schedule::DepthTraining;
use crate::run::settings::Settings;
use crate::run::streams::{Lanes, Streams};
use crate::run::training::{Identity, Run};

/// Bytes of held-out text that the evaluations during a run score.
const EVALUATION_BYTES: u64 = 100_000;

/// Prepares everything that is asked for.
pub fn prepare(request: &Request, progress: &Progress) -> anyhow::Result<Run> {
    let Request { preset, mut config, kernels, .. } = *request;
    let (settings, out) = (request.settings.clone(), request.out.clone());
    let (batch, ranks) = (settings.batch, request.ranks.clone());
    same_request(request)?;
    // before anything is read, with the smallest vocabulary that the stories can give
    check_memory(request, ModelConfig { vocab: config.vocab.min(FIRST_MERGE.into()), ..config })?;
    let mut directory = ranks.leads().then(|| Directory::claim(&out)).transpose()?;
    let checkpoint = checkpoint::spread(&ranks, || find_checkpoint(request, directory.as_ref()))?;
    let data = ranks.in_turn(|| load(request, checkpoint.as_ref(), progress))?;
    let prints = hash::hash(&serde_json::to_vec(&data.fingerprints)?);
    ranks.same("the texts", prints).map_err(|e| ranks.together(e.into()))?;
    let Prepared { tokenizer, train, valid, valid_path, fingerprints, mixed, .. } = data;
    let held_out = |text: &data::MixedText| Some((text.name.clone(), text.held_out.clone()?));
    let held_out_mixed = mixed.iter().filter_map(held_out).collect();
    let words = Tokenizer::from_bytes(&tokenizer)?;
    if words.vocab() < config.vocab {
        progress.line(&format!("the stories give a vocabulary of {} tokens", words.vocab()));
    }
    config.vocab = words.vocab();

    check_memory(request, config)?;
    let mut params = match (&checkpoint, &request.start) {
        (Some(checkpoint), _) => checkpoint.params.clone(),
        (None, Some(start)) => start.params.clone(),
        (None, None) => Params::init(&config, settings.seed),
    };
    ranks.share_floats(&mut params.data);
    let (all, ternary) = params.layout.counts();
    let mut optimizer = Optimizer::new(kernels, &params.layout, settings.optimizer);
    let mut streams = Streams::new(
        data::with_shares(train, mixed),
        tokenizer.clone(),
        &settings.source.mix,
        Lanes {
            ranks: ranks.count(),
            rank: ranks.rank(),
            replicas: batch.threads,
            sequences: batch.sequences,
            seed: settings.seed,
        },
    )?;
    let depth = inference_depth(&config, &settings, checkpoint.as_ref());
    if let Some(rcsm) = &mut config.rcsm {
        rcsm.default_depth = depth;
    }
    let mut engine = Engine::new(config, kernels, params, shape(&settings), EmbeddingMode::Int8)?;
    if let Some(gradients) = Gradients::new(&ranks, settings.reduce, all) {
        engine.join(Box::new(gradients))?;
    }
    progress.line(&format!(
        "{preset}: {:.2} M parameters, {:.0} % ternary; {}{} threads x {} sequences x {} tokens x {}; {} kernels",
        all as f64 / 1e6,
        100.0 * ternary as f64 / all as f64,
        if ranks.count() > 1 { format!("{} ranks x ", ranks.count()) } else { String::new() },
        batch.threads,
        batch.sequences,
        batch.tokens,
        batch.accumulate,
        settings.kernels
    ));
    let state = match &checkpoint {
        Some(c) => resume(c, request, &fingerprints, &mut optimizer, &mut streams, &mut engine, progress)?,
        None => {
            if let Some(start) = &request.start {
                progress.line(&format!("begins with the weights and the tokenizer of {}", start.name));
            }
            Standing::default()
        }
    };
    say_what_is_short(&streams, &settings, progress);
    // nothing can be refused any more: only now is anything moved or written
    let (metrics, curve) = match &mut directory {
        Some(directory) => begin_files(request, checkpoint.as_ref(), directory, state.step, progress)?,
        None => (Metrics::nowhere(), Vec::new()),
    };
    let goes_on = checkpoint.as_ref().is_some_and(|c| is_in(&c.path, &out));
    // what begins from another directory's checkpoint is a run of its own
    let number = state.run.filter(|_| goes_on).unwrap_or_else(new_run);
    let saved = ranks.agree_whether(goes_on && out.join(checkpoint::file_name(state.step)).exists());
    Ok(Run {
        ranks,
        saved: saved.then_some(state.step),
        identity: Identity { run: number, fingerprints },
        directory,
        clock: Clock::start(settings.budget, Duration::from_secs_f64(state.elapsed)),
        preset,
        config,
        tokenizer: tokenizer.clone(),
        engine,
        optimizer,
        streams,
        held_out_head: valid.head(EVALUATION_BYTES, words),
        held_out: valid,
        held_out_path: valid_path,
        held_out_mixed,
        step: state.step,
        tokens: state.tokens,
        phases: state.phases,
        phase: 0,
        depth,
        levels: state.levels,
        answers: state.answers,
        metrics,
        curve,
        final_bpc: None,
        settings,
        out,
    })
}

/// Where a run stands.
#[derive(Default)]
struct Standing {
    /// Which it is, where it is not a new one.
    run: Option<u64>,
    step: u64,
    tokens: u64,
    elapsed: f64,
    levels: Levels,
    answers: AnswerRates,
    phases: log::Log,
}

/// The depth inference takes until the choice is fitted: the deepest, unless the choice is trained with the model or a
/// checkpoint has it fitted.
fn inference_depth(config: &ModelConfig, settings: &Settings, checkpoint: Option<&Checkpoint>) -> Depth {
    let fitted = checkpoint.and_then(|c| c.config.rcsm).is_some_and(|rcsm| rcsm.default_depth == Depth::Adaptive);
    match (config.rcsm, settings.schedule.depth_training) {
        (None, _) => Depth::Fixed(1),
        (Some(_), DepthTraining::Blend) => Depth::Adaptive,
        (Some(_), DepthTraining::Forced) if fitted && settings.calibrate => Depth::Adaptive,
        // the choice that the model came with
        (Some(rcsm), DepthTraining::Forced) if settings.from.is_some() && !settings.calibrate => rcsm.default_depth,
        (Some(rcsm), DepthTraining::Forced) => Depth::Fixed(rcsm.depths[2]),
    }
}

/// Refuses a model of this configuration that there is no memory to train.
fn check_memory(request: &Request, config: ModelConfig) -> anyhow::Result<()> {
    let Request { kernels, settings, .. } = request;
    let layout = Layout::new(&config);
    let kept = if request.ranks.link().is_some() { Gradients::memory(settings.reduce, layout.len) } else { 0 };
    let optimizer = Optimizer::memory(*kernels, &layout, settings.optimizer);
    Ok(Footprint::of(&config, *kernels, shape(settings), EmbeddingMode::Int8).check(optimizer + kept)?)
}

/// How a run's batches are cut.
fn shape(settings: &Settings) -> BatchShape {
    let batch = settings.batch;
    BatchShape {
        threads: batch.threads,
        sequences: batch.sequences,
        tokens: batch.tokens,
        accumulate: batch.accumulate,
    }
}

/// The checkpoint to go on from, if any; an error where it cannot be read or is of another model.
fn find_checkpoint(request: &Request, directory: Option<&Directory>) -> anyhow::Result<Option<Checkpoint>> {
    let config = &request.config;
    let found = match &request.resume {
        Resume::Never => return Ok(None),
        Resume::File(path) => checkpoint::read_to_resume(path)?,
        Resume::Auto => {
            let Some(directory) = directory else { return Ok(None) };
            let mut all = checkpoint::list(directory.path()).into_iter();
            let Some((_, newest)) = all.next() else { return Ok(None) };
            checkpoint::read_to_resume(&newest).map_err(|e| anyhow!("{e}; {}", way_out(all)))?
        }
    };
    if !same_model(&found.config, config) {
        let way_out = match request.resume {
            Resume::File(_) => "expected the same dimensions",
            _ => "expected the same dimensions, another --out, or --resume never to start anew",
        };
        let different = dimensions(&found.config, config).join(", ");
        bail!("{}: is a checkpoint of another model ({different}): {way_out}", found.path.display());
    }
    Ok(Some(found))
}

/// What to do about a checkpoint that is no use, by those before it.
fn way_out(before: impl Iterator<Item = (u64, PathBuf)>) -> String {
    let anew = "--resume never starts anew and moves this run aside";
    let whole = before.map(|(_, path)| path).find(|path| checkpoint::read_to_resume(path).is_ok());
    match whole {
        Some(path) => format!("nothing was changed: --resume {} goes on from the one before, {anew}", path.display()),
        None => format!("nothing was changed: {anew}"),
    }
}

/// Refuses ranks that were not asked for the same: they would not train one model.
fn same_request(request: &Request) -> anyhow::Result<()> {
    let Request { ranks, settings, config, .. } = request;
    if ranks.link().is_none() {
        return Ok(());
    }
    let first: (Settings, ModelConfig) =
        serde_json::from_slice(&ranks.share(serde_json::to_vec(&(settings, config))?))?;
    let mut differences = difference::settings(&first.0, settings);
    differences.extend(dimensions(&first.1, config));
    if !differences.is_empty() {
        let same =
            "expected the same on every rank; --threads, --isa and --precision depend on the machine unless given";
        bail!("differs from rank 0 ({}): {same}", differences.join(", "));
    }
    Ok(())
}

/// Puts what is there out of the way and begins the files of the run, as of `step`.
fn begin_files(
    request: &Request,
    checkpoint: Option<&Checkpoint>,
    directory: &mut Directory,
    step: u64,
    progress: &Progress,
) -> anyhow::Result<(Metrics, Vec<EvalRecord>)> {
    make_way(request, checkpoint, directory, progress)?;
    let path = request.out.join(metrics::FILE);
    let begun = Metrics::open(&path, step).with_context(|| format!("cannot write {}", path.display()))?;
    if !request.written.is_empty() {
        let path = request.out.join(CONFIGURATION);
        output::write(&path, &[], |file| file.write_all(request.written.as_bytes()))?;
    }
    directory.keep();
    Ok(begun)
}

/// Moves what this run must not touch out of its directory, and says so.
fn make_way(
    request: &Request,
    checkpoint: Option<&Checkpoint>,
    directory: &Directory,
    progress: &Progress,
) -> anyhow::Result<()> {
    let moved = match checkpoint {
        None => directory.move_aside()?.map(|to| ("the run that is there", to)),
        Some(found) if is_in(&found.path, directory.path()) => {
            let step = found.state.as_ref().map_or(0, |state| state.step);
            directory.go_back_to(step)?.map(|to| ("what came after that checkpoint", to))
        }
        Some(_) => directory.move_aside()?.map(|to| ("the run that is there", to)),
    };
    if let Some((what, to)) = moved {
        progress.line(&format!("{}: {what} was moved to {}", request.out.display(), to.display()));
    }
    Ok(())
}

/// Whether a file is in a directory, by whatever names.
fn is_in(file: &Path, dir: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    whole(parent).is_some_and(|parent| whole(dir) == Some(parent))
}

/// A number for a new run.
fn new_run() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // never 0, which stands for none
    hash::mix(now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32)) | 1
}

/// Says where there is less text than the rows of a batch can have their own of.
fn say_what_is_short(streams: &Streams, settings: &Settings, progress: &Progress) {
    let rows = settings.batch.rows();
    let pool = settings.schedule.phases.iter().map(|phase| phase.pool).fold(1.0, f32::min);
    let beginnings = streams.beginnings(pool);
    if beginnings < rows {
        progress.line(&format!(
            "little text: its first phase reads {beginnings} stories or pieces of them in the {rows} rows of a batch, \
             so that some rows read the same; fewer --sequences or --threads give every row its own"
        ));
    }
}

/// Whether a checkpoint is of the model asked for. Training itself sets the depth of inference, and a small corpus
/// gives fewer tokens than were asked for.
pub fn same_model(found: &ModelConfig, asked: &ModelConfig) -> bool {
    let mut found = *found;
    if let (Some(f), Some(a)) = (&mut found.rcsm, &asked.rcsm) {
        f.default_depth = a.default_depth;
    }
    found.vocab <= asked.vocab && ModelConfig { vocab: asked.vocab, ..found } == *asked
}

/// Gives optimiser, streams and engine what a checkpoint holds for them.
fn resume(
    checkpoint: &Checkpoint,
    request: &Request,
    fingerprints: &Fingerprints,
    optimizer: &mut Optimizer,
    streams: &mut Streams,
    engine: &mut Engine,
    progress: &Progress,
) -> anyhow::Result<Standing> {
    let Some(state) = &checkpoint.state else { bail!("{}: no training state", checkpoint.path.display()) };
    let path = checkpoint.path.display();
    let difference =
        difference(state, &request.settings, fingerprints, request.extends).map_err(|e| anyhow!("{path}: {e}"))?;
    progress.line(&format!("going on from {path}, step {}", state.step));
    for change in &difference.changes {
        progress.line(&format!("  changed: {change}"));
    }
    checkpoint.restore(optimizer)?;
    streams.stories_mut().add_tokens(&checkpoint.generated);
    if !difference.restarts.is_empty() {
        let what = difference.restarts.join(", ");
        progress.line(&format!("  the data stream starts anew, as what it depends on changed: {what}"));
    } else if !difference.regroups.is_empty() && streams.regroup(&state.cursor) {
        let what = difference.regroups.join(", ");
        progress.line(&format!("  the lanes go on about where those before stood, from new stories: {what} changed"));
    } else if !streams.restore(&state.cursor) || engine.set_states(request.ranks.part(&checkpoint.lanes)).is_err() {
        progress.line("  the data stream starts anew: where it stood is not in the checkpoint");
    }
    Ok(Standing {
        run: Some(state.run).filter(|&run| run != 0),
        step: state.step,
        tokens: state.tokens,
        elapsed: state.elapsed,
        levels: state.levels.clone(),
        answers: state.answers.clone(),
        phases: state.phases.clone(),
    })
}

#[cfg(test)]
mod tests {
    use flashlm_core::config::RcsmConfig;

    use super::*;

    #[test]
    fn what_training_itself_sets_does_not_make_another_model() {
        let asked = ModelConfig::SUPERNOVA;
        let trained = RcsmConfig { default_depth: Depth::Fixed(1), ..RcsmConfig::DEFAULT };
        assert!(same_model(&ModelConfig { rcsm: Some(trained), vocab: 3000, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { d_model: 128, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { rcsm: None, ..asked }, &asked));
        assert!(!same_model(&ModelConfig { vocab: 5000, ..asked }, &asked));
    }
}
