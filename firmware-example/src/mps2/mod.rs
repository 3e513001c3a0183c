//! Arm's MPS2+ board with the images AN500 (Cortex-M7) and AN386 (Cortex-M4): both have their peripherals at the same
//! addresses, and QEMU emulates both.

mod clock;
mod uart;

pub use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use flashlm_console::{Tick, Usage, memory};

use self::uart::Uart;

/// The processor's clock, which SysTick counts.
const CLOCK_HZ: u32 = 25_000_000;

/// Under QEMU's `-icount shift=0` an instruction takes a nanosecond of the emulated time, so a tick is this many.
pub const INSTRUCTIONS_PER_TICK: u64 = 1_000_000_000 / CLOCK_HZ as u64;

/// Registers of UART0.
const UART0: usize = 0x4000_4000;

/// The board with its clock and serial line running.
pub struct Board {
    uart: Uart,
}

impl Board {
    /// Switches on what is needed.
    pub fn start() -> Self {
        if let Some(core) = cortex_m::Peripherals::take() {
            clock::start(core.SYST);
        }
        Self { uart: Uart::start() }
    }
}

impl flashlm_console::Board for Board {
    #[cfg(feature = "mps2-an500")]
    const NAME: &'static str = "mps2-an500, Cortex-M7";
    #[cfg(feature = "mps2-an386")]
    const NAME: &'static str = "mps2-an386, Cortex-M4";
    const TICK: Tick = Tick::Instructions(INSTRUCTIONS_PER_TICK);

    fn read(&mut self) -> Option<u8> {
        self.uart.read()
    }

    fn write(&mut self, byte: u8) {
        self.uart.write(byte);
    }

    fn ticks(&self) -> u64 {
        clock::ticks()
    }

    fn memory(&self) -> Usage {
        memory::usage()
    }
}

/// How the program ends.
pub enum End {
    /// As asked for.
    Success,
    /// With something wrong.
    Failure,
}

/// Ends the program, and with it QEMU.
pub fn end(end: End) -> ! {
    debug::exit(match end {
        End::Success => debug::EXIT_SUCCESS,
        End::Failure => debug::EXIT_FAILURE,
    });
    // Only under a debugger or an emulator does exit return no more.
    loop {
        cortex_m::asm::wfi();
    }
}
