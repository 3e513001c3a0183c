//! What a run may begin with in place of random weights: a model that was trained before.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flashlm_core::blob::Facts;
use flashlm_core::config::ModelConfig;
use flashlm_host::Blob;

use crate::export::{self, unpack};
use crate::nn::Params;
use crate::run::checkpoint;

/// Which model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitFrom {
    /// The one of that name that `flashlm` has built in.
    BuiltIn(&'static str),
    /// A packed model (.flm) or a checkpoint (.safetensors).
    File(PathBuf),
}

/// A model to begin with.
#[derive(Clone, Debug)]
pub struct Start {
    /// What it is called in messages.
    pub name: String,
    pub config: ModelConfig,
    /// The tokenizer's tables.
    pub tokenizer: Vec<u8>,
    /// Of a checkpoint its latent weights; of a packed model such as are quantised to its own ([`unpack`]).
    pub params: Params,
}

impl From<&str> for InitFrom {
    fn from(argument: &str) -> Self {
        match flashlm_models::find(argument) {
            Some(model) => Self::BuiltIn(model.name),
            None => Self::File(argument.into()),
        }
    }
}

impl fmt::Display for InitFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn(name) => f.write_str(name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl InitFrom {
    /// Reads the model.
    ///
    /// # Errors
    /// It cannot be read, is neither kind of file, has no tokenizer, or holds no numbers.
    pub fn read(&self) -> anyhow::Result<Start> {
        match self {
            Self::BuiltIn(name) => unpacked(&Blob::open(Path::new(name))?),
            Self::File(path) => match path.extension().and_then(|e| e.to_str()) {
                Some("flm") => unpacked(&Blob::open(path)?),
                Some("safetensors") => of_checkpoint(path),
                _ => bail!(
                    "{}: expected a model (.flm), a checkpoint (.safetensors) or a built-in model ({})",
                    path.display(),
                    flashlm_models::names()
                ),
            },
        }
    }
}

impl Start {
    /// The model, packed.
    pub fn pack(&self) -> anyhow::Result<Blob> {
        let tensor = |name: &str| self.params.tensor(name);
        let blob = export::write_blob(&self.config, &Facts::default(), &self.tokenizer, &tensor);
        Blob::copy(&self.name, &blob.with_context(|| self.name.clone())?)
    }
}

fn unpacked(blob: &Blob) -> anyhow::Result<Start> {
    let model = blob.model()?;
    let params = unpack::params(&model, blob.bytes());
    let tokenizer = unpack::tokenizer(&model, blob.bytes()).to_vec();
    started(blob.name(), *model.config(), tokenizer, params)
}

fn of_checkpoint(path: &Path) -> anyhow::Result<Start> {
    let found = checkpoint::read_finite(path).with_context(|| path.display().to_string())?;
    started(&path.display().to_string(), found.config, found.tokenizer, found.params)
}

fn started(name: &str, config: ModelConfig, tokenizer: Vec<u8>, params: Params) -> anyhow::Result<Start> {
    if tokenizer.is_empty() {
        bail!("{name}: expected a model with a tokenizer, found one without");
    }
    Ok(Start { name: name.into(), config, tokenizer, params })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_model_packs_to_itself() {
        let start = InitFrom::from(flashlm_models::DEFAULT).read().unwrap();
        let own = Blob::open(Path::new(flashlm_models::DEFAULT)).unwrap();
        let again = start.pack().unwrap();
        // what is rounded anew: the last bits of scales and of sigmoids
        let text = b"Once upon a time there was a little girl who had a red ball.";
        let bits = |blob: &Blob| flashlm_host::file(blob, text, None, 1).unwrap().bits;
        assert!((bits(&own) - bits(&again)).abs() < 0.01 * bits(&own), "{} {}", bits(&own), bits(&again));
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let message = |name: &str| format!("{:#}", InitFrom::from(name).read().unwrap_err());
        assert!(message("notes.txt").contains("notes.txt: expected a model (.flm), a checkpoint"));
        assert!(message("nothing.flm").contains("nothing.flm: expected a readable model file"));
        assert!(message("nothing.safetensors").contains("nothing.safetensors"));
    }
}
