//! What can be wrong with a probe.

use std::io;
use std::path::{Path, PathBuf};

use flashlm_core::SessionError;
use flashlm_host::output::OutputError;
use flashlm_host::text::TextError;

/// Why items could not be had, or a model could not be asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Text(#[from] TextError),
    #[error("{0}")]
    Output(#[from] OutputError),
    #[error("{}:{line}: {message}", path.display())]
    Line { path: PathBuf, line: usize, message: String },
    #[error("{}: {message}", path.display())]
    File { path: PathBuf, message: String },
    #[error("{model}: expected a model with {what}, found one without")]
    Model { model: String, what: &'static str },
    #[error("{model}: --depth {depth}: {source}")]
    Depth { model: String, depth: String, source: SessionError },
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("{0}")]
    Usage(String),
}

impl ProbeError {
    /// An input or output error on `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Something wrong with line `line` (from 1) of a file.
    pub fn line(path: &Path, line: usize, message: impl Into<String>) -> Self {
        Self::Line { path: path.to_owned(), line, message: message.into() }
    }

    /// Something wrong with a file or folder as a whole.
    pub fn file(path: &Path, message: impl Into<String>) -> Self {
        Self::File { path: path.to_owned(), message: message.into() }
    }
}
