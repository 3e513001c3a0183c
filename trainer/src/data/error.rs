//! What can be wrong with data.

use std::io;
use std::path::{Path, PathBuf};

use flashlm_host::output::OutputError;
use flashlm_host::text::TextError;

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
    #[error("{0}")]
    Text(TextError),
    #[error("{0}")]
    Output(#[from] OutputError),
    #[error("{}: changed while it was being read; start again when it is complete", path.display())]
    Changed { path: PathBuf },
    #[error("{}: {reason}", path.display())]
    Cache { path: PathBuf, reason: String },
    #[error("stopped before the first step: nothing was trained and nothing exported")]
    Interrupted,
    #[error("{path}: no stories: {reason}")]
    NoStories { path: String, reason: &'static str },
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

impl From<TextError> for DataError {
    fn from(error: TextError) -> Self {
        match error {
            TextError::Missing { path, .. } => Self::Missing { path },
            error => Self::Text(error),
        }
    }
}
