//! A console that tells stories over a serial line: what all boards share. A board says how a byte goes out and comes
//! in, what time it is and what memories it has; [`serve`] does the rest.
#![no_std]

mod command;
mod console;
pub mod flash;
#[cfg(target_os = "none")]
pub mod memory;
mod shell;
mod story;

pub use self::console::{Console, LINE};
pub use self::shell::serve;

/// A board as the console sees it.
pub trait Board {
    /// The board and its processor.
    const NAME: &'static str;
    /// What a tick of [`ticks`](Self::ticks) is.
    const TICK: Tick;

    /// The byte that came in, if one did since the last call.
    fn read(&mut self) -> Option<u8>;

    /// Sends a byte as soon as the serial line takes it.
    fn write(&mut self, byte: u8);

    /// Ticks since the start.
    fn ticks(&self) -> u64;

    /// What the program takes of the memories.
    fn memory(&self) -> Usage;
}

/// What a board's clock counts.
#[derive(Clone, Copy, Debug)]
pub enum Tick {
    /// So many instructions, where QEMU emulates the board with `-icount shift=0`.
    Instructions(u64),
    /// So many microseconds.
    Microseconds(u64),
}

/// Bytes of memory.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Code and constants; the model too where it is one of them.
    pub flash: usize,
    /// Static variables.
    pub statics: usize,
    /// The most the stack has grown to since the start.
    pub stack: usize,
    /// The most it may grow to.
    pub stack_room: usize,
}
