//! Values of flags: read, and refused with the range they must be in.

use flashlm_core::config::Depth;

/// A parser of finite numbers in `low ..= high`.
pub fn real(unit: &'static str, low: f64, high: f64) -> impl Fn(&str) -> Result<f64, String> + Clone {
    move |s| match s.parse::<f64>() {
        Ok(v) if (low..=high).contains(&v) => Ok(v),
        _ => Err(format!("must be a number in {low} ..= {high} ({unit})")),
    }
}

/// The same, for values the model sees as f32.
pub fn real32(unit: &'static str, low: f64, high: f64) -> impl Fn(&str) -> Result<f32, String> + Clone {
    let parse = real(unit, low, high);
    move |s| parse(s).map(|v| v as f32)
}

/// A parser of multiples of 16 in `low ..= high`: the kernels' tiles are 16 wide.
pub fn multiple_of_16(low: u16, high: u16) -> impl Fn(&str) -> Result<u16, String> + Clone {
    move |s| match s.parse::<u16>() {
        Ok(v) if (low..=high).contains(&v) && v.is_multiple_of(16) => Ok(v),
        _ => Err(format!("must be a multiple of 16 in {low} ..= {high}")),
    }
}

/// Three shares, as `.7,.2,.1`: none negative, not all zero.
pub fn shares(argument: &str) -> Result<[f32; 3], String> {
    let parsed: Result<Vec<f32>, _> = argument.split(',').map(str::parse).collect();
    match parsed.as_deref() {
        Ok(&[a, b, c]) if [a, b, c].iter().all(|v| (0.0..=1.0).contains(v)) && a + b + c > 0.0 => Ok([a, b, c]),
        _ => Err("must be three shares in 0 ..= 1, not all 0, as in .7,.2,.1".into()),
    }
}

/// Three numbers of passes, as `1,3,8`: rising, 1 to 64.
pub fn depths(argument: &str) -> Result<[u8; 3], String> {
    let parsed: Result<Vec<u8>, _> = argument.split(',').map(str::parse).collect();
    match parsed.as_deref() {
        Ok(&[a, b, c]) if 1 <= a && a < b && b < c && c <= 64 => Ok([a, b, c]),
        _ => Err("must be three rising numbers of passes in 1 ..= 64, as in 1,3,8".into()),
    }
}

/// Depth of inference on the command line: one that was asked for, or the model's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DepthArg(pub Option<Depth>);

impl std::str::FromStr for DepthArg {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "model" => Ok(Self(None)),
            asked => asked.parse().map(|depth| Self(Some(depth))).map_err(|e| format!("{e}, or model")),
        }
    }
}
