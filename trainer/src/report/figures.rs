//! Which figures of runs are shown, and how: one run by its figures, several by a colour each.

use serde::Serialize;

use super::chart::{Band, Bar, Clock, Line, Lines, Stroke, bars, colour, heat};
use super::data::{RunData, Steps};
use crate::run::metrics::EvalRecord;
use crate::run::reasoning::{Reasoning, entropy};

/// Evaluations that the bars show, at the most.
const BARS: usize = 48;
/// Kinds of parts that the style sheet has colours for.
const PARTS: usize = 8;
/// Answers that a point of their curve is a share of, at the least.
const ANSWERS: u32 = 50;

/// A picture with its title and what its colours mean.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub title: String,
    pub note: String,
    /// As it is, between tags.
    pub svg: String,
    pub legend: Vec<Key>,
}

/// What a colour means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Classes of the style sheet.
    pub class: String,
    pub label: String,
}

/// A figure of every step, with its line's and its axis' kind.
struct StepFigure {
    title: &'static str,
    note: &'static str,
    of: fn(&Steps) -> &[f32],
    stroke: Stroke,
    include: Option<f64>,
}

const STEP_FIGURES: [StepFigure; 5] = [
    StepFigure {
        title: "Loss",
        note: "cross-entropy in training, nats a token",
        of: |steps| &steps.loss,
        stroke: Stroke::Shaded,
        include: None,
    },
    StepFigure {
        title: "Speed",
        note: "tokens trained on per second",
        of: |steps| &steps.tokens_per_second,
        stroke: Stroke::Shaded,
        include: Some(0.0),
    },
    StepFigure {
        title: "Learning rate",
        note: "of the ternary matrices",
        of: |steps| &steps.lr,
        stroke: Stroke::Mean,
        include: Some(0.0),
    },
    StepFigure {
        title: "Gradient norm",
        note: "before clipping, mean of the steps in a column",
        of: |steps| &steps.grad_norm,
        stroke: Stroke::Mean,
        include: Some(0.0),
    },
    StepFigure {
        title: "Passes in training",
        note: "of the reasoning loop, mean a token",
        of: |steps| &steps.mean_passes,
        stroke: Stroke::Mean,
        include: Some(0.0),
    },
];

/// All figures that the runs have, in the page's order.
pub fn figures(runs: &[RunData]) -> Vec<Figure> {
    let [loss, rest @ ..] = &STEP_FIGURES;
    let first = [step_figure(runs, loss), held_out(runs)];
    let steps = rest.iter().map(|figure| step_figure(runs, figure));
    let mut all: Vec<Figure> = first.into_iter().chain(steps).flatten().collect();
    all.extend(depths(runs));
    all.extend(runs.iter().filter_map(|run| operations(run, runs.len() > 1)));
    all.extend(routing(runs));
    all.extend(gates(runs));
    all.extend(answers(runs));
    all
}

/// The colours of runs that are shown together; none for one.
pub fn run_keys(runs: &[RunData]) -> Vec<Key> {
    let named = |(i, run): (usize, &RunData)| Key { class: colour(i), label: run.name.clone() };
    if runs.len() > 1 { runs.iter().enumerate().map(named).collect() } else { Vec::new() }
}

/// The phases of a run that is shown alone.
fn bands(runs: &[RunData]) -> Vec<Band> {
    let [run] = runs else { return Vec::new() };
    run.steps.phase_times().into_iter().map(|(name, span)| Band { name: name.into(), span }).collect()
}

fn step_figure(runs: &[RunData], figure: &StepFigure) -> Option<Figure> {
    // shades over one another would hide the lines
    let stroke = if runs.len() > 1 { Stroke::Mean } else { figure.stroke };
    let line = |(i, run): (usize, &RunData)| {
        let points = run.steps.over_time((figure.of)(&run.steps)).collect();
        Line { class: colour(i), stroke, points }
    };
    let lines = runs.iter().enumerate().map(line).collect();
    let shaded = stroke == Stroke::Shaded;
    let note = if shaded { format!("{}; shaded from least to greatest", figure.note) } else { figure.note.into() };
    let about = format!("{}: {}", figure.title, figure.note);
    let svg = Lines { about, bands: bands(runs), lines, include: figure.include }.svg()?;
    Some(Figure { title: figure.title.into(), note, svg, legend: run_keys(runs) })
}

