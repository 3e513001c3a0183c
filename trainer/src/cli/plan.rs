//! `trainer plan`: what training on many machines would come to, from what a step takes on this one.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;

use super::args::values::real;
use super::bench::{self, BenchArgs};
use crate::nn::{Layout, stages};
use crate::plan::{MOST_RANKS, Measured, Model, Network, Plan, Step, WORTH};
use crate::ranks::Reduce;

/// Parameters of the models that are looked at beside the measured one.
const MODELS: [f64; 3] = [1e7, 1e8, 1e9];

/// Options of `trainer plan`; those of the step that is measured are `trainer bench`'s.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// Processes to look at closely, beside the table for 1 to 1000
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_RANKS)))]
    pub ranks: Option<u32>,
    /// What a machine can send and, at the same time, receive [Gbit/s]
    #[arg(long, value_parser = real("Gbit/s", 1e-3, 1e5))]
    pub bandwidth: f64,
    /// What a message takes beside its bytes [microseconds]
    #[arg(long, default_value_t = 20.0, value_parser = real("microseconds", 0.0, 1e6))]
    pub latency: f64,
    /// Price of a rank for an hour, for what a billion tokens cost
    #[arg(long, value_parser = real("price", 0.0, 1e6))]
    pub price: Option<f64>,
    /// What `trainer bench --json` printed, of the same model, in place of measuring here
    #[arg(long = "bench", value_name = "FILE")]
    pub measured: Option<PathBuf>,
    #[command(flatten)]
    pub bench: BenchArgs,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    measured: Measured,
    network: Network,
    /// A step on `--ranks` ranks by each exchange.
    asked: Vec<Step>,
    models: Vec<Table>,
}

/// One model on more and more ranks.
#[derive(Debug, Serialize)]
struct Table {
    model: Model,
    /// The most ranks, of 1 to 1000, with an efficiency of a half: by f32, bf16 and int8.
    worth: [u32; 3],
    /// By ranks, then exchange.
    steps: Vec<[Step; 3]>,
}

/// Measures or reads a step, and prints what it would come to on many ranks.
///
/// # Errors
/// The model cannot be, or the file is none of a bench of it.
pub fn run(args: &PlanArgs) -> anyhow::Result<()> {
    let report = report(args)?;
    let mut out = io::stdout().lock();
    if args.bench.json {
        writeln!(out, "{}", serde_json::to_string(&report)?)?;
    } else {
        write!(out, "{}", text(&report))?;
    }
    Ok(())
}

fn report(args: &PlanArgs) -> anyhow::Result<Report> {
    let config = args.bench.model.config()?;
    config.validate()?;
    let layout = Layout::new(&config);
    let measured = match &args.measured {
        Some(file) => read(file, layout.len)?,
        None => bench::measured(&args.bench)?.check()?,
    };
    let stages = stages(&config, &layout);
    let last = stages.last().map_or(0.0, |stage| stage.len() as f64 / layout.len as f64);
    let own = Model { parameters: layout.len as f64, stages: stages.len(), last };
    let network = Network { bandwidth: args.bandwidth * 1e9 / 8.0, latency: args.latency * 1e-6 };
    let plan = Plan { measured, network, price: args.price };
    let larger = MODELS.into_iter().filter(|&parameters| parameters > own.parameters);
    let models = [own].into_iter().chain(larger.map(|parameters| Model { parameters, ..own }));
    let asked = args.ranks.map(|ranks| Reduce::ALL.map(|reduce| plan.step(&own, ranks, reduce)));
    Ok(Report {
        measured,
        network,
        asked: asked.into_iter().flatten().collect(),
        models: models.map(|model| table(&plan, model)).collect(),
    })
}

