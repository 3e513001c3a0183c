//! Activations as SMLAD wants them: pairs of 16-bit numbers, a tile at a time.

use core::arch::asm;
use core::mem::MaybeUninit;

/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;

/// Writes for every four activations the pair (0, 2), then the pair (1, 3), times 16. Returns 16 times the sum of all.
#[inline(always)]
pub(super) fn fill_pairs(q: &[i8; COLUMNS], pairs: &mut [MaybeUninit<u32>; COLUMNS / 2]) -> i32 {
    let mut sum16 = 0;
    for (pairs, q) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(q.as_chunks::<4>().0) {
        let bytes = u32::from_le_bytes(q.map(|q| q as u8));
        let (even, odd) = (times_16(bytes), times_16(bytes >> 8));
        *pairs = [even, odd].map(MaybeUninit::new);
        sum16 = add_halves(odd, add_halves(even, sum16));
    }
    sum16
}

/// The sum of the activations' magnitudes.
#[inline(always)]
pub(super) fn magnitude(q: &[i8; COLUMNS]) -> u32 {
    let words = q.as_chunks::<4>().0.iter();
    words.fold(0, |sum, q| add_magnitudes(u32::from_le_bytes(q.map(|q| q as u8)), sum))
}

/// Bytes 0 and 2 as signed half words, times 16.
#[inline(always)]
fn times_16(bytes: u32) -> u32 {
    const SIGN: u32 = 0x0800_0800;
    let unsigned = (bytes & 0x00FF_00FF) << 4;
    let result;
    // SAFETY: a subtraction within registers; this module is compiled for processors that have it.
    unsafe {
        asm!(assembler_knows_dsp!(), "ssub16 {0}, {1}, {2}",
            out(reg) result, in(reg) unsigned ^ SIGN, in(reg) SIGN,
            options(pure, nomem, nostack));
    }
    result
}

/// `sum` plus both half words.
#[inline(always)]
fn add_halves(halves: u32, sum: i32) -> i32 {
    let result;
    // SAFETY: arithmetic within registers; this module is compiled for processors that have it.
    unsafe {
        asm!(assembler_knows_dsp!(), "smlad {0}, {1}, {2}, {3}",
            out(reg) result, in(reg) halves, in(reg) 0x0001_0001, in(reg) sum,
            options(pure, nomem, nostack));
    }
    result
}

/// `sum` plus the magnitudes of four signed bytes.
#[inline(always)]
fn add_magnitudes(bytes: u32, sum: u32) -> u32 {
    const ZERO: u32 = 0x8080_8080;
    let result;
    // SAFETY: arithmetic within registers; this module is compiled for processors that have it.
    unsafe {
        asm!(assembler_knows_dsp!(), "usada8 {0}, {1}, {2}, {3}",
            out(reg) result, in(reg) bytes ^ ZERO, in(reg) ZERO, in(reg) sum,
            options(pure, nomem, nostack));
    }
    result
}
