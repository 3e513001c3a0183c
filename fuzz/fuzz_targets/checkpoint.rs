//! A checkpoint from anywhere. An input is a script of edits to a valid one: of the values in its metadata, of its
//! tensors' names, types, shapes and places, of its bytes. What is accepted is packed and given to an optimiser.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use clap::Parser;
use flashlm_core::Model;
use flashlm_core::testing::{Blob, Numbers, hostile};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use trainer::cli::Cli;
use trainer::export;
use trainer::kernels::Kernels;
use trainer::nn::{Layout, Params};
use trainer::optim::{self, Optimizer};
use trainer::run::checkpoint::{self, Snapshot, State};

/// A checkpoint's two halves: the header as it is, and the tensors' bytes.
struct Valid {
    header: Value,
    tensors: Vec<u8>,
}

static VALID: LazyLock<Vec<Valid>> = LazyLock::new(|| (0..8).map(valid).collect());

fn valid(seed: u64) -> Valid {
    let mut numbers = Numbers(seed);
    // small ones: nothing here depends on how large they are
    let config = loop {
        let config = hostile::config(&mut numbers);
        if Layout::new(&config).len < 8000 {
            break config;
        }
    };
    let arguments = ["trainer", "--steps", "5", "--data", "stories.txt"];
    let settings = Cli::parse_from(arguments).train.request().expect("usual settings").settings;
    let params = Params::init(&config, seed);
    let optimizer = Optimizer::new(Kernels::detect(), &params.layout, optim::Settings::default());
    let state = State::new(3, 2, 1.5, 4096, json!({ "story": 3, "lanes": [1, 2] }), settings);
    let merges = config.vocab.checked_sub(257).map(|count| hostile::merges(count as usize, &mut numbers));
    let tokenizer = merges.map_or_else(Vec::new, |merges| hostile::table(&merges));
    let snapshot = Snapshot {
        config: &config,
        state: &state,
        tokenizer: &tokenizer,
        params: &params,
        optimizer: &optimizer,
        lanes: &[1.0, -2.0],
        generated: &[1, 0, 1, 0],
    };
    let mut bytes = Vec::new();
    checkpoint::write_to(&snapshot, &mut bytes).expect("a place in memory");
    checkpoint::from_bytes(Path::new("valid"), &bytes).map(drop).expect("what was written is read");
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    let (header, tensors) = rest.split_at(u64::from_le_bytes(*length) as usize);
    let header = serde_json::from_slice(header).expect("a header");
    Valid { header, tensors: tensors.to_vec() }
}

/// Values that nobody expects where they are put.
fn odd(value: u8) -> Value {
    match value % 24 {
        0 => json!(0),
        1 => json!(1),
        2 => json!(-1),
        3 => json!(255),
        4 => json!(65_535),
        5 => json!(65_536),
        6 => json!(4_294_967_295u32),
        7 => json!(u64::MAX),
        8 => json!(i64::MIN),
        9 => json!(1e308),
        10 => json!(-1e308),
        11 => json!(1e-320),
        12 => json!(0.5),
        13 => json!(16),
        14 => json!(257),
        15 => Value::Null,
        16 => json!(true),
        17 => json!(""),
        18 => json!("auto"),
        19 => json!([]),
        20 => json!({}),
        21 => json!([1, 2, 3]),
        22 => json!({ "Fixed": 255 }),
        _ => json!("x".repeat(1000)),
    }
}

/// The value number `at`, counted through everything that is nested in `value`, or the last one passed.
fn place<'v>(value: &'v mut Value, at: &mut usize) -> Option<&'v mut Value> {
    if *at == 0 {
        return Some(value);
    }
    *at -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| place(item, at)),
        Value::Object(fields) => fields.iter_mut().find_map(|(_, field)| place(field, at)),
        _ => None,
    }
}

/// Changes one value of the text of JSON that the metadata's `name` is.
fn edit_metadata(header: &mut Value, name: &str, at: u8, new: u8) {
    let Some(text) = header["__metadata__"][name].as_str() else { return };
    let Ok(mut told) = serde_json::from_str::<Value>(text) else { return };
    if let Some(value) = place(&mut told, &mut usize::from(at)) {
        *value = odd(new);
    }
    set_metadata(header, name, Value::String(told.to_string()));
}

