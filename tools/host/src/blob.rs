//! A packed model in memory.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use flashlm_core::blob::MAGIC;
use flashlm_core::config::{Depth, RcsmConfig};
use flashlm_core::{Batch, Kernels, Line, MAX_CHUNK, Model, Session, Tokenizer, arena_lines, batch_lines};
use memmap2::MmapMut;

use crate::kind::{KIND_BYTES, kind};
use crate::memory::{check_memory, fallibly, shown_bytes};

/// The bytes of a packed model, and what to call them in messages.
pub struct Blob {
    name: String,
    pages: Pages,
}

impl Blob {
    /// Copies the built-in model of the name `path`, or reads the file there: `./nano` is a file, where `nano` is a
    /// name.
    ///
    /// # Errors
    /// It cannot be read, is no regular file, is empty, is longer than a blob can be, or is known to be something else
    /// ([`kind`]).
    pub fn open(path: &Path) -> Result<Self> {
        if let Some(model) = flashlm_models::find(path) {
            return Self::copy(&format!("the built-in model {}", model.name), model.blob);
        }
        let name = path.display().to_string();
        let unreadable = || {
            let names = flashlm_models::names();
            format!("{name}: expected a readable model file (.flm), or a built-in model ({names})")
        };
        let mut file = File::open(path).with_context(unreadable)?;
        let about = file.metadata().with_context(unreadable)?;
        if !about.is_file() {
            bail!("{name}: expected a model file (.flm), found something else");
        }
        if about.len() == 0 {
            bail!("{name}: expected a model file (.flm), found an empty file");
        }
        let mut begin = Vec::with_capacity(KIND_BYTES);
        (&mut file).take(KIND_BYTES as u64).read_to_end(&mut begin).with_context(unreadable)?;
        if let Some(found) = kind(&begin, path) {
            bail!("{name}: expected a packed model (.flm, which begins with FLM1), found {found}");
        }
        // a blob states its length in 32 bits
        if about.len() > u32::MAX.into() {
            bail!("{name}: expected a model file (.flm) of less than 4 GiB, found {} bytes", about.len());
        }
        // what is no blob is refused for its beginning, however long it is
        let length = if begin.starts_with(&MAGIC) { about.len() } else { begin.len() as u64 };
        check_memory("reading it", length, "").with_context(|| name.clone())?;
        let mut pages = Pages::new(length as usize).with_context(|| format!("{name}: no memory for it"))?;
        let (begun, rest) = pages.bytes_mut().split_at_mut(begin.len());
        begun.copy_from_slice(&begin);
        file.read_exact(rest).with_context(unreadable)?;
        Ok(Self { name, pages })
    }

    /// Copies `bytes`, to be called `name`.
    ///
    /// # Errors
    /// There is no memory for them.
    pub fn copy(name: &str, bytes: &[u8]) -> Result<Self> {
        let mut pages = Pages::new(bytes.len()).with_context(|| format!("{name}: no memory for it"))?;
        pages.bytes_mut().copy_from_slice(bytes);
        Ok(Self { name: name.into(), pages })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All of it, on a page boundary.
    pub fn bytes(&self) -> &[u8] {
        self.pages.bytes()
    }

    /// Checks the bytes and borrows the model from them.
    pub fn model(&self) -> Result<Model<'_>> {
        Model::from_bytes(self.bytes()).with_context(|| self.name.clone())
    }

