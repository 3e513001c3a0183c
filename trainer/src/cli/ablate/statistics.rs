//! What several runs came to: means and spreads over seeds, and curves.

use serde::Serialize;

use crate::plot::Point;

/// A mean with its spread.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    pub count: usize,
    pub mean: f64,
    /// Sample standard deviation; of fewer than two there is none.
    pub sd: Option<f64>,
}

impl Spread {
    /// Of these values; `None` of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let sd = (count > 1).then(|| (squares / (count - 1) as f64).sqrt());
        Some(Self { count, mean, sd })
    }

    /// As in a table, with so many digits behind the point.
    pub fn shown(&self, digits: usize) -> String {
        match self.sd {
            Some(sd) => format!("{:.digits$} ± {sd:.digits$}", self.mean),
            None => format!("{:.digits$}", self.mean),
        }
    }
}

/// The mean of several curves with the spread around it, wherever one of them has a point and all of them have a value;
/// between its points a curve is taken for straight. Points are (x, y) by rising x.
pub fn mean_curve(curves: &[Vec<[f64; 2]>]) -> Vec<Point> {
    let ends = |curve: &Vec<[f64; 2]>| Some((curve.first()?[0], curve.last()?[0]));
    let Some(ends) = curves.iter().map(ends).collect::<Option<Vec<_>>>().filter(|ends| !ends.is_empty()) else {
        return Vec::new();
    };
    let from = ends.iter().map(|ends| ends.0).fold(f64::NEG_INFINITY, f64::max);
    let to = ends.iter().map(|ends| ends.1).fold(f64::INFINITY, f64::min);
    let mut places: Vec<f64> = curves.iter().flatten().map(|p| p[0]).filter(|x| (from..=to).contains(x)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let point = |x: f64| {
        let values: Vec<f64> = curves.iter().filter_map(|curve| value(curve, x)).collect();
        let spread = Spread::of(&values)?;
        Some(Point { x, y: spread.mean, spread: spread.sd.unwrap_or(0.0) })
    };
    places.into_iter().filter_map(point).collect()
}

/// A curve's value at `x`, which lies between its ends.
fn value(curve: &[[f64; 2]], x: f64) -> Option<f64> {
    let after = curve.iter().position(|p| p[0] >= x)?;
    let [x1, y1] = curve[after];
    if x1 == x || after == 0 {
        return (x1 == x).then_some(y1);
    }
    let [x0, y0] = curve[after - 1];
    Some(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_the_samples_own() {
        let spread = Spread::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        // 32 / 7 squared
        assert_eq!((spread.count, spread.mean), (8, 5.0));
        assert!((spread.sd.unwrap() - 2.138_089_935_299_395).abs() < 1e-12);
        assert_eq!(Spread::of(&[3.0]), Some(Spread { count: 1, mean: 3.0, sd: None }));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread { count: 2, mean: 1.0, sd: Some(0.25) }.shown(2), "1.00 ± 0.25");
    }

    #[test]
    fn curves_are_averaged_where_all_have_a_value() {
        let (a, b) = (vec![[0.0, 4.0], [2.0, 2.0], [4.0, 1.0]], vec![[1.0, 5.0], [4.0, 2.0], [5.0, 2.0]]);
        let curve = mean_curve(&[a.clone(), b]);
        let half = |d: f64| d / 2f64.sqrt();
        let want = [(1.0, 4.0, half(2.0)), (2.0, 3.0, half(2.0)), (4.0, 1.5, half(1.0))];
        assert_eq!(curve.len(), want.len());
        for (point, (x, y, spread)) in curve.iter().zip(want) {
            assert!((point.x - x).abs() + (point.y - y).abs() + (point.spread - spread).abs() < 1e-12, "{point:?}");
        }
        let alone = mean_curve(std::slice::from_ref(&a));
        assert_eq!(alone.iter().map(|p| [p.x, p.y]).collect::<Vec<_>>(), a);
        assert!(alone.iter().all(|p| p.spread == 0.0));
        assert!(mean_curve(&[]).is_empty() && mean_curve(&[a, Vec::new()]).is_empty());
    }
}
