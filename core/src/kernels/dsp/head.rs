//! Rows of the output head, int8 x int16: SXTB16 unpacks bytes 0 and 2, or turned by 8 bits 1 and 3, and SMLAD
//! multiplies them. Four rows share the activations: 37 instructions take 32 weights.

use core::arch::naked_asm;
use core::mem::MaybeUninit;

use super::scale::scale_sums;
use crate::parts::Parts;
use crate::views::Embedding;

/// Columns whose activations are unpacked at once: memory for more would be every narrower model's, too.
const COLUMNS: usize = 512;
/// Blocks of 16 columns the inner loop is unrolled for.
const BLOCKS: usize = 4;
/// Bytes of code for one block.
const BLOCK_CODE: usize = 296;

/// What every pass over four rows starts from, in the order in which the registers are loaded.
#[repr(C)]
struct Pass {
    sums: [i32; 4],
    /// Jump to the block the first round starts with.
    jump: usize,
    /// How often the unrolled blocks are run.
    rounds: usize,
    pairs: *const u32,
}

pub(super) fn product(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
    if x.is_empty() {
        return y.fill(0.0);
    }
    let mut pairs = [MaybeUninit::uninit(); COLUMNS / 2];
    for (part, x) in x.chunks(COLUMNS).enumerate() {
        // columns 0 and 2, then 1 and 3, of every four
        for (pairs, &x) in pairs.as_chunks_mut::<2>().0.iter_mut().zip(x.as_chunks::<4>().0) {
            let [low, high]: [u32; 2] = bytemuck::must_cast(x);
            *pairs = [low & 0xFFFF | high << 16, low >> 16 | high & 0xFFFF_0000].map(MaybeUninit::new);
        }
        let blocks = x.len() / 16;
        let rounds = blocks.div_ceil(BLOCKS);
        let pass =
            Pass { sums: [0; 4], jump: (rounds * BLOCKS - blocks) * BLOCK_CODE, rounds, pairs: pairs.as_ptr().cast() };
        for (values, y) in e.values.rows(e.columns * 4).zip(y.as_chunks_mut::<16>().0) {
            let values = values.part(part * COLUMNS * 4, x.len() * 4);
            let y: &mut [i32; 16] = bytemuck::must_cast_mut(y);
            let before = *y;
            // SAFETY: of a group of 16 rows, `values` are x.len() / 4 tiles of 16 words, `y` is room for 16 sums, and
            // `pairs` holds a pair for every two of at most COLUMNS columns.
            unsafe { group(values.as_ptr(), &raw const pass, y.as_mut_ptr()) };
            if part > 0 {
                y.iter_mut().zip(before).for_each(|(sum, before)| *sum += before);
            }
        }
    }
    scale_sums(e.scales, scale, y);
}

/// Sums of a group of 16 rows.
///
/// # Safety
/// `values` points to the group's tiles and `out` to room for 16 sums; `pass` says how many there are and where the
/// activations lie.
#[unsafe(naked)]
unsafe extern "C" fn group(values: *const u32, pass: *const Pass, out: *mut i32) {
    // r0-r3 activations, r4-r7 sums, r8 and r9 values, r10 scratch, r11 rounds, r12 activations, lr values less 64
    // sp: values less 64, pass, out, end of out
    naked_asm!(
        assembler_knows_dsp!(),
        // two rows' values of a tile by four activations
        ".macro flashlm_rows a, b, even, odd",
        "sxtb16 r10, r8",
        "smlad \\a, r10, \\even, \\a",
        "sxtb16 r10, r9",
        "smlad \\b, r10, \\even, \\b",
        "sxtb16 r8, r8, ror #8",
        "smlad \\a, r8, \\odd, \\a",
        "sxtb16 r9, r9, ror #8",
        "smlad \\b, r9, \\odd, \\b",
        ".endm",

        "push.w {{r4-r11, lr}}",
        "add.w r3, r2, #64",
        "sub.w r0, r0, #64",
        "sub sp, #20",
        "stm.w sp, {{r0-r3}}",
        "2:",
        "mov lr, r0",
        "ldm.w r1, {{r4-r7, r10, r11, r12}}",
        "add pc, r10",
        "nop",
        "3:",
        ".rept {blocks}",
        ".rept 2",
        "ldm.w r12!, {{r0-r3}}",
        "ldrd r8, r9, [lr, #64]!",
        "flashlm_rows r4, r5, r0, r1",
        "ldrd r8, r9, [lr, #8]",
        "flashlm_rows r6, r7, r0, r1",
        "ldrd r8, r9, [lr, #64]!",
        "flashlm_rows r4, r5, r2, r3",
        "ldrd r8, r9, [lr, #8]",
        "flashlm_rows r6, r7, r2, r3",
        ".endr",
        ".endr",
        "subs.w r11, r11, #1",
        "bne.w 3b",

        "ldm.w sp, {{r0-r3}}",
        "stm.w r2!, {{r4-r7}}",
        "add.w r0, r0, #16",
        "stm.w sp, {{r0-r2}}",
        "cmp r2, r3",
        "bne.w 2b",
        "add sp, #20",
        "pop.w {{r4-r11, pc}}",
        ".purgem flashlm_rows",
        blocks = const BLOCKS,
    )
}
