//! All training tokens in one memory-mapped file, so that a second run starts at once and memory stays free.
//!
//! Native byte order (the file never leaves the machine that made it):
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `FLMTOKS2` |
//! | 8..16 | key: what the tokens were made from |
//! | 16..24 | stories n |
//! | 24..32 | tokens |
//! | 32..40 | hash of all that follows |
//! | 40..48 | marked answers |
//! | 48..64 | zero |
//! | 4 n | u32: tokens of each story |
//! | 4 n | f32: difficulty of each story |
//! | 4 n | u32: marked answers of each story |
//! | 12 for each answer | u32: its first token within its story, tokens, facts |
//! | 2 for each token | u16: the stories' tokens, end to end, without end-of-story tokens |

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::Path;

use flashlm_core::tokenizer::{Tokenizer, TokenizerError};
use memmap2::Mmap;
use rayon::prelude::*;

use super::DataError;
use super::atomic::write_atomically;
use super::curriculum;
use super::encoder::{AnswerTokens, Encoder};
use super::hash::{BuildHash64, Hash64};
use super::lanes::StoryTokens;
use super::source::Corpus;
use crate::kernels::map::map_file;

const MAGIC: [u8; 8] = *b"FLMTOKS2";
const HEADER_LEN: usize = 64;
/// Stories that one thread encodes at a time.
const SHARE: usize = 1024;
/// Bytes hashed at a time; part of the format.
const HASHED: usize = 1 << 20;

/// Tokenised stories, each with its difficulty.
pub struct TokenCache {
    map: Mmap,
    /// Where each story's tokens begin, and where the last one's end.
    starts: Vec<u64>,
    /// Where each story's answers begin, and where the last one's end; empty when no story has any.
    answer_starts: Vec<u64>,
    answers: Vec<AnswerTokens>,
}

/// Why a cache file is not used.
#[derive(Debug, PartialEq, Eq)]
enum Unusable {
    Absent,
    Corrupt(&'static str),
}

impl TokenCache {
    /// Opens the cache at `path`, or makes it from `stories` of `corpus` if it is not there, was made from
    /// something else (`key`), or is damaged; `note` is told which.
    pub fn open_or_build(
        path: &Path,
        key: u64,
        corpus: &Corpus,
        stories: &[u32],
        tokenizer: Tokenizer,
        mut note: impl FnMut(String),
    ) -> Result<Self, DataError> {
        match Self::open(path, key) {
            Ok(cache) if cache.len() == stories.len() => return Ok(cache),
            Err(Unusable::Absent) => {}
            Ok(_) => note(format!("{}: another number of stories, making it anew", path.display())),
            Err(Unusable::Corrupt(what)) => note(format!("{}: {what}, making it anew", path.display())),
        }
        Self::build(path, key, corpus, stories, tokenizer)?;
        Self::open(path, key).map_err(|_| DataError::Io {
            path: path.to_owned(),
            source: std::io::Error::other("not what was just written to it"),
        })
    }

    fn open(path: &Path, key: u64) -> Result<Self, Unusable> {
        let map = map_file(path).map_err(|_| Unusable::Absent)?;
        let word = |at: usize| map[at..at + 8].try_into().map(u64::from_ne_bytes).unwrap_or_default();
        if map.len() < HEADER_LEN || map[..8] != MAGIC {
            return Err(Unusable::Corrupt("not a token cache"));
        }
        if word(8) != key {
            return Err(Unusable::Corrupt("made from other data"));
        }
        let (stories, tokens, answers) = (word(16), word(24), word(40));
        let expected = stories.checked_mul(12).and_then(|n| n.checked_add(tokens.checked_mul(2)?));
        let expected = expected.and_then(|n| n.checked_add(answers.checked_mul(12)?));
        if expected.and_then(|n| n.checked_add(HEADER_LEN as u64)) != Some(map.len() as u64) {
            return Err(Unusable::Corrupt("truncated"));
        }
        if checksum(&map[HEADER_LEN..]) != word(32) {
            return Err(Unusable::Corrupt("damaged"));
        }
        let stories = stories as usize;
        let column = |at: usize, length: usize| bytemuck::cast_slice::<u8, u32>(&map[at..at + 4 * length]);
        let starts = running_sum(column(HEADER_LEN, stories));
        let mut answer_starts = running_sum(column(HEADER_LEN + 8 * stories, stories));
        if starts[stories] != tokens || answer_starts[stories] != answers {
            return Err(Unusable::Corrupt("damaged"));
        }
        if answers == 0 {
            answer_starts = Vec::new();
        }
        let answer = |&[start, length, facts]: &[u32; 3]| AnswerTokens { start, length, facts: facts as u8 };
        let (rows, _) = column(HEADER_LEN + 12 * stories, 3 * answers as usize).as_chunks();
        let answers = rows.iter().map(answer).collect();
        Ok(Self { map, starts, answer_starts, answers })
    }

