//! Finding a model: the one built into the program, or a mapped file.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result, bail};
use flashlm_core::config::Depth;
use flashlm_core::tokenizer::Tokenizer;
use flashlm_core::{Line, MAX_CHUNK, Model, arena_lines, include_blob};
use memmap2::Mmap;

use crate::settings::check_depth;

static DEFAULT: &[u8] = include_blob!("../models/default.flm");

enum Bytes {
    BuiltIn,
    Mapped(Mmap),
}

/// The bytes of a model, and what to call them.
pub struct ModelFile {
    pub name: String,
    bytes: Bytes,
}

impl ModelFile {
    /// Maps the file at `path`; the model built in where there is none.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self { name: "the built-in model".into(), bytes: Bytes::BuiltIn });
        };
        let name = path.display().to_string();
        let unreadable = || format!("{name}: expected a readable model file (.flm)");
        let file = File::open(path).with_context(unreadable)?;
        let about = file.metadata().with_context(unreadable)?;
        if !about.is_file() {
            bail!("{name}: expected a model file (.flm), found something else");
        }
        if about.len() == 0 {
            bail!("{name}: expected a model file (.flm), found an empty file");
        }
        let bytes = Bytes::Mapped(map(&file).with_context(unreadable)?);
        Ok(Self { name, bytes })
    }

    /// The whole file, on a page boundary when mapped and on 64 bytes when built in.
    pub fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Bytes::BuiltIn => DEFAULT,
            Bytes::Mapped(map) => map,
        }
    }

    /// Checks the bytes and borrows the model from them.
    pub fn model(&self) -> Result<Model<'_>> {
        let model = Model::from_bytes(self.bytes()).with_context(|| self.name.clone())?;
        if model.tokenizer().is_none() {
            bail!("{}: expected a model with a tokenizer, found one without", self.name);
        }
        Ok(model)
    }

    /// A session's memory for this model, for prefilling [`MAX_CHUNK`] tokens together.
    pub fn arena(&self) -> Vec<Line> {
        vec![Line::ZERO; arena_lines(self.bytes(), MAX_CHUNK)]
    }

    /// Bytes of [`ModelFile::arena`].
    pub fn arena_bytes(&self) -> usize {
        arena_lines(self.bytes(), MAX_CHUNK) * size_of::<Line>()
    }

    /// The depth to run at: `asked` if the model has it, the model's own if nothing was asked.
    pub fn depth(&self, model: &Model, asked: Option<Depth>) -> Result<Depth> {
        let Some(depth) = asked else { return Ok(model.default_depth()) };
        check_depth(depth, model.config().rcsm.as_ref()).map_err(|e| anyhow::anyhow!("{}: {e}", self.name))?;
        Ok(depth)
    }
}

/// Maps a whole file for reading.
#[expect(unsafe_code, reason = "mapping a file is unsafe in any API; nothing else in this crate is")]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the map is read only. Someone who rewrites the model's file in place while it is in use breaks the
    // promise mapped files rest on; our own tools write a new file and rename it, which leaves a map untouched.
    unsafe { Mmap::map(file) }
}

/// Tokens of `text`; any bytes are valid.
pub fn encode(tokenizer: &Tokenizer, text: &[u8]) -> Vec<u16> {
    let mut tokens = vec![0; text.len()];
    // one token for each byte always suffices
    let used = tokenizer.encode(text, &mut tokens).unwrap_or(0);
    tokens.truncate(used);
    tokens
}
