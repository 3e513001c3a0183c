//! The schedule: what the share of the run that has passed says about learning rate, data, depth and losses.
//!
//! Progress is wall-clock time over `--hours`, so that two hours and twelve both go through all four phases; or
//! steps over `--steps`, which makes a run a pure function of its arguments. Phases are rows of a table.

use serde::{Deserialize, Serialize};

use super::levels::DIFFICULTIES;
use crate::data::DepthShares;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Hours of wall-clock time, over all sessions of a resumed run.
    Hours(f64),
    /// Optimiser steps.
    Steps(u64),
}

/// How the learning rate falls after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Constant, then a straight line to the floor over the last part ("warmup-stable-decay").
    Trapezoid,
    /// Half a cosine from the end of the warm-up to the end.
    Cosine,
    /// A straight line from the end of the warm-up to the end.
    Linear,
}

/// How the reasoning loop's depths are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DepthTraining {
    /// Each story at a depth drawn for it; when to go deeper is fitted afterwards.
    Forced,
    /// All depths at every token, blended by a Gumbel-softmax that learns the choice.
    Blend,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    /// Share of the run at which the phase ends.
    pub until: f64,
    /// Share of the stories used, easiest first.
    pub pool: f32,
    /// Whether the model tells stories that join those it trains on.
    pub amplify: bool,
    /// Whether the loss on operation balance counts.
    pub balance: bool,
    /// Levels of reasoning stories, by number: the one open at the phase's start, and the last that may be earned in
    /// it.
    pub levels: (usize, usize),
    /// Share of reasoning stories, in units of the share asked for.
    pub mix: f32,
    /// How often each depth is drawn.
    pub shares: DepthShares,
}

/// The learning rate and loss weights that the phases switch on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    pub phases: Vec<Phase>,
    pub shape: Shape,
    /// The highest learning rate.
    pub lr: f32,
    /// The last learning rate, as a share of the highest.
    pub lr_floor: f32,
    /// Share of the run over which the learning rate rises from zero.
    pub warmup: f64,
    /// Trapezoid: share of the run at the end over which it falls.
    pub cooldown: f64,
    /// Weight of the operation balance loss.
    pub balance: f32,
    pub depth_training: DepthTraining,
    /// Blended depths: Gumbel-softmax temperature at the start, and from [`ANNEALED`] on.
    pub tau: (f32, f32),
}

/// The schedule's values at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Index into [`Schedule::phases`].
    pub phase: usize,
    pub lr: f32,
    pub pool: f32,
    /// Temperature, where depths are blended.
    pub tau: f32,
    pub balance: f32,
    /// Levels of reasoning stories: the one open at the phase's start at least, and the last that may be earned in it.
    pub levels: (usize, usize),
    /// Share of reasoning stories, in units of the share asked for.
    pub mix: f32,
    pub shares: DepthShares,
}

/// Share of the run after which the temperature of blended depths is held.
const ANNEALED: f64 = 0.85;

/// The four phases of [DESIGN section 4](flashlm_core::design::trainer). The fourth trains like the third, on stories
/// of the model's own too.
pub fn four_phases(shares: DepthShares) -> Vec<Phase> {
    let phase = |name: &str, until, pool, balance, amplify, levels, mix| Phase {
        name: name.into(),
        until,
        pool,
        amplify,
        balance,
        levels,
        mix,
        shares,
    };
    vec![
        phase("foundation", 0.15, 0.3, false, false, (1, 8), 3.0),
        phase("operations", 0.50, 0.75, true, false, (3, 10), 1.0),
        phase("reasoning", 0.85, 1.0, true, false, (7, 10), 0.6),
        phase("amplification", 1.0, 1.0, true, true, (9, 10), 0.6),
    ]
}

/// One phase: all stories from the first step, whatever facts they need (`--no-curriculum`).
pub fn one_phase(shares: DepthShares) -> Vec<Phase> {
    let last = four_phases(shares).pop().expect("four phases");
    let levels = (DIFFICULTIES.len(), DIFFICULTIES.len());
    vec![Phase { name: "everything".into(), amplify: false, levels, mix: 1.0, ..last }]
}

impl Schedule {
    /// The values at `progress`, a share of the run clamped to 0 ..= 1.
    pub fn at(&self, progress: f64) -> Point {
        let progress = progress.clamp(0.0, 1.0);
        let last = self.phases.len() - 1;
        let index = self.phases.iter().position(|p| progress < p.until).unwrap_or(last);
        let phase = &self.phases[index];
        Point {
            phase: index,
            lr: self.lr * self.lr_share(progress) as f32,
            pool: phase.pool,
            tau: self.tau.0 + (self.tau.1 - self.tau.0) * (progress / ANNEALED).min(1.0) as f32,
            balance: if phase.balance { self.balance } else { 0.0 },
            levels: phase.levels,
            mix: phase.mix,
            shares: phase.shares,
        }
    }

