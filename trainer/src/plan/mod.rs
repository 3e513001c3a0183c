//! What training on many machines would come to, from what a step's parts take on one.
//!
//! Data parallelism: each of N ranks computes the same work on its own rows, then gradients are exchanged. With C
//! seconds of forward and backward, U of update, and E(N) of exchange, of which H(N) hides behind the backward pass,
//!
//! ```text
//! step(N)       = C + U(N) + E(N) - H(N)
//! efficiency(N) = step(1) / step(N)
//! tokens/s(N)   = N x tokens of a rank / step(N)
//! ```
//!
//! An exchange takes, for B bytes of gradients, a link of W bytes a second each way and L seconds a message, over S
//! stages of the backward pass ([`stages`](fn@crate::nn::stages)):
//!
//! ```text
//! bf16, int8: E(N) = 2 (N - 1) / N x B / W + 2 (N - 1) S L              every rank with every other, in turn
//! f32:        E(N) = 2 B / W + 2 (N - 1) (L + p / W) + 2 B / p x L      pieces of p bytes along a chain and back
//! ```
//!
//! The first is also what a ring's all-reduce takes but for the S; the second costs as many bytes and gives the bits of
//! one process ([`crate::ranks`]). Everything but the last stage, the embedding with a share e of the parameters, can
//! be exchanged while the backward pass goes on, which is two thirds of C, from the end of its first stage on:
//!
//! ```text
//! H(N) = min((1 - e) E(N), 2/3 C x (S - 1) / S)
//! ```
//!
//! Of the update's U seconds ranks share M out, Muon's products, where taking the others' parameters, of P bytes but
//! for the embedding's, costs less than it saves:
//!
//! ```text
//! U(N) = U - max(0, (N - 1) / N x (M - (1 - e) P / W) - (N - 1) L)
//! ```
//!
//! Larger models of the same shape take C, U and M in proportion to their parameters, and have their embedding's share.
//! (M grows somewhat faster, by their width.) What is left out: that ranks wait for the slowest, that
//! the exchange takes processor time from the replicas, that links are shared. So a prediction is the best that can be
//! had, and one for a thousand ranks from a measurement on one is no more than arithmetic.
//!
//! A step's tokens grow with the ranks. Beyond a critical batch (McCandlish et al., 2018, "An Empirical Model of
//! Large-Batch Training") more tokens a step save few steps, and the efficiency here says nothing about that.

#[cfg(test)]
mod tests;

use anyhow::ensure;
use serde::{Deserialize, Serialize};

use crate::ranks::{PIECE, Reduce};

/// The most ranks that are looked at.
pub const MOST_RANKS: u32 = 1000;
/// The efficiency under which another rank costs more than it brings.
pub const WORTH: f64 = 0.5;
/// Part of forward and backward that the backward takes: two of three products.
const BACKWARD: f64 = 2.0 / 3.0;

/// A step's parts on one rank, as `trainer bench --json` has them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub parameters: usize,
    /// Of one rank: replicas, their sequences, and tokens of each.
    pub threads: usize,
    pub sequences: usize,
    pub tokens: usize,
    /// Seconds of a step: forward and backward with adding up the replicas' gradients, and the update.
    pub forward_backward: f64,
    pub update: f64,
    /// Of the update, what ranks share out: Muon's products.
    #[serde(default)]
    pub shared: f64,
}

/// What of a model decides how its exchange overlaps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Model {
    pub parameters: f64,
    /// Stretches in which its backward pass finishes its gradients.
    pub stages: usize,
    /// Share of the parameters in the last one, the embedding.
    pub last: f64,
}

/// What lies between two ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Network {
    /// Bytes a second, each way.
    pub bandwidth: f64,
    /// Seconds a message takes beside its bytes.
    pub latency: f64,
}

/// A step on so many ranks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Step {
    pub ranks: u32,
    pub reduce: Reduce,
    /// Bytes that a rank sends.
    pub bytes: f64,
    /// Seconds of the exchange, and the share of them behind the backward pass; and of the whole step.
    pub exchange: f64,
    pub overlapped: f64,
    pub seconds: f64,
    /// Of all ranks.
    pub batch_tokens: f64,
    pub tokens_per_second: f64,
    /// Of what so many would do by themselves, each with all of the update: over 1 where sharing it out saves more than
    /// the exchange costs.
    pub efficiency: f64,
    /// Of a billion tokens, in whatever the price is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// What is predicted from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    pub measured: Measured,
    pub network: Network,
    /// Of a rank for an hour.
    pub price: Option<f64>,
}

