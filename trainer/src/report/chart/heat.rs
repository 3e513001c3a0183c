//! A heat map over wall-clock time: a row a kind, the darker the larger.

use super::{Axis, BOTTOM, CHARACTER, Clock, Picture, RIGHT, WIDTH};

/// Columns of the map.
const COLUMNS: usize = 96;
/// Height of a row.
const ROW: f64 = 13.0;
/// Space above.
const ABOVE: f64 = 6.0;

/// `rows` are the rows' names, `values` for each of the `seconds` a value a row, in their order, from 0. Returns the
/// picture and the largest value, which is drawn darkest; `None` where there is nothing.
pub fn heat(about: &str, rows: &[String], seconds: &[f64], values: &[f32]) -> Option<(String, f64)> {
    let (&longest, kinds) = (seconds.last()?, rows.len());
    if kinds == 0 || values.len() != kinds * seconds.len() {
        return None;
    }
    let columns = COLUMNS.min(seconds.len());
    // means by column and row
    let (mut sums, mut counts) = (vec![0.0; columns * kinds], vec![0u32; columns]);
    for (&at, values) in seconds.iter().zip(values.chunks_exact(kinds)) {
        let column = ((at / longest.max(1e-9) * columns as f64) as usize).min(columns - 1);
        counts[column] += 1;
        sums[column * kinds..][..kinds].iter_mut().zip(values).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    for (sums, &count) in sums.chunks_exact_mut(kinds).zip(&counts) {
        sums.iter_mut().for_each(|sum| *sum /= f64::from(count.max(1)));
    }
    let largest = sums.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
    let clock = Clock::up_to(longest);
    let time = Axis::new(0.0, clock.of(longest)).ending_at(clock.of(longest));
    let left = 14.0 + CHARACTER * rows.iter().map(|row| row.chars().count()).max().unwrap_or(1) as f64;
    let right = WIDTH - RIGHT;
    let bottom = ABOVE + ROW * kinds as f64;
    let height = bottom + BOTTOM;
    let width = (right - left) / columns as f64;
    let mut picture = Picture::new(height, about);
    for (row, name) in rows.iter().enumerate() {
        let y = ABOVE + ROW * row as f64;
        picture.text("end small", left - 6.0, y + ROW - 3.0, name);
        for column in (0..columns).filter(|&column| counts[column] > 0) {
            let share = sums[column * kinds + row] / largest.max(f64::MIN_POSITIVE);
            let x = left + width * column as f64;
            // what nobody would see is not drawn
            if share >= 0.005 {
                picture.add(format!(
                    r#"<rect class="heat" x="{x:.1}" y="{y:.0}" width="{:.1}" height="{}" fill-opacity="{share:.2}"/>"#,
                    width + 0.05,
                    ROW - 1.0
                ));
            }
        }
    }
    for mark in time.marks() {
        let at = left + time.share(mark) * (right - left);
        picture.add(format!(r#"<path class="grid" d="M{at:.1} {bottom:.1}v5"/>"#));
        picture.text("middle", at, bottom + 18.0, &time.label(mark));
    }
    picture.add(format!(r#"<path class="axis" d="M{left:.1} {ABOVE}V{bottom:.1}H{right:.1}"/>"#));
    picture.text("middle", (left + right) / 2.0, height - 5.0, &format!("training time, {}", clock.unit));
    Some((picture.finish(), largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_mean_is_darkest_and_rows_keep_their_place() {
        let seconds: Vec<f64> = (1..=1000).map(f64::from).collect();
        let values: Vec<f32> = seconds.iter().flat_map(|_| [0.8, 0.2, 0.0]).collect();
        let rows = ["0", "1", "2"].map(str::to_owned);
        let (svg, largest) = heat("use", &rows, &seconds, &values).unwrap();
        assert!((largest - 0.8).abs() < 1e-6);
        let of = |opacity: &str| svg.lines().filter(|line| line.contains(opacity)).collect::<Vec<_>>();
        let (dark, light) = (of("fill-opacity=\"1.00\""), of("fill-opacity=\"0.25\""));
        assert_eq!((dark.len(), light.len(), svg.matches("<rect").count()), (COLUMNS, COLUMNS, 2 * COLUMNS));
        assert!(dark.iter().all(|rect| rect.contains(&format!("y=\"{ABOVE:.0}\""))));
        assert!(light.iter().all(|rect| rect.contains(&format!("y=\"{:.0}\"", ABOVE + ROW))));
    }

    #[test]
    fn nothing_is_no_map() {
        assert_eq!(heat("use", &[], &[1.0], &[]), None);
        assert_eq!(heat("use", &["0".into()], &[], &[]), None);
    }
}
