//! The lines that were typed before, in a file that chats add to, several at once if need be.

use std::env;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Lines that the editor goes back.
pub const LINES: usize = 1000;
/// The longest file, bytes; a longer one is cut to the later half of this.
const LONGEST: u64 = 256 << 10;
/// The longest line that is remembered, bytes: a pasted book is none to go back to.
const LONGEST_LINE: usize = 16 << 10;
/// How rustyline, which reads and writes such files too, marks that lines are escaped.
const MARK: &[u8] = b"#V2\n";
/// How often, and how long apart, a lock is tried for that another chat holds while it adds a line.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A file of lines, each escaped and ended by "\n". Nothing in it is rewritten but to shorten it.
pub struct History {
    path: PathBuf,
}

impl History {
    /// The history in the file at `path`, which need not be there.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// What is said of a history that cannot be used.
    pub fn unusable(&self, error: &Error) -> String {
        format!("{}: lines are not remembered: {error}", self.path.display())
    }

    /// Its lines, the oldest first; of a longer file those within the last [`LONGEST`] bytes. Bytes that are no UTF-8
    /// are shown as U+FFFD, and stay as they are in the file.
    ///
    /// # Errors
    /// It is no regular file, or cannot be read.
    pub fn lines(&self) -> io::Result<Vec<String>> {
        let Some(length) = self.length()? else { return Ok(Vec::new()) };
        let mut file = File::open(&self.path)?;
        let from = length.saturating_sub(LONGEST);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(LONGEST).read_to_end(&mut bytes)?;
        let bytes = if from > 0 { whole_lines(&bytes) } else { bytes.strip_prefix(MARK).unwrap_or(&bytes) };
        let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        Ok(lines.map(|line| unescaped(&String::from_utf8_lossy(line))).collect())
    }

