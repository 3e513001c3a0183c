//! AArch64. Both levels read half a tile as two registers, each four words of two rows: A = j and B = j + 8. NEON is
//! part of every AArch64 processor; the dot product is an extension (Armv8.2-A, mandatory from Armv8.4-A on).

mod neon;
mod neon_dot;

use core::arch::aarch64::*;

pub(super) use neon::Neon;
pub(super) use neon_dot::NeonDot;

/// For each word of four activations, its bytes turned by one, as the rows j + 8 of a tile want them.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
fn turned(q: int8x16_t) -> int8x16_t {
    const TURN: [u8; 16] = [3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14];
    // SAFETY: 16 bytes are read from an array of 16.
    vqtbl1q_s8(q, unsafe { vld1q_u8(TURN.as_ptr()) })
}

/// The sum of all activations, in every lane: what the codes' offset of 1 adds to each row.
///
/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
fn surplus(q: &[i8]) -> int32x4_t {
    vdupq_n_s32(q.iter().map(|&q| i32::from(q)).sum())
}

/// `sums as f32 * (row_scales * scale)`, 4 rows.
///
/// # Safety
/// 4 floats can be written at `y` and read at `row_scales`.
#[target_feature(enable = "neon")]
unsafe fn store(y: *mut f32, sums: int32x4_t, row_scales: *const f32, scale: f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let scales = vmulq_n_f32(vld1q_f32(row_scales), scale);
        vst1q_f32(y, vmulq_f32(vcvtq_f32_s32(sums), scales));
    }
}