/// Bits per byte: on the part that is scored on the way, and at the end on all of the text.
fn held_out(runs: &[RunData]) -> Option<Figure> {
    let mut lines = Vec::new();
    let mut whole = false;
    for (i, run) in runs.iter().enumerate() {
        let part = run.evaluations.first().map(|e| e.bytes);
        let of = |stroke, wanted: &dyn Fn(&EvalRecord) -> bool| {
            let points = run.evaluations.iter().filter(|e| wanted(e)).map(|e| [e.elapsed, e.bpc]).collect();
            Line { class: colour(i), stroke, points }
        };
        lines.push(of(Stroke::Dotted, &|e| Some(e.bytes) == part));
        let all = of(Stroke::Rings, &|e| Some(e.bytes) != part);
        whole |= !all.points.is_empty();
        lines.push(all);
    }
    let note = match whole {
        true => "bits per byte; dots: the part scored on the way, ring: all of the text",
        false => "bits per byte of the part that is scored on the way",
    };
    let about = "Held-out text: bits per byte at every evaluation".into();
    let svg = Lines { about, bands: bands(runs), lines, include: None }.svg()?;
    Some(Figure { title: "Held-out text (BPC)".into(), note: note.into(), svg, legend: run_keys(runs) })
}

/// Evaluations at which the reasoning loop was watched.
fn watched(run: &RunData) -> Vec<(&EvalRecord, &Reasoning)> {
    run.evaluations.iter().filter_map(|e| Some((e, e.reasoning.as_ref()?))).collect()
}

/// Tokens by the passes they took: of one run at every evaluation, of several at the last.
fn depths(runs: &[RunData]) -> Option<Figure> {
    let longest = runs.iter().map(|run| run.standing().1).fold(0.0, f64::max);
    let clock = Clock::up_to(longest);
    let found: Vec<(String, &Reasoning)> = match runs {
        [run] => {
            let all = watched(run);
            evenly(&all, BARS).into_iter().map(|(e, r)| (clock.label(e.elapsed), *r)).collect()
        }
        _ => runs.iter().filter_map(|run| Some((run.name.clone(), watched(run).last()?.1))).collect(),
    };
    let most = found.iter().map(|(_, r)| r.by_passes.len()).max()?;
    let mut kinds: Vec<usize> =
        (0..most).filter(|&i| found.iter().any(|(_, r)| r.by_passes.get(i).is_some_and(|&n| n > 0))).collect();
    // more kinds than colours: those beyond are counted with the last
    let beyond = kinds.split_off(kinds.len().min(PARTS));
    let mut names: Vec<String> =
        kinds.iter().map(|&i| if i == 0 { "1 pass".into() } else { format!("{} passes", i + 1) }).collect();
    if let (false, Some(last)) = (beyond.is_empty(), names.last_mut()) {
        last.push_str(" or more");
    }
    let bar = |(label, reasoning): &(String, &Reasoning)| {
        let count = |i: &usize| *reasoning.by_passes.get(*i).unwrap_or(&0) as f64 / reasoning.tokens.max(1) as f64;
        let mut shares: Vec<f64> = kinds.iter().map(count).collect();
        if let Some(last) = shares.last_mut() {
            *last += beyond.iter().map(count).sum::<f64>();
        }
        Bar { label: label.clone(), shares }
    };
    let all: Vec<Bar> = found.iter().map(bar).collect();
    let (note, axis) = match runs {
        [_] => ("share of held-out tokens by passes taken, at the evaluations", "training time at the evaluation"),
        _ => ("share of held-out tokens by passes taken, at the last evaluation", "run"),
    };
    let svg = bars(note, axis, &names, &all)?;
    let legend = names.into_iter().enumerate().map(|(i, label)| Key { class: format!("d{i} block"), label }).collect();
    Some(Figure { title: "Depth".into(), note: note.into(), svg, legend })
}

/// At most `count` of all, the first and the last among them.
pub fn evenly<T>(all: &[T], count: usize) -> Vec<&T> {
    if all.len() <= count {
        return all.iter().collect();
    }
    (0..count).map(|i| &all[i * (all.len() - 1) / (count - 1).max(1)]).collect()
}

