//! Lines over wall-clock time, with the phases of training behind them.

use super::{Axis, BOTTOM, CHARACTER, Clock, HEIGHT, Picture, RIGHT, TOP, WIDTH};
use crate::report::columns::columns;

/// Columns that a long curve is drawn with: one for every two units of its width.
const COLUMNS: usize = 280;
/// Size of a mark's half on a line of few points.
const DOT: f64 = 3.2;

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stroke {
    /// The mean, and a shade from the least to the greatest value behind it.
    Shaded,
    /// The mean.
    Mean,
    /// Every point, with a dot.
    Dotted,
    /// Rings alone.
    Rings,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Classes of the style sheet.
    pub class: String,
    pub stroke: Stroke,
    /// Seconds and values.
    pub points: Vec<[f64; 2]>,
}

/// A span of time behind the lines.
#[derive(Clone, Debug)]
pub struct Band {
    pub name: String,
    /// Seconds.
    pub span: [f64; 2],
}

/// A picture of lines.
#[derive(Clone, Debug)]
pub struct Lines {
    /// What it shows, with the unit.
    pub about: String,
    pub bands: Vec<Band>,
    pub lines: Vec<Line>,
    /// A value that the vertical axis is to include; usually 0.
    pub include: Option<f64>,
}

impl Lines {
    /// The picture; `None` where no line has a point.
    pub fn svg(&self) -> Option<String> {
        let points = || self.lines.iter().flat_map(|l| &l.points).filter(|p| p.iter().all(|v| v.is_finite()));
        let longest = points().map(|p| p[0]).reduce(f64::max)?.max(1e-9);
        let clock = Clock::up_to(longest);
        let time = Axis::new(0.0, clock.of(longest)).ending_at(clock.of(longest));
        let drawn: Vec<_> = self.lines.iter().map(|line| drawn(line, longest)).collect();
        let extremes = drawn.iter().flatten().flat_map(|p| [p.1, p.2]);
        let value = Axis::around(extremes, self.include);

        let labels: Vec<_> = value.marks().map(|mark| (mark, value.label(mark))).collect();
        let longest_label = labels.iter().map(|(_, label)| label.len()).max().unwrap_or(1);
        let left = 14.0 + CHARACTER * longest_label as f64;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let x = |seconds: f64| left + time.share(clock.of(seconds)).clamp(0.0, 1.0) * (right - left);
        let y = |v: f64| bottom - value.share(v) * (bottom - TOP);

        let mut picture = Picture::new(HEIGHT, &self.about);
        for (i, Band { name, span: [from, to] }) in self.bands.iter().enumerate() {
            let (x, width) = (x(*from), x(*to) - x(*from));
            let shade = if i % 2 == 0 { "even" } else { "odd" };
            picture.add(format!(
                r#"<rect class="band {shade}" x="{x:.1}" y="{TOP}" width="{width:.1}" height="{:.1}"/>"#,
                bottom - TOP
            ));
            if CHARACTER * name.chars().count() as f64 <= width {
                picture.text("phase start", x + 3.0, TOP - 7.0, name);
            }
        }
        for (mark, label) in &labels {
            picture.add(format!(r#"<path class="grid" d="M{left:.1} {0:.1}H{right:.1}"/>"#, y(*mark)));
            picture.text("end", left - 6.0, y(*mark) + 4.0, label);
        }
        for mark in time.marks() {
            let at = left + time.share(mark) * (right - left);
            picture.add(format!(r#"<path class="grid" d="M{at:.1} {bottom:.1}v5"/>"#));
            picture.text("middle", at, bottom + 18.0, &time.label(mark));
        }
        picture.add(format!(r#"<path class="axis" d="M{left:.1} {TOP}V{bottom:.1}H{right:.1}"/>"#));
        picture.text("middle", (left + right) / 2.0, HEIGHT - 5.0, &format!("training time, {}", clock.unit));
        let at = |p: f64, v: f64| format!("{:.1},{:.1}", x(p), y(v));
        for (line, points) in self.lines.iter().zip(&drawn).filter(|(_, points)| !points.is_empty()) {
            let class = &line.class;
            if line.stroke == Stroke::Shaded {
                let above = points.iter().map(|p| at(p.0, p.2));
                let below = points.iter().rev().map(|p| at(p.0, p.1));
                let around: Vec<_> = above.chain(below).collect();
                picture.add(format!(r#"<polygon class="shade {class}" points="{}"/>"#, around.join(" ")));
            }
            if line.stroke != Stroke::Rings {
                let path: Vec<_> = points.iter().map(|p| at(p.0, p.3)).collect();
                picture.add(format!(r#"<polyline class="line {class}" points="{}"/>"#, path.join(" ")));
            }
            // a shade of one point would not be seen
            if matches!(line.stroke, Stroke::Dotted | Stroke::Rings) || points.len() == 1 {
                let kind = if line.stroke == Stroke::Rings { "ring" } else { "dot" };
                for p in points {
                    let title = format!("{}: {:.4}", clock.label(p.0), p.3);
                    picture.add(format!(
                        r#"<circle class="{kind} {class}" cx="{:.1}" cy="{:.1}" r="{DOT}">"#,
                        x(p.0),
                        y(p.3)
                    ));
                    picture.add(format!("<title>{title}</title></circle>"));
                }
            }
        }
        Some(picture.finish())
    }
}

/// Points of a line as they are drawn: seconds, the least and the greatest value there, and the one the line goes
/// through.
fn drawn(line: &Line, longest: f64) -> Vec<(f64, f64, f64, f64)> {
    let points = line.points.iter().copied();
    match line.stroke {
        // many evaluations would be one row of dots
        Stroke::Dotted if line.points.len() > COLUMNS / 2 => mean(points, longest),
        Stroke::Dotted | Stroke::Rings => {
            points.filter(|p| p.iter().all(|v| v.is_finite())).map(|[x, y]| (x, y, y, y)).collect()
        }
        Stroke::Mean => mean(points, longest),
        Stroke::Shaded => {
            let columns = columns(points, [0.0, longest], COLUMNS);
            columns.iter().map(|c| (c.x, c.low, c.high, c.y)).collect()
        }
    }
}

fn mean(points: impl Iterator<Item = [f64; 2]>, longest: f64) -> Vec<(f64, f64, f64, f64)> {
    columns(points, [0.0, longest], COLUMNS).iter().map(|c| (c.x, c.y, c.y, c.y)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(strokes: &[Stroke]) -> Lines {
        let points: Vec<_> = (0..20_000).map(|i| [f64::from(i), 3.0 + (f64::from(i) / 900.0).sin()]).collect();
        let line = |&stroke| Line { class: "c0".into(), stroke, points: points.clone() };
        let band = |name: &str, span| Band { name: name.into(), span };
        Lines {
            about: "loss & more".into(),
            bands: vec![band("foundation", [0.0, 10_000.0]), band("amplification", [19_000.0, 19_999.0])],
            lines: strokes.iter().map(line).collect(),
            include: None,
        }
    }

    /// All coordinates of the points of lines and shades.
    fn coordinates(svg: &str) -> Vec<(f64, f64)> {
        let points = svg.split("points=\"").skip(1).flat_map(|rest| rest.split('"').next().unwrap().split(' '));
        let number = |text: &str| text.parse::<f64>().unwrap();
        points.map(|p| p.split_once(',').map(|(x, y)| (number(x), number(y))).unwrap()).collect()
    }

    #[test]
    fn every_point_lies_within_the_frame_and_long_curves_are_short() {
        let svg = lines(&[Stroke::Shaded, Stroke::Mean, Stroke::Dotted]).svg().unwrap();
        let points = coordinates(&svg);
        assert_eq!(points.len(), 3 * COLUMNS + 2 * COLUMNS);
        for (x, y) in points {
            assert!((30.0..=WIDTH - RIGHT + 0.1).contains(&x) && (TOP - 0.1..=HEIGHT - BOTTOM + 0.1).contains(&y));
        }
        assert!(svg.len() < 50_000, "{} bytes", svg.len());
    }

    #[test]
    fn phases_are_named_where_there_is_room_and_axes_have_their_units() {
        let svg = lines(&[Stroke::Mean]).svg().unwrap();
        assert!(svg.contains(">foundation</text>") && !svg.contains(">amplification</text>"));
        assert_eq!(svg.matches("class=\"band").count(), 2);
        assert!(svg.contains(">training time, hours</text>") && svg.contains("aria-label=\"loss &amp; more\""));
    }

    #[test]
    fn nothing_to_draw_is_no_picture_and_one_point_is_a_dot() {
        assert_eq!(lines(&[]).svg(), None);
        let nothing = Line { class: "c0".into(), stroke: Stroke::Mean, points: vec![[1.0, f64::NAN]] };
        assert_eq!(Lines { lines: vec![nothing.clone()], ..lines(&[]) }.svg(), None);
        let one = Line { points: vec![[1.0, 0.5]], ..nothing };
        let svg = Lines { lines: vec![one], ..lines(&[]) }.svg().unwrap();
        assert_eq!(svg.matches("<circle").count(), 1);
    }
}
