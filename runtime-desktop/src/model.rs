//! Finding a model: one built into the program, or a file.

use std::path::Path;

use anyhow::Result;
use flashlm_host::Blob;

/// The model in the file at `path` or built in by that name, the first of those where there is none; with a tokenizer,
/// as text is what it is for.
pub fn open(path: Option<&Path>) -> Result<Blob> {
    let blob = Blob::open(path.unwrap_or(Path::new(flashlm_models::DEFAULT)))?;
    blob.tokenizer()?;
    Ok(blob)
}