    /// The model's tokenizer, which a model that is to read text needs.
    pub fn tokenizer(&self) -> Result<Tokenizer<'_>> {
        let tokenizer = self.model()?.tokenizer().copied();
        tokenizer.with_context(|| format!("{}: expected a model with a tokenizer, found one without", self.name))
    }

    /// The depth to run at: `asked` if the model has it, the model's own if nothing was asked.
    pub fn depth(&self, asked: Option<Depth>) -> Result<Depth> {
        self.depth_of(&self.model()?, asked)
    }

    fn depth_of(&self, model: &Model<'_>, asked: Option<Depth>) -> Result<Depth> {
        let Some(depth) = asked else { return Ok(model.default_depth()) };
        check_depth(depth, model.config().rcsm.as_ref()).map_err(|e| anyhow!("{}: {e}", self.name))?;
        Ok(depth)
    }

    /// A session on this machine's best kernels, at the depth asked for or else the model's own.
    pub fn session(&self, asked: Option<Depth>) -> Result<Session<'_, Vec<Line>>> {
        // checked once: that reads every byte
        let model = self.model()?;
        let depth = self.depth_of(&model, asked)?;
        let mut session = Session::new(model, Kernels::detect(), self.arena()?)?;
        session.set_depth(depth).with_context(|| self.name.clone())?;
        Ok(session)
    }

    /// A batch of `streams` streams, 1 to [`MAX_CHUNK`], likewise: all at the depth asked for or else the model's own.
    pub fn batch(&self, streams: usize, asked: Option<Depth>) -> Result<Batch<'_, Vec<Line>>> {
        let model = self.model()?;
        let depth = self.depth_of(&model, asked)?;
        self.check_sessions(streams)?;
        let arena = self.lines(batch_lines(model.config(), streams, MAX_CHUNK))?;
        let mut batch = Batch::new(model, Kernels::detect(), streams, arena)?;
        for stream in 0..streams {
            batch.set_depth(stream, depth).with_context(|| self.name.clone())?;
        }
        Ok(batch)
    }

    /// A session's memory for this model, for prefilling [`MAX_CHUNK`] tokens together.
    ///
    /// # Errors
    /// There is none.
    pub fn arena(&self) -> Result<Vec<Line>> {
        self.check_sessions(1)?;
        self.lines(arena_lines(self.bytes(), MAX_CHUNK))
    }

    fn lines(&self, count: usize) -> Result<Vec<Line>> {
        let mut arena = Vec::new();
        fallibly(|| arena.try_reserve_exact(count))
            .with_context(|| format!("{}: no memory for a session", self.name))?;
        arena.resize(count, Line::ZERO);
        Ok(arena)
    }

    /// Refuses more sessions at a time than there is memory for.
    pub fn check_sessions(&self, count: usize) -> Result<()> {
        /// What sessions of usual models take is not worth asking the system about.
        const LITTLE: u64 = 16 << 20;
        let need = (self.arena_bytes() as u64).saturating_mul(count as u64);
        if need > LITTLE {
            let one = shown_bytes(self.arena_bytes() as u64);
            let advice = if count > 1 { "fewer threads take less" } else { "" };
            check_memory(&format!("{count} x {one} for a session"), need, advice).with_context(|| self.name.clone())?;
        }
        Ok(())
    }

    /// Bytes of [`Self::arena`].
    pub fn arena_bytes(&self) -> usize {
        arena_lines(self.bytes(), MAX_CHUNK) * size_of::<Line>()
    }
}

/// Refuses a depth that a model's reasoning loop does not have; the error says which it has.
pub fn check_depth(depth: Depth, rcsm: Option<&RcsmConfig>) -> Result<(), String> {
    match rcsm {
        None => Err("this model has no reasoning loop, so it has no depth".into()),
        Some(rcsm) if rcsm.allows(depth) => Ok(()),
        Some(rcsm) => Err(format!("this model's depths are 1 to {} and auto, found {depth}", rcsm.depths[2])),
    }
}

/// Bytes in pages of 2 MB where the system has them. A step reads all of a model; with pages of 4 KB a good part of
/// its time goes into finding them.
struct Pages {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl Pages {
    const SIZE: usize = 2 << 20;

    /// `len` zeros on a boundary of [`Self::SIZE`].
    fn new(len: usize) -> io::Result<Self> {
        let map = MmapMut::map_anon(len.next_multiple_of(Self::SIZE) + Self::SIZE)?;
        // small pages do as well
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().align_offset(Self::SIZE);
        Ok(Self { map, start, len })
    }

    fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::testing::{SMALL, random_blob};

    use super::*;

    #[test]
    fn files_that_are_no_model_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let (missing, empty, text) =
            (dir.path().join("missing"), dir.path().join("empty"), dir.path().join("text.flm"));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&text, "Once upon a time there was a file that is longer than a prelude of 64 bytes.").unwrap();
        let refused = |path: &Path, why: &str| {
            let error = Blob::open(path).and_then(|blob| blob.model().map(drop)).unwrap_err();
            let message = format!("{error:#}");
            assert!(message.starts_with(&path.display().to_string()) && message.contains(why), "{message}");
        };
        refused(&missing, "expected a readable model file");
        refused(&empty, "found an empty file");
        refused(dir.path(), "found something else");
        refused(&text, "the first four bytes are not FLM1");
        let page = dir.path().join("page.flm");
        std::fs::write(&page, "<!DOCTYPE html><title>404</title>").unwrap();
        refused(&page, "which begins with FLM1), found a web page");
    }

    #[test]
    fn a_copy_is_the_model_and_runs_at_its_depths_alone() {
        let packed = random_blob(&SMALL, 1);
        let blob = Blob::copy("a copy", packed.bytes()).unwrap();
        assert_eq!(blob.bytes(), packed.bytes());
        let deepest = SMALL.rcsm.unwrap().depths[2];
        for depth in [None, Some(Depth::Adaptive), Some(Depth::Fixed(1)), Some(Depth::Fixed(deepest))] {
            assert_eq!(blob.session(depth).unwrap().depth(), depth.unwrap_or(blob.model().unwrap().default_depth()));
        }
        let message = blob.depth(Some(Depth::Fixed(deepest + 1))).unwrap_err().to_string();
        assert!(message.contains(&format!("depths are 1 to {deepest} and auto")), "{message}");
    }
}
