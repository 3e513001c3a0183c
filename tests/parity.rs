//! One model, two programs: the packed blob through core computes what the trainer computes.

mod common;

use common::{SMALL, depths, engine, models, tokens};
use flashlm_core::config::MAX_D_MODEL;
use flashlm_core::{
    Depth, Facts, Kernels, Level, Line, MAX_CHUNK, Model, ModelConfig, RcsmConfig, Session, arena_lines, score,
};
use flashlm_host::Blob;
use trainer::export::write_blob;
use trainer::kernels::Isa;
use trainer::nn::Rng;

/// The blob of the engine's model.
fn packed(engine: &trainer::nn::Engine) -> Blob {
    let tensor = |name: &str| engine.params().tensor(name);
    let bytes = write_blob(engine.config(), &Facts::default(), &[], &tensor).expect("packs");
    Blob::copy("packed", &bytes).expect("memory")
}

fn argmax(x: &[f32]) -> usize {
    (0..x.len()).fold(0, |best, i| if x[i] > x[best] { i } else { best })
}

/// Logits after every token, by prefill.
fn prefilled(blob: &[u8], level: Level, chunk: usize, tokens: &[u16], depth: Depth) -> Vec<Vec<f32>> {
    let lines = arena_lines(blob, chunk);
    let model = Model::from_bytes(blob).expect("blob");
    let kernels = Kernels::new(level).expect("available");
    let mut session = Session::new(model, kernels, vec![Line::ZERO; lines]).expect("arena");
    session.set_depth(depth).expect("depth");
    let mut logits = vec![Vec::new(); tokens.len()];
    session.prefill_logits(tokens, |t, _, rows| logits[t].extend_from_slice(rows)).expect("tokens");
    logits
}

#[test]
fn packed_model_agrees_with_the_trainer_on_ten_thousand_tokens() {
    let mut rng = Rng::new(11);
    for (name, config) in models() {
        let stories: Vec<Vec<u16>> = (0..50).map(|_| tokens(&mut rng, config.vocab, 200)).collect();
        let scored: Vec<(&[u16], bool)> = stories.iter().map(|s| (&s[..], true)).collect();
        for depth in depths(&config) {
            let mut trainer = engine(config, Isa::detect(), 10, 64);
            let mut want = vec![Vec::new(); stories.len()];
            let evaluation =
                trainer.evaluate_with(&scored, depth, |story, _, logits| want[story].push(logits.to_vec()));

            let blob = packed(&trainer);
            let model = blob.model().expect("blob");
            let mut session = Session::on_heap(model, Kernels::detect());
            session.set_depth(depth).expect("depth");
            let (mut bits, mut same, mut total, mut largest, mut apart) = (0.0, 0, 0, 0f32, 0f32);
            for (story, want) in stories.iter().zip(&want) {
                let terminated: Vec<u16> = story.iter().copied().chain([0]).collect();
                bits += score::story(&mut session, &terminated, |_, _| ()).expect("scores");
                let inputs: Vec<u16> = [0].iter().chain(story).copied().collect();
                let got = prefilled(blob.bytes(), Kernels::detect().level(), MAX_CHUNK, &inputs, depth);
                same += got.iter().zip(want).filter(|(got, want)| argmax(got) == argmax(want)).count();
                for (&got, &want) in got.iter().flatten().zip(want.iter().flatten()) {
                    (largest, apart) = (largest.max(want.abs()), apart.max((got - want).abs()));
                }
                total += want.len();
            }
            assert_eq!(total, 50 * 201);
            let agreement = same as f64 / total as f64;
            let per_token = (bits - evaluation.bits).abs() / total as f64;
            println!(
                "{name} {depth:?}: same argmax on {:.3} %, {per_token:.1e} bits a token, logits {:.1e} apart",
                100.0 * agreement,
                apart / largest
            );
            assert!(agreement >= 0.999, "{name} {depth:?}: same argmax on {agreement}");
            assert!(per_token < 0.002, "{name} {depth:?}: {per_token} bits a token apart");
            // the head's int16 activations; one int8 on the way that was rounded otherwise would move them far more
            assert!(apart < 1e-4 * largest, "{name} {depth:?}: logits up to {largest} are {apart} apart");
        }
    }
}

