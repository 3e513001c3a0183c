//! The products of training at every instruction set this processor has and in every precision, on operands of their
//! exact sizes: the ternary ones give the same bits everywhere, the others what plain loops in f64 give.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trainer::kernels::{FloatMatrix, Isa, Kernels, Precision, QuantizedRows, TernaryMatrix, Workspace, Write};

/// Every one of this processor; says which instruction set it lacks.
static KERNELS: LazyLock<Vec<Kernels>> = LazyLock::new(|| {
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        eprintln!("NOT TRIED: this processor has no {isa}");
    }
    let pairs = Isa::ALL.into_iter().flat_map(|isa| [(isa, Precision::F32), (isa, Precision::Bf16)]);
    pairs.filter_map(|(isa, precision)| Kernels::new(isa, precision).ok()).collect()
});

fuzz_target!(init: { LazyLock::force(&KERNELS); }, |data: &[u8]| {
    let [m, n, k, share, rest @ ..] = data else { return };
    let (m, n, k) = (1 + usize::from(m % 80), 1 + usize::from(n % 100), 1 + usize::from(*k) * 2 / 3);
    let mut bytes = rest.iter().cycle().copied();
    // from thousandths to thousands, and zeros as often as the fourth byte says
    let mut number = || {
        let (value, scale) = (bytes.next().unwrap_or(0), bytes.next().unwrap_or(0));
        if scale < share / 2 { 0.0 } else { f32::from(value as i8) / 32.0 * 2f32.powi(i32::from(scale % 17) - 8) }
    };
    let mut numbers = |count: usize| -> Vec<f32> { (0..count).map(|_| number()).collect() };
    let (x, dy, weight) = (numbers(m * k), numbers(m * n), numbers(n * k));

    let mut forward: Option<Vec<u32>> = None;
    for &kernels in &*KERNELS {
        let mut rows = QuantizedRows::with_capacity(m, k);
        kernels.quantize(&x, m, k, &mut rows);
        let mut ternary = TernaryMatrix::new(kernels, n, k);
        ternary.pack(&weight);
        let mut float = FloatMatrix::new(kernels, n, k);
        float.pack(&weight);
        let mut ws = Workspace::new();

        let mut y = vec![f32::NAN; m * n];
        kernels.ternary_forward(&rows, &ternary, &mut y, &mut ws);
        let bits: Vec<u32> = y.iter().map(|v| v.to_bits()).collect();
        assert!(forward.as_ref().is_none_or(|want| *want == bits), "{kernels:?}: ternary_forward differs");
        forward = Some(bits);

        let quantized = |i: usize, l: usize| f32::from(rows.q(i)[l]) * rows.scale(i);
        let latent = |j: usize, l: usize| f32::from(ternary.codes(j)[l]) * ternary.scale()[j];
        let check = |name: &str, got: &[f32], want: &Exact| want.check(kernels, name, got);
        let (dense, back) = (vec![f32::NAN; m * k], vec![0.0; n * k]);

        let mut dx = dense.clone();
        kernels.backward_input(&dy, m, &ternary, &mut dx, Write::Set, &mut ws);
        check("backward_input", &dx, &Exact::of((m, k, n), |i, j| dy[i * n + j], latent));
        let mut dw = back.clone();
        kernels.backward_weight(&dy, &rows, n, &mut dw, &mut ws);
        check("backward_weight", &dw, &Exact::of((n, k, m), |j, i| dy[i * n + j], quantized));
        y.fill(f32::NAN);
        kernels.matmul_nt(&x, m, &float, &mut y, &mut ws);
        check("matmul_nt", &y, &Exact::of((m, n, k), |i, l| x[i * k + l], |l, j| weight[j * k + l]));
        let mut dx = dense;
        kernels.matmul_nn(&dy, m, &float, &mut dx, Write::Set, &mut ws);
        check("matmul_nn", &dx, &Exact::of((m, k, n), |i, j| dy[i * n + j], |j, l| weight[j * k + l]));
        let mut dw = back;
        kernels.matmul_tn(&dy, &x, m, n, k, &mut dw, &mut ws);
        check("matmul_tn", &dw, &Exact::of((n, k, m), |j, i| dy[i * n + j], |i, l| x[i * k + l]));
    }
});

/// A product in f64, and what the terms of each of its sums come to without their signs.
struct Exact {
    values: Vec<f64>,
    sizes: Vec<f64>,
    terms: usize,
}

impl Exact {
    /// (M, N) of (M, K) and (K, N), each factor given by a function.
    fn of((m, n, k): (usize, usize, usize), a: impl Fn(usize, usize) -> f32, b: impl Fn(usize, usize) -> f32) -> Self {
        let (mut values, mut sizes) = (vec![0.0; m * n], vec![0.0; m * n]);
        for i in 0..m {
            for l in 0..k {
                let a = f64::from(a(i, l));
                for j in 0..n {
                    let term = a * f64::from(b(l, j));
                    values[i * n + j] += term;
                    sizes[i * n + j] += term.abs();
                }
            }
        }
        Self { values, sizes, terms: k }
    }

    /// Whatever the values are, rounding is off by no more: half a unit in the last place of f32 for every term and a
    /// few more, and in bfloat16 half a unit of its for each of the two factors.
    fn check(&self, kernels: Kernels, name: &str, got: &[f32]) {
        let sums = (self.terms + 8) as f64 * 2f64.powi(-23);
        let share = match kernels.precision() {
            Precision::F32 => sums,
            Precision::Bf16 => sums + 2f64.powi(-8) * 1.01,
        };
        for (place, ((&got, &want), &size)) in got.iter().zip(&self.values).zip(&self.sizes).enumerate() {
            let error = (f64::from(got) - want).abs();
            assert!(error <= share * size + 1e-30, "{name} at {kernels:?}, {place}: {got}, expected {want} of {size}");
        }
    }
}
