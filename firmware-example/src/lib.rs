//! What the programs here share: the board, its clock, its serial line and its memories.
#![no_std]

pub mod board;
pub mod clock;
pub mod console;
pub mod memory;
pub mod uart;
