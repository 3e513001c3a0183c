//! The runs of a grid: each a process of this same program, in a directory of its own, one after the other.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use flashlm_host::output;

use super::super::args::TrainArgs;
use super::super::args::given::Given;
use super::super::config;
use super::grid::Cell;
use crate::interrupt;
use crate::run::directory::CONFIGURATION;
use crate::run::request::{Request, Resume};
use crate::run::results::Results;

/// What a run is asked for, and what it says, beside its own files.
const ASKED: &str = "cell.toml";
pub const LOG: &str = "log.txt";
/// Time between two looks at a run and at Ctrl-C.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Of a log, from the end, in bytes: an error is shorter.
const LAST_LINES: u64 = 16 << 10;

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Index of its cell.
    pub cell: usize,
    pub seed: u64,
    pub dir: PathBuf,
    /// How it is called in what is printed.
    pub name: String,
    train: TrainArgs,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Its turn has not come, or it was interrupted.
    Open,
    Complete(Box<Results>),
    /// Why, as it said itself.
    Failed(String),
}

impl Run {
    /// The run of `cell` with `seed` in `dir`, if there can be one.
    ///
    /// # Errors
    /// Of a value or of dimensions that cannot be, or where `dir` has another run.
    pub fn new(index: usize, cell: &Cell, seed: u64, dir: PathBuf) -> anyhow::Result<Self> {
        let mut given = cell.given.clone();
        let command = config::training();
        for (long, word) in [("out", dir.display().to_string()), ("seed", seed.to_string())] {
            given.set(&command, long, vec![word]);
        }
        let made = |given: &Given| -> anyhow::Result<TrainArgs> {
            let train = config::train(given).map_err(|e| match e.downcast::<clap::Error>() {
                Ok(said) => anyhow::anyhow!("{}", said.to_string().lines().next().unwrap_or_default()),
                Err(e) => e,
            })?;
            train.request()?;
            Ok(train)
        };
        let train = made(&given).with_context(|| cell.name.clone())?;
        let run = Self { cell: index, seed, name: format!("{}, seed {seed}", cell.name), dir, train };
        run.check_same()?;
        Ok(run)
    }

    /// Refuses to go on with a run that was asked for otherwise, or to put another in its place, unless told to.
    fn check_same(&self) -> anyhow::Result<()> {
        let path = self.dir.join(CONFIGURATION);
        if !path.exists() || self.train.extend || self.train.resume != Resume::Auto {
            return Ok(());
        }
        let there = config::read(&path)?;
        if same(&there.request()?, &self.train.request()?) {
            return Ok(());
        }
        bail!(
            "{}: the run there is another ({}): expected another --out, or --resume never to move it aside",
            self.dir.display(),
            first_difference(&there.written, &self.train.written)
        )
    }

    /// What it came to if it is complete.
    fn finished(&self) -> Option<Results> {
        let results = Results::read(&self.dir.join(Results::FILE)).ok().filter(|results| results.complete)?;
        let there = config::read(&self.dir.join(CONFIGURATION)).ok()?.request().ok()?;
        same(&there, &self.train.request().ok()?).then_some(results)
    }

    /// Trains it, or goes on where it was.
    fn train(&self) -> anyhow::Result<Outcome> {
        let dir = &self.dir;
        fs::create_dir_all(dir).with_context(|| format!("cannot create the directory {}", dir.display()))?;
        let asked = dir.join(ASKED);
        output::write(&asked, &[], |file| file.write_all(self.train.written.as_bytes()))?;
        let log = dir.join(LOG);
        let said = || log.display().to_string();
        let out = OpenOptions::new().create(true).append(true).open(&log).with_context(said)?;
        let begun = out.metadata().with_context(said)?.len();
        let program = std::env::current_exe().context("this program's own file")?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&asked).stdin(Stdio::null());
        command.stdout(out.try_clone().with_context(said)?).stderr(out);
        apart(&mut command);
        let status = wait(command.spawn().context("cannot start a run")?)?;
        match Results::read(&dir.join(Results::FILE)) {
            Ok(results) if status.success() && results.complete => Ok(Outcome::Complete(Box::new(results))),
            _ if interrupt::requested() => Ok(Outcome::Open),
            _ => Ok(Outcome::Failed(error_in(&log, begun).unwrap_or_else(|| format!("it ended with {status}")))),
        }
    }
}

