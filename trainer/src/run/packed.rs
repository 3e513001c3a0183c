//! Two ways to come by a packed model: a `.flm` file, or a checkpoint packed on the spot.

use std::path::Path;

use anyhow::{Context, bail};
use flashlm_host::Blob;

use crate::export;
use crate::run::checkpoint;

/// Reads a packed model, or packs a checkpoint.
pub fn load(path: &Path) -> anyhow::Result<Blob> {
    let name = || path.display().to_string();
    let blob = match path.extension().and_then(|e| e.to_str()) {
        Some("flm") => Blob::open(path),
        Some("safetensors") => {
            let c = checkpoint::read(path)?;
            let blob =
                export::write_blob(&c.config, &c.facts("checkpoint"), &c.tokenizer, &|tensor| c.params.tensor(tensor));
            Blob::copy(&name(), &blob.with_context(name)?)
        }
        _ if flashlm_models::find(path).is_some() => Blob::open(path),
        _ => bail!(
            "{}: a model is a .flm or a .safetensors file, or a built-in one ({})",
            path.display(),
            flashlm_models::names()
        ),
    }?;
    blob.model()?;
    Ok(blob)
}
