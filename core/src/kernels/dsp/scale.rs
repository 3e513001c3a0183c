//! From exact sums to floats: `y = sum as f32 * (row_scale * scale)`, the sums lying in the bits of y.

/// Scales sums in groups of 16 rows of which the first 8 hold 16 times their sum.
pub(super) fn scale_sixteenths(row_scales: &[f32], scale: f32, y: &mut [f32]) {
    let groups = row_scales.len().min(y.len()) / 16;
    #[cfg(target_abi = "eabihf")]
    if groups > 0 {
        // SAFETY: both slices hold 16 `groups` values, and the target has an FPU.
        unsafe { fpu::sixteenths(y.as_mut_ptr(), row_scales.as_ptr(), groups, scale) }
    }
    #[cfg(not(target_abi = "eabihf"))]
    for (y, row_scales) in y.chunks_exact_mut(16).zip(row_scales.chunks_exact(16)).take(groups) {
        for (i, (y, row_scale)) in y.iter_mut().zip(row_scales).enumerate() {
            let sum = y.to_bits() as i32 >> if i < 8 { 4 } else { 0 };
            *y = sum as f32 * (row_scale * scale);
        }
    }
}

/// Scales sums in groups of 16 rows.
pub(super) fn scale_sums(row_scales: &[f32], scale: f32, y: &mut [f32]) {
    let groups = row_scales.len().min(y.len()) / 16;
    #[cfg(target_abi = "eabihf")]
    if groups > 0 {
        // SAFETY: both slices hold 16 `groups` values, and the target has an FPU.
        unsafe { fpu::sums(y.as_mut_ptr(), row_scales.as_ptr(), groups, scale) }
    }
    #[cfg(not(target_abi = "eabihf"))]
    for (y, row_scale) in y.iter_mut().zip(row_scales).take(groups * 16) {
        *y = y.to_bits() as i32 as f32 * (row_scale * scale);
    }
}

/// Eight rows at a time, 3.5 instructions a row.
#[cfg(target_abi = "eabihf")]
mod fpu {
    use core::arch::asm;

    /// Defines a function over `groups` (at least 1) times 16 rows; `$fraction` follows the conversion of the first 8
    /// of each.
    macro_rules! define {
        ($name:ident, $fraction:literal) => {
            /// # Safety
            /// `y` and `row_scales` point to 16 `groups` values each, `groups` is not 0.
            #[inline(never)]
            pub unsafe fn $name(y: *mut f32, row_scales: *const f32, groups: usize, scale: f32) {
                // SAFETY: reads and writes what the caller promises; the registers it changes are named.
                unsafe {
                    asm!(
                        ".macro flashlm_eight fraction:vararg",
                        "vldm {y}, {{s0-s7}}",
                        "vldm {row_scales}!, {{s8-s15}}",
                        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7",
                        "vcvt.f32.s32 s\\n, s\\n \\fraction",
                        ".endr",
                        ".irp n, 8, 9, 10, 11, 12, 13, 14, 15",
                        "vmul.f32 s\\n, s\\n, s16",
                        ".endr",
                        "vmul.f32 s0, s0, s8",
                        "vmul.f32 s1, s1, s9",
                        "vmul.f32 s2, s2, s10",
                        "vmul.f32 s3, s3, s11",
                        "vmul.f32 s4, s4, s12",
                        "vmul.f32 s5, s5, s13",
                        "vmul.f32 s6, s6, s14",
                        "vmul.f32 s7, s7, s15",
                        "vstm {y}!, {{s0-s7}}",
                        ".endm",
                        "vmov s16, {scale}",
                        "2:",
                        concat!("flashlm_eight ", $fraction),
                        "flashlm_eight",
                        "subs {groups}, #1",
                        "bne 2b",
                        ".purgem flashlm_eight",
                        y = inout(reg) y => _,
                        row_scales = inout(reg) row_scales => _,
                        groups = inout(reg) groups => _,
                        scale = in(reg) scale.to_bits(),
                        out("s0") _, out("s1") _, out("s2") _, out("s3") _,
                        out("s4") _, out("s5") _, out("s6") _, out("s7") _,
                        out("s8") _, out("s9") _, out("s10") _, out("s11") _,
                        out("s12") _, out("s13") _, out("s14") _, out("s15") _, out("s16") _,
                        options(nostack),
                    );
                }
            }
        };
    }
    define!(sixteenths, ", #4");
    define!(sums, "");
}