/// Does all runs that are not complete, in their order, and says so a line each; `after` is called with what is known
/// whenever that is more. A run that fails does not stop the others. Ctrl-C, which the run gets too, does.
///
/// # Errors
/// A run cannot be started, or what `after` returns.
pub fn train(runs: &[Run], mut after: impl FnMut(&[Outcome]) -> anyhow::Result<()>) -> anyhow::Result<Vec<Outcome>> {
    interrupt::install().context("cannot install the Ctrl-C handler")?;
    let done = |run: &Run| run.finished().map_or(Outcome::Open, |results| Outcome::Complete(Box::new(results)));
    let mut outcomes: Vec<Outcome> = runs.iter().map(done).collect();
    let width = runs.len().to_string().len();
    for (index, run) in runs.iter().enumerate() {
        if interrupt::requested() {
            break;
        }
        let place = format!("[{:width$}/{}] {}", index + 1, runs.len(), run.name);
        let before = matches!(outcomes[index], Outcome::Complete(_));
        if !before {
            say(&format!("{place}: training, see {}\n", run.dir.join(LOG).display()));
            outcomes[index] = run.train()?;
        }
        say(&format!("{place}: {}{}\n", line(&outcomes[index]), if before { " (from before)" } else { "" }));
        after(&outcomes)?;
    }
    Ok(outcomes)
}

/// Where nobody reads it any more, the runs go on.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// What came of a run, in a line.
fn line(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Open => "interrupted; the same command goes on from there".into(),
        Outcome::Failed(why) => format!("failed: {why}"),
        Outcome::Complete(results) => {
            let bpc = results.held_out.as_ref().map_or("not scored".into(), |h| format!("{:.4} bpc", h.packed_bpc));
            let (steps, seconds) = (results.steps, results.elapsed);
            format!("{bpc} after {steps} steps, {:.2} M tokens, {seconds:.0} s", results.tokens as f64 / 1e6)
        }
    }
}

/// Whether two runs train the same: the model, on what and how.
fn same(a: &Request, b: &Request) -> bool {
    (a.config, &a.settings, &a.valid) == (b.config, &b.settings, &b.valid)
}

/// The first line of one text that the other has otherwise.
fn first_difference(there: &str, asked: &str) -> String {
    let of_the_run = |line: &&str| !line.starts_with('#') && !line.starts_with("out =");
    let missing = |from: &str, of: &str| {
        let found = of.lines().filter(of_the_run).find(|line| !from.lines().any(|other| other == *line));
        found.map(str::to_owned)
    };
    match (missing(asked, there), missing(there, asked)) {
        (Some(was), Some(is)) => format!("{was}, not {is}"),
        (Some(was), None) => was,
        (None, Some(is)) => format!("without {is}"),
        (None, None) => "on another machine, or by another trainer".into(),
    }
}

/// The last error in a log, behind `begun` bytes.
fn error_in(log: &Path, begun: u64) -> Option<String> {
    let mut file = fs::File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(begun.max(length.saturating_sub(LAST_LINES)))).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    text.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}

/// Waits for a run, and passes Ctrl-C on to it once.
fn wait(mut child: Child) -> anyhow::Result<std::process::ExitStatus> {
    let mut passed_on = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a run")? {
            return Ok(status);
        }
        if interrupt::requested() && !passed_on {
            passed_on = true;
            interrupt_child(&child);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Has a terminal's Ctrl-C reach the run through us alone: two at once would stop it without a checkpoint.
#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt;

    command.process_group(0);
}

#[cfg(unix)]
fn interrupt_child(child: &Child) {
    use rustix::process::{Pid, Signal, kill_process};

    // one that ended just now needs none
    let _ = kill_process(Pid::from_child(child), Signal::INT);
}

/// A console's Ctrl-C reaches every program in it.
#[cfg(not(unix))]
fn apart(_: &mut Command) {}

#[cfg(not(unix))]
fn interrupt_child(_: &Child) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_a_run_ended_with_is_found_behind_earlier_ones() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log.txt");
        fs::write(&log, "error: of before\nstep 1\nerror: a.txt: no such file\n").unwrap();
        assert_eq!(error_in(&log, 0).unwrap(), "a.txt: no such file");
        assert_eq!(error_in(&log, 17).unwrap(), "a.txt: no such file");
        fs::write(&log, "error: of before\nstep 1\n").unwrap();
        assert_eq!(error_in(&log, 17), None);
        fs::write(&log, format!("error: early\n{}error: late\nend\n", "step\n".repeat(10_000))).unwrap();
        assert_eq!(error_in(&log, 0).unwrap(), "late");
    }

    #[test]
    fn the_first_line_that_differs_is_named() {
        let texts = ("# a\nout = \"x\"\nlr = 0.1\nsteps = 4\n", "# b\nout = \"y\"\nlr = 0.2\nsteps = 4\n");
        assert_eq!(first_difference(texts.0, texts.1), "lr = 0.1, not lr = 0.2");
        assert_eq!(first_difference("lr = 1\n", ""), "lr = 1");
        assert_eq!(first_difference("", "lr = 1\n"), "without lr = 1");
    }
}
