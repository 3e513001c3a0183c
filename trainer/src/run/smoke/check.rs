//! A check, its limits, and what came out.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

/// What a figure has to keep within. NaN keeps within none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// More than this.
    Above(f64),
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// From the first to the second, both included.
    Within(f64, f64),
}

impl Limit {
    /// Whether `value` keeps within it.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::Above(low) => value > low,
            Self::AtLeast(low) => value >= low,
            Self::AtMost(high) => value <= high,
            Self::Within(low, high) => (low..=high).contains(&value),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Above(low) => write!(f, "more than {low}"),
            Self::AtLeast(low) => write!(f, "at least {low}"),
            Self::AtMost(0.0) => f.write_str("0"),
            Self::AtMost(high) => write!(f, "at most {high}"),
            Self::Within(low, high) if low == high => write!(f, "{low}"),
            Self::Within(low, high) => write!(f, "{low} to {high}"),
        }
    }
}

/// One number that a check measures.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    pub what: &'static str,
    pub unit: &'static str,
    pub limit: Limit,
}

/// A check over a context `C`.
pub struct Check<C: 'static> {
    pub name: &'static str,
    /// What has to be so.
    pub what: &'static str,
    pub figures: &'static [Figure],
    /// Measures the figures, in their order.
    pub run: fn(&mut C) -> anyhow::Result<Vec<f64>>,
}

/// A figure measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    what: &'static str,
    /// `null` where it is no number.
    value: f64,
    unit: &'static str,
    limit: String,
    passed: bool,
}

/// What a check found.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    number: usize,
    pub name: &'static str,
    what: &'static str,
    pub passed: bool,
    /// Its time; that of a training which later checks share counts for the first of them.
    seconds: f64,
    figures: Vec<Measured>,
    /// Why there are no figures.
    error: Option<String>,
}

impl Outcome {
    /// Runs a check. It passes if all its figures were measured and keep within their limits.
    pub fn of<C>(number: usize, check: &Check<C>, context: &mut C) -> Self {
        let started = Instant::now();
        let result = (check.run)(context).and_then(|values| match values.len() == check.figures.len() {
            true => Ok(values),
            false => Err(anyhow::anyhow!("{} figures where {} were expected", values.len(), check.figures.len())),
        });
        let (values, error) = match result {
            Ok(values) => (values, None),
            Err(error) => (vec![], Some(format!("{error:#}"))),
        };
        let figures: Vec<Measured> = check
            .figures
            .iter()
            .zip(values)
            .map(|(f, value)| Measured {
                what: f.what,
                value,
                unit: f.unit,
                limit: f.limit.to_string(),
                passed: f.limit.holds(value),
            })
            .collect();
        Self {
            number,
            name: check.name,
            what: check.what,
            passed: error.is_none() && figures.iter().all(|f| f.passed),
            seconds: started.elapsed().as_secs_f64(),
            figures,
            error,
        }
    }
}

/// Pass or fail.
fn verdict(passed: bool) -> &'static str {
    if passed { "PASS" } else { "FAIL" }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:2} {}  {} ({:.1} s): {}",
            self.number,
            verdict(self.passed),
            self.name,
            self.seconds,
            self.what
        )?;
        if let Some(error) = &self.error {
            writeln!(f, "       error: {error}")?;
        }
        for m in &self.figures {
            let value = format!("{} {}", number(m.value), m.unit);
            let mark = if m.passed { "" } else { "  <- FAIL" };
            writeln!(f, "       {:<50} {:<18} limit: {}{mark}", m.what, value.trim_end(), m.limit)?;
        }
        Ok(())
    }
}

/// A number to three digits or so.
fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value}"),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1e-2.. => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    }
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    pub threads: usize,
    pub seed: u64,
    pub seconds: f64,
    /// How many passed.
    pub passed: usize,
    pub checks: Vec<Outcome>,
}

impl Report {
    /// Names of the checks that failed.
    pub fn failures(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|c| !c.passed).map(|c| c.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Limit::*;
    use super::*;

    #[test]
    fn limits_hold_at_their_edges_and_never_for_nan() {
        let cases = [
            (Above(0.0), [1e-9, 5.0], [0.0, -1.0]),
            (AtLeast(0.9), [0.9, 1.0], [0.899, -0.9]),
            (AtMost(0.0), [0.0, -1.0], [1e-9, 1.0]),
            (Within(16.0, 16.0), [16.0, 16.0], [15.0, 17.0]),
        ];
        for (limit, within, beyond) in cases {
            assert!(within.into_iter().all(|v| limit.holds(v)), "{limit}");
            assert!(!beyond.into_iter().any(|v| limit.holds(v)), "{limit}");
            assert!(!limit.holds(f64::NAN), "{limit}");
        }
    }

    fn check(run: fn(&mut f64) -> anyhow::Result<Vec<f64>>) -> Check<f64> {
        const FIGURES: &[Figure] = &[
            Figure { what: "right", unit: "", limit: AtLeast(0.9) },
            Figure { what: "speed", unit: "tokens/s", limit: Above(10.0) },
        ];
        Check { name: "example", what: "something holds", figures: FIGURES, run }
    }

    #[test]
    fn a_check_passes_only_if_every_figure_is_there_and_within_its_limit() {
        let both = check(|x| Ok(vec![*x, 20.0]));
        for (mut right, passes) in [(0.95, true), (0.85, false), (f64::NAN, false)] {
            assert_eq!(Outcome::of(1, &both, &mut right).passed, passes, "{right}");
        }
        for wrong in [
            check(|_| Ok(vec![])),
            check(|x| Ok(vec![*x])),
            check(|x| Ok(vec![*x, 20.0, 20.0])),
            check(|_| anyhow::bail!("broken")),
        ] {
            let outcome = Outcome::of(1, &wrong, &mut 0.95);
            assert!(!outcome.passed && outcome.error.is_some());
        }
    }

    #[test]
    fn a_report_shows_figures_limits_and_what_failed() {
        let good = Outcome::of(1, &check(|x| Ok(vec![*x, 1234.5])), &mut 0.95);
        let bad = Outcome::of(2, &Check { name: "other", ..check(|_| Ok(vec![0.5, 20.0])) }, &mut 0.0);
        let text = good.to_string();
        assert!(
            text.starts_with(" 1 PASS  example") && text.contains("1234 tokens/s") && !text.contains("FAIL"),
            "{text}"
        );
        assert!(text.contains("limit: at least 0.9") && text.contains("limit: more than 10"), "{text}");
        let text = bad.to_string();
        assert!(text.starts_with(" 2 FAIL  other") && text.matches("<- FAIL").count() == 1, "{text}");
        let report = Report { checks: vec![good, bad], passed: 1, ..Report::default() };
        assert_eq!(report.failures(), ["other"]);
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["checks"][1]["figures"][0]["value"], 0.5);
        assert_eq!(json["checks"][1]["figures"][0]["limit"], "at least 0.9");
        assert_eq!((&json["checks"][0]["passed"], &json["checks"][1]["passed"]), (&true.into(), &false.into()));
    }

    #[test]
    fn numbers_keep_three_digits() {
        for (value, text) in [(0.3456, "0.346"), (16.0, "16"), (99.87, "99.9"), (2481.3, "2481"), (3.2e-5, "3.2e-5")] {
            assert_eq!(number(value), text);
        }
    }
}
