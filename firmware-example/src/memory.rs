//! What the program takes of the chip's memories, by the linker's own figures.
#![expect(unsafe_code, reason = "the linker knows where memories end, and a stack is read as memory")]

use cortex_m_rt::STACK_PAINT_VALUE;

// Bounds the linker script of cortex-m-rt defines; only their addresses mean something.
unsafe extern "C" {
    static __sdata: u32;
    static __edata: u32;
    static __sidata: u32;
    /// End of the statics, and the lowest address the stack may grow down to.
    static _stack_end: u32;
    static _stack_start: u32;
}

/// Bytes of memory.
pub struct Usage {
    /// Code, constants and the model.
    pub flash: usize,
    pub statics: usize,
    /// The most the stack has grown to since the start.
    pub stack: usize,
    /// The most it may grow to.
    pub stack_room: usize,
}

/// Measures. The stack was painted before `main`: what no longer has the paint's colour was used.
pub fn usage() -> Usage {
    let (data, data_end) = ((&raw const __sdata).addr(), (&raw const __edata).addr());
    let (end, start) = (&raw const _stack_end, (&raw const _stack_start).addr());
    let mut lowest = end;
    // SAFETY: every word between the two bounds is RAM, aligned, and was written by the painter.
    while lowest.addr() < start && unsafe { lowest.read_volatile() } == STACK_PAINT_VALUE {
        lowest = lowest.wrapping_add(1);
    }
    Usage {
        flash: (&raw const __sidata).addr() + (data_end - data),
        statics: end.addr() - data,
        stack: start - lowest.addr(),
        stack_room: start - end.addr(),
    }
}
