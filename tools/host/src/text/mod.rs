//! Text that programs read, from files of any size or from pipes: one reader for all of them.
//!
//! Whatever a text comes as, what is read is UTF-8 with "\n" at the ends of lines: a byte order mark is removed, "\r\n"
//! and "\r" become "\n", UTF-16 is recognised by its mark and gz by its content; of JSON lines a field is the text,
//! with separators between. What is no text is refused and named. Files are read and not mapped, as a mapped file that
//! another program shortens ends the process.

mod decode;
mod files;
mod json_lines;
mod kinds;
pub mod marks;
#[cfg(feature = "parquet")]
mod parquet;
mod separator;

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use self::decode::{Decoder, Encoding, Wrong};
pub use self::files::{Listing, files};
use self::json_lines::JsonLines;
use self::kinds::Json;
use self::marks::MarkError;
use self::separator::Separator;
use crate::output::not_a_file;

/// Bytes read at a time.
const AT_A_TIME: usize = 1 << 20;
/// Bytes at the start by which a file's kind is recognised.
const HEAD: usize = 4096;

/// Why a text was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    #[error("{}: expected a readable text file: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: expected a readable text file: {source}", path.display())]
    Missing { path: PathBuf, source: io::Error },
    #[error("{}: expected a text, found {found}", path.display())]
    Foreign { path: PathBuf, found: String },
    #[error("{}: story {story} is not UTF-8: invalid byte at offset {offset} of the file", path.display())]
    NotUtf8 { path: PathBuf, story: usize, offset: u64 },
    #[error("{}: story {story} is not UTF-16, as its byte order mark says: half a character at offset {offset} of the \
        file", path.display())]
    NotUtf16 { path: PathBuf, story: usize, offset: u64 },
    #[error("{}: story {story} is no text: a NUL byte at offset {offset} of the file (UTF-16 is read where it begins \
        with a byte order mark)", path.display())]
    Nul { path: PathBuf, story: usize, offset: u64 },
    #[error("{}: damaged gz data: {source}", path.display())]
    Gz { path: PathBuf, source: io::Error },
    #[error("{}: line {line}: {reason}", path.display())]
    Json { path: PathBuf, line: u64, reason: String },
    #[error("{}: {reason}", path.display())]
    Table { path: PathBuf, reason: String },
    #[error("{}: story {story}, byte {offset} of the file: {error}", path.display())]
    Marks { path: PathBuf, story: usize, offset: u64, error: MarkError },
    #[error("{}: no {} files in this directory{}", dir.display(), files::KINDS, left_out)]
    NoTextFiles { dir: PathBuf, left_out: String },
}

/// How documents are found in what is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Form {
    /// The field of JSON lines, or the column of a Parquet file, that is the text.
    pub field: String,
    /// What stands between documents, beside the usual [`SEPARATOR`](flashlm_core::text::SEPARATOR).
    pub separator: Option<String>,
}

impl Default for Form {
    fn default() -> Self {
        Self { field: "text".into(), separator: None }
    }
}

/// Reads a whole text, not one of documents: a file, or standard input where `path` is "-".
pub fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    let reader = Reader::open(path, &Form::default())?;
    if reader.is_records() {
        let found = "records (JSON lines or Parquet): what is in them, saved as plain text, can be read".into();
        return Err(TextError::Foreign { path: path.into(), found });
    }
    reader.rest()
}

/// Reads documents of this form without the marks of answers, for all that is not about them.
pub fn read_unmarked(path: &Path, form: &Form) -> Result<Vec<u8>, TextError> {
    not_a_table(path)?;
    let text = Reader::open(path, form)?.rest()?;
    Ok(match marks::clean_file(&text, path)? {
        Cow::Borrowed(_) => text,
        Cow::Owned(clean) => clean,
    })
}

/// Refuses a table by its name where documents are wanted.
fn not_a_table(path: &Path) -> Result<(), TextError> {
    let found =
        "a table (CSV): its column of text, saved as JSON lines ({\"text\": \"...\"} in every line), can be read";
    match kinds::is_table(path) {
        true => Err(TextError::Foreign { path: path.into(), found: found.into() }),
        false => Ok(()),
    }
}

/// A text being read.
pub struct Reader {
    path: PathBuf,
    raw: Box<dyn Read + Send>,
    /// The next bytes of `raw`, read to see what they are.
    head: Vec<u8>,
    is_gz: bool,
    decoder: Decoder,
    /// Where it is JSON lines.
    json: Option<JsonLines>,
    /// Where it is a Parquet file.
    #[cfg(feature = "parquet")]
    rows: Option<parquet::Rows>,
    separator: Option<Separator>,
    ended: bool,
}

