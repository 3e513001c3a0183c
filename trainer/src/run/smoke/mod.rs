//! The thirteen checks that a new machine, or a change of the architecture, has to pass: `trainer smoke`.
//!
//! [`CHECKS`] says what is looked at and within which limits; the files beside say how each figure comes about. Most
//! check the trainer's forward and backward on a small untrained model ([`untrained`]). Five look at one tiny model
//! that is trained on questions of one and two facts first ([`trained`]), packed, and run by core as any model is.

mod check;
mod stories;
mod trained;
mod untrained;

use std::io;
use std::time::Instant;

use self::check::{Check, Figure, Limit::*};
pub use self::check::{Outcome, Report};
use self::trained::Trained;
use crate::kernels::Kernels;

/// What the checks work on.
struct Context {
    kernels: Kernels,
    threads: usize,
    seed: u64,
    /// Trained when first asked for.
    trained: Option<Trained>,
}

impl Context {
    fn trained(&mut self) -> anyhow::Result<&mut Trained> {
        if self.trained.is_none() {
            self.trained = Some(Trained::new(self.kernels, self.threads, self.seed)?);
        }
        self.trained.as_mut().ok_or_else(|| anyhow::anyhow!("the model is not trained"))
    }
}

/// All checks, in the order they are run.
const CHECKS: [Check<Context>; 13] = [
    Check {
        name: "ternary balance",
        what: "weights of a new model as packed: none of the three values dies out",
        figures: &[
            Figure { what: "share of -1", unit: "", limit: Within(0.25, 0.45) },
            Figure { what: "share of 0", unit: "", limit: Within(0.2, 0.45) },
            Figure { what: "share of +1", unit: "", limit: Within(0.25, 0.45) },
        ],
        run: untrained::ternary_balance,
    },
    Check {
        name: "recurrence",
        what: "a backbone without the engine: a token changes logits 64 tokens on and none before; gradients flow",
        figures: &[
            Figure { what: "change 64 tokens on", unit: "", limit: Above(0.0) },
            Figure { what: "change before", unit: "", limit: AtMost(0.0) },
            Figure { what: "least gradient norm of its tensors", unit: "", limit: Above(0.0) },
            Figure { what: "forward of 128 tokens", unit: "ms", limit: AtMost(1000.0) },
        ],
        run: untrained::recurrence,
    },
    Check {
        name: "operation library",
        what: "sixteen ternary matrices, each moved by its own gradient",
        figures: &[
            Figure { what: "packed", unit: "KB", limit: AtMost(64.0) },
            Figure { what: "operations with a gradient", unit: "", limit: Within(16.0, 16.0) },
        ],
        run: untrained::operations,
    },
    Check {
        name: "routing",
        what: "a new router spreads tokens over the operations",
        figures: &[Figure { what: "entropy of the routes, over its most", unit: "", limit: AtLeast(0.8) }],
        run: untrained::routing,
    },
    Check {
        name: "memory",
        what: "writes change what is read later; gradients reach addresses, taps and gates; the trained model needs it",
        figures: &[
            Figure { what: "memory", unit: "KB", limit: AtMost(16.0) },
            Figure { what: "change of logits without writes", unit: "", limit: Above(0.0) },
            Figure { what: "least gradient norm of its tensors", unit: "", limit: Above(0.0) },
            Figure { what: "two-fact answers right, trained, writes left out", unit: "", limit: AtMost(0.5) },
        ],
        run: |context| {
            let mut figures = untrained::memory(context)?;
            figures.push(context.trained()?.right_without_memory()?);
            Ok(figures)
        },
    },
    Check {
        name: "depth choice",
        what: "calibrated, the model itself takes more passes where two facts are needed; the Gumbel blend learns too",
        figures: &[
            Figure { what: "passes at two-fact answers", unit: "", limit: AtLeast(1.5) },
            Figure { what: "passes at other tokens", unit: "", limit: AtMost(1.5) },
            Figure { what: "the difference", unit: "", limit: AtLeast(0.5) },
            Figure { what: "gradient norm of the choice in the blend", unit: "", limit: Above(0.0) },
        ],
        run: |context| {
            let mut figures = context.trained()?.chosen_passes()?;
            figures.push(untrained::depth_choice(context)?);
            Ok(figures)
        },
    },
    Check {
        name: "engine at depth 1, 3, 8",
        what: "each depth says something else, and gradients reach all of the engine that it uses",
        figures: &[
            Figure { what: "change of logits from depth 1 to 3", unit: "", limit: Above(0.0) },
            Figure { what: "change of logits from depth 3 to 8", unit: "", limit: Above(0.0) },
            Figure { what: "tensors without gradient at depth 1", unit: "", limit: AtMost(0.0) },
            Figure { what: "tensors without gradient at depth 3", unit: "", limit: AtMost(0.0) },
            Figure { what: "tensors without gradient at depth 8", unit: "", limit: AtMost(0.0) },
        ],
        run: untrained::engine_depths,
    },
    Check {
        name: "every parameter",
        what: "one step of the whole model reaches every tensor with finite gradients",
        figures: &[
            Figure { what: "tensors without gradient", unit: "", limit: AtMost(0.0) },
            Figure { what: "share of parameters with gradient", unit: "", limit: AtLeast(0.95) },
            Figure { what: "gradients that are not finite", unit: "", limit: AtMost(0.0) },
        ],
        run: untrained::every_parameter,
    },
    Check {
        name: "learning",
        what: "thirty steps on a repeating pattern",
        figures: &[Figure { what: "fall of the loss", unit: "%", limit: AtLeast(80.0) }],
        run: untrained::repeating_pattern,
    },
    Check {
        name: "generation",
        what: "the trained model goes on with a story, decoded by core at the depth it chooses",
        figures: &[Figure { what: "speed", unit: "tokens/s", limit: AtLeast(500.0) }],
        run: |context| context.trained()?.generation(),
    },
    Check {
        name: "deep beats shallow",
        what: "held-out stories through the packed model: answers that need two facts need more than one pass",
        figures: &[
            Figure { what: "one fact, depth 1", unit: "", limit: AtLeast(0.9) },
            Figure { what: "one fact, depth 8", unit: "", limit: AtLeast(0.9) },
            Figure { what: "two facts, depth 1", unit: "", limit: AtMost(0.7) },
            Figure { what: "two facts, depth 3", unit: "", limit: AtLeast(0.9) },
            Figure { what: "two facts, depth 8", unit: "", limit: AtLeast(0.9) },
            Figure { what: "depth 8 above depth 1", unit: "", limit: AtLeast(0.2) },
            Figure { what: "p of that, paired", unit: "", limit: AtMost(1e-3) },
        ],
        run: |context| context.trained()?.probe(),
    },
    Check {
        name: "operations used",
        what: "by the trained model at depth 8, over held-out stories",
        figures: &[
            Figure { what: "operations of 16", unit: "", limit: Within(16.0, 16.0) },
            Figure { what: "entropy of the routes, over its most", unit: "", limit: AtLeast(0.5) },
        ],
        run: |context| context.trained()?.operations_used(),
    },
    Check {
        name: "throughput",
        what: "of the training above, batches and optimiser included",
        figures: &[Figure { what: "training", unit: "tokens/s", limit: AtLeast(1000.0) }],
        run: |context| Ok(vec![context.trained()?.tokens_per_second()]),
    },
];

