//! The serial line: Arm's CMSDK APB UART, polled.
#![expect(unsafe_code, reason = "registers are memory at addresses of the board")]

use core::ptr::{read_volatile, write_volatile};

use super::{CLOCK_HZ, UART0};

/// Registers, as words from the base.
const DATA: usize = 0;
const STATE: usize = 1;
const CONTROL: usize = 2;
const BAUD_DIVISOR: usize = 4;

const TRANSMIT_FULL: u32 = 1 << 0;
const RECEIVE_FULL: u32 = 1 << 1;
const TRANSMIT_ENABLE: u32 = 1 << 0;
const RECEIVE_ENABLE: u32 = 1 << 1;

const BAUD: u32 = 115_200;

/// The board's first UART, 115200 8N1.
pub struct Uart(());

impl Uart {
    /// Switches the UART on.
    pub fn start() -> Self {
        let mut uart = Self(());
        uart.set(BAUD_DIVISOR, CLOCK_HZ / BAUD);
        uart.set(CONTROL, TRANSMIT_ENABLE | RECEIVE_ENABLE);
        uart
    }

    /// The byte that came in, if one did since the last call.
    pub fn read(&mut self) -> Option<u8> {
        (self.get(STATE) & RECEIVE_FULL != 0).then(|| self.get(DATA) as u8)
    }

    /// Sends a byte as soon as the transmitter takes it.
    pub fn write(&mut self, byte: u8) {
        while self.get(STATE) & TRANSMIT_FULL != 0 {}
        self.set(DATA, byte.into());
    }

    fn get(&mut self, register: usize) -> u32 {
        // SAFETY: the board has the UART's registers at this address; reading one changes at most the UART's state.
        unsafe { read_volatile((UART0 as *const u32).add(register)) }
    }

    fn set(&mut self, register: usize, value: u32) {
        // SAFETY: as above; nothing else writes to the UART.
        unsafe { write_volatile((UART0 as *mut u32).add(register), value) }
    }
}
