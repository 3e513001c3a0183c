//! Every product at every instruction set and precision of this machine, against plain loops.

use flashlm_core::math::{self, quantize_ternary};
use proptest::prelude::*;

use super::*;

/// (M, N, K): the layers' shapes with few rows, edges of every block size, and the smallest possible.
const SHAPES: [(usize, usize, usize); 19] = [
    (1, 1, 1),
    (2, 3, 5),
    (16, 8, 32),
    (17, 6, 32),
    (5, 3, 32),
    (33, 96, 64),
    (64, 768, 256),
    (37, 256, 256),
    (31, 1408, 256),
    (48, 256, 704),
    (530, 96, 256),
    (1, 256, 96),
    (700, 32, 96),
    (9, 3, 96),
    (16, 112, 96),
    (12, 96, 192),
    (13, 17, 33),
    (257, 48, 1100),
    (40, 4096, 256),
];

/// Numbers in [-1, 1) with a few large ones, from a linear congruential generator.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    (0..count)
        .map(|i| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
            if i % 37 == 5 { 3.0 * x } else { x }
        })
        .collect()
}

fn every_kernels() -> Vec<Kernels> {
    let pairs = Isa::ALL.into_iter().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::Bf16)]);
    pairs.filter_map(|(isa, precision)| Kernels::new(isa, precision).ok()).collect()
}

/// A product in f64, and the Euclidean norm of all the terms in its sums: errors of rounding grow with that, also where
/// the terms cancel.
struct Exact {
    values: Vec<f64>,
    size: f64,
}

/// `c (M, N) = a (M, K) b (K, N)` in f64, each factor given by a function.
fn naive(m: usize, n: usize, k: usize, a: impl Fn(usize, usize) -> f32, b: impl Fn(usize, usize) -> f32) -> Exact {
    let (mut c, mut squares) = (vec![0.0; m * n], 0.0);
    for i in 0..m {
        for l in 0..k {
            let a = a(i, l) as f64;
            for j in 0..n {
                let term = a * b(l, j) as f64;
                c[i * n + j] += term;
                squares += term * term;
            }
        }
    }
    Exact { values: c, size: squares.sqrt() }
}

/// |got - start - want| in the Euclidean norm, relative to the terms', stays below what the precision allows: in
/// bfloat16, whose factors are each off by up to 2^-9.
fn assert_close(kernels: Kernels, name: &str, got: &[f32], start: f32, want: &Exact) {
    let limit = match kernels.precision() {
        Precision::F32 => 1e-6,
        Precision::Bf16 => 6e-3,
    };
    let error: f64 = got.iter().zip(&want.values).map(|(&got, want)| (got as f64 - start as f64 - want).powi(2)).sum();
    let ratio = error.sqrt() / want.size.max(1e-6);
    assert!(ratio < limit, "{name} at {kernels:?}: relative error {ratio:.2e}");
}

/// The exact product of plain sums of int8, and the same expression order as the kernels.
fn naive_ternary(x: &[f32], weight: &[f32], m: usize, n: usize, k: usize) -> Vec<f32> {
    let mut y = Vec::new();
    let mut codes = vec![0; k];
    let rows: Vec<(f32, Vec<i8>)> =
        weight.chunks_exact(k).map(|w| (quantize_ternary(w, &mut codes), codes.clone())).collect();
    let mut q = vec![0; k];
    for x in x.chunks_exact(k).take(m) {
        let scale = math::quantize_int8(x, &mut q);
        for (s, codes) in rows.iter().take(n) {
            let sum: i32 = codes.iter().zip(&q).map(|(&t, &q)| t as i32 * q as i32).sum();
            y.push(sum as f32 * (s * scale));
        }
    }
    y
}

