//! Tells stories on a Raspberry Pi Pico 2, over USB.
//!
//! **Never run on hardware, only compiled**: the boards that are tested are the emulated ones of `firmware-example`,
//! whose console this is.
//!
//! The program tells stories in the main thread; the USB device lives in an interrupt.
#![no_std]
#![no_main]

mod usb;

use cortex_m_rt::entry;
use embassy_time::Instant;
use flashlm_console::{Board, Console, Tick, Usage, flash, memory};
use flashlm_core::Line;
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<[Line; flash::ARENA_LINES]> = ConstStaticCell::new([Line::ZERO; flash::ARENA_LINES]);

#[entry]
fn main() -> ! {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    usb::start(chip.USB);
    flash::serve(&mut Console::new(Pico2), ARENA.take())
}

struct Pico2;

impl Board for Pico2 {
    const NAME: &'static str = "Pico 2, RP2350, Cortex-M33";
    const TICK: Tick = Tick::Microseconds(1);

    fn read(&mut self) -> Option<u8> {
        usb::read()
    }

    fn write(&mut self, byte: u8) {
        usb::write(byte);
    }

    fn ticks(&self) -> u64 {
        Instant::now().as_micros()
    }

    fn memory(&self) -> Usage {
        memory::usage()
    }
}

/// The hardware abstraction layer may panic, as the emulated boards' firmware cannot: a debugger then finds it here.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    cortex_m::asm::udf()
}
