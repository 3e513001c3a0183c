//! The end of a run: the last checkpoint, the packed model, the whole held-out text scored twice, `results.json`.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{anyhow, bail};
use flashlm_host::{Blob, output};

use crate::interrupt;
use crate::nn::Story;
use crate::run::amplify::{self, guard};
use crate::run::checkpoint;
use crate::run::closing::{Bpc, Made};
use crate::run::directory::{CONFIGURATION, NEWEST, PACKED};
use crate::run::metrics::{self, EvalRecord, Record};
use crate::run::origin::Origin;
use crate::run::phases;
use crate::run::progress::Progress;
use crate::run::reasoning;
use crate::run::results::{Depths, HeldOut, Results};
use crate::run::standing::{calibrate, save};
use crate::run::training::Run;
use crate::terminal;

/// The most the packed model's bits per byte may differ from the trainer's ([DESIGN section
/// 5](flashlm_core::design::measures)).
const PACKED_TOLERANCE: f64 = 0.002;

/// Batches that the choice of depth is fitted to at the end, at the most.
const CALIBRATION_BATCHES: usize = 32;
/// Stories scored between two looks at Ctrl-C.
const AT_A_TIME: usize = 256;

/// Saves and exports; a complete run is also measured on all of the held-out text, unless the user is in a hurry or it
/// was measured before. Returns what was made. Of several ranks all have to call it, and the first does what needs no
/// other: only there something was made.
pub fn finish(run: &mut Run, progress: &mut Progress) -> anyhow::Result<Option<Made>> {
    if run.step == 0 {
        // there is nothing to keep: an untrained model must not look like one
        for name in [metrics::FILE, CONFIGURATION].into_iter().filter(|_| run.ranks.leads()) {
            let _ = fs::remove_file(run.out.join(name));
        }
        let nothing = "stopped before the first step: nothing was trained and nothing exported";
        return Err(run.ranks.together(anyhow!(nothing)));
    }
    run.check_alike()?;
    let share = run.share();
    let complete = share >= 1.0;
    // what follows is no training
    let elapsed = run.clock.elapsed().as_secs_f64();
    let point = run.settings.schedule.at(share);
    // nothing is read any more: what this opens is nobody's news
    run.enter(&point);
    amplify::mix_again(run);
    if complete && phases::close(run, progress) {
        run.saved = None;
    }
    let path = run.out.join(Results::FILE);
    let known = complete && run.saved == Some(run.step) && run.ranks.leads();
    let before = if known { measured_before(&path, run) } else { None };
    run.final_bpc = before.as_ref().map(|h| h.bpc);
    let fits = run.ranks.agree_whether(complete && before.is_none());
    let calibration = if fits { calibrate(run, progress, CALIBRATION_BATCHES) } else { None };
    let saved = run.saved == Some(run.step) && calibration.is_none() || save(run, progress);
    if !run.ranks.leads() {
        return Ok(None);
    }
    let flm = run.out.join(PACKED);
    let export = |run: &Run| -> anyhow::Result<Blob> {
        let blob = run.pack()?;
        output::write(&flm, &[], |file| file.write_all(blob.bytes()))?;
        Ok(blob)
    };
    let mut blob = export(run)?;
    if saved {
        let newest = run.out.join(checkpoint::file_name(run.step));
        output::link(&newest, &run.out.join(NEWEST))?;
    }
    if complete && saved {
        guard::remove_copy(&run.out);
    }
    if before.is_some() {
        progress.line(&format!("finished earlier, after {} steps: {} stands", run.step, path.display()));
        return Ok(Some(made(run, complete, blob.bytes().len(), before.as_ref())));
    }
    let held_out = if complete { measure(run, &blob, elapsed, progress)? } else { None };
    if held_out.is_some() {
        // once more, with the figure among its facts
        blob = export(run)?;
    }
    let results = Results {
        version: Results::VERSION,
        origin: Origin::now(run.settings.batch.replicas()),
        preset: run.preset.into(),
        complete,
        parameters: run.engine.params().layout.len,
        steps: run.step,
        tokens: run.tokens,
        elapsed,
        tokens_per_second: run.tokens as f64 / elapsed.max(1e-9),
        held_out: held_out.clone(),
        answers: run.answers.shares(),
        level: run.levels.open(),
        calibration: calibration.map(Depths::from),
        curve: run.curve.clone(),
        phases: run.phases.clone(),
        settings: serde_json::to_value(&run.settings)?,
    };
    results.write(&path)?;
    progress.line(&run.phases.fitting(terminal::width()));
    if !saved {
        bail!("the last checkpoint could not be saved; {} is complete", flm.display());
    }
    match held_out {
        Some(ref h) if (h.bpc - h.packed_bpc).abs() > PACKED_TOLERANCE => {
            bail!("the packed model's {:.4} bpc is not the trainer's {:.4}: this is a bug", h.packed_bpc, h.bpc)
        }
        _ => Ok(Some(made(run, complete, blob.bytes().len(), held_out.as_ref()))),
    }
}

