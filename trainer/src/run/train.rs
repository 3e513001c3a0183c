//! The training run: steps, evaluations, checkpoints, until the clock runs out or the user stops it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::data::mix::MAX_SHARE;
use crate::interrupt;
use crate::nn::{StepOptions, StepStats, Story, TrainDepth};
use crate::optim::Outcome;
use crate::report::{Reporter, Server};
use crate::run::answers::AnswerCounts;
use crate::run::checkpoint;
use crate::run::closing;
use crate::run::levels::Opened;
use crate::run::metrics::{EvalRecord, Record, SampleRecord, StepRecord};
use crate::run::origin::{Origin, Underway};
use crate::run::pace::Pace;
use crate::run::prepare;
use crate::run::progress::{Progress, Status};
use crate::run::request::Request;
use crate::run::schedule::{DepthTraining, Point};
use crate::run::settings::Settings;
use crate::run::standing::{calibrate, save};
use crate::run::training::Run;
use crate::run::{finish, generate, phases, reasoning};
use crate::terminal;

/// Share of the run from which on evaluations fit the choice of depth.
const CALIBRATED_FROM: f64 = 0.75;
/// Batches they fit it to at the most: each takes a forward pass at every depth.
const CALIBRATION_BATCHES: usize = 4;
/// Steps in a row without a usable gradient that end the run.
const MAX_SKIPPED: u32 = 5;
/// Stories shown at every evaluation: how they begin, and the sampler's seed.
const SAMPLES: [(&str, u64); 2] = [("Once upon a time", 1), ("", 2)];
/// Length of a shown story, tokens.
const SAMPLE_TOKENS: usize = 120;
/// Time between two looks of the live report at the newest steps.
const LIVE_EVERY: Duration = Duration::from_secs(5);
/// Weight of the newest step in the displayed averages.
const SMOOTHING: f64 = 0.05;

/// Trains as is asked for. Returns when the run is complete or was interrupted; both leave a checkpoint
/// and a packed model in the output directory. Of several ranks all have to call it: the first decides and writes, the
/// others follow.
pub fn train(request: &Request) -> anyhow::Result<()> {
    interrupt::install().context("cannot install the Ctrl-C handler")?;
    let mut progress = if request.ranks.leads() { Progress::new() } else { Progress::silent() };
    // a port that is taken is said before anything is read or moved
    let server = Display::serve(request)?;
    let mut run = prepare::prepare(request, &progress)?;
    go_on(request, &mut run, server, &mut progress)
}

/// Trains a run that is prepared, as [`train`] does; `server` shows it, where there is one.
pub fn go_on(request: &Request, run: &mut Run, server: Option<Server>, progress: &mut Progress) -> anyhow::Result<()> {
    let mut display = Display::new(request, run, server, progress)?;
    // on one of the replicas' own threads, where a step allocates nothing
    run.engine.pool().install(|| train_prepared(request, run, &mut display, progress))
}

fn train_prepared(
    request: &Request,
    run: &mut Run,
    display: &mut Display,
    progress: &mut Progress,
) -> anyhow::Result<()> {
    let mut timers = Timers::new(request);
    let (mut averages, mut pace) = (Averages::default(), Pace::default());
    let mut skipped = 0;
    loop {
        let share = run.share();
        if share >= 1.0 || run.is_stopped() {
            break;
        }
        let point = run.settings.schedule.at(share);
        let opened = phases::enter(run, &point, share, progress)?;
        report_opened(run, progress, opened);
        if run.is_stopped() {
            break;
        }
        enter(&mut pace, run, &point);
        // what was charged to it since the last step was none
        run.engine.take_profile();
        let (stats, grad_norm, took) = step(run, &point)?;
        run.step += 1;
        match grad_norm {
            Some(_) => {
                skipped = 0;
                run.tokens += stats.tokens as u64;
                averages.add(&stats, took);
                if let Some(changed) = pace.add(&stats, took, &run.engine.take_profile()) {
                    progress.line(&format!("step {}: {changed}", run.step));
                }
                run.answers.add(&stats.answers);
                let blended = run.settings.schedule.depth_training == DepthTraining::Blend;
                let any_depth = blended || run.config.rcsm.is_none();
                let opened = run.levels.count(&stats.answers, point.levels.1, any_depth);
                report_opened(run, progress, opened);
            }
            None => {
                skipped += 1;
                let what = if stats.loss.is_finite() { "a gradient" } else { "the loss" };
                progress.warning(&format!("step {}: {what} is not finite: step skipped", run.step));
                // what the lanes carry may be spoilt too
                run.mend_lanes();
                if skipped >= MAX_SKIPPED {
                    return Err(run.ranks.together(anyhow!("{}", diverged(run))));
                }
            }
        }
        record_step(run, progress, &point, stats, grad_norm, took);
        progress.show(&Status {
            progress: run.clock.progress(run.step),
            phase: &run.settings.schedule.phases[point.phase].name,
            step: run.step,
            loss: averages.loss,
            bpc: run.last_bpc(),
            bpc_before: run.curve.iter().rev().nth(1).map(|e| e.bpc),
            tokens_per_second: averages.rate,
            mean_passes: run.config.rcsm.map(|_| averages.passes),
            answers: &run.answers,
            left: run.clock.left(run.step),
        });
        if run.ranks.agree_whether(timers.evaluation.is_due()) {
            if run.share() >= CALIBRATED_FROM {
                calibrate(run, progress, CALIBRATION_BATCHES);
            }
            // the first rank alone writes what it finds
            if run.ranks.leads() {
                evaluate(run, display, progress)?;
            }
        }
        if display.server.is_some() && timers.live.is_due() {
            run.metrics.flush().iter().for_each(|message| progress.line(message));
        }
        if run.ranks.agree_whether(timers.checkpoint.is_due()) {
            run.check_alike()?;
            save(run, progress);
        }
    }
    progress.finish();
    let finished = finish::finish(run, progress);
    if run.step > 0 {
        display.write(run, progress);
    }
    let Some(made) = finished? else { return Ok(()) };
    progress.finish();
    for line in closing::lines(&made, request.invocation.as_ref(), terminal::width()) {
        // wrapped as a shell wants it
        terminal::print(&line);
    }
    Ok(())
}

