//! A model: a checked blob, from which views of the layers' parameters are built.

use crate::blob::layout::{Contents, EmbeddingShape, TernaryShape, floats_before};
use crate::blob::{BlobError, Facts, Role, check, verify_checksum};
use crate::config::{Depth, ModelConfig};
use crate::layers::{Block, ChannelMixer, Mixer};
use crate::parts::Parts;
use crate::schema::{self, padded, tensor};
use crate::tokenizer::Tokenizer;
use crate::views::{Embedding, Rcsm, TernaryMatrix};

/// A model that lies in a blob: flash, a mapped file or a static. Nothing is copied; views are built as needed.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    config: ModelConfig,
    facts: Facts<'a>,
    crc: u32,
    tokenizer: Option<Tokenizer<'a>>,
    extents: [(u32, u32); Role::ALL.len()],
    words: [&'a [u32]; Role::ALL.len()],
    /// Shapes of the ternary matrices, empty for other roles: every step asks for all of them.
    shapes: [TernaryShape; Role::ALL.len()],
}

/// One section of a blob, to be listed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Section {
    /// What it holds.
    pub role: Role,
    /// From the start of the blob, bytes.
    pub offset: usize,
    /// Bytes, without padding to the next section.
    pub len: usize,
    /// Weights it stores (padding rows included), 0 for the tokenizer.
    pub weights: usize,
}

impl Section {
    /// Bits a weight takes, its share of the row scales included; `None` where the section holds no weights.
    pub fn bits_per_weight(&self) -> Option<f64> {
        (self.weights > 0).then(|| self.len as f64 * 8.0 / self.weights as f64)
    }
}

/// Bytes on a 64-byte boundary, for blobs compiled in: `include_bytes!` alone promises no alignment.
/// [`include_blob!`](crate::include_blob) wraps both.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Aligned<B: ?Sized>(pub B);

/// The file at a path as a `&'static [u8]` on a 64-byte boundary, as [`Model::from_bytes`] wants it.
#[macro_export]
macro_rules! include_blob {
    ($path:expr $(,)?) => {{
        static BLOB: &$crate::Aligned<[u8]> = &$crate::Aligned(*include_bytes!($path));
        &BLOB.0
    }};
}

impl<'a> Model<'a> {
    /// Checks all of `blob` (magic, version, length, CRC-32, limits, every section) and borrows it.
    ///
    /// `blob` must lie on a 4-byte boundary ([`Aligned`] provides one; mapped files and heap buffers of this size
    /// have one); a 64-byte boundary is faster.
    ///
    /// Reads every byte twice, once for the checksum, and copies none. On a Cortex-M7 that is 17.4 million instructions
    /// for a model of 2.9 MB, as many as three of its tokens take; 15.3 million of them are the checksum, which
    /// [`from_bytes_trusted`](Self::from_bytes_trusted) leaves out. (The line `start` of `/stats` on the console of the
    /// repository's `firmware-example`, emulated.)
    pub fn from_bytes(blob: &'a [u8]) -> Result<Self, BlobError> {
        verify_checksum(blob)?;
        Self::from_bytes_trusted(blob)
    }

    /// [`from_bytes`](Self::from_bytes) without the checksum, which is most of its cost: for a blob that lies where it
    /// was verified once, by [`verify_checksum`] when it was written to flash or by a
    /// boot loader's signature.
    ///
    /// Everything else is checked, so this is safe whatever the bytes are: nothing panics, and nothing outside the blob
    /// is read. What goes unnoticed is damage that leaves a valid model: a bit of a weight that flipped is another
    /// weight, and stories become worse without an error. [`checksum`](Self::checksum) is then what the blob states, so
    /// a saved state of the undamaged model is taken for one of this.
    pub fn from_bytes_trusted(blob: &'a [u8]) -> Result<Self, BlobError> {
        let checked = check(blob)?;
        let tokenizer = match checked.tokenizer {
            [] => None,
            table => Some(Tokenizer::from_bytes(table).map_err(BlobError::Tokenizer)?),
        };
        if tokenizer.as_ref().is_some_and(|t| t.vocab() != checked.config.vocab) {
            return Err(BlobError::Vocabulary);
        }
        let (config, facts, crc) = (checked.config, checked.facts, checked.crc);
        let shapes = Role::ALL.map(|role| match Contents::of(role, &config) {
            Contents::Ternary(shape, _) => shape,
            _ => TernaryShape { rows: 0, columns: 0 },
        });
        Ok(Self { config, facts, crc, tokenizer, extents: checked.extents, words: checked.words, shapes })
    }

