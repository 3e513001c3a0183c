//! A checkpoint that the first of several ranks reads, on all of them: the others need not see its file.

use std::path::{Path, PathBuf};

use flashlm_host::read_file;

use super::{Checkpoint, CheckpointError, from_bytes};
use crate::ranks::Ranks;

/// On every rank what `read` finds on the first, where alone it is called. Its file is read once more there, for its
/// bytes to be sent.
///
/// # Errors
/// On the first rank those of `read`. On the others none tells them from finding nothing: who goes on after an error
/// has to ask [all ranks](Ranks::all).
pub fn spread<E: From<CheckpointError>>(
    ranks: &Ranks,
    read: impl FnOnce() -> Result<Option<Checkpoint>, E>,
) -> Result<Option<Checkpoint>, E> {
    let found = if ranks.leads() { read() } else { Ok(None) };
    if ranks.link().is_none() {
        return found;
    }
    let file = |path: &Path| {
        let read = read_file(path, u64::MAX);
        read.map_err(|source| E::from(CheckpointError::Read { path: path.to_owned(), source }))
    };
    let (found, bytes) = match found {
        Ok(Some(found)) => match file(&found.path) {
            Ok(bytes) => (Ok(Some(found)), bytes),
            Err(error) => (Err(error), Vec::new()),
        },
        other => (other, Vec::new()),
    };
    let path = found.as_ref().ok().and_then(|found| Some(found.as_ref()?.path.display().to_string()));
    let path = ranks.share(path.unwrap_or_default().into_bytes());
    let bytes = ranks.share(bytes);
    if ranks.leads() || path.is_empty() {
        return found;
    }
    let path = PathBuf::from(String::from_utf8_lossy(&path).into_owned());
    Ok(Some(from_bytes(&path, &bytes)?))
}
