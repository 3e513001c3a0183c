//! The table of phases as a user writes it: checked, and made the schedule's.

use serde::Deserialize;

use super::levels::DIFFICULTIES;
use super::schedule::{Phase, four_phases, one_phase};
use crate::data::DepthShares;

/// The most a phase may multiply the share of reasoning stories by.
const MAX_MIX: f32 = 100.0;

/// One phase. All but its name and its end have a usual value: that of a phase that trains on everything.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Row {
    pub name: String,
    /// Share of the run at which the phase ends.
    pub until: f64,
    /// Share of the stories used, easiest first.
    #[serde(default = "all")]
    pub pool: f32,
    /// Whether the model tells stories that join those it trains on.
    #[serde(default)]
    pub amplify: bool,
    /// Whether the loss on operation balance counts.
    #[serde(default = "counts")]
    pub balance: bool,
    /// Levels of reasoning stories, from 1: the one open at the phase's start, and the last that may be earned in it.
    #[serde(default = "hardest")]
    pub levels: [usize; 2],
    /// Share of reasoning stories, in units of the share asked for.
    #[serde(default = "all")]
    pub mix: f32,
    /// How often each depth is drawn, for plain and for reasoning stories; absent: as the flags of these names say.
    pub depths: Option<[f32; 3]>,
    pub reasoning_depths: Option<[f32; 3]>,
}

fn all() -> f32 {
    1.0
}

fn counts() -> bool {
    true
}

fn hardest() -> [usize; 2] {
    [DIFFICULTIES.len(); 2]
}

impl Row {
    /// The schedule's row; `shares` are those of the flags.
    pub fn phase(&self, shares: DepthShares) -> Phase {
        Phase {
            name: self.name.clone(),
            until: self.until,
            pool: self.pool,
            amplify: self.amplify,
            balance: self.balance,
            levels: self.levels.into(),
            mix: self.mix,
            shares: DepthShares {
                plain: self.depths.unwrap_or(shares.plain),
                reasoning: self.reasoning_depths.unwrap_or(shares.reasoning),
            },
        }
    }

    /// The same as a user would write it, with the shares left to the flags.
    fn of(phase: Phase) -> Self {
        let Phase { name, until, pool, amplify, balance, levels, mix, shares: _ } = phase;
        Self { name, until, pool, amplify, balance, levels: levels.into(), mix, depths: None, reasoning_depths: None }
    }

    /// What is wrong with the row by itself.
    fn fault(&self) -> Result<(), String> {
        let levels = DIFFICULTIES.len();
        let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        must(!self.name.trim().is_empty(), "name must not be empty")?;
        must(self.pool > 0.0 && self.pool <= 1.0, "pool must be a share above 0, at most 1")?;
        must((0.0..=MAX_MIX).contains(&self.mix), &format!("mix must be a factor in 0 ..= {MAX_MIX}"))?;
        let [first, last] = self.levels;
        let rising = 1 <= first && first <= last && last <= levels;
        must(rising, &format!("levels must be two numbers in 1 ..= {levels}, the first not above the second"))?;
        for (key, shares) in [("depths", self.depths), ("reasoning-depths", self.reasoning_depths)] {
            let sound = |s: [f32; 3]| s.iter().all(|v| (0.0..=1.0).contains(v)) && s.iter().sum::<f32>() > 0.0;
            must(shares.is_none_or(sound), &format!("{key} must be three shares in 0 ..= 1, not all 0"))?;
        }
        Ok(())
    }
}

/// Checks a whole table.
///
/// # Errors
/// The index of the row that is wrong, and what is wrong with it.
pub fn check(rows: &[Row]) -> Result<(), (usize, String)> {
    let mut from = 0.0;
    for (index, row) in rows.iter().enumerate() {
        let wrong = |what: String| Err((index, what));
        row.fault().or_else(wrong)?;
        // so written, a number that is none is refused too
        if !(row.until > from && row.until <= 1.0) {
            return wrong(format!("until must be a share above {from}, where the phase begins, at most 1"));
        }
        if index + 1 == rows.len() && row.until < 1.0 {
            return wrong(format!("until of the last phase must be 1, not {}", row.until));
        }
        if rows[..index].iter().any(|before| before.name == row.name) {
            return wrong(format!("name must be another than those before, not {:?} again", row.name));
        }
        if row.amplify && rows[..index].iter().any(|before| before.amplify) {
            return wrong("amplify must be on in one phase at the most".into());
        }
        from = row.until;
    }
    if rows.is_empty() { Err((0, "there must be a phase".into())) } else { Ok(()) }
}

