//! What a person can set about generation: one parser and one range for each, shared by flags and `/commands`.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use flashlm_core::config::{Depth, RcsmConfig};
use flashlm_core::sampler::MAX_CANDIDATES;
use flashlm_core::{Kernels, StoryLink};

use crate::screen::Pace;

/// Sampling, where a story ends, and how it is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// 0 is greedy.
    pub temperature: f32,
    /// Tokens kept, the most likely first, at most [`MAX_CANDIDATES`]; 0 keeps that many.
    pub top_k: u32,
    /// Probability mass kept.
    pub top_p: f32,
    /// Tokens less likely than this share of the likeliest are dropped.
    pub min_p: f32,
    /// Logits of recent tokens are divided (or, where negative, multiplied) by this.
    pub repeat: f32,
    pub seed: u64,
    /// `None`: what the model's file says.
    pub depth: Option<Depth>,
    /// The most tokens generated at a time.
    pub length: usize,
    /// Texts that a story ends before.
    pub stop: Vec<String>,
    pub pace: Pace,
    /// Whether to follow what the reasoning loop does for every token.
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_k: 0,
            top_p: 0.95,
            min_p: 0.0,
            repeat: 1.0,
            seed: 1,
            depth: None,
            length: 400,
            stop: Vec::new(),
            pace: Pace::Off,
            trace: false,
        }
    }
}

impl Settings {
    /// What of them, the seed apart, decides which tokens are drawn, for models that run at `depth` by default.
    pub fn drawing(&self, depth: Depth) -> String {
        let Self { temperature, top_k, top_p, min_p, repeat, .. } = self;
        let depth = self.depth.unwrap_or(depth);
        format!("depth {depth}, temp {temperature}, top-k {top_k}, top-p {top_p}, min-p {min_p}, repeat {repeat}")
    }
}

impl Settings {
    /// The link that has a page of `pack page` tell the story that a model running at `depth` tells after `prompt`.
    ///
    /// # Errors
    /// It would be another story: a link says neither how else tokens are drawn nor where to stop.
    pub fn link(&self, prompt: &str, depth: Depth) -> Result<String, String> {
        let &Self { seed, temperature, .. } = self;
        let usual =
            Self { top_k: self.top_k, top_p: self.top_p, min_p: self.min_p, repeat: self.repeat, ..Self::default() };
        if usual != Self::default() || !self.stop.is_empty() {
            return Err(
                "--link: expected no other sampling than --temperature and no --stop, which a link cannot say".into()
            );
        }
        Ok(StoryLink { seed, prompt: prompt.as_bytes(), temperature, depth }.to_string())
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { temperature, top_k, top_p, min_p, repeat, seed, depth, length, stop, pace, trace } = self;
        write!(f, "temp {temperature}, top-k {top_k}, top-p {top_p}, min-p {min_p}, repeat {repeat}, seed {seed}, ")?;
        let (depth, trace) = (depth.map_or("as trained".into(), |d| d.to_string()), if *trace { "on" } else { "off" });
        write!(f, "depth {depth}, ")?;
        stop.iter().try_for_each(|word| write!(f, "stop {word:?}, "))?;
        write!(f, "pace {pace}, trace {trace}, length {length}")
    }
}

fn float(text: &str, range: RangeInclusive<f32>) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("expected a number from {} to {}, found {text:?}", range.start(), range.end())),
    }
}

fn whole(text: &str, range: RangeInclusive<u64>) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!("expected a whole number from {} to {}, found {text:?}", range.start(), range.end())),
    }
}

pub fn temperature(text: &str) -> Result<f32, String> {
    float(text, 0.0..=10.0)
}

pub fn top_p(text: &str) -> Result<f32, String> {
    let value = float(text, 0.0..=1.0)?;
    if value > 0.0 { Ok(value) } else { Err("expected a number above 0, up to 1".into()) }
}

pub fn min_p(text: &str) -> Result<f32, String> {
    float(text, 0.0..=1.0)
}

pub fn repeat(text: &str) -> Result<f32, String> {
    float(text, 0.1..=10.0)
}

pub fn top_k(text: &str) -> Result<u32, String> {
    whole(text, 0..=MAX_CANDIDATES as u64).map(|k| k as u32)
}

