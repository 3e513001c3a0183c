use std::string::ToString;
use std::vec::Vec;

use super::layout::{Contents, TernaryShape};
use super::*;
use crate::config::ModelConfig;
use crate::model::Model;
use crate::schema;
use crate::testing::hostile::seal_checksum;
use crate::testing::{Blob, MODELS, SMALL, random_blob, random_sections};

fn error(bytes: &[u8]) -> BlobError {
    Model::from_bytes(Blob::new(bytes).bytes()).expect_err("a damaged blob")
}

/// A valid blob changed and given a matching checksum: what only looking at the contents can find.
fn forged(change: impl FnOnce(&mut Vec<u8>)) -> BlobError {
    let mut bytes = random_blob(&SMALL, 1).bytes().to_vec();
    change(&mut bytes);
    seal_checksum(&mut bytes);
    error(&bytes)
}

fn section(role: Role) -> usize {
    let blob = random_blob(&SMALL, 1);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    model.sections().find(|s| s.role == role).unwrap().offset
}

#[test]
fn what_was_written_is_read_back() {
    let blob = random_blob(&SMALL, 1);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    assert_eq!(*model.config(), SMALL);
    assert_eq!((model.facts().name, model.facts().data), ("random", "none"));
    assert_eq!((model.facts().tokens, model.facts().phase, model.facts().held_out_bpc), (7, 2, Some(1.5)));
    assert!(model.tokenizer().is_none());
    let sections: Vec<_> = model.sections().collect();
    assert_eq!(sections.len(), Role::ALL.len());
    for (section, bytes) in sections.iter().zip(random_sections(&SMALL, 1)) {
        assert_eq!(section.offset % 64, 0);
        assert_eq!(&blob.bytes()[section.offset..][..section.len], &bytes);
    }
    let layout = crate::arena::Layout::new(&SMALL);
    assert_eq!(arena_lines(blob.bytes(), 0), layout.fixed_lines());
    assert_eq!(arena_lines(blob.bytes(), 3), layout.fixed_lines() + 3 * layout.token_lines());
}

#[test]
fn a_model_without_the_reasoning_loop_has_no_bytes_for_it() {
    let config = ModelConfig { rcsm: None, ..SMALL };
    let blob = random_blob(&config, 1);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    assert!(model.rcsm().is_none());
    let rcsm: usize = model.sections().filter(|s| s.role.name().starts_with("rcsm")).map(|s| s.len).sum();
    assert_eq!(rcsm, 0);
}

#[test]
fn blocks_vectors_follow_one_another() {
    for config in MODELS {
        let of = |i| move |(block, _): &(Option<usize>, _)| *block == Some(i);
        let floats_of = |t: &schema::Tensor| match t.stored {
            schema::Stored::Floats(forms) => forms.len() * t.len(&config),
            _ => 0,
        };
        let floats = |i| schema::tensors(&config).filter(of(i)).map(|(_, t)| floats_of(t)).sum::<usize>();
        let sizes = (0..usize::from(config.layers)).map(floats);
        let total = sizes.enumerate().fold(0, |before, (i, size)| {
            assert_eq!(layout::floats_before(&config, i), before);
            before + size
        });
        assert_eq!(Contents::of(Role::BlockVectors, &config), Contents::Floats(total));
    }
}

#[test]
fn supernova_is_under_2_9_mebibytes() {
    let bytes: usize = Role::ALL.iter().filter_map(|&r| Contents::of(r, &ModelConfig::SUPERNOVA).bytes()).sum();
    // 64 KB are left to the tokenizer and the header
    assert!(bytes + 65536 < (29 << 20) / 10, "{bytes} bytes without the tokenizer");
}

#[test]
fn every_truncation_is_an_error() {
    let blob = random_blob(&SMALL, 1);
    for len in 0..blob.bytes().len() {
        let want = match len {
            0..64 => BlobError::TooShort,
            _ => BlobError::Length { stated: blob.bytes().len() as u32, found: len },
        };
        assert_eq!(Model::from_bytes(&blob.bytes()[..len]).unwrap_err(), want);
    }
}

