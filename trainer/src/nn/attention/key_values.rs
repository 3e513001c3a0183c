//! How exactly the keys and values that attention looks back at are kept.

use flashlm_core::config::MAX_HEAD_WIDTH;
use flashlm_core::math::quantize_int8;
use half::slice::HalfFloatSliceExt;

/// What the forward rounds keys and values to; gradients pass straight through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyValues {
    /// Nothing: what the reference computes.
    #[default]
    F32,
    /// Half precision, to compare with.
    F16,
    /// int8 by the absmax of every head, as sessions of packed models keep them.
    Int8,
}

impl KeyValues {
    /// Rounds one head's key or value and returns the scale it is then to be multiplied by.
    #[inline(always)]
    pub(super) fn round(self, head: &mut [f32]) -> f32 {
        match self {
            Self::F32 => 1.0,
            Self::F16 => {
                let mut halves = [half::f16::ZERO; MAX_HEAD_WIDTH as usize];
                let halves = &mut halves[..head.len()];
                halves.convert_from_f32_slice(head);
                halves.convert_to_f32_slice(head);
                1.0
            }
            Self::Int8 => {
                let mut codes = [0; MAX_HEAD_WIDTH as usize];
                let codes = &mut codes[..head.len()];
                let scale = quantize_int8(head, codes);
                for (v, &code) in head.iter_mut().zip(codes.iter()) {
                    *v = f32::from(code);
                }
                scale
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_rounded_as_their_names_say() {
        let head: [f32; 16] = std::array::from_fn(|i| (i as f32 * 0.7).sin());
        let rounded = |how: KeyValues| {
            let mut head = head;
            let scale = how.round(&mut head);
            head.map(|v| v * scale)
        };
        assert_eq!(rounded(KeyValues::F32), head);
        assert_eq!(rounded(KeyValues::F16), head.map(|v| half::f16::from_f32(v).to_f32()));
        let step = head.iter().fold(0f32, |a, v| a.max(v.abs())) / 127.0;
        for (got, want) in rounded(KeyValues::Int8).iter().zip(head) {
            assert!((got - want).abs() <= 0.501 * step, "{got} for {want} in steps of {step}");
            assert!((got / step - (got / step).round()).abs() < 1e-4, "{got} is no multiple of {step}");
        }
    }
}
