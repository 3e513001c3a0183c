//! An axis: a range of round numbers, its marks and their labels.

/// Marks that an axis aims at.
const MARKS: f64 = 6.0;

/// A linear axis whose ends are round numbers.
#[derive(Clone, Copy, Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// Around `low` to `high`, which may be the same.
    pub fn new(low: f64, high: f64) -> Self {
        let range = if high > low { high - low } else { low.abs().max(1.0) };
        let magnitude = 10f64.powf((range / MARKS).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * magnitude).find(|s| range / s <= MARKS);
        let step = step.unwrap_or(10.0 * magnitude);
        // the least number that is not below either end
        let (low, high) = ((low / step).floor() * step, ((low + range) / step).ceil() * step);
        Self { low, high, step }
    }

    /// Around all finite `values` and, where there are some, `also`; 0 to 1 where there are none.
    pub fn around(values: impl Iterator<Item = f64>, also: Option<f64>) -> Self {
        let mut values = values.chain(also).filter(|v| v.is_finite());
        let Some(first) = values.next() else { return Self::new(0.0, 1.0) };
        let (low, high) = values.fold((first, first), |(low, high), v| (low.min(v), high.max(v)));
        Self::new(low, high)
    }

    /// The same marks, but ending where the values do.
    pub fn ending_at(self, high: f64) -> Self {
        Self { high: high.max(self.low + f64::EPSILON), ..self }
    }

    /// Both ends.
    pub fn ends(&self) -> [f64; 2] {
        [self.low, self.high]
    }

    /// Where a value lies between the ends, 0 to 1 within them.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The values that are marked.
    pub fn marks(&self) -> impl Iterator<Item = f64> + use<> {
        let count = ((self.high - self.low) / self.step + 1e-9).floor() as usize;
        let (low, step) = (self.low, self.step);
        (0..=count).map(move |i| low + i as f64 * step)
    }

    /// A mark with as many digits as tell it from the next.
    pub fn label(&self, mark: f64) -> String {
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        // no negative zero
        let mark = if mark.abs() < self.step / 2.0 { 0.0 } else { mark };
        format!("{mark:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks_around_the_data() {
        let axis = Axis::new(0.612, 1.93);
        let marks: Vec<_> = axis.marks().map(|m| axis.label(m)).collect();
        assert_eq!(marks, ["0.5", "1.0", "1.5", "2.0"]);
        let axis = Axis::new(0.0, 10.02);
        assert_eq!(axis.marks().map(|m| axis.label(m)).collect::<Vec<_>>(), ["0", "2", "4", "6", "8", "10", "12"]);
        assert_eq!(Axis::new(3.0, 3.0).share(3.0), 0.0);
        let axis = Axis::around([0.0, f64::NAN, 10.02].into_iter(), None).ending_at(10.02);
        assert_eq!(axis.marks().last(), Some(10.0));
        assert_eq!(axis.share(10.02), 1.0);
        assert_eq!(Axis::around([].into_iter(), None).ends(), [0.0, 1.0]);
    }
}
