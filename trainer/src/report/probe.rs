//! What `trainer probe MODEL --json DIR/probe.json` found, as a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The file's content, as far as a page shows it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Probe {
    pub model: String,
    pub task: String,
    pub items: u64,
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Group {
    family: String,
    facts: Option<u64>,
    distance: Option<String>,
    items: u64,
    baselines: BTreeMap<String, Option<Rate>>,
    depths: BTreeMap<String, AtDepth>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct AtDepth {
    exact: Option<Rate>,
    choice: Option<Rate>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
struct Rate {
    share: f64,
    /// Of 95 %.
    interval: [f64; 2],
}

/// Percentages as text, a row a family and one for each number of facts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub label: String,
    /// Whether it is part of the row before.
    pub part: bool,
    pub cells: Vec<String>,
}

impl Probe {
    /// Its name in a run's directory.
    pub const FILE: &str = "probe.json";

    /// What was asked, at every depth: exact match with its interval, multiple choice; and what the baselines get of
    /// the latter.
    pub fn table(&self) -> Table {
        let mut depths: Vec<&str> = self.groups.iter().flat_map(|g| g.depths.keys()).map(String::as_str).collect();
        // numbers in their order, the depth that the model chooses last
        depths.sort_by_key(|name| (name.parse::<u32>().unwrap_or(u32::MAX), name.to_owned()));
        depths.dedup();
        let mut baselines: Vec<&str> = Vec::new();
        for (name, rate) in self.groups.iter().flat_map(|g| &g.baselines) {
            if rate.is_some() && !baselines.contains(&name.as_str()) {
                baselines.push(name);
            }
        }
        let named = |name: &str| if name.parse::<u32>().is_ok() { format!("depth {name}") } else { name.to_owned() };
        let exact = depths.iter().map(|d| format!("exact, {}", named(d)));
        let choice = depths.iter().map(|d| format!("choice, {}", named(d)));
        let guessed = baselines.iter().map(|b| format!("choice by {b}"));
        let columns = ["items".to_owned()].into_iter().chain(exact).chain(choice).chain(guessed).collect();
        let row = |group: &Group| {
            let exact = depths.iter().map(|&d| group.depths.get(d).and_then(|at| at.exact));
            let choice = depths.iter().map(|&d| group.depths.get(d).and_then(|at| at.choice));
            let guessed = baselines.iter().map(|&b| group.baselines.get(b).copied().flatten());
            let items = [group.items.to_string()].into_iter();
            let share = |rate: Option<Rate>| rate.map_or("–".into(), |rate| percent(rate.share));
            let cells = items.chain(exact.map(with_interval)).chain(choice.map(share)).chain(guessed.map(share));
            let label = match group.facts {
                None => group.family.clone(),
                Some(1) => "1 fact".into(),
                Some(n) => format!("{n} facts"),
            };
            Row { label, part: group.facts.is_some(), cells: cells.collect() }
        };
        let rows = self.groups.iter().filter(|group| group.distance.is_none()).map(row).collect();
        Table { columns, rows }
    }
}

fn with_interval(rate: Option<Rate>) -> String {
    let Some(Rate { share, interval: [low, high] }) = rate else { return "–".into() };
    format!("{} [{}, {}]", percent(share), percent(low), percent(high))
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_committed_probe_becomes_a_row_a_family_and_one_for_each_number_of_facts() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/supernova-reasoning.json");
        let probe: Probe = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let table = probe.table();
        assert!(table.rows.iter().all(|row| row.cells.len() == table.columns.len()));
        assert!(table.columns.contains(&"exact, depth 1".into()) && table.columns[0] == "items", "{table:?}");
        assert!(table.columns.contains(&"choice by chance".into()), "{table:?}");
        let first = &table.rows[0];
        assert!(!first.part && first.cells[1].contains('['), "{first:?}");
        assert!(table.rows.iter().any(|row| row.part && row.label == "2 facts"), "{table:?}");
    }
}