    /// Adds `line` to the end of the file, which only its owner may read.
    ///
    /// # Errors
    /// It is no regular file, or cannot be written.
    pub fn append(&self, line: &str) -> io::Result<()> {
        if line.len() > LONGEST_LINE {
            return Ok(());
        }
        if self.length()?.is_none() {
            make_folder(&self.path)?;
        }
        let mut file = private(OpenOptions::new().read(true).append(true).create(true)).open(&self.path)?;
        make_private(&file);
        lock(&file)?;
        let length = file.metadata()?.len();
        let mut bytes = Vec::new();
        if length == 0 {
            bytes.extend_from_slice(MARK);
        } else if !ends_a_line(&mut file)? {
            // a disk was full, or an editor left it so
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(escaped(line).as_bytes());
        bytes.push(b'\n');
        // in one piece
        file.write_all(&bytes)?;
        drop(file);
        if length + bytes.len() as u64 > LONGEST { self.shorten() } else { Ok(()) }
    }

    /// Leaves the last whole lines of at most half of [`LONGEST`]. They are written over the file's begin, which they
    /// do not reach into from behind, before the rest is cut off: at no time are they nowhere.
    fn shorten(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        lock(&file)?;
        let length = file.metadata()?.len();
        if length <= LONGEST {
            // another chat was faster
            return Ok(());
        }
        file.seek(SeekFrom::Start(length - (LONGEST / 2 - MARK.len() as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let kept = [MARK, whole_lines(&bytes)].concat();
        file.rewind()?;
        file.write_all(&kept)?;
        file.sync_all()?;
        file.set_len(kept.len() as u64)
    }

    /// Bytes of the file; `None` where there is none yet. To open a pipe would be to wait for its other end.
    fn length(&self) -> io::Result<Option<u64>> {
        match fs::metadata(&self.path) {
            Ok(about) if about.is_file() => Ok(Some(about.len())),
            Ok(_) => Err(Error::new(ErrorKind::InvalidInput, "it is no regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// `flashlm/history` in the user's state directory.
pub fn usual_place() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("state")))
        .or_else(|| folder("APPDATA"))?;
    Some(state.join("flashlm").join("history"))
}

/// What follows the first line end.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    end.and_then(|end| bytes.get(end + 1..)).unwrap_or_default()
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}

/// Waits until no other chat writes. Where files cannot be locked, an appended line still goes to the end.
fn lock(file: &File) -> io::Result<()> {
    for _ in 0..TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(Error::new(ErrorKind::TimedOut, "another program keeps it locked"))
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Takes from others what an earlier program or a person gave them. Where that is not ours to do, it stays.
#[cfg(unix)]
fn make_private(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata().is_ok_and(|about| about.permissions().mode() & 0o077 != 0) {
        let _ = file.set_permissions(PermissionsExt::from_mode(0o600));
    }
}

#[cfg(not(unix))]
fn make_private(_: &File) {}

/// Makes the folder that `path` is to lie in, for its owner alone.
fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => builder.create(folder),
        _ => Ok(()),
    }
}

fn escaped(line: &str) -> String {
    line.replace('\\', "\\\\").replace('\n', "\\n")
}

fn unescaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, chars.as_str().chars().next()) {
            ('\\', Some('n')) => text.push('\n'),
            ('\\', Some('\\')) => text.push('\\'),
            _ => {
                text.push(c);
                continue;
            }
        }
        chars.next();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> (tempfile::TempDir, History) {
        let folder = tempfile::tempdir().unwrap();
        let history = History::at(folder.path().join("state/flashlm/history"));
        (folder, history)
    }

    fn file(history: &History) -> Vec<u8> {
        fs::read(&history.path).unwrap()
    }

    #[test]
    fn lines_come_back_as_they_were() {
        let (_folder, history) = history();
        assert_eq!(history.lines().unwrap(), [""; 0]);
        let lines = ["Once upon a time", "two\nlines", r"back\slash \n \\", " été \u{1f642} ", "#V2"];
        lines.iter().for_each(|line| history.append(line).unwrap());
        assert_eq!(history.lines().unwrap(), lines);
        assert!(file(&history).starts_with(b"#V2\nOnce upon a time\ntwo\\nlines\n"));
    }

    #[test]
    fn bytes_that_are_no_text_are_read_over_and_stay_in_the_file() {
        let (_folder, history) = history();
        history.append("first").unwrap();
        let bad = [&file(&history)[..], b"caf\xe9 \xff\x00\n\n\\\\x\nlast without an end"].concat();
        fs::write(&history.path, &bad).unwrap();
        let lines = history.lines().unwrap();
        assert_eq!((&lines[0][..], &lines[2][..], lines.len()), ("first", r"\x", 4), "{lines:?}");
        assert!(lines[1].starts_with("caf\u{fffd}"));
        history.append("next").unwrap();
        assert_eq!(file(&history), [&bad[..], b"\nnext\n"].concat());
    }

    #[test]
    fn chats_at_once_lose_nothing() {
        let (_folder, history) = history();
        let write = |name: usize| (0..200).for_each(|i| history.append(&format!("{name}: {i}")).unwrap());
        thread::scope(|scope| (0..4).map(|name| scope.spawn(move || write(name))).for_each(drop));
        let lines = history.lines().unwrap();
        for name in 0..4 {
            let own: Vec<_> = lines.iter().filter(|line| line.starts_with(&format!("{name}: "))).collect();
            assert_eq!(own.len(), 200, "{name}");
            assert!(own.iter().enumerate().all(|(i, line)| **line == format!("{name}: {i}")), "{name}");
        }
        assert_eq!(file(&history).windows(MARK.len()).filter(|bytes| *bytes == MARK).count(), 1);
    }

    #[test]
    fn the_file_stays_within_bounds_and_keeps_the_latest_lines() {
        let (_folder, history) = history();
        let line = |i: usize| format!("{i} {}", "x".repeat(i % 700));
        for i in 0..2000 {
            history.append(&line(i)).unwrap();
            assert!(fs::metadata(&history.path).unwrap().len() <= LONGEST);
        }
        let lines = history.lines().unwrap();
        assert!((100..1999).contains(&lines.len()), "{}", lines.len());
        let want: Vec<String> = (2000 - lines.len()..2000).map(line).collect();
        assert_eq!(lines, want);
        history.append(&"y".repeat(LONGEST_LINE + 1)).unwrap();
        assert_eq!(history.lines().unwrap(), want);
        // somebody else's, far too long: of the latest lines nothing is missing
        fs::write(&history.path, "a line of theirs\n".repeat(1 << 20)).unwrap();
        assert!(history.lines().unwrap().iter().all(|line| line == "a line of theirs"));
        history.append("ours").unwrap();
        assert!(fs::metadata(&history.path).unwrap().len() <= LONGEST / 2);
        assert_eq!(history.lines().unwrap().last().unwrap(), "ours");
    }

    #[test]
    fn chats_that_shorten_at_once_lose_none_of_the_latest_lines() {
        let (_folder, history) = history();
        let write = |name: usize| (0..300).for_each(|i| history.append(&format!("{name} {i:0999}")).unwrap());
        thread::scope(|scope| (0..4).map(|name| scope.spawn(move || write(name))).for_each(drop));
        let lines = history.lines().unwrap();
        for name in 0..4 {
            let numbers = lines.iter().filter_map(|line| line.strip_prefix(&format!("{name} "))?.parse::<usize>().ok());
            let numbers: Vec<_> = numbers.collect();
            assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{name}: {numbers:?}");
        }
        assert!(lines.len() > 100);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, history) = history();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        history.append("mine").unwrap();
        assert_eq!((mode(&history.path), mode(&folder.path().join("state/flashlm"))), (0o600, 0o700));
        fs::set_permissions(&history.path, PermissionsExt::from_mode(0o644)).unwrap();
        history.append("mine").unwrap();
        assert_eq!(mode(&history.path), 0o600);
    }

    #[test]
    fn what_is_no_file_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for path in [folder.path().to_owned(), folder.path().join("file/history"), "/dev/null".into()] {
            let history = History::at(path);
            assert!(history.append("line").is_err(), "{}", history.path.display());
        }
        let history = History::at(folder.path().to_owned());
        assert!(
            history
                .unusable(&history.lines().unwrap_err())
                .ends_with("lines are not remembered: it is no regular file")
        );
    }

    #[test]
    fn a_file_that_another_program_keeps_locked_is_not_waited_for_without_end() {
        let (_folder, history) = history();
        history.append("one").unwrap();
        let theirs = File::open(&history.path).unwrap();
        theirs.lock().unwrap();
        assert_eq!(history.append("two").unwrap_err().kind(), ErrorKind::TimedOut);
        drop(theirs);
        history.append("three").unwrap();
        assert_eq!(history.lines().unwrap(), ["one", "three"]);
    }
}
