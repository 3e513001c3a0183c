//! One oracle and one set of shapes for every level. The oracle works on plain matrices, not on tiles.

use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::blob::layout::{EmbeddingShape, TernaryShape};
use crate::math;

/// A matrix in plain rows and in tiles.
struct Packed {
    plain: Vec<i8>,
    words: Vec<u32>,
    shape: TernaryShape,
}

fn pack(rows: usize, columns: usize, plain: Vec<i8>) -> Packed {
    let shape = TernaryShape { rows: rows.next_multiple_of(16), columns };
    let mut bytes = std::vec![0u8; shape.bytes()];
    bytes[..shape.code_bytes()].fill(crate::blob::layout::ZERO_CODES);
    for row in 0..rows {
        for column in 0..columns {
            let (at, shift) = shape.code_at(row, column);
            bytes[at] = bytes[at] & !(3 << shift) | ((plain[row * columns + column] + 1) as u8) << shift;
        }
        let scale = 0.01 + row as f32 * 0.003;
        bytes[shape.code_bytes() + row * 4..][..4].copy_from_slice(&scale.to_le_bytes());
    }
    let words = bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    Packed { plain, words, shape }
}

fn check_ternary(rows: usize, tokens: usize, columns: usize, plain: Vec<i8>, q: Vec<i8>) {
    let scale: Vec<f32> = (0..tokens).map(|t| 0.02 + t as f32 * 0.001).collect();
    let packed = pack(rows, columns, plain);
    let matrix = TernaryMatrix::new(&packed.words, packed.shape);
    for kernels in Kernels::available() {
        let mut y = std::vec![f32::NAN; tokens * packed.shape.rows];
        kernels.ternary(matrix, &q, &scale, &mut y);
        for t in 0..tokens {
            for row in 0..rows {
                let pairs = packed.plain[row * columns..][..columns].iter().zip(&q[t * columns..][..columns]);
                let sum: i32 = pairs.map(|(&w, &q)| i32::from(w) * i32::from(q)).sum();
                let want = sum as f32 * (matrix.scales[row] * scale[t]);
                let got = y[t * packed.shape.rows + row];
                assert_eq!(want.to_bits(), got.to_bits(), "{:?} row {row} token {t}", kernels.level());
            }
        }
    }
}

fn bytes(n: usize) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(any::<i8>(), n)
}

/// What quantising gives: never -128.
fn activations(n: usize) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(-127i8..=127, n)
}

