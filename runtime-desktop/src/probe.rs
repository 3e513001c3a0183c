//! `flashlm probe`: questions with known answers ([`flashlm_probe`]), asked of the model.

use std::path::PathBuf;

use anyhow::Result;
use flashlm_probe::Subject;

use crate::args::Probe;
use crate::model::ModelFile;

pub fn run(path: Option<PathBuf>, args: &Probe) -> Result<()> {
    let file = ModelFile::open(path.as_deref())?;
    let subject = Subject { name: &file.name, model: file.model()? };
    Ok(args.options.run(Some(subject), args.folder.as_deref())?)
}
