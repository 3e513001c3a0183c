//! The page: one file that needs nothing else.

use minijinja::{Environment, context};
use serde::Serialize;

use super::chart::{Clock, colour};
use super::data::RunData;
use super::figures::{evenly, figures, run_keys};
use super::probe::Table;
use crate::run::log::Segment;
use crate::run::metrics::SampleRecord;
use crate::run::origin::Underway;

/// Stories of one beginning that are shown side by side, at the most.
const TOLD: usize = 24;
/// Characters of a story that are shown.
const LONGEST: usize = 1500;

/// Who shows the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A file, as it is.
    File,
    /// The run's own server: the page keeps itself current and has a box to talk to the model.
    Live,
}

/// What is known of a run in words.
#[derive(Serialize)]
struct About {
    name: String,
    class: String,
    /// Values of [`FACTS`] in their order.
    facts: Vec<String>,
    phases: Vec<Vec<String>>,
    /// The command that trained it.
    command: String,
    probe: Option<ProbeTable>,
}

#[derive(Serialize)]
struct ProbeTable {
    task: String,
    model: String,
    items: u64,
    table: Table,
}

/// A way to begin, and what was told from there.
#[derive(Serialize)]
struct Told {
    beginning: String,
    stories: Vec<Story>,
}

#[derive(Serialize)]
struct Story {
    title: String,
    class: String,
    text: String,
}

const FACTS: [&str; 13] = [
    "preset",
    "parameters",
    "state",
    "steps",
    "tokens trained on",
    "training time",
    "tokens per second, evaluations included",
    "held-out bits per byte, last evaluation",
    "held-out bits per byte, all of the text, packed model",
    "passes a token",
    "processor",
    "threads",
    "date (UTC), commit",
];

/// The page of one run, or of several over one another. `underway` is what is known of one that is not finished.
///
/// # Errors
/// None but a mistake in the template.
pub fn page(runs: &[RunData], underway: Option<&Underway>, shown: Shown) -> anyhow::Result<String> {
    let mut environment = Environment::new();
    environment.add_template("page.html", include_str!("page.html"))?;
    let names: Vec<&str> = runs.iter().map(|run| &run.name[..]).collect();
    let about: Vec<About> = runs.iter().enumerate().map(|(i, run)| about(i, run, underway)).collect();
    Ok(environment.get_template("page.html")?.render(context! {
        title => names.join(", "),
        live => shown == Shown::Live,
        facts => FACTS,
        keys => run_keys(runs),
        runs => about,
        figures => figures(runs),
        told => told(runs),
    })?)
}

fn about(index: usize, run: &RunData, underway: Option<&Underway>) -> About {
    let unknown = || "–".to_owned();
    let (step, seconds, tokens) = run.standing();
    let results = run.results.as_ref();
    let clock = Clock::up_to(seconds);
    let origin = results.map(|r| &r.origin).or(underway.map(|u| &u.origin)).filter(|origin| !origin.commit.is_empty());
    let whole = results.and_then(|r| r.held_out.as_ref());
    let last = run.evaluations.last();
    let preset = results.map(|r| &r.preset).or(underway.map(|u| &u.preset));
    let parameters = results.map(|r| r.parameters).or(underway.map(|u| u.parameters));
    let facts = [
        preset.map_or_else(unknown, String::clone),
        parameters.map_or_else(unknown, |count| grouped(count as u64)),
        match results {
            Some(r) if r.complete => "complete".into(),
            Some(_) => "stopped before its end".into(),
            None => "under way, or ended without results".into(),
        },
        grouped(step),
        grouped(tokens),
        clock.label(seconds),
        format!("{:.0}", tokens as f64 / seconds.max(1e-9)),
        last.map_or_else(unknown, |e| format!("{:.4}", e.bpc)),
        whole.map_or_else(unknown, |h| format!("{:.4}", h.packed_bpc)),
        last.map_or_else(unknown, |e| format!("{:.2}", e.mean_passes)),
        origin.map_or_else(unknown, |o| o.cpu.clone()),
        origin.map_or_else(unknown, |o| o.threads.to_string()),
        origin.map_or_else(unknown, |o| format!("{}, {}", o.date, o.commit.get(..12).unwrap_or(&o.commit))),
    ];
    let phases = results
        .map_or(Vec::new(), |results| results.phases.segments.iter().map(|segment| phase(segment, clock)).collect());
    let probe = run.probe.as_ref().map(|probe| ProbeTable {
        task: probe.task.clone(),
        model: probe.model.clone(),
        items: probe.items,
        table: probe.table(),
    });
    let command = origin.map(|o| o.arguments.join(" ")).unwrap_or_default();
    About { name: run.name.clone(), class: colour(index), facts: facts.into(), phases, command, probe }
}

