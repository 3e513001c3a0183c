//! The optimiser against naive formulas in f64.

use flashlm_core::blob::Role;

use super::*;
use crate::kernels::{self, Isa};
use crate::nn::{Layout, ParamKind, TensorSpec};
use crate::ranks::testing::together;

/// Numbers in (-1, 1) that look random.
fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32).map(|i| moments::noise(i, seed) as f32 / 32768.0 - 1.0).collect()
}

fn layout(tensors: &[(&[usize], ParamKind)]) -> Layout {
    let mut layout = Layout { tensors: Vec::new(), len: 0 };
    for (i, (shape, kind)) in tensors.iter().enumerate() {
        let spec = TensorSpec {
            name: format!("t{i}"),
            base: "t",
            block: None,
            role: Role::Norm,
            shape: shape.to_vec(),
            offset: layout.len,
            kind: *kind,
        };
        layout.len += spec.shape.iter().product::<usize>();
        layout.tensors.push(spec);
    }
    layout
}

fn mixed() -> Layout {
    layout(&[
        (&[300, 70], ParamKind::Embedding),
        (&[17], ParamKind::Float),
        (&[48, 32], ParamKind::Ternary),
        (&[3, 16, 16], ParamKind::Ternary),
        (&[32, 80], ParamKind::Ternary),
        (&[5], ParamKind::Float),
    ])
}

/// f32 products, as the naive formulas are exact to more than bfloat16.
fn kernels() -> Kernels {
    Kernels::new(Isa::detect(), kernels::Precision::F32).unwrap()
}

fn threads(n: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap()
}

fn settings(kind: Kind, moments: Precision) -> Settings {
    Settings {
        kind,
        moments,
        lr: PerKind { ternary: 1.0, embedding: 0.5, float: 2.0 },
        weight_decay: PerKind { ternary: 0.1, embedding: 0.01, float: 0.0 },
        ..Settings::default()
    }
}

