//! Models are values: every mixer goes with every channel mixer, with and without the reasoning loop and routing,
//! through training, packing and core.

mod common;

use common::{depths, engine, tokens};
use flashlm_core::config::{ChannelMixer, Heads, Mixer, MixtureOfDepths, ModelConfig, RcsmConfig};
use flashlm_core::{Facts, Kernels, Line, Sampler, SamplerConfig, Session, arena_lines};
use flashlm_host::Blob;
use trainer::export::write_blob;
use trainer::kernels::Isa;
use trainer::nn::{Engine, Rng, Rows, StepOptions, TrainDepth};
use trainer::optim::{Optimizer, Outcome, Settings};

const OPTIONS: StepOptions = StepOptions {
    depth: TrainDepth::Blend { tau: 1.0, noise_seed: Some(3) },
    balance: 0.01,
    z_loss: 1e-4,
    answer_weight: 1.0,
    answer_smoothing: 0.0,
};

fn combinations() -> Vec<ModelConfig> {
    let heads = Heads { count: 2, width: 16 };
    let ffns = [ChannelMixer::Glu, ChannelMixer::Relu2, ChannelMixer::ShiftedRelu2];
    let rcsm = RcsmConfig { width: 16, ops: 3, slots: 3, taps: 2, after: 1, ..RcsmConfig::DEFAULT };
    let mut all = Vec::new();
    for mixer in Mixer::all(heads, 12) {
        for ffn in ffns {
            for rcsm in [None, Some(rcsm)] {
                for mixture_of_depths in [None, Some(MixtureOfDepths { capacity: 60, from: 1 })] {
                    all.push(ModelConfig {
                        vocab: 64,
                        d_model: 48,
                        layers: 2,
                        d_ffn: 64,
                        mixer,
                        ffn,
                        rcsm,
                        eot: Some(0),
                        mixture_of_depths,
                    });
                }
            }
        }
    }
    all
}

fn packed(engine: &Engine) -> Blob {
    let tensor = |name: &str| engine.params().tensor(name);
    let bytes = write_blob(engine.config(), &Facts::default(), &[], &tensor).expect("packs");
    Blob::copy("packed", &bytes).expect("memory")
}

/// Logits after every token, as bits, `chunk` tokens at a time.
fn logits(blob: &Blob, kernels: Kernels, chunk: usize, tokens: &[u16]) -> Vec<u32> {
    let model = blob.model().expect("blob");
    let arena = vec![Line::ZERO; arena_lines(blob.bytes(), chunk)];
    let mut session = Session::new(model, kernels, arena).expect("arena");
    let v = model.config().vocab as usize;
    let mut all = vec![0; tokens.len() * v];
    session
        .prefill_logits(tokens, |t, first, rows| {
            for (bits, l) in all[t * v + first as usize..].iter_mut().zip(rows) {
                *bits = l.to_bits();
            }
        })
        .expect("tokens");
    all
}

