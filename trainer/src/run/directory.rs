//! A run's directory: it belongs to one process at a time, and what an earlier run left there is moved aside, never
//! mixed with or written over.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use flashlm_host::output;

use crate::run::{checkpoint, metrics, results};

/// Held locked by the process that trains there; the system lets go of it when the process ends, however it ends.
const LOCK: &str = "run.lock";
/// The packed model, and the newest checkpoint by a name that does not change.
pub const PACKED: &str = "model.flm";
pub const NEWEST: &str = "model.safetensors";
/// The page about the run, and its figures as a table.
pub const REPORT: &str = "report.html";
pub const TABLE: &str = "metrics.csv";
/// What was asked for: `--config` with it asks for it again.
pub const CONFIGURATION: &str = "run.toml";
/// What files of phase 4 begin with.
pub const PHASE_4: &str = "phase-4-";

/// A directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Locked for as long as it is open.
    _lock: File,
    /// The first of the directories that were made for it; they go again if nothing comes of the run.
    made: Option<PathBuf>,
}

impl Directory {
    /// Takes a directory, making it if need be.
    ///
    /// # Errors
    /// It cannot be made or written, or another process trains there.
    pub fn claim(path: &Path) -> anyhow::Result<Self> {
        let missing = path.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        let made = missing.last().map(Path::to_owned);
        fs::create_dir_all(path).with_context(|| format!("cannot create the directory {}", path.display()))?;
        let lock = match lock(path) {
            Ok(lock) => lock,
            Err(error) => {
                remove_made(path, made.as_deref());
                return Err(error);
            }
        };
        output::remove_abandoned(path);
        Ok(Self { path: path.to_owned(), _lock: lock, made })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run that is in it comes to something: the directory stays.
    pub fn keep(&mut self) {
        self.made = None;
    }

    /// Moves all that an earlier run left to a directory beside this one, `NAME.1` or the next number that is free, and
    /// returns its path; `None` where there was no run.
    pub fn move_aside(&self) -> anyhow::Result<Option<PathBuf>> {
        let files = run_files(&self.path)?;
        if files.is_empty() {
            return Ok(None);
        }
        let to = self.aside()?;
        for file in files {
            move_to(&file, &to)?;
        }
        Ok(Some(to))
    }

    /// Moves the checkpoints after `step` to a directory beside this one, with a copy of what else the run wrote, so
    /// that it can go on from `step`; `None` where there are none.
    pub fn go_back_to(&self, step: u64) -> anyhow::Result<Option<PathBuf>> {
        let later: Vec<PathBuf> =
            checkpoint::list(&self.path).into_iter().filter(|(at, _)| *at > step).map(|(_, path)| path).collect();
        if later.is_empty() {
            return Ok(None);
        }
        let to = self.aside()?;
        for name in [metrics::FILE, results::Results::FILE, PACKED, CONFIGURATION] {
            let from = self.path.join(name);
            if from.exists() {
                fs::copy(&from, to.join(name)).with_context(|| cannot_move(&from, &to))?;
            }
        }
        for file in later {
            move_to(&file, &to)?;
        }
        Ok(Some(to))
    }

    /// A new directory beside this one.
    fn aside(&self) -> anyhow::Result<PathBuf> {
        let whole = fs::canonicalize(&self.path).with_context(|| self.path.display().to_string())?;
        // as the user wrote it, where that has a name
        let named = if self.path.file_name().is_some() { &self.path } else { &whole };
        for number in 1.. {
            let mut name = named.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{number}"));
            let to = named.with_file_name(name);
            match fs::create_dir(&to) {
                Ok(()) => return Ok(to),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    let place = self.path.display();
                    return Err(anyhow!(e).context(format!("cannot move the run in {place} aside to {}", to.display())));
                }
            }
        }
        bail!("{}: no number is left for the run in it", self.path.display())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.made.is_some() {
            remove_made(&self.path, self.made.as_deref());
        }
    }
}

