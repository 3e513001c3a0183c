//! What came of a probe: by family, by number of facts and by distance, beside the baselines; as a table and as JSON.

mod table;

use flashlm_core::config::Depth;
use serde_json::{Map, Value, json};

use crate::ask::{Outcome, depth_name};
use crate::baselines::Guesses;
use crate::item::Item;
use crate::statistics::{Paired, Rate};

/// Distances, words, that are counted together: up to and with the number.
const DISTANCES: [(u32, &str); 5] =
    [(9, "0 to 9"), (19, "10 to 19"), (49, "20 to 49"), (99, "50 to 99"), (u32::MAX, "100 or more")];

/// What a baseline scores on an item.
type Baseline = fn(&Guesses) -> Option<f64>;

/// The baselines and their names.
const BASELINES: [(&str, Baseline); 4] = [
    ("chance", |g| Some(g.chance)),
    ("n-gram", |g| g.ngram),
    ("last", |g| Some(g.last)),
    ("frequent", |g| Some(g.frequent)),
];

/// All that was asked and answered.
#[derive(Debug)]
pub struct Report<'a> {
    pub task: &'a str,
    pub model: &'a str,
    pub state_bytes: usize,
    pub items: &'a [Item],
    /// Of every item; `None` where it has no wrong answers.
    pub guesses: &'a [Option<Guesses>],
    /// Stories the n-gram model learned from; 0: there is none.
    pub ngram_stories: usize,
    /// At every depth asked at, the outcome of every item.
    pub depths: &'a [(Depth, Vec<Outcome>)],
}

/// Items counted together.
struct Group {
    family: String,
    facts: Option<u8>,
    distance: Option<&'static str>,
    items: Vec<usize>,
}

/// What is measured of an outcome.
#[derive(Clone, Copy)]
enum Measure {
    Exact,
    Choice,
}

impl Measure {
    fn of(self, outcome: &Outcome) -> Option<bool> {
        match self {
            Self::Exact => Some(outcome.exact),
            Self::Choice => outcome.choice,
        }
    }
}

