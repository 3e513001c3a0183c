//! Four ways to multiply ternary matrices on a Cortex-M, in instructions a weight on the model's own matrices.
//!
//! Before that it checks core's kernels against the plain loop where the model's matrices do not lead: at the extremes
//! of the values, at odd numbers of tiles and at widths that take several segments.
//!
//! Run under `qemu-system-arm -icount shift=0`, where the clock counts instructions. The two that lose are kept here,
//! so that the choice can be checked again; core has the others.
#![no_std]
#![no_main]

use core::arch::asm;
use core::fmt::Write;

use firmware_example::board::{self, Board, End, INSTRUCTIONS_PER_TICK, entry};
use flashlm_console::{Board as _, Console};
use flashlm_core::bench::{self, Product};
use flashlm_core::blob::layout::TernaryShape;
use flashlm_core::{Kernels, Model, include_blob};

static BLOB: &[u8] = include_blob!(env!("FLASHLM_MODEL"));

/// The most rows and columns of supernova's matrices.
const ROWS: usize = 1408;
const COLUMNS: usize = 704;

#[entry]
fn main() -> ! {
    static mut Y: [[f32; ROWS]; 2] = [[0.0; ROWS]; 2];
    static mut TABLES: Tables = [[0; 256]; 8];
    static mut WORDS: [u32; CHECKED_WORDS] = [0; CHECKED_WORDS];

    let mut console = Console::new(Board::start());
    let mut equal = true;
    let checks = check_ternary(WORDS, Y) + check_head(WORDS, Y);
    match checks.failed {
        0 => writeln!(console, "{} products are those of the plain loop", checks.made),
        n => writeln!(console, "{n} OF {} PRODUCTS DIFFER", checks.made),
    }
    .unwrap_or_default();
    equal &= checks.failed == 0;

    let [want, y] = Y;
    let _ = writeln!(console, "{}: instructions a weight", Board::NAME);
    console.print("    shape    loop  tables  smlad, 2 products  smlad, 4 products\n");
    let q = activations();
    for product in Model::from_bytes(BLOB).iter().flat_map(Product::all) {
        let (rows, columns) = (product.rows(), product.columns());
        let (want, y, q) = (&mut want[..rows], &mut y[..rows], &q[..columns]);
        let _ = write!(console, "{rows:5} x {columns:3}");
        for way in 0..4 {
            y.fill(0.0);
            let begun = console.board.ticks();
            match way {
                0 => equal &= product.run(Kernels::scalar(), q, 0.5, y),
                1 => tables(&product, q, 0.5, y, TABLES),
                2 => pairs(&product, q, 0.5, y),
                _ => equal &= product.run(Kernels::detect(), q, 0.5, y),
            }
            let instructions = (console.board.ticks() - begun) * INSTRUCTIONS_PER_TICK;
            let thousandths = instructions * 1000 / (rows * columns) as u64;
            let _ = write!(console, "  {}.{:03}", thousandths / 1000, thousandths % 1000);
            if way == 0 {
                want.copy_from_slice(y);
            }
            equal &= want.iter().zip(y.iter()).all(|(a, b)| a.to_bits() == b.to_bits());
        }
        console.put(b'\n');
    }
    console.print(if equal { "all results are the same\n" } else { "RESULTS DIFFER\n" });
    board::end(if equal { End::Success } else { End::Failure })
}

/// Rows and most columns that are checked, and the words they take with their scales.
const CHECKED_ROWS: usize = 32;
const CHECKED_COLUMNS: usize = 1600;
const CHECKED_WORDS: usize = CHECKED_ROWS * CHECKED_COLUMNS / 16 + CHECKED_ROWS;

#[derive(Clone, Copy)]
struct Checks {
    made: u32,
    failed: u32,
}

impl core::ops::Add for Checks {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { made: self.made + other.made, failed: self.failed + other.failed }
    }
}

impl Checks {
    fn count(&mut self, equal: bool) {
        self.made += 1;
        self.failed += u32::from(!equal);
    }
}

/// A linear congruential generator's upper half.
struct Numbers(u32);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 16
    }
}

/// Whether both levels take the lengths, write the same bits, and write all.
fn same(y: &mut [[f32; ROWS]; 2], mut run: impl FnMut(Kernels, &mut [f32]) -> bool) -> bool {
    let [want, got] = y.each_mut().map(|y| &mut y[..CHECKED_ROWS]);
    want.fill(f32::NAN);
    got.fill(f32::INFINITY);
    let fit = run(Kernels::scalar(), want) && run(Kernels::detect(), got);
    fit && want.iter().zip(got).all(|(want, got)| want.to_bits() == got.to_bits())
}

