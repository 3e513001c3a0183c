//! All training tokens in one file, so that a second run starts at once. What stays in memory is where each story
//! begins; the tokens are read when their turn comes, and a file that another program damages meanwhile is an error,
//! not the end of the process.
//!
//! Native byte order (the file never leaves the machine that made it):
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic `FLMTOKS3` |
//! | 8..16 | key: what the tokens were made from |
//! | 16..24 | stories n |
//! | 24..32 | tokens |
//! | 32..40 | hash of all that follows |
//! | 40..48 | marked answers |
//! | 48..64 | zero |
//! | 2 for each token | u16: the stories' tokens, end to end, without end-of-story tokens |
//! | 0 or 2 | zero, up to a multiple of 4 |
//! | 4 n | u32: tokens of each story |
//! | 4 n | f32: difficulty of each story |
//! | 4 n | u32: marked answers of each story |
//! | 12 for each answer | u32: its first token within its story, tokens, facts |

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use flashlm_core::tokenizer::{Tokenizer, TokenizerError};
use rayon::prelude::*;

use super::DataError;
use super::corpus::{Corpus, StoryText, Ticker};
use super::curriculum;
use super::encoder::{AnswerTokens, Encoder};
use super::hash::Hash64;
use super::lanes::{StoryTokens, Told};
use super::write::write;

const MAGIC: [u8; 8] = *b"FLMTOKS3";
const HEADER_LEN: usize = 64;
/// Stories that one thread encodes at a time.
const SHARE: usize = 256;
/// Bytes hashed at a time; part of the format.
const HASHED: usize = 1 << 20;

/// Tokenised stories, each with its difficulty.
pub struct TokenCache {
    path: PathBuf,
    file: File,
    /// Where each story's tokens begin, and where the last one's end.
    starts: Vec<u64>,
    difficulties: Vec<f32>,
    /// Where each story's answers begin, and where the last one's end; empty when no story has any.
    answer_starts: Vec<u64>,
    answers: Vec<AnswerTokens>,
}

/// Why a cache file is not used.
#[derive(Debug)]
enum Unusable {
    Absent,
    Corrupt(&'static str),
    Unreadable(io::Error),
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Absent,
            io::ErrorKind::UnexpectedEof => Self::Corrupt("truncated"),
            _ => Self::Unreadable(error),
        }
    }
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
            Err(Unusable::Unreadable(source)) => return Err(DataError::Io { path: path.to_owned(), source }),
        }
        write(path, |file| build(file, key, corpus, stories, tokenizer, note))?;
        Self::open(path, key)
            .map_err(|_| DataError::Cache { path: path.to_owned(), reason: "not what was just written to it".into() })
    }

    fn open(path: &Path, key: u64) -> Result<Self, Unusable> {
        let file = File::open(path)?;
        let mut header = [0; HEADER_LEN];
        (&file).read_exact(&mut header)?;
        let word = |at: usize| header[at..at + 8].try_into().map(u64::from_ne_bytes).unwrap_or_default();
        if header[..8] != MAGIC {
            return Err(Unusable::Corrupt("not a token cache"));
        }
        if word(8) != key {
            return Err(Unusable::Corrupt("made from other data"));
        }
        let (stories, tokens, answers) = (word(16), word(24), word(40));
        let columns = columns_start(tokens).zip(stories.checked_mul(12)).zip(answers.checked_mul(12));
        let expected = columns.and_then(|((start, stories), answers)| start.checked_add(stories)?.checked_add(answers));
        // so that what the header says is no more than there is
        if expected != Some(file.metadata()?.len()) {
            return Err(Unusable::Corrupt("truncated"));
        }
        if checksum(&file)? != word(32) {
            return Err(Unusable::Corrupt("damaged"));
        }
        (&file).seek(SeekFrom::Start(columns_start(tokens).unwrap_or_default()))?;
        let mut columns = BufReader::with_capacity(1 << 20, &file);
        let mut column = |length: u64| -> io::Result<Vec<u32>> {
            let mut values = vec![0u32; length as usize];
            columns.read_exact(bytemuck::cast_slice_mut(&mut values))?;
            Ok(values)
        };
        let starts = running_sum(&column(stories)?);
        let difficulties = bytemuck::cast_vec(column(stories)?);
        let mut answer_starts = running_sum(&column(stories)?);
        let rows = column(3 * answers)?;
        if starts.last() != Some(&tokens) || answer_starts.last() != Some(&answers) {
            return Err(Unusable::Corrupt("damaged"));
        }
        if answers == 0 {
            answer_starts = Vec::new();
        }
        let answer = |&[start, length, facts]: &[u32; 3]| AnswerTokens { start, length, facts: facts as u8 };
        let answers = rows.as_chunks().0.iter().map(answer).collect();
        Ok(Self { path: path.to_owned(), file, starts, difficulties, answer_starts, answers })
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
        &self.difficulties
    }

    /// Tokens of story `index`.
    pub fn length(&self, index: u32) -> usize {
        (self.starts[index as usize + 1] - self.starts[index as usize]) as usize
    }

    /// The answers marked in story `index`, in order and without overlap.
    pub fn answers(&self, index: u32) -> &[AnswerTokens] {
        match self.answer_starts.get(index as usize..index as usize + 2) {
            Some(&[from, to]) => &self.answers[from as usize..to as usize],
            _ => &[],
        }
    }

    /// Appends tokens `from` to `to` of story `index` to `tokens`.
    ///
    /// # Errors
    /// The file is not any more what it was.
    pub fn read_tokens(&self, index: u32, from: usize, to: usize, tokens: &mut Vec<u16>) -> Result<(), DataError> {
        let first = self.starts[index as usize] + from as u64;
        let before = tokens.len();
        tokens.resize(before + to - from, 0);
        let bytes = bytemuck::cast_slice_mut(&mut tokens[before..]);
        read_at(&self.file, bytes, HEADER_LEN as u64 + 2 * first).map_err(|error| DataError::Cache {
            path: self.path.clone(),
            reason: format!("its tokens cannot be read any more ({error}); it is made anew at the next start"),
        })
    }
}