/// Dimensions that are no multiples of anything convenient to one register width, and the real ones.
fn shapes() -> Vec<ModelConfig> {
    let odd = ModelConfig { vocab: 272, d_model: 48, d_ffn: 112, layers: 3, ..SMALL };
    let rcsm = ModelConfig::SUPERNOVA.rcsm.map(|rcsm| RcsmConfig { after: 1, ..rcsm });
    let wide = ModelConfig { layers: 1, vocab: 512, rcsm, ..ModelConfig::SUPERNOVA };
    // the head's activations have less than 16 bits there
    let widest = ModelConfig { layers: 1, vocab: 272, d_model: MAX_D_MODEL, d_ffn: 112, rcsm: None, ..SMALL };
    [odd, wide, widest].into_iter().chain(models().into_iter().map(|(_, config)| config)).collect()
}

#[test]
fn whole_model_logits_are_bit_equal_at_every_level_and_chunk() {
    let mut rng = Rng::new(12);
    for config in shapes() {
        let trainer = engine(config, Isa::detect(), 1, 4);
        let blob = packed(&trainer);
        let mut text = tokens(&mut rng, config.vocab, 70);
        (text[0], text[40]) = (0, 0);
        for depth in depths(&config) {
            let bits = |logits: Vec<Vec<f32>>| -> Vec<u32> { logits.iter().flatten().map(|l| l.to_bits()).collect() };
            let want = bits(prefilled(blob.bytes(), Level::Scalar, 1, &text, depth));
            assert_eq!(want.len(), text.len() * config.vocab as usize);
            for level in Kernels::available().map(|k| k.level()) {
                for chunk in [1, 5, 16] {
                    assert!(
                        bits(prefilled(blob.bytes(), level, chunk, &text, depth)) == want,
                        "{level:?}, chunk {chunk}"
                    );
                }
            }
        }
    }
}

#[test]
fn prefill_equals_as_many_steps_bit_for_bit() {
    let mut rng = Rng::new(13);
    for (name, config) in models() {
        let trainer = engine(config, Isa::detect(), 1, 4);
        let blob = packed(&trainer);
        let model = blob.model().expect("blob");
        let mut text = tokens(&mut rng, config.vocab, 50);
        text[33] = 0;
        let mut stepped = Session::on_heap(model, Kernels::detect());
        let mut prefilled = Session::on_heap(model, Kernels::detect());
        for token in &text {
            stepped.step(*token).expect("step");
        }
        prefilled.prefill(&text).expect("prefill");
        let logits = |session: &Session<_>| {
            let mut all: Vec<u32> = Vec::new();
            session.logits(|_, rows| all.extend(rows.iter().map(|l| l.to_bits()))).expect("logits");
            all
        };
        assert_eq!(logits(&stepped), logits(&prefilled), "{name}");
        assert!(stepped.state() == prefilled.state(), "{name}");
    }
}

#[test]
fn no_core_logit_depends_on_a_later_token() {
    let mut rng = Rng::new(14);
    for (name, config) in models() {
        let trainer = engine(config, Isa::detect(), 1, 4);
        let blob = packed(&trainer);
        let text = tokens(&mut rng, config.vocab, 24);
        let depth = depths(&config)[0];
        for level in Kernels::available().map(|k| k.level()) {
            let before = prefilled(blob.bytes(), level, 16, &text, depth);
            for changed in 0..text.len() {
                let mut other = text.clone();
                other[changed] = 1 + (other[changed] + 40) % 127;
                let after = prefilled(blob.bytes(), level, 16, &other, depth);
                assert!(before[..changed] == after[..changed], "{name}: token {changed} changed an earlier logit");
                assert_ne!(before[changed], after[changed], "{name}: token {changed} changes nothing");
            }
        }
    }
}
