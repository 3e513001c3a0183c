//! Training the tokenizer with the `tokenizers` crate, and the way to and from core's table.

use std::collections::HashMap;

use flashlm_core::tokenizer::{self, BYTE_TOKENS, EOT, FIRST_MERGE, MAX_MERGES, MAX_PIECE, PreTokens, Tokenizer};
use rayon::prelude::*;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::DataError;
use super::hash::BuildHash64;
use super::mix::Mix;

/// What the `tokenizers` crate calls the token that ends a story.
pub const EOT_TEXT: &str = "<|endoftext|>";

/// The cuts of [`PreTokens`] as a regular expression, which counts characters as they do. `\s` is spelled out: in a
/// Unicode regex it is not the ASCII class.
pub const PATTERN: &str = concat!(
    r" ?[A-Za-z]{1,127}",
    r"| ?[0-9]{1,127}",
    r"| ?[^A-Za-z0-9 \t\n\r\x0b\x0c]{1,127}",
    r"|[ \t\n\r\x0b\x0c]{1,127}",
);

/// The most text the tokenizer is trained on, bytes. The `tokenizers` crate counts in 32 bits.
pub const MAX_SAMPLE: u64 = 512 << 20;

/// A pair seen once in the sample says nothing about text to come.
const MIN_FREQUENCY: u64 = 2;
/// Longer tokens would be whole phrases of punctuation or rulers.
const MAX_TOKEN_LENGTH: usize = MAX_PIECE / 2;

type Counts<'a> = HashMap<&'a [u8], u64, BuildHash64>;

/// [`train_mixed`] on some texts alone.
pub fn train(texts: &[Vec<u8>], vocab: usize) -> Result<Vec<u8>, DataError> {
    train_mixed(texts, vocab, &Mix::NONE, 0)
}

/// Trains a byte-level BPE of at most `vocab` tokens on these texts and on the reasoning stories of `mix` and `seed`;
/// returns its table. Deterministic: ties go to the pair of lower tokens. Little text gives fewer tokens.
pub fn train_mixed(texts: &[Vec<u8>], vocab: usize, mix: &Mix, seed: u64) -> Result<Vec<u8>, DataError> {
    let range = usize::from(FIRST_MERGE)..=usize::from(FIRST_MERGE) + MAX_MERGES;
    if !range.contains(&vocab) {
        return Err(DataError::Bpe(format!("a vocabulary of {vocab}, expected {} to {}", range.start(), range.end())));
    }
    let shared = texts.par_iter().with_min_len(256).map(Vec::as_slice);
    let mut counts = shared.fold(Counts::default, count_pre_tokens).reduce(Counts::default, join);
    let bytes = texts.iter().map(|text| text.len() as u64).sum();
    let (told, times) = mix.sample(bytes, seed)?;
    let told = told.iter().fold(Counts::default(), |counts, story| count_pre_tokens(counts, story.as_bytes()));
    #[expect(clippy::iter_over_hash_type, reason = "sums of integers are the same in any order")]
    for (word, count) in told {
        *counts.entry(word).or_default() += count * times;
    }
    let chars = byte_chars();
    let spell = |word: &[u8]| word.iter().map(|&b| chars[usize::from(b)]).collect::<String>();
    let words = counts.into_iter().map(|(word, count)| (spell(word).into(), count)).collect();
    let trainer = BpeTrainer::builder()
        .vocab_size(vocab)
        .min_frequency(MIN_FREQUENCY)
        .max_token_length(Some(MAX_TOKEN_LENGTH))
        .special_tokens(vec![AddedToken::from(EOT_TEXT, true)])
        .initial_alphabet(chars.into_iter().collect())
        .show_progress(false)
        .build();
    let mut model = BPE::default();
    trainer.do_train(&words, &mut model).map_err(|error| DataError::Bpe(error.to_string()))?;
    let table = table(&merges(&model)?);
    Tokenizer::from_bytes(&table)?;
    Ok(table)
}

fn count_pre_tokens<'a>(mut counts: Counts<'a>, story: &'a [u8]) -> Counts<'a> {
    for pre_token in PreTokens::new(story) {
        *counts.entry(pre_token).or_default() += 1;
    }
    counts
}

fn join<'a>(mut a: Counts<'a>, b: Counts<'a>) -> Counts<'a> {
    #[expect(clippy::iter_over_hash_type, reason = "sums of integers are the same in any order")]
    for (word, count) in b {
        *a.entry(word).or_default() += count;
    }
    a
}

