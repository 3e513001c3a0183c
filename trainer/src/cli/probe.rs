//! `trainer probe`: questions with known answers ([`flashlm_probe`]), asked of a checkpoint or packed model through
//! core.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use flashlm_probe::Subject;

use crate::run::packed;

#[derive(Clone, Debug, Args)]
pub struct ProbeArgs {
    /// Checkpoint (.safetensors), packed model (.flm) or the name of a built-in one; with --task babi the folder of its
    /// text files beside it
    #[arg(value_name = "MODEL|DIR", num_args = 0..=2)]
    pub paths: Vec<PathBuf>,
    #[command(flatten)]
    pub options: flashlm_probe::Options,
}

/// Runs `trainer probe`.
pub fn run(args: &ProbeArgs) -> anyhow::Result<()> {
    let (models, folders): (Vec<&PathBuf>, Vec<&PathBuf>) = args.paths.iter().partition(|path| is_model(path));
    if let [_, second, ..] = &models[..] {
        bail!("{}: expected one model, found a second", second.display());
    }
    if let [_, second, ..] = &folders[..] {
        bail!("{}: expected a model (.flm or .safetensors) and a folder, found two folders", second.display());
    }
    let folder = folders.first().map(|path| path.as_path());
    let Some(path) = models.first() else { return Ok(args.options.run(None, folder)?) };
    let (blob, name) = (packed::load(path)?, path.display().to_string());
    blob.check_sessions(args.options.threads())?;
    Ok(args.options.run(Some(Subject { name: &name, model: blob.model()? }), folder)?)
}

fn is_model(path: &Path) -> bool {
    flashlm_models::find(path).is_some() || path.extension().is_some_and(|e| e == "flm" || e == "safetensors")
}
