//! Activations as SMLAD wants them: pairs of 16-bit numbers, sixteen columns at a time.

use core::arch::asm;

/// Columns of a tile.
pub(super) const COLUMNS: usize = 16;

/// One tile's int8 activations.
pub(super) struct Tile {
    /// For every four columns the pair (0, 2), then the pair (1, 3), times 16.
    pub pairs: [u32; COLUMNS / 2],
    /// 16 times the sum of the activations.
    pub sum16: i32,
    /// The sum of their magnitudes.
    pub magnitude: u32,
}

impl Tile {
    #[inline(always)]
    pub fn new(q: &[i8; COLUMNS]) -> Self {
        let mut tile = Self { pairs: [0; COLUMNS / 2], sum16: 0, magnitude: 0 };
        for (pairs, q) in tile.pairs.as_chunks_mut::<2>().0.iter_mut().zip(q.as_chunks::<4>().0) {
            let bytes = u32::from_le_bytes(q.map(|q| q as u8));
            let even = times_16(bytes);
            let odd = times_16(bytes >> 8);
            *pairs = [even, odd];
            tile.sum16 = add_halves(odd, add_halves(even, tile.sum16));
            tile.magnitude = add_magnitudes(bytes, tile.magnitude);
        }
        tile
    }
}

/// Bytes 0 and 2 as signed half words, times 16.
#[inline(always)]
fn times_16(bytes: u32) -> u32 {
    const SIGN: u32 = 0x0800_0800;
    let unsigned = (bytes & 0x00FF_00FF) << 4;
    let result;
    // SAFETY: a subtraction within registers; this module is compiled for processors that have it.
    unsafe {
        asm!("ssub16 {0}, {1}, {2}", out(reg) result, in(reg) unsigned ^ SIGN, in(reg) SIGN,
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
        asm!("smlad {0}, {1}, {2}, {3}", out(reg) result, in(reg) halves, in(reg) 0x0001_0001, in(reg) sum,
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
        asm!("usada8 {0}, {1}, {2}, {3}", out(reg) result, in(reg) bytes ^ ZERO, in(reg) ZERO, in(reg) sum,
            options(pure, nomem, nostack));
    }
    result
}
