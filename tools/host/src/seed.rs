//! Seeds of random text.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;

/// A seed as a person gives it: a number, or `random` for one that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The number.
    pub value: u64,
    /// Whether it was drawn, so that it has to be shown for the text to be had again.
    pub drawn: bool,
}

impl From<u64> for Seed {
    fn from(value: u64) -> Self {
        Self { value, drawn: false }
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "random" {
            // a hash map's keys are drawn by the system; 32 bits are enough to differ, and short enough to be typed
            let value = RandomState::new().hash_one(()) & u64::from(u32::MAX);
            return Ok(Self { value, drawn: true });
        }
        let value = text.parse().map_err(|_| format!("expected a whole number from 0 to {}, or random", u64::MAX));
        value.map(|value| Self { value, drawn: false }).map_err(|error| format!("{error}, found {text:?}"))
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_is_a_number_or_drawn_anew_each_time() {
        assert_eq!("7".parse(), Ok(Seed::from(7)));
        assert_eq!(u64::MAX.to_string().parse(), Ok(Seed::from(u64::MAX)));
        let drawn: BTreeSet<u64> = (0..20).map(|_| "random".parse::<Seed>().unwrap()).map(|seed| seed.value).collect();
        assert!(drawn.len() > 15, "{drawn:?}");
        let seed: Seed = "random".parse().unwrap();
        assert!(seed.drawn && seed.to_string().parse() == Ok(Seed::from(seed.value)));
        for bad in ["", "-1", "1.5", "18446744073709551616", "Random", "dice"] {
            let error = bad.parse::<Seed>().unwrap_err();
            assert!(error.contains("0 to 18446744073709551615, or random") && error.ends_with(&format!("{bad:?}")));
        }
    }
}