#[test]
fn every_changed_byte_is_found() {
    // tiny, since each of its bytes costs a checksum over all
    let config = ModelConfig { vocab: 16, d_model: 16, layers: 1, d_ffn: 16, rcsm: None, ..SMALL };
    let mut bytes = random_blob(&config, 1).bytes().to_vec();
    for i in 0..bytes.len() {
        bytes[i] ^= 1 << (i % 8);
        match (i, error(&bytes)) {
            (0..4, BlobError::Magic)
            | (4..8, BlobError::Version(_))
            | (8..12, BlobError::Length { .. })
            | (12.., BlobError::Checksum) => {}
            (i, other) => panic!("byte {i}: {other:?}"),
        }
        bytes[i] ^= 1 << (i % 8);
    }
}

#[test]
fn without_the_checksum_damage_is_found_unless_it_leaves_a_valid_model() {
    let whole = random_blob(&SMALL, 1);
    let model = Model::from_bytes(whole.bytes()).unwrap();
    let weight = section(Role::MixerIn);
    let mut bytes = whole.bytes().to_vec();
    // codes 0 and 1, 1 and 2 differ in bits that a flip may reach; 3 is none
    bytes[weight] = if bytes[weight] & 3 == 1 { bytes[weight] & !3 } else { bytes[weight] & !3 | 1 };
    let damaged = Blob::new(&bytes);
    assert_eq!(verify_checksum(damaged.bytes()), Err(BlobError::Checksum));
    assert_eq!(Model::from_bytes(damaged.bytes()).err(), Some(BlobError::Checksum));
    let trusted = Model::from_bytes_trusted(damaged.bytes()).unwrap();
    assert_eq!((trusted.config(), trusted.checksum()), (model.config(), model.checksum()));

    bytes[weight] = 0xFF;
    let trusted = |bytes: &[u8]| Model::from_bytes_trusted(Blob::new(bytes).bytes()).map(|_| ());
    assert_eq!(trusted(&bytes), Err(BlobError::Code(Role::MixerIn)));
    assert_eq!(
        trusted(&whole.bytes()[..whole.bytes().len() - 4]).map_err(|e| matches!(e, BlobError::Length { .. })),
        Err(true)
    );
    assert_eq!(trusted(b"short"), Err(BlobError::TooShort));

    assert_eq!(verify_checksum(whole.bytes()), Ok(()));
    assert_eq!(verify_checksum(b"short"), Err(BlobError::TooShort));
    // wherever a blob lies, its sum can be taken
    let shifted = [&[0], whole.bytes()].concat();
    assert_eq!(verify_checksum(&shifted[1..]), Ok(()));
}

#[test]
fn another_format_version_is_named() {
    let mut bytes = random_blob(&SMALL, 1).bytes().to_vec();
    bytes[4..8].copy_from_slice(&9u32.to_le_bytes());
    assert_eq!(error(&bytes), BlobError::Version(9));
    assert!(error(&bytes).to_string().contains("version 9; this program reads version 4: get a newer program"));
}

#[test]
fn an_older_format_version_is_refused_with_what_to_do() {
    for old in 1..VERSION {
        let mut bytes = random_blob(&SMALL, 1).bytes().to_vec();
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(old));
        assert_eq!(error(&bytes), BlobError::Version(old));
        let message = error(&bytes).to_string();
        assert!(message.contains(&std::format!("format version {old}; this program reads version 4")), "{message}");
        assert!(message.contains("pack its checkpoint") && message.contains("train again"), "{message}");
    }
}

#[test]
fn a_blob_off_its_boundary_is_an_error() {
    let blob = random_blob(&SMALL, 1);
    let mut shifted = std::vec![0; 1];
    shifted.extend_from_slice(blob.bytes());
    let shifted = Blob::new(&shifted);
    assert_eq!(Model::from_bytes(&shifted.bytes()[1..]).unwrap_err(), BlobError::Misaligned);
}

