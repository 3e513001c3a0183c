//! A model that lies in flash by itself, at an address of its own, so that it changes without a compiler.

use core::fmt::{self, Write};

use flashlm_core::Line;
use flashlm_core::blob::MAGIC;
use heapless::Vec;

use crate::{Board, Console};

/// Bytes of RAM for the state of a model that is not known when compiling; `pack flash` refuses one that needs more.
pub const ARENA_BYTES: usize = 256 << 10;
/// The same in lines of a session's memory.
pub const ARENA_LINES: usize = ARENA_BYTES / size_of::<Line>();

/// Why there is no model in a region of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoModel {
    /// The bytes there do not begin as a model does.
    Nothing {
        /// Where one was looked for.
        address: usize,
    },
    /// It says it is longer than the region.
    TooLong {
        /// Where it begins.
        address: usize,
        /// Bytes it says it has.
        bytes: usize,
        /// Bytes of the region.
        room: usize,
    },
}

impl fmt::Display for NoModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Nothing { address } => {
                write!(f, "expected a model at {address:#010x}, found none there: write one by `pack flash`")
            }
            Self::TooLong { address, bytes, room } => {
                write!(f, "the model at {address:#010x} says it has {bytes} bytes; {room} fit there")
            }
        }
    }
}

/// The blob at the beginning of `region`, as long as it says it is; `Model::from_bytes` checks it.
///
/// # Errors
/// There is none, or it is longer than the region.
pub fn blob(region: &[u8]) -> Result<&[u8], NoModel> {
    let address = region.as_ptr().addr();
    // docs/FORMAT.md: the magic, and the length of the whole in bytes 8 to 12
    let length = region.get(8..12).and_then(|bytes| bytes.first_chunk());
    let (true, Some(&length)) = (region.starts_with(&MAGIC), length) else {
        return Err(NoModel::Nothing { address });
    };
    let bytes = u32::from_le_bytes(length) as usize;
    region.get(..bytes).ok_or(NoModel::TooLong { address, bytes, room: region.len() })
}

/// Tells stories by the model that lies in the region MODEL of the board's linker script; says so where none does, and
/// looks again when a line is typed. `/quit` begins anew.
#[cfg(target_os = "none")]
pub fn serve<B: Board>(console: &mut Console<B>, arena: &mut [Line]) -> ! {
    loop {
        serve_once(console, crate::memory::model_region(), arena);
    }
}

/// One turn of `serve`, over any region.
pub fn serve_once<B: Board>(console: &mut Console<B>, region: &[u8], arena: &mut [Line]) {
    let ended = match blob(region) {
        Ok(blob) => crate::serve(console, blob, arena).map_err(|error| writeln!(console, "no model: {error}")),
        Err(error) => Err(writeln!(console, "no model: {error}")),
    };
    if ended.is_err() {
        console.print("Press Enter to look again.\n");
        console.read_line(&mut Vec::new());
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::collections::VecDeque;
    use std::string::String;
    use std::vec::Vec;

    use super::*;
    use crate::{Tick, Usage};

    /// A board that types what it was given, and keeps what it is told.
    struct Typed {
        keys: VecDeque<u8>,
        shown: Vec<u8>,
    }

    impl Board for Typed {
        const NAME: &'static str = "a test";
        const TICK: Tick = Tick::Microseconds(1);

        fn read(&mut self) -> Option<u8> {
            self.keys.pop_front()
        }

        fn write(&mut self, byte: u8) {
            self.shown.push(byte);
        }

        fn ticks(&self) -> u64 {
            self.shown.len() as u64
        }

        fn memory(&self) -> Usage {
            Usage { flash: 1, statics: 2, stack: 3, stack_room: 4 }
        }
    }

    /// What a console shows over a region of flash when `keys` are typed.
    fn shown(region: &[u8], keys: &str) -> String {
        let mut console = Console::new(Typed { keys: keys.bytes().collect(), shown: Vec::new() });
        serve_once(&mut console, region, &mut std::vec![Line::ZERO; ARENA_LINES]);
        assert!(console.board.keys.is_empty(), "{:?} were not read", console.board.keys);
        String::from_utf8(console.board.shown).unwrap().replace('\r', "")
    }

    /// A prelude that says how long a blob is, and erased flash.
    fn says(bytes: u8) -> [u8; 100] {
        let mut region = [0xFF; 100];
        region[..12].copy_from_slice(&[b'F', b'L', b'M', b'1', 4, 0, 0, 0, bytes, 0, 0, 0]);
        region
    }

    #[test]
    fn the_console_says_that_there_is_no_model_and_waits() {
        // erased, too long, and a prelude with nothing behind it
        for (region, why) in [([0xFF; 100], "found none there"), (says(101), "100 fit there"), (says(64), "")] {
            let text = shown(&region, "\r");
            assert!(text.starts_with("no model: ") && text.contains(why) && text.contains("Enter"), "{text}");
        }
    }

    #[test]
    fn the_console_tells_stories_by_a_model_that_lies_before_erased_flash() {
        let model = include_bytes!("../../../models/supernova.flm");
        let mut lines = std::vec![Line::ZERO; model.len().div_ceil(size_of::<Line>()) + 9];
        let region: &mut [u8] = bytemuck::cast_slice_mut(&mut lines);
        region.fill(0xFF);
        region[..model.len()].copy_from_slice(model);
        let text = shown(region, "/length 8\r/seed 7\rOnce upon a time\r/quit\r");
        assert!(text.contains("\nOnce upon a time, there was") && text.contains("seed=7&"), "{text}");
    }

    #[test]
    fn a_blob_ends_where_it_says() {
        assert_eq!(blob(&says(64)).map(<[u8]>::len), Ok(64));
        assert!(matches!(blob(&says(101)), Err(NoModel::TooLong { bytes: 101, room: 100, .. })));
        assert!(matches!(blob(b"FLM1"), Err(NoModel::Nothing { .. })));
        assert!(matches!(blob(&[]), Err(NoModel::Nothing { .. })));
    }
}
