//! The trainer's products at every instruction set and precision of this CPU, in multiply-adds a second
//! ("Gelem/s" is GMAC/s; twice that is GFLOP/s). M = 2048 tokens and the shapes of preset `supernova`.
//!
//! `cargo bench -p flashlm-benches --bench kernels -- amx` runs one instruction set; a product or a shape
//! filters likewise: `-- backward_weight`, `-- 768x256`.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trainer::kernels::{
    Backward, FloatMatrix, Isa, Kernels, Precision, QuantizedRows, TernaryMatrix, Workspace, Write,
};

/// Rows of every product.
const M: usize = 2048;
/// Ternary matrices, (N, K).
const TERNARY: [(usize, usize); 6] = [(768, 256), (256, 256), (1408, 256), (256, 704), (96, 256), (256, 96)];
/// Float matrices, (N, K): the mix of the reasoning engine, and the output head.
const FLOAT: [(usize, usize); 2] = [(96, 192), (4096, 256)];

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1013) as f32 / 500.0 - 1.0).collect()
}

fn ternary(c: &mut Criterion, kernels: Kernels, (n, k): (usize, usize)) {
    let (x, dy, weight) = (numbers(M * k), numbers(M * n), numbers(n * k));
    let mut rows = QuantizedRows::with_capacity(M, k);
    kernels.quantize(&x, M, k, &mut rows);
    let mut w = TernaryMatrix::new(kernels, n, k);
    w.pack(&weight);
    let mut ws = Workspace::new();
    let (mut y, mut dx, mut dw) = (vec![0.0; M * n], vec![0.0; M * k], vec![0.0; n * k]);

    let mut group = c.benchmark_group(format!("{} {}", kernels.isa(), kernels.precision()));
    let shape = format!("{n}x{k}");
    group.throughput(Throughput::Elements((M * k) as u64));
    group.bench_function(BenchmarkId::new("quantise", &shape), |b| {
        b.iter(|| kernels.quantize(&x, M, k, &mut rows));
    });
    group.throughput(Throughput::Elements((n * k) as u64));
    group.bench_function(BenchmarkId::new("pack", &shape), |b| b.iter(|| w.pack(&weight)));
    group.throughput(Throughput::Elements((M * n * k) as u64));
    group.bench_function(BenchmarkId::new("ternary_forward", &shape), |b| {
        b.iter(|| kernels.ternary_forward(&rows, &w, &mut y, &mut ws));
    });
    group.bench_function(BenchmarkId::new("backward_input", &shape), |b| {
        b.iter(|| kernels.backward_input(&dy, M, &w, &mut dx, Write::Set, &mut ws));
    });
    group.bench_function(BenchmarkId::new("backward_weight", &shape), |b| {
        b.iter(|| kernels.backward_weight(&dy, &rows, n, &mut dw, &mut ws));
    });
}

/// The gradients in int8: of the input, and then of the weights.
fn int8(c: &mut Criterion, kernels: Kernels, (n, k): (usize, usize)) {
    let (x, dy, weight) = (numbers(M * k), numbers(M * n), numbers(n * k));
    let mut rows = QuantizedRows::with_capacity(M, k);
    kernels.quantize(&x, M, k, &mut rows);
    let mut w = TernaryMatrix::new(kernels, n, k);
    w.pack(&weight);
    let mut ws = Workspace::new();
    let (mut dx, mut dw) = (vec![0.0; M * k], vec![0.0; n * k]);

    let mut group = c.benchmark_group(format!("{} int8", kernels.isa()));
    let shape = format!("{n}x{k}");
    group.throughput(Throughput::Elements((M * n * k) as u64));
    group.bench_function(BenchmarkId::new("int8_backward_input", &shape), |b| {
        b.iter(|| kernels.int8_backward_input(&dy, M, &w, &mut dx, &mut ws));
    });
    group.bench_function(BenchmarkId::new("int8_backward_weight", &shape), |b| {
        b.iter(|| kernels.int8_backward_weight(&rows, &w, &mut dw, &mut ws));
    });
}

fn float(c: &mut Criterion, kernels: Kernels, (n, k): (usize, usize)) {
    let (x, dy, weight) = (numbers(M * k), numbers(M * n), numbers(n * k));
    let mut w = FloatMatrix::new(kernels, n, k);
    w.pack(&weight);
    let mut ws = Workspace::new();
    let (mut y, mut dx, mut dw) = (vec![0.0; M * n], vec![0.0; M * k], vec![0.0; n * k]);

    let mut group = c.benchmark_group(format!("{} {}", kernels.isa(), kernels.precision()));
    let shape = format!("{n}x{k}");
    group.throughput(Throughput::Elements((M * n * k) as u64));
    group.bench_function(BenchmarkId::new("matmul_nt", &shape), |b| {
        b.iter(|| kernels.matmul_nt(&x, M, &w, &mut y, &mut ws));
    });
    group.bench_function(BenchmarkId::new("matmul_nn", &shape), |b| {
        b.iter(|| kernels.matmul_nn(&dy, M, &w, &mut dx, Write::Set, &mut ws));
    });
    group.bench_function(BenchmarkId::new("matmul_tn", &shape), |b| {
        b.iter(|| kernels.matmul_tn(&dy, &x, M, n, k, &mut dw, &mut ws));
    });
}

fn every_level(c: &mut Criterion) {
    for isa in Isa::available().into_iter().rev() {
        for precision in [Precision::Bf16, Precision::F32] {
            let Ok(kernels) = Kernels::new(isa, precision) else { continue };
            TERNARY.into_iter().for_each(|shape| ternary(c, kernels, shape));
            FLOAT.into_iter().for_each(|shape| float(c, kernels, shape));
        }
        let kernels = Kernels::new(isa, Precision::F32).and_then(|kernels| kernels.with_backward(Backward::Int8));
        if let Ok(kernels) = kernels {
            TERNARY.into_iter().for_each(|shape| int8(c, kernels, shape));
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .without_plots();
    targets = every_level
}
criterion_main!(benches);