    fn build(path: &Path, key: u64, corpus: &Corpus, stories: &[u32], tokenizer: Tokenizer) -> Result<(), DataError> {
        let parts = encode(corpus, stories, tokenizer)?;
        let lengths: Vec<u32> = parts.iter().flat_map(|part| &part.lengths).copied().collect();
        let answer_counts: Vec<u32> = parts.iter().flat_map(|part| &part.answer_counts).copied().collect();
        let answers = parts.iter().flat_map(|part| &part.answers);
        let answers: Vec<[u32; 3]> = answers.map(|a| [a.start, a.length, u32::from(a.facts)]).collect();
        let tokens: Vec<Vec<u16>> = parts.into_iter().map(|part| part.tokens).collect();
        let mut counts = vec![0u64; tokenizer.vocab() as usize];
        tokens.iter().flatten().for_each(|&token| counts[usize::from(token)] += 1);
        let surprisal = curriculum::surprisal(&counts);
        let mut rareness = Vec::with_capacity(stories.len());
        let mut next = lengths.iter();
        for part in &tokens {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let (story, later) = rest.split_at(*next.next().unwrap_or(&0) as usize);
                rareness.push(curriculum::rareness(story, &surprisal));
                rest = later;
            }
        }
        let difficulties = curriculum::difficulties(&lengths, &rareness);
        let columns: [&[u8]; 4] = [
            bytemuck::cast_slice(&lengths),
            bytemuck::cast_slice(&difficulties),
            bytemuck::cast_slice(&answer_counts),
            bytemuck::cast_slice(&answers),
        ];
        write(path, key, [lengths.len() as u64, answers.len() as u64], &columns, &tokens)
    }

    /// Number of stories.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are no stories.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens, end-of-story tokens not counted.
    pub fn tokens(&self) -> u64 {
        self.starts[self.len()]
    }

    /// How hard each story is, 0 to 1 (see [`curriculum::difficulties`]).
    pub fn difficulties(&self) -> &[f32] {
        let start = HEADER_LEN + 4 * self.len();
        bytemuck::cast_slice(&self.map[start..start + 4 * self.len()])
    }
}

impl StoryTokens for TokenCache {
    fn story(&self, index: u32) -> &[u16] {
        // A mapping begins at a page and every section at a multiple of its items' size, so casts cannot fail.
        let tokens: &[u16] = bytemuck::cast_slice(&self.map[HEADER_LEN + 12 * (self.len() + self.answers.len())..]);
        &tokens[self.starts[index as usize] as usize..self.starts[index as usize + 1] as usize]
    }

    fn answers(&self, index: u32) -> &[AnswerTokens] {
        match self.answer_starts.get(index as usize..index as usize + 2) {
            Some(&[from, to]) => &self.answers[from as usize..to as usize],
            _ => &[],
        }
    }
}

/// Where each of some consecutive pieces begins, and where the last one ends.
fn running_sum(lengths: &[u32]) -> Vec<u64> {
    let mut starts = Vec::with_capacity(lengths.len() + 1);
    starts.push(0);
    for &length in lengths {
        starts.push(starts[starts.len() - 1] + u64::from(length));
    }
    starts
}