/// Sets an entry of the metadata, where earlier edits have left any.
fn set_metadata(header: &mut Value, name: &str, value: Value) {
    if let Some(metadata) = header.get_mut("__metadata__").and_then(Value::as_object_mut) {
        metadata.insert(name.into(), value);
    }
}

/// Changes something about one tensor's entry.
fn edit_tensor(header: &mut Value, which: u8, how: u8, value: u8) {
    let Some(entries) = header.as_object_mut() else { return };
    let names: Vec<String> = entries.keys().cloned().collect();
    if names.is_empty() {
        return;
    }
    let name = &names[usize::from(which) % names.len()];
    match how % 6 {
        0 => drop(entries.remove(name)),
        1 => {
            let entry = entries.remove(name);
            entries.insert(format!("{name}{value}"), entry.unwrap_or_default());
        }
        2 => {
            if let Some(entry) = entries[name].as_object_mut() {
                let dtype = ["F32", "U8", "BF16", "F64", "I64", "F4", "no"][usize::from(value % 7)];
                entry.insert("dtype".into(), json!(dtype));
            }
        }
        3 => {
            if let Some(entry) = place(&mut entries[name], &mut usize::from(value % 8)) {
                *entry = odd(value / 8);
            }
        }
        4 => {
            let other = entries[&names[usize::from(value) % names.len()]].clone();
            entries.insert(name.clone(), other);
        }
        _ => {
            let offsets = entries[name].get_mut("data_offsets");
            if let Some(offset) = offsets.and_then(|offsets| offsets.get_mut(usize::from(value % 2))) {
                *offset = json!(u64::from(value) << 24);
            }
        }
    }
}

fuzz_target!(init: { LazyLock::force(&VALID); }, |data: &[u8]| {
    let [which, edits @ ..] = data else { return };
    let valid = &VALID[usize::from(which % 8)];
    let (mut header, mut tensors) = (valid.header.clone(), valid.tensors.clone());
    let mut length = None;
    let mut cut = None;
    for &[what, a, b, c] in edits.as_chunks::<4>().0.iter().take(16) {
        match what % 8 {
            0 | 1 => edit_metadata(&mut header, "config", a, b),
            2 | 3 => edit_metadata(&mut header, "state", a, b),
            4 => edit_tensor(&mut header, a, b, c),
            5 => {
                let (at, many) = (usize::from(u16::from_le_bytes([a, b])), tensors.len().max(1));
                let at = at * 31 % many;
                tensors.iter_mut().skip(at).take(4).for_each(|byte| *byte = c);
            }
            6 => cut = Some(usize::from(u16::from_le_bytes([a, b]))),
            _ if a % 4 == 0 => length = Some(u64::from(b) << (c % 64)),
            _ => set_metadata(&mut header, ["config", "state", "x"][usize::from(b % 3)], odd(c)),
        }
    }
    let header = header.to_string();
    let mut bytes = length.unwrap_or(header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(&tensors);
    if let Some(cut) = cut {
        // at the end mostly, where a download breaks off
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
    }

    let Ok(read) = checkpoint::from_bytes(Path::new("fuzzed"), &bytes) else { return };
    read.config.validate().expect("only valid configurations are accepted");
    assert_eq!(read.params.data.len(), read.params.layout.len);
    let facts = read.facts("fuzzed");
    if let Ok(blob) = export::write_blob(&read.config, &facts, &read.tokenizer, &|name| read.params.tensor(name)) {
        let blob = Blob::new(&blob);
        assert_eq!(*Model::from_bytes(blob.bytes()).expect("what is written is read").config(), read.config);
    }
    let mut optimizer = Optimizer::new(Kernels::detect(), &read.params.layout, optim::Settings::default());
    assert!(read.restore(&mut optimizer).is_ok() || edits.len() >= 4, "a valid one is restored");
});
