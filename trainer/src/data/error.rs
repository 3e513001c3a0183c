//! What can be wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use flashlm_host::LFS_POINTER;

use super::hub::HubError;

/// Why stories could not be read, prepared or cached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    #[error("{}: no such file or directory (--data and --valid take a text file, a directory of .txt files or \
        hf:OWNER/NAME)", path.display())]
    Missing { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: no .txt files in this directory", dir.display())]
    NoTextFiles { dir: PathBuf },
    #[error("{path}: no stories: {reason}")]
    NoStories { path: String, reason: &'static str },
    #[error("{}: story {story} is not UTF-8: invalid byte at offset {offset} of the file", path.display())]
    NotUtf8 { path: PathBuf, story: usize, offset: usize },
    #[error("{}: expected stories, {LFS_POINTER}", path.display())]
    Pointer { path: PathBuf },
    #[error("{}: story {story}, byte {offset} of the file: {error}", path.display())]
    Marks { path: PathBuf, story: usize, offset: usize, error: MarkError },
    #[error("--mix {argument}: {reason}")]
    BadMix { argument: String, reason: String },
    #[error("--families {name}: no such kind of reasoning stories; expected some of {expected}")]
    BadFamily { name: String, expected: String },
    #[error("{0}: expected hf:OWNER/NAME or hf:OWNER/NAME/FILE.txt, of letters, digits, and . - _ between them")]
    BadHubName(String),
    #[error("hf:{dataset}: {error}")]
    Hub { dataset: String, error: Box<HubError> },
    #[error("training the tokenizer: {0}")]
    Bpe(String),
    #[error("tokenizer: {0}")]
    Tokenizer(#[from] flashlm_core::tokenizer::TokenizerError),
}

impl DataError {
    /// An input or output error on `path`, naming a file that is not there as such.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            _ => Self::Io { path, source },
        }
    }
}

/// Marks that do not make sense, and where: bytes from the start of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    #[error("an opening mark at byte {offset} is no <|answer|> or <|answer:N|> with N in 1 ..= 99")]
    Malformed { offset: usize },
    #[error("<|answer|> at byte {offset} has no <|/answer|> before the story's end")]
    Unclosed { offset: usize },
    #[error("<|/answer|> at byte {offset} has no <|answer|> before it")]
    Unopened { offset: usize },
    #[error("<|answer|> at byte {offset} stands inside another answer")]
    Nested { offset: usize },
    #[error("nothing stands between <|answer|> and <|/answer|> at byte {offset}")]
    Empty { offset: usize },
}

impl MarkError {
    /// The error as one of story number `story` (from 1), which begins at byte `start` of the file.
    pub fn in_story(self, path: &Path, story: usize, start: usize) -> DataError {
        let offset = match self {
            Self::Malformed { offset }
            | Self::Unclosed { offset }
            | Self::Unopened { offset }
            | Self::Nested { offset }
            | Self::Empty { offset } => start + offset,
        };
        DataError::Marks { path: path.to_owned(), story, offset, error: self }
    }
}
