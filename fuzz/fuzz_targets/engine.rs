//! The reasoning engine on any valid small model and any course of a session, at every level of kernels.
#![no_main]

use flashlm_core::testing::engine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| engine::course(data));