impl Measured {
    /// Refuses figures that are none.
    ///
    /// # Errors
    /// A count is zero, or a time not positive; the message names the field.
    pub fn check(self) -> anyhow::Result<Self> {
        let Self { parameters, threads, sequences, tokens, forward_backward, update, shared } = self;
        let counts = [("parameters", parameters), ("threads", threads), ("sequences", sequences), ("tokens", tokens)];
        for (name, count) in counts {
            ensure!(count > 0, "{name} is 0: expected at least 1");
        }
        for (name, seconds) in [("forward_backward", forward_backward), ("update", update)] {
            ensure!(seconds.is_finite() && seconds > 0.0, "{name} is {seconds}: expected seconds above 0");
        }
        ensure!(
            (0.0..=update).contains(&shared),
            "shared is {shared}: expected 0 to {update}, of the update's seconds"
        );
        Ok(self)
    }

    /// Tokens of a rank's step.
    pub fn step_tokens(&self) -> f64 {
        (self.threads * self.sequences * self.tokens) as f64
    }
}

impl Plan {
    /// A step of `model` on so many ranks, at least one.
    pub fn step(&self, model: &Model, ranks: u32, reduce: Reduce) -> Step {
        let Self { measured, network, price } = self;
        let larger = model.parameters / measured.parameters as f64;
        let compute = larger * measured.forward_backward;
        let alone = compute + larger * measured.update;
        let (bytes, exchange) = network.exchange(model, ranks, reduce);
        let stages = model.stages.max(1) as f64;
        let room = BACKWARD * compute * (stages - 1.0) / stages;
        let hidden = ((1.0 - model.last) * exchange).min(room);
        let saved = network.saved(model, ranks, larger * measured.shared);
        let seconds = alone - saved + exchange - hidden;
        let batch_tokens = f64::from(ranks) * measured.step_tokens();
        let cost = price.map(|price| price * f64::from(ranks) * seconds / 3600.0 / batch_tokens * 1e9);
        Step {
            ranks,
            reduce,
            bytes,
            exchange,
            overlapped: if exchange > 0.0 { hidden / exchange } else { 0.0 },
            seconds,
            batch_tokens,
            tokens_per_second: batch_tokens / seconds,
            efficiency: alone / seconds,
            cost,
        }
    }

    /// The most ranks, up to [`MOST_RANKS`], at which the efficiency is still [`WORTH`] it.
    pub fn worth(&self, model: &Model, reduce: Reduce) -> u32 {
        let still = |ranks: &u32| self.step(model, *ranks, reduce).efficiency >= WORTH;
        (1..=MOST_RANKS).take_while(still).last().unwrap_or(1)
    }
}

impl Network {
    /// Seconds that sharing out `products` seconds of the update saves.
    fn saved(&self, model: &Model, ranks: u32, products: f64) -> f64 {
        let others = f64::from(ranks.saturating_sub(1));
        let parameters = 4.0 * (1.0 - model.last) * model.parameters / self.bandwidth;
        (others / f64::from(ranks) * (products - parameters) - others * self.latency).max(0.0)
    }

    /// Bytes that a rank sends in a step, and the seconds that takes all of them.
    fn exchange(&self, model: &Model, ranks: u32, reduce: Reduce) -> (f64, f64) {
        let Self { bandwidth, latency } = *self;
        if ranks <= 1 {
            return (0.0, 0.0);
        }
        let others = f64::from(ranks - 1);
        let gradients = reduce.bytes(model.parameters.round() as usize) as f64;
        let piece = Reduce::F32.bytes(PIECE) as f64;
        match reduce {
            Reduce::F32 => {
                let filling = 2.0 * others * (latency + piece / bandwidth);
                let messages = 2.0 * gradients / piece * latency;
                (2.0 * gradients, 2.0 * gradients / bandwidth + filling + messages)
            }
            Reduce::Bf16 | Reduce::Int8 => {
                let bytes = 2.0 * others / f64::from(ranks) * gradients;
                (bytes, bytes / bandwidth + 2.0 * others * model.stages as f64 * latency)
            }
        }
    }
}
