//! How sure a rate is, and whether one depth beats another on the same items.

use serde::Serialize;

/// The 97.5 % point of the normal distribution: intervals hold 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// `right` of `items`, as a share. Guesses may be right in part, so `right` need not be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    pub right: f64,
    pub items: usize,
}

impl Rate {
    /// The rate of what `credits` say of each item.
    pub fn of(credits: impl IntoIterator<Item = f64>) -> Self {
        credits.into_iter().fold(Self::default(), |r, c| Self { right: r.right + c, items: r.items + 1 })
    }

    /// The share, 0 to 1; 0 of nothing.
    pub fn share(self) -> f64 {
        if self.items == 0 { 0.0 } else { self.right / self.items as f64 }
    }

    /// Wilson's score interval (Wilson, 1927), 95 %; all of 0 to 1 where there are no items.
    pub fn interval(self) -> [f64; 2] {
        if self.items == 0 {
            return [0.0, 1.0];
        }
        let (n, p) = (self.items as f64, self.share());
        let centre = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        [((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)]
    }
}

/// Two ways of answering, compared on the same items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paired {
    pub items: usize,
    /// Items that only the first got right.
    pub gained: usize,
    /// Items that only the second got right.
    pub lost: usize,
    /// Share right of the first less that of the second.
    pub difference: f64,
    /// Its 95 % interval: Wald's after half an item was added to every cell (Agresti and Min, 2005).
    pub interval: [f64; 2],
    /// Of the exact two-sided McNemar test.
    pub p: f64,
}

impl Paired {
    /// Compares whether the first and the second were right, item by item.
    pub fn of(pairs: impl IntoIterator<Item = (bool, bool)>) -> Self {
        let (mut items, mut gained, mut lost) = (0, 0, 0);
        for (first, second) in pairs {
            items += 1;
            gained += usize::from(first && !second);
            lost += usize::from(second && !first);
        }
        let [b, c, n] = [gained, lost, items].map(|n| n as f64);
        let adjusted = (b - c) / (n + 2.0);
        let half = Z * (b + c + 1.0 - (b - c) * (b - c) / (n + 2.0)).max(0.0).sqrt() / (n + 2.0);
        Self {
            items,
            gained,
            lost,
            difference: if items == 0 { 0.0 } else { (b - c) / n },
            interval: [(adjusted - half).max(-1.0), (adjusted + half).min(1.0)],
            p: mcnemar(gained, lost),
        }
    }
}

/// McNemar's exact test: how likely counts at least as uneven as these are where either way is as likely, two-sided.
pub fn mcnemar(gained: usize, lost: usize) -> f64 {
    let n = gained + lost;
    // ln of binomial(n, i) / 2^n, for i from 0 on
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for i in 0..=gained.min(lost) {
        tail += term.exp();
        term += ((n - i) as f64 / (i + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-5
    }

    #[test]
    fn wilsons_interval_has_its_known_values() {
        for (right, items, low, high) in
            [(8.0, 10, 0.4902, 0.9433), (0.0, 10, 0.0, 0.2775), (10.0, 10, 0.7225, 1.0), (81.0, 263, 0.2553, 0.3662)]
        {
            let [a, b] = Rate { right, items }.interval();
            assert!(close(a, low) && close(b, high), "{right} of {items}: {a} {b}");
        }
        assert_eq!(Rate::default().interval(), [0.0, 1.0]);
        assert_eq!(Rate::of([1.0, 0.0, 0.5, 0.5]), Rate { right: 2.0, items: 4 });
    }

    #[test]
    fn mcnemars_test_has_its_known_values() {
        // scipy.stats.binomtest(k, n).pvalue
        for (gained, lost, p) in [(5, 15, 0.0413895), (10, 0, 0.001953125), (0, 0, 1.0), (3, 3, 1.0), (1, 2, 1.0)] {
            assert!((mcnemar(gained, lost) - p).abs() < 1e-6, "{gained} {lost}: {}", mcnemar(gained, lost));
            assert_eq!(mcnemar(gained, lost), mcnemar(lost, gained));
        }
        let far = mcnemar(900, 100);
        assert!(far > 0.0 && far < 1e-150, "{far}");
        assert_eq!(mcnemar(20_000, 20_000), 1.0);
    }

    #[test]
    fn the_paired_difference_counts_what_differs() {
        let pairs = |both, gained, lost, neither| {
            let cell = |n, pair| std::iter::repeat_n(pair, n);
            cell(both, (true, true))
                .chain(cell(gained, (true, false)))
                .chain(cell(lost, (false, true)))
                .chain(cell(neither, (false, false)))
        };
        let paired = Paired::of(pairs(40, 30, 10, 20));
        assert_eq!((paired.items, paired.gained, paired.lost), (100, 30, 10));
        assert!(close(paired.difference, 0.2));
        // (30.5 - 10.5) / 102 -+ 1.96 sqrt(41 - 400 / 102) / 102
        assert!(close(paired.interval[0], 0.07905) && close(paired.interval[1], 0.31311), "{paired:?}");
        let same = Paired::of(pairs(50, 0, 0, 50));
        assert!(same.interval[0] < 0.0 && same.interval[1] > 0.0 && same.p == 1.0);
        let all = Paired::of(pairs(0, 5, 0, 0));
        assert!(all.interval[1] <= 1.0 && close(all.p, 0.0625), "{all:?}");
    }
}
