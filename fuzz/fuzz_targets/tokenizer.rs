//! A tokenizer's table and a text from anywhere. The first byte says how the table is made of the bytes after it: as
//! they are, or laid out as a valid table of merges and then edited.
#![no_main]

use flashlm_core::testing::{exercise, hostile};
use flashlm_core::{Tokenizer, tokenizer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [mode, count, edits, rest @ ..] = data else { return };
    let (table, text) = match mode % 2 {
        0 => {
            let (table, text) = rest.split_at(rest.len().min(usize::from(*count) * 8));
            (table.to_vec(), text)
        }
        _ => {
            let (pairs, text) = rest.split_at(rest.len().min(usize::from(*count) * 4) / 4 * 4);
            let mut merges = Vec::new();
            for pair in pairs.as_chunks::<4>().0 {
                // any token before this one, the end of story left out
                let known = tokenizer::FIRST_MERGE - 1 + merges.len() as u16;
                let part = |low, high| 1 + u16::from_le_bytes([low, high]) % known;
                hostile::push_merge(&mut merges, part(pair[0], pair[1]), part(pair[2], pair[3]));
            }
            let mut table = hostile::table(&merges);
            let valid = edits.is_multiple_of(4);
            if valid {
                assert!(Tokenizer::from_bytes(&table).is_ok());
            } else if let [place, value, ..] = text {
                let at = usize::from(*place) * usize::from(*edits) % table.len();
                table[at] = *value;
            }
            (table, text)
        }
    };
    if let Ok(tokenizer) = Tokenizer::from_bytes(&table) {
        exercise::tokenizer(&tokenizer, text);
    }
});
