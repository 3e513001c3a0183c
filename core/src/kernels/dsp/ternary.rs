//! The ternary product: four multiplications an SMLAD.
//!
//! A word of a tile holds the codes of row j and row j + 8. Turned right by 0, 2, 8 or 10 bits and masked with
//! 0x3003_3003 (one AND does both), it leaves in each half word one column's codes as `cA + 4096 cB`. With activations
//! times 16, one SMLAD adds `16 sumA + 65536 sumB` over two columns: row j + 8 grows in the upper half of the sum,
//! row j in the lower.
//!
//! The lower half has room as long as `16 |sumA| < 32768`, which holds whatever the weights are while the magnitudes
//! of the activations add up to less than 2048. Any tile of 16 columns stays below, most vectors do for several. So the
//! columns are cut into **runs** of up to 8 tiles that stay below, chosen once a vector; after a run the
//! lower half is added to a total (UXTAH) and set back (PKHBT). Codes are 0, 1, 2 for -1, 0, +1: the lower half starts
//! at 32768 - 16 sum(q), so that it ends at 32768 + 16 sumA, never borrows from the upper half, and the bias leaves
//! with the total. The upper half has room for magnitudes up to 32767, a **segment** of runs; wider products are
//! added up segment by segment.
//!
//! One pass takes 4 words of each half tile, 8 rows, so activations are loaded once for 8 rows. It follows a script
//! prepared in memory: the pairs of a run, then the next run's bias and how far to jump back into the unrolled
//! tiles for its length. No counting is left in the loop: 35 instructions take 64 weights.

use core::arch::naked_asm;
use core::mem::MaybeUninit;

use super::pairs::{COLUMNS, fill_pairs, magnitude};
use super::scale::scale_sixteenths;
use crate::parts::Parts;
use crate::views::TernaryMatrix;

/// Tiles of the longest run: the inner loop is unrolled for so many.
const RUN_TILES: usize = 8;
/// Tiles of the longest segment.
const SEGMENT_TILES: usize = 48;
/// What magnitudes may add up to within a run and within a segment.
const RUN_MAGNITUDE: u32 = 2047;
const SEGMENT_MAGNITUDE: u32 = 32767;
/// What the lower half is biased by.
const BIAS: i32 = 0x8000;
/// Words of a script: 8 a tile, and two a run.
const SCRIPT_WORDS: usize = SEGMENT_TILES * 10;
/// Bytes of code for one tile, and from its end to where the jump counts from.
const TILE_CODE: i32 = 280;
const HARVEST_CODE: i32 = 48;

/// What every pass over a segment starts from, in the order in which the registers are loaded.
#[repr(C)]
struct Pass {
    /// The lower half's total, less the biases of all runs.
    total: i32,
    /// Upper half: minus the surplus of all columns. Lower half: the first run's bias.
    sums: [u32; 4],
    /// Jump to the first run's code.
    jump: i32,
    script: *const u32,
    /// From the end of a pass to the next, bytes: within a group, and on to the next group.
    within: i32,
    onward: i32,
}

/// Memory for a script.
struct Script([MaybeUninit<u32>; SCRIPT_WORDS]);

/// The figures of a segment.
struct Segment {
    tiles: usize,
    total: i32,
    sums: u32,
    jump: i32,
}

/// A run in the making.
#[derive(Default)]
struct Run {
    tiles: usize,
    sum16: i32,
    magnitude: u32,
}

impl Run {
    /// The bias before the run, and the jump to its code.
    fn entry(&self) -> [u32; 2] {
        let jump = -(self.tiles as i32 * TILE_CODE + HARVEST_CODE);
        [(BIAS - self.sum16) as u32, jump as u32]
    }
}

impl Script {
    /// Takes in tiles from the front of `q` until the segment is full.
    fn fill(&mut self, q: &[[i8; COLUMNS]]) -> Segment {
        let mut segment = Segment { tiles: 0, total: 0, sums: 0, jump: 0 };
        let mut free = self.0.as_mut_slice();
        let (mut run, mut sum16, mut left) = (Run::default(), 0, SEGMENT_MAGNITUDE);
        // where the run at hand leaves its bias and jump: behind the run before it
        let mut first = [MaybeUninit::uninit(); 2];
        let mut entry = &mut first;
        for q in q.iter().take(SEGMENT_TILES) {
            let magnitude = magnitude(q);
            let Some(still_left) = left.checked_sub(magnitude) else { break };
            if run.tiles == RUN_TILES || run.magnitude + magnitude > RUN_MAGNITUDE {
                *entry = run.entry().map(MaybeUninit::new);
                let Some((next, rest)) = core::mem::take(&mut free).split_first_chunk_mut() else { break };
                (entry, free) = (next, rest);
                segment.total -= BIAS;
                run = Run::default();
            }
            let Some((pairs, rest)) = core::mem::take(&mut free).split_first_chunk_mut() else { break };
            let sum = fill_pairs(q, pairs);
            free = rest;
            run.tiles += 1;
            run.sum16 += sum;
            run.magnitude += magnitude;
            sum16 += sum;
            left = still_left;
            segment.tiles += 1;
        }
        *entry = run.entry().map(MaybeUninit::new);
        segment.total -= BIAS;
        if let Some(end) = free.first_chunk_mut() {
            *end = [MaybeUninit::new(0); 2];
        }
        // SAFETY: the first run, at the latest the last, wrote its entry.
        let [bias, jump] = first.map(|word| unsafe { word.assume_init() });
        // less 65536 times the surplus
        segment.sums = bias.wrapping_sub((sum16 as u32) << 12);
        segment.jump = jump as i32;
        segment
    }
}