pub fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

pub fn length(text: &str) -> Result<usize, String> {
    whole(text, 1..=1_000_000).map(|n| n as usize)
}

/// A time, in seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    float(text, 0.1..=86400.0).map(|seconds| Duration::from_millis((f64::from(seconds) * 1e3).round() as u64))
}

/// A text to stop at.
pub fn stop(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected a text to stop at, found none".into()) } else { Ok(text.into()) }
}

/// `on` or `off`.
pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("expected on or off, found {text:?}")),
    }
}

/// The name of an instruction set this processor has.
pub fn level(text: &str) -> Result<Kernels, String> {
    // what the trainer calls it
    let text = if text == "portable" { "scalar" } else { text };
    Kernels::available().find(|kernels| kernels.level().name() == text).ok_or_else(|| {
        let names: Vec<_> = Kernels::available().map(|kernels| kernels.level().name()).collect();
        format!("expected one of this processor's: {}, found {text:?}", names.join(", "))
    })
}

/// `auto`, or a number of passes. Whether the model has it is [`flashlm_host::check_depth`]'s question.
pub fn depth(text: &str) -> Result<Depth, String> {
    text.parse().map_err(|e| format!("{e}, found {text:?}"))
}

/// Refuses to follow a reasoning loop that the model does not have.
pub fn check_trace(trace: bool, rcsm: Option<&RcsmConfig>) -> Result<(), String> {
    match rcsm {
        None if trace => Err("this model has no reasoning loop, so there is nothing to trace".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use flashlm_host::check_depth;

    use super::*;

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        assert_eq!(temperature("0.8"), Ok(0.8));
        for bad in ["-1", "11", "NaN", "inf", "warm", ""] {
            assert!(temperature(bad).unwrap_err().contains("from 0 to 10"), "{bad}");
        }
        for bad in ["0", "1.5", "NaN"] {
            assert!(top_p(bad).is_err(), "{bad}");
        }
        assert_eq!(seconds("0.3"), Ok(Duration::from_millis(300)));
        assert!(seconds("0").unwrap_err().contains("from 0.1 to 86400") && seconds("NaN").is_err());
        assert!(length("0").unwrap_err().contains("from 1 to"));
        assert!(repeat("0").is_err() && min_p("1.01").is_err() && top_k("-3").is_err() && seed("x").is_err());
    }

    #[test]
    fn only_the_models_own_depths_pass() {
        let rcsm = RcsmConfig::DEFAULT;
        for good in ["1", "2", "8", "auto"] {
            assert_eq!(check_depth(depth(good).unwrap(), Some(&rcsm)), Ok(()));
        }
        assert!(check_depth(depth("9").unwrap(), Some(&rcsm)).unwrap_err().contains("1 to 8 and auto, found 9"));
        assert!(check_depth(Depth::Adaptive, None).is_err());
        assert!(check_trace(true, None).is_err() && check_trace(true, Some(&rcsm)).is_ok());
        assert!(check_trace(false, None).is_ok() && switch("maybe").is_err());
        assert!(depth("0").is_err() && depth("deep").is_err());
    }

    #[test]
    fn a_link_is_refused_where_it_would_tell_another_story() {
        let link = |settings: Settings| settings.link("The cat", Depth::Adaptive);
        let usual = Settings { seed: 7, temperature: 0.85, length: 9, ..Settings::default() };
        assert_eq!(link(usual.clone()).unwrap(), "#seed=7&prompt=The%20cat&temperature=0.85&depth=auto");
        for other in [
            Settings { top_k: 5, ..usual.clone() },
            Settings { top_p: 0.5, ..usual.clone() },
            Settings { min_p: 0.1, ..usual.clone() },
            Settings { repeat: 1.1, ..usual.clone() },
            Settings { stop: vec!["The end".into()], ..usual },
        ] {
            assert!(link(other).unwrap_err().contains("--link"));
        }
    }

    #[test]
    fn levels_go_by_name_and_only_where_the_processor_has_them() {
        assert_eq!(level("scalar"), Ok(Kernels::scalar()));
        assert!(level("abacus").unwrap_err().contains("scalar"));
    }
}
