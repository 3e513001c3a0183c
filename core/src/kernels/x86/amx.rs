//! AMX: chunks of 16 tokens are multiplied in tile registers, 16 tokens x 16 rows x 64 columns an instruction; all else
//! is AVX-512's.
//!
//! Rust's tile intrinsics are unstable, so the instructions are assembly. A tile register here always has 16 rows of 64
//! bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18).

use core::arch::asm;
use core::arch::x86_64::*;
use core::mem::MaybeUninit;

use super::avx512::{self, Avx512};
use crate::kernels::Backend;
use crate::memory::MAX_CHUNK;
use crate::views::{Embedding, TernaryMatrix};

/// Tokens, rows, and 4-byte columns of a tile.
const TILE: usize = 16;
/// Columns of a tile.
const COLUMNS: usize = 64;
/// Most columns a panel has room for.
const MAX_COLUMNS: usize = 2048;

/// AVX-512 F, BW, VL and VNNI, and AMX's int8 tiles, which the operating system must have granted.
pub(in crate::kernels) struct Amx;

impl Backend for Amx {
    fn is_available() -> bool {
        Avx512::is_available() && detect::is_available()
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn ternary(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
        let (rows, columns) = (m.scales.len(), m.columns);
        let whole = scale.len() == TILE && rows.is_multiple_of(2 * TILE) && columns.is_multiple_of(COLUMNS);
        // SAFETY: the caller's promises, and what `gemm` asks for.
        unsafe {
            if whole && (COLUMNS..=MAX_COLUMNS).contains(&columns) {
                gemm(m, q, scale, y);
            } else {
                Avx512::ternary(m, q, scale, y);
            }
        }
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn head(e: Embedding<'_>, x: &[i16], scale: f32, y: &mut [f32]) {
        // SAFETY: the caller's promises.
        unsafe { Avx512::head(e, x, scale, y) }
    }

    fn prefetch(m: TernaryMatrix<'_>) {
        Avx512::prefetch(m);
    }

    #[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn vectorize<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

const _: () = assert!(MAX_CHUNK == TILE);

/// The codes of one group, unpacked: for every 4 columns 64 bytes, 4 of each of the 16 rows.
#[repr(C, align(64))]
struct Panel(MaybeUninit<[u8; TILE * MAX_COLUMNS]>);

/// 16 x 16 sums.
#[repr(C, align(64))]
struct Sums(MaybeUninit<[[i32; TILE]; TILE]>);

/// 16 tokens; the columns are a positive multiple of 64 up to [`MAX_COLUMNS`], the rows a multiple of 32.
///
/// # Safety
/// The instruction set is available, and the lengths are as [`Backend::ternary`] asks; besides, `scale` has 16 values,
/// the columns are a positive multiple of 64 up to [`MAX_COLUMNS`], and the rows a multiple of 32.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn gemm(m: TernaryMatrix<'_>, q: &[i8], scale: &[f32], y: &mut [f32]) {
    let (rows, columns) = (m.scales.len(), m.columns);
    let (mut panels, mut sums) =
        ([const { Panel(MaybeUninit::uninit()) }; 2], [const { Sums(MaybeUninit::uninit()) }; 2]);
    let panels = panels.each_mut().map(|panel| panel.0.as_mut_ptr().cast::<u8>());
    let sums = sums.each_mut().map(|sums| sums.0.as_mut_ptr().cast::<i32>());
    let _tiles = Tiles::configure();
    // SAFETY: group g's half tiles are the 8 words from (g columns / 8 + k) 8 on, and its rows y[16 g..][..16] of each
    // token: within the caller's lengths. A panel takes 16 `columns` bytes, and panels and
    // sums are written before they are read.
    unsafe {
        let mut surplus = [_mm512_setzero_si512(); TILE];
        for t in 0..TILE {
            surplus[t] = avx512::sum(q.as_ptr().add(t * columns), columns);
        }
        for group in (0..rows / TILE).step_by(2) {
            for (i, panel) in panels.into_iter().enumerate() {
                unpack(m.codes.as_ptr().add((group + i) * columns), columns, panel);
            }
            multiply(q.as_ptr(), columns, panels, sums);
            for (i, sums) in sums.into_iter().enumerate() {
                let at = (group + i) * TILE;
                for t in 0..TILE {
                    let sums = _mm512_sub_epi32(_mm512_load_si512(sums.add(t * TILE).cast()), surplus[t]);
                    avx512::store(y.as_mut_ptr().add(t * rows + at), sums, m.scales.as_ptr().add(at), scale[t]);
                }
            }
        }
    }
}

/// Unpacks a group of `columns` columns into a panel.
///
/// # Safety
/// The processor has AVX-512. `columns` is a multiple of 8; `columns` words can be read at `codes`, and 16 `columns`
/// bytes written at `panel`, which starts on a cache line.
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl,avx512vnni")]
unsafe fn unpack(codes: *const u32, columns: usize, panel: *mut u8) {
    // rows j + 8 lie a byte and four bits further on
    let turns = [_mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 12, 12, 12, 12, 12, 12, 12, 12), {
        _mm512_setr_epi32(2, 2, 2, 2, 2, 2, 2, 2, 14, 14, 14, 14, 14, 14, 14, 14)
    }];
    let mask = _mm512_set1_epi8(3);
    for half in 0..columns / 8 {
        // SAFETY: the caller promises 8 words of codes and 128 bytes of the panel for every 8 columns.
        unsafe {
            let v = _mm512_broadcast_i64x4(_mm256_loadu_si256(codes.add(half * 8).cast()));
            for f in 0..2 {
                let row = _mm512_and_si512(_mm512_rorv_epi32(v, turns[f]), mask);
                _mm512_store_si512(panel.add((2 * half + f) * 64).cast(), row);
            }
        }
    }
}

/// `sums[i] = q panels[i]`: 16 tokens by 16 rows each, over `columns` columns.
///
/// # Safety
/// [`Tiles`] are configured. `columns` is a positive multiple of 64; 16 `columns` bytes can be read at `q` and at each
/// of the panels, and 16 x 16 values be written at each of the sums.
#[inline(always)]
unsafe fn multiply(q: *const i8, columns: usize, panels: [*mut u8; 2], sums: [*mut i32; 2]) {
    // SAFETY: the tiles are configured; reads stay within 16 rows of `columns` activations and panels of 16 `columns`
    // bytes, as `columns` is a positive multiple of 64; writes within 16 x 16 sums.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "2:",
            "tileloadd tmm2, [{q} + {columns}*1]",
            "tileloadd tmm3, [{a} + {line}*1]",
            "tileloadd tmm4, [{b} + {line}*1]",
            "tdpbsud tmm0, tmm2, tmm3",
            "tdpbsud tmm1, tmm2, tmm4",
            "add {q}, 64",
            "add {a}, 1024",
            "add {b}, 1024",
            "dec {steps}",
            "jnz 2b",
            "tilestored [{c} + {line}*1], tmm0",
            "tilestored [{d} + {line}*1], tmm1",
            q = inout(reg) q => _,
            columns = in(reg) columns,
            a = inout(reg) panels[0] => _,
            b = inout(reg) panels[1] => _,
            line = in(reg) 64usize,
            steps = inout(reg) columns / COLUMNS => _,
            c = in(reg) sums[0],
            d = in(reg) sums[1],
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _, out("tmm4") _,
            options(nostack),
        );
    }
}

