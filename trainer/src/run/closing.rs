//! The last lines of a run: what was made, and the commands that follow.

use std::path::{Path, PathBuf};

use crate::run::directory::{NEWEST, PACKED};
use crate::run::results::Results;
use crate::run::schedule::Budget;
use crate::terminal;

/// A page on the run, where there is one.
const REPORT: &str = "report.html";
/// Flags that say how long a run is or where it begins, and whether a value follows.
const LENGTH: [(&str, bool); 3] = [("--hours", true), ("--steps", true), ("--extend", false)];
const RESUME: (&str, bool) = ("--resume", true);

/// How the program was started: what a command for it, and one for `flashlm`, begins with, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub trainer: Vec<String>,
    pub flashlm: Vec<String>,
    pub arguments: Vec<String>,
}

impl Invocation {
    /// Of a program that was started as `words`, the first of them its own name, with cargo or without.
    pub fn new(words: impl IntoIterator<Item = String>, by_cargo: bool) -> Self {
        let mut words = words.into_iter();
        let own = words.next().unwrap_or_else(|| "trainer".into());
        let cargo = |package: &str| ["cargo", "run", "--release", "-p", package, "--"].map(str::to_owned).to_vec();
        let (trainer, flashlm) = if by_cargo {
            (cargo("trainer"), cargo("runtime-desktop"))
        } else {
            // built together they lie side by side
            let beside = Path::new(&own).with_file_name(format!("flashlm{}", std::env::consts::EXE_SUFFIX));
            let beside = beside.is_file().then(|| beside.display().to_string());
            (vec![own], vec![beside.unwrap_or_else(|| "flashlm".into())])
        };
        Self { trainer, flashlm, arguments: words.collect() }
    }

    /// The arguments without these flags, in either of the forms `--flag value` and `--flag=value`.
    fn without(&self, flags: &[(&str, bool)]) -> Vec<String> {
        let mut kept = Vec::new();
        let mut words = self.arguments.iter();
        while let Some(word) = words.next() {
            let name = word.split_once('=').map_or(&**word, |(name, _)| name);
            match flags.iter().find(|(flag, _)| *flag == name) {
                None => kept.push(word.clone()),
                Some((_, true)) if name == word => _ = words.next(),
                Some(_) => {}
            }
        }
        kept
    }
}

/// What a run made.
#[derive(Clone, Debug)]
pub struct Made {
    /// Directory of the run.
    pub out: PathBuf,
    /// Whether the run used up its budget, and what that is.
    pub complete: bool,
    pub budget: Budget,
    pub step: u64,
    pub tokens: u64,
    /// Of the packed model.
    pub bytes: usize,
    /// Bits per character: of all held-out text, or where that was not scored, of its first part when last evaluated.
    pub bpc: Option<Bpc>,
}

/// Bits per character.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bpc {
    OfAll(f64),
    WhenLastEvaluated(f64),
}

/// What was made, a line each; the commands that follow, where `invocation` says how, for a terminal of `width`.
pub fn lines(made: &Made, invocation: Option<&Invocation>, width: Option<usize>) -> Vec<String> {
    let Made { out, complete, step, tokens, bytes, bpc, .. } = made;
    let ended = if *complete { "finished" } else { "stopped" };
    let mut lines = vec![format!("{ended} after {step} steps, {:.2} M tokens", *tokens as f64 / 1e6)];
    let bpc = match bpc {
        Some(Bpc::OfAll(bpc)) => format!(", {bpc:.4} bits per character of held-out text"),
        Some(Bpc::WhenLastEvaluated(bpc)) => format!(", {bpc:.4} bits per character when last evaluated"),
        None => String::new(),
    };
    let file = |name: &str| out.join(name).display().to_string();
    lines.push(format!("  model: {} ({bytes} bytes{bpc})", file(PACKED)));
    lines.push(format!("  checkpoint: {}", file(NEWEST)));
    let optional = [("report", REPORT), ("results", Results::FILE)];
    lines.extend(optional.iter().filter(|(_, f)| out.join(f).exists()).map(|(n, f)| format!("  {n}: {}", file(f))));
    if let Some(width) = width {
        lines = lines.iter().map(|line| terminal::wrapped(line, width)).collect();
    }
    let Some(invocation) = invocation else { return lines };
    for (what, words) in commands(made, invocation) {
        lines.push(format!("{what}:"));
        lines.extend(command(&words, width));
    }
    lines
}

/// The command to talk to the model of a run in `out`, for a terminal of `width`.
pub fn talk(out: &Path, Invocation { flashlm, .. }: &Invocation, width: Option<usize>) -> Vec<String> {
    command(&talking(out, flashlm), width)
}

fn talking(out: &Path, flashlm: &[String]) -> Vec<String> {
    [flashlm, &["-m".to_owned(), out.join(PACKED).display().to_string()]].concat()
}

