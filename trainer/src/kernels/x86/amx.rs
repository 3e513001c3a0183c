//! Blocks of two by two AMX tiles: 32 rows and 32 columns, summed in four tile registers.
//!
//! Rust's tile intrinsics are unstable, so the instructions are assembly. A tile register here always has 16
//! rows of 64 bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18).

use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

use super::{BLOCK_COLS, Block, ScaledBlock, avx512};
use crate::kernels::Write;

/// Rows of a block.
pub const HEIGHT: usize = 32;
/// Rows, and 4-byte columns, of a tile.
const TILE: usize = 16;

/// The tile registers of this thread, configured; released on drop. Not `Send`, as they are the thread's.
pub struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// Eight tiles of 16 rows of 64 bytes.
    pub fn configure() -> Self {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        const CONFIG: Config = {
            let mut bytes = [0; 64];
            bytes[0] = 1; // the only palette
            let mut tile = 0;
            while tile < 8 {
                bytes[16 + 2 * tile] = 64;
                bytes[48 + tile] = TILE as u8;
                tile += 1;
            }
            Config(bytes)
        };
        static TILES: Config = CONFIG;
        // SAFETY: 64 valid bytes; only `Isa::Amx` leads here, whose detection had Linux grant the registers.
        unsafe { asm!("ldtilecfg [{}]", in(reg) TILES.0.as_ptr(), options(nostack, preserves_flags)) };
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the registers were configured by `configure`.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}

/// Sums `a b` over `steps` and stores the tiles at `c`; two by two tiles in the first arm, one by two in the
/// second.
macro_rules! sum_tiles {
    ($dot:literal, $a:expr, $lda:expr, $b:expr, $panel:expr, $steps:expr, $c:expr, $ldc:expr, 2) => {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm6, [{b} + {line}*1]",
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tileloadd tmm7, [{b2} + {line}*1]",
            "tileloadd tmm5, [{a2} + {lda}*1]",
            concat!($dot, " tmm0, tmm4, tmm6"),
            concat!($dot, " tmm1, tmm4, tmm7"),
            concat!($dot, " tmm2, tmm5, tmm6"),
            concat!($dot, " tmm3, tmm5, tmm7"),
            "add {a}, 64",
            "add {a2}, 64",
            "add {b}, 1024",
            "add {b2}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            "tilestored [{c2} + {ldc}*1], tmm2",
            "tilestored [{c2} + {ldc}*1 + 64], tmm3",
            a = inout(reg) $a => _,
            a2 = inout(reg) $a.wrapping_add(TILE * $lda) => _,
            lda = in(reg) $lda,
            b = inout(reg) $b => _,
            b2 = inout(reg) $b.wrapping_add($panel) => _,
            line = in(reg) 64usize,
            steps = inout(reg) $steps => _,
            c = in(reg) $c,
            c2 = in(reg) $c.wrapping_add(TILE * $ldc),
            ldc = in(reg) 4 * $ldc,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
    ($dot:literal, $a:expr, $lda:expr, $b:expr, $panel:expr, $steps:expr, $c:expr, $ldc:expr, 1) => {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm6, [{b} + {line}*1]",
            "tileloadd tmm4, [{a} + {lda}*1]",
            "tileloadd tmm7, [{b2} + {line}*1]",
            concat!($dot, " tmm0, tmm4, tmm6"),
            concat!($dot, " tmm1, tmm4, tmm7"),
            "add {a}, 64",
            "add {b}, 1024",
            "add {b2}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c} + {ldc}*1], tmm0",
            "tilestored [{c} + {ldc}*1 + 64], tmm1",
            a = inout(reg) $a => _,
            lda = in(reg) $lda,
            b = inout(reg) $b => _,
            b2 = inout(reg) $b.wrapping_add($panel) => _,
            line = in(reg) 64usize,
            steps = inout(reg) $steps => _,
            c = in(reg) $c,
            ldc = in(reg) 4 * $ldc,
            out("tmm0") _, out("tmm1") _, out("tmm4") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// A whole block of sums, beside the destination.
#[repr(C, align(64))]
struct Sums<T>(MaybeUninit<[[T; BLOCK_COLS]; HEIGHT]>);

/// A bfloat16 block.
///
/// # Safety
/// `block` is as [`Block`] describes, [`Tiles`] are configured, and the CPU has AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn block(block: &Block) {
    let tall = block.rows > TILE;
    let whole = block.cols == BLOCK_COLS && block.rows.is_multiple_of(TILE);
    // SAFETY: whole tiles lie inside the destination, others are summed in `sums`, of which the rows read below
    // were written; the masks keep accesses within the block's columns.
    unsafe {
        if whole && block.write == Write::Set {
            return sum_bf16(block, block.c, block.ldc, tall);
        }
        // added at the end and not loaded into the tiles at the beginning, where the sums would wait for them
        let mut sums = Sums::<f32>(MaybeUninit::uninit());
        let sums = sums.0.as_mut_ptr().cast::<f32>();
        sum_bf16(block, sums, BLOCK_COLS, tall);
        for row in 0..block.rows {
            for col in (0..block.cols).step_by(TILE) {
                let mask = avx512::first(block.cols - col);
                let c = block.c.add(row * block.ldc + col);
                let mut sum = _mm512_loadu_ps(sums.add(row * BLOCK_COLS + col));
                if block.write == Write::Add {
                    sum = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, c), sum);
                }
                _mm512_mask_storeu_ps(c, mask, sum);
            }
        }
    }
}

/// # Safety
/// `block` is as [`Block`] describes, [`Tiles`] are configured, and from `c` on there are 32 rows of [`BLOCK_COLS`]
/// values, the first 16 where not `tall`, `ldc` apart, that may be written.
#[inline(always)]
unsafe fn sum_bf16(block: &Block, c: *mut f32, ldc: usize, tall: bool) {
    let &Block { a, lda, b, panel, steps, .. } = block;
    // SAFETY: the caller's block, and tiles at `c` that may be written.
    unsafe {
        if tall {
            sum_tiles!("tdpbf16ps", a, lda, b, panel, steps, c, ldc, 2);
        } else {
            sum_tiles!("tdpbf16ps", a, lda, b, panel, steps, c, ldc, 1);
        }
    }
}

/// An int8 block whose factors are both signed.
///
/// # Safety
/// `scaled` is as [`ScaledBlock`] describes, [`Tiles`] are configured, and the CPU has AVX-512.
#[target_feature(enable = "avx512f")]
pub unsafe fn int8_block(scaled: &ScaledBlock) {
    let &Block { a, lda, b, panel, steps, rows, .. } = &scaled.block;
    let mut sums = Sums::<i32>(MaybeUninit::uninit());
    let sums = sums.0.as_mut_ptr().cast::<i32>();
    // SAFETY: the caller's block; the rows of `sums` read below were written by the tiles.
    unsafe {
        if rows > TILE {
            sum_tiles!("tdpbssd", a, lda, b, panel, steps, sums, BLOCK_COLS, 2);
        } else {
            sum_tiles!("tdpbssd", a, lda, b, panel, steps, sums, BLOCK_COLS, 1);
        }
        for row in 0..rows {
            let sums = sums.add(row * BLOCK_COLS);
            avx512::store_scaled(scaled, row, [0, TILE].map(|col| _mm512_loadu_si512(sums.add(col).cast())));
        }
    }
}