/// The router's probability of every operation over time.
fn operations(run: &RunData, named: bool) -> Option<Figure> {
    let rows: Vec<String> = (0..run.steps.ops).map(|op| op.to_string()).collect();
    let note = "share of the router's probability by operation (from 0), in training";
    let (svg, largest) = heat(note, &rows, &run.steps.elapsed, &run.steps.op_usage)?;
    let title = if named { format!("Operations: {}", run.name) } else { "Operations".into() };
    let key = Key { class: "heat block".into(), label: format!("darkest: {:.1} %", 100.0 * largest) };
    Some(Figure { title, note: note.into(), svg, legend: vec![key] })
}

/// Entropy of the operations' use in training, and of a pass's own choice at the evaluations.
fn routing(runs: &[RunData]) -> Option<Figure> {
    let used = |run: &RunData| -> Vec<[f64; 2]> {
        let shares = run.steps.op_usage.chunks_exact(run.steps.ops.max(1));
        let bits = shares.map(|shares| entropy(shares.iter().map(|&share| f64::from(share))));
        run.steps.elapsed.iter().zip(bits).map(|(&x, y)| [x, y]).collect()
    };
    let chosen = |run: &RunData| watched(run).iter().map(|(e, r)| [e.elapsed, r.pass_entropy]).collect::<Vec<_>>();
    let most = runs.iter().map(|run| run.steps.ops).max().filter(|&ops| ops > 0)?;
    let mut lines: Vec<Line> = (runs.iter().enumerate())
        .map(|(i, run)| Line { class: colour(i), stroke: Stroke::Mean, points: used(run) })
        .collect();
    let mut legend = run_keys(runs);
    let mut note = format!(
        "entropy of the mean use of the operations in training, bits ({:.2} where all are used alike)",
        (most as f64).log2()
    );
    if let [run] = runs {
        lines.push(Line { class: colour(1), stroke: Stroke::Dotted, points: chosen(run) });
        legend = keys(["mean use of the operations, in training", "mean of a pass's two weights, evaluations"]);
        note =
            format!("bits; {:.2} where all operations are used alike, 1 where both weights are", (most as f64).log2());
    }
    let about = "Routing entropy in bits".into();
    let svg = Lines { about, bands: bands(runs), lines, include: Some(0.0) }.svg()?;
    Some(Figure { title: "Routing entropy".into(), note, svg, legend })
}

fn keys<const N: usize>(labels: [&str; N]) -> Vec<Key> {
    let named = |(i, label): (usize, &str)| Key { class: colour(i), label: label.into() };
    labels.into_iter().enumerate().map(named).collect()
}

/// A gate at an evaluation; `None` where there was nothing to gate.
type Gate = fn(&Reasoning) -> Option<f64>;

const GATES: [(&str, Gate); 4] = [
    ("hop: read where the pass before pointed", |r| r.hop),
    ("hold: what was read replaces what was held", |r| r.hold),
    ("write: from context to token", |r| Some(r.write[0])),
    ("write: from token to context", |r| Some(r.write[1])),
];

/// The memory's mean gates: of one run in one picture, of several a picture a gate.
fn gates(runs: &[RunData]) -> Vec<Figure> {
    let points = |run: &RunData, gate: Gate| -> Vec<[f64; 2]> {
        watched(run).iter().filter_map(|(e, r)| Some([e.elapsed, gate(r)?])).collect()
    };
    let note = "means over held-out tokens, at the evaluations; 0 closed, 1 open";
    let figure = |title: String, lines: Vec<Line>, legend| {
        let about = format!("{title}: {note}");
        let svg = Lines { about, bands: bands(runs), lines, include: Some(0.0) }.svg()?;
        Some(Figure { title, note: note.into(), svg, legend })
    };
    let line = |i: usize, points| Line { class: colour(i), stroke: Stroke::Dotted, points };
    match runs {
        [run] => {
            let lines = GATES.iter().enumerate().map(|(i, (_, gate))| line(i, points(run, *gate))).collect();
            figure("Memory gates".into(), lines, keys(GATES.map(|(name, _)| name))).into_iter().collect()
        }
        _ => {
            let of = |(name, gate): &(&str, Gate)| {
                let lines = runs.iter().enumerate().map(|(i, run)| line(i, points(run, *gate))).collect();
                figure(format!("Memory gate, {name}"), lines, run_keys(runs))
            };
            GATES.iter().filter_map(of).collect()
        }
    }
}

