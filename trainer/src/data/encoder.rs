//! Encoding much text fast: words repeat, so their tokens are remembered.

use std::collections::HashMap;

use flashlm_core::tokenizer::{PreTokens, Tokenizer, TokenizerError};
use flashlm_host::text::marks::AnswerBytes;
use serde::{Deserialize, Serialize};

use super::hash::BuildHash64;

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

    /// Appends the tokens of `text` to `out`, and to `spans` those of its answers, which are in order and do not
    /// overlap.
    pub fn encode_marked(
        &mut self,
        text: &[u8],
        answers: &[AnswerBytes],
        out: &mut Vec<u16>,
        spans: &mut Vec<AnswerTokens>,
    ) -> Result<(), TokenizerError> {
        let first = out.len();
        self.encode(text, out)?;
        answer_tokens(self.tokenizer, text, answers, &out[first..], spans);
        Ok(())
    }
}

/// An answer in a story's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerTokens {
    /// Its first token and how many it has, at least 1.
    pub start: u32,
    pub length: u32,
    /// Facts of the story it needs, at least 1.
    pub facts: u8,
}

/// Appends the `tokens` of `text` that its answers are part of. A token is part of an answer where they share a
/// byte that is no white space before a word: ` barn` is part of `barn`, but not of the ` ` before it.
fn answer_tokens(
    tokenizer: Tokenizer,
    text: &[u8],
    answers: &[AnswerBytes],
    tokens: &[u16],
    spans: &mut Vec<AnswerTokens>,
) {
    let mut place = tokens.iter().enumerate().scan(0, |end, (index, &token)| {
        let start = *end;
        *end += tokenizer.piece_len(token);
        let spaces = text[start..*end].iter().take_while(|b| b.is_ascii_whitespace()).count();
        // where its word begins; all of a token of nothing but spaces counts
        let word = if start + spaces < *end { start + spaces } else { start };
        Some((index as u32, word, *end))
    });
    let mut next = place.next();
    for answer in answers {
        let (from, to) = (answer.start as usize, (answer.start + answer.length) as usize);
        while next.is_some_and(|(_, _, end)| end <= from) {
            next = place.next();
        }
        let mut span: Option<AnswerTokens> = None;
        while let Some((index, ..)) = next.filter(|&(_, word, _)| word < to) {
            span.get_or_insert(AnswerTokens { start: index, length: 0, facts: answer.facts }).length += 1;
            next = place.next();
        }
        spans.extend(span);
    }
}

#[cfg(test)]
mod tests {
    use flashlm_host::text::marks;

    use super::*;

    /// The tokens of each answer, spelled.
    fn spelled(table: &[u8], marked: &str) -> Vec<(String, u8)> {
        let tokenizer = Tokenizer::from_bytes(table).unwrap();
        let (mut text, mut answers) = (Vec::new(), Vec::new());
        marks::strip(marked.as_bytes(), &mut text, &mut answers).unwrap();
        // after another story's tokens
        let (mut tokens, mut spans) = (vec![5, 5], Vec::new());
        Encoder::new(tokenizer).encode_marked(&text, &answers, &mut tokens, &mut spans).unwrap();
        assert_eq!(tokens[2..], tokenizer.encoded(&text));
        let spell = |span: &AnswerTokens| {
            let tokens = &tokens[2 + span.start as usize..][..span.length as usize];
            let mut bytes = Vec::new();
            tokens.iter().for_each(|&token| tokenizer.for_each_byte(token, |byte| bytes.push(byte)));
            (String::from_utf8(bytes).unwrap(), span.facts)
        };
        spans.iter().map(spell).collect()
    }

    /// Merges that spell " barn" and " a" as one token each.
    fn words() -> Vec<u8> {
        let byte = |b: u8| 1 + u16::from(b);
        let merges = [(byte(b' '), byte(b'b')), (257, byte(b'a')), (258, byte(b'r')), (259, byte(b'n'))];
        super::super::bpe::table(&[&merges[..], &[(byte(b' '), byte(b'a'))]].concat())
    }

    #[test]
    fn a_token_that_holds_an_answers_letters_is_part_of_it() {
        let answers = |marked| spelled(&words(), marked);
        let of = |text: &str, facts| (text.to_owned(), facts);
        assert_eq!(answers("In the <|answer:2|>barn<|/answer|>."), [of(" barn", 2)]);
        assert_eq!(answers("In<|answer|> a barn<|/answer|>."), [of(" a barn", 1)]);
        assert_eq!(answers("In a <|answer|>b<|/answer|>arn"), [of(" barn", 1)]);
        assert_eq!(answers("\"<|answer|>Tom<|/answer|>\""), [of("Tom", 1)]);
        assert_eq!(answers("<|answer|>Tom<|/answer|>, <|answer:3|>Sue<|/answer|>"), [of("Tom", 1), of("Sue", 3)]);
    }

    #[test]
    fn a_space_before_the_next_word_is_no_answer() {
        let of = |text: &str| (text.to_owned(), 1);
        assert_eq!(spelled(&words(), "<|answer|>Tom <|/answer|>barn"), [of("Tom")]);
        assert_eq!(spelled(&words(), "<|answer|>  <|/answer|>barn"), [of("  ")], "nothing but space is the space");
    }

    #[test]
    fn a_token_is_part_of_one_answer_only() {
        let found = spelled(&words(), "a <|answer|>ba<|/answer|><|answer:2|>rn<|/answer|>");
        assert_eq!(found, [(" barn".to_owned(), 1)]);
    }

    #[test]
    fn without_merges_every_byte_of_an_answer_is_marked_and_no_other() {
        let found = spelled(&super::super::bpe::table(&[]), "In the <|answer:2|>big barn<|/answer|>.");
        assert_eq!(found, [("big barn".to_owned(), 2)]);
    }
}
