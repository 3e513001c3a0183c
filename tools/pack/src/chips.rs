//! Chips that models are weighed against. Numbers are from the manufacturers' datasheets, in KiB; RAM is the largest
//! block that lies in one piece, since a program's statics and stack are usually linked into one.
//!
//! - STM32H743ZI (STMicroelectronics, DS12110): 2 MB of flash; 1 MB of RAM, of which 512 KB AXI SRAM in one piece and
//!   128 KB DTCM.
//! - STM32U5A5ZJ (STMicroelectronics, STM32U5A5xx datasheet): 4 MB of flash; 2,514 KB of SRAM, of which SRAM1, 2, 3 and
//!   5 adjoin: 2,496 KB.
//! - RP2350 (Raspberry Pi, RP2350 datasheet): 520 KB of SRAM in ten adjoining banks; flash is outside, here a 4 MB QSPI
//!   chip.
//! - nRF5340 (Nordic Semiconductor, nRF5340 product specification, application core): 1 MB of flash, 512 KB of RAM.
//! - ESP32-C3FH4 (Espressif, ESP32-C3 series datasheet): 4 MB of flash in the package; 400 KB of SRAM, of which 16 KB
//!   are the cache's.
//! - AE302F80F55D5 (Alif Semiconductor, Ensemble E3 datasheet): 5.5 MB of MRAM; RAM is the M55-HP core's DTCM of 1 MB
//!   (white paper AWPR0003), bulk SRAM not counted.

/// One chip's memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chip {
    pub name: &'static str,
    pub core: &'static str,
    /// Non-volatile memory that programs run from, KiB.
    pub flash: u64,
    /// The largest RAM in one piece, KiB.
    pub ram: u64,
    /// Where these numbers are from.
    pub source: &'static str,
}

/// The chips of the table.
pub const CHIPS: [Chip; 6] = [
    Chip {
        name: "STM32H743ZI",
        core: "Cortex-M7",
        flash: 2048,
        ram: 512,
        source: "STMicroelectronics DS12110; RAM: AXI SRAM",
    },
    Chip {
        name: "STM32U5A5ZJ",
        core: "Cortex-M33",
        flash: 4096,
        ram: 2496,
        source: "STMicroelectronics, STM32U5A5xx datasheet; RAM: SRAM1, 2, 3 and 5",
    },
    Chip {
        name: "RP2350 + 4 MB QSPI",
        core: "Cortex-M33",
        flash: 4096,
        ram: 520,
        source: "Raspberry Pi, RP2350 datasheet",
    },
    Chip {
        name: "nRF5340",
        core: "Cortex-M33",
        flash: 1024,
        ram: 512,
        source: "Nordic Semiconductor, nRF5340 product specification; application core",
    },
    Chip {
        name: "ESP32-C3FH4",
        core: "RV32IMC",
        flash: 4096,
        ram: 384,
        source: "Espressif, ESP32-C3 series datasheet; RAM: SRAM without the cache",
    },
    Chip {
        name: "Alif Ensemble E3",
        core: "Cortex-M55",
        flash: 5632,
        ram: 1024,
        source: "Alif Semiconductor, Ensemble E3 datasheet (AE302F80F55D5) and AWPR0003; RAM: DTCM of the M55-HP core",
    },
];