/// Right answers in training by the facts they need, a picture each: of one run by depth, of several over all depths.
fn answers(runs: &[RunData]) -> Vec<Figure> {
    let of = |facts: usize| {
        let mut lines = Vec::new();
        for (i, run) in runs.iter().enumerate() {
            let depths: &[&[usize]] = if runs.len() == 1 { &[&[0], &[1], &[2]] } else { &[&[0, 1, 2]] };
            for (depth, depths) in depths.iter().enumerate() {
                let points = answer_shares(&run.steps, facts, depths);
                lines.push(Line { class: colour(i.max(depth)), stroke: Stroke::Mean, points });
            }
        }
        let needs = ["1 fact", "2 facts", "3 facts", "4 or more facts"][facts];
        let note = format!("right ones among the answers in training that need {needs}, percent");
        let about = format!("Answers: {note}");
        let svg = Lines { about, bands: bands(runs), lines, include: Some(0.0) }.svg()?;
        let legend = match runs {
            [_] => keys(["first depth", "second depth", "third depth"]),
            _ => run_keys(runs),
        };
        Some(Figure { title: format!("Answers that need {needs}"), note, svg, legend })
    };
    (0..4).filter_map(of).collect()
}

/// Percentages of right answers, a point for every so many of them.
fn answer_shares(steps: &Steps, facts: usize, depths: &[usize]) -> Vec<[f64; 2]> {
    let (mut points, mut right, mut total) = (Vec::new(), 0, 0);
    for (index, answers) in &steps.answers {
        right += depths.iter().map(|&d| answers.right[facts][d]).sum::<u32>();
        total += depths.iter().map(|&d| answers.total[facts][d]).sum::<u32>();
        if total >= ANSWERS {
            points.push([steps.elapsed[*index], 100.0 * f64::from(right) / f64::from(total)]);
            (right, total) = (0, 0);
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{run, write_run};

    fn data(steps: u64) -> RunData {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), &run(steps, 100));
        RunData::read(dir.path()).unwrap()
    }

    #[test]
    fn one_run_has_every_figure_with_its_phases() {
        let figures = figures(&[data(1000)]);
        let titles: Vec<_> = figures.iter().map(|figure| &figure.title[..]).collect();
        let want = [
            "Loss",
            "Held-out text (BPC)",
            "Speed",
            "Learning rate",
            "Gradient norm",
            "Passes in training",
            "Depth",
            "Operations",
            "Routing entropy",
            "Memory gates",
            "Answers that need 1 fact",
            "Answers that need 2 facts",
            "Answers that need 3 facts",
            "Answers that need 4 or more facts",
        ];
        assert_eq!(titles, want);
        for title in ["Loss", "Held-out text (BPC)", "Memory gates"] {
            let figure = figures.iter().find(|figure| figure.title == title).unwrap();
            assert!(figure.svg.contains(">foundation</text>") && figure.svg.contains(">operations</text>"), "{title}");
        }
        let depth = figures.iter().find(|figure| figure.title == "Depth").unwrap();
        let labels: Vec<_> = depth.legend.iter().map(|key| &key.label[..]).collect();
        assert_eq!(labels, ["1 pass", "3 passes", "8 passes"]);
        assert_eq!(depth.svg.matches(", 60.0 %").count(), 10);
    }

    #[test]
    fn several_runs_have_a_colour_each_and_no_phases() {
        let figures = figures(&[data(300), data(600)]);
        let loss = &figures[0];
        assert!(loss.svg.contains("line c0 k0") && loss.svg.contains("line c1 k0") && !loss.svg.contains("band"));
        assert_eq!(loss.legend.len(), 2);
        assert_eq!(figures.iter().filter(|figure| figure.title.starts_with("Operations: ")).count(), 2);
        assert_eq!(figures.iter().filter(|figure| figure.title.starts_with("Memory gate, ")).count(), 4);
    }

    #[test]
    fn shares_of_answers_are_of_so_many_at_the_least() {
        let run = data(1000);
        let one = answer_shares(&run.steps, 0, &[0]);
        assert!((10..14).contains(&one.len()) && one.iter().all(|point| point[1] == 50.0), "{one:?}");
        assert!(answer_shares(&run.steps, 0, &[0, 1, 2]).len() > 2 * one.len());
    }

    #[test]
    fn a_choice_of_many_has_the_first_and_the_last() {
        let all: Vec<_> = (0..1000).collect();
        let some = evenly(&all, 24);
        assert_eq!((some.len(), *some[0], *some[23]), (24, 0, 999));
        assert_eq!(evenly(&all[..3], 24).len(), 3);
    }
}
