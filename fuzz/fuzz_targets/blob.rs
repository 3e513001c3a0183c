//! A model from anywhere: every byte is the fuzzer's. What is accepted is run every way there is.
//!
//! Inputs are blobs as they would lie on a disk, so an artifact can be handed to any other program. The mutator knows
//! the format: it starts from valid blobs of random small configurations, breaks floats, counts and the header, and
//! mostly makes the prelude agree again, since a checksum would otherwise refuse nearly everything.
#![no_main]

use flashlm_core::testing::hostile::{self, Edit};
use flashlm_core::testing::{Numbers, exercise};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    let _ = exercise::blob(data);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut numbers = Numbers(seed.into());
    let fresh = size < 64 || numbers.below(16) == 0;
    let mut size = size;
    if fresh {
        let config = hostile::config(&mut numbers);
        let blob = hostile::blob(&config, &mut numbers);
        if blob.len() <= max_size {
            data[..blob.len()].copy_from_slice(&blob);
            size = blob.len();
        }
    }
    match numbers.below(4) {
        0 => size = fuzzer_mutate(data, size, max_size),
        // a blob as it should be, now and then
        1 if fresh => {}
        _ => (0..=numbers.below(4)).for_each(|_| Edit::random(&mut numbers).apply(&mut data[..size])),
    }
    match numbers.below(8) {
        0 => {}
        1 if size >= 64 => hostile::seal_checksum(&mut data[..size]),
        _ => hostile::seal(&mut data[..size]),
    }
    size
});