/// The figures of a bench, which has to be of a model with so many parameters.
fn read(file: &Path, parameters: usize) -> anyhow::Result<Measured> {
    let name = file.display();
    let text = fs::read_to_string(file).with_context(|| format!("{name}: cannot be read"))?;
    let read = serde_json::from_str::<Measured>(&text);
    let measured = read.with_context(|| format!("{name}: expected what trainer bench --json prints"))?;
    let measured = measured.check().with_context(|| name.to_string())?;
    ensure!(
        measured.parameters == parameters,
        "{name}: is of a model with {} parameters, the one asked for has {parameters}: expected the bench's own model \
         flags",
        measured.parameters
    );
    Ok(measured)
}

fn table(plan: &Plan, model: Model) -> Table {
    let ranks = (0..10).map(|power| 1 << power).chain([MOST_RANKS]);
    let steps = ranks.map(|ranks| Reduce::ALL.map(|reduce| plan.step(&model, ranks, reduce)));
    Table { model, worth: Reduce::ALL.map(|reduce| plan.worth(&model, reduce)), steps: steps.collect() }
}

/// The report to read.
fn text(report: &Report) -> String {
    let mut out = String::new();
    let mut line = |text: std::fmt::Arguments| {
        // a string takes everything
        let _ = writeln!(out, "{}", text.to_string().trim_end());
    };
    let Report { measured, network, asked, models } = report;
    let Measured { threads, sequences, tokens, forward_backward, update, .. } = measured;
    line(format_args!(
        "one rank of {threads} threads x {sequences} sequences x {tokens} tokens: {:.1} ms, of it update {:.1} ms",
        1e3 * (forward_backward + update),
        1e3 * update
    ));
    line(format_args!(
        "links of {:.3} GB/s each way, {:.0} microseconds a message",
        network.bandwidth / 1e9,
        1e6 * network.latency
    ));
    for step in asked {
        let Step { ranks, bytes, exchange, overlapped, seconds, tokens_per_second, efficiency, .. } = step;
        let cost = step.cost.map_or(String::new(), |cost| format!(", {cost:.2} for a billion tokens"));
        line(format_args!(
            "{ranks} ranks, {}: {:.1} ms a step, of it exchange of {:.1} MB {:.1} ms, {:.0} % of that behind the \
             backward pass; {tokens_per_second:.0} tokens/s, efficiency {:.0} %{cost}",
            step.reduce.name(),
            1e3 * seconds,
            bytes / 1e6,
            1e3 * exchange,
            100.0 * overlapped,
            100.0 * efficiency
        ));
    }
    for Table { model, worth, steps } in models {
        line(format_args!(""));
        line(format_args!("{:.1} M parameters", model.parameters / 1e6));
        let heads = Reduce::ALL.map(|reduce| format!("{:>9} {:>9} {:>5}", reduce.name(), "tokens/s", "eff."));
        line(format_args!("  {:>5} {:>12}  {}", "ranks", "tokens/step", heads.join("  ")));
        for row in steps {
            let cells = row.each_ref().map(|step| {
                let (rate, efficiency) = (short(step.tokens_per_second), 100.0 * step.efficiency);
                format!("{:>7} s {rate:>9} {efficiency:>3.0} %", significant(step.seconds))
            });
            line(format_args!("  {:>5} {:>12}  {}", row[0].ranks, short(row[0].batch_tokens), cells.join("  ")));
        }
        let ends = Reduce::ALL.into_iter().zip(worth).map(|(reduce, &ranks)| match ranks {
            MOST_RANKS.. => format!("{} at none up to {MOST_RANKS} ranks", reduce.name()),
            ranks => format!("{} beyond {ranks}", reduce.name()),
        });
        let ends: Vec<String> = ends.collect();
        line(format_args!("  efficiency under {:.0} %: {}", 100.0 * WORTH, ends.join(", ")));
        let costs = steps.iter().filter_map(|row| {
            let costs: Option<Vec<String>> = row.iter().map(|step| step.cost.map(significant)).collect();
            Some(format!("{} ranks {}", row[0].ranks, costs?.join(" / ")))
        });
        let costs: Vec<String> = costs.step_by(3).collect();
        if !costs.is_empty() {
            line(format_args!("  a billion tokens cost, by f32 / bf16 / int8: {}", costs.join("; ")));
        }
    }
    line(format_args!(""));
    line(format_args!(
        "a step's tokens grow with the ranks: beyond a critical batch more of them save few steps, which no efficiency \
         here shows"
    ));
    out
}