impl Report<'_> {
    /// Families in the order they come, those with several numbers of facts by facts too.
    fn groups(&self) -> Vec<Group> {
        let mut families: Vec<&str> = Vec::new();
        for item in self.items {
            if !families.contains(&item.family.as_str()) {
                families.push(&item.family);
            }
        }
        let mut groups = Vec::new();
        for family in families {
            let of = |wanted: &dyn Fn(&Item) -> bool| {
                let items = self.items.iter().enumerate().filter(|(_, i)| i.family == family && wanted(i));
                items.map(|(i, _)| i).collect::<Vec<_>>()
            };
            let all = of(&|_| true);
            let mut facts: Vec<u8> = all.iter().filter_map(|&i| self.items[i].facts).collect();
            facts.sort_unstable();
            facts.dedup();
            let several = facts.len() > 1;
            let group = |facts, distance, items| Group { family: family.to_string(), facts, distance, items };
            groups.push(group(None, None, all));
            // a single number of facts is the family itself
            for facts in facts.into_iter().filter(|_| several) {
                groups.push(group(Some(facts), None, of(&|i| i.facts == Some(facts))));
            }
            let mut low = 0;
            for (high, name) in DISTANCES {
                let items = of(&|i| i.distance.is_some_and(|d| (low..=high).contains(&d)));
                if !items.is_empty() {
                    groups.push(group(None, Some(name), items));
                }
                low = high.saturating_add(1);
            }
        }
        groups
    }

    fn rate(&self, group: &Group, depth: usize, measure: Measure) -> Option<Rate> {
        let outcomes = group.items.iter().filter_map(|&i| measure.of(&self.depths[depth].1[i]));
        let rate = Rate::of(outcomes.map(|right| f64::from(u8::from(right))));
        (rate.items > 0).then_some(rate)
    }

    fn guess(&self, group: &Group, of: Baseline) -> Option<Rate> {
        let rate = Rate::of(group.items.iter().filter_map(|&i| self.guesses[i].as_ref().and_then(of)));
        (rate.items > 0).then_some(rate)
    }

    fn passes(&self, group: &Group, depth: usize) -> Option<f64> {
        let passes: Vec<f64> = group.items.iter().filter_map(|&i| self.depths[depth].1[i].passes).collect();
        (!passes.is_empty()).then(|| passes.iter().sum::<f64>() / passes.len() as f64)
    }

    /// The deepest and the shallowest of the fixed depths, by their place among those asked at.
    fn pair(&self) -> Option<(usize, usize)> {
        let fixed = |(i, (depth, _)): (usize, &(Depth, _))| match depth {
            Depth::Fixed(n) => Some((*n, i)),
            Depth::Adaptive => None,
        };
        let fixed = || self.depths.iter().enumerate().filter_map(fixed);
        let (deep, shallow) = (fixed().max()?, fixed().min()?);
        (deep.0 > shallow.0).then_some((deep.1, shallow.1))
    }

    fn paired(&self, group: &Group, measure: Measure) -> Option<Paired> {
        let (deep, shallow) = self.pair()?;
        let right = |depth: usize, i: usize| measure.of(&self.depths[depth].1[i]);
        let paired = Paired::of(group.items.iter().filter_map(|&i| Some((right(deep, i)?, right(shallow, i)?))));
        (paired.items > 0).then_some(paired)
    }

    /// At every depth, the mean over families of what was not an exact match, where there are several.
    fn mean_error(&self) -> Option<Vec<f64>> {
        let groups = self.groups();
        let families: Vec<&Group> = groups.iter().filter(|g| g.facts.is_none() && g.distance.is_none()).collect();
        let error = |depth| {
            let errors = families.iter().filter_map(|g| self.rate(g, depth, Measure::Exact)).map(|r| 1.0 - r.share());
            errors.sum::<f64>() / families.len() as f64
        };
        (families.len() > 1).then(|| (0..self.depths.len()).map(error).collect())
    }

    /// The whole report; intervals are of 95 %, shares of 1.
    pub fn json(&self) -> Value {
        let rate = |rate: Option<Rate>| {
            rate.map(|r| json!({ "share": r.share(), "interval": r.interval(), "right": r.right, "items": r.items }))
        };
        let group = |group: &Group| {
            let mut depths = Map::new();
            for (i, (depth, _)) in self.depths.iter().enumerate() {
                let at = json!({
                    "exact": rate(self.rate(group, i, Measure::Exact)),
                    "choice": rate(self.rate(group, i, Measure::Choice)),
                    "passes": self.passes(group, i),
                });
                depths.insert(depth_name(*depth), at);
            }
            let baselines = BASELINES.iter().map(|b| (b.0.to_string(), json!(rate(self.guess(group, b.1)))));
            let baselines: Map<_, _> = baselines.collect();
            json!({
                "family": group.family,
                "facts": group.facts,
                "distance": group.distance,
                "items": group.items.len(),
                "baselines": baselines,
                "depths": depths,
                "paired": {
                    "exact": self.paired(group, Measure::Exact),
                    "choice": self.paired(group, Measure::Choice),
                },
            })
        };
        let pair = self.pair().map(|(a, b)| [a, b].map(|i| depth_name(self.depths[i].0)));
        let error = self.mean_error().map(|errors| {
            let named = self.depths.iter().zip(errors).map(|(d, e)| (depth_name(d.0), json!(e)));
            named.collect::<Map<_, _>>()
        });
        json!({
            "model": self.model,
            "task": self.task,
            "state_bytes": self.state_bytes,
            "items": self.items.len(),
            "ngram_stories": self.ngram_stories,
            "paired_depths": pair,
            "mean_error": error,
            "groups": self.groups().iter().map(group).collect::<Vec<_>>(),
        })
    }

    /// Columns for the items' file: at every depth whether the item was right, and what was generated.
    pub fn columns(&self) -> Vec<String> {
        let of = |(depth, _): &(Depth, _)| {
            ["exact", "choice", "passes", "told"].map(|c| format!("{c}_{}", depth_name(*depth)))
        };
        self.depths.iter().flat_map(of).collect()
    }

    /// The fields of [`columns`](Self::columns) for an item.
    pub fn fields(&self, item: usize) -> Vec<String> {
        let flag = |right: bool| u8::from(right).to_string();
        let of = |(_, outcomes): &(Depth, Vec<Outcome>)| {
            let o = &outcomes[item];
            let passes = o.passes.map(|p| format!("{p:.3}")).unwrap_or_default();
            [flag(o.exact), o.choice.map(flag).unwrap_or_default(), passes, o.told.clone()]
        };
        self.depths.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Parts {
        items: Vec<Item>,
        guesses: Vec<Option<Guesses>>,
        depths: Vec<(Depth, Vec<Outcome>)>,
    }

    fn example() -> Parts {
        let item = |family: &str, facts, distance| Item {
            family: family.into(),
            facts: Some(facts),
            distance: Some(distance),
            answer: "a".into(),
            wrong: vec!["b".into()],
            ..Item::default()
        };
        let mut items: Vec<Item> = (0..20).map(|i| item("tracking", 1 + (i % 2) as u8, 3 * i)).collect();
        items.extend((0..10).map(|i| item("pattern", 1, i)));
        let guesses = vec![Some(Guesses { chance: 0.5, ngram: None, last: 1.0, frequent: 0.0 }); 30];
        let outcome =
            |exact, passes| Outcome { exact, choice: Some(exact), passes: Some(passes), told: " a\t.".into() };
        // two facts are right at depth 8 only
        let at = |deep: bool, passes| {
            let right = move |i: usize| i >= 20 || i.is_multiple_of(2) || deep;
            (0..30).map(|i| outcome(right(i), passes)).collect::<Vec<_>>()
        };
        let depths =
            vec![(Depth::Fixed(1), at(false, 1.0)), (Depth::Fixed(8), at(true, 8.0)), (Depth::Adaptive, at(true, 2.5))];
        Parts { items, guesses, depths }
    }

    fn report(parts: &Parts) -> Report<'_> {
        let Parts { items, guesses, depths } = parts;
        Report { task: "stories", model: "m.flm", state_bytes: 64, items, guesses, ngram_stories: 0, depths }
    }

    #[test]
    fn json_counts_by_family_facts_and_distance() {
        let parts = example();
        let json = report(&parts).json();
        let group = |family: &str, facts: Value, distance: Value| {
            let groups = json["groups"].as_array().unwrap();
            groups
                .iter()
                .find(|g| g["family"] == family && g["facts"] == facts && g["distance"] == distance)
                .unwrap()
                .clone()
        };
        let two = group("tracking", json!(2), Value::Null);
        assert_eq!(two["depths"]["1"]["exact"]["share"], 0.0);
        assert_eq!(two["depths"]["8"]["exact"]["right"], 10.0);
        assert_eq!(two["depths"]["chosen"]["passes"], 2.5);
        assert_eq!((&two["paired"]["exact"]["gained"], &two["paired"]["exact"]["lost"]), (&json!(10), &json!(0)));
        assert_eq!(two["paired"]["choice"]["p"], 2.0 / 1024.0);
        let all = group("tracking", Value::Null, Value::Null);
        assert_eq!((&all["items"], &all["depths"]["1"]["choice"]["share"]), (&json!(20), &json!(0.5)));
        assert_eq!(all["baselines"]["last"]["share"], 1.0);
        assert!(all["baselines"]["n-gram"].is_null());
        assert_eq!(group("tracking", Value::Null, json!("0 to 9"))["items"], 4);
        assert_eq!(json["paired_depths"], json!(["8", "1"]));
        assert_eq!((&json["mean_error"]["1"], &json["mean_error"]["8"]), (&json!(0.25), &json!(0.0)));
    }

    #[test]
    fn the_table_has_a_row_a_family_and_one_for_each_number_of_facts() {
        let parts = example();
        let mut text = Vec::new();
        report(&parts).print(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let exact = text.split("multiple choice").next().unwrap();
        let line =
            |start: &str| exact.lines().find(|l| l.starts_with(start)).unwrap_or_else(|| panic!("{start}: {text}"));
        assert!(line("tracking").contains("50.0 [29.9, 70.1]") && line("tracking").contains("(+10 -0)"), "{text}");
        assert!(line("  2 facts").contains("0.0 [0.0, 27.8]") && line("  2 facts").ends_with("0.0020"), "{text}");
        assert!(text.contains("10 to 19") && text.contains("100.0 of 4  100.0 of 3"), "{text}");
        assert!(text.contains("8 against 1") && text.contains("25.0 (depth 1)"), "{text}");
    }

    #[test]
    fn outcomes_become_columns() {
        let parts = example();
        let report = report(&parts);
        assert_eq!(report.columns()[..4], ["exact_1", "choice_1", "passes_1", "told_1"]);
        assert_eq!(report.fields(1)[..8], ["0", "0", "1.000", " a\t.", "1", "1", "8.000", " a\t."]);
    }
}
