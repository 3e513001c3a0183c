//! Pictures of figures: lines over time, stacked bars, heat maps, as SVG for a page whose style sheet colours them.

mod axis;
mod bars;
mod heat;
mod lines;

use std::fmt::Write;

use flashlm_host::escaped;

pub use self::axis::Axis;
pub use self::bars::{Bar, bars};
pub use self::heat::heat;
pub use self::lines::{Band, Line, Lines, Stroke};

/// Width of every picture and height of most, in the units of their view boxes; the page scales them.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
/// Room above, on the right and below: for the phases' names, half a mark's label, and the marks with the axis' name.
const TOP: f64 = 22.0;
const RIGHT: f64 = 22.0;
const BOTTOM: f64 = 42.0;
/// Width of a character of a label, by which room is measured; wider than most.
const CHARACTER: f64 = 6.6;
/// Colours of the style sheet for lines.
const COLOURS: usize = 7;

/// The class of the `index`th line: colours, and when those are used up the same ones with dashes.
pub fn colour(index: usize) -> String {
    format!("c{} k{}", index % COLOURS, index / COLOURS % 3)
}

/// Wall-clock time in the unit that suits the longest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    pub unit: &'static str,
    /// Seconds in it.
    seconds: f64,
}

impl Clock {
    /// Seconds, minutes or hours.
    pub fn up_to(seconds: f64) -> Self {
        match seconds {
            s if s < 180.0 => Self { unit: "seconds", seconds: 1.0 },
            s if s < 3.0 * 3600.0 => Self { unit: "minutes", seconds: 60.0 },
            _ => Self { unit: "hours", seconds: 3600.0 },
        }
    }

    /// So many seconds in the unit.
    pub fn of(self, seconds: f64) -> f64 {
        seconds / self.seconds
    }

    /// The same with a digit behind the point and the unit's first letters.
    pub fn label(self, seconds: f64) -> String {
        let short = match self.unit {
            "seconds" => "s",
            "minutes" => "min",
            _ => "h",
        };
        format!("{:.1} {short}", self.of(seconds))
    }
}

/// A picture being drawn.
struct Picture {
    out: String,
}

impl Picture {
    /// `about` is read to those who do not see it.
    fn new(height: f64, about: &str) -> Self {
        let about = escaped(about);
        let out = format!(r#"<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{about}">"#);
        Self { out }
    }

    fn add(&mut self, text: impl AsRef<str>) {
        self.out.push('\n');
        self.out.push_str(text.as_ref());
    }

    /// A label of class `class` (`start`, `middle` or `end`, by what of it stands at x).
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        // writing to a string cannot fail
        let _ = write!(self.out, "\n<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
    }

    fn finish(mut self) -> String {
        self.out.push_str("\n</svg>");
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_told_in_the_unit_that_suits_it() {
        assert_eq!(Clock::up_to(100.0).label(90.0), "90.0 s");
        assert_eq!(Clock::up_to(7200.0).label(90.0), "1.5 min");
        assert_eq!(Clock::up_to(43_200.0).label(5400.0), "1.5 h");
    }
}
