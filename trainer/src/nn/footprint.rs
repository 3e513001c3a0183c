//! How much memory training a model takes, said before any of it is taken.

use flashlm_core::config::ModelConfig;
use flashlm_host::{Shortage, check_memory, shown_bytes};

use super::head::EmbeddingMode;
use super::params::Layout;
use super::replica::{PackedModel, Replica};
use super::shape::{BatchShape, Shape};
use crate::kernels::{Kernels, counted};

/// Bytes that a model in training takes, counted by rehearsing its making. What its first step adds, the products'
/// scratch memory, is some percent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Parameters, gradients and packed weights.
    pub weights: u64,
    /// Activations and gradients of one replica.
    pub replica: u64,
    pub threads: usize,
}

impl Footprint {
    /// Of an [`Engine`](super::Engine) of this configuration with its parameters.
    pub fn of(config: &ModelConfig, kernels: Kernels, shape: BatchShape, mode: EmbeddingMode) -> Self {
        let layout = Layout::new(config);
        let floats = 4 * layout.len as u64;
        let replica = Shape { sequences: shape.sequences, tokens: shape.tokens };
        Self {
            weights: 2 * floats + counted(|| PackedModel::new(*config, kernels, &layout, mode)),
            replica: counted(|| Replica::new(config, kernels, &layout, mode, replica)),
            threads: shape.threads,
        }
    }

    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.replica.saturating_mul(self.threads as u64))
    }

    /// Refuses a model that does not fit into the memory there is, beside `more` bytes (an optimiser's, say).
    pub fn check(&self, more: u64) -> Result<(), Shortage> {
        let weights = shown_bytes(self.weights.saturating_add(more));
        let (replica, threads) = (shown_bytes(self.replica), self.threads);
        let parts = format!("{weights} for its weights, {replica} for each of {threads} threads");
        let what = format!("a model of this size in training ({parts})");
        let advice = "fewer --threads, --sequences or --tokens take less, and so do smaller dimensions (--d-model, \
                      --layers, --d-ffn, --vocab)";
        check_memory(&what, self.total().saturating_add(more), advice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_of_any_size_is_counted_without_being_made() {
        let kernels = Kernels::detect();
        let shape = BatchShape { threads: 1024, sequences: 1024, tokens: 4096, accumulate: 1 };
        let footprint = Footprint::of(&ModelConfig::THUNDERBOLT, kernels, shape, EmbeddingMode::Int8);
        assert!(footprint.replica > 1 << 36, "{footprint:?}");
        let error = footprint.check(0).unwrap_err().to_string();
        assert!(error.contains("TB of memory, and there are") && error.contains("--threads"), "{error}");
    }
}
