//! The optimiser: gradient norm, AdamW, and Muon for the ternary matrices.
//!
//! Everything works on the flat buffers of [`crate::nn`], is split over rayon's threads in pieces whose
//! borders do not depend on how many threads there are, and adds up in a fixed order: the same gradients give
//! the same parameters, bit for bit, on one thread or sixteen.

pub mod adamw;
pub mod moments;
pub mod muon;
pub mod norm;

use moments::Moments;
pub use moments::Precision;
use muon::Muon;
use serde::{Deserialize, Serialize};

use crate::kernels::{Kernels, Macs, counted};
use crate::nn::{Layout, ParamKind};
use crate::ranks::Ranks;

/// Elements one task works on: large enough to hide the fork, small enough to share out a matrix.
pub(crate) const PIECE: usize = 16 * 1024;

/// Which rule moves the ternary matrices; all else is always AdamW's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Adam with decoupled weight decay (Loshchilov & Hutter, 2019).
    Adamw,
    /// Momentum made orthogonal by Newton-Schulz steps (Jordan, 2024), for the ternary matrices.
    Muon,
}

/// One value for each kind of parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PerKind {
    pub ternary: f32,
    pub embedding: f32,
    pub float: f32,
}

impl PerKind {
    fn of(&self, kind: &ParamKind) -> f32 {
        match kind {
            ParamKind::Ternary => self.ternary,
            ParamKind::Embedding => self.embedding,
            ParamKind::Float => self.float,
        }
    }
}

/// What does not change during a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    pub kind: Kind,
    /// Decay of the first moment; Muon's momentum is its own.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Muon's momentum (Nesterov).
    pub momentum: f32,
    /// Multiplies the scheduled learning rate.
    pub lr: PerKind,
    /// Share of a parameter removed per step, times the learning rate.
    pub weight_decay: PerKind,
    /// Largest global gradient norm; a larger gradient is scaled down to it. Infinite: never.
    pub clip: f32,
    /// How the moments are stored.
    pub moments: Precision,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::Adamw,
            beta1: 0.9,
            beta2: 0.98,
            eps: 1e-8,
            momentum: 0.95,
            lr: PerKind { ternary: 1.0, embedding: 1.0, float: 1.0 },
            weight_decay: PerKind { ternary: 0.1, embedding: 0.0, float: 0.0 },
            clip: 1.0,
            moments: Precision::F32,
        }
    }
}

/// A tensor as the optimiser sees it.
struct Group {
    name: String,
    shape: Vec<usize>,
    offset: usize,
    len: usize,
    lr: f32,
    decay: f32,
    muon: bool,
}

/// What one update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outcome {
    /// The parameters moved; the gradient's global norm before clipping.
    Applied { grad_norm: f64 },
    /// A gradient was not finite: nothing changed.
    NotFinite,
}

/// The optimiser and its moments.
pub struct Optimizer {
    kernels: Kernels,
    settings: Settings,
    groups: Vec<Group>,
    /// First moment (Muon: momentum), as long as the parameters.
    m: Moments,
    /// Second moment, as long as the parameters; unused where Muon rules.
    v: Moments,
    muon: Muon,
    norm: norm::GlobalNorm,
    /// Updates applied so far: the bias correction's exponent.
    updates: u64,
}

impl Optimizer {
    /// Zero moments for every tensor of `layout`; computes on `kernels`.
    pub fn new(kernels: Kernels, layout: &Layout, settings: Settings) -> Self {
        let groups: Vec<_> = layout
            .tensors
            .iter()
            .map(|t| Group {
                name: t.name.clone(),
                shape: t.shape.clone(),
                offset: t.offset,
                len: t.shape.iter().product(),
                lr: settings.lr.of(&t.kind),
                decay: settings.weight_decay.of(&t.kind),
                muon: settings.kind == Kind::Muon && matches!(t.kind, ParamKind::Ternary),
            })
            .collect();
        let matrices = groups.iter().filter(|g| g.muon).flat_map(|g| {
            let [rows, cols] = g.shape[g.shape.len() - 2..] else { unreachable!("ternary tensors are matrices") };
            let (lr, decay) = (g.lr, g.decay);
            (0..g.len / (rows * cols)).map(move |i| muon::Matrix {
                offset: g.offset + i * rows * cols,
                rows,
                cols,
                lr,
                decay,
            })
        });
        Self {
            muon: Muon::new(kernels, matrices.collect(), settings.momentum),
            kernels,
            settings,
            groups,
            m: Moments::zeros(layout.len, settings.moments),
            v: Moments::zeros(layout.len, settings.moments),
            norm: norm::GlobalNorm::new(layout.len),
            updates: 0,
        }
    }

