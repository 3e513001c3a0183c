//! A model: a checked blob, from which views of the layers' parameters are built.

use crate::blob::layout::{Contents, EmbeddingShape, floats_before};
use crate::blob::{BlobError, Facts, Role, check};
use crate::config::{ChannelMixer, Depth, Mixer, ModelConfig};
use crate::parts::Parts;
use crate::schema::{self, Form, Place, padded};
use crate::tokenizer::Tokenizer;
use crate::views::{
    Attention, Block, BlockFfn, BlockMixer, Embedding, GatedRecurrence, Glu, ParallelRecurrence, Rcsm, Relu2,
    TernaryMatrix,
};

/// The floats of a tensor that a table of the [`schema`] names; that it does is checked at compile time.
macro_rules! floats_of {
    ($config:expr, $floats:expr, $table:ident, $name:literal) => {
        floats_of!($config, $floats, $table, $name, AsIs)
    };
    ($config:expr, $floats:expr, $table:ident, $name:literal, $form:ident) => {{
        let (start, len) = const { Place::of(schema::$table, $name, Form::$form) }.range($config);
        $floats.part(start, len)
    }};
}

/// A model that lies in a blob: flash, a mapped file or a static. Nothing is copied; views are built as needed.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    config: ModelConfig,
    facts: Facts<'a>,
    crc: u32,
    tokenizer: Option<Tokenizer<'a>>,
    extents: [(u32, u32); Role::ALL.len()],
    words: [&'a [u32]; Role::ALL.len()],
}

/// One section of a blob, to be listed.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// have one); a 64-byte boundary is faster. Reads every byte once, so it takes about as long as reading.
    pub fn from_bytes(blob: &'a [u8]) -> Result<Self, BlobError> {
        let checked = check(blob)?;
        let tokenizer = match checked.tokenizer {
            [] => None,
            table => Some(Tokenizer::from_bytes(table).map_err(BlobError::Tokenizer)?),
        };
        if tokenizer.as_ref().is_some_and(|t| t.vocab() != checked.config.vocab) {
            return Err(BlobError::Vocabulary);
        }
        let (config, facts, crc) = (checked.config, checked.facts, checked.crc);
        Ok(Self { config, facts, crc, tokenizer, extents: checked.extents, words: checked.words })
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

    /// The blob's checksum: two models with the same one are the same.
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
        let Contents::Ternary(shape, _) = Contents::of(role, &self.config) else { return TernaryMatrix::EMPTY };
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
        let (input, output) = (self.ternary(Role::MixerIn, index), self.ternary(Role::MixerOut, index));
        let mixer = match c.mixer {
            Mixer::GatedRecurrence => BlockMixer::Gated(GatedRecurrence {
                gain: floats_of!(c, of_mixer, GATED, "mixer.norm.gain"),
                shift: floats_of!(c, of_mixer, GATED, "mixer.shift", Sigmoid),
                decay: floats_of!(c, of_mixer, GATED, "mixer.decay", Sigmoid),
                drive: floats_of!(c, of_mixer, GATED, "mixer.decay", Drive),
                state_gain: floats_of!(c, of_mixer, GATED, "mixer.state_norm.gain"),
                input,
                output,
            }),
            Mixer::ParallelRecurrence(heads) => BlockMixer::Parallel(ParallelRecurrence {
                heads,
                floor: c.forget_floor(index),
                gain: floats_of!(c, of_mixer, PARALLEL, "mixer.norm.gain"),
                shift: floats_of!(c, of_mixer, PARALLEL, "mixer.shift", Sigmoid),
                forget_bias: floats_of!(c, of_mixer, PARALLEL, "mixer.forget_bias"),
                group_gain: floats_of!(c, of_mixer, PARALLEL, "mixer.group_gain"),
                group_bias: floats_of!(c, of_mixer, PARALLEL, "mixer.group_bias"),
                input,
                output,
            }),
            Mixer::Attention(config) => BlockMixer::Attention(Attention {
                config,
                gain: floats_of!(c, of_mixer, ATTENTION, "mixer.norm.gain"),
                q_gain: floats_of!(c, of_mixer, ATTENTION, "mixer.q_norm.gain"),
                k_gain: floats_of!(c, of_mixer, ATTENTION, "mixer.k_norm.gain"),
                head_gain: floats_of!(c, of_mixer, ATTENTION, "mixer.head_norm.gain"),
                lambda: floats_of!(c, of_mixer, ATTENTION, "mixer.lam", Sigmoid),
                input,
                output,
            }),
        };
        let (input, output) = (self.ternary(Role::FfnIn, index), self.ternary(Role::FfnOut, index));
        let ffn = match c.ffn {
            ChannelMixer::Glu => {
                BlockFfn::Glu(Glu { gain: floats_of!(c, of_ffn, GLU, "ffn.norm.gain"), input, output })
            }
            ChannelMixer::Relu2 => {
                let gain = floats_of!(c, of_ffn, RELU2, "ffn.norm.gain");
                BlockFfn::Relu2(Relu2 { gain, shift: None, input, output })
            }
            ChannelMixer::ShiftedRelu2 => {
                let gain = floats_of!(c, of_ffn, SHIFTED_RELU2, "ffn.norm.gain");
                let shift = Some(floats_of!(c, of_ffn, SHIFTED_RELU2, "ffn.shift", Sigmoid));
                BlockFfn::Relu2(Relu2 { gain, shift, input, output })
            }
        };
        let router = c.routed(index).then(|| floats_of!(c, of_router, ROUTER, "router"));
        Block { mixer, ffn, router }
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
            mix: floats_of!(c, vectors, RCSM, "rcsm.mix.weight", Transposed),
            gain: floats_of!(c, vectors, RCSM, "rcsm.in_norm.gain"),
            context_taps: floats_of!(c, vectors, RCSM, "rcsm.context_taps"),
            query_taps: floats_of!(c, vectors, RCSM, "rcsm.query_taps"),
            salience: floats_of!(c, vectors, RCSM, "rcsm.salience.weight"),
            out_gain: floats_of!(c, vectors, RCSM, "rcsm.out_gain"),
            hop: floats_of!(c, vectors, RCSM, "rcsm.hop_gate.weight"),
            hold: floats_of!(c, vectors, RCSM, "rcsm.hold_gate.weight"),
            writes: floats_of!(c, vectors, RCSM, "rcsm.write_gates.weight"),
            deeper: floats_of!(c, vectors, RCSM, "rcsm.deeper.weight"),
            salience_bias: one(floats_of!(c, vectors, RCSM, "rcsm.salience.bias")),
            hop_bias: one(floats_of!(c, vectors, RCSM, "rcsm.hop_gate.bias")),
            hold_bias: one(floats_of!(c, vectors, RCSM, "rcsm.hold_gate.bias")),
            write_biases: floats_of!(c, vectors, RCSM, "rcsm.write_gates.bias"),
            deeper_biases: floats_of!(c, vectors, RCSM, "rcsm.deeper.bias"),
            pass_scales: floats_of!(c, vectors, RCSM, "rcsm.pass_scale"),
            input: self.ternary(Role::RcsmIn, 0),
            pass,
            code: pass.row_range(router_rows, pass.rows() - router_rows),
            ops: self.ternary(Role::RcsmOps, 0),
            output: self.ternary(Role::RcsmOut, 0),
        })
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
