//! The boards: `board` is the one that was chosen as a feature.
#![no_std]

#[cfg(any(feature = "mps2-an500", feature = "mps2-an386"))]
#[path = "mps2/mod.rs"]
pub mod board;
#[cfg(feature = "virt")]
#[path = "virt/mod.rs"]
pub mod board;
