//! Stacked bars of shares.

use super::{BOTTOM, CHARACTER, HEIGHT, Picture, RIGHT, TOP, WIDTH};

/// Space between bars, share of a bar's place.
const GAP: f64 = 0.15;
/// A bar's greatest width.
const WIDEST: f64 = 80.0;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    pub label: String,
    /// The parts in their order from below; the bar is as high as they add up to, 1 being all of the height.
    pub shares: Vec<f64>,
}

/// Bars side by side, parts in the style sheet's classes `d0`, `d1`, ...; `None` where there are no bars. `axis` is
/// what the labels below are, `names` what the parts are.
pub fn bars(about: &str, axis: &str, names: &[String], bars: &[Bar]) -> Option<String> {
    let count = bars.len();
    if count == 0 {
        return None;
    }
    let left = 14.0 + CHARACTER * "100 %".len() as f64;
    let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
    let place = (right - left) / count as f64;
    let width = (place * (1.0 - GAP)).min(WIDEST);
    let mut picture = Picture::new(HEIGHT, about);
    for mark in 0..=4 {
        let share = f64::from(mark) / 4.0;
        let y = bottom - share * (bottom - TOP);
        picture.add(format!(r#"<path class="grid" d="M{left:.1} {y:.1}H{right:.1}"/>"#));
        picture.text("end", left - 6.0, y + 4.0, &format!("{:.0} %", 100.0 * share));
    }
    // as many labels as there is room for, evenly
    let longest = bars.iter().map(|bar| bar.label.chars().count()).max().unwrap_or(0);
    let every = ((CHARACTER * (longest as f64 + 1.0) / place).ceil() as usize).max(1);
    for (i, bar) in bars.iter().enumerate() {
        let middle = left + (i as f64 + 0.5) * place;
        let mut y = bottom;
        for (part, &share) in bar.shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let height = share * (bottom - TOP);
            y -= height;
            let title = flashlm_host::escaped(&format!("{}: {}, {:.1} %", bar.label, names[part], 100.0 * share));
            picture.add(format!(
                r#"<rect class="d{part}" x="{:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}">"#,
                middle - width / 2.0
            ));
            picture.add(format!("<title>{title}</title></rect>"));
        }
        if i % every == 0 {
            picture.text("middle", middle, bottom + 18.0, &bar.label);
        }
    }
    picture.add(format!(r#"<path class="axis" d="M{left:.1} {TOP}V{bottom:.1}H{right:.1}"/>"#));
    picture.text("middle", (left + right) / 2.0, HEIGHT - 5.0, axis);
    Some(picture.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_on_one_another_and_fill_the_height() {
        let names = ["1 pass", "8 passes"].map(str::to_owned);
        let bar = |label: &str| Bar { label: label.into(), shares: vec![0.75, 0.25] };
        let svg = bars("passes", "time", &names, &[bar("1 <s>"), bar("2 s")]).unwrap();
        let number = |rect: &str, name: &str| -> f64 {
            let rest = rect.split(&format!(" {name}=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().parse().unwrap()
        };
        let rects: Vec<_> = svg.lines().filter(|line| line.starts_with("<rect")).collect();
        assert_eq!(rects.len(), 4);
        let (low, high) = (rects[0], rects[1]);
        assert!((number(low, "y") - (number(high, "y") + number(high, "height"))).abs() < 0.11);
        assert!((number(high, "y") - TOP).abs() < 0.11);
        assert!((number(low, "height") / number(high, "height") - 3.0).abs() < 0.02);
        assert!(svg.contains("1 &lt;s&gt;: 1 pass, 75.0 %") && svg.contains(">25 %</text>"));
        assert_eq!(bars("passes", "time", &names, &[]), None);
    }

    #[test]
    fn labels_that_have_no_room_are_left_out_evenly() {
        let many: Vec<_> = (0..40).map(|i| Bar { label: format!("{i}.0 min"), shares: vec![1.0] }).collect();
        let svg = bars("passes", "time", &["all".into()], &many).unwrap();
        let labels = svg.matches(" min</text>").count();
        assert!((5..=12).contains(&labels), "{labels}");
    }
}
