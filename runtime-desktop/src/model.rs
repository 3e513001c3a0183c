//! Finding a model: the one built into the program, or a file.

use std::path::Path;

use anyhow::Result;
use flashlm_core::include_blob;
use flashlm_host::Blob;

static DEFAULT: &[u8] = include_blob!("../models/default.flm");

/// The model in the file at `path`, or the one built in where there is none; with a tokenizer, as text is what it is
/// for.
pub fn open(path: Option<&Path>) -> Result<Blob> {
    let blob = match path {
        Some(path) => Blob::open(path)?,
        None => Blob::copy("the built-in model", DEFAULT)?,
    };
    blob.tokenizer()?;
    Ok(blob)
}
