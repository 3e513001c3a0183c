//! What the program takes of the chip's memories, by the linker's own figures.
#![expect(unsafe_code, reason = "the linker knows where memories end, and a stack is read and painted as memory")]

#[cfg(target_arch = "arm")]
use cortex_m_rt::STACK_PAINT_VALUE as PAINT;

use crate::Usage;

/// As that of cortex-m-rt; [`paint`] paints with it.
#[cfg(target_arch = "riscv32")]
const PAINT: u32 = 0xCCCC_CCCC;

// Bounds the linker scripts of cortex-m-rt and riscv-rt define; only their addresses mean something.
unsafe extern "C" {
    static __sdata: u32;
    static __edata: u32;
    static __sidata: u32;
    /// End of the statics, and the lowest address the stack may grow down to.
    #[cfg_attr(target_arch = "arm", link_name = "_stack_end")]
    #[cfg_attr(target_arch = "riscv32", link_name = "__estack")]
    static STACK_END: u32;
    static _stack_start: u32;
}

/// Paints the stack below the caller's frame, so that [`usage`] sees how deep it went. To be called first of all; on
/// Cortex-M the feature `paint-stack` of cortex-m-rt does the same before `main`.
#[cfg(target_arch = "riscv32")]
#[inline(never)]
pub fn paint() {
    let pointer: usize;
    // SAFETY: a register is read.
    unsafe { core::arch::asm!("mv {}, sp", out(reg) pointer, options(nomem, nostack)) };
    let mut word = (&raw const STACK_END).cast_mut();
    while word.addr() < pointer {
        // SAFETY: what is between the statics and the stack pointer is RAM, aligned, and nobody's.
        unsafe { word.write_volatile(PAINT) };
        word = word.wrapping_add(1);
    }
}

/// Measures. The stack was painted at the start: what no longer has the paint's colour was used.
pub fn usage() -> Usage {
    let (data, data_end) = ((&raw const __sdata).addr(), (&raw const __edata).addr());
    let (end, start) = (&raw const STACK_END, (&raw const _stack_start).addr());
    let mut lowest = end;
    // SAFETY: every word between the two bounds is RAM, aligned, and was written by the painter.
    while lowest.addr() < start && unsafe { lowest.read_volatile() } == PAINT {
        lowest = lowest.wrapping_add(1);
    }
    Usage {
        // from the address that flash has at the linker's, see `flash_start`
        flash: (&raw const __sidata).addr() + (data_end - data) - flash_start(),
        statics: end.addr() - data,
        stack: start - lowest.addr(),
        stack_room: start - end.addr(),
    }
}

/// Where the program begins in flash.
fn flash_start() -> usize {
    unsafe extern "C" {
        #[cfg_attr(target_arch = "arm", link_name = "__vector_table")]
        #[cfg_attr(target_arch = "riscv32", link_name = "__stext")]
        static START: u32;
    }
    (&raw const START).addr()
}

/// The region of flash that a board's linker script keeps for a model.
pub fn model_region() -> &'static [u8] {
    unsafe extern "C" {
        static __model_start: u8;
        static __model_end: u8;
    }
    let (start, end) = (&raw const __model_start, (&raw const __model_end).addr());
    // SAFETY: between the two lies flash, of which nothing is written while the program runs.
    unsafe { core::slice::from_raw_parts(start, end - start.addr()) }
}