/// How stories come over a run where no table is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curriculum {
    /// The four phases of the design.
    Phases,
    /// Everything from the first step (`--no-curriculum`).
    None,
}

impl Curriculum {
    /// Its table.
    pub fn rows(self) -> Vec<Row> {
        // of no consequence: rows leave them to the flags
        let shares = DepthShares { plain: [1.0; 3], reasoning: [1.0; 3] };
        let phases = match self {
            Self::Phases => four_phases(shares),
            Self::None => one_phase(shares),
        };
        phases.into_iter().map(Row::of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: DepthShares = DepthShares { plain: [0.7, 0.2, 0.1], reasoning: [0.2, 0.4, 0.4] };

    fn rows(text: &str) -> Vec<Row> {
        #[derive(Deserialize)]
        struct Table {
            phases: Vec<Row>,
        }
        toml::from_str::<Table>(text).unwrap().phases
    }

    #[test]
    fn a_curriculum_written_as_a_table_is_the_same_schedule() {
        for (curriculum, phases) in [(Curriculum::Phases, four_phases(SHARES)), (Curriculum::None, one_phase(SHARES))] {
            let rows = curriculum.rows();
            assert_eq!(check(&rows), Ok(()));
            assert_eq!(rows.iter().map(|row| row.phase(SHARES)).collect::<Vec<_>>(), phases);
        }
    }

    #[test]
    fn a_row_needs_no_more_than_its_name_and_its_end() {
        let rows = rows("[[phases]]\nname = 'a'\nuntil = 0.5\n[[phases]]\nname = 'b'\nuntil = 1\ndepths = [0, 0, 1]\n");
        assert_eq!(check(&rows), Ok(()));
        let (a, b) = (rows[0].phase(SHARES), rows[1].phase(SHARES));
        assert_eq!((a.pool, a.amplify, a.balance, a.levels, a.mix), (1.0, false, true, (10, 10), 1.0));
        assert_eq!((a.shares, b.shares), (SHARES, DepthShares { plain: [0.0, 0.0, 1.0], ..SHARES }));
    }

    #[test]
    fn a_table_that_cannot_be_followed_is_refused_with_its_row() {
        let table = |second: &str| format!("[[phases]]\nname = 'a'\nuntil = 0.5\n[[phases]]\n{second}");
        for (second, want) in [
            ("name = 'b'\nuntil = 0.5", "until must be a share above 0.5"),
            ("name = 'b'\nuntil = nan", "until must be a share above 0.5"),
            ("name = 'b'\nuntil = 1.5", "at most 1"),
            ("name = 'b'\nuntil = 0.9", "until of the last phase must be 1, not 0.9"),
            ("name = 'a'\nuntil = 1", "not \"a\" again"),
            ("name = ''\nuntil = 1", "name must not be empty"),
            ("name = 'b'\nuntil = 1\npool = 0", "pool must be a share above 0"),
            ("name = 'b'\nuntil = 1\nmix = -1", "mix must be a factor"),
            ("name = 'b'\nuntil = 1\nlevels = [0, 3]", "levels must be two numbers in 1 ..= 10"),
            ("name = 'b'\nuntil = 1\nlevels = [4, 3]", "levels must be"),
            ("name = 'b'\nuntil = 1\ndepths = [0, 0, 0]", "depths must be three shares"),
            ("name = 'b'\nuntil = 1\nreasoning-depths = [0, 2, 0]", "reasoning-depths must be three shares"),
        ] {
            let (row, what) = check(&rows(&table(second))).unwrap_err();
            assert!(row == 1 && what.contains(want), "{second}: {what}");
        }
        let both =
            "[[phases]]\nname = 'a'\nuntil = 0.5\namplify = true\n[[phases]]\nname = 'b'\nuntil = 1\namplify = true";
        assert!(check(&rows(both)).unwrap_err().1.contains("one phase at the most"));
        assert_eq!(check(&[]).unwrap_err().1, "there must be a phase");
    }
}
