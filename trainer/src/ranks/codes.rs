//! How gradients are written for the way between ranks.

use clap::ValueEnum;
use half::bf16;
use serde::{Deserialize, Serialize};

/// What gradients are rounded to when ranks exchange them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reduce {
    /// To nothing: a run of several ranks has the bits of one rank that has all their threads.
    #[default]
    F32,
    /// To bfloat16, added up in f32.
    Bf16,
    /// To 8 bits with a scale for every 256, added up in f32; what rounding leaves over goes with the next step's.
    Int8,
}

/// Numbers that share a scale.
pub const BLOCK: usize = 256;
/// The largest code.
const LARGEST: f32 = 127.0;

impl Reduce {
    /// Every exchange there is.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    /// What flags and tables call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }

    /// Bytes that `numbers` gradients take on their way.
    pub fn bytes(self, numbers: usize) -> usize {
        match self {
            Self::F32 => 4 * numbers,
            Self::Bf16 => 2 * numbers,
            Self::Int8 => numbers + 4 * numbers.div_ceil(BLOCK),
        }
    }
}

/// Writes `values` into `out`, [`Reduce::bytes`] of them. Of 8-bit codes `left_over`, as long, is what rounding left
/// over before: it is added first, and what is left over now takes its place. Others leave it, and may have none.
///
/// A block with a value that is not finite comes out as values none of which is a number, and leaves nothing over.
pub fn write(code: Reduce, values: &[f32], left_over: &mut [f32], out: &mut Vec<u8>) {
    out.clear();
    match code {
        Reduce::F32 => out.extend_from_slice(bytemuck::cast_slice(values)),
        Reduce::Bf16 => out.extend(values.iter().flat_map(|&value| bf16::from_f32(value).to_ne_bytes())),
        Reduce::Int8 => {
            for (values, left_over) in values.chunks(BLOCK).zip(left_over.chunks_mut(BLOCK)) {
                left_over.iter_mut().zip(values).for_each(|(owed, value)| *owed += value);
                write_block(left_over, out);
            }
        }
    }
}

/// Writes a block's scale and codes, and leaves in it what they do not say.
fn write_block(block: &mut [f32], out: &mut Vec<u8>) {
    let finite = block.iter().all(|value| value.is_finite());
    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = if finite { largest / LARGEST } else { f32::NAN };
    out.extend(scale.to_ne_bytes());
    // of values so small that their scale is none
    let per_code = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    for value in block {
        let code = if finite { (*value * per_code).round().clamp(-LARGEST, LARGEST) } else { 0.0 };
        *value = if finite { *value - code * scale } else { 0.0 };
        out.push(code as i8 as u8);
    }
}

/// Calls `f` with every value that `bytes` say and its place in `values`.
pub fn read(code: Reduce, bytes: &[u8], values: &mut [f32], mut f: impl FnMut(&mut f32, f32)) {
    match code {
        Reduce::F32 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                f(value, f32::from_ne_bytes(bytes));
            }
        }
        Reduce::Bf16 => {
            for (value, &bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                f(value, bf16::from_ne_bytes(bytes).to_f32());
            }
        }
        Reduce::Int8 => {
            for (values, bytes) in values.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK + 4)) {
                let Some((&scale, codes)) = bytes.split_first_chunk() else { return };
                let scale = f32::from_ne_bytes(scale);
                values.iter_mut().zip(codes).for_each(|(value, &code)| f(value, f32::from(code as i8) * scale));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    fn sent(code: Reduce, values: &[f32], left_over: &mut [f32]) -> Vec<f32> {
        let mut bytes = Vec::new();
        write(code, values, left_over, &mut bytes);
        assert_eq!(bytes.len(), code.bytes(values.len()));
        let mut read_back = vec![0.0; values.len()];
        read(code, &bytes, &mut read_back, |value, sent| *value = sent);
        read_back
    }

    #[test]
    fn what_comes_is_what_was_sent_to_within_half_a_unit_of_the_code() {
        let mut rng = Rng::new(3);
        let values: Vec<f32> = (0..1000).map(|i| rng.normal() * if i < 500 { 1.0 } else { 1e-6 }).collect();
        let mut left_over = vec![0.0; 1000];
        assert_eq!(sent(Reduce::F32, &values, &mut left_over), values);
        let bf16 = sent(Reduce::Bf16, &values, &mut left_over);
        assert!(bf16.iter().zip(&values).all(|(a, b)| (a - b).abs() <= b.abs() / 256.0));
        let int8 = sent(Reduce::Int8, &values, &mut left_over);
        for (i, ((sent, value), left)) in int8.iter().zip(&values).zip(&left_over).enumerate() {
            let block = &values[i / BLOCK * BLOCK..(i / BLOCK * BLOCK + BLOCK).min(1000)];
            let scale = block.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 127.0;
            assert!((sent - value).abs() <= 0.501 * scale, "{i}: {sent} for {value}");
            assert!((sent + left - value).abs() <= 1e-6 * value.abs().max(scale), "{i}: nothing is lost");
        }
    }

    #[test]
    fn what_is_too_small_for_a_code_comes_in_the_end() {
        // beside a 1 a code is worth 1 / 127, three times as much as the small ones
        let values: Vec<f32> = (0..BLOCK).map(|i| if i == 0 { 1.0 } else { 1.0 / 400.0 }).collect();
        let (mut left_over, mut sum) = (vec![0.0; BLOCK], vec![0.0f32; BLOCK]);
        for step in 0..100 {
            let sent = sent(Reduce::Int8, &values, &mut left_over);
            assert!(step > 0 || sent[1] == 0.0, "a single step loses it");
            sum.iter_mut().zip(sent).for_each(|(sum, sent)| *sum += sent);
        }
        assert!(sum[1..].iter().all(|sum| (sum - 0.25).abs() < 1.0 / 127.0), "{:?}", &sum[..3]);
        let (mut forgetful, mut none) = (0.0, vec![0.0; BLOCK]);
        for _ in 0..100 {
            none.fill(0.0);
            forgetful += sent(Reduce::Int8, &values, &mut none)[1];
        }
        assert_eq!(forgetful, 0.0, "without what was left over none of it ever comes");
    }

    #[test]
    fn a_value_that_is_no_number_stays_none_and_spoils_one_step_only() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0.5; 2 * BLOCK];
            values[7] = bad;
            let mut left_over = vec![0.0; 2 * BLOCK];
            for code in Reduce::ALL {
                assert!(!sent(code, &values, &mut left_over)[7].is_finite(), "{bad} as {code:?}");
            }
            assert!(left_over.iter().all(|left| left.is_finite()));
            assert!(sent(Reduce::Int8, &[0.5; 2 * BLOCK], &mut left_over).iter().all(|v| (v - 0.5).abs() < 0.01));
        }
        assert_eq!(sent(Reduce::Int8, &[0.0; 3], &mut [0.0; 3]), [0.0; 3]);
        let tiny = sent(Reduce::Int8, &[f32::MIN_POSITIVE / 8.0; 3], &mut [0.0; 3]);
        assert!(tiny.iter().all(|v| v.is_finite()));
    }
}
