//! Boards whose flash takes a model apart from the firmware: at a fixed address, so that models change without a
//! compiler.

/// How a board gets bytes into its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A file that is dragged onto the drive which the chip's boot loader shows, with the chip's family.
    Uf2 { family: u32 },
    /// The bytes alone, for a debugger that knows the chip by this name.
    Binary { chip: &'static str },
}

/// One board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    pub name: &'static str,
    /// What it is, to print.
    pub title: &'static str,
    /// Where flash begins in the processor's memory, and its bytes.
    pub flash: u32,
    pub flash_bytes: u32,
    /// Where the model begins: the firmware has all before it.
    pub model: u32,
    /// Bytes that are erased together.
    pub sector: u32,
    pub format: Format,
}

impl Board {
    /// Bytes that a model may have.
    pub const fn room(&self) -> u32 {
        self.flash + self.flash_bytes - self.model
    }
}

/// "Absolute" of the RP2350's boot ROM (datasheet, "UF2 targeting rules"): blocks go to the addresses that they name,
/// whatever image is there, as a model's have to.
const RP2XXX_ABSOLUTE: u32 = 0xE48B_FF57;

pub const BOARDS: [Board; 2] = [
    Board {
        name: "pico2",
        title: "Raspberry Pi Pico 2 (RP2350, 4 MB of flash)",
        flash: 0x1000_0000,
        flash_bytes: 4 << 20,
        model: 0x1008_0000,
        sector: 4 << 10,
        format: Format::Uf2 { family: RP2XXX_ABSOLUTE },
    },
    Board {
        name: "nucleo-h743",
        title: "Nucleo-H743ZI (STM32H743ZI, 2 MB of flash)",
        flash: 0x0800_0000,
        flash_bytes: 2 << 20,
        model: 0x0806_0000,
        sector: 128 << 10,
        format: Format::Binary { chip: "STM32H743ZITx" },
    },
];

/// The board of this name.
pub fn named(name: &str) -> Result<Board, String> {
    let known = || BOARDS.map(|board| board.name).join(", ");
    let found = BOARDS.into_iter().find(|board| board.name == name);
    found.ok_or_else(|| format!("expected a board of: {}", known()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_begin_at_a_sector_within_the_flash() {
        for board in BOARDS {
            assert!((board.model - board.flash).is_multiple_of(board.sector), "{}", board.name);
            assert!(board.flash < board.model && board.room() < board.flash_bytes, "{}", board.name);
        }
    }
}
