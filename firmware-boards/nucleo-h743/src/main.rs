//! Tells stories on a Nucleo-H743ZI, over the serial line of its ST-LINK.
//!
//! **Never run on hardware, only compiled**: the boards that are tested are the emulated ones of `firmware-example`,
//! whose console this is.
#![no_std]
#![no_main]

use cortex_m_rt::entry;
use embassy_stm32::mode::Blocking;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, HSIPrescaler, Pll, PllDiv, PllMul, PllPreDiv, PllSource, Sysclk, VoltageScale,
};
use embassy_stm32::usart::{self, Uart};
use embassy_time::Instant;
use embedded_hal_nb::serial::Read as _;
use flashlm_console::{Board, Console, Tick, Usage, flash, memory};
use flashlm_core::Line;
use static_cell::ConstStaticCell;

static ARENA: ConstStaticCell<[Line; flash::ARENA_LINES]> = ConstStaticCell::new([Line::ZERO; flash::ARENA_LINES]);

#[entry]
fn main() -> ! {
    // flash answers slowly; nothing here shares memory with another master. Before embassy takes the peripherals
    if let Some(mut core) = cortex_m::Peripherals::take() {
        core.SCB.enable_icache();
        core.SCB.enable_dcache(&mut core.CPUID);
    }
    let chip = embassy_stm32::init(clocks());
    // the pins that the board connects with its ST-LINK (UM2407): USART3, 115200 8N1 as it comes
    let uart = Uart::new_blocking(chip.USART3, chip.PD9, chip.PD8, usart::Config::default());
    let uart = uart.expect("115200 baud are in reach of the clock");

    flash::serve(&mut Console::new(Nucleo { uart }), ARENA.take())
}

/// 400 MHz from the internal oscillator of 64 MHz; the buses' clocks within their limits.
fn clocks() -> embassy_stm32::Config {
    let mut config = embassy_stm32::Config::default();
    config.rcc.hsi = Some(HSIPrescaler::DIV1);
    config.rcc.pll1 = Some(Pll {
        source: PllSource::HSI,
        prediv: PllPreDiv::DIV4,
        mul: PllMul::MUL50,
        fracn: None,
        divp: Some(PllDiv::DIV2),
        divq: None,
        divr: None,
    });
    config.rcc.sys = Sysclk::PLL1_P;
    config.rcc.ahb_pre = AHBPrescaler::DIV2;
    config.rcc.apb1_pre = APBPrescaler::DIV2;
    config.rcc.apb2_pre = APBPrescaler::DIV2;
    config.rcc.apb3_pre = APBPrescaler::DIV2;
    config.rcc.apb4_pre = APBPrescaler::DIV2;
    config.rcc.voltage_scale = VoltageScale::Scale1;
    config
}

struct Nucleo {
    uart: Uart<'static, Blocking>,
}

impl Board for Nucleo {
    const NAME: &'static str = "Nucleo-H743ZI, STM32H743, Cortex-M7";
    const TICK: Tick = Tick::Microseconds(1);

    fn read(&mut self) -> Option<u8> {
        // a byte that came in damaged, or too soon, is none
        self.uart.read().ok()
    }

    fn write(&mut self, byte: u8) {
        // only what comes in can fail
        let _ = self.uart.blocking_write(&[byte]);
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