/// Three digits.
fn significant(value: f64) -> String {
    let digits = if value > 0.0 { (2.0 - value.log10().floor()).clamp(0.0, 9.0) as usize } else { 0 };
    format!("{value:.digits$}")
}

/// A count, in thousands or millions where it is large.
fn short(count: f64) -> String {
    match count {
        ..100.0 => significant(count),
        ..1e4 => format!("{count:.0}"),
        ..1e7 => format!("{:.1} k", count / 1e3),
        _ => format!("{:.1} M", count / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const MODEL: &str = "--d-model 64 --layers 2 --d-ffn 96 --vocab 320";

    fn args(more: &str) -> PlanArgs {
        #[derive(Parser)]
        struct Command {
            #[command(flatten)]
            args: PlanArgs,
        }
        let line = format!("plan {MODEL} --bandwidth 10 {more}");
        Command::parse_from(line.split_whitespace()).args
    }

    /// A file as bench writes it, of so many parameters.
    fn file(dir: &Path, parameters: usize, update: f64) -> String {
        let path = dir.join("bench.json");
        let json = format!(
            "{{\"kernels\":\"scalar f32\",\"parameters\":{parameters},\"threads\":2,\"sequences\":8,\"tokens\":256,\
             \"forward_backward\":0.9,\"update\":{update},\"parts\":[]}}"
        );
        fs::write(&path, json).unwrap();
        path.display().to_string()
    }

    fn parameters() -> usize {
        Layout::new(&args("").bench.model.config().unwrap()).len
    }

    #[test]
    fn a_measured_step_becomes_tables_up_to_a_billion_parameters_and_a_thousand_ranks() {
        let dir = tempfile::tempdir().unwrap();
        let bench = file(dir.path(), parameters(), 0.1);
        let report = report(&args(&format!("--bench {bench} --ranks 2 --price 0.5"))).unwrap();
        let sizes: Vec<f64> = report.models.iter().map(|table| table.model.parameters).collect();
        assert_eq!(sizes, [parameters() as f64, 1e7, 1e8, 1e9]);
        for table in &report.models {
            let ranks: Vec<u32> = table.steps.iter().map(|row| row[0].ranks).collect();
            assert_eq!(ranks, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000]);
        }
        assert_eq!(report.asked.iter().map(|step| step.ranks).collect::<Vec<_>>(), [2, 2, 2]);
        assert_eq!(report.models[0].model.stages, 4, "two blocks, the engine, the embedding");
        let text = text(&report);
        for want in ["1000.0 M parameters", "2 ranks, int8: ", "efficiency under 50 %", "a billion tokens cost"] {
            assert!(text.contains(want), "{text}");
        }
        assert!(text.lines().all(|line| line.len() <= 200), "{text}");
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(json["models"][3]["steps"][10][2]["reduce"], "int8");
    }

    #[test]
    fn a_file_of_something_else_is_refused_with_its_name_and_what_was_expected() {
        let dir = tempfile::tempdir().unwrap();
        let message = |bench: &str| format!("{:#}", report(&args(&format!("--bench {bench}"))).unwrap_err());
        let other = message(&file(dir.path(), 1000, 0.1));
        assert!(
            other.contains("bench.json: is of a model with 1000 parameters") && other.contains("own model"),
            "{other}"
        );
        let none = message(&file(dir.path(), parameters(), 0.0));
        assert!(none.contains("bench.json") && none.contains("update is 0: expected seconds above 0"), "{none}");
        fs::write(dir.path().join("bench.json"), "{}").unwrap();
        let empty = message(&dir.path().join("bench.json").display().to_string());
        assert!(empty.contains("expected what trainer bench --json prints"), "{empty}");
        assert!(message("nothing.json").contains("nothing.json: cannot be read"));
    }
}
