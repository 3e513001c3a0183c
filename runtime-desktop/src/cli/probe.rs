//! `flashlm probe`: questions with known answers ([`flashlm_probe`]), asked of the model.

use std::path::PathBuf;

use anyhow::Result;
use flashlm_probe::Subject;

use super::args::Probe;
use crate::model;

pub fn run(path: Option<PathBuf>, args: &Probe) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    blob.check_sessions(args.options.threads())?;
    let subject = Subject { name: blob.name(), model: blob.model()? };
    Ok(args.options.run(Some(subject), args.folder.as_deref())?)
}
