//! Bits per character over wall-clock time as an SVG: lines, axes, a legend, nothing else.

use std::fmt::Write;

use crate::report::Axis;

/// The picture and the axes' frame in it, pixels.
const SIZE: [f64; 2] = [800.0, 480.0];
const LEFT: f64 = 64.0;
const RIGHT: f64 = 160.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 48.0;
/// Colours that colour-blind readers tell apart (Okabe and Ito, 2008).
const COLOURS: [&str; 7] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];

/// One line each: its name and its (seconds, bits per character).
pub fn svg(curves: &[(&str, &[[f64; 2]])]) -> String {
    let points = || curves.iter().flat_map(|(_, points)| points.iter()).filter(|p| p.iter().all(|v| v.is_finite()));
    let minutes = Axis::new(0.0, points().map(|p| p[0] / 60.0).fold(0.0, f64::max));
    let low = points().map(|p| p[1]).fold(f64::INFINITY, f64::min);
    let high = points().map(|p| p[1]).fold(f64::NEG_INFINITY, f64::max);
    let bpc = if low <= high { Axis::new(low, high) } else { Axis::new(0.0, 1.0) };
    let x = |v: f64| LEFT + minutes.share(v) * (SIZE[0] - LEFT - RIGHT);
    let y = |v: f64| SIZE[1] - BOTTOM - bpc.share(v) * (SIZE[1] - TOP - BOTTOM);
    let [width, height] = SIZE;
    let (right, bottom) = (width - RIGHT, height - BOTTOM);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    // writing to a string cannot fail
    let mut line = |text: String| {
        let _ = writeln!(out, "{text}");
    };
    for mark in minutes.marks() {
        let x = x(mark);
        line(format!("<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>"));
        let at = bottom + 18.0;
        line(format!("<text x=\"{x:.1}\" y=\"{at}\" text-anchor=\"middle\">{}</text>", minutes.label(mark)));
    }
    for mark in bpc.marks() {
        let y = y(mark);
        line(format!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#ddd\"/>"));
        let (at, below) = (LEFT - 8.0, y + 4.0);
        line(format!("<text x=\"{at}\" y=\"{below:.1}\" text-anchor=\"end\">{}</text>", bpc.label(mark)));
    }
    line(format!("<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#444\"/>"));
    let (middle, below) = ((LEFT + right) / 2.0, height - 10.0);
    line(format!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">training, minutes</text>"));
    line(format!("<text x=\"{LEFT}\" y=\"14\">held-out bits per character</text>"));
    for (i, (name, points)) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points = points.iter().filter(|p| p.iter().all(|v| v.is_finite()));
        let path: Vec<String> = points.map(|p| format!("{:.1},{:.1}", x(p[0] / 60.0), y(p[1]))).collect();
        let path = path.join(" ");
        line(format!("<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        let (at, row) = (right + 16.0, TOP + 12.0 + 20.0 * i as f64);
        line(format!("<path d=\"M{at} {row}h20\" stroke=\"{colour}\" stroke-width=\"2\"/>"));
        line(format!("<text x=\"{}\" y=\"{}\">{name}</text>", at + 26.0, row + 4.0));
    }
    out.push_str("</svg>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_lies_within_the_frame() {
        let (a, b) = ([[30.0, 1.9], [60.0, 1.2], [600.0, 0.61]], [[45.0, 1.4], [601.0, 0.75]]);
        let text = svg(&[("one", &a), ("two", &b)]);
        let lines: Vec<_> = text.lines().filter(|l| l.starts_with("<polyline")).collect();
        assert_eq!(lines.len(), 2);
        for (line, count) in lines.iter().zip([3, 2]) {
            let points = line.split('"').nth(1).unwrap();
            assert_eq!(points.split(' ').count(), count);
            for point in points.split(' ') {
                let (x, y) = point.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((LEFT..=SIZE[0] - RIGHT).contains(&x) && (TOP..=SIZE[1] - BOTTOM).contains(&y), "{point}");
            }
        }
        assert!(text.contains(">one</text>") && text.contains(">two</text>"));
    }

    #[test]
    fn nothing_to_draw_is_still_a_picture() {
        assert!(svg(&[("empty", &[])]).ends_with("</svg>\n"));
    }
}