/// Runs every product of one shape at every instruction set and precision.
fn check_shape(m: usize, n: usize, k: usize, seed: u64) {
    let (x, dy) = (numbers(m * k, seed), numbers(m * n, seed + 1));
    let weight = numbers(n * k, seed + 2);
    let forward = naive_ternary(&x, &weight, m, n, k);
    let mut ternary = vec![0.0; n * k];
    let mut quantized = vec![0.0; m * k];
    let mut codes = vec![0; k];
    for (w, t) in weight.chunks_exact(k).zip(ternary.chunks_exact_mut(k)) {
        let s = quantize_ternary(w, &mut codes);
        t.iter_mut().zip(&codes).for_each(|(t, &code)| *t = s * code as f32);
    }
    for (x, q) in x.chunks_exact(k).zip(quantized.chunks_exact_mut(k)) {
        let scale = math::quantize_int8(x, &mut codes);
        q.iter_mut().zip(&codes).for_each(|(q, &code)| *q = scale * code as f32);
    }
    let backward_input = naive(m, k, n, |i, l| dy[i * n + l], |l, j| ternary[l * k + j]);
    let backward_weight = naive(n, k, m, |i, l| dy[l * n + i], |l, j| quantized[l * k + j]);
    let nt = naive(m, n, k, |i, l| x[i * k + l], |l, j| weight[j * k + l]);
    let nn = naive(m, k, n, |i, l| dy[i * n + l], |l, j| weight[l * k + j]);
    let tn = naive(n, k, m, |i, l| dy[l * n + i], |l, j| x[l * k + j]);

    for kernels in every_kernels() {
        // rows beyond the capacity's last tile, and a first use with other numbers, must not leak into results
        let mut rows = QuantizedRows::with_capacity(m + 3, k);
        kernels.quantize(&numbers((m + 3) * k, seed + 3), m + 3, k, &mut rows);
        kernels.quantize(&x, m, k, &mut rows);
        let mut w = TernaryMatrix::new(kernels, n, k);
        w.pack(&numbers(n * k, seed + 4));
        w.pack(&weight);
        let mut float = FloatMatrix::new(kernels, n, k);
        float.pack(&weight);
        let mut ws = Workspace::new();
        poison(&mut ws);

        let mut y = vec![f32::NAN; m * n];
        kernels.ternary_forward(&rows, &w, &mut y, &mut ws);
        assert!(y == forward, "ternary_forward ({m}, {n}, {k}) at {kernels:?} differs from plain sums");

        let mut dx = vec![f32::NAN; m * k];
        kernels.backward_input(&dy, m, &w, &mut dx, Write::Set, &mut ws);
        assert_close(kernels, "backward_input", &dx, 0.0, &backward_input);
        dx.fill(0.5);
        kernels.backward_input(&dy, m, &w, &mut dx, Write::Add, &mut ws);
        assert_close(kernels, "backward_input, added", &dx, 0.5, &backward_input);

        let mut dw = vec![0.25; n * k];
        kernels.backward_weight(&dy, &rows, n, &mut dw, &mut ws);
        assert_close(kernels, "backward_weight", &dw, 0.25, &backward_weight);

        y.fill(f32::NAN);
        kernels.matmul_nt(&x, m, &float, &mut y, &mut ws);
        assert_close(kernels, "matmul_nt", &y, 0.0, &nt);

        dx.fill(f32::NAN);
        kernels.matmul_nn(&dy, m, &float, &mut dx, Write::Set, &mut ws);
        assert_close(kernels, "matmul_nn", &dx, 0.0, &nn);
        dx.fill(-1.0);
        kernels.matmul_nn(&dy, m, &float, &mut dx, Write::Add, &mut ws);
        assert_close(kernels, "matmul_nn, added", &dx, -1.0, &nn);

        let mut dw = vec![-0.5; n * k];
        kernels.matmul_tn(&dy, &x, m, n, k, &mut dw, &mut ws);
        assert_close(kernels, "matmul_tn", &dw, -0.5, &tn);
    }

    let with_itself = naive(m, m, k, |i, l| x[i * k + l], |l, j| x[j * k + l]);
    for kernels in every_kernels() {
        let mut float = FloatMatrix::new(kernels, m, k);
        float.pack(&x);
        let mut ws = Workspace::new();
        poison(&mut ws);
        let mut y = vec![f32::NAN; m * m];
        kernels.matmul_nt_symmetric(&x, &float, &mut y, &mut ws);
        assert_close(kernels, "matmul_nt_symmetric", &y, 0.0, &with_itself);
        assert!((0..m * m).all(|at| y[at] == y[at % m * m + at / m]), "({m}, {k}) at {kernels:?} is not symmetric");
    }

    let mut first = None;
    for isa in Isa::available() {
        let kernels = Kernels::new(isa, Precision::F32).and_then(|kernels| kernels.with_backward(Backward::Int8));
        let (dx, dw) = int8_gradients(kernels.expect("available"), (m, n, k), (&x, &dy, &weight), seed);
        let error = |got: &[f32], start: f32, want: &Exact| {
            let squares = got.iter().zip(&want.values).map(|(&got, want)| (got as f64 - start as f64 - want).powi(2));
            squares.sum::<f64>().sqrt() / want.size.max(1e-6)
        };
        // a step is a 127th of the absmax, some three to six times the root mean square; rounded at random a second
        // time
        let (dx_error, dw_error) = (error(&dx, 0.0, &backward_input), error(&dw, 0.25, &backward_weight));
        // rows of few values have scales as uneven as these, and they go into the gradient before it is rounded
        let dw_limit = if k < 8 { 0.25 } else { 0.08 };
        assert!(
            dx_error < 0.02 && dw_error < dw_limit,
            "int8 at {isa} ({m}, {n}, {k}): {dx_error:.4} and {dw_error:.4}"
        );
        match &first {
            None => first = Some((dx, dw)),
            Some(first) => assert!(*first == (dx, dw), "int8 gradients ({m}, {n}, {k}) at {isa} differ"),
        }
    }
}