/// Some stories, end to end.
#[derive(Default)]
struct Encoded {
    tokens: Vec<u16>,
    answers: Vec<AnswerTokens>,
    /// Tokens and answers of each story.
    lengths: Vec<u32>,
    answer_counts: Vec<u32>,
}

fn encode(corpus: &Corpus, stories: &[u32], tokenizer: Tokenizer) -> Result<Vec<Encoded>, TokenizerError> {
    let encode = |encoder: &mut Encoder, stories: &[u32]| {
        let mut all = Encoded::default();
        for index in stories.iter().map(|&index| index as usize) {
            let before = (all.tokens.len(), all.answers.len());
            let (story, answers) = (corpus.story(index), corpus.answers(index));
            encoder.encode_marked(story, answers, &mut all.tokens, &mut all.answers)?;
            all.lengths.push((all.tokens.len() - before.0) as u32);
            all.answer_counts.push((all.answers.len() - before.1) as u32);
        }
        all.tokens.shrink_to_fit();
        Ok(all)
    };
    stories.par_chunks(SHARE).map_init(|| Encoder::new(tokenizer), encode).collect()
}

/// Writes the file: `columns` as they are and then the tokens; `counts` are its stories and its answers.
fn write(
    path: &Path,
    key: u64,
    [stories, answers]: [u64; 2],
    columns: &[&[u8]],
    tokens: &[Vec<u16>],
) -> Result<(), DataError> {
    let sections = || columns.iter().copied().chain(tokens.iter().map(|part| bytemuck::cast_slice(part)));
    let mut sum = Checksum::default();
    sections().for_each(|section| sum.add(section));
    let count: u64 = tokens.iter().map(|part| part.len() as u64).sum();
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    for (place, word) in [key, stories, count, sum.finish(), answers].into_iter().enumerate() {
        header[8 + 8 * place..16 + 8 * place].copy_from_slice(&word.to_ne_bytes());
    }
    write_atomically(path, |file| {
        file.write_all(&header)?;
        sections().try_for_each(|section| file.write_all(section))
    })
}

/// Hash of a byte stream that does not depend on how it is handed in: it is cut every [`HASHED`] bytes.
#[derive(Default)]
struct Checksum {
    state: Hash64,
    pending: Vec<u8>,
}