pub(super) fn product(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let tiles = columns / COLUMNS;
    let mut script = const { Script([MaybeUninit::uninit(); SCRIPT_WORDS]) };
    for ((q, &scale), y) in q.rows(columns).zip(scale).zip(y.rows_mut(rows)) {
        let mut rest = q.as_chunks().0;
        while !rest.is_empty() {
            let done = tiles - rest.len();
            let segment = script.fill(rest);
            rest = rest.cut(segment.tiles.max(1)).1;
            let pass = Pass {
                total: segment.total,
                sums: [segment.sums; 4],
                jump: segment.jump,
                script: script.0.as_ptr().cast(),
                within: 16 - 64 * segment.tiles as i32,
                onward: 64 * (tiles - segment.tiles) as i32 - 16,
            };
            if done == 0 {
                // SAFETY: a group is `tiles` tiles of 16 words, and `codes` holds rows / 16 groups; `y` has room
                // for as many rows; the script was filled for this pass.
                unsafe { sums(m.codes.as_ptr(), &raw const pass, y.as_mut_ptr().cast(), rows as u32 / 8) };
                continue;
            }
            for (group, y) in m.codes.rows(columns).zip(y.rows_mut(16)) {
                let mut more = [0i32; 16];
                // SAFETY: as above, for one group from its tile `done` on.
                unsafe { sums(group.as_ptr().add(done * 16), &raw const pass, more.as_mut_ptr(), 2) };
                for (y, more) in y.iter_mut().zip(more) {
                    *y = f32::from_bits(y.to_bits().wrapping_add(more as u32));
                }
            }
        }
        scale_sixteenths(m.scales, scale, y);
    }
}

/// Sums of `passes` times 8 rows from `codes` on: per group of 16 rows, first 16 times those of the rows 0 to 7, then
/// those of the rows 8 to 15.
///
/// # Safety
/// `pass` holds a segment's figures and its script. From `codes` on lie the segment's tiles of passes / 2 groups, each
/// `pass.onward + 16` bytes behind the end of the one before. `out` has room for 8 `passes` words.
#[unsafe(naked)]
unsafe extern "C" fn sums(codes: *const u32, pass: *const Pass, out: *mut i32, passes: u32) {
    // r0-r3 pairs, r4-r7 sums, r8 and r9 codes, r10 scratch, r11 mask, r12 script, lr codes less 32
    // sp: four totals, pass, out, passes
    naked_asm!(
        assembler_knows_dsp!(),
        // two words' codes by the four pairs
        ".macro flashlm_words a, b",
        "and.w r10, r11, r8",
        "smlad \\a, r10, r0, \\a",
        "and.w r10, r11, r9",
        "smlad \\b, r10, r0, \\b",
        "and.w r10, r11, r8, ror #8",
        "smlad \\a, r10, r1, \\a",
        "and.w r10, r11, r9, ror #8",
        "smlad \\b, r10, r1, \\b",
        "and.w r10, r11, r8, ror #2",
        "smlad \\a, r10, r2, \\a",
        "and.w r10, r11, r9, ror #2",
        "smlad \\b, r10, r2, \\b",
        "and.w r8, r11, r8, ror #10",
        "smlad \\a, r8, r3, \\a",
        "and.w r9, r11, r9, ror #10",
        "smlad \\b, r9, r3, \\b",
        ".endm",

        "push.w {{r4-r11, lr}}",
        "sub sp, #28",
        "sub.w lr, r0, #32",
        "movw r11, #0x3003",
        "movt r11, #0x3003",
        "strd r1, r2, [sp, #16]",
        "str r3, [sp, #24]",
        "mov r8, r1",
        "2:",
        "ldm.w r8, {{r0, r4-r7, r9, r12}}",
        "strd r0, r0, [sp]",
        "strd r0, r0, [sp, #8]",
        "b.w 4f",

        ".rept {half_tiles}",
        "ldm.w r12!, {{r0-r3}}",
        "ldrd r8, r9, [lr, #32]!",
        "flashlm_words r4, r5",
        "ldrd r8, r9, [lr, #8]",
        "flashlm_words r6, r7",
        ".endr",
        // the run's lower halves to the totals, then the next run's bias
        "ldrd r8, r9, [r12], #8",
        "ldm.w sp, {{r0-r3}}",
        "uxtah r0, r0, r4",
        "uxtah r1, r1, r5",
        "uxtah r2, r2, r6",
        "uxtah r3, r3, r7",
        "stm.w sp, {{r0-r3}}",
        "pkhbt r4, r8, r4",
        "pkhbt r5, r8, r5",
        "pkhbt r6, r8, r6",
        "pkhbt r7, r8, r7",
        "4:",
        "add pc, r9",
        "nop",

        "asrs r4, r4, #16",
        "asrs r5, r5, #16",
        "asrs r6, r6, #16",
        "asrs r7, r7, #16",
        "ldrd r8, r9, [sp, #16]",
        "stm.w r9!, {{r0-r3}}",
        "strd r4, r5, [r9, #16]",
        "strd r6, r7, [r9, #24]",
        "ldr r10, [sp, #24]",
        "subs.w r10, r10, #1",
        "beq 9f",
        // an odd number is left after a group's first pass
        "tst.w r10, #1",
        "ldrd r0, r1, [r8, #28]",
        "itee ne",
        "addne lr, r0",
        "addeq lr, r1",
        "addeq.w r9, r9, #32",
        "strd r9, r10, [sp, #20]",
        "b.w 2b",
        "9:",
        "add sp, #28",
        "pop.w {{r4-r11, pc}}",
        ".purgem flashlm_words",
        half_tiles = const 2 * RUN_TILES,
    )
}