/// Ternary products: random ones, and every code and activation at the same extreme.
fn check_ternary(words: &mut [u32; CHECKED_WORDS], y: &mut [[f32; ROWS]; 2]) -> Checks {
    let (mut numbers, mut checks) = (Numbers(7), Checks { made: 0, failed: 0 });
    for columns in [16, 32, 48, 112, 128, 144, 256, 272, 704, 752, 768, 784, 1040, CHECKED_COLUMNS] {
        let shape = TernaryShape { rows: CHECKED_ROWS, columns };
        let words = &mut words[..shape.bytes() / 4];
        let code_words = shape.code_bytes() / 4;
        for (row, scale) in words[code_words..].iter_mut().enumerate() {
            *scale = (0.01 + row as f32 * 0.003).to_bits();
        }
        let ranges = [(-127, 127), (-127, -127), (127, 127), (-12, 12), (0, 0), (-127, 3)];
        for ((low, high), code) in
            ranges.into_iter().flat_map(|range| [None, Some(0), Some(2)].map(|code| (range, code)))
        {
            let mut random = || (0..16).fold(0, |word, _| word << 2 | code.unwrap_or(numbers.next() % 3));
            words[..code_words].iter_mut().for_each(|word| *word = random());
            let span = (high - low + 1) as u32;
            let q = [(); CHECKED_COLUMNS].map(|()| (low + (numbers.next() % span) as i32) as i8);
            let product = Product::new(words, shape);
            checks.count(product.is_some_and(|p| same(y, |kernels, y| p.run(kernels, &q[..columns], 0.02, y))));
        }
    }
    checks
}

/// Rows of a head, likewise.
fn check_head(words: &mut [u32; CHECKED_WORDS], y: &mut [[f32; ROWS]; 2]) -> Checks {
    let (mut numbers, mut checks) = (Numbers(9), Checks { made: 0, failed: 0 });
    let scales = [0.25; CHECKED_ROWS];
    // a word holds four values
    for columns in (16..=CHECKED_WORDS * 4 / CHECKED_ROWS).step_by(16) {
        let values = &mut words[..CHECKED_ROWS * columns / 4];
        for (value, x) in [(None, None), (Some(0x8080_8080), Some(-32767)), (Some(0x7F7F_7F7F), Some(32767))] {
            values.iter_mut().for_each(|v| *v = value.unwrap_or_else(|| numbers.next() << 16 | numbers.next()));
            let x = [(); CHECKED_COLUMNS].map(|()| x.unwrap_or_else(|| (numbers.next() as i16).max(-32767)));
            checks.count(same(y, |kernels, y| bench::head(kernels, values, &scales, &x[..columns], 0.001, y)));
        }
    }
    checks
}

/// Made-up activations whose magnitudes are spread as a normalised vector's are: the sum of four uniform numbers.
fn activations() -> [i8; COLUMNS] {
    let mut numbers = Numbers(1);
    [(); COLUMNS].map(|()| {
        let mut uniform = || (numbers.next() >> 8) as i32 - 128;
        ((uniform() + uniform() + uniform() + uniform()) / 4).clamp(-127, 127) as i8
    })
}

/// A table for each byte of two half tiles' words: the sum of its row j in the lower, of its row j + 8 in the upper
/// half.
type Tables = [[u32; 256]; 8];

