//! `pack model.safetensors -o model.flm`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use flashlm_core::ModelConfig;
use flashlm_core::blob::MAX_TEXT;
use flashlm_host::{Blob, output};
use trainer::export::{short_name, write_blob};
use trainer::run::checkpoint::{self, Checkpoint};
use trainer::run::preset;

use crate::table;

#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint to pack (.safetensors)
    checkpoint: PathBuf,
    /// Where the blob goes (.flm) [default: the checkpoint's name with .flm]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// What the model is called, at most 64 bytes [default: its preset, or the checkpoint's name]
    #[arg(long)]
    name: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let checkpoint = checkpoint::read(&args.checkpoint)?;
    let path = args.output.clone().unwrap_or_else(|| args.checkpoint.with_extension("flm"));
    let name = match &args.name {
        Some(name) if name.len() > MAX_TEXT => bail!("--name: expected at most {MAX_TEXT} bytes, found {}", name.len()),
        Some(name) => name.as_str(),
        None => usual_name(&args.checkpoint, &checkpoint.config),
    };
    let blob = pack(&checkpoint, name)?;
    output::write(&path, &[&args.checkpoint], |file| file.write_all(&blob))?;

    // what is reported is what lies on the disk
    let blob = Blob::open(&path)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} -> {}", args.checkpoint.display(), path.display())?;
    table::print(&mut out, &blob.model()?, blob.bytes().len())?;
    Ok(())
}

fn pack(checkpoint: &Checkpoint, name: &str) -> Result<Vec<u8>> {
    let tensor = |name: &str| checkpoint.params.tensor(name);
    let path = || checkpoint.path.display().to_string();
    write_blob(&checkpoint.config, &checkpoint.facts(name), &checkpoint.tokenizer, &tensor).with_context(path)
}

/// The preset these dimensions are, or else the file's name.
fn usual_name<'a>(path: &'a Path, config: &ModelConfig) -> &'a str {
    preset::name_of(config).unwrap_or_else(|| path.file_stem().and_then(|s| s.to_str()).map_or("", short_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_preset_or_else_by_its_file() {
        let mut config = ModelConfig::SUPERNOVA_NANO;
        assert_eq!(usual_name(Path::new("runs/step-7.safetensors"), &config), "supernova-nano");
        let bolt = ModelConfig { vocab: 300, ..ModelConfig::BOLT };
        assert_eq!(usual_name(Path::new("model.safetensors"), &bolt), "bolt");
        config.layers = 2;
        assert_eq!(usual_name(Path::new("runs/step-7.safetensors"), &config), "step-7");
    }
}
