//! From a packed blob back to latent weights: a model to train on, where no checkpoint of it is at hand.
//!
//! A blob keeps of a ternary row its codes and its mean absolute value s, not the latent weights. Those made here are
//! quantised to the same codes and the same s again, so the model computes what it did; how far each is from changing
//! its code is made up, spread as in trained models.

use flashlm_core::blob::layout::{Contents, TernaryShape};
use flashlm_core::schema::{self, Form, Role, Stored};
use flashlm_core::{Model, ModelConfig};

use crate::nn::{Layout, Params, Rng};

/// Seed of what is made up: the same blob gives the same weights.
const SEED: u64 = 1;
/// The largest logit that a stored sigmoid is taken back to: beyond it a f32 sigmoid is 1.
const MAX_LOGIT: f32 = 16.0;

/// The weights of `model`, whose blob is `bytes`, and its configuration.
pub fn params(model: &Model<'_>, bytes: &[u8]) -> Params {
    let config = model.config();
    let layout = Layout::new(config);
    let mut params = Params { data: vec![0.0; layout.len], layout };
    let mut rng = Rng::new(SEED);
    for section in model.sections() {
        let reader = Reader { bytes: &bytes[section.offset..][..section.len], at: 0 };
        read_section(config, section.role, reader, &mut rng, &mut params);
    }
    params
}

/// The tables of its tokenizer; nothing where it has none.
pub fn tokenizer<'a>(model: &Model<'_>, bytes: &'a [u8]) -> &'a [u8] {
    let section = model.sections().find(|section| section.role == Role::Tokenizer);
    section.map_or(&[], |section| &bytes[section.offset..][..section.len])
}

/// The tensors of one role, block after block, in the schema's order.
fn read_section(config: &ModelConfig, role: Role, mut reader: Reader, rng: &mut Rng, params: &mut Params) {
    let of_role: Vec<_> = schema::tensors(config).filter(|(_, tensor)| tensor.role == role).collect();
    for block in of_role.chunk_by(|(a, _), (b, _)| a == b) {
        let mut first_row = 0;
        for &(index, tensor) in block {
            let Some(spec) = params.layout.get(&tensor.named(index).to_string()) else { continue };
            let out = &mut params.data[spec.range()];
            match (tensor.stored, Contents::of(role, config)) {
                (Stored::Floats(forms), _) => forms.iter().enumerate().for_each(|(i, &form)| {
                    let values = reader.floats(out.len());
                    // what follows says the same in other forms
                    if i == 0 {
                        restore(&values, form, out);
                    }
                }),
                (Stored::Int8, Contents::Embedding(shape)) => {
                    let (values, scales) = reader.bytes.split_at(shape.value_bytes());
                    for (row, out) in out.chunks_exact_mut(shape.columns).enumerate() {
                        let scale = float(scales, row);
                        for (column, v) in out.iter_mut().enumerate() {
                            *v = f32::from(values[shape.value_at(row, column)] as i8) * scale;
                        }
                    }
                }
                (Stored::Ternary, Contents::Ternary(shape, _)) => {
                    let matrix = &reader.bytes[reader.at..][..shape.bytes()];
                    for (row, out) in out.chunks_exact_mut(shape.columns).enumerate() {
                        ternary_row(matrix, shape, first_row + row, rng, out);
                    }
                    first_row += (out.len() / shape.columns).next_multiple_of(16);
                }
                // no such section
                _ => {}
            }
        }
        if let Contents::Ternary(shape, _) = Contents::of(role, config) {
            reader.at += shape.bytes();
        }
    }
}

/// A section, read from its begin on.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn floats(&mut self, count: usize) -> Vec<f32> {
        let values = (0..count).map(|i| float(&self.bytes[self.at..], i)).collect();
        self.at += 4 * count;
        values
    }
}

/// The `index`th little-endian float of `bytes`.
fn float(bytes: &[u8], index: usize) -> f32 {
    let b = &bytes[4 * index..][..4];
    f32::from_le_bytes([b[0], b[1], b[2], b[3]])
}

/// What was stored in `form` as it was.
fn restore(values: &[f32], form: Form, out: &mut [f32]) {
    let side = values.len().isqrt();
    for (i, v) in out.iter_mut().enumerate() {
        *v = match form {
            Form::AsIs => values[i],
            Form::Transposed => values[(i % side) * side + i / side],
            Form::Sigmoid => (values[i] / (1.0 - values[i])).ln().clamp(-MAX_LOGIT, MAX_LOGIT),
            // sqrt(1 - sigmoid^2)
            Form::Drive => {
                let keep = (1.0 - values[i] * values[i]).max(0.0).sqrt();
                (keep / (1.0 - keep)).ln().clamp(-MAX_LOGIT, MAX_LOGIT)
            }
        };
    }
}

