//! What a replica measured of a micro-batch, as plain numbers: they are added up in one order, whichever process they
//! come from.

use super::replica::{Answers, MOST_FACTS, Replica};

/// What one optimiser step measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StepStats {
    /// Mean cross-entropy, nats per token.
    pub loss: f64,
    pub tokens: usize,
    /// Passes per token: those taken, or where depths are blended those a hard choice would take.
    pub mean_passes: f64,
    pub answers: Answers,
    /// Binary cross-entropy of the mixture of depths' routers, summed over the blocks, nats per token.
    pub routing_loss: f64,
}

/// Numbers of a record before those of the operations: nats, rows scored, passes, routing loss, answers.
const FIXED: usize = 4 + 2 * 3 * MOST_FACTS;

/// Numbers of a record of a model with so many operations.
pub fn record_len(ops: usize) -> usize {
    FIXED + ops
}

/// Appends the record of a replica's last micro-batch. Counts are far below 2^53, so that none is rounded.
pub fn write(replica: &Replica, out: &mut Vec<f64>) {
    out.extend([replica.nats, replica.scored as f64, replica.passes as f64, replica.routing_loss]);
    let Answers { right, total } = &replica.answers;
    out.extend(right.iter().chain(total).flatten().map(|&count| f64::from(count)));
    out.extend(replica.op_counts().iter().map(|&count| f64::from(count)));
}

/// Sums over the micro-batches of a step.
#[derive(Default)]
pub struct Sums {
    pub stats: StepStats,
    pub passes: u64,
}

impl Sums {
    /// Adds a record; `micro_batches` is how many there are in the step, `op_counts` what of it counts operations.
    pub fn add(&mut self, record: &[f64], micro_batches: f32, op_counts: &mut [u64]) {
        let (fixed, ops) = record.split_at(FIXED);
        let &[nats, scored, passes, routing_loss] = &fixed[..4] else { return };
        self.stats.loss += nats;
        self.stats.tokens += scored as usize;
        self.stats.routing_loss += routing_loss / f64::from(micro_batches);
        self.passes += passes as u64;
        let counts = |numbers: &[f64]| {
            let mut counts = [[0; 3]; MOST_FACTS];
            counts.as_flattened_mut().iter_mut().zip(numbers).for_each(|(count, &n)| *count = n as u32);
            counts
        };
        let (right, total) = fixed[4..].split_at(3 * MOST_FACTS);
        self.stats.answers += Answers { right: counts(right), total: counts(total) };
        op_counts.iter_mut().zip(ops).for_each(|(total, &n)| *total += n as u64);
    }
}