    /// Bytes that one of these settings takes.
    pub fn memory(kernels: Kernels, layout: &Layout, settings: Settings) -> u64 {
        counted(|| Self::new(kernels, layout, settings))
    }

    /// Updates applied so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Multiply-adds of the products in one update: Muon's.
    pub fn macs(&self) -> Macs {
        Macs { float: self.muon.macs(), ..Macs::default() }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// One update of `params` by `grads`, both as long as the layout, at learning rate `lr`. A gradient that
    /// is not finite changes nothing.
    pub fn update(&mut self, params: &mut [f32], grads: &[f32], lr: f32) -> Outcome {
        self.update_among(&Ranks::alone(), params, grads, lr)
    }

    /// [`Self::update`] by ranks that have the same parameters and gradients and share the work: each has the same
    /// bits then as if it had done all of it.
    pub fn update_among(&mut self, ranks: &Ranks, params: &mut [f32], grads: &[f32], lr: f32) -> Outcome {
        let grad_norm = self.norm.of(grads);
        if !grad_norm.is_finite() {
            return Outcome::NotFinite;
        }
        let clip = self.settings.clip as f64;
        let scale = if grad_norm > clip { (clip / grad_norm) as f32 } else { 1.0 };
        self.updates += 1;
        let s = &self.settings;
        let rule = adamw::Rule {
            kernels: self.kernels,
            beta1: s.beta1,
            beta2: s.beta2,
            eps: s.eps,
            grad_scale: scale,
            correct1: (1.0 / (1.0 - (s.beta1 as f64).powi(self.updates.min(1 << 20) as i32))) as f32,
            correct2: (1.0 / (1.0 - (s.beta2 as f64).powi(self.updates.min(1 << 20) as i32))) as f32,
            update: self.updates,
        };
        for g in self.groups.iter().filter(|g| !g.muon) {
            let span = g.offset..g.offset + g.len;
            let moments = (&mut self.m, &mut self.v);
            adamw::step(&rule, lr * g.lr, g.decay, span, params, grads, moments);
        }
        let rule = muon::Rule { lr, grad_scale: scale, update: self.updates };
        self.muon.step(ranks, rule, params, grads, &mut self.m);
        Outcome::Applied { grad_norm }
    }

    /// Calls `f` with every state tensor's name, shape and values, in the layout's order. The values are
    /// decoded into one reused buffer.
    pub fn each_state<E>(&self, mut f: impl FnMut(&str, &[usize], &[f32]) -> Result<(), E>) -> Result<(), E> {
        let mut values = Vec::new();
        for g in &self.groups {
            let span = g.offset..g.offset + g.len;
            self.m.decode(span.clone(), &mut values);
            f(&first_name(g), &g.shape, &values)?;
            if !g.muon {
                self.v.decode(span, &mut values);
                f(&second_name(g), &g.shape, &values)?;
            }
        }
        Ok(())
    }

    /// Restores what [`each_state`](Self::each_state) gave; `find` returns a tensor's values by name. The
    /// name of a missing tensor, or one of another length, is the error.
    pub fn restore<'a>(&mut self, updates: u64, find: impl Fn(&str) -> Option<&'a [f32]>) -> Result<(), String> {
        for g in &self.groups {
            let span = g.offset..g.offset + g.len;
            let get = |name: String| find(&name).filter(|v| v.len() == g.len).ok_or(name);
            self.m.encode(span.clone(), get(first_name(g))?);
            if !g.muon {
                self.v.encode(span, get(second_name(g))?);
            }
        }
        self.updates = updates;
        Ok(())
    }

    /// Names and shapes of the state tensors, in the order of [`each_state`](Self::each_state).
    pub fn state_names(&self) -> Vec<(String, Vec<usize>)> {
        let mut names = Vec::new();
        for g in &self.groups {
            names.push((first_name(g), g.shape.clone()));
            if !g.muon {
                names.push((second_name(g), g.shape.clone()));
            }
        }
        names
    }
}

fn first_name(g: &Group) -> String {
    format!("{}.m.{}", if g.muon { "muon" } else { "adam" }, g.name)
}

fn second_name(g: &Group) -> String {
    format!("adam.v.{}", g.name)
}

#[cfg(test)]
mod tests;
