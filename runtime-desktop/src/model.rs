//! Finding a model: the one built into the program, or a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flashlm_core::config::Depth;
use flashlm_core::tokenizer::Tokenizer;
use flashlm_core::{Line, MAX_CHUNK, Model, arena_lines, include_blob};
use memmap2::MmapMut;

use crate::settings::check_depth;

static DEFAULT: &[u8] = include_blob!("../models/default.flm");

/// Bytes in pages of 2 MB where the system has them. A step reads all of a model; with pages of 4 KB a good part of
/// its time goes into finding them.
struct Pages {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Pages {
    /// `len` zeros on a boundary of [`Self::SIZE`].
    fn new(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len.next_multiple_of(Self::SIZE) + Self::SIZE)?;
        // small pages do as well
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().align_offset(Self::SIZE);
        Ok(Self { map, start, len })
    }

    const SIZE: usize = 2 << 20;

    fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.len]
    }
}

/// The bytes of a model, and what to call them.
pub struct ModelFile {
    pub name: String,
    pages: Pages,
}

impl ModelFile {
    /// Reads the file at `path`; the model built in where there is none.
    pub fn open(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            let mut pages = Pages::new(DEFAULT.len()).context("no memory for the built-in model")?;
            pages.bytes_mut().copy_from_slice(DEFAULT);
            return Ok(Self { name: "the built-in model".into(), pages });
        };
        let name = path.display().to_string();
        let unreadable = || format!("{name}: expected a readable model file (.flm)");
        let mut file = File::open(path).with_context(unreadable)?;
        let about = file.metadata().with_context(unreadable)?;
        if !about.is_file() {
            bail!("{name}: expected a model file (.flm), found something else");
        }
        if about.len() == 0 {
            bail!("{name}: expected a model file (.flm), found an empty file");
        }
        // a blob states its length in 32 bits
        if about.len() > u32::MAX.into() {
            bail!("{name}: expected a model file (.flm) of less than 4 GiB, found {} bytes", about.len());
        }
        let mut pages = Pages::new(about.len() as usize).with_context(|| format!("{name}: no memory for it"))?;
        file.read_exact(pages.bytes_mut()).with_context(unreadable)?;
        Ok(Self { name, pages })
    }

    /// The whole file, on a page boundary.
    pub fn bytes(&self) -> &[u8] {
        self.pages.bytes()
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

/// Tokens of `text`; any bytes are valid.
pub fn encode(tokenizer: &Tokenizer, text: &[u8]) -> Vec<u16> {
    let mut tokens = vec![0; text.len()];
    // one token for each byte always suffices
    let used = tokenizer.encode(text, &mut tokens).unwrap_or(0);
    tokens.truncate(used);
    tokens
}
