//! Long curves as wide as a picture: what falls into one column of it becomes one mean, with the extremes.

/// What fell into a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// Means of the points.
    pub x: f64,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

/// Sorts points into `count` columns of equal width between `from` and `to`, and returns those that are not empty in
/// their order. Points outside go to the column at that end; what is not finite is left out.
pub fn columns(points: impl Iterator<Item = [f64; 2]>, [from, to]: [f64; 2], count: usize) -> Vec<Column> {
    let last = count.max(1) - 1;
    let mut sums: Vec<Option<(u32, Column)>> = vec![None; last + 1];
    for [x, y] in points.filter(|point| point.iter().all(|v| v.is_finite())) {
        let share = (x - from) / (to - from).max(f64::MIN_POSITIVE);
        let at = ((share * count as f64).max(0.0) as usize).min(last);
        let new = Column { x: 0.0, y: 0.0, low: f64::INFINITY, high: f64::NEG_INFINITY };
        let (n, sum) = sums[at].get_or_insert((0, new));
        *n += 1;
        *sum = Column { x: sum.x + x, y: sum.y + y, low: sum.low.min(y), high: sum.high.max(y) };
    }
    let mean = |(n, sum): (u32, Column)| Column { x: sum.x / f64::from(n), y: sum.y / f64::from(n), ..sum };
    sums.into_iter().flatten().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_the_mean_and_the_extremes_of_its_points() {
        let points = [[0.0, 1.0], [1.0, 5.0], [4.9, 3.0], [5.0, 9.0], [6.0, f64::NAN], [10.0, 7.0]];
        let got = columns(points.into_iter(), [0.0, 10.0], 2);
        let first = Column { x: 5.9 / 3.0, y: 3.0, low: 1.0, high: 5.0 };
        assert_eq!(got, [first, Column { x: 7.5, y: 8.0, low: 7.0, high: 9.0 }]);
    }

    #[test]
    fn a_long_curve_becomes_no_longer_than_its_columns_and_keeps_its_spike() {
        let points = (0..100_000).map(|i| [i as f64, if i == 70_123 { 50.0 } else { 1.0 }]);
        let got = columns(points, [0.0, 99_999.0], 300);
        assert_eq!(got.len(), 300);
        assert!(got.windows(2).all(|pair| pair[0].x < pair[1].x));
        assert_eq!(got.iter().filter(|column| column.high == 50.0).count(), 1);
        assert_eq!(columns([[3.0, 4.0]].into_iter(), [3.0, 3.0], 10).len(), 1, "a curve of one point");
        assert_eq!(columns([].into_iter(), [0.0, 1.0], 10), []);
    }
}