/// What a phase took and bought, as the page's table has it.
fn phase(Segment { name, begin, end, .. }: &Segment, clock: Clock) -> Vec<String> {
    let taken = match end {
        Some(end) => [
            grouped(end.step.saturating_sub(begin.step)),
            grouped(end.tokens.saturating_sub(begin.tokens)),
            clock.label(end.seconds - begin.seconds),
        ],
        None => ["–", "–", "–"].map(str::to_owned),
    };
    let after = end.map_or("–".into(), |end| format!("{:.4}", end.bpc));
    [name.clone()].into_iter().chain(taken).chain([format!("{:.4}", begin.bpc), after]).collect()
}

/// The stories told from every beginning: of one run at its evaluations, of several the last of each.
fn told(runs: &[RunData]) -> Vec<Told> {
    let mut beginnings: Vec<(&str, u64)> = Vec::new();
    for sample in runs.iter().flat_map(|run| &run.samples) {
        if !beginnings.contains(&(&sample.prompt, sample.seed)) {
            beginnings.push((&sample.prompt, sample.seed));
        }
    }
    let of = |&(prompt, seed): &(&str, u64)| {
        let samples = |run: &'_ RunData| -> Vec<SampleRecord> {
            run.samples.iter().filter(|s| s.prompt == prompt && s.seed == seed).cloned().collect()
        };
        let stories = match runs {
            [run] => {
                let all = samples(run);
                evenly(&all, TOLD).into_iter().map(|sample| story(sample, evaluated(run, sample), 0)).collect()
            }
            _ => {
                let last = |(i, run): (usize, &RunData)| {
                    let sample = samples(run).pop()?;
                    Some(story(&sample, format!("{}, step {}", run.name, grouped(sample.step)), i))
                };
                runs.iter().enumerate().filter_map(last).collect()
            }
        };
        let beginning = match prompt {
            "" => "from nothing".into(),
            prompt => format!("from “{prompt}”"),
        };
        Told { beginning: format!("{beginning}, seed {seed}"), stories }
    };
    beginnings.iter().map(of).collect()
}

/// When a sample was told, and how good the model was then.
fn evaluated(run: &RunData, sample: &SampleRecord) -> String {
    let clock = Clock::up_to(run.standing().1);
    match run.evaluations.iter().find(|e| e.step == sample.step) {
        Some(e) => format!("{}, step {}: {:.4} BPC", clock.label(e.elapsed), grouped(e.step), e.bpc),
        None => format!("step {}", grouped(sample.step)),
    }
}

fn story(sample: &SampleRecord, title: String, index: usize) -> Story {
    let mut text: String = sample.text.chars().take(LONGEST).map(shown).collect();
    if sample.text.chars().nth(LONGEST).is_some() {
        text.push_str(" …");
    }
    Story { title, class: colour(index), text }
}

/// A character, or what stands for those that HTML cannot hold: an untrained model tells any.
fn shown(c: char) -> char {
    let code = u32::from(c);
    let none = (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe;
    if none || c.is_control() && !matches!(c, '\n' | '\t') { char::REPLACEMENT_CHARACTER } else { c }
}

/// A number with a thin space between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{run, write_run};

    fn data(steps: u64, evaluate_every: u64) -> RunData {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), &run(steps, evaluate_every));
        RunData::read(dir.path()).unwrap()
    }

    #[test]
    fn what_a_model_says_is_text_on_the_page() {
        let page = page(&[data(300, 100)], None, Shown::File).unwrap();
        assert!(page.contains("&lt;b&gt;Tom&lt;&#x2f;b&gt; &amp; 100 cats."), "{page}");
        assert!(!page.contains("<b>Tom"));
        assert_eq!(page.matches("<article").count(), 3);
    }

    #[test]
    fn a_page_needs_nothing_else_and_only_the_live_one_has_a_script() {
        let still = page(&[data(300, 100)], None, Shown::File).unwrap();
        for outside in ["<script", "src=", "@import", "url(", "<link", "http:", "https:"] {
            assert!(!still.contains(outside), "{outside}");
        }
        let live = page(&[data(300, 100)], None, Shown::Live).unwrap();
        assert!(live.contains("<script") && live.contains("<textarea"));
    }

    #[test]
    fn the_page_of_a_day_is_small() {
        let page = page(&[data(60_000, 60)], None, Shown::File).unwrap();
        assert!(page.len() < 600_000, "{} bytes", page.len());
        assert_eq!(page.matches("<article").count(), TOLD);
    }

    #[test]
    fn what_html_cannot_hold_is_replaced() {
        let text: String = "a\n\t\u{f}\u{85}\u{fdd0}\u{1ffff}é".chars().map(shown).collect();
        assert_eq!(text, "a\n\t\u{fffd}\u{fffd}\u{fffd}\u{fffd}é");
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]);
    }
}