fn trits(n: usize) -> impl Strategy<Value = Vec<i8>> {
    proptest::collection::vec(-1i8..=1, n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn ternary_product_is_exact_at_every_level(
        (rows, tokens, columns, plain, q) in (1usize..70, 1usize..=16, 1usize..10).prop_flat_map(|(n, t, k)| {
            (Just(n), Just(t), Just(k * 16), trits(n * k * 16), activations(t * k * 16))
        })
    ) {
        check_ternary(rows, tokens, columns, plain, q);
    }

    #[test]
    fn head_is_exact_at_every_level(
        (groups, columns, w, x) in (1usize..4, 1usize..=32).prop_flat_map(|(g, k)| {
            (Just(g), Just(k * 16), bytes(g * k * 256), proptest::collection::vec(-32767i16..=32767, k * 16))
        })
    ) {
        check_head(groups, columns, &w, &x);
    }

    #[test]
    fn float_product_has_the_same_bits_at_every_level(
        (n, w, x) in (1usize..200, 1usize..40).prop_flat_map(|(n, k)| {
            (Just(n), proptest::collection::vec(-2.0f32..2.0, n * k), proptest::collection::vec(-2.0f32..2.0, k))
        })
    ) {
        let want: Vec<u32> = (0..n).map(|j| {
            x.iter().enumerate().fold(0.0f32, |sum, (k, x)| sum + w[k * n + j] * x).to_bits()
        }).collect();
        for kernels in Kernels::available() {
            let mut y = std::vec![f32::NAN; n];
            kernels.matvec(&w, &x, &mut y);
            let got: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
            prop_assert_eq!(&got, &want, "{:?}", kernels.level());
        }
    }

    #[test]
    fn elementwise_loops_have_the_same_bits_at_every_level(
        x in proptest::collection::vec(-30.0f32..30.0, 1..300)
    ) {
        let run = |kernels: Kernels| {
            let (mut y, mut q) = (x.clone(), std::vec![0i8; x.len()]);
            let scale = kernels.vectorize(
                #[inline(always)]
                || {
                    math::rms_norm(&x, &x, &mut y);
                    for y in &mut y {
                        *y = math::silu(*y);
                    }
                    math::quantize_int8(&y, &mut q)
                },
            );
            (y.iter().map(|y| y.to_bits()).collect::<Vec<_>>(), q, scale.to_bits())
        };
        for kernels in Kernels::available() {
            prop_assert_eq!(run(kernels), run(Kernels::scalar()), "{:?}", kernels.level());
        }
    }
}

fn check_head(groups: usize, columns: usize, w: &[i8], x: &[i16]) {
    let shape = EmbeddingShape { rows: groups * 16, columns };
    let mut tiles = std::vec![0u8; shape.value_bytes()];
    for row in 0..shape.rows {
        for column in 0..columns {
            tiles[shape.value_at(row, column)] = w[row * columns + column] as u8;
        }
    }
    let values: Vec<u32> = tiles.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
    let scales: Vec<f32> = (0..shape.rows).map(|row| 0.01 + row as f32 * 0.003).collect();
    let embedding = Embedding { values: &values, scales: &scales, columns };
    for kernels in Kernels::available() {
        // from the second group on, where there is one
        let first = if groups > 1 { 16 } else { 0 };
        let mut y = std::vec![f32::NAN; shape.rows - first];
        kernels.head(embedding, first, x, 0.001, &mut y);
        for (row, y) in (first..).zip(&y) {
            let pairs = w[row * columns..][..columns].iter().zip(x);
            let sum: i64 = pairs.map(|(&w, &x)| i64::from(w) * i64::from(x)).sum();
            let want = i32::try_from(sum).unwrap() as f32 * (scales[row] * 0.001);
            assert_eq!(want.to_bits(), y.to_bits(), "{:?} row {row}", kernels.level());
        }
    }
}

/// The shapes models have, at the extremes of the values.
#[test]
fn extreme_values_do_not_overflow_at_model_shapes() {
    for (rows, columns) in [(3, 96), (32, 96), (16, 704), (256, 256), (48, 8192)] {
        for (w, q) in [(1, -127), (1, 127), (-1, 127), (-1, -127)] {
            for tokens in [1, 2, 5, 16] {
                check_ternary(rows, tokens, columns, std::vec![w; rows * columns], std::vec![q; tokens * columns]);
            }
        }
    }
    for columns in [512, 528, 1040, 2048] {
        let most = math::int16_range(columns);
        for (w, x) in [(127, most), (127, -most), (-128, most), (-128, -most)] {
            check_head(2, columns, &std::vec![w; 32 * columns], &std::vec![x; columns]);
        }
    }
}

/// Shapes of models and those at the edges of what a level does differently, each at every number of tokens that is
/// split another way.
#[test]
fn products_are_exact_at_the_shapes_of_models() {
    let mut numbers = crate::testing::Numbers(5);
    for (rows, columns) in [(768, 256), (256, 704), (96, 256), (32, 64), (48, 64), (112, 96), (32, 2048), (32, 2112)] {
        for tokens in [1, 2, 3, 4, 7, 8, 15, 16] {
            let plain = (0..rows * columns).map(|_| numbers.below(3) as i8 - 1).collect();
            let q = (0..tokens * columns).map(|_| (numbers.below(255) as i32 - 127) as i8).collect();
            check_ternary(rows, tokens, columns, plain, q);
        }
    }
}

#[test]
fn a_level_the_processor_lacks_is_not_given_out() {
    assert_eq!(Kernels::new(Level::Scalar), Some(Kernels::scalar()));
    assert!(Kernels::available().all(|k| Kernels::new(k.level()) == Some(k)));
    assert_eq!(Kernels::available().last(), Some(Kernels::detect()));
}