fn made(run: &Run, complete: bool, bytes: usize, held_out: Option<&HeldOut>) -> Made {
    let of_all = held_out.map(|h| Bpc::OfAll(h.packed_bpc));
    Made {
        out: run.out.clone(),
        complete,
        budget: run.settings.budget,
        step: run.step,
        tokens: run.tokens,
        bytes,
        bpc: of_all.or(run.last_bpc().map(Bpc::WhenLastEvaluated)),
    }
}

/// The figure that an earlier session left in `results`, if it was of the same step and text.
fn measured_before(results: &Path, run: &Run) -> Option<HeldOut> {
    let earlier = Results::read(results).ok()?;
    let same_text = |h: &HeldOut| h.file == run.held_out_path.display().to_string() && h.bytes == run.held_out.bytes;
    earlier.held_out.filter(|h| earlier.complete && earlier.steps == run.step && same_text(h))
}

/// Bits per byte of all held-out text by the engine and by the packed model; `None` when the user stopped it.
fn measure(run: &mut Run, blob: &Blob, elapsed: f64, progress: &mut Progress) -> anyhow::Result<Option<HeldOut>> {
    let bytes = run.held_out.bytes;
    progress.line(&format!("scoring {bytes} bytes of held-out text twice (Ctrl-C: leave that out)"));
    let stories: Vec<Story> = run.held_out.stories.iter().map(|s| (&s.tokens[..], s.terminated)).collect();
    let (mut bits, mut packed_bits, mut tokens, mut passes) = (0.0, 0.0, 0, 0.0);
    for (i, part) in stories.chunks(AT_A_TIME).enumerate() {
        if interrupt::requested() {
            return Ok(None);
        }
        progress.doing("scoring held-out text", (i * AT_A_TIME) as f64 / stories.len() as f64);
        let evaluation = run.engine.evaluate(part, run.depth);
        bits += evaluation.bits;
        tokens += evaluation.tokens;
        passes += evaluation.mean_passes * evaluation.tokens as f64;
        packed_bits += flashlm_host::stories(blob, part, 0, None, run.settings.batch.threads)?.bits;
    }
    progress.finish();
    let (bpc, packed_bpc) = (bits / bytes as f64, packed_bits / bytes as f64);
    let mean_passes = passes / tokens.max(1) as f64;
    progress.line(&format!(
        "held-out: {bpc:.4} bits per character by the trainer, {packed_bpc:.4} by the packed model, \
         {mean_passes:.2} passes a token"
    ));
    let reasoning = reasoning::observe(blob, &stories)?;
    let record = EvalRecord { step: run.step, elapsed, bpc, bytes, tokens: run.tokens, mean_passes, reasoning };
    let notes = [run.metrics.write(&Record::Eval(record)), run.metrics.flush()];
    notes.into_iter().flatten().for_each(|message| progress.line(&message));
    run.final_bpc = Some(bpc);
    let file = run.held_out_path.display().to_string();
    Ok(Some(HeldOut { file, bytes, bpc, packed_bpc, mean_passes }))
}
