//! The trainer computes what the PyTorch reference computes: logits and every gradient, to the tolerances of the
//! design.
//!
//! `golden/*.safetensors` are the reference's own outputs: shrunken presets, fixed weights and inputs.

use flashlm_core::config::{AttentionConfig, Heads, Mixer, ModelConfig, RcsmConfig};
use safetensors::SafeTensors;
use trainer::kernels::{Backward, Isa, Kernels, Precision};
use trainer::nn::{
    BatchShape, EmbeddingMode, Engine, Params, Passes, ROUTING_LOSS, Rows, StepOptions, TrainDepth, depth_gradient,
};

const B: usize = 2;
const T: usize = 24;

/// A shrunken preset and what the reference computed with it.
struct Golden {
    name: &'static str,
    config: ModelConfig,
    file: SafeTensors<'static>,
}

fn goldens() -> Vec<Golden> {
    let small = |base, layers| ModelConfig { vocab: 96, d_model: 64, layers, d_ffn: 96, eot: None, ..base };
    let with_heads = |base: ModelConfig, heads: Heads, window: u16| {
        let mixer = match base.mixer {
            Mixer::ParallelRecurrence(_) => Mixer::ParallelRecurrence(heads),
            Mixer::Attention(a) => Mixer::Attention(AttentionConfig { heads, window, ..a }),
            other => other,
        };
        ModelConfig { mixer, ..base }
    };
    let rcsm = RcsmConfig { width: 32, ops: 8, slots: 16, taps: 3, after: 1, ..RcsmConfig::DEFAULT };
    let supernova = ModelConfig { rcsm: Some(rcsm), ..small(ModelConfig::SUPERNOVA, 2) };
    let (narrow, wide) = (Heads { count: 4, width: 16 }, Heads { count: 2, width: 32 });
    let thunderbolt = with_heads(small(ModelConfig::THUNDERBOLT, 3), narrow, 0);
    let nova = with_heads(small(ModelConfig::NOVA_IGNITION, 4), wide, 8);
    let transformer = with_heads(small(ModelConfig::TRANSFORMER, 2), wide, 8);
    macro_rules! golden {
        ($name:literal, $config:expr) => {{
            let bytes = include_bytes!(concat!("golden/", $name, ".safetensors"));
            Golden { name: $name, config: $config, file: SafeTensors::deserialize(bytes).expect($name) }
        }};
    }
    vec![
        golden!("supernova", supernova),
        golden!("supernova-blend", supernova),
        golden!("thunderbolt", thunderbolt),
        golden!("nova-ignition", nova),
        golden!("bolt", small(ModelConfig::BOLT, 2)),
        golden!("transformer", transformer),
    ]
}

fn floats(file: &SafeTensors, name: &str) -> Vec<f32> {
    let data = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}")).data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// (B, T) int64 as time-major u16.
fn tokens(file: &SafeTensors, name: &str) -> Vec<u16> {
    let data = file.tensor(name).expect(name).data().to_vec();
    let ids: Vec<u16> = data.chunks_exact(8).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    (0..T).flat_map(|t| (0..B).map(|b| ids[b * T + t]).collect::<Vec<_>>()).collect()
}

/// (B, T) int64 passes of every row, time-major; one each where the file tells none.
fn depths(file: &SafeTensors) -> Vec<u8> {
    let given = file.names().contains(&"depths");
    if given { tokens(file, "depths").iter().map(|&d| d as u8).collect() } else { vec![1; B * T] }
}

/// How the reference took its depths in training.
fn train_passes(golden: &Golden) -> Passes {
    match golden.name {
        "supernova-blend" => Passes::Blend { tau: 1.0, noise_seed: None },
        _ => Passes::Rows,
    }
}

/// Norm of the difference over norm of the reference.
fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let norm = |x: &mut dyn Iterator<Item = f32>| x.map(|v| (v as f64).powi(2)).sum::<f64>().sqrt();
    norm(&mut got.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied()).max(1e-30)
}

fn engine(golden: &Golden, kernels: Kernels) -> Engine {
    let mut params = Params::init(&golden.config, 0);
    for t in params.layout.tensors.clone() {
        params.data[t.range()].copy_from_slice(&floats(&golden.file, &format!("param.{}", t.name)));
    }
    // the reference has no parameter that is missing here
    let named = golden.file.names().into_iter().filter(|n| n.starts_with("param.")).count();
    assert_eq!(named, params.layout.tensors.len(), "{}", golden.name);
    let shape = BatchShape { threads: 1, sequences: B, tokens: T, accumulate: 1 };
    Engine::new(golden.config, kernels, params, shape, EmbeddingMode::Float).unwrap()
}

/// Time-major logits as the reference's (B, T, V).
fn batch_major(logits: &[f32]) -> Vec<f32> {
    let v = logits.len() / (B * T);
    (0..B * T).flat_map(|i| &logits[((i % T) * B + i / T) * v..][..v]).copied().collect()
}

