//! What can be wrong between here and a hub.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why files of a data set are not to be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    #[error("there is no home directory to keep downloads in: set HF_HOME to a directory")]
    NoHome,
    #[error("{name}: expected {expected}, found {found:?}")]
    Environment { name: &'static str, expected: &'static str, found: String },
    #[error("stopped; what has come so far is kept, and the same command goes on from there")]
    Interrupted,
    #[error("{address} cannot be reached: {cause} (HF_ENDPOINT changes the address)")]
    Unreachable { address: String, cause: String },
    #[error("{address}: no connection that can be trusted: {cause}")]
    Insecure { address: String, cause: String },
    #[error("{address}: no answer for {seconds:.0} s ({variable} changes how long is waited)")]
    Silent { address: String, seconds: f64, variable: &'static str },
    #[error("{address}: the connection broke off: {cause}")]
    Broken { address: String, cause: String },
    #[error(
        "{address}: status 401: no such data set, or one that needs a token: HF_TOKEN or `hf auth login` sets it, and \
         a gated data set's terms have to be accepted on its page"
    )]
    NeedsToken { address: String },
    #[error("{address}: status 401: the token of {source_of_token} is not accepted")]
    TokenRefused { address: String, source_of_token: String },
    #[error("{address}: status 403: access has to be asked for on the data set's page{}", said(.message))]
    Gated { address: String, message: String },
    #[error("{address}: status 403: access is refused{}", said(.message))]
    Forbidden { address: String, message: String },
    #[error("{address}: status 404: no such data set{}", said(.message))]
    NoDataset { address: String, message: String },
    #[error("{file}: no such file in this data set ({address}: status 404)")]
    NoFile { file: String, address: String },
    #[error("{address}: status 429: asked for too often{}", wait(.after))]
    RateLimited { address: String, after: Option<Duration> },
    #[error("{address}: status {status}: the hub is not well{}", wait(.after))]
    Unwell { address: String, status: u16, after: Option<Duration> },
    #[error("{address}: status {status}{}", said(.message))]
    Status { address: String, status: u16, message: String },
    #[error("{address}: an HTML page{title} came where {expected} was expected: a login's or a proxy's?")]
    Page { address: String, title: String, expected: &'static str },
    #[error("{address}: {reason}")]
    Answer { address: String, reason: String },
    #[error("the hub's list of files names {0:?}, which is no path inside a data set; nothing of it is used")]
    UnsafeName(String),
    #[error("no .txt files of the part wanted in this data set; it has {0}")]
    NoText(String),
    #[error("{file}: {got} of {expected} bytes came")]
    Truncated { file: String, got: u64, expected: u64 },
    #[error("{file}: what came is not what the hub has: its {digest} differs")]
    Differs { file: String, digest: &'static str },
    #[error("{file}: a git-LFS pointer came, not the text it stands for: this hub does not hold the data itself")]
    Pointer { file: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("no thread for the network: {0}")]
    Thread(io::Error),
    #[error("not in the cache {}{}", cache.display(), said(.reason))]
    NotCached { cache: PathBuf, reason: String },
    #[error("{network}; and {cache}")]
    NeitherWay { network: Box<HubError>, cache: Box<HubError> },
}

/// `: what`, or nothing.
fn said(what: &str) -> String {
    if what.is_empty() { String::new() } else { format!(": {what}") }
}

fn wait(after: &Option<Duration>) -> String {
    match after {
        Some(after) => format!("; it asks to come back in {} s", after.as_secs()),
        None => "; try again later".to_owned(),
    }
}

impl HubError {
    /// An input or output error on `path`.
    pub fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// Whether the same request may well succeed a little later.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Silent { .. }
                | Self::Broken { .. }
                | Self::RateLimited { .. }
                | Self::Unwell { .. }
                | Self::Truncated { .. }
                | Self::Differs { .. }
        )
    }

    /// Whether the hub could not be asked, so that what it once gave is the best there is: all that may pass, and
    /// whoever stands between with a page or a certificate of his own.
    pub fn is_out_of_reach(&self) -> bool {
        self.may_pass() || matches!(self, Self::Page { .. } | Self::Insecure { .. })
    }

    /// How long the hub asks to wait.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { after, .. } | Self::Unwell { after, .. } => *after,
            _ => None,
        }
    }
}
