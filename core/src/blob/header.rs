//! The header: what the model is, how it came about and where its sections lie, in postcard's wire format.

use serde::{Deserialize, Serialize};

use crate::config::ModelConfig;
use crate::schema::Role;

/// How a model came about; told by `inspect`, never used to compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Facts<'a> {
    /// Name of the preset or of the run, at most [`MAX_TEXT`] bytes.
    #[serde(borrow)]
    pub name: &'a str,
    /// Name of the training data, at most [`MAX_TEXT`] bytes.
    #[serde(borrow)]
    pub data: &'a str,
    /// Tokens trained on.
    pub tokens: u64,
    /// Optimiser steps taken.
    pub steps: u64,
    /// Training phase reached, 1..=4; 0 when untrained.
    pub phase: u8,
    /// Bits per byte on the held-out text, as measured by the trainer.
    pub held_out_bpc: Option<f64>,
}

/// The longest text in [`Facts`], bytes.
pub const MAX_TEXT: usize = 64;

/// Sections of a blob.
pub(crate) const SECTIONS: usize = Role::ALL.len();

/// Where a section lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub role: Role,
    /// From the start of the blob, a multiple of 64.
    pub offset: u32,
    /// In bytes, without the padding up to the next section.
    pub len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Header<'a> {
    pub config: ModelConfig,
    #[serde(borrow)]
    pub facts: Facts<'a>,
    pub sections: [Entry; SECTIONS],
}