/// Tells the watch over tokens per second which phase is at hand, and what it asks for.
fn enter(pace: &mut Pace, run: &Run, point: &Point) {
    let reasoning = (run.settings.source.mix.share * point.mix).min(MAX_SHARE);
    pace.enter(point.phase, &run.settings.schedule.phases[point.phase].name, reasoning.into());
}

/// Forward, backward and update. The gradient norm is `None` where a value was not finite and nothing changed.
fn step(run: &mut Run, point: &Point) -> anyhow::Result<(StepStats, Option<f64>, Duration)> {
    let started = Instant::now();
    let depth = match run.settings.schedule.depth_training {
        DepthTraining::Forced => TrainDepth::Rows,
        DepthTraining::Blend => {
            TrainDepth::Blend { tau: point.tau, noise_seed: Some(noise_seed(run.settings.seed, run.step)) }
        }
    };
    let Settings { answer_weight, answer_smoothing, z_loss, .. } = run.settings;
    let options = StepOptions { depth, balance: point.balance, answer_weight, answer_smoothing, z_loss };
    let Run { engine, streams, optimizer, ranks, .. } = run;
    let stats = engine.step(|replica, rows| streams.fill(replica, rows), &options);
    if let Some(failure) = streams.failure() {
        bail!("{failure}; {}", last_checkpoint(&run.out));
    }
    let outcome = if stats.loss.is_finite() {
        engine.update(|params, grads, _| optimizer.update_among(ranks, params, grads, point.lr))
    } else {
        Outcome::NotFinite
    };
    let grad_norm = match outcome {
        Outcome::Applied { grad_norm } => Some(grad_norm),
        Outcome::NotFinite => None,
    };
    Ok((stats, grad_norm, started.elapsed()))
}