/// Removes a directory that was made for a run of which nothing came, and those above it that were made too, but for
/// what others put there.
fn remove_made(path: &Path, made: Option<&Path>) {
    let Some(made) = made else { return };
    let _ = fs::remove_file(path.join(LOCK));
    for dir in path.ancestors() {
        if fs::remove_dir(dir).is_err() || dir == made {
            return;
        }
    }
}

fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(LOCK);
    let name = || format!("{}: cannot be written", path.display());
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).with_context(name)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).with_context(name)?;
            write!(file, "process {}", std::process::id()).with_context(name)?;
        }
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            let _ = file.rewind().and_then(|()| file.read_to_string(&mut owner));
            let owner = if owner.is_empty() { "another process" } else { &owner };
            bail!("{}: {owner} is training there: expected an --out of its own, or wait for it", dir.display());
        }
        // a file system without locks
        Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
        Err(TryLockError::Error(e)) => return Err(anyhow!(e).context(name())),
    }
    Ok(file)
}

/// The files in `dir` that runs write.
pub fn run_files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let path = entry.with_context(|| dir.display().to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let fixed =
            [metrics::FILE, results::Results::FILE, PACKED, NEWEST, CONFIGURATION, REPORT, TABLE].contains(&name);
        if fixed || checkpoint::step_of(&path).is_some() || name.starts_with(PHASE_4) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn move_to(file: &Path, dir: &Path) -> anyhow::Result<()> {
    fs::rename(file, dir.join(file.file_name().unwrap_or_default())).with_context(|| cannot_move(file, dir))
}

fn cannot_move(file: &Path, dir: &Path) -> String {
    format!("cannot move {} to {}", file.display(), dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_directory_has_one_owner_who_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let mut owner = Directory::claim(&out).unwrap();
        let error = Directory::claim(&out).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} is training there", std::process::id())), "{error}");
        owner.keep();
        drop(owner);
        Directory::claim(&out).unwrap();
    }

    #[test]
    fn nothing_is_left_of_a_run_that_came_to_nothing_but_what_others_put_there() {
        let dir = tempfile::tempdir().unwrap();
        drop(Directory::claim(&dir.path().join("a/b/c")).unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
        let owner = Directory::claim(&dir.path().join("a/b/c")).unwrap();
        fs::write(dir.path().join("a/mine"), "x").unwrap();
        drop(owner);
        assert_eq!(names(&dir.path().join("a")), ["mine"]);
        // one that was there stays
        drop(Directory::claim(&dir.path().join("a")).unwrap());
        assert_eq!(names(&dir.path().join("a")), ["mine", LOCK]);
    }

    #[test]
    fn a_run_is_moved_aside_to_the_next_free_number_without_the_users_files() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("x");
        let mut owner = Directory::claim(&out).unwrap();
        owner.keep();
        assert_eq!(owner.move_aside().unwrap(), None);
        for number in 1..3 {
            let of_the_run = [
                TABLE,
                "metrics.jsonl",
                "model.flm",
                "phase-4-round-1.txt",
                REPORT,
                CONFIGURATION,
                "step-00000040.safetensors",
            ];
            for name in of_the_run.into_iter().chain(["stories.txt"]) {
                fs::write(out.join(name), name).unwrap();
            }
            let to = owner.move_aside().unwrap().unwrap();
            assert_eq!(to, dir.path().join(format!("x.{number}")));
            assert_eq!(names(&to), of_the_run);
            assert_eq!(names(&out), [LOCK, "stories.txt"]);
        }
    }

    #[test]
    fn going_back_keeps_what_came_later_beside() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("x");
        let mut owner = Directory::claim(&out).unwrap();
        owner.keep();
        for name in ["step-00000010.safetensors", "step-00000020.safetensors", "metrics.jsonl"] {
            fs::write(out.join(name), name).unwrap();
        }
        assert_eq!(owner.go_back_to(20).unwrap(), None);
        let to = owner.go_back_to(10).unwrap().unwrap();
        assert_eq!(names(&to), ["metrics.jsonl", "step-00000020.safetensors"]);
        assert_eq!(names(&out), ["metrics.jsonl", LOCK, "step-00000010.safetensors"]);
    }
}
