//! Encoding much text fast: words repeat, so their tokens are remembered.

use super::hash::BuildHash64;
use flashlm_core::tokenizer::{PreTokens, Tokenizer, TokenizerError};
use std::collections::HashMap;

/// Distinct words remembered; the vocabulary of simple stories is far smaller.
const REMEMBERED: usize = 1 << 16;
/// Longer words are too rare to remember.
const LONGEST: usize = 32;

/// A tokenizer with a memory, for one thread. Gives what [`Tokenizer::encode`] gives.
pub struct Encoder<'a> {
    tokenizer: Tokenizer<'a>,
    /// Where in `tokens` a word's are.
    words: HashMap<Box<[u8]>, (u32, u32), BuildHash64>,
    tokens: Vec<u16>,
}

impl<'a> Encoder<'a> {
    /// An encoder that has seen no words.
    pub fn new(tokenizer: Tokenizer<'a>) -> Self {
        Self { tokenizer, words: HashMap::default(), tokens: Vec::new() }
    }

    /// Appends the tokens of `text` to `out`.
    pub fn encode(&mut self, text: &[u8], out: &mut Vec<u16>) -> Result<(), TokenizerError> {
        for word in PreTokens::new(text) {
            if let Some(&(start, length)) = self.words.get(word) {
                out.extend_from_slice(&self.tokens[start as usize..][..length as usize]);
                continue;
            }
            let start = out.len();
            out.resize(start + word.len(), 0);
            let length = self.tokenizer.encode_pre_token(word, &mut out[start..])?;
            out.truncate(start + length);
            if word.len() <= LONGEST && self.words.len() < REMEMBERED {
                self.words.insert(word.into(), (self.tokens.len() as u32, length as u32));
                self.tokens.extend_from_slice(&out[start..]);
            }
        }
        Ok(())
    }
}

/// The tokens of one text.
pub fn encode(tokenizer: Tokenizer, text: &[u8]) -> Result<Vec<u16>, TokenizerError> {
    let mut tokens = vec![0; text.len()];
    let length = tokenizer.encode(text, &mut tokens)?;
    tokens.truncate(length);
    Ok(tokens)
}
