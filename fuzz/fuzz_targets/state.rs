//! A session's state from anywhere, restored over one of a few valid models and gone on from.
#![no_main]

use std::sync::LazyLock;

use flashlm_core::testing::{Blob, Numbers, exercise, hostile};
use flashlm_core::{Line, Model};
use libfuzzer_sys::fuzz_target;

static BLOBS: LazyLock<[Blob; 16]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let mut numbers = Numbers(i as u64);
        let config = hostile::config(&mut numbers);
        Blob::new(&hostile::blob(&config, &mut numbers))
    })
});

fuzz_target!(|data: &[u8]| {
    let [mode, cut, rest @ ..] = data else { return };
    let blob = &BLOBS[usize::from(mode % 16)];
    let model = Model::from_bytes(blob.bytes()).expect("a valid model");
    let session = flashlm_core::Session::on_heap(model, flashlm_core::Kernels::scalar());
    let mut state = session.state().to_vec();
    // the input over and over, so that a few bytes fill every part
    let mut bytes = rest.iter().cycle();
    for line in &mut state {
        line.0.iter_mut().zip(&mut bytes).for_each(|(byte, &new)| *byte = new);
    }
    if mode & 16 != 0 {
        // of this model: its checksum lies behind the position
        state[0].0[8..12].copy_from_slice(&model.checksum().to_le_bytes());
    }
    if mode & 32 != 0 {
        state.resize(usize::from(*cut), Line::ZERO);
    }
    let _ = exercise::state(model, &state);
});
