//! A model that never ends a story by itself.

use flashlm_core::blob::{Role, layout::Contents, write};
use flashlm_core::config::{Depth, ModelConfig, RcsmConfig, Writes};
use flashlm_core::{Facts, tokenizer};

/// A small model of byte tokens. Token 0, the end of a story, has the logit 0, and every other token's logit is
/// either above 0 or the negative of another's: greedy choice never ends a story.
pub fn model() -> Vec<u8> {
    let rcsm = RcsmConfig {
        width: 16,
        ops: 2,
        slots: 1,
        depths: [1, 2, 3],
        default_depth: Depth::Fixed(1),
        taps: 1,
        after: 1,
        writes: Writes::None,
    };
    let small =
        ModelConfig { vocab: 257, d_model: 16, layers: 1, d_ffn: 16, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA };
    let sections = Role::ALL.map(|role| match Contents::of(role, &small) {
        // magic, version 1, no merges
        Contents::Bytes => [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat(),
        Contents::Embedding(shape) => {
            let mut bytes = vec![0; shape.value_bytes()];
            for row in 1..257 {
                // rows in pairs of opposite sign
                let sign = if row % 2 == 1 { 1i8 } else { -1 };
                for column in 0..16 {
                    bytes[shape.value_at(row, column)] = (sign * (1 + column as i8 * (row as i8 / 4 % 7 + 1))) as u8;
                }
            }
            (0..shape.rows).for_each(|_| bytes.extend(0.1f32.to_le_bytes()));
            bytes
        }
        Contents::Ternary(shape, count) => {
            let mut matrix = vec![0b0101_0101; shape.code_bytes()];
            (0..shape.rows).for_each(|_| matrix.extend(1f32.to_le_bytes()));
            matrix.repeat(count)
        }
        Contents::Floats(n) => 0.5f32.to_le_bytes().repeat(n),
    });
    write(&small, &Facts { name: "endless", ..Facts::default() }, &sections).expect("a model")
}