/// The trained merges as pairs of core's tokens, by rank.
///
/// A merge that spells a token which already exists (the same letters cut otherwise) gets no token of its own in
/// the crate. Core numbers tokens by rank, so such merges are left out; [`to_tokenizers`] leaves them out too.
fn merges(model: &BPE) -> Result<Vec<(u16, u16)>, DataError> {
    let wrong = |what: &str| DataError::Bpe(format!("unexpected model: {what}"));
    let json = serde_json::to_value(model).map_err(|error| wrong(&error.to_string()))?;
    let vocab = model.get_vocab();
    // Everything by the crate's own numbers first: they rise in the order in which tokens came to be.
    let mut first: HashMap<u32, (u32, u32)> = HashMap::new();
    for pair in json["merges"].as_array().ok_or_else(|| wrong("no merges"))? {
        let (Some(left), Some(right)) = (pair[0].as_str(), pair[1].as_str()) else {
            return Err(wrong("a merge is not a pair"));
        };
        let id = |text: &str| vocab.get(text).copied().ok_or_else(|| wrong("a merge outside the vocabulary"));
        let (left_id, right_id, whole) = (id(left)?, id(right)?, id(&format!("{left}{right}"))?);
        if left_id < whole && right_id < whole {
            first.entry(whole).or_insert((left_id, right_id));
        }
    }
    let mut token_of: HashMap<u32, u16> = HashMap::new();
    for (byte, char) in byte_chars().into_iter().enumerate() {
        let id = vocab.get(&char.to_string()).ok_or_else(|| wrong("a byte is missing"))?;
        token_of.insert(*id, BYTE_TOKENS.start + byte as u16);
    }
    let mut ordered: Vec<_> = first.into_iter().collect();
    ordered.sort_unstable();
    let mut merges = Vec::with_capacity(ordered.len());
    for (whole, (left, right)) in ordered {
        let part = |id| token_of.get(&id).copied().ok_or_else(|| wrong("a merge of unknown parts"));
        merges.push((part(left)?, part(right)?));
        token_of.insert(whole, FIRST_MERGE + (merges.len() - 1) as u16);
    }
    Ok(merges)
}

/// Core's table of these merges, by rank. [`Tokenizer::from_bytes`] says whether they make sense.
pub fn table(merges: &[(u16, u16)]) -> Vec<u8> {
    let mut lengths = vec![0u8];
    lengths.extend(BYTE_TOKENS.map(|_| 1));
    for &(left, right) in merges {
        let length = |token: u16| lengths.get(usize::from(token)).copied().unwrap_or(0);
        lengths.push(length(left).saturating_add(length(right)));
    }
    let mut index: Vec<u16> = (0..merges.len() as u16).collect();
    index.sort_by_key(|&rank| merges[usize::from(rank)]);
    let mut table = Vec::with_capacity(tokenizer::HEADER_LEN + merges.len() * tokenizer::MERGE_LEN);
    table.extend(tokenizer::MAGIC);
    table.extend(tokenizer::VERSION.to_le_bytes());
    table.extend((merges.len() as u16).to_le_bytes());
    table.extend(merges.iter().flat_map(|&(left, right)| [left.to_le_bytes(), right.to_le_bytes()].concat()));
    table.extend(index.iter().flat_map(|rank| rank.to_le_bytes()));
    table.extend(&lengths[usize::from(FIRST_MERGE)..]);
    table
}

/// The same tokenizer for the `tokenizers` crate; its JSON form is what other programs read.
pub fn to_tokenizers(tokenizer: &Tokenizer) -> Result<tokenizers::Tokenizer, DataError> {
    let failed = |error: tokenizers::Error| DataError::Bpe(error.to_string());
    let chars = byte_chars();
    let text = |token: u16| match token {
        EOT => EOT_TEXT.to_owned(),
        _ => tokenizer.piece(token).iter().map(|&b| chars[usize::from(b)]).collect(),
    };
    let tokens = 0..=(tokenizer.vocab() - 1) as u16;
    let merges = tokens.clone().skip(usize::from(FIRST_MERGE)).filter_map(|token| tokenizer.parts(token));
    let model = BPE::builder()
        .vocab_and_merges(
            tokens.map(|token| (text(token), u32::from(token))).collect::<HashMap<_, _, _>>(),
            merges.map(|(left, right)| (text(left), text(right))).collect(),
        )
        .build()
        .map_err(failed)?;
    let split = Split::new(SplitPattern::Regex(PATTERN.to_owned()), SplitDelimiterBehavior::Isolated, false);
    let bytes = ByteLevel::new(false, false, false);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(split.map_err(failed)?),
        PreTokenizerWrapper::ByteLevel(bytes),
    ])));
    tokenizer.with_decoder(Some(bytes));
    tokenizer.add_special_tokens(&[AddedToken::from(EOT_TEXT, true)]);
    Ok(tokenizer)
}

/// GPT-2's printable character for each byte: itself where it is printable in Latin-1, else the next unused one
/// from U+0100 on.
fn byte_chars() -> [char; 256] {
    let mut next = 0x100..;
    std::array::from_fn(|byte| {
        let printable = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let code = if printable { Some(byte as u32) } else { next.next() };
        code.and_then(char::from_u32).unwrap_or_default()
    })
}

#[cfg(test)]
#[path = "bpe_tests.rs"]
mod tests;