#[test]
fn wrong_contents_under_a_right_checksum_are_errors() {
    assert_eq!(forged(|b| b[20] ^= 1), BlobError::Arena);
    assert_eq!(forged(|b| b[30] = 1), BlobError::Header);
    assert_eq!(forged(|b| b[16..20].fill(0xFF)), BlobError::Header);
    assert_eq!(forged(|b| b[16] -= 1), BlobError::Header);
    for role in [Role::MixerIn, Role::FfnOut, Role::RcsmOps] {
        let at = section(role);
        assert_eq!(forged(|b| b[at] = 0b11), BlobError::Code(role));
        assert_eq!(forged(|b| b[at + 5] = 0b1100_0000), BlobError::Code(role));
    }
    for role in [Role::BlockVectors, Role::RcsmVectors, Role::Norm] {
        let at = section(role);
        assert_eq!(forged(|b| b[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes())), BlobError::NotFinite(role));
    }
    let Contents::Ternary(shape, _) = Contents::of(Role::MixerOut, &SMALL) else { panic!() };
    let at = section(Role::MixerOut) + shape.code_bytes();
    let infinite = forged(|b| b[at..at + 4].copy_from_slice(&f32::INFINITY.to_le_bytes()));
    assert_eq!(infinite, BlobError::NotFinite(Role::MixerOut));
}

/// Whatever the header says, reading it must not panic or accept what does not hold together.
#[test]
fn no_header_byte_can_break_the_reader() {
    MODELS.iter().for_each(header_bytes);
}

fn header_bytes(config: &ModelConfig) {
    let blob = random_blob(config, 1);
    let header = 64 + prelude::read(blob.bytes(), prelude::HEADER_LENGTH_FIELD) as usize;
    for at in 64..header {
        for value in [0, 1, 0x7F, 0x80, 0xFF] {
            let mut bytes = blob.bytes().to_vec();
            bytes[at] = value;
            seal_checksum(&mut bytes);
            let forged = Blob::new(&bytes);
            if let Ok(model) = Model::from_bytes(forged.bytes()) {
                // a fact or a number without a check; the shapes are untouched
                assert_eq!(model.config().d_model, SMALL.d_model);
                let mut session = crate::Session::on_heap(model, crate::Kernels::scalar());
                session.step(1).unwrap();
            }
        }
    }
}

#[test]
fn a_model_out_of_limits_is_neither_written_nor_read() {
    let too_wide = ModelConfig { d_model: 2064, ..SMALL };
    let facts = Facts::default();
    let sections = random_sections(&too_wide, 1);
    assert_eq!(write(&too_wide, &facts, &sections), Err(WriteError::Config(ConfigError::Width)));
    let mut sections = random_sections(&SMALL, 1);
    sections[3].pop();
    let got = write(&SMALL, &facts, &sections).unwrap_err();
    assert!(matches!(got, WriteError::Section { role: Role::MixerOut, .. }), "{got}");
}

#[test]
fn codes_lie_where_the_layout_says() {
    let shape = TernaryShape { rows: 32, columns: 48 };
    assert_eq!(shape.code_at(0, 0), (0, 0));
    assert_eq!(shape.code_at(0, 4), (0, 2));
    assert_eq!(shape.code_at(0, 5), (1, 2));
    assert_eq!(shape.code_at(8, 0), (1, 4));
    assert_eq!(shape.code_at(8, 3), (0, 4));
    assert_eq!(shape.code_at(15, 15), (32 + 28, 6));
    assert_eq!(shape.code_at(17, 33), ((3 + 2) * 64 + 4 + 1, 0));
    // every code has a place of its own
    let mut bits = std::vec![0u8; shape.code_bytes()];
    for (row, column) in (0..32).flat_map(|row| (0..48).map(move |column| (row, column))) {
        let (at, shift) = shape.code_at(row, column);
        assert_eq!(bits[at] >> shift & 3, 0, "row {row} column {column}");
        bits[at] |= 3 << shift;
    }
    assert!(bits.iter().all(|&b| b == 0xFF));
}