/// Latent weights of one row: of its codes, with its scale as their mean absolute value.
fn ternary_row(matrix: &[u8], shape: TernaryShape, row: usize, rng: &mut Rng, out: &mut [f32]) {
    let scale = float(&matrix[shape.code_bytes()..], row);
    for (column, v) in out.iter_mut().enumerate() {
        let (at, shift) = shape.code_at(row, column);
        *v = f32::from((matrix[at] >> shift & 3) as i8 - 1);
    }
    let set: f32 = out.iter().map(|v| v.abs()).sum();
    if set == 0.0 {
        return;
    }
    // in units of the scale: magnitudes, and how far those beyond the border are beyond it
    let (mut zeros, mut beyond) = (0.0, 0.0);
    for v in out.iter_mut() {
        if *v == 0.0 {
            let sign = if rng.uniform() < 0.5 { -1.0 } else { 1.0 };
            *v = sign * draw(rng, &OF_ZEROS);
            zeros += v.abs();
        } else {
            let x = draw(rng, &OF_OTHERS);
            beyond += x - BORDER;
            *v *= x;
        }
    }
    // stretched, so that the mean of all magnitudes is 1: there is room, as zeros have less than theirs
    let stretch = (out.len() as f32 - zeros - set * BORDER) / beyond.max(f32::MIN_POSITIVE);
    for v in out.iter_mut() {
        if v.abs() >= BORDER {
            *v = v.signum() * (BORDER + (v.abs() - BORDER) * stretch);
        }
        *v *= scale;
    }
}

/// A little beyond the magnitude, in units of the scale, at which a weight is not rounded to zero any more, so that it
/// stays there whatever its last bits become.
const BORDER: f32 = 0.505;

/// Magnitudes of trained latent weights, in units of their scale: how many of a thousand lie between a number and the
/// next. Many are near the border, where training lets them swing from one side to the other.
const OF_ZEROS: [(f32, f32); 6] = [(0.0, 54.0), (0.1, 55.0), (0.2, 59.0), (0.3, 68.0), (0.4, 112.0), (0.495, 0.0)];
const OF_OTHERS: [(f32, f32); 12] = [
    (BORDER, 106.0),
    (0.6, 59.0),
    (0.7, 46.0),
    (0.8, 40.0),
    (0.9, 35.0),
    (1.0, 62.0),
    (1.2, 54.0),
    (1.4, 46.0),
    (1.6, 72.0),
    (2.0, 61.0),
    (2.5, 53.0),
    (3.5, 0.0),
];

/// Draws from a histogram.
fn draw(rng: &mut Rng, histogram: &[(f32, f32)]) -> f32 {
    let all: f32 = histogram.iter().map(|(_, count)| count).sum();
    let mut at = rng.uniform() * all;
    for bin in histogram.windows(2) {
        let [(from, count), (to, _)] = [bin[0], bin[1]];
        if at < count {
            return from + (to - from) * at / count;
        }
        at -= count;
    }
    histogram.last().map_or(0.0, |(end, _)| *end)
}

#[cfg(test)]
mod tests {
    use flashlm_core::Facts;
    use flashlm_core::config::RcsmConfig;
    use flashlm_host::Blob;

    use super::*;
    use crate::export::write_blob;
    use crate::run::preset;

    fn pack(config: &ModelConfig, params: &Params) -> Blob {
        let bytes = write_blob(config, &Facts::default(), &[], &|name| params.tensor(name)).unwrap();
        Blob::copy("a model", &bytes).unwrap()
    }

    /// A small model of every kind of layer that there is.
    fn models() -> impl Iterator<Item = ModelConfig> {
        preset::TABLE.iter().map(|named| {
            let rcsm = RcsmConfig { width: 32, ops: 4, slots: 8, after: 1, ..RcsmConfig::DEFAULT };
            let rcsm = named.config.rcsm.map(|_| rcsm);
            ModelConfig { vocab: 300, d_model: 64, layers: 2, d_ffn: 96, rcsm, mixture_of_depths: None, ..named.config }
        })
    }

    #[test]
    fn weights_from_a_blob_pack_to_the_same_model() {
        for config in models() {
            let trained = pack(&config, &Params::init(&config, 3));
            let model = trained.model().unwrap();
            let again = pack(&config, &params(&model, trained.bytes()));
            for section in model.sections() {
                let bytes = |blob: &Blob| blob.bytes()[section.offset..][..section.len].to_vec();
                let (want, got) = (bytes(&trained), bytes(&again));
                let codes = match Contents::of(section.role, &config) {
                    Contents::Ternary(shape, 1) => shape.code_bytes(),
                    Contents::Embedding(shape) => shape.value_bytes(),
                    _ => 0,
                };
                assert_eq!(want[..codes], got[..codes], "{:?} of {config:?}", section.role);
                // scales and floats, but for their last bits
                if !matches!(Contents::of(section.role, &config), Contents::Ternary(_, 2..)) {
                    for (want, got) in want[codes..].chunks_exact(4).zip(got[codes..].chunks_exact(4)) {
                        let (want, got) = (float(want, 0), float(got, 0));
                        assert!((want - got).abs() <= 1e-5 * want.abs().max(1e-3), "{:?}: {want} {got}", section.role);
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_made_up_can_change_its_code_either_way() {
        let config = models().next().unwrap();
        let trained = pack(&config, &Params::init(&config, 3));
        let found = params(&trained.model().unwrap(), trained.bytes());
        let weights = found.tensor("blocks.0.ffn.gate.weight").unwrap();
        for row in weights.chunks_exact(64) {
            let scale = row.iter().map(|w| w.abs()).sum::<f32>() / 64.0;
            let near = row.iter().filter(|w| (w.abs() / scale - 0.5).abs() < 0.15).count();
            assert!(near > 5, "{near} of 64 weights near the border");
        }
        assert_eq!(params(&trained.model().unwrap(), trained.bytes()).data, found.data, "the same every time");
    }
}