    /// The learning rate's share of its maximum.
    fn lr_share(&self, progress: f64) -> f64 {
        if progress < self.warmup {
            return progress / self.warmup;
        }
        let floor = self.lr_floor as f64;
        let left = 1.0 - progress;
        let after = left / (1.0 - self.warmup);
        let high = match self.shape {
            Shape::Trapezoid => (left / self.cooldown.min(1.0 - self.warmup).max(1e-9)).min(1.0),
            Shape::Cosine => 0.5 - 0.5 * (std::f64::consts::PI * after).cos(),
            Shape::Linear => after,
        };
        floor + (1.0 - floor) * high
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: DepthShares = DepthShares { plain: [0.7, 0.2, 0.1], reasoning: [0.2, 0.4, 0.4] };

    fn schedule(shape: Shape) -> Schedule {
        Schedule {
            phases: four_phases(SHARES),
            shape,
            lr: 2.0,
            lr_floor: 0.0,
            warmup: 0.1,
            cooldown: 0.4,
            balance: 0.01,
            depth_training: DepthTraining::Blend,
            tau: (1.0, 0.3),
        }
    }

    #[test]
    fn phases_follow_the_design_table() {
        let s = schedule(Shape::Cosine);
        let rows = [
            (0.0, 0, 0.3, 0.0, (1, 8), 3.0),
            (0.149, 0, 0.3, 0.0, (1, 8), 3.0),
            (0.15, 1, 0.75, 0.01, (3, 10), 1.0),
            (0.499, 1, 0.75, 0.01, (3, 10), 1.0),
            (0.5, 2, 1.0, 0.01, (7, 10), 0.6),
            (0.85, 3, 1.0, 0.01, (9, 10), 0.6),
            (1.0, 3, 1.0, 0.01, (9, 10), 0.6),
            (7.0, 3, 1.0, 0.01, (9, 10), 0.6),
        ];
        for (progress, phase, pool, balance, levels, mix) in rows {
            let p = s.at(progress);
            let got = (p.phase, p.pool, p.balance, p.levels, p.mix);
            assert_eq!(got, (phase, pool, balance, levels, mix), "at {progress}");
            assert_eq!(p.shares, SHARES, "all depths live from the first step");
        }
    }

    #[test]
    fn learning_rate_warms_up_and_ends_at_the_floor() {
        for shape in [Shape::Trapezoid, Shape::Cosine, Shape::Linear] {
            let mut s = schedule(shape);
            assert_eq!(s.at(0.0).lr, 0.0);
            assert!((s.at(0.05).lr - 1.0).abs() < 1e-6);
            assert!((s.at(0.1).lr - 2.0).abs() < 1e-6);
            assert!(s.at(1.0).lr.abs() < 1e-6);
            let rates: Vec<_> = (10..=100).map(|i| s.at(i as f64 / 100.0).lr).collect();
            assert!(rates.windows(2).all(|w| w[1] <= w[0]), "{shape:?} rises after the warm-up");
            s.lr_floor = 0.1;
            assert!((s.at(1.0).lr - 0.2).abs() < 1e-6);
        }
        assert_eq!(schedule(Shape::Trapezoid).at(0.59).lr, 2.0);
        assert!((schedule(Shape::Trapezoid).at(0.8).lr - 1.0).abs() < 1e-6);
        assert!((schedule(Shape::Cosine).at(0.55).lr - 1.0).abs() < 1e-6);
        assert!((schedule(Shape::Linear).at(0.55).lr - 1.0).abs() < 1e-6);
    }

    #[test]
    fn temperature_anneals_and_is_held() {
        let s = schedule(Shape::Linear);
        assert_eq!(s.at(0.0).tau, 1.0);
        assert!((s.at(0.425).tau - 0.65).abs() < 1e-6);
        assert!((s.at(0.85).tau - 0.3).abs() < 1e-6);
        assert!((s.at(1.0).tau - 0.3).abs() < 1e-6);
    }

    #[test]
    fn one_phase_uses_everything_from_the_start() {
        let s = Schedule { phases: one_phase(SHARES), ..schedule(Shape::Linear) };
        let p = s.at(0.0);
        assert_eq!((p.phase, p.pool, p.levels, p.mix), (0, 1.0, (10, 10), 1.0));
    }
}
