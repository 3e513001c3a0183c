//! The link to a story: what a page that has the model needs to tell it again.

use core::fmt::{Display, Formatter, Result};

use crate::config::Depth;

/// What decides a story, written as the fragment of a page's address:
/// `#seed=7&prompt=The%20cat&temperature=0.7&depth=auto`.
///
/// `pack page` makes such pages. Their other sampling parameters are [`SamplerConfig`](crate::SamplerConfig)'s
/// defaults: a story told with others has no link.
///
/// ```
/// use flashlm_core::{Depth, StoryLink};
/// let link = StoryLink { seed: 7, prompt: "50 % of".as_bytes(), temperature: 0.85, depth: Depth::Fixed(3) };
/// assert_eq!(link.to_string(), "#seed=7&prompt=50%20%25%20of&temperature=0.85&depth=3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StoryLink<'a> {
    /// The sampler's seed.
    pub seed: u64,
    /// The prompt as it was given, white space at its end included.
    pub prompt: &'a [u8],
    /// The sampler's temperature, 0 or more.
    pub temperature: f32,
    /// Passes of the reasoning loop.
    pub depth: Depth,
}

impl Display for StoryLink<'_> {
    /// Percent-encoded: all bytes but letters, digits and `-_.~`.
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "#seed={}&prompt=", self.seed)?;
        for &byte in self.prompt {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => write!(f, "{}", byte as char),
                _ => write!(f, "%{byte:02X}"),
            }?;
        }
        f.write_str("&temperature=")?;
        decimal(f, self.temperature)?;
        write!(f, "&depth={}", self.depth)
    }
}

/// The shortest decimal fraction that is read as `value`; 0 for what the sampler takes for 0. (The standard library's
/// formatting of floats can panic, by its code.)
fn decimal(f: &mut Formatter<'_>, value: f32) -> Result {
    /// Nine digits tell any two floats apart, and the first is at least the fourth behind the point.
    const MOST: usize = 13;
    let mut power = 1u64;
    for digits in 0..=MOST {
        let scaled = (f64::from(value) * power as f64 + 0.5) as u64;
        if (scaled as f64 / power as f64) as f32 == value {
            write!(f, "{}{}", scaled / power.max(1), if digits > 0 { "." } else { "" })?;
            // digit by digit: a width that is asked for can be too much for the standard library
            while power >= 10 {
                power /= 10;
                write!(f, "{}", scaled / power.max(1) % 10)?;
            }
            return Ok(());
        }
        power *= 10;
    }
    f.write_str("0")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn link(prompt: &str, temperature: f32) -> String {
        StoryLink { seed: u64::MAX, prompt: prompt.as_bytes(), temperature, depth: Depth::Adaptive }.to_string()
    }

    #[test]
    fn what_would_end_a_value_or_be_read_as_another_is_encoded() {
        let all = "a+b&c=d#e %\n\"\u{e9}";
        let want = "#seed=18446744073709551615&prompt=a%2Bb%26c%3Dd%23e%20%25%0A%22%C3%A9&temperature=1&depth=auto";
        assert_eq!(link(all, 1.0), want);
    }

    #[test]
    fn temperatures_are_short_and_those_that_mean_0_are_0() {
        for (temperature, want) in [(0.0, "0"), (-0.0, "0"), (0.7, "0.7"), (0.85, "0.85"), (10.0, "10"), (1e-30, "0")] {
            assert!(link("", temperature).contains(&format!("&temperature={want}&")), "{temperature}");
        }
    }

    proptest! {
        #[test]
        fn a_temperature_is_read_back_as_it_was(temperature in 1e-4f32..10.0) {
            let link = link("", temperature);
            let text = link.split("temperature=").nth(1).and_then(|rest| rest.split('&').next());
            // as a page reads it, a double first
            prop_assert_eq!(text.and_then(|text| text.parse::<f64>().ok()).map(|t| t as f32), Some(temperature));
        }
    }
}
