//! `flashlm models`: the models built in.

use std::io::{self, Write};

use anyhow::Result;
use flashlm_models::MODELS;

/// Prints a line a model: its name, its bytes, what it is good for.
pub fn run() -> Result<()> {
    let longest = MODELS.iter().map(|model| model.name.len()).max().unwrap_or(0);
    let mut out = io::stdout().lock();
    for model in MODELS {
        let (name, bytes, about) = (model.name, model.blob.len(), model.about);
        writeln!(out, "{name:longest$}  {bytes:>9} bytes  {about}")?;
    }
    Ok(())
}
