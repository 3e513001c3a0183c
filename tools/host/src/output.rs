//! Files that programs write: either whole or not there, and never one that is being read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Links followed from a name to its file, at the most; as many as Linux follows.
const LINKS: usize = 40;
/// What stands in the name of a temporary file, after a dot and the name of what it will be.
const MARK: &str = ".tmp-";
/// A younger temporary file may not be locked yet by whoever writes it.
const ABANDONED_AFTER: Duration = Duration::from_secs(10);

/// Temporary files of this process.
static TEMPORARIES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Why a file was not written. What was there before is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutputError {
    #[error("{}: is the file {}, which is read here: expected another name to write to", path.display(),
        input.display())]
    IsInput { path: PathBuf, input: PathBuf },
    #[error("{}: is {found}: expected the name of a file to write", path.display())]
    NotAFile { path: PathBuf, found: &'static str },
    #[error("{}: is write-protected: expected a file that may be replaced", path.display())]
    Protected { path: PathBuf },
    #[error("{}: the directory {} does not exist", path.display(), dir.display())]
    NoDirectory { path: PathBuf, dir: PathBuf },
    #[error("{}: the disk is full; what was there before is untouched", path.display())]
    DiskFull { path: PathBuf },
    #[error("{}: cannot be written: {source}; what was there before is untouched", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the file at `path` through `write`: it is written under a temporary name beside it, synced and renamed, so
/// that `path` holds either all of it or what it held before. A link is written through to the file it names; the file
/// keeps its permissions. When writing fails, or a signal ends the program, no temporary file is left.
///
/// # Errors
/// `path` is one of `inputs` by any name, no regular file, write-protected, or cannot be written.
pub fn write(
    path: &Path,
    inputs: &[&Path],
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), OutputError> {
    let (target, permissions) = checked(path, inputs)?;
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            OutputError::DiskFull { path: path.into() }
        }
        ErrorKind::NotFound => OutputError::NoDirectory { path: path.into(), dir: parent(&target).into() },
        _ => OutputError::Write { path: path.into(), source },
    };
    let (mut temporary, file) = Temporary::create(&target).map_err(failed)?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    write(&mut file).and_then(|()| file.flush()).map_err(failed)?;
    let file = file.get_ref();
    if let Some(permissions) = permissions {
        file.set_permissions(permissions).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    temporary.rename_to(&target).map_err(failed)
}

/// Makes `alias` the same file as `target`: a hard link, or a copy where the file system has none.
///
/// # Errors
/// As [`write()`]'s.
pub fn link(target: &Path, alias: &Path) -> Result<(), OutputError> {
    let failed = |source| OutputError::Write { path: alias.into(), source };
    let mut temporary = Temporary::named(alias);
    fs::hard_link(target, &temporary.path).or_else(|_| fs::copy(target, &temporary.path).map(drop)).map_err(failed)?;
    temporary.rename_to(alias).map_err(failed)?;
    // two names of one file already: the rename did nothing and left both
    let _ = fs::remove_file(&temporary.path);
    Ok(())
}

/// Whether [`write()`] could write `path`, without writing it: to refuse before the work is done.
///
/// # Errors
/// As [`write()`]'s; what only writing shows (a full disk) shows later.
pub fn check(path: &Path, inputs: &[&Path]) -> Result<(), OutputError> {
    let (target, _) = checked(path, inputs)?;
    let dir = parent(&target);
    if dir.is_dir() { Ok(()) } else { Err(OutputError::NoDirectory { path: path.into(), dir: dir.into() }) }
}

/// Removes the temporary files of this process: for the last moment of one that a signal ends.
pub fn remove_temporaries() {
    for path in TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        let _ = fs::remove_file(path);
    }
}

/// Removes temporary files in `dir` that no process writes any more: what a kill or a power cut left.
pub fn remove_abandoned(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with('.') && name.contains(MARK) && is_abandoned(&path).unwrap_or(false) {
            let _ = fs::remove_file(path);
        }
    }
}

/// Whether a temporary file is old enough to be locked and yet is not. (A lock goes with its process.)
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_file() || about.modified()?.elapsed().is_ok_and(|age| age < ABANDONED_AFTER) {
        return Ok(false);
    }
    Ok(File::open(path)?.try_lock().is_ok())
}

/// The file that `path` names, by whatever links, and its permissions if it is there.
fn checked(path: &Path, inputs: &[&Path]) -> Result<(PathBuf, Option<fs::Permissions>), OutputError> {
    let failed = |source| OutputError::Write { path: path.into(), source };
    let target = followed(path).map_err(failed)?;
    let about = match fs::metadata(&target) {
        Ok(about) => about,
        Err(e) if e.kind() == ErrorKind::NotFound && target.file_name().is_some() => return Ok((target, None)),
        Err(e) => return Err(failed(e)),
    };
    if let Some(found) = not_a_file(&about) {
        return Err(OutputError::NotAFile { path: path.into(), found });
    }
    for input in inputs {
        if fs::metadata(input).is_ok_and(|other| same(&about, &target, &other, input)) {
            return Err(OutputError::IsInput { path: path.into(), input: input.to_path_buf() });
        }
    }
    if about.permissions().readonly() {
        return Err(OutputError::Protected { path: path.into() });
    }
    Ok((target, Some(about.permissions())))
}

