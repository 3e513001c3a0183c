//! Mutated blobs: whatever is accepted runs, and nothing panics or hangs.

use std::vec::Vec;

use proptest::prelude::*;

use crate::Model;
use crate::blob::{BlobError, Role};
use crate::testing::hostile::{self, Edit};
use crate::testing::{Blob, Numbers, exercise};

/// Edits, and how they are sealed: 0 not at all, 1 with the checksum alone, else with everything the prelude states.
fn mutated(seed: u64, edits: &[Edit], sealed: u8) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let config = hostile::config(&mut numbers);
    let mut bytes = hostile::blob(&config, &mut numbers);
    edits.iter().for_each(|edit| edit.apply(&mut bytes));
    match sealed {
        0 => {}
        1 => hostile::seal_checksum(&mut bytes),
        _ => hostile::seal(&mut bytes),
    }
    bytes
}

fn edits(most: usize) -> impl Strategy<Value = Vec<Edit>> {
    let edit = (any::<u8>(), any::<u32>(), any::<u32>()).prop_map(|(kind, at, value)| Edit { kind, at, value });
    prop::collection::vec(edit, 1..=most)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_blobs_are_refused_or_run(seed in any::<u64>(), edits in edits(6), sealed in 0u8..6) {
        let _ = exercise::blob(&mutated(seed, &edits, sealed));
    }

    #[test]
    fn cut_blobs_are_refused(seed in any::<u64>(), cut in any::<prop::sample::Index>(), sealed in 0u8..3) {
        let mut bytes = mutated(seed, &[], 2);
        bytes.truncate(cut.index(bytes.len()));
        let end = section_end(&mutated(seed, &[], 2));
        if bytes.len() >= 64 && sealed > 0 {
            hostile::seal(&mut bytes);
        }
        // zeros behind the last section are nobody's: only a cut into the sections must be seen
        prop_assert!(bytes.len() >= end || exercise::blob(&bytes).is_err());
    }
}

fn section_end(bytes: &[u8]) -> usize {
    let blob = Blob::new(bytes);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    model.sections().map(|s| s.offset + s.len).max().unwrap()
}

/// The two tests above are worth something only if the generator makes valid blobs and edits get past the checks.
#[test]
fn generated_blobs_are_valid_and_many_edited_ones_are_accepted() {
    let (mut with_tokenizer, mut with_loop, mut accepted) = (0, 0, 0);
    for seed in 0..60 {
        let whole = mutated(seed, &[], 0);
        assert_eq!(exercise::blob(&whole), Ok(()));
        let blob = Blob::new(&whole);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        with_tokenizer += usize::from(model.tokenizer().is_some());
        with_loop += usize::from(model.rcsm().is_some());
        let mut numbers = Numbers(seed);
        let edit = Edit::random(&mut numbers);
        let edited = mutated(seed, &[edit], 2);
        accepted += usize::from(edited != whole && exercise::blob(&edited).is_ok());
    }
    assert!(with_tokenizer > 15 && with_loop > 30 && accepted > 10, "{with_tokenizer} {with_loop} {accepted}");
}

/// Every float of every section in turn, or of every stride of it, becomes each float that breaks arithmetic.
#[test]
fn floats_out_of_all_proportion_are_refused_or_run() {
    let mut numbers = Numbers(11);
    let mut config = hostile::config(&mut numbers);
    config.rcsm.get_or_insert(crate::RcsmConfig {
        width: 16,
        ops: 3,
        slots: 2,
        after: 1,
        ..crate::RcsmConfig::DEFAULT
    });
    let whole = hostile::blob(&config, &mut numbers);
    let blob = Blob::new(&whole);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    for section in model.sections().filter(|s| s.len > 0 && s.role != Role::Tokenizer) {
        let word = |i: usize| section.offset + section.len / 4 / 5 * i * 4;
        for at in (0..5).map(word).chain([section.offset + section.len - 4]) {
            for value in 0..12 {
                let mut bytes = whole.clone();
                // kind 1: one float; kind 5: sixteen of them
                for kind in [1, 5] {
                    Edit { kind, at: at as u32, value }.apply(&mut bytes);
                    hostile::seal(&mut bytes);
                    match exercise::blob(&bytes) {
                        Ok(()) | Err(BlobError::Code(_) | BlobError::NotFinite(_) | BlobError::Section(_)) => {}
                        Err(other) => panic!("{:?} at {at}: {other:?}", section.role),
                    }
                }
            }
        }
    }
}