/// Table look-up. A byte of codes holds two columns of row j and two of row j + 8, so it indexes both rows' sums at
/// once. Tables for all columns would take 128 KB at 256 of them; these are built for 16 and used for all rows, whose
/// sums wait in y meanwhile.
fn tables(m: &Product<'_>, q: &[i8], scale: f32, y: &mut [f32], tables: &mut Tables) {
    let surplus: i32 = q.iter().map(|&q| i32::from(q)).sum();
    let tiles = m.columns() / 16;
    for (t, q) in q.as_chunks::<16>().0.iter().enumerate() {
        for (i, table) in tables.iter_mut().enumerate() {
            let (half, b) = (i / 4, i % 4);
            let column = |f: usize, b: usize| i32::from(q[8 * half + 4 * f + b % 4]) as u32;
            // row j + 8 is turned by a byte
            let steps = [column(0, b), column(1, b), column(0, b + 3) << 16, column(1, b + 3) << 16];
            fill(table, steps);
        }
        let (low, high) = tables.split_at(4);
        for (group, y) in m.codes().chunks_exact(tiles * 16).zip(y.chunks_exact_mut(16)) {
            let (first, second) = y.split_at_mut(8);
            let words = group[t * 16..][..16].split_at(8);
            for (((w0, w1), a), b) in words.0.iter().zip(words.1).zip(first).zip(second) {
                let mut sum = 0u32;
                for (i, (low, high)) in low.iter().zip(high).enumerate() {
                    sum = sum.wrapping_add(low[(w0 >> (8 * i) & 255) as usize]);
                    sum = sum.wrapping_add(high[(w1 >> (8 * i) & 255) as usize]);
                }
                // row j may have borrowed from row j + 8
                let lower = i32::from(sum as i16);
                let upper = (sum as i32).wrapping_sub(lower) >> 16;
                *a = f32::from_bits((a.to_bits() as i32 + lower) as u32);
                *b = f32::from_bits((b.to_bits() as i32 + upper) as u32);
            }
        }
    }
    finish(m, surplus, scale, y);
}

/// The sums of all bytes of four codes, `steps` being what each adds when it rises by one.
fn fill(table: &mut [u32; 256], steps: [u32; 4]) {
    table[0] = 0;
    let mut filled = 1;
    for step in steps {
        for code in 1..3 {
            let (from, to) = table.split_at_mut(code * filled);
            for (to, from) in to.iter_mut().zip(&from[(code - 1) * filled..]) {
                *to = from.wrapping_add(step);
            }
        }
        filled *= 4;
    }
}

/// SMLAD as it comes: codes shifted and masked to pairs, two products an instruction, two words at a time:
/// with four the compiler runs out of registers.
fn pairs(m: &Product<'_>, q: &[i8], scale: f32, y: &mut [f32]) {
    let surplus: i32 = q.iter().map(|&q| i32::from(q)).sum();
    // for every four columns the pair (0, 2), then (1, 3)
    let mut pairs = [0u32; COLUMNS / 2];
    for (pairs, q) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(q.as_chunks::<4>().0) {
        let pair = |low: i8, high: i8| i32::from(low) as u32 & 0xFFFF | (i32::from(high) as u32) << 16;
        *pairs = [pair(q[0], q[2]), pair(q[1], q[3])];
    }
    let pairs = pairs[..q.len() / 2].as_chunks::<4>().0;
    for (group, y) in m.codes().chunks_exact(m.columns()).zip(y.chunks_exact_mut(16)) {
        for quarter in 0..4 {
            let mut sums = [[0; 2]; 2];
            for (half, &[e0, o0, e1, o1]) in group.as_chunks::<8>().0.iter().zip(pairs) {
                let words = half.as_chunks::<2>().0[quarter];
                for (i, w) in words.into_iter().enumerate() {
                    let at = |turn: u32| w.rotate_right(turn) & 0x0003_0003;
                    // row j + 8: bytes turned by one
                    let (a, b) = ([at(0), at(8), at(2), at(10)], [at(12), at(20), at(14), at(22)]);
                    for (codes, pair) in a.into_iter().zip([e0, o0, e1, o1]) {
                        sums[0][i] = smlad(codes, pair, sums[0][i]);
                    }
                    for (codes, pair) in b.into_iter().zip([e0, o0, e1, o1]) {
                        sums[1][i] = smlad(codes, pair, sums[1][i]);
                    }
                }
            }
            for (i, sum) in sums.as_flattened().iter().enumerate() {
                y[i / 2 * 8 + quarter * 2 + i % 2] = f32::from_bits(*sum as u32);
            }
        }
    }
    finish(m, surplus, scale, y);
}

#[expect(unsafe_code, reason = "the instruction has no intrinsic")]
#[inline(always)]
fn smlad(a: u32, b: u32, sum: i32) -> i32 {
    let result;
    // SAFETY: arithmetic within registers, of an extension both boards' processors have.
    unsafe {
        asm!("smlad {0}, {1}, {2}, {3}", out(reg) result, in(reg) a, in(reg) b, in(reg) sum,
            options(pure, nomem, nostack));
    }
    result
}

/// From the sums of codes, in the bits of y, to scaled products.
fn finish(m: &Product<'_>, surplus: i32, scale: f32, y: &mut [f32]) {
    for (y, row_scale) in y.iter_mut().zip(m.scales()) {
        *y = (y.to_bits() as i32 - surplus) as f32 * (row_scale * scale);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    board::end(End::Failure)
}
