//! The products of every instruction set on allocations of their exact size, against the scalar ones.
#![no_main]

use flashlm_core::testing::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| exercise::products(data));
