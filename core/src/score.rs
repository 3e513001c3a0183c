//! How many bits a model needs to predict a text.
//!
//! All sums run in one fixed order and the logarithm is software, so a score is the same number on every target.
//!
//! ```
//! use flashlm_core::score::Score;
//! use flashlm_core::*;
//!
//! const BLOB: &[u8] = include_blob!("../tiny.flm");
//! let model = Model::from_bytes(BLOB)?;
//! let mut arena = [Line::ZERO; arena_lines(BLOB, 16)]; // 16 tokens at a time are fastest
//! let mut session = Session::new(model, Kernels::detect(), &mut arena[..])?;
//!
//! let mut bits = |text: &str| -> Result<f64, Error> {
//!     let mut tokens = [0; 64];
//!     let n = model.tokenizer().ok_or(Error::NoTokenizer)?.encode(text.as_bytes(), &mut tokens)?;
//!     let mut score = Score::default();
//!     score.add_story(&mut session, &tokens[..n], text.len() as u64)?;
//!     Ok(score.bits_per_byte())
//! };
//! // what is like the stories that the model was trained on takes fewer bits
//! assert!(bits("Tom saw a big dog. He was happy.")? < bits("gnikcirt xob ,yppah sa gniht oN")? / 2.0);
//! # Ok::<(), Error>(())
//! ```

use crate::kernels::Kernels;
pub use crate::log_sum_exp::LogSumExp;
use crate::memory::{Line, MAX_CHUNK};
use crate::session::{Session, SessionError};

/// Bits (negative log2-likelihood) of each of `tokens` from the session's present state on: calls
/// `each(index, bits)`, returns their total, and leaves the session behind all tokens but the last, whose logits
/// are never needed. The session must have processed a token.
pub fn continuation<A: AsRef<[Line]> + AsMut<[Line]>>(
    session: &mut Session<'_, A>,
    tokens: &[u16],
    mut each: impl FnMut(usize, f64),
) -> Result<f64, SessionError> {
    let Some((&first, rest)) = tokens.split_first() else { return Ok(0.0) };
    session.check(tokens)?;
    let kernels = session.kernels();
    let mut scorers = [Scorer::new(first); MAX_CHUNK];
    session.logits(|row, rows| scorers[0].push(kernels, row, rows))?;
    let mut total = scorers[0].bits();
    each(0, total);
    let mut index = 1;
    for (inputs, targets) in tokens.chunks(MAX_CHUNK).zip(rest.chunks(MAX_CHUNK)) {
        for (scorer, &target) in scorers.iter_mut().zip(targets) {
            *scorer = Scorer::new(target);
        }
        let inputs = &inputs[..targets.len()];
        session.prefill_logits(inputs, |t, row, rows| scorers[t].push(kernels, row, rows))?;
        for scorer in &scorers[..targets.len()] {
            let bits = scorer.bits();
            each(index, bits);
            total += bits;
            index += 1;
        }
    }
    Ok(total)
}

/// Bits of a whole story from the reset state: the end-of-story token is fed first, then every token is predicted
/// from those before it. A story that is terminated in its file ends with the end-of-story token, which is
/// predicted like any other. Otherwise as [`continuation`].
pub fn story<A: AsRef<[Line]> + AsMut<[Line]>>(
    session: &mut Session<'_, A>,
    tokens: &[u16],
    each: impl FnMut(usize, f64),
) -> Result<f64, SessionError> {
    let eot = session.model().config().eot.ok_or(SessionError::NoEndOfStory)?;
    session.check(tokens)?;
    session.reset();
    session.step(eot as u16)?;
    continuation(session, tokens, each)
}

/// Adds up what [bits per byte](Self::bits_per_byte) of a file needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Score {
    /// Bits of all tokens.
    pub bits: f64,
    /// Tokens predicted.
    pub tokens: u64,
    /// Bytes of the file, separators included.
    pub bytes: u64,
}

impl Score {
    /// Scores one story (see [`story`]); `bytes` is what it and its separator take in the file.
    pub fn add_story<A: AsRef<[Line]> + AsMut<[Line]>>(
        &mut self,
        session: &mut Session<'_, A>,
        tokens: &[u16],
        bytes: u64,
    ) -> Result<(), SessionError> {
        self.bits += story(session, tokens, |_, _| ())?;
        self.tokens += tokens.len() as u64;
        self.bytes += bytes;
        Ok(())
    }