impl StoryTokens for TokenCache {
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
        told.clear();
        told.answers.extend_from_slice(self.answers(index));
        self.read_tokens(index, 0, self.length(index), &mut told.tokens)
    }
}

/// Where the columns begin, after so many tokens.
fn columns_start(tokens: u64) -> Option<u64> {
    tokens.checked_mul(2)?.checked_next_multiple_of(4)?.checked_add(HEADER_LEN as u64)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => (bytes, offset) = (&mut bytes[read..], offset + read as u64),
        }
    }
    Ok(())
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

impl Encoded {
    fn of(encoder: &mut Encoder, stories: &[StoryText<'_>]) -> Result<Self, TokenizerError> {
        let mut all = Self::default();
        for story in stories {
            let before = (all.tokens.len(), all.answers.len());
            encoder.encode_marked(story.text, story.answers, &mut all.tokens, &mut all.answers)?;
            all.lengths.push((all.tokens.len() - before.0) as u32);
            all.answer_counts.push((all.answers.len() - before.1) as u32);
        }
        Ok(all)
    }
}

/// Writes the file: the tokens as they come, then what is known of all stories, then the header.
fn build(
    file: &mut BufWriter<File>,
    key: u64,
    corpus: &Corpus,
    stories: &[u32],
    tokenizer: Tokenizer,
    note: impl FnMut(String),
) -> Result<(), DataError> {
    let failed = |error| DataError::io(Path::new(corpus.name()))(error);
    let (mut lengths, mut answer_counts, mut answers) = (Vec::new(), Vec::new(), Vec::<[u32; 3]>::new());
    let mut counts = vec![0u64; tokenizer.vocab() as usize];
    let (mut sum, mut ticker) = (Checksum::default(), Ticker::new("encoding", note));
    file.write_all(&[0; HEADER_LEN]).map_err(failed)?;
    corpus.read(stories, |batch, read| {
        let encode = |encoder: &mut Encoder, stories: &[StoryText<'_>]| Encoded::of(encoder, stories);
        let parts: Result<Vec<Encoded>, TokenizerError> =
            batch.par_chunks(SHARE).map_init(|| Encoder::new(tokenizer), encode).collect();
        for part in parts? {
            part.tokens.iter().for_each(|&token| counts[usize::from(token)] += 1);
            lengths.extend_from_slice(&part.lengths);
            answer_counts.extend_from_slice(&part.answer_counts);
            answers.extend(part.answers.iter().map(|a| [a.start, a.length, u32::from(a.facts)]));
            let bytes = bytemuck::cast_slice(&part.tokens);
            sum.add(bytes);
            file.write_all(bytes).map_err(failed)?;
        }
        ticker.tick(read);
        Ok(())
    })?;
    let tokens: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    if tokens % 2 == 1 {
        sum.add(&[0; 2]);
        file.write_all(&[0; 2]).map_err(failed)?;
    }
    let rareness = rareness(file, &lengths, &curriculum::surprisal(&counts)).map_err(failed)?;
    let difficulties = curriculum::difficulties(&lengths, &rareness);
    let columns: [&[u8]; 4] = [
        bytemuck::cast_slice(&lengths),
        bytemuck::cast_slice(&difficulties),
        bytemuck::cast_slice(&answer_counts),
        bytemuck::cast_slice(&answers),
    ];
    for column in columns {
        sum.add(column);
        file.write_all(column).map_err(failed)?;
    }
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(&MAGIC);
    let words = [key, lengths.len() as u64, tokens, sum.finish(), answers.len() as u64];
    for (place, word) in words.into_iter().enumerate() {
        header[8 + 8 * place..16 + 8 * place].copy_from_slice(&word.to_ne_bytes());
    }
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(&header).map_err(failed)
}

/// The rareness of each story, from the tokens just written; the file stands at its end before and after.
fn rareness(file: &mut BufWriter<File>, lengths: &[u32], surprisal: &[f32]) -> io::Result<Vec<f32>> {
    file.flush()?;
    let file = file.get_mut();
    file.seek(SeekFrom::Start(HEADER_LEN as u64))?;
    let mut tokens = BufReader::with_capacity(1 << 20, &*file);
    let (mut story, mut all) = (Vec::new(), Vec::with_capacity(lengths.len()));
    for &length in lengths {
        story.resize(length as usize, 0u16);
        tokens.read_exact(bytemuck::cast_slice_mut(&mut story))?;
        all.push(curriculum::rareness(&story, surprisal));
    }
    file.seek(SeekFrom::End(0))?;
    Ok(all)
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

/// Of all that follows a file's header, at which it stands.
fn checksum(mut file: &File) -> io::Result<u64> {
    let (mut sum, mut bytes) = (Checksum::default(), vec![0; HASHED]);
    loop {
        match file.read(&mut bytes)? {
            0 => return Ok(sum.finish()),
            read => sum.add(&bytes[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::bpe;
    use super::super::cut::Reading;
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
        let corpus = Source::Path(dir.path().join("a.txt"))
            .open(Part::Train, &Reading::default(), 0, dir.path(), |_| {})
            .unwrap();
        let all: Vec<u32> = (0..corpus.len() as u32).collect();
        let table = bpe::train(&corpus.sample(&all, u64::MAX).unwrap(), 300).unwrap();
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

    fn story(cache: &TokenCache, index: u32) -> Told {
        let mut told = Told { tokens: vec![7], answers: vec![], next: Some(3) };
        cache.read(index, &mut told).unwrap();
        told
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
            let want = tokenizer.encoded(&setup.corpus.sample(&[index], u64::MAX).unwrap()[0]);
            assert_eq!(story(&cache, place as u32), Told { tokens: want.clone(), ..Told::default() });
            total += want.len() as u64;
        }
        assert_eq!(cache.tokens(), total);
        assert!(cache.difficulties().iter().all(|d| (0.0..=1.0).contains(d)));
    }

    #[test]
    fn marked_answers_come_back_with_their_stories() {
        let dir = tempfile::tempdir().unwrap();
        let stories =
            ["<|answer|>Tom<|/answer|> or <|answer|>Sue<|/answer|>", "plain", "In a <|answer:2|>barn<|/answer|>."];
        fs::write(dir.path().join("a.txt"), stories.join("<|endoftext|>")).unwrap();
        let corpus = Source::Path(dir.path().join("a.txt"))
            .open(Part::Train, &Reading::default(), 0, dir.path(), |_| {})
            .unwrap();
        let setup = Setup { dir, corpus, table: bpe::table(&[]) };
        let (cache, _) = open(&setup, 1, &[0, 1, 2]);
        let answer = |start, length, facts| AnswerTokens { start, length, facts };
        assert_eq!(story(&cache, 0).answers, [answer(0, 3, 1), answer(7, 3, 1)]);
        assert_eq!(story(&cache, 1).answers, []);
        assert_eq!(story(&cache, 2).answers, [answer(5, 4, 2)]);
        assert_eq!(story(&cache, 2).tokens, Tokenizer::from_bytes(&setup.table).unwrap().encoded(b"In a barn."));
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
    fn a_file_that_is_cut_while_it_is_in_use_is_an_error_of_the_story() {
        let setup = setup();
        let (cache, _) = open(&setup, 1, &[0, 1, 2]);
        let path = setup.dir.path().join("tokens.bin");
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(70).unwrap();
        let error = cache.read(2, &mut Told::default()).unwrap_err().to_string();
        assert!(error.contains("tokens.bin") && error.contains("made anew"), "{error}");
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
        let sums = [1000, 99_991, 2 * HASHED, bytes.len()].map(|size| {
            let mut sum = Checksum::default();
            bytes.chunks(size).for_each(|chunk| sum.add(chunk));
            sum.finish()
        });
        assert!(sums.iter().all(|&sum| sum == sums[0]), "{sums:?}");
    }
}