/// A seed for the step's Gumbel noise: a function of the run's seed and the step, so that a resumed run draws the same.
fn noise_seed(seed: u64, step: u64) -> u64 {
    // SplitMix64 (Steele et al., 2014)
    let mut z = seed.wrapping_add((step + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn record_step(
    run: &mut Run,
    progress: &Progress,
    point: &Point,
    stats: StepStats,
    grad_norm: Option<f64>,
    took: Duration,
) {
    let record = Record::Step(StepRecord {
        step: run.step,
        elapsed: run.clock.elapsed().as_secs_f64(),
        phase: run.settings.schedule.phases[point.phase].name.clone(),
        loss: stats.loss,
        grad_norm,
        lr: point.lr,
        tokens: run.tokens,
        tokens_per_second: stats.tokens as f64 / took.as_secs_f64(),
        mean_passes: stats.mean_passes,
        op_usage: run.engine.op_usage().to_vec(),
        answers: AnswerCounts::of(&stats.answers),
    });
    if let Some(message) = run.metrics.write(&record) {
        progress.warning(&message);
    }
}

/// Says that questions get harder.
fn report_opened(run: &Run, progress: &Progress, opened: Option<Opened>) {
    if let Some(opened) = opened {
        progress.line(&format!("step {}: {opened}", run.step));
    }
}

/// Bits per byte on the fixed part of the held-out stories, and a sample to read.
fn evaluate(run: &mut Run, display: &mut Display, progress: &Progress) -> anyhow::Result<()> {
    let part = &run.held_out_head;
    let stories: Vec<Story> = part.stories.iter().map(|s| (&s.tokens[..], s.terminated)).collect();
    let evaluation = run.engine.evaluate(&stories, run.depth);
    let blob = run.pack()?;
    let record = EvalRecord {
        step: run.step,
        elapsed: run.clock.elapsed().as_secs_f64(),
        bpc: evaluation.bits / part.bytes as f64,
        bytes: part.bytes,
        tokens: run.tokens,
        mean_passes: evaluation.mean_passes,
        reasoning: reasoning::observe(&blob, &stories)?,
    };
    progress.line(&format!(
        "step {}: held-out {:.4} bpc on {} bytes, {:.2} passes a token",
        run.step, record.bpc, record.bytes, record.mean_passes
    ));
    let mut notes = vec![run.metrics.write(&Record::Eval(record.clone()))];
    run.curve.push(record);
    for (prompt, seed) in SAMPLES {
        let text = generate::sample(&blob, prompt, SAMPLE_TOKENS, seed)?;
        progress.sample(&text);
        let sample = SampleRecord { step: run.step, prompt: prompt.into(), seed, text };
        notes.push(run.metrics.write(&Record::Sample(sample)));
    }
    notes.push(run.metrics.flush());
    notes.into_iter().flatten().for_each(|message| progress.line(&message));
    if let Some(server) = &display.server {
        server.publish(run.step, blob);
    }
    display.write(run, progress);
    Ok(())
}

/// What the run shows of itself: files, and the server where it is asked for.
struct Display {
    /// The first rank's.
    reporter: Option<Reporter>,
    server: Option<Server>,
}

impl Display {
    fn serve(request: &Request) -> anyhow::Result<Option<Server>> {
        request.report.check()?;
        let start = |port| Server::start(port, &request.out);
        request.report.serve.filter(|_| request.ranks.leads()).map(start).transpose()
    }

    fn new(request: &Request, run: &Run, server: Option<Server>, progress: &Progress) -> anyhow::Result<Self> {
        let underway = Underway {
            preset: run.preset.into(),
            parameters: run.engine.params().layout.len,
            origin: Origin::now(run.settings.batch.replicas()),
        };
        if let Some(server) = &server {
            server.introduce(underway.clone());
            server.publish(run.step, run.pack()?);
            progress.line(&format!("report: {}", server.url()));
        }
        let reporter = || Reporter::new(&run.out, request.report.tensorboard.as_deref(), run.step, underway);
        Ok(Self { reporter: run.ranks.leads().then(reporter).transpose()?, server })
    }

    /// Brings the files up to date.
    fn write(&mut self, run: &Run, progress: &Progress) {
        let elapsed = run.clock.elapsed().as_secs_f64();
        let written = self.reporter.as_mut().and_then(|reporter| reporter.write(elapsed));
        written.iter().for_each(|message| progress.line(message));
    }
}

fn diverged(run: &Run) -> String {
    let last = last_checkpoint(&run.out);
    format!("{MAX_SKIPPED} steps in a row were not finite: training diverged; try a lower --lr. {last}")
}

/// Where a run that ends without saving can go on from.
fn last_checkpoint(out: &Path) -> String {
    match checkpoint::list(out).first() {
        Some((step, path)) => format!("the last checkpoint, of step {step}, is {}", path.display()),
        None => "no checkpoint was saved yet".into(),
    }
}

/// Exponential averages for the display.
#[derive(Default)]
struct Averages {
    loss: f64,
    rate: f64,
    passes: f64,
    count: u32,
}

impl Averages {
    fn add(&mut self, stats: &StepStats, took: Duration) {
        self.count += 1;
        // the plain mean of the first few, then the exponential one
        let weight = SMOOTHING.max(1.0 / self.count as f64);
        let rate = stats.tokens as f64 / took.as_secs_f64();
        for (average, value) in
            [(&mut self.loss, stats.loss), (&mut self.rate, rate), (&mut self.passes, stats.mean_passes)]
        {
            *average += weight * (value - *average);
        }
    }
}

/// What is done from time to time.
struct Timers {
    evaluation: Timer,
    checkpoint: Timer,
    live: Timer,
}

struct Timer {
    every: Duration,
    last: Instant,
}

impl Timers {
    fn new(request: &Request) -> Self {
        let timer = |every| Timer { every, last: Instant::now() };
        Self {
            evaluation: timer(request.evaluate_every),
            checkpoint: timer(request.checkpoint_every),
            live: timer(LIVE_EVERY),
        }
    }
}

impl Timer {
    fn is_due(&mut self) -> bool {
        let due = self.last.elapsed() >= self.every;
        if due {
            self.last = Instant::now();
        }
        due
    }
}