    /// The model's dimensions.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How the model came about.
    pub fn facts(&self) -> &Facts<'a> {
        &self.facts
    }

    /// The tokenizer that travels with the model, if one does.
    pub fn tokenizer(&self) -> Option<&Tokenizer<'a>> {
        self.tokenizer.as_ref()
    }

    /// The blob's checksum, as it states: two verified models with the same one are the same.
    pub fn checksum(&self) -> u32 {
        self.crc
    }

    /// The depth inference takes unless told otherwise; one pass for a model without the reasoning loop.
    pub fn default_depth(&self) -> Depth {
        self.config.rcsm.map_or(Depth::Fixed(1), |r| r.default_depth)
    }

    /// The sections in the order they lie in the blob.
    pub fn sections(&self) -> impl Iterator<Item = Section> + use<'a> {
        let (config, extents) = (self.config, self.extents);
        Role::ALL.into_iter().zip(extents).map(move |(role, (offset, len))| {
            let weights = Contents::of(role, &config).weights();
            Section { role, offset: offset as usize, len: len as usize, weights }
        })
    }

    fn words(&self, role: Role) -> &'a [u32] {
        self.words[role as usize]
    }

    fn floats(&self, role: Role) -> &'a [f32] {
        bytemuck::must_cast_slice(self.words(role))
    }

    /// The `index`th matrix of a section.
    fn ternary(&self, role: Role, index: usize) -> TernaryMatrix<'a> {
        let shape = self.shapes[role as usize];
        let stride = shape.bytes() / 4;
        debug_assert!((index + 1) * stride <= self.words(role).len(), "{role:?} {index}");
        TernaryMatrix::new(self.words(role).part(index * stride, stride), shape)
    }

    pub(crate) fn embedding(&self) -> Embedding<'a> {
        let (rows, columns) = (padded(self.config.vocab as usize), self.config.d_model.into());
        let (values, scales) = self.words(Role::Embedding).cut(EmbeddingShape { rows, columns }.value_bytes() / 4);
        Embedding { values, scales: bytemuck::must_cast_slice(scales), columns }
    }

    /// The views of block `index`, which must be less than the configuration's layers.
    pub(crate) fn block(&self, index: usize) -> Block<'a> {
        let c = &self.config;
        let floats = self.floats(Role::BlockVectors).cut(floats_before(c, index)).1;
        let [mixer, ffn] = schema::block_floats(c);
        let (of_mixer, floats) = floats.cut(mixer);
        let (of_ffn, of_router) = floats.cut(ffn);
        let mixer = [Role::MixerIn, Role::MixerOut].map(|role| self.ternary(role, index));
        let ffn = [Role::FfnIn, Role::FfnOut].map(|role| self.ternary(role, index));
        let router = c.routed(index).then(|| tensor!(c, of_router, ROUTER, "router"));
        Block { mixer: Mixer::new(c, index, of_mixer, mixer), ffn: ChannelMixer::new(c, of_ffn, ffn), router }
    }

    /// The ternary matrices of block `index`, in the order they are multiplied by.
    #[cfg(any(test, feature = "std", feature = "bench"))]
    pub(crate) fn block_matrices(&self, index: usize) -> [TernaryMatrix<'a>; 4] {
        [Role::MixerIn, Role::MixerOut, Role::FfnIn, Role::FfnOut].map(|role| self.ternary(role, index))
    }

    pub(crate) fn rcsm(&self) -> Option<Rcsm<'a>> {
        let config = self.config.rcsm?;
        let (c, vectors) = (&self.config, self.floats(Role::RcsmVectors));
        let one = |floats: &[f32]| floats.first().copied().unwrap_or_default();
        let pass = self.ternary(Role::RcsmPass, 0);
        let router_rows = padded(config.ops.into());
        Some(Rcsm {
            config,
            mix: tensor!(c, vectors, RCSM, "rcsm.mix.weight", Transposed),
            gain: tensor!(c, vectors, RCSM, "rcsm.in_norm.gain"),
            context_taps: tensor!(c, vectors, RCSM, "rcsm.context_taps"),
            query_taps: tensor!(c, vectors, RCSM, "rcsm.query_taps"),
            salience: tensor!(c, vectors, RCSM, "rcsm.salience.weight"),
            out_gain: tensor!(c, vectors, RCSM, "rcsm.out_gain"),
            hop: tensor!(c, vectors, RCSM, "rcsm.hop_gate.weight"),
            hold: tensor!(c, vectors, RCSM, "rcsm.hold_gate.weight"),
            writes: tensor!(c, vectors, RCSM, "rcsm.write_gates.weight"),
            deeper: tensor!(c, vectors, RCSM, "rcsm.deeper.weight"),
            salience_bias: one(tensor!(c, vectors, RCSM, "rcsm.salience.bias")),
            hop_bias: one(tensor!(c, vectors, RCSM, "rcsm.hop_gate.bias")),
            hold_bias: one(tensor!(c, vectors, RCSM, "rcsm.hold_gate.bias")),
            write_biases: tensor!(c, vectors, RCSM, "rcsm.write_gates.bias"),
            deeper_biases: tensor!(c, vectors, RCSM, "rcsm.deeper.bias"),
            pass_scales: tensor!(c, vectors, RCSM, "rcsm.pass_scale"),
            input: self.ternary(Role::RcsmIn, 0),
            pass,
            code: pass.row_range(router_rows, pass.rows() - router_rows),
            ops: self.ternary(Role::RcsmOps, 0),
            output: self.ternary(Role::RcsmOut, 0),
        })
    }

    /// The reasoning loop, if it comes behind block `index`.
    pub(crate) fn rcsm_behind(&self, index: usize) -> Option<Rcsm<'a>> {
        let after = usize::from(self.config.rcsm?.after);
        if after == index + 1 { self.rcsm() } else { None }
    }

    pub(crate) fn norm_gain(&self) -> &'a [f32] {
        self.floats(Role::Norm)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn included_blobs_lie_on_a_line_boundary() {
        const SOURCE: &[u8] = crate::include_blob!("lib.rs");
        assert_eq!(SOURCE, include_bytes!("lib.rs"));
        assert!(SOURCE.as_ptr().addr().is_multiple_of(64));
    }
}
