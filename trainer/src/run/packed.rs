//! Packed models in memory, and the two ways to come by one: a `.flm` file, or a checkpoint packed on the spot.

use std::path::Path;

use anyhow::{Context, bail};
use flashlm_core::blob::Facts;
use flashlm_core::config::Depth;
use flashlm_core::{Kernels, Line, Model, Session};

use crate::export;
use crate::run::args::DepthArg;
use crate::run::checkpoint;

/// A blob on 64-byte boundaries, as core's widest loads like it.
pub struct Blob {
    lines: Vec<Line>,
    len: usize,
}

impl Blob {
    /// Copies `bytes` to where they are aligned and checks that core accepts them.
    pub fn new(bytes: &[u8]) -> anyhow::Result<Self> {
        let mut lines = vec![Line::ZERO; bytes.len().div_ceil(64)];
        bytemuck::cast_slice_mut(&mut lines)[..bytes.len()].copy_from_slice(bytes);
        let blob = Self { lines, len: bytes.len() };
        Model::from_bytes(blob.bytes())?;
        Ok(blob)
    }

    /// The blob as it stands in a file.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    /// The model in it.
    pub fn model(&self) -> anyhow::Result<Model<'_>> {
        Ok(Model::from_bytes(self.bytes())?)
    }

    /// A session on this CPU's best kernels at the depth asked for.
    pub fn session(&self, depth: DepthArg) -> anyhow::Result<Session<'_, Vec<Line>>> {
        let mut session = Session::on_heap(self.model()?, Kernels::detect());
        match depth {
            DepthArg::Model => {}
            DepthArg::Adaptive => session.set_depth(Depth::Adaptive)?,
            DepthArg::Fixed(n) => session.set_depth(Depth::Fixed(n))?,
        }
        Ok(session)
    }
}

/// Reads a packed model, or packs a checkpoint.
pub fn load(path: &Path) -> anyhow::Result<Blob> {
    let name = || path.display().to_string();
    match path.extension().and_then(|e| e.to_str()) {
        Some("flm") => {
            let bytes = std::fs::read(path).with_context(name)?;
            Blob::new(&bytes).with_context(name)
        }
        Some("safetensors") => {
            let c = checkpoint::read(path)?;
            let state = c.state.as_ref();
            let facts = Facts {
                name: "checkpoint",
                tokens: state.map_or(0, |s| s.tokens),
                steps: state.map_or(0, |s| s.step),
                ..Facts::default()
            };
            let blob = export::write_blob(&c.config, &facts, &c.tokenizer, &|tensor| c.params.tensor(tensor));
            Blob::new(&blob.with_context(name)?).with_context(name)
        }
        _ => bail!("{}: a model is a .flm or a .safetensors file", path.display()),
    }
}
