//! A report as tables of text.

use std::fmt::Write as _;
use std::io::{self, Write};

use flashlm_core::config::Depth;

use super::{BASELINES, DISTANCES, Group, Measure, Report};
use crate::ask::depth_name;
use crate::statistics::Rate;

impl Report<'_> {
    /// Writes the tables.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{}: {} items of {}, state {} bytes", self.model, self.items.len(), self.task, self.state_bytes)?;
        let groups = self.groups();
        let table: Vec<&Group> = groups.iter().filter(|g| g.distance.is_none()).collect();
        writeln!(out, "\nexact match: the likeliest text is the answer, percent [95 % interval]")?;
        self.table(out, &table, Measure::Exact)?;
        if self.guesses.iter().any(Option::is_some) {
            writeln!(out, "\nmultiple choice: the answer is likelier than every wrong one, percent")?;
            self.table(out, &table, Measure::Choice)?;
            let about = "chance, the choice mentioned last or most often";
            match self.ngram_stories {
                0 => writeln!(out, "Baselines: {about}.")?,
                n => {
                    writeln!(out, "Baselines: {about}, or likeliest to an n-gram model of {n} stories and the prompt.")?
                }
            }
        }
        self.distances(out, &groups)?;
        if let Some(error) = self.mean_error() {
            let errors: Vec<String> =
                self.depths.iter().zip(error).map(|(d, e)| format!("{} ({})", percent(e), column(d.0))).collect();
            writeln!(out, "\nmean error over families, percent: {}", errors.join(", "))?;
        }
        Ok(())
    }

    /// One row a family: exact match by distance, at the deepest depth.
    fn distances(&self, out: &mut impl Write, groups: &[Group]) -> io::Result<()> {
        let depth = self.pair().map_or(0, |(deep, _)| deep);
        let mut names = DISTANCES.map(|(_, name)| name).to_vec();
        names.retain(|&name| groups.iter().any(|g| g.distance == Some(name)));
        if names.len() < 2 || self.depths.is_empty() {
            return Ok(());
        }
        writeln!(
            out,
            "\nexact match ({}) by words between the last fact needed and the question, percent of so many items",
            column(self.depths[depth].0)
        )?;
        let mut rows = vec![[String::new()].into_iter().chain(names.iter().map(|n| n.to_string())).collect::<Vec<_>>()];
        for family in groups.iter().filter(|g| g.facts.is_none() && g.distance.is_none()) {
            let cell = |name: &&str| {
                let group = groups.iter().find(|g| g.family == family.family && g.distance == Some(name));
                let rate = group.and_then(|g| self.rate(g, depth, Measure::Exact));
                rate.map_or("-".into(), |r| format!("{} of {}", percent(r.share()), r.items))
            };
            rows.push([family.family.clone()].into_iter().chain(names.iter().map(cell)).collect());
        }
        print_rows(out, &rows)
    }

    fn table(&self, out: &mut impl Write, groups: &[&Group], measure: Measure) -> io::Result<()> {
        let with = |measure| matches!(measure, Measure::Choice);
        let mut rows = vec![vec!["".to_string(), "items".into()]];
        if with(measure) {
            rows[0].extend(BASELINES.iter().map(|b| b.0.to_string()));
        }
        for (depth, _) in self.depths {
            rows[0].push(column(*depth));
            if *depth == Depth::Adaptive {
                rows[0].push("passes".into());
            }
        }
        if let Some((deep, shallow)) = self.pair() {
            let name = |i: usize| depth_name(self.depths[i].0);
            rows[0].push(format!("{} against {}", name(deep), name(shallow)));
            rows[0].push("p".into());
        }
        for group in groups {
            let label = match group.facts {
                Some(1) => "  1 fact".into(),
                Some(n) => format!("  {n} facts"),
                None => group.family.clone(),
            };
            let mut row = vec![label, group.items.len().to_string()];
            let share = |rate: Option<Rate>| rate.map_or("-".into(), |r| percent(r.share()));
            if with(measure) {
                row.extend(BASELINES.iter().map(|b| share(self.guess(group, b.1))));
            }
            for (i, (depth, _)) in self.depths.iter().enumerate() {
                row.push(self.rate(group, i, measure).map_or("-".into(), |rate| {
                    let [low, high] = rate.interval();
                    format!("{} [{}, {}]", percent(rate.share()), percent(low), percent(high))
                }));
                if *depth == Depth::Adaptive {
                    row.push(self.passes(group, i).map_or("-".into(), |p| format!("{p:.2}")));
                }
            }
            if self.pair().is_some() {
                let paired = self.paired(group, measure);
                row.push(paired.map_or("-".into(), |p| {
                    let [low, high] = p.interval.map(|x| 100.0 * x);
                    format!("{:+.1} [{low:+.1}, {high:+.1}] (+{} -{})", 100.0 * p.difference, p.gained, p.lost)
                }));
                row.push(paired.map_or("-".into(), |p| probability(p.p)));
            }
            rows.push(row);
        }
        print_rows(out, &rows)
    }
}

fn column(depth: Depth) -> String {
    match depth {
        Depth::Fixed(n) => format!("depth {n}"),
        Depth::Adaptive => "chosen".into(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1}", 100.0 * share)
}

fn probability(p: f64) -> String {
    if p < 1e-4 { format!("{p:.0e}") } else { format!("{p:.4}") }
}

/// Columns as wide as their widest field, the first to the left, all else to the right.
fn print_rows(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> =
        (0..columns).map(|c| rows.iter().map(|row| row[c].chars().count()).max().unwrap_or(0)).collect();
    for row in rows {
        let mut line = String::new();
        for (i, (field, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = if i == 0 { write!(line, "{field:<width$}") } else { write!(line, "  {field:>width$}") };
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