#[test]
fn every_combination_trains_packs_and_computes_the_same_in_core() {
    let mut rng = Rng::new(21);
    let stories: Vec<Vec<u16>> = (0..10).map(|_| tokens(&mut rng, 64, 40)).collect();
    let scored: Vec<(&[u16], bool)> = stories.iter().map(|s| (&s[..], true)).collect();
    let text: Vec<u16> = [0].iter().chain(&stories[0]).chain(&[0]).chain(&stories[1]).copied().collect();
    let all = combinations();
    assert_eq!(all.len(), 12 * Mixer::KINDS);
    for config in all {
        let mut trainer = engine(config, Isa::detect(), 3, 16);
        let mut optimizer = Optimizer::new(trainer.kernels(), &trainer.params().layout, Settings::default());
        let start = trainer.params().data.clone();
        let mut losses = Vec::new();
        // tokens that follow one another, so that there is something to learn
        let mut at = 0;
        for _ in 0..6 {
            let fill = |_: usize, rows: Rows| {
                for (id, target) in rows.ids.iter_mut().zip(rows.targets) {
                    (*id, *target) = (1 + at % 63, 1 + (at + 3) % 63);
                    at += 1;
                }
            };
            losses.push(trainer.step(fill, &OPTIONS).loss);
            let outcome = trainer.update(|params, grads, _| optimizer.update(params, grads, 0.01));
            assert!(matches!(outcome, Outcome::Applied { .. }), "{config:?}");
        }
        assert!(losses[5] < losses[0], "{config:?}: {losses:?}");
        for t in &trainer.params().layout.tensors {
            assert_ne!(trainer.params().data[t.range()], start[t.range()], "{config:?}: {} did not move", t.name);
        }

        let blob = packed(&trainer);
        let model = blob.model().expect("blob");
        assert_eq!(*model.config(), config);
        for depth in depths(&config) {
            let want = trainer.evaluate(&scored, depth);
            let mut session = Session::on_heap(model, Kernels::detect());
            session.set_depth(depth).expect("depth");
            let bits: f64 = stories
                .iter()
                .map(|story| {
                    let terminated: Vec<u16> = story.iter().copied().chain([0]).collect();
                    flashlm_core::score::story(&mut session, &terminated, |_, _| ()).expect("scores")
                })
                .sum();
            let apart = (bits - want.bits).abs() / want.tokens as f64;
            assert!(apart < 0.002, "{config:?} {depth:?}: {apart} bits a token apart");
        }
        let want = logits(&blob, Kernels::scalar(), 1, &text);
        for kernels in Kernels::available() {
            for chunk in [1, 7, 16] {
                assert!(logits(&blob, kernels, chunk, &text) == want, "{config:?} {:?} {chunk}", kernels.level());
            }
        }
    }
}

#[test]
fn attention_generates_far_past_its_window_in_the_same_memory() {
    let mut config = ModelConfig { vocab: 64, d_model: 64, d_ffn: 64, ..ModelConfig::NOVA_IGNITION };
    config.eot = None;
    let trainer = engine(config, Isa::detect(), 1, 4);
    let blob = packed(&trainer);
    let model = blob.model().expect("blob");
    let mut arena = vec![Line::ZERO; arena_lines(blob.bytes(), 1)];
    let mut session = Session::new(model, Kernels::detect(), arena.as_mut_slice()).expect("arena");
    let mut sampler = Sampler::new(SamplerConfig { seed: 5, ..SamplerConfig::default() }).expect("settings");
    let mut told = vec![1];
    session.step(1).expect("step");
    let state = session.state().len();
    for _ in 0..1000 {
        let token = session.sample(&mut sampler).expect("a token");
        session.step(token).expect("step");
        told.push(token);
    }
    assert_eq!((session.position(), session.state().len()), (1001, state));
    let last = |tokens: &[u16]| {
        let v = config.vocab as usize;
        let all = logits(&blob, Kernels::detect(), 16, tokens);
        all[all.len() - v..].to_vec()
    };
    let mut bits = Vec::new();
    session.logits(|_, rows| bits.extend(rows.iter().map(|l| l.to_bits()))).expect("logits");
    assert_eq!(bits, last(&told));
    // what left one block's window is forgotten by a model of one block
    let config = ModelConfig { layers: 1, mixture_of_depths: None, ..config };
    let blob = packed(&engine(config, Isa::detect(), 1, 4));
    let v = config.vocab as usize;
    let end = |tokens: &[u16]| {
        let all = logits(&blob, Kernels::detect(), 16, tokens);
        all[all.len() - v..].to_vec()
    };
    let mut other = told.clone();
    other[744] = 1 + (other[744] + 5) % 60;
    assert_eq!(end(&told), end(&other), "256 tokens back from the last");
    other[745] = 1 + (other[745] + 5) % 60;
    assert_ne!(end(&told), end(&other), "255 tokens back from the last");
}