/// What each command is for, and its words.
fn commands(made: &Made, invocation: &Invocation) -> [(&'static str, Vec<String>); 3] {
    let Invocation { trainer, flashlm, .. } = invocation;
    let words = |begin: &[String], rest: &[String]| [begin, rest].concat();
    let talk = talking(&made.out, flashlm);
    let report = words(trainer, &["report".into(), made.out.display().to_string()]);
    let (what, again) = if made.complete {
        let longer = match made.budget {
            Budget::Hours(hours) => ["--hours".into(), (2.0 * hours).to_string()],
            Budget::Steps(steps) => ["--steps".into(), steps.saturating_mul(2).to_string()],
        };
        let flags = [&LENGTH[..], &[RESUME]].concat();
        let arguments = [invocation.without(&flags), vec!["--extend".into()], longer.to_vec()].concat();
        ("to train it for as long again", arguments)
    } else {
        ("to go on with the training", invocation.without(&[RESUME]))
    };
    [("to talk to it", talk), (what, words(trainer, &again)), ("to see how it went", report)]
}

/// A command to paste into a shell; where it is wider than the terminal, on more lines that the shell joins.
fn command(words: &[String], width: Option<usize>) -> Vec<String> {
    const FIRST: &str = "  ";
    const REST: &str = "    ";
    const JOINED: &str = " \\";
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(1 + JOINED.len()));
    let mut lines = vec![FIRST.to_owned()];
    for (i, word) in words.iter().enumerate() {
        let word = quoted(word);
        let mut at = lines.len() - 1;
        // an option's value stays with it, where it can
        let next = words.get(i + 1).filter(|next| word.starts_with('-') && !next.starts_with('-'));
        let together = console::measure_text_width(&word) + next.map_or(0, |next| 1 + quoted(next).chars().count());
        let begun = !lines[at].trim_start().is_empty();
        if begun && console::measure_text_width(&lines[at]) + 1 + together > room {
            lines[at] += JOINED;
            lines.push(REST.to_owned());
            at += 1;
        } else if begun {
            lines[at].push(' ');
        }
        lines[at] += &word;
    }
    lines
}

/// A word as a shell wants it.
fn quoted(word: &str) -> String {
    // no argument and no path has a NUL
    shlex::try_quote(word).map_or_else(|_| word.to_owned(), |quoted| quoted.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invocation(arguments: &str, by_cargo: bool) -> Invocation {
        let words = format!("/none/trainer {arguments}");
        Invocation::new(words.split_whitespace().map(str::to_owned).collect::<Vec<_>>(), by_cargo)
    }

    fn made(complete: bool, out: &str) -> Made {
        let bpc = Some(if complete { Bpc::OfAll(0.87654) } else { Bpc::WhenLastEvaluated(0.9) });
        let budget = Budget::Hours(2.0);
        Made { out: out.into(), complete, budget, step: 1200, tokens: 4_915_200, bytes: 654_321, bpc }
    }

    #[test]
    fn a_finished_run_says_what_it_made_and_three_commands_that_follow() {
        let lines = lines(&made(true, "out/nano"), Some(&invocation("--hours=2 --size nano", true)), None);
        let want = [
            "finished after 1200 steps, 4.92 M tokens",
            "  model: out/nano/model.flm (654321 bytes, 0.8765 bits per character of held-out text)",
            "  checkpoint: out/nano/model.safetensors",
            "to talk to it:",
            "  cargo run --release -p runtime-desktop -- -m out/nano/model.flm",
            "to train it for as long again:",
            "  cargo run --release -p trainer -- --size nano --extend --hours 4",
            "to see how it went:",
            "  cargo run --release -p trainer -- report out/nano",
        ];
        assert_eq!(lines, want);
    }

    #[test]
    fn a_stopped_run_goes_on_by_the_same_command_but_does_not_begin_anew() {
        let started = invocation("--steps 90 --resume never --out x", false);
        let lines = lines(&made(false, "x"), Some(&started), None);
        assert!(lines[0].starts_with("stopped") && lines[1].contains("0.9000 bits per character when last evaluated"));
        let commands: Vec<_> = lines.iter().filter(|line| line.starts_with("  /") || line.contains("-m")).collect();
        assert_eq!(
            commands,
            ["  flashlm -m x/model.flm", "  /none/trainer --steps 90 --out x", "  /none/trainer report x"]
        );
    }

    #[test]
    fn a_run_of_steps_is_extended_by_steps_and_a_reports_file_is_named_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        for file in [REPORT, Results::FILE] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let made = Made { budget: Budget::Steps(300), ..made(true, dir.path().to_str().unwrap()) };
        let text = lines(&made, Some(&invocation("--extend --steps 300 --lr 1e-3", false)), None).join("\n");
        assert!(text.contains("trainer --lr 1e-3 --extend --steps 600\n"), "{text}");
        assert!(text.contains("  report: ") && text.contains("/report.html\n  results: "), "{text}");
        assert!(!lines(&made, None, None).iter().any(|line| line.contains("--extend") || line.contains("to talk")));
    }

    #[test]
    fn commands_are_quoted_and_broken_as_a_shell_reads_them() {
        let out = "out/it's my run";
        for width in [40, 60, 80, 200] {
            let lines = lines(&made(true, out), Some(&invocation("--size nano --layers 3", true)), Some(width));
            let shell = lines.iter().filter(|line| line.starts_with("  ") && !line.contains(": "));
            let text = shell.map(String::as_str).collect::<Vec<_>>().join("\n");
            let rows: Vec<_> = text.lines().collect();
            assert!(rows.iter().all(|row| row.len() < width), "{text}");
            let words = |text: &str| shlex::split(&text.replace("\\\n", "")).unwrap();
            let first = text.find("\n  cargo").unwrap();
            assert_eq!(
                words(&text[..first]),
                ["cargo", "run", "--release", "-p", "runtime-desktop", "--", "-m", "out/it's my run/model.flm"]
            );
            assert!(words(&text[first..]).ends_with(&["--".into(), "report".into(), out.into()]), "{text}");
        }
    }
}
