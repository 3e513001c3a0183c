//! Bits per character are what the design defines: all bits of a file, separators included, over all its bytes.

mod common;

use common::SMALL;
use flashlm_core::{Facts, ModelConfig};
use flashlm_host::Blob;
use trainer::data::EvaluationSet;
use trainer::data::bpe;
use trainer::export::write_blob;
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{BatchShape, EmbeddingMode, Engine, Params, Story};

/// Bytes and the end of a story, no merges.
const CONFIG: ModelConfig = ModelConfig { vocab: 257, ..SMALL };
const FILE: &[u8] =
    "One day.\n<|endoftext|>\nThe caf\u{e9} was \u{1f600} closed.\nThe end.\n<|endoftext|>\nNo end".as_bytes();

/// A logit of every token whatever came before: all matrices are zero, so a token's embedding reaches the head as it
/// is; it lies along one axis, so the last norm makes it that axis's unit vector times sqrt(D).
fn logit(token: usize) -> f64 {
    (0.1 + 0.05 * (token % 23) as f64) * (CONFIG.d_model as f64).sqrt()
}

fn known() -> Params {
    let mut params = Params::init(&CONFIG, 1);
    for t in params.layout.tensors.clone() {
        if t.shape.len() > 1 {
            params.data[t.range()].fill(0.0);
        }
    }
    let embed = params.layout.get("embed").expect("embed").range();
    let d = CONFIG.d_model as usize;
    for token in 0..CONFIG.vocab as usize {
        params.data[embed.start + token * d] = (logit(token) / (d as f64).sqrt()) as f32;
    }
    params
}

/// The definition, on the raw bytes: a byte is token 1 + byte, a separator with its two line ends is token 0.
fn expected_bits() -> f64 {
    const SEPARATOR: &[u8] = b"\n<|endoftext|>\n";
    let total: f64 = (0..CONFIG.vocab as usize).map(|t| logit(t).exp()).sum();
    let bits = |token: usize| -(logit(token).exp() / total).log2();
    let (mut at, mut sum) = (0, 0.0);
    while at < FILE.len() {
        if FILE[at..].starts_with(SEPARATOR) {
            sum += bits(0);
            at += SEPARATOR.len();
        } else {
            sum += bits(1 + FILE[at] as usize);
            at += 1;
        }
    }
    sum
}

#[test]
fn a_model_of_known_probabilities_scores_what_they_say_on_the_raw_bytes() {
    let params = known();
    let table = bpe::table(&[]);
    let blob = write_blob(&CONFIG, &Facts::default(), &table, &|name| params.tensor(name)).expect("packs");
    let blob = Blob::copy("model.flm", &blob).expect("memory");
    let score = flashlm_host::file(&blob, FILE, None, 2).expect("scores");
    let want = expected_bits();
    assert_eq!(score.bytes, FILE.len() as u64);
    assert!((score.bits - want).abs() < 1e-3 * want, "core: {} bits, {want} expected", score.bits);
    assert!((score.bits_per_byte() - want / FILE.len() as f64).abs() < 1e-4);

    let kernels = Kernels::new(Isa::detect(), Precision::F32).expect("available");
    let shape = BatchShape { threads: 1, sequences: 2, tokens: 16, accumulate: 1 };
    let model = blob.model().expect("model");
    let set = EvaluationSet::from_bytes(FILE, *model.tokenizer().expect("tokenizer")).expect("stories");
    let stories: Vec<Story> = set.stories.iter().map(|s| (&s.tokens[..], s.terminated)).collect();
    let mut engine = Engine::new(CONFIG, kernels, params, shape, EmbeddingMode::Int8).unwrap();
    let evaluation = engine.evaluate(&stories, model.default_depth());
    assert_eq!(evaluation.tokens, score.tokens);
    assert!((evaluation.bits - want).abs() < 1e-3 * want, "trainer: {} bits, {want} expected", evaluation.bits);
}