/// The tile registers of this thread, configured; released on drop. Not `Send`, as they are the thread's.
struct Tiles(core::marker::PhantomData<*const ()>);

impl Tiles {
    /// Eight tiles of 16 rows of 64 bytes.
    fn configure() -> Self {
        #[repr(C, align(64))]
        struct Config([u8; 64]);
        const CONFIG: Config = {
            let mut bytes = [0; 64];
            bytes[0] = 1; // the only palette
            let mut tile = 0;
            while tile < 8 {
                bytes[16 + 2 * tile] = COLUMNS as u8;
                bytes[48 + tile] = TILE as u8;
                tile += 1;
            }
            Config(bytes)
        };
        static TILES: Config = CONFIG;
        // SAFETY: 64 valid bytes; only a level whose detection had the registers granted leads here.
        unsafe { asm!("ldtilecfg [{}]", in(reg) TILES.0.as_ptr(), options(nostack, preserves_flags)) };
        Self(core::marker::PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the registers were configured by `configure`.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}

/// Whether processor and operating system offer the tiles: Linux grants them to a process that asks.
#[cfg(all(any(feature = "std", test), target_os = "linux"))]
mod detect {
    use std::arch::asm;
    use std::sync::LazyLock;

    pub fn is_available() -> bool {
        static TILES: LazyLock<bool> = LazyLock::new(|| cpu_has_tiles() && linux_grants_tiles());
        *TILES
    }

    #[allow(unused_unsafe, reason = "`__cpuid_count` became a safe function after our minimum Rust version")]
    fn cpu_has_tiles() -> bool {
        use std::arch::x86_64::{__cpuid, __cpuid_count};
        const TILE_INT8: u32 = 1 << 24 | 1 << 25;
        // SAFETY: every CPU with AVX-512 has the instruction, and leaf 7 is read only where leaf 0 lists it.
        unsafe { __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILE_INT8 == TILE_INT8 }
    }

    /// Asks Linux to let this process, and every thread of it, use the tile data registers: they are off until a
    /// process asks, as they grow each thread's saved state by 8 KB (Documentation/arch/x86/xstate.rst).
    fn linux_grants_tiles() -> bool {
        const SYS_ARCH_PRCTL: i64 = 158;
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        let result: i64;
        // SAFETY: the request reads no memory of ours; the `syscall` instruction overwrites rcx and r11.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") SYS_ARCH_PRCTL => result,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                lateout("rcx") _,
                lateout("r11") _,
                options(nostack),
            );
        }
        result == 0
    }
}

#[cfg(not(all(any(feature = "std", test), target_os = "linux")))]
mod detect {
    pub fn is_available() -> bool {
        false
    }
}