/// Runs every check on so many threads, and shows each outcome as it comes. An error is one of showing it.
pub fn run(threads: usize, seed: u64, mut show: impl FnMut(&Outcome) -> io::Result<()>) -> io::Result<Report> {
    let started = Instant::now();
    let mut context = Context { kernels: Kernels::detect(), threads, seed, trained: None };
    let mut report = Report { threads, seed, ..Report::default() };
    for (i, check) in CHECKS.iter().enumerate() {
        let outcome = Outcome::of(i + 1, check, &mut context);
        show(&outcome)?;
        report.passed += usize::from(outcome.passed);
        report.checks.push(outcome);
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirteen_checks_have_names_of_their_own_and_figures_with_limits() {
        let names: std::collections::BTreeSet<_> = CHECKS.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), 13);
        for check in &CHECKS {
            assert!(
                !check.figures.is_empty() && check.figures.iter().all(|f| !f.limit.holds(f64::NAN)),
                "{}",
                check.name
            );
        }
    }

    /// In a debug build too these are quick, and no check may depend on how many threads run it.
    #[test]
    fn the_checks_of_an_untrained_model_pass() {
        for threads in [1, 2] {
            let mut context = Context { kernels: Kernels::detect(), threads, seed: 3, trained: None };
            for (i, check) in CHECKS.iter().enumerate().filter(|(i, _)| [0, 2, 3, 6, 7].contains(i)) {
                let outcome = Outcome::of(i + 1, check, &mut context);
                assert!(outcome.passed, "{outcome}");
            }
            assert!(context.trained.is_none());
        }
    }
}