#[test]
fn logits_equal_the_reference_in_training_and_at_every_depth() {
    for golden in goldens() {
        let ids = tokens(&golden.file, "ids");
        let depths = depths(&golden.file);
        for isa in Isa::available() {
            let mut engine = engine(&golden, Kernels::new(isa, Precision::F32).expect("available"));
            for (name, passes) in [
                ("train.logits", train_passes(&golden)),
                ("eval.logits", Passes::Hard),
                ("depth1.logits", Passes::Fixed(1)),
                ("depth3.logits", Passes::Fixed(3)),
                ("depth8.logits", Passes::Fixed(8)),
            ]
            .into_iter()
            .filter(|(name, _)| golden.file.names().contains(name))
            {
                let got = batch_major(&engine.logits(&ids, passes, &depths));
                let d = distance(&got, &floats(&golden.file, name));
                println!("{:13} {isa:8} {name:14} {d:.2e}", golden.name);
                assert!(d <= 1e-3, "{} {isa}: {name} is {d:.2e} from the reference", golden.name);
            }
        }
    }
}

/// One training step on the golden batch: its gradients' distances from the reference, the worst first.
fn gradient_distances(golden: &Golden, kernels: Kernels) -> Vec<(f64, String)> {
    let mut engine = engine(golden, kernels);
    let (ids, targets) = (tokens(&golden.file, "ids"), tokens(&golden.file, "targets"));
    let depth = match train_passes(golden) {
        Passes::Blend { tau, noise_seed } => TrainDepth::Blend { tau, noise_seed },
        _ => TrainDepth::Rows,
    };
    let depths = depths(&golden.file);
    let options = StepOptions { depth, balance: 0.0, z_loss: 0.0, answer_weight: 1.0, answer_smoothing: 0.0 };
    let stats = engine.step(
        |_, rows: Rows| {
            rows.ids.copy_from_slice(&ids);
            rows.targets.copy_from_slice(&targets);
            rows.facts.fill(0);
            rows.depths.copy_from_slice(&depths);
        },
        &options,
    );
    let want = floats(&golden.file, "train.loss")[0] as f64;
    let (choice, deeper) = choice_gradient(golden, &mut engine);
    let loss = stats.loss + f64::from(ROUTING_LOSS) * stats.routing_loss + choice;
    assert!((loss - want).abs() < 1e-4 * want, "{}: loss {loss} against {want}", golden.name);
    let layout = engine.params().layout.clone();
    let gradient = |name: &str| floats(&golden.file, &format!("grad.{name}"));
    let mut all: Vec<_> = layout
        .tensors
        .iter()
        .map(|t| {
            let mut got = engine.grads()[t.range()].to_vec();
            match &t.name[..] {
                "rcsm.deeper.weight" => got.iter_mut().zip(&deeper).for_each(|(g, d)| *g += d),
                "rcsm.deeper.bias" => got.iter_mut().zip(&deeper[deeper.len() - 2..]).for_each(|(g, d)| *g += d),
                _ => {}
            }
            (distance(&got, &gradient(&t.name)), t.name.clone())
        })
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    all
}

/// The loss of the depth choice and its gradient ([weights (2, R); biases (2)]), where the reference trains it.
fn choice_gradient(golden: &Golden, engine: &mut Engine) -> (f64, Vec<f32>) {
    let Some(rcsm) = golden.config.rcsm else { return (0.0, vec![0.0; 2]) };
    let r = usize::from(rcsm.width);
    let mut gradient = vec![0.0; 2 * r + 2];
    if !golden.file.names().contains(&"pays") {
        return (0.0, gradient);
    }
    let pays = floats(&golden.file, "pays");
    let params: Vec<f32> = ["rcsm.deeper.weight", "rcsm.deeper.bias"]
        .iter()
        .flat_map(|name| engine.params().tensor(name).expect("a tensor").to_vec())
        .collect();
    let inputs = engine.choice_inputs(&tokens(&golden.file, "ids"));
    let weight = 1.0 / (2 * B * T) as f32;
    let mut loss = 0.0;
    for (row, inputs) in inputs.chunks_exact(2 * r).enumerate() {
        for (choice, x) in inputs.chunks_exact(r).enumerate() {
            let pays = pays[((row % B) * T + row / B) * 2 + choice];
            loss += depth_gradient(&params, choice, x, pays, weight, &mut gradient);
        }
    }
    (loss, gradient)
}

#[test]
fn every_gradient_equals_the_reference() {
    for golden in goldens() {
        for isa in Isa::available() {
            let all = gradient_distances(&golden, Kernels::new(isa, Precision::F32).expect("available"));
            for (d, name) in all.iter().take(5) {
                println!("{:13} {isa:8} {d:.2e} {name}", golden.name);
            }
            let (worst, name) = &all[0];
            assert!(*worst <= 5e-3, "{} {isa}: the gradient of {name} is {worst:.2e} off", golden.name);
        }
    }
}

#[test]
fn every_gradient_in_int8_is_near_the_reference() {
    for golden in goldens() {
        let mut first: Option<Vec<(f64, String)>> = None;
        for isa in Isa::available() {
            let kernels = Kernels::new(isa, Precision::F32).and_then(|kernels| kernels.with_backward(Backward::Int8));
            let all = gradient_distances(&golden, kernels.expect("available"));
            for (d, name) in all.iter().take(3) {
                println!("{:13} {isa:8} int8 {d:.2e} {name}", golden.name);
            }
            let (worst, name) = &all[0];
            assert!(*worst <= 0.1, "{} {isa}: the gradient of {name} is {worst:.2e} off", golden.name);
            match &first {
                // the integer products are the same; the float ones around them differ in their last bits
                Some(first) => assert!((worst - first[0].0).abs() < 0.02, "{}: {isa} differs", golden.name),
                None => first = Some(all),
            }
        }
    }
}