/// Where the links at `path` lead, the last one to a file that need not be there.
fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = parent(&target).join(next),
            // no link, or nothing there
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many links lead on from there"))
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What something is that is no regular file.
pub(crate) fn not_a_file(about: &Metadata) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        let kind = about.file_type();
        if kind.is_char_device() || kind.is_block_device() {
            return Some("a device");
        }
        if kind.is_fifo() {
            return Some("a pipe");
        }
        if kind.is_socket() {
            return Some("a socket");
        }
    }
    match about {
        about if about.is_dir() => Some("a directory"),
        about if about.is_file() => None,
        _ => Some("no regular file"),
    }
}

/// Whether two files are one, by whatever names. (Opening them to see would wait for a pipe's other end.)
#[cfg(unix)]
fn same(a: &Metadata, _: &Path, b: &Metadata, _: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn same(_: &Metadata, a: &Path, _: &Metadata, b: &Path) -> bool {
    fs::canonicalize(a).is_ok_and(|a| fs::canonicalize(b).is_ok_and(|b| a == b))
}

/// A file on its way: removed when dropped, unless it was renamed.
struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// A name beside `target` that no other has.
    fn named(target: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!("{MARK}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        let path = parent(target).join(name);
        // known before it is there: a signal may come in between
        registered().insert(path.clone());
        Self { path }
    }

    /// A new file beside `target`, locked for as long as it is open.
    fn create(target: &Path) -> io::Result<(Self, File)> {
        let temporary = Self::named(target);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&temporary.path)?;
        // not every file system has locks
        let _ = file.try_lock();
        Ok((temporary, file))
    }

    fn rename_to(&mut self, target: &Path) -> io::Result<()> {
        fs::rename(&self.path, target)?;
        registered().remove(&self.path);
        // the new name must survive a power cut too; not every system can sync a directory
        if let Ok(dir) = File::open(parent(target)) {
            let _ = dir.sync_all();
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if registered().remove(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn registered() -> std::sync::MutexGuard<'static, BTreeSet<PathBuf>> {
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::time::SystemTime;

    use super::*;

    fn text(text: &'static str) -> impl FnOnce(&mut BufWriter<File>) -> io::Result<()> {
        |file| file.write_all(text.as_bytes())
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_failed_write_keeps_the_old_file_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.bin");
        write(&path, &[], text("old")).unwrap();
        let error = write(&path, &[], |file| {
            file.write_all(b"new, but the disk is")?;
            Err(ErrorKind::StorageFull.into())
        });
        let message = error.unwrap_err().to_string();
        assert!(message.contains("kept.bin: the disk is full"), "{message}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(dir.path()), ["kept.bin"]);
    }

    #[test]
    fn no_input_is_written_onto_whatever_it_is_called() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("input"), "precious").unwrap();
        fs::hard_link(path("input"), path("hard")).unwrap();
        symlink("input", path("soft")).unwrap();
        symlink(path("soft"), path("softer")).unwrap();
        for name in ["input", "./input", "hard", "soft", "softer", "../gone/../input"] {
            let name = match name.strip_prefix("../gone/") {
                Some(_) => dir.path().join("../").join(dir.path().file_name().unwrap()).join("input"),
                None => path(name),
            };
            for input in ["input", "hard", "softer"] {
                let error = write(&name, &[&path(input)], text("junk")).unwrap_err();
                assert!(matches!(error, OutputError::IsInput { .. }), "{error}");
            }
        }
        assert_eq!(fs::read(path("input")).unwrap(), b"precious");
        write(&path("other"), &[&path("input")], text("fine")).unwrap();
        assert_eq!(names(dir.path()), ["hard", "input", "other", "soft", "softer"]);
    }

    #[test]
    fn links_are_written_through_even_to_a_file_that_is_not_there_yet() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("far")).unwrap();
        symlink("far/file", dir.path().join("link")).unwrap();
        for text_now in ["first", "second"] {
            write(&dir.path().join("link"), &[], text(text_now)).unwrap();
            assert!(dir.path().join("link").is_symlink());
            assert_eq!(fs::read_to_string(dir.path().join("far/file")).unwrap(), text_now);
        }
        symlink("ring", dir.path().join("ring")).unwrap();
        assert!(write(&dir.path().join("ring"), &[], text("x")).is_err());
    }

    #[test]
    fn what_is_no_file_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, found) in [
            (dir.path(), "a directory"),
            (&pipe, "a pipe"),
            (Path::new("/dev/null"), "a device"),
            (Path::new("/"), "dir"),
        ] {
            let message = write(path, &[], text("x")).unwrap_err().to_string();
            assert!(message.contains(found), "{message}");
        }
        let message = write(&dir.path().join("no/such/file"), &[], text("x")).unwrap_err().to_string();
        assert!(message.contains("no/such does not exist"), "{message}");
    }

    #[test]
    fn permissions_stay_and_a_protected_file_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine");
        write(&path, &[], text("a")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        write(&path, &[], text("b")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(matches!(write(&path, &[], text("c")), Err(OutputError::Protected { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"b");
    }

    #[test]
    fn only_temporaries_that_nobody_writes_are_abandoned() {
        let dir = tempfile::tempdir().unwrap();
        let old = SystemTime::now() - Duration::from_secs(60);
        let make = |name: &str, modified: SystemTime| {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(modified).unwrap();
            file
        };
        drop(make(".a.txt.tmp-1-0", old));
        drop(make(".young.txt.tmp-1-0", SystemTime::now()));
        drop(make("notes.tmp-1", old));
        let written = make(".b.txt.tmp-2-0", old);
        written.try_lock().unwrap();
        remove_abandoned(dir.path());
        assert_eq!(names(dir.path()), [".b.txt.tmp-2-0", ".young.txt.tmp-1-0", "notes.tmp-1"]);
    }
}
