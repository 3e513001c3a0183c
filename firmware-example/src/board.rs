//! Arm's MPS2+ board with the images AN500 (Cortex-M7) and AN386 (Cortex-M4): both have their peripherals at the same
//! addresses, and QEMU emulates both. For another board, this file, `uart.rs` and a `memory.x` are what changes.

#[cfg(feature = "mps2-an500")]
pub const NAME: &str = "mps2-an500, Cortex-M7";
#[cfg(feature = "mps2-an386")]
pub const NAME: &str = "mps2-an386, Cortex-M4";

/// The processor's clock, which SysTick counts.
pub const CLOCK_HZ: u32 = 25_000_000;

/// Under QEMU's `-icount shift=0` an instruction takes a nanosecond of the emulated time, so a tick is this many.
pub const INSTRUCTIONS_PER_TICK: u64 = 1_000_000_000 / CLOCK_HZ as u64;

/// Registers of UART0.
pub const UART0: usize = 0x4000_4000;