/// Both gradients through int8, the one of the weights added to 0.25.
fn int8_gradients(
    kernels: Kernels,
    (m, n, k): (usize, usize, usize),
    (x, dy, weight): (&[f32], &[f32], &[f32]),
    seed: u64,
) -> (Vec<f32>, Vec<f32>) {
    let mut rows = QuantizedRows::with_capacity(m + 3, k);
    kernels.quantize(&numbers((m + 3) * k, seed + 3), m + 3, k, &mut rows);
    kernels.quantize(x, m, k, &mut rows);
    let mut w = TernaryMatrix::new(kernels, n, k);
    w.pack(&numbers(n * k, seed + 4));
    w.pack(weight);
    let mut ws = Workspace::new();
    let (mut dx, mut dw) = (vec![f32::NAN; m * k], vec![0.0; n * k]);
    // a first use with other numbers must not leak into results
    let other = numbers(m * n, seed + 5);
    kernels.int8_backward_input(&other, m, &w, &mut dx, &mut ws);
    kernels.int8_backward_weight(&rows, &w, &mut dw, &mut ws);
    dx.fill(f32::NAN);
    dw.fill(0.25);
    kernels.int8_backward_input(dy, m, &w, &mut dx, &mut ws);
    kernels.int8_backward_weight(&rows, &w, &mut dw, &mut ws);
    (dx, dw)
}

/// Fills scratch memory with NaN: whatever a product reads of it, it must have written.
fn poison(ws: &mut Workspace) {
    ws.left.at_least(1 << 19).fill(0x7fc0);
    ws.right.at_least(1 << 19).fill(0x7fc0);
    ws.float.at_least(1 << 19).fill(f32::NAN);
}