#[test]
fn adamw_equals_the_textbook_formula() {
    let layout = mixed();
    let s = Settings { clip: 3.0, ..settings(Kind::Adamw, Precision::F32) };
    let mut optimizer = Optimizer::new(kernels(), &layout, s);
    let mut params = numbers(layout.len, 1);
    let mut want: Vec<f64> = params.iter().map(|&p| p as f64).collect();
    let (mut m, mut v) = (vec![0.0f64; layout.len], vec![0.0f64; layout.len]);
    for t in 1..=5 {
        let grads = numbers(layout.len, 100 + t as u32);
        let norm = grads.iter().map(|&g| (g as f64).powi(2)).sum::<f64>().sqrt();
        let Outcome::Applied { grad_norm } = optimizer.update(&mut params, &grads, 0.01) else { panic!("finite") };
        assert!((grad_norm / norm - 1.0).abs() < 1e-6);
        let scale = 3.0 / norm;
        assert!(scale < 1.0, "the test should clip");
        let (b1, b2) = (s.beta1 as f64, s.beta2 as f64);
        for tensor in &layout.tensors {
            let (lr, decay) = match tensor.kind {
                ParamKind::Ternary => (0.01, 0.1),
                ParamKind::Embedding => (0.005, 0.01),
                ParamKind::Float => (0.02, 0.0),
            };
            for i in tensor.range() {
                let g = grads[i] as f64 * scale;
                m[i] = b1 * m[i] + (1.0 - b1) * g;
                v[i] = b2 * v[i] + (1.0 - b2) * g * g;
                let (mh, vh) = (m[i] / (1.0 - b1.powi(t)), v[i] / (1.0 - b2.powi(t)));
                want[i] -= lr * (mh / (vh.sqrt() + 1e-8) + decay * want[i]);
            }
        }
    }
    for (i, (&got, &want)) in params.iter().zip(&want).enumerate() {
        assert!((got as f64 - want).abs() < 2e-5, "element {i}: {got} instead of {want}");
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let layout = mixed();
    for kind in [Kind::Adamw, Kind::Muon] {
        for precision in [Precision::F32, Precision::Bf16] {
            let run = |n| {
                threads(n).install(|| {
                    let mut optimizer = Optimizer::new(kernels(), &layout, settings(kind, precision));
                    let mut params = numbers(layout.len, 1);
                    for t in 0..3 {
                        optimizer.update(&mut params, &numbers(layout.len, 50 + t), 0.02);
                    }
                    params
                })
            };
            assert_eq!(run(1), run(3), "{kind:?} {precision:?}");
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_changes_nothing() {
    let layout = mixed();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in [0, layout.len - 1] {
            let mut optimizer = Optimizer::new(kernels(), &layout, settings(Kind::Muon, Precision::F32));
            let mut params = numbers(layout.len, 1);
            let mut grads = numbers(layout.len, 2);
            grads[at] = bad;
            assert_eq!(optimizer.update(&mut params, &grads, 0.1), Outcome::NotFinite);
            assert_eq!((params, optimizer.updates()), (numbers(layout.len, 1), 0));
        }
    }
}

#[test]
fn restored_moments_continue_bit_for_bit() {
    let layout = mixed();
    for kind in [Kind::Adamw, Kind::Muon] {
        for precision in [Precision::F32, Precision::Bf16] {
            let mut first = Optimizer::new(kernels(), &layout, settings(kind, precision));
            let mut params = numbers(layout.len, 1);
            first.update(&mut params, &numbers(layout.len, 2), 0.01);
            first.update(&mut params, &numbers(layout.len, 3), 0.01);
            let mut saved = std::collections::HashMap::new();
            let keep = |name: &str, _: &[usize], values: &[f32]| {
                saved.insert(name.to_string(), values.to_vec());
                Ok::<(), ()>(())
            };
            first.each_state(keep).unwrap();
            let names: Vec<_> = first.state_names().into_iter().map(|(name, _)| name).collect();
            assert!(names.iter().all(|n| saved.contains_key(n)) && names.len() == saved.len());

            let mut second = Optimizer::new(kernels(), &layout, settings(kind, precision));
            second.restore(first.updates(), |name| saved.get(name).map(Vec::as_slice)).unwrap();
            let mut other = params.clone();
            first.update(&mut params, &numbers(layout.len, 4), 0.01);
            second.update(&mut other, &numbers(layout.len, 4), 0.01);
            assert_eq!(params, other, "{kind:?} {precision:?}");
            saved.remove("adam.v.t0");
            assert_eq!(second.restore(2, |n| saved.get(n).map(Vec::as_slice)), Err("adam.v.t0".to_string()));
        }
    }
}

#[test]
fn bfloat16_moments_follow_small_changes_on_average() {
    // 1000 gradients of one size: v must approach g^2 although each step moves it by far less than half a unit
    let layout = layout(&[(&[4096], ParamKind::Float)]);
    let s = Settings { beta2: 0.999, clip: f32::INFINITY, ..settings(Kind::Adamw, Precision::Bf16) };
    let mut optimizer = Optimizer::new(kernels(), &layout, s);
    let mut params = vec![0.0; 4096];
    for _ in 0..1000 {
        optimizer.update(&mut params, &vec![0.5; 4096], 0.0);
    }
    let mut values = Vec::new();
    optimizer.v.decode(0..4096, &mut values);
    let mean = values.iter().sum::<f32>() / 4096.0;
    let want = 0.25 * (1.0 - 0.999f32.powi(1000));
    assert!((mean / want - 1.0).abs() < 0.01, "mean {mean} instead of {want}");
}

/// One Muon step of a matrix by naive f64 products.
fn naive_muon(grad: &[f32], rows: usize, cols: usize) -> Vec<f64> {
    let product = |a: &[f64], b: &[f64], n: usize, k: usize, m: usize| {
        let mut c = vec![0.0; n * m];
        for i in 0..n {
            for j in 0..m {
                c[i * m + j] = (0..k).map(|x| a[i * k + x] * b[x * m + j]).sum();
            }
        }
        c
    };
    let turn = |x: &[f64], rows: usize, cols: usize| -> Vec<f64> {
        (0..rows * cols).map(|i| x[i % rows * cols + i / rows]).collect()
    };
    // Nesterov momentum from zero: 0.95 * 0.05 g + 0.05 g, a positive factor that the normalisation removes
    let mut x: Vec<f64> = grad.iter().map(|&g| g as f64).collect();
    let (small, large) = (rows.min(cols), rows.max(cols));
    if rows > cols {
        x = turn(&x, rows, cols);
    }
    let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt();
    x.iter_mut().for_each(|v| *v /= norm);
    for _ in 0..5 {
        let gram = product(&x, &turn(&x, small, large), small, large, small);
        let square = product(&gram, &gram, small, small, small);
        let poly: Vec<f64> = gram.iter().zip(&square).map(|(g, s)| -4.7750 * g + 2.0315 * s).collect();
        let step = product(&poly, &x, small, small, large);
        x = x.iter().zip(&step).map(|(x, s)| 3.4445 * x + s).collect();
    }
    if rows > cols { turn(&x, small, large) } else { x }
}

#[test]
fn muon_equals_naive_newton_schulz() {
    for (rows, cols) in [(48, 32), (32, 48), (16, 16), (5, 96)] {
        let layout = layout(&[(&[rows, cols], ParamKind::Ternary)]);
        let s = Settings { kind: Kind::Muon, clip: f32::INFINITY, ..Settings::default() };
        let mut optimizer = Optimizer::new(kernels(), &layout, s);
        let start = numbers(layout.len, 9);
        let mut params = start.clone();
        let grads = numbers(layout.len, 10);
        optimizer.update(&mut params, &grads, 0.01);
        let scale = 0.01 * 0.2 * (rows.max(cols) as f64).sqrt();
        for ((p, s), o) in params.iter().zip(&start).zip(naive_muon(&grads, rows, cols)) {
            let want = *s as f64 * (1.0 - 0.01 * 0.1) - scale * o;
            assert!((*p as f64 - want).abs() < 1e-5, "{rows} x {cols}: {p} instead of {want}");
        }
    }
}

#[test]
fn ranks_that_share_updates_have_the_bits_of_one_that_does_all() {
    let layout = mixed();
    // more ranks than there are matrices, too
    for (kind, moments, count) in [
        (Kind::Muon, Precision::F32, 2),
        (Kind::Muon, Precision::Bf16, 3),
        (Kind::Muon, Precision::F32, 9),
        (Kind::Adamw, Precision::F32, 2),
    ] {
        let trained = |ranks: &Ranks| {
            let mut optimizer = Optimizer::new(kernels(), &layout, settings(kind, moments));
            let mut params = numbers(layout.len, 1);
            // shared and not, by turns, and as was decided after six
            for t in 0..8 {
                optimizer.update_among(ranks, &mut params, &numbers(layout.len, 50 + t), 0.02);
            }
            let mut state = Vec::new();
            let all: Result<(), ()> = optimizer.each_state(|_, _, values| {
                state.extend_from_slice(values);
                Ok(())
            });
            all.unwrap();
            (params, state)
        };
        let want = trained(&Ranks::alone());
        for found in together(count, |ranks| trained(&ranks)) {
            assert!(found == want, "{kind:?}, {moments:?}, {count} ranks");
        }
    }
}

#[test]
fn muon_makes_updates_nearly_orthogonal() {
    let (rows, cols) = (32, 64);
    let layout = layout(&[(&[rows, cols], ParamKind::Ternary)]);
    let weight_decay = PerKind { ternary: 0.0, embedding: 0.0, float: 0.0 };
    let mut optimizer =
        Optimizer::new(kernels(), &layout, Settings { kind: Kind::Muon, weight_decay, ..Settings::default() });
    let mut params = vec![0.0; layout.len];
    optimizer.update(&mut params, &numbers(layout.len, 3), 1.0);
    let unit = 0.2 * (cols as f32).sqrt();
    for i in 0..rows {
        for j in 0..rows {
            let dot: f32 = (0..cols).map(|k| params[i * cols + k] * params[j * cols + k] / (unit * unit)).sum();
            let want = if i == j { 1.0 } else { 0.0 };
            // the quintic leaves singular values in about 0.7 ..= 1.2
            assert!((dot - want).abs() < 0.5, "rows {i}, {j}: {dot}");
        }
    }
}
