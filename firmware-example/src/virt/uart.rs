//! The serial line: a 16550 UART, polled.
#![expect(unsafe_code, reason = "registers are memory at addresses of the board")]

use core::ptr::{read_volatile, with_exposed_provenance, with_exposed_provenance_mut, write_volatile};

use super::UART0;

/// Registers, as bytes from the base.
const DATA: usize = 0;
const LINE_CONTROL: usize = 3;
const LINE_STATUS: usize = 5;

const EIGHT_BITS: u8 = 3;
const RECEIVE_FULL: u8 = 1 << 0;
const TRANSMIT_EMPTY: u8 = 1 << 5;

/// The board's UART, 8N1. An emulated line has no baud rate, so no divisor is set.
pub struct Uart(());

impl Uart {
    /// Switches the UART on. Without its FIFO, which forgets what was typed before when it is switched on.
    pub fn start() -> Self {
        let mut uart = Self(());
        uart.set(LINE_CONTROL, EIGHT_BITS);
        uart
    }

    /// The byte that came in, if one did since the last call.
    pub fn read(&mut self) -> Option<u8> {
        (self.get(LINE_STATUS) & RECEIVE_FULL != 0).then(|| self.get(DATA))
    }

    /// Sends a byte as soon as the transmitter takes it.
    pub fn write(&mut self, byte: u8) {
        while self.get(LINE_STATUS) & TRANSMIT_EMPTY == 0 {}
        self.set(DATA, byte);
    }

    fn get(&mut self, register: usize) -> u8 {
        // SAFETY: the board has the UART's registers at this address; reading one changes at most the UART's state.
        unsafe { read_volatile(with_exposed_provenance(UART0 + register)) }
    }

    fn set(&mut self, register: usize, value: u8) {
        // SAFETY: as above; nothing else writes to the UART.
        unsafe { write_volatile(with_exposed_provenance_mut(UART0 + register), value) }
    }
}