    /// BPC: bits over bytes; 0 for an empty file.
    pub fn bits_per_byte(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.bits / self.bytes as f64 }
    }

    /// Adds another part's score, of the same file.
    pub fn merge(&mut self, other: &Self) {
        self.bits += other.bits;
        self.tokens += other.tokens;
        self.bytes += other.bytes;
    }
}

/// The score of one token while the logits stream by.
#[derive(Clone, Copy)]
struct Scorer {
    target: u32,
    logit: f32,
    all: LogSumExp,
}

impl Scorer {
    fn new(target: u16) -> Self {
        Self { target: target.into(), logit: 0.0, all: LogSumExp::default() }
    }

    fn push(&mut self, kernels: Kernels, first: u32, rows: &[f32]) {
        if let Some(&logit) = self.target.checked_sub(first).and_then(|i| rows.get(i as usize)) {
            self.logit = logit;
        }
        let _ = self.all.push(kernels, rows);
    }

    fn bits(&self) -> f64 {
        (self.all.value() - f64::from(self.logit)) / core::f64::consts::LN_2
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::blob::{Facts, write};
    use crate::config::ModelConfig;
    use crate::model::Model;
    use crate::testing::{Blob, SMALL, random_blob, random_sections};

    fn tokens(n: usize) -> Vec<u16> {
        (0..n).map(|i| ((i * 37 + 11) % 300) as u16).collect()
    }

    #[test]
    fn bits_are_those_of_the_logits_one_step_at_a_time() {
        let blob = random_blob(&SMALL, 4);
        let model = Model::from_bytes(blob.bytes()).unwrap();
        for n in [0, 1, 2, 16, 17, 40] {
            let tokens = tokens(n);
            let (mut steps, mut want) = (Session::on_heap(model, Kernels::scalar()), Vec::new());
            steps.step(0).unwrap();
            for &token in &tokens {
                let mut logits = Vec::new();
                steps.logits(|_, rows| logits.extend(rows.iter().map(|&v| f64::from(v)))).unwrap();
                let sum: f64 = logits.iter().map(|v| v.exp()).sum();
                want.push((sum.ln() - logits[usize::from(token)]) / core::f64::consts::LN_2);
                steps.step(token).unwrap();
            }
            // whatever the session did before
            let mut session = Session::on_heap(model, Kernels::detect());
            session.prefill(&[3, 4, 5]).unwrap();
            let mut got = Vec::new();
            let total = story(&mut session, &tokens, |i, bits| {
                assert_eq!(i, got.len());
                got.push(bits);
            });
            assert_eq!(got.len(), n);
            assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-5), "{got:?} {want:?}");
            assert!((total.unwrap() - want.iter().sum::<f64>()).abs() < 1e-4);
        }
    }

    #[test]
    fn a_model_that_knows_nothing_needs_the_logarithm_of_its_vocabulary() {
        let mut sections = random_sections(&SMALL, 4);
        sections[1].fill(0);
        let blob = Blob::new(&write(&SMALL, &Facts::default(), &sections).unwrap());
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
        let mut score = Score::default();
        score.add_story(&mut session, &tokens(20), 60).unwrap();
        score.add_story(&mut session, &tokens(10), 40).unwrap();
        assert_eq!((score.tokens, score.bytes), (30, 100));
        assert!((score.bits - 30.0 * 300f64.log2()).abs() < 1e-4, "{}", score.bits);
        assert_eq!(score.bits_per_byte(), score.bits / 100.0);
        assert_eq!(Score::default().bits_per_byte(), 0.0);
    }

    #[test]
    fn scoring_needs_known_tokens_and_an_end_of_story() {
        let blob = random_blob(&SMALL, 4);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
        assert_eq!(continuation(&mut session, &[1], |_, _| ()), Err(SessionError::Empty));
        assert_eq!(story(&mut session, &[1, 300], |_, _| ()), Err(SessionError::Token(300)));
        let blob = random_blob(&ModelConfig { eot: None, ..SMALL }, 4);
        let mut session = Session::on_heap(Model::from_bytes(blob.bytes()).unwrap(), Kernels::detect());
        assert_eq!(story(&mut session, &[1], |_, _| ()), Err(SessionError::NoEndOfStory));
    }
}
