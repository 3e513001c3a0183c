//! Made-up runs to report on.

use std::fs;
use std::path::Path;

use crate::run::answers::AnswerCounts;
use crate::run::metrics::{self, EvalRecord, Record, SampleRecord, StepRecord};
use crate::run::origin::{Origin, Underway};
use crate::run::reasoning::Reasoning;

/// What a run of the default model says of itself.
pub fn underway() -> Underway {
    Underway { preset: "supernova".into(), parameters: 7_694_799, origin: Origin::now(2) }
}

/// Step number `step` of a run that takes two seconds a step, 4 operations, and a new phase at step 500.
pub fn step(step: u64) -> Record {
    let wave = (step as f64 * 0.37).sin();
    Record::Step(StepRecord {
        step,
        elapsed: 2.0 * step as f64,
        phase: if step < 500 { "foundation" } else { "operations" }.into(),
        loss: 2.0 + 4.0 / step as f64 + 0.1 * wave,
        grad_norm: (step != 7).then_some(0.5 + 0.1 * wave),
        lr: 1e-3,
        tokens: 8192 * step,
        tokens_per_second: 4096.0 + wave,
        mean_passes: 2.5,
        op_usage: vec![0.4, 0.3, 0.2, 0.1],
        answers: step.is_multiple_of(3).then_some(AnswerCounts { right: [[1; 3]; 4], total: [[2; 3]; 4] }),
    })
}

/// The evaluation after it.
pub fn evaluation(step: u64) -> Record {
    Record::Eval(EvalRecord {
        step,
        elapsed: 2.0 * step as f64 + 0.5,
        bpc: 1.0 + 1.0 / step as f64,
        bytes: 100_000,
        tokens: 8192 * step,
        mean_passes: 2.5,
        reasoning: Some(Reasoning {
            tokens: 100,
            by_passes: vec![60, 0, 30, 0, 0, 0, 0, 10],
            op_use: vec![0.25; 4],
            use_entropy: 2.0,
            pass_entropy: 0.75,
            hop: Some(0.4),
            hold: Some(0.6),
            write: [0.2, 0.1],
        }),
    })
}

/// The story told at it.
pub fn sample(step: u64) -> Record {
    let text = format!("Once there was <b>Tom</b> & {step} cats.\nThe end.");
    Record::Sample(SampleRecord { step, prompt: "Once".into(), seed: 1, text })
}

/// A whole run's records.
pub fn run(steps: u64, evaluate_every: u64) -> Vec<Record> {
    let after = |at: u64| match at.is_multiple_of(evaluate_every) {
        true => vec![step(at), evaluation(at), sample(at)],
        false => vec![step(at)],
    };
    (1..=steps).flat_map(after).collect()
}

/// Writes the records as the run in `dir`.
pub fn write_run(dir: &Path, records: &[Record]) {
    let lines = records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n");
    fs::write(dir.join(metrics::FILE), lines.collect::<String>()).unwrap();
}
