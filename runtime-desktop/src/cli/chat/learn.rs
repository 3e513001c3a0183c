//! `/learn`: `trainer tune` in the background, with the model that is talked to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Where the tuned model goes, and what training says on its way.
const OUT: &str = "out/learned";
const LOG: &str = "out/learned.log";
const PROGRAM: &str = "trainer";

/// What is being learnt, one text at a time.
#[derive(Default)]
pub struct Learning {
    running: Option<(Child, PathBuf)>,
}

impl Learning {
    /// Begins to learn the text in `file` with `model`, the built-in one where there is none.
    ///
    /// # Errors
    /// Something is being learnt already, there is no such file, or the program that does it is not to be found.
    pub fn begin(&mut self, file: PathBuf, model: Option<&Path>) -> Result<String> {
        if let Some((_, file)) = &self.running {
            bail!("{} is still being learnt", file.display());
        }
        fs::metadata(&file).with_context(|| format!("{}: expected a text to learn", file.display()))?;
        let program = program()?;
        if let Some(parent) = Path::new(LOG).parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let log = File::create(LOG).with_context(|| LOG.to_owned())?;
        let mut command = Command::new(&program);
        command.arg("tune").arg(&file).args(["--out", OUT, "--from"]).arg(model.unwrap_or(Path::new("default")));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        // Ctrl-C at the terminal is for the story that is being told
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().with_context(|| program.display().to_string())?;
        let said = format!("learning {} for a minute, in {OUT}; how far it is: {LOG}", file.display());
        self.running = Some((child, file));
        Ok(said)
    }

    /// What came of it, once, when it has ended.
    pub fn ended(&mut self) -> Option<String> {
        let (child, _) = self.running.as_mut()?;
        let status = child.try_wait().transpose()?;
        let (_, file) = self.running.take()?;
        let log = fs::read_to_string(LOG).unwrap_or_default();
        Some(match status {
            Ok(status) if status.success() => {
                let changes: Vec<&str> =
                    log.lines().filter(|line| line.contains(" -> ") && line.ends_with("%)")).collect();
                let model = Path::new(OUT).join("model.flm");
                format!("learnt {}: {}\n/load {} talks to it", file.display(), changes.join("; "), model.display())
            }
            _ => {
                let last = log.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it was stopped");
                format!("{} was not learnt: {last}", file.display())
            }
        })
    }
}

/// The trainer: beside this program, where they are built and installed together.
fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("where this program is")?;
    let beside = own.with_file_name(format!("{PROGRAM}{}", std::env::consts::EXE_SUFFIX));
    if !beside.is_file() {
        bail!("expected the trainer at {} (`cargo build --release -p trainer` makes it)", beside.display());
    }
    Ok(beside)
}
