//! QEMU's `virt` machine with a RISC-V processor of 32 bits. It exists nowhere else; its addresses are QEMU's
//! (`hw/riscv/virt.c`).

mod uart;

use flashlm_console::{Tick, Usage, memory};
pub use riscv_rt::entry;

use self::uart::Uart;

/// The counter of cycles counts instructions under QEMU's `-icount shift=0`.
pub const INSTRUCTIONS_PER_TICK: u64 = 1;

/// Registers of the UART.
const UART0: usize = 0x1000_0000;
/// The register that ends the machine.
const FINISHER: usize = 0x0010_0000;

/// The board with its serial line running.
pub struct Board {
    uart: Uart,
}

impl Board {
    /// Switches on what is needed. To be called first: it paints the stack.
    pub fn start() -> Self {
        memory::paint();
        Self { uart: Uart::start() }
    }
}

impl flashlm_console::Board for Board {
    const NAME: &'static str = "virt, RISC-V rv32imac";
    const TICK: Tick = Tick::Instructions(INSTRUCTIONS_PER_TICK);

    fn read(&mut self) -> Option<u8> {
        self.uart.read()
    }

    fn write(&mut self, byte: u8) {
        self.uart.write(byte);
    }

    fn ticks(&self) -> u64 {
        riscv::register::mcycle::read64()
    }

    fn memory(&self) -> Usage {
        memory::usage()
    }
}

/// How the program ends: what the finisher takes for it.
#[derive(Clone, Copy)]
pub enum End {
    /// As asked for.
    Success = 0x5555,
    /// With something wrong: status 1.
    Failure = 0x1_3333,
}

/// Ends the program, and with it QEMU.
#[expect(unsafe_code, reason = "a register is memory at an address of the board")]
pub fn end(end: End) -> ! {
    // SAFETY: the machine has the register at this address, and ends by what is written there.
    unsafe { core::ptr::write_volatile(core::ptr::without_provenance_mut(FINISHER), end as u32) };
    loop {
        riscv::asm::wfi();
    }
}
