//! `trainer compare`: presets trained for the same time on the same data, side by side in a table, as JSON and as a
//! plot.

use std::hint::black_box;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use flashlm_core::{Sampler, SamplerConfig};
use flashlm_host::{Blob, output};
use serde::Serialize;

use super::ablate::grid::{self, Axis};
use super::ablate::runs::{self, Outcome};
use super::ablate::{all_done, plan};
use super::args::TrainArgs;
use crate::nn::Layout;
use crate::plot::{self, Curve, Point};
use crate::run::packed;
use crate::run::preset::{self, Named, Preset};
use crate::run::results::Results;

/// Tokens a decoding run takes, and the runs, of which the median counts.
const DECODED: usize = 512;
const REPEATS: usize = 5;

#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// Presets to train, one after the other
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PRESET,...")]
    #[arg(default_value = "supernova,thunderbolt,nova-ignition,bolt,transformer")]
    pub presets: Vec<Preset>,
    /// Of every run; --presets takes the place of --preset, and --out holds a directory for each [default: out/compare]
    #[command(flatten)]
    pub train: TrainArgs,
}

/// One preset's line of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    preset: &'static str,
    parameters: usize,
    /// Parameters that are ternary.
    ternary: usize,
    /// The packed model's file.
    packed_bytes: usize,
    steps: u64,
    /// Tokens trained on.
    tokens: u64,
    /// Wall-clock seconds of training, evaluations included.
    seconds: f64,
    /// Bits per byte of the whole held-out text, by the packed model.
    bpc: f64,
    /// One thread, this CPU's best kernels, logits and sampling included.
    decode_tokens_per_second: f64,
    /// What a session carries from token to token.
    state_bytes: usize,
    /// Bits per byte over wall-clock seconds: on the first part of the held-out text, the last on all of it.
    curve: Vec<[f64; 2]>,
}

/// Runs `trainer compare`: the grid of `trainer ablate` over presets, with one seed. A run that was interrupted goes on
/// where it was when the command is given again.
pub fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let train = &args.train;
    if train.print_config {
        return super::print_config(train);
    }
    let presets = distinct(&args.presets);
    let find = |&preset: &Preset| preset::find(&preset::TABLE, preset, train.model.size);
    let models = presets.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    let words: Vec<String> = presets.iter().filter_map(ValueEnum::to_possible_value).map(word).collect();
    let axis = Axis::new("preset", &words.iter().map(String::as_str).collect::<Vec<_>>())?;
    let cells = grid::cells(&train.given, &[axis])?;
    let out = train.out.clone().unwrap_or_else(|| PathBuf::from("out").join("compare"));
    let dir = |model: &Named| out.join(model.name);
    let of = |cell: &grid::Cell| cells.iter().position(|own| own.name == cell.name).unwrap_or_default();
    let runs = plan(&cells, &[train.seed], |cell, _| dir(models[of(cell)]))?;
    let outcomes = runs::train(&runs, |_| Ok(()))?;
    let mut rows = Vec::new();
    for (model, outcome) in models.iter().zip(&outcomes) {
        if let Outcome::Complete(results) = outcome {
            rows.push(measure(model, results, &dir(model))?);
        }
    }
    let mut stdout = io::stdout().lock();
    write!(stdout, "{}", table(&rows))?;
    let json = serde_json::to_string_pretty(&rows)?;
    let mut write = |name: &str, text: &str| -> anyhow::Result<()> {
        let path = out.join(name);
        output::write(&path, &[], |file| file.write_all(text.as_bytes()))?;
        writeln!(stdout, "{}", path.display())?;
        Ok(())
    };
    write("compare.json", &json)?;
    let point = |&[seconds, bpc]: &[f64; 2]| Point { x: seconds / 60.0, y: bpc, spread: 0.0 };
    let curve = |row: &Row| Curve { name: row.preset.into(), points: row.curve.iter().map(point).collect() };
    let curves: Vec<_> = rows.iter().map(curve).collect();
    write("compare.svg", &plot::svg(&curves, "training, minutes", "held-out bits per character"))?;
    all_done(&outcomes)
}

fn word(value: PossibleValue) -> String {
    value.get_name().to_owned()
}

/// The presets in their order, each once.
fn distinct(presets: &[Preset]) -> Vec<Preset> {
    let mut distinct = Vec::new();
    presets.iter().for_each(|p| {
        if !distinct.contains(p) {
            distinct.push(*p)
        }
    });
    distinct
}

/// What a finished run in `dir` came to, and how fast its model decodes.
fn measure(named: &Named, results: &Results, dir: &Path) -> anyhow::Result<Row> {
    let path = dir.join(Results::FILE);
    let no_figure = || format!("{}: expected a held-out figure", path.display());
    let held_out = results.held_out.as_ref().with_context(no_figure)?;
    let blob = packed::load(&dir.join("model.flm"))?;
    let model = blob.model()?;
    let (parameters, ternary) = Layout::new(model.config()).counts();
    let mut curve: Vec<_> = results.curve.iter().map(|e| [e.elapsed, e.bpc]).collect();
    curve.push([results.elapsed, held_out.packed_bpc]);
    Ok(Row {
        preset: named.name,
        parameters,
        ternary,
        packed_bytes: blob.bytes().len(),
        steps: results.steps,
        tokens: results.tokens,
        seconds: results.elapsed,
        bpc: held_out.packed_bpc,
        decode_tokens_per_second: decode_rate(&blob)?,
        state_bytes: size_of_val(blob.session(None)?.state()),
        curve,
    })
}

/// Tokens per second of generating on one thread, the median of some runs after one that warms up.
fn decode_rate(blob: &Blob) -> anyhow::Result<f64> {
    let mut session = blob.session(None)?;
    let eot = blob.model()?.config().eot.unwrap_or(0) as u16;
    let mut seconds = Vec::with_capacity(REPEATS + 1);
    for _ in 0..=REPEATS {
        let mut sampler = Sampler::new(SamplerConfig { seed: 1, ..SamplerConfig::default() })?;
        session.reset();
        let begun = Instant::now();
        let mut token = eot;
        for _ in 0..DECODED {
            session.step(token)?;
            token = black_box(session.sample(&mut sampler)?);
        }
        seconds.push(begun.elapsed().as_secs_f64());
    }
    let measured = &mut seconds[1..];
    measured.sort_unstable_by(f64::total_cmp);
    Ok(DECODED as f64 / measured[measured.len() / 2])
}

/// The table as Markdown.
fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| preset | parameters | ternary | packed bytes | tokens seen | BPC | decode tokens/s | state bytes |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for r in rows {
        let ternary = 100.0 * r.ternary as f64 / r.parameters as f64;
        text += &format!(
            "| {} | {:.2} M | {ternary:.0} % | {} | {:.2} M | {:.4} | {:.0} | {} |\n",
            r.preset,
            r.parameters as f64 / 1e6,
            r.packed_bytes,
            r.tokens as f64 / 1e6,
            r.bpc,
            r.decode_tokens_per_second,
            r.state_bytes
        );
    }
    text
}