impl Reader {
    /// Opens a file, a pipe by its name, or standard input, which is called "-".
    ///
    /// # Errors
    /// It cannot be opened, or is no text.
    pub fn open(path: &Path, form: &Form) -> Result<Self, TextError> {
        if is_stdin(path) {
            return Self::from_read(Path::new("standard input"), Box::new(io::stdin()), form);
        }
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound => TextError::Missing { path: path.into(), source },
            _ => TextError::Io { path: path.into(), source },
        };
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(TextError::Foreign { path: path.into(), found: "a directory".into() });
        }
        #[cfg(feature = "parquet")]
        if kinds::is_parquet(&file) {
            let rows = parquet::Rows::open(file, &form.field);
            let rows = rows.map_err(|reason| TextError::Table { path: path.into(), reason })?;
            let nothing = Self::from_read(path, Box::new(io::empty()), form)?;
            return Ok(Self { rows: Some(rows), ..nothing });
        }
        Self::from_read(path, Box::new(file), form)
    }

    /// Reads what `raw` gives; `path` is what messages call it.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub fn from_read(path: &Path, mut raw: Box<dyn Read + Send>, form: &Form) -> Result<Self, TextError> {
        let failed = |source| TextError::Io { path: path.into(), source };
        let mut head = first_bytes(&mut raw).map_err(failed)?;
        let is_gz = kinds::is_gz(&head);
        if is_gz {
            raw = Box::new(MultiGzDecoder::new(io::Cursor::new(head).chain(raw)));
            head = first_bytes(&mut raw).map_err(|source| TextError::Gz { path: path.into(), source })?;
        }
        if let Some(found) = kinds::foreign(&head, path) {
            return Err(TextError::Foreign { path: path.into(), found });
        }
        let (encoding, mark) = Encoding::of(&head);
        let decoder = Decoder::new(encoding, mark as u64);
        let json = (kinds::json(&head) == Some(Json::Lines)).then(|| JsonLines::new(&form.field));
        let separator = form.separator.as_deref().filter(|separator| !separator.is_empty()).map(Separator::new);
        head.drain(..mark);
        Ok(Self {
            path: path.into(),
            raw,
            head,
            is_gz,
            decoder,
            json,
            #[cfg(feature = "parquet")]
            rows: None,
            separator,
            ended: false,
        })
    }

    /// Appends some more of the text to `text`, always whole characters; `false` at its end.
    ///
    /// # Errors
    /// It cannot be read on, or is no text from there on.
    pub fn fill(&mut self, text: &mut Vec<u8>) -> Result<bool, TextError> {
        if self.ended {
            return Ok(false);
        }
        #[cfg(feature = "parquet")]
        if let Some(rows) = &mut self.rows {
            let more = rows.fill(text);
            let more = more.map_err(|reason| TextError::Table { path: self.path.clone(), reason })?;
            self.ended = !more;
            return Ok(more);
        }
        let pending = self.decoder.pending();
        let before = pending.len() + self.head.len();
        pending.append(&mut self.head);
        let read = (&mut self.raw).take(AT_A_TIME as u64).read_to_end(pending);
        let all = pending.len();
        match read {
            Ok(_) => self.ended = all == before || all - before < AT_A_TIME,
            Err(source) if self.is_gz => return Err(TextError::Gz { path: self.path.clone(), source }),
            Err(source) => return Err(TextError::Io { path: self.path.clone(), source }),
        }
        let begin = text.len();
        let to = self.json.as_mut().map_or(&mut *text, JsonLines::pending);
        self.decoder.decode(to, self.ended).map_err(|wrong| self.wrong(wrong))?;
        if let Some(json) = &mut self.json {
            json.take(text, self.ended).map_err(|json_lines::Wrong { line, reason }| TextError::Json {
                path: self.path.clone(),
                line,
                reason,
            })?;
        }
        if let Some(separator) = &mut self.separator {
            separator.replace(text, begin, self.ended);
        }
        Ok(true)
    }

    /// Whether it has documents of which a field is the text.
    fn is_records(&self) -> bool {
        #[cfg(feature = "parquet")]
        if self.rows.is_some() {
            return true;
        }
        self.json.is_some()
    }

    /// All that is left of it.
    fn rest(mut self) -> Result<Vec<u8>, TextError> {
        let mut text = Vec::new();
        while self.fill(&mut text)? {}
        Ok(text)
    }

    fn wrong(&self, wrong: Wrong) -> TextError {
        let (path, story) = (self.path.clone(), self.decoder.story());
        match wrong {
            Wrong::NotUtf8(offset) => TextError::NotUtf8 { path, story, offset },
            Wrong::NotUtf16(offset) => TextError::NotUtf16 { path, story, offset },
            Wrong::Nul(offset) => TextError::Nul { path, story, offset },
        }
    }
}

fn first_bytes(raw: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    raw.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// Whether a name stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Whether a text can be read a second time: a regular file can, a pipe cannot.
pub fn is_lasting(path: &Path) -> bool {
    !is_stdin(path) && std::fs::metadata(path).is_ok_and(|about| not_a_file(&about).is_none())
}

#[cfg(test)]
mod tests;
