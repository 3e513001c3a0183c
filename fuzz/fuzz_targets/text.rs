//! A file of stories from anywhere: cut into stories and pre-tokens, and shown as text in pieces of any size.
#![no_main]

use flashlm_core::testing::exercise;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let [piece, file @ ..] = data {
        exercise::text(file, usize::from(*piece));
    }
});
