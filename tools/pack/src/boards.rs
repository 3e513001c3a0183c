//! Boards whose flash takes a model apart from the firmware: at a fixed address, so that models change without a
//! compiler.

/// How a board gets bytes into its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A file that is dragged onto the drive which an RP2350's boot loader shows.
    Uf2,
    /// The bytes alone, for a debugger that knows the chip by this name.
    Binary { chip: &'static str },
}

/// One board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    pub name: &'static str,
    /// What it is, to print.
    pub title: &'static str,
    /// Where flash begins in the processor's memory, and the firmware; and its bytes.
    pub flash: u32,
    pub flash_bytes: u32,
    /// Bytes at the end of flash that stay free: what guards the firmware's file against erratum RP2350-E10 goes there.
    pub spare: u32,
    /// Bytes of RAM that the firmware has for a session: `ARENA_BYTES` of `firmware-example/console/src/flash.rs`.
    pub arena: usize,
    /// Where the model begins: the firmware has all before it.
    pub model: u32,
    /// Bytes that are erased together.
    pub sector: u32,
    pub format: Format,
}

impl Board {
    /// Bytes that a model may have.
    pub const fn room(&self) -> u32 {
        self.flash + self.flash_bytes - self.spare - self.model
    }
}

/// The boards; `memory.x` of `firmware-boards` says the same, as a test sees to.
pub const BOARDS: [Board; 2] = [
    Board {
        name: "pico2",
        title: "Raspberry Pi Pico 2 (RP2350, 4 MB of flash)",
        flash: 0x1000_0000,
        flash_bytes: 4 << 20,
        spare: 4 << 10,
        arena: 256 << 10,
        model: 0x1008_0000,
        sector: 4 << 10,
        format: Format::Uf2,
    },
    Board {
        name: "nucleo-h743",
        title: "Nucleo-H743ZI (STM32H743ZI, 2 MB of flash)",
        flash: 0x0800_0000,
        flash_bytes: 2 << 20,
        spare: 0,
        arena: 256 << 10,
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
    use std::fs;

    use super::*;

    /// A file of the tree.
    fn read(path: &str) -> String {
        let path = format!("{}/../../{path}", env!("CARGO_MANIFEST_DIR"));
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Begin and bytes of a region of a board's linker script.
    fn region(board: &str, name: &str) -> (u32, u32) {
        let text = read(&format!("firmware-boards/{board}/memory.x"));
        let line = text.lines().find(|line| line.trim().starts_with(&format!("{name} "))).expect(name);
        let field = |key: &str| line.split(key).nth(1).unwrap().split(',').next().unwrap().trim();
        let origin = u32::from_str_radix(field("ORIGIN = 0x"), 16).unwrap();
        (origin, field("LENGTH =").strip_suffix('K').unwrap().parse::<u32>().unwrap() << 10)
    }

    #[test]
    fn the_firmware_looks_for_models_where_they_are_put() {
        for board in BOARDS {
            assert_eq!(region(board.name, "MODEL"), (board.model, board.room()), "{}", board.name);
            let (begin, bytes) = region(board.name, "FLASH");
            assert_eq!(begin, board.flash, "{}", board.name);
            assert!(begin + bytes <= board.model, "{}: firmware and model overlap", board.name);
            let arena = format!("pub const ARENA_BYTES: usize = {} << 10;", board.arena >> 10);
            assert!(read("firmware-example/console/src/flash.rs").contains(&arena), "{}: {arena}", board.name);
        }
    }

    #[test]
    fn models_begin_at_a_sector_within_the_flash() {
        for board in BOARDS {
            assert!((board.model - board.flash).is_multiple_of(board.sector), "{}", board.name);
            assert!(board.flash < board.model && board.room() < board.flash_bytes, "{}", board.name);
        }
    }
}
