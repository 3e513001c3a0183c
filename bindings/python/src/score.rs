//! Bits of a text.

use std::sync::Arc;

use flashlm_core::config::Depth;
use flashlm_core::{score, text};
use pyo3::prelude::*;

use crate::arguments::PIECE;
use crate::error::raised;
use crate::loaded::{Loaded, Running};

/// How many bits a model needs to predict a text.
#[pyclass(frozen, get_all, module = "flashlm")]
#[derive(Clone, Copy, Debug)]
pub struct Score {
    /// Negative log2-likelihood of all tokens [bits].
    bits: f64,
    /// Tokens predicted.
    tokens: u64,
    /// Bytes of the text, separators included.
    bytes: u64,
}

#[pymethods]
impl Score {
    /// Bits over bytes (BPC); 0 for an empty text.
    #[getter]
    fn bits_per_byte(&self) -> f64 {
        score::Score { bits: self.bits, tokens: self.tokens, bytes: self.bytes }.bits_per_byte()
    }

    fn __repr__(&self) -> String {
        let Self { bits, tokens, bytes } = self;
        format!("Score(bits={bits:.4}, tokens={tokens}, bytes={bytes})")
    }
}

/// Scores every byte of a file of stories, as `flashlm eval` does: each story from the reset state, its separator
/// included.
pub fn of(py: Python<'_>, loaded: &Arc<Loaded>, file: &[u8], depth: Option<Depth>) -> PyResult<Score> {
    let (tokenizer, eot) = (loaded.tokenizer().map_err(raised)?, loaded.end_of_story().map_err(raised)?);
    let mut running = Running::start(loaded, depth).map_err(raised)?;
    let mut total = Score { bits: 0.0, tokens: 0, bytes: file.len() as u64 };
    for story in text::stories(file) {
        let mut tokens = py.detach(|| tokenizer.encoded(story.text));
        if story.terminated {
            tokens.push(eot);
        }
        // added up token by token, whatever the pieces
        let mut bits = 0.0;
        let (mut before, mut first) = (eot, true);
        for piece in tokens.chunks(PIECE) {
            let scored = py.detach(|| {
                running.with(|session| {
                    if std::mem::take(&mut first) {
                        session.reset();
                    }
                    session.step(before)?;
                    score::continuation(session, piece, |_, each| bits += each)
                })
            });
            scored.map_err(raised)?;
            before = piece.last().copied().unwrap_or(eot);
            py.check_signals()?;
        }
        total.bits += bits;
        total.tokens += tokens.len() as u64;
    }
    Ok(total)
}