impl Checksum {
    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(HASHED - self.pending.len()));
            self.pending.extend_from_slice(now);
            if self.pending.len() == HASHED {
                self.state.write(&self.pending);
                self.pending.clear();
            }
            bytes = later;
        }
    }

    fn finish(mut self) -> u64 {
        if !self.pending.is_empty() {
            self.state.write(&self.pending);
        }
        self.state.finish()
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    let mut state = BuildHash64::default().build_hasher();
    bytes.chunks(HASHED).for_each(|chunk| state.write(chunk));
    state.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::bpe;
    use super::super::source::{Part, Source};
    use super::*;

    struct Setup {
        dir: tempfile::TempDir,
        corpus: Corpus,
        table: Vec<u8>,
    }

    fn setup() -> Setup {
        let dir = tempfile::tempdir().unwrap();
        let text: String = (0..300)
            .map(|i| format!("The cat {} saw {} mice.\n<|endoftext|>\n", i % 17, "big ".repeat(i % 5)))
            .collect();
        fs::write(dir.path().join("a.txt"), text).unwrap();
        let corpus = Source::Path(dir.path().join("a.txt")).open(Part::Train, 0).unwrap();
        let all: Vec<u32> = (0..corpus.len() as u32).collect();
        let table = bpe::train(&corpus, &all, 300, u64::MAX).unwrap();
        Setup { dir, corpus, table }
    }

    fn open(setup: &Setup, key: u64, stories: &[u32]) -> (TokenCache, Vec<String>) {
        let mut notes = Vec::new();
        let tokenizer = Tokenizer::from_bytes(&setup.table).unwrap();
        let path = setup.dir.path().join("tokens.bin");
        let cache =
            TokenCache::open_or_build(&path, key, &setup.corpus, stories, tokenizer, |n| notes.push(n)).unwrap();
        (cache, notes)
    }

    #[test]
    fn every_story_comes_back_with_its_tokens() {
        let setup = setup();
        let stories: Vec<u32> = (0..300).filter(|i| i % 3 != 0).collect();
        let (cache, notes) = open(&setup, 1, &stories);
        assert!(notes.is_empty());
        assert_eq!(cache.len(), 200);
        let tokenizer = Tokenizer::from_bytes(&setup.table).unwrap();
        let mut total = 0;
        for (place, &index) in stories.iter().enumerate() {
            let want = tokenizer.encoded(setup.corpus.story(index as usize));
            assert_eq!(cache.story(place as u32), want);
            total += want.len() as u64;
        }
        assert_eq!(cache.tokens(), total);
        assert!(cache.difficulties().iter().all(|d| (0.0..=1.0).contains(d)));
    }

    #[test]
    fn marked_answers_come_back_with_their_stories() {
        let dir = tempfile::tempdir().unwrap();
        let stories =
            ["plain", "In a <|answer:2|>barn<|/answer|>.", "<|answer|>Tom<|/answer|> or <|answer|>Sue<|/answer|>"];
        fs::write(dir.path().join("a.txt"), stories.join("<|endoftext|>")).unwrap();
        let corpus = Source::Path(dir.path().join("a.txt")).open(Part::Train, 0).unwrap();
        let setup = Setup { dir, corpus, table: bpe::table(&[]) };
        let (cache, _) = open(&setup, 1, &[2, 0, 1]);
        let answer = |start, length, facts| AnswerTokens { start, length, facts };
        assert_eq!(cache.answers(0), [answer(0, 3, 1), answer(7, 3, 1)]);
        assert_eq!(cache.answers(1), []);
        assert_eq!(cache.answers(2), [answer(5, 4, 2)]);
        assert_eq!(cache.story(2), Tokenizer::from_bytes(&setup.table).unwrap().encoded(b"In a barn."));
    }

    #[test]
    fn a_second_run_uses_the_file_as_it_is() {
        let setup = setup();
        drop(open(&setup, 1, &[0, 1, 2]));
        let path = setup.dir.path().join("tokens.bin");
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(open(&setup, 1, &[0, 1, 2]).1, [""; 0]);
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }

    #[test]
    fn any_damage_is_noticed_and_repaired() {
        let setup = setup();
        drop(open(&setup, 1, &[0, 1, 2]));
        let path = setup.dir.path().join("tokens.bin");
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(3).filter(|at| !(48..64).contains(at)) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, bytes).unwrap();
            let (cache, notes) = open(&setup, 1, &[0, 1, 2]);
            assert_eq!(notes.len(), 1, "byte {at}");
            assert_eq!(cache.len(), 3);
            drop(cache);
            assert_eq!(fs::read(&path).unwrap(), whole);
        }
        for length in [0, 7, 63, 64, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(open(&setup, 1, &[0, 1, 2]).1.len(), 1, "{length} bytes");
        }
    }

    #[test]
    fn tokens_of_other_data_are_not_used() {
        let setup = setup();
        drop(open(&setup, 1, &[0, 1, 2]));
        let (cache, notes) = open(&setup, 2, &[0, 1]);
        assert!(notes[0].contains("made from other data"));
        assert_eq!(cache.len(), 2);
    }

    #[test]
    fn a_checksum_does_not_depend_on_how_bytes_arrive() {
        let bytes: Vec<u8> = (0..3 * HASHED + 17).map(|i| (i * 7 % 251) as u8).collect();
        let mut sum = Checksum::default();
        bytes.chunks(99_991).for_each(|chunk| sum.add(chunk));
        assert_eq!(sum.finish(), checksum(&bytes));
    }
}
