//! flashlm-core: `no_std`, no-alloc inference for ternary language models.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]

pub mod config;
pub mod math;
