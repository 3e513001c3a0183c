//! The text files of a folder.

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::kinds::is_table;
use super::{TextError, is_stdin, not_a_table};
use crate::output::not_a_file;

/// What names of text files in a folder end in.
#[cfg(not(feature = "parquet"))]
const ENDINGS: [&str; 5] = [".txt", ".md", ".markdown", ".jsonl", ".ndjson"];
#[cfg(feature = "parquet")]
const ENDINGS: [&str; 6] = [".txt", ".md", ".markdown", ".jsonl", ".ndjson", ".parquet"];
/// The usual ones of them, for messages.
#[cfg(not(feature = "parquet"))]
pub const KINDS: &str = ".txt, .md or .jsonl";
#[cfg(feature = "parquet")]
pub const KINDS: &str = ".txt, .md, .jsonl or .parquet";
/// Why other files are left out.
#[cfg(not(feature = "parquet"))]
const NO_TEXT: &str = "not .txt, .md or .jsonl";
#[cfg(feature = "parquet")]
const NO_TEXT: &str = "not .txt, .md, .jsonl or .parquet";
/// Names shown before "and N more".
const SHOWN: usize = 8;

/// What a name stands for: its files, and what was left out of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The folder, where it is one.
    pub folder: Option<PathBuf>,
    /// In the order in which they are read: by name, folder by folder.
    pub taken: Vec<PathBuf>,
    /// With the reason.
    pub left_out: Vec<(PathBuf, &'static str)>,
}

/// The files that `path` stands for: itself, or all text files in a folder and the folders in it. Text files end in
/// `.txt`, `.md` or `.jsonl`, or `.gz` after that, in letters of either case; hidden ones (those that begin with a dot,
/// as what macOS leaves beside files) are left out.
///
/// # Errors
/// There is nothing by that name, a folder in it cannot be read, or it holds no text files.
pub fn files(path: &Path) -> Result<Listing, TextError> {
    let failed = |path: &Path, source: io::Error| match source.kind() {
        ErrorKind::NotFound => TextError::Missing { path: path.into(), source },
        _ => TextError::Io { path: path.into(), source },
    };
    if is_stdin(path) || !fs::metadata(path).map_err(|e| failed(path, e))?.is_dir() {
        not_a_table(path)?;
        return Ok(Listing { taken: vec![path.to_owned()], ..Listing::default() });
    }
    let mut listing = Listing { folder: Some(path.to_owned()), ..Listing::default() };
    let mut walk = WalkDir::new(path).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) if e.loop_ancestor().is_some() => {
                listing.left_out.push((e.path().unwrap_or(path).into(), "a link to a folder it is in"));
                continue;
            }
            Err(e) => {
                let at = e.path().unwrap_or(path).to_owned();
                // a link to nothing is left out, as it holds nothing
                if at.is_symlink() && !at.exists() {
                    listing.left_out.push((at, "a link to nothing"));
                    continue;
                }
                return Err(failed(&at, e.into()));
            }
        };
        match unfit(&entry) {
            None if entry.file_type().is_dir() => {}
            None => listing.taken.push(entry.into_path()),
            Some(reason) => {
                if entry.file_type().is_dir() {
                    walk.skip_current_dir();
                }
                listing.left_out.push((entry.into_path(), reason));
            }
        }
    }
    if listing.taken.is_empty() {
        let left_out = match listing.left_out.is_empty() {
            true => String::new(),
            false => format!(" ({})", Names(&listing.left_out, path)),
        };
        return Err(TextError::NoTextFiles { dir: path.to_owned(), left_out });
    }
    Ok(listing)
}

/// Why an entry of a folder is not read.
fn unfit(entry: &DirEntry) -> Option<&'static str> {
    let name = entry.file_name().to_string_lossy().to_lowercase();
    if name.starts_with('.') {
        return Some("hidden");
    }
    if entry.file_type().is_dir() {
        return None;
    }
    if let Some(found) = entry.metadata().ok().and_then(|about| not_a_file(&about)) {
        return Some(found);
    }
    if is_table(entry.path()) {
        return Some("a table: save its column of text as JSON lines");
    }
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    (!ENDINGS.iter().any(|ending| plain.ends_with(ending))).then_some(NO_TEXT)
}

impl fmt::Display for Listing {
    /// What was taken from a folder and what was left out, a line each; nothing for a single file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(folder) = &self.folder else { return Ok(()) };
        let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let names: Vec<String> = self.taken.iter().take(SHOWN).map(|path| name(path)).collect();
        write!(f, "{}: {} files: {}", folder.display(), self.taken.len(), names.join(", "))?;
        if self.taken.len() > SHOWN {
            write!(f, " and {} more", self.taken.len() - SHOWN)?;
        }
        match self.left_out.is_empty() {
            true => Ok(()),
            false => write!(f, "\n{}: left out: {}", folder.display(), Names(&self.left_out, folder)),
        }
    }
}

/// The first few names with their reasons.
struct Names<'a>(&'a [(PathBuf, &'static str)], &'a Path);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(all, folder) = self;
        let name = |path: &Path| path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let names: Vec<String> = all.iter().take(SHOWN).map(|(path, why)| format!("{} ({why})", name(path))).collect();
        f.write_str(&names.join(", "))?;
        if all.len() > SHOWN { write!(f, " and {} more", all.len() - SHOWN) } else { Ok(()) }
    }
}