#[test]
fn every_product_agrees_with_plain_loops_at_every_level() {
    for (i, (m, n, k)) in SHAPES.into_iter().enumerate() {
        check_shape(m, n, k, i as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_product_agrees_with_plain_loops_at_any_shape(
        m in 1..150usize, n in 1..150usize, k in 1..150usize, seed: u64,
    ) {
        check_shape(m, n, k, seed >> 1);
    }
}

#[test]
fn sums_of_the_largest_codes_do_not_saturate() {
    let (m, n, k) = (3, 20, 1536);
    let (x, weight) = (vec![1.0; m * k], vec![1.0; n * k]);
    for kernels in every_kernels() {
        for sign in [1.0, -1.0] {
            let mut rows = QuantizedRows::with_capacity(m, k);
            kernels.quantize(&x, m, k, &mut rows);
            let mut w = TernaryMatrix::new(kernels, n, k);
            w.pack(&weight.iter().map(|w| sign * w).collect::<Vec<_>>());
            let mut y = vec![0.0; m * n];
            kernels.ternary_forward(&rows, &w, &mut y, &mut Workspace::new());
            let want = (127 * k) as f32 * sign * rows.scale(0);
            assert!(y.iter().all(|&y| y == want), "{kernels:?}: {y:?}");
        }
    }
}

#[test]
fn a_second_product_of_the_same_shape_allocates_no_scratch() {
    let kernels = Kernels::detect();
    let (m, n, k) = (600, 40, 100);
    let (x, dy) = (numbers(m * k, 1), numbers(m * n, 2));
    let mut ws = Workspace::new();
    let mut dw = vec![0.0; n * k];
    kernels.matmul_tn(&dy, &x, m, n, k, &mut dw, &mut ws);
    let before = (ws.left.as_ref().as_ptr(), ws.right.as_ref().as_ptr());
    kernels.matmul_tn(&dy, &x, m, n, k, &mut dw, &mut ws);
    assert_eq!(before, (ws.left.as_ref().as_ptr(), ws.right.as_ref().as_ptr()));
}

#[test]
fn bfloat16_is_refused_where_the_instruction_set_lacks_it() {
    assert_eq!(Kernels::new(Isa::Portable, Precision::Bf16), Err(Unavailable::Bf16 { isa: Isa::Portable }));
    let portable = Kernels::new(Isa::Portable, Precision::F32).expect("portable");
    assert_eq!(portable.with_backward(Backward::Bf16), Err(Unavailable::Bf16 { isa: Isa::Portable }));
    let message = Unavailable::Bf16 { isa: Isa::Portable }.to_string();
    assert!(message.contains("avx512_bf16") && message.contains("portable"), "{message}");
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        assert_eq!(Kernels::new(isa, Precision::F32), Err(Unavailable::Isa { isa }));
    }
}

#[test]
fn vectorised_closures_return_what_plain_ones_do() {
    let x = numbers(1000, 9);
    let want: f32 = math::sum_by(&x, |v| v * v);
    for kernels in every_kernels() {
        let got = kernels.vectorize(
            #[inline(always)]
            || math::sum_by(&x, |v| v * v),
        );
        assert_eq!(got.to_bits(), want.to_bits(), "{kernels:?}");
    }
}

#[test]
fn a_gradient_that_is_not_a_number_stays_one_in_int8() {
    let (m, n, k) = (3, 20, 40);
    let (x, mut dy, weight) = (numbers(m * k, 1), numbers(m * n, 2), numbers(n * k, 3));
    for broken in [f32::NAN, f32::INFINITY] {
        dy[n + 5] = broken;
        for isa in Isa::available() {
            let kernels = Kernels::new(isa, Precision::F32).and_then(|kernels| kernels.with_backward(Backward::Int8));
            let (dx, _) = int8_gradients(kernels.expect("available"), (m, n, k), (&x, &dy, &weight), 4);
            assert!(dx[k..2 * k].iter().all(|v| v.is_nan()), "{isa}: {broken} is lost");
            assert!(dx[..k].iter().all(|v| v.is_finite()), "{isa}");
        }
    }
}
