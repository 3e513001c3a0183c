//! Tells stories on a microcontroller, over its serial line.
//!
//! The model stays in flash. Everything that changes lives in one static buffer whose size the model itself says at
//! compile time: what does not fit does not link. There is no heap, and no panic: the handler below refers to a
//! function that does not exist, so the program links only if the optimiser proved every panic unreachable.
#![no_std]
#![no_main]

use core::fmt::Write;

use firmware_example::board::{self, Board, End, entry};
use flashlm_console::{Console, serve};
use flashlm_core::{Line, arena_lines, include_blob};
use static_cell::ConstStaticCell;

static BLOB: &[u8] = include_blob!(env!("FLASHLM_MODEL"));
const LINES: usize = arena_lines(BLOB, 1);
static ARENA: ConstStaticCell<[Line; LINES]> = ConstStaticCell::new([Line::ZERO; LINES]);

#[entry]
fn main() -> ! {
    let mut console = Console::new(Board::start());
    // taken once, as main is
    let Some(arena) = ARENA.try_take() else { board::end(End::Failure) };
    match serve(&mut console, BLOB, arena) {
        Ok(()) => board::end(End::Success),
        Err(error) => {
            let _ = writeln!(console, "no model: {error}");
            board::end(End::Failure)
        }
    }
}

#[cfg(not(debug_assertions))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    #[expect(unsafe_code, reason = "a function of elsewhere is declared; it is safe, being nowhere")]
    unsafe extern "C" {
        /// Defined nowhere: linking fails, naming it, if a panic is reachable.
        safe fn a_panic_is_reachable() -> !;
    }
    a_panic_is_reachable()
}

#[cfg(debug_assertions)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    board::end(End::Failure)
}
