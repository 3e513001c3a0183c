//! Curves as an SVG: lines, bands around them, axes, a legend, nothing else.

use std::fmt::Write;

use flashlm_host::escaped;

use crate::report::Axis;

/// The picture and the axes' frame in it, pixels.
const SIZE: [f64; 2] = [800.0, 480.0];
const LEFT: f64 = 64.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 48.0;
/// Room right of the frame beside a legend's text, and for each of its letters.
const RIGHT: f64 = 60.0;
const LETTER: f64 = 7.2;
/// The least width of the frame.
const FRAME: f64 = 480.0;
/// Colours that colour-blind readers tell apart (Okabe and Ito, 2008); then the same, dashed and dotted.
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
const DASHES: [&str; 3] = ["", " stroke-dasharray=\"7 4\"", " stroke-dasharray=\"2 3\""];

/// A curve's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    /// Half the band's height; 0 where there is none.
    pub spread: f64,
}

/// A line with its band.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub name: String,
    /// By rising x.
    pub points: Vec<Point>,
}

/// The curves over an x axis that begins at 0; the axes' names say the units.
pub fn svg(curves: &[Curve], x_name: &str, y_name: &str) -> String {
    let sound = |p: &&Point| p.x.is_finite() && p.y.is_finite() && p.spread.is_finite();
    let points = || curves.iter().flat_map(|curve| &curve.points).filter(sound);
    let across = Axis::new(0.0, points().map(|p| p.x).fold(0.0, f64::max));
    let low = points().map(|p| p.y - p.spread).fold(f64::INFINITY, f64::min);
    let high = points().map(|p| p.y + p.spread).fold(f64::NEG_INFINITY, f64::max);
    let up = if low <= high { Axis::new(low, high) } else { Axis::new(0.0, 1.0) };
    let letters = curves.iter().map(|curve| curve.name.chars().count()).max().unwrap_or(0);
    let legend = RIGHT + LETTER * letters as f64;
    let (width, height) = (SIZE[0].max(LEFT + FRAME + legend).ceil(), SIZE[1]);
    let (right, bottom) = ((width - legend).floor(), height - BOTTOM);
    let x = |v: f64| LEFT + across.share(v) * (right - LEFT);
    let y = |v: f64| bottom - up.share(v) * (bottom - TOP);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    // writing to a string cannot fail
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    for mark in across.marks() {
        let x = x(mark);
        line(format!("<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>"));
        let at = bottom + 18.0;
        line(format!("<text x=\"{x:.1}\" y=\"{at}\" text-anchor=\"middle\">{}</text>", across.label(mark)));
    }
    for mark in up.marks() {
        let y = y(mark);
        line(format!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>"));
        let (at, below) = (LEFT - 8.0, y + 4.0);
        line(format!("<text x=\"{at}\" y=\"{below:.1}\" text-anchor=\"end\">{}</text>", up.label(mark)));
    }
    line(format!("<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#444\"/>"));
    let (middle, below) = ((LEFT + right) / 2.0, height - 10.0);
    line(format!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{}</text>", escaped(x_name)));
    line(format!("<text x=\"{LEFT}\" y=\"14\">{}</text>", escaped(y_name)));
    let style = |i: usize| (COLOURS[i % COLOURS.len()], DASHES[i / COLOURS.len() % DASHES.len()]);
    let path = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        points.map(|(px, py)| format!("{:.1},{:.1}", x(px), y(py))).collect::<Vec<_>>().join(" ")
    };
    // all bands below all lines
    for (i, curve) in curves.iter().enumerate().filter(|(_, curve)| curve.points.iter().any(|p| p.spread > 0.0)) {
        let edge = |sign: f64| curve.points.iter().filter(sound).map(move |p| (p.x, p.y + sign * p.spread));
        let points = path(&mut edge(1.0).chain(edge(-1.0).collect::<Vec<_>>().into_iter().rev()));
        line(format!("<polygon points=\"{points}\" fill=\"{}\" fill-opacity=\"0.18\"/>", style(i).0));
    }
    for (i, curve) in curves.iter().enumerate() {
        let (colour, dash) = style(i);
        let points = path(&mut curve.points.iter().filter(sound).map(|p| (p.x, p.y)));
        line(format!("<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"));
        // so that a curve of one point is seen too
        if let Some(last) = curve.points.iter().rfind(sound) {
            line(format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", x(last.x), y(last.y)));
        }
        let (at, row) = (right + 16.0, TOP + 12.0 + 20.0 * i as f64);
        line(format!("<path d=\"M{at} {row}h20\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>"));
        line(format!("<text x=\"{}\" y=\"{}\">{}</text>", at + 26.0, row + 4.0, escaped(&curve.name)));
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, points: &[(f64, f64, f64)]) -> Curve {
        let points = points.iter().map(|&(x, y, spread)| Point { x, y, spread }).collect();
        Curve { name: name.into(), points }
    }

    /// The points of every element called `element`.
    fn points(text: &str, element: &str) -> Vec<Vec<(f64, f64)>> {
        let lines = text.lines().filter(|l| l.starts_with(&format!("<{element} ")));
        let point = |point: &str| {
            let (x, y) = point.split_once(',').unwrap();
            (x.parse().unwrap(), y.parse().unwrap())
        };
        lines.map(|line| line.split('"').nth(1).unwrap().split(' ').map(point).collect()).collect()
    }

    #[test]
    fn every_point_and_band_lies_within_the_frame() {
        let a = curve("one", &[(0.5, 1.9, 0.3), (1.0, 1.2, 0.1), (10.0, 0.61, 0.2)]);
        let b = curve("two", &[(0.75, 1.4, 0.0), (10.01, 0.75, 0.0)]);
        let text = svg(&[a, b], "minutes", "bits");
        let (lines, bands) = (points(&text, "polyline"), points(&text, "polygon"));
        assert_eq!((lines.iter().map(Vec::len).collect::<Vec<_>>(), bands.len()), (vec![3, 2], 1));
        let right = SIZE[0] - RIGHT - 3.0 * LETTER;
        for (x, y) in lines.iter().chain(&bands).flatten() {
            assert!((LEFT..=right).contains(x) && (TOP..=SIZE[1] - BOTTOM).contains(y), "{x} {y}");
        }
        // there along the upper edge, which has the smaller y, and back along the lower
        let (line, band) = (&lines[0], &bands[0]);
        for (i, (x, y)) in line.iter().enumerate() {
            let (upper, lower) = (band[i], band[5 - i]);
            assert!(upper.0 == *x && lower.0 == *x && upper.1 < *y && lower.1 > *y, "{upper:?} {lower:?}");
            assert!((upper.1 + lower.1 - 2.0 * y).abs() < 0.3);
        }
        assert!(text.contains(">one</text>") && text.contains(">two</text>") && text.contains(">bits</text>"));
    }

    #[test]
    fn long_names_widen_the_picture_and_are_escaped() {
        let text = svg(&[curve(&"a<b".repeat(40), &[(1.0, 1.0, 0.0)])], "x", "y");
        let width: f64 = text.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(width >= LEFT + FRAME + 120.0 * LETTER, "{width}");
        assert!(text.contains("a&lt;ba&lt;b") && !text.contains("a<b"));
    }

    #[test]
    fn nothing_to_draw_is_still_a_picture() {
        assert!(svg(&[curve("empty", &[])], "x", "y").ends_with("</svg>\n"));
    }
}
