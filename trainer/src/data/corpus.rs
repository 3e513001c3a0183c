//! Stories of any number of files, read one after another whenever they are needed: what stays in memory is a few bytes
//! for each story, so that a text may be larger than the machine's memory.

use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flashlm_core::text::{self, SEPARATOR};
use flashlm_host::text::marks::{self, AnswerBytes};
use flashlm_host::text::{Form, Reader, is_lasting, is_stdin};
use rayon::prelude::*;

use super::DataError;
use super::cut::{Reading, Split};
use super::hash::{Hash64, hash, mix};
use super::split;
use crate::interrupt;

/// Bytes of text that are looked at together.
const BATCH: usize = 4 << 20;
/// A longer story is no story.
const LONGEST_STORY: usize = 1 << 30;

/// A story as it is read.
#[derive(Clone, Copy, Debug)]
pub struct StoryText<'a> {
    /// UTF-8, without marks.
    pub text: &'a [u8],
    /// The answers marked in it, in order.
    pub answers: &'a [AnswerBytes],
}

/// What is remembered of a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// [`split::fingerprint`] of its words.
    pub fingerprint: u64,
    /// Changes with any byte of it, and with the answers marked in it.
    pub content: u64,
    /// Bytes, without marks.
    pub length: u32,
}

/// Where a text is.
enum Text {
    File {
        path: PathBuf,
        stamp: Stamp,
    },
    /// What came through a pipe, as clean text in a file without a name.
    Spool {
        name: PathBuf,
        file: File,
    },
    /// Made here.
    Made(Vec<u8>),
}

/// By what a file that changed is known.
type Stamp = (u64, Option<SystemTime>);

/// Stories that are not blank, in the order of their files.
pub struct Corpus {
    name: String,
    texts: Vec<Text>,
    reading: Reading,
    stories: Vec<About>,
}

impl Corpus {
    /// Goes through the stories of `files` once. Pipes are kept in a file without a name in the directory `spool`.
    /// `name` is for messages; `note` is told how far it is.
    ///
    /// # Errors
    /// A file cannot be read, is no text, its marks make no sense, there are no stories, or the user stopped it.
    pub fn of_files(
        name: String,
        files: &[PathBuf],
        reading: &Reading,
        spool: &Path,
        note: impl FnMut(String),
    ) -> Result<Self, DataError> {
        let texts: Result<_, DataError> = files.iter().map(|path| Text::of(path, &reading.form, spool)).collect();
        Self::indexed(name, texts?, reading.clone(), note)
    }

    /// Stories that were made here.
    pub fn of_stories(name: &str, stories: impl Iterator<Item = String>) -> Result<Self, DataError> {
        let mut made = Vec::new();
        for story in stories {
            made.extend_from_slice(story.as_bytes());
            made.push(b'\n');
            made.extend_from_slice(SEPARATOR);
            made.push(b'\n');
        }
        let reading = Reading { split: Split::None, ..Reading::default() };
        Self::indexed(name.into(), vec![Text::Made(made)], reading, |_| {})
    }

    fn indexed(name: String, texts: Vec<Text>, reading: Reading, note: impl FnMut(String)) -> Result<Self, DataError> {
        let mut corpus = Self { name, texts, reading, stories: Vec::new() };
        let (mut stories, mut ticker) = (Vec::new(), Ticker::new("reading", note));
        let bytes = corpus.pass(|_, batch, read| {
            stories.par_extend(batch.par_iter().with_min_len(64).map(About::of));
            ticker.tick(read);
            Ok(())
        })?;
        corpus.stories = stories;
        if corpus.stories.is_empty() {
            let reason = if bytes == 0 { "it is empty" } else { "nothing but white space and separators" };
            return Err(DataError::NoStories { path: corpus.name, reason });
        }
        Ok(corpus)
    }

    /// Where the stories come from, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of stories.
    pub fn len(&self) -> usize {
        self.stories.len()
    }

    /// Whether there are no stories; never so for a corpus that was made without an error.
    pub fn is_empty(&self) -> bool {
        self.stories.is_empty()
    }

    /// Bytes of all stories.
    pub fn bytes(&self) -> u64 {
        self.stories.iter().map(|story| u64::from(story.length)).sum()
    }

    /// What is remembered of each story.
    pub fn stories(&self) -> &[About] {
        &self.stories
    }

    /// A number that changes when any of these stories does, their marked answers, or their order.
    pub fn content_key(&self, stories: &[u32]) -> u64 {
        let mut key = Hash64::default();
        stories.iter().for_each(|&index| key.write_u64(self.stories[index as usize].content));
        key.finish()
    }

    /// Shows `f` those stories that `wanted` lists, in rising order: some at a time, each with its place in `wanted`,
    /// and how many bytes of text were read so far.
    ///
    /// # Errors
    /// `f`'s, or a file is not any more what it was, or the user stopped it.
    pub fn read(
        &self,
        wanted: &[u32],
        mut f: impl FnMut(&[StoryText<'_>], u64) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let mut wanted = wanted.iter().map(|&index| index as usize).peekable();
        self.pass(|first, batch, bytes| {
            let mut chosen = Vec::with_capacity(batch.len());
            for (index, story) in (first..).zip(batch) {
                if wanted.next_if_eq(&index).is_some() {
                    chosen.push(*story);
                }
            }
            if chosen.is_empty() { Ok(()) } else { f(&chosen, bytes) }
        })?;
        Ok(())
    }

    /// The text of about `bytes` in all of the stories that `kept` lists, spread evenly over them; what is not whole
    /// stories is the beginning of one that is longer than that.
    pub fn sample(&self, kept: &[u32], bytes: u64) -> Result<Vec<Vec<u8>>, DataError> {
        let chosen = self.sampled(kept, bytes);
        let (mut texts, mut left) = (Vec::with_capacity(chosen.len()), bytes);
        self.read(&chosen, |batch, _| {
            for story in batch {
                let cut = story.text.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                left -= cut as u64;
                texts.push(story.text[..cut].to_vec());
            }
            Ok(())
        })?;
        Ok(texts)
    }

    /// Stories of about `bytes` in all, spread evenly; at least one.
    pub(super) fn sampled(&self, kept: &[u32], bytes: u64) -> Vec<u32> {
        let length = |&index: &u32| u64::from(self.stories[index as usize].length);
        let total: u64 = kept.iter().map(length).sum();
        let (mut seen, mut taken) = (0u64, 0u64);
        let mut stories = Vec::new();
        for index in kept {
            seen += length(index);
            let due = u128::from(seen) * u128::from(bytes.min(total)) / u128::from(total.max(1));
            if u128::from(taken + length(index)) <= due || stories.is_empty() {
                taken += length(index);
                stories.push(*index);
            }
        }
        stories
    }

    /// Shows `f` all stories, some at a time, with the number of the first; returns the bytes there were.
    fn pass(&self, mut f: impl FnMut(usize, &[StoryText<'_>], u64) -> Result<(), DataError>) -> Result<u64, DataError> {
        let (mut first, mut bytes) = (0, 0);
        for text in &self.texts {
            text.pass(&self.reading, |batch, read| {
                if interrupt::requested() {
                    return Err(DataError::Interrupted);
                }
                // known from the first pass on
                let known = self.stories.get(first..).unwrap_or_default();
                let changed = known.iter().zip(batch).any(|(about, story)| about.length as usize != story.text.len());
                if changed || (!self.stories.is_empty() && known.len() < batch.len()) {
                    return Err(text.changed());
                }
                f(first, batch, bytes + read)?;
                first += batch.len();
                Ok(())
            })
            .map(|read| bytes += read)?;
        }
        match self.stories.len() {
            0 => Ok(bytes),
            known if known == first => Ok(bytes),
            _ => Err(DataError::Changed { path: PathBuf::from(&self.name) }),
        }
    }
}

impl About {
    fn of(story: &StoryText<'_>) -> Self {
        let content = story.answers.iter().fold(hash(story.text), |key, answer| {
            let place = u64::from(answer.start) << 32 | u64::from(answer.length);
            mix(mix(key ^ place) ^ u64::from(answer.facts))
        });
        Self { fingerprint: split::fingerprint(story.text), content, length: story.text.len() as u32 }
    }
}

impl Text {
    fn of(path: &Path, form: &Form, spool: &Path) -> Result<Self, DataError> {
        if is_lasting(path) {
            return Ok(Self::File { path: path.into(), stamp: stamp(path) });
        }
        let mut reader = Reader::open(path, form)?;
        let (mut file, mut piece) = (tempfile::tempfile_in(spool).map_err(DataError::io(spool))?, Vec::new());
        while reader.fill(&mut piece)? {
            if interrupt::requested() {
                return Err(DataError::Interrupted);
            }
            file.write_all(&piece).map_err(DataError::io(spool))?;
            piece.clear();
        }
        let name = if is_stdin(path) { Path::new("standard input") } else { path };
        Ok(Self::Spool { name: name.into(), file })
    }

    fn name(&self) -> &Path {
        match self {
            Self::File { path, .. } => path,
            Self::Spool { name, .. } => name,
            Self::Made(_) => Path::new("builtin"),
        }
    }

    fn changed(&self) -> DataError {
        DataError::Changed { path: self.name().into() }
    }

    /// Shows `f` all stories that are not blank, some at a time, and how many bytes were read so far; returns how many
    /// there were.
    fn pass(
        &self,
        reading: &Reading,
        f: impl FnMut(&[StoryText<'_>], u64) -> Result<(), DataError>,
    ) -> Result<u64, DataError> {
        let split = reading.split;
        match self {
            Self::File { path, stamp: before } => {
                let mut reader = Reader::open(path, &reading.form)?;
                let read = stories(path, split, |buffer| Ok(reader.fill(buffer)?), f)?;
                if stamp(path) == *before { Ok(read) } else { Err(self.changed()) }
            }
            Self::Spool { name, file } => {
                let mut file = file;
                file.seek(SeekFrom::Start(0)).map_err(DataError::io(name))?;
                let fill = |buffer: &mut Vec<u8>| {
                    let read = file.take(BATCH as u64).read_to_end(buffer).map_err(DataError::io(name))?;
                    Ok(read > 0)
                };
                stories(name, split, fill, f)
            }
            Self::Made(text) => {
                let mut pieces = text.chunks(BATCH);
                let fill =
                    |buffer: &mut Vec<u8>| Ok(pieces.next().map(|piece| buffer.extend_from_slice(piece)).is_some());
                stories(self.name(), split, fill, f)
            }
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    fs::metadata(path).map_or((0, None), |about| (about.len(), about.modified().ok()))
}

/// Cuts what `fill` appends, until it says `false`, into stories.
fn stories(
    path: &Path,
    split: Split,
    mut fill: impl FnMut(&mut Vec<u8>) -> Result<bool, DataError>,
    mut f: impl FnMut(&[StoryText<'_>], u64) -> Result<(), DataError>,
) -> Result<u64, DataError> {
    // `number` counts all stories, blank ones too; `start` is where the buffer begins in the text
    let (mut buffer, mut start, mut number, mut more) = (Vec::new(), 0u64, 1, true);
    let mut clean = Clean::default();
    while more {
        // twice as long when no story ended, so that a long one is not searched over and over
        let wanted = BATCH.max(2 * buffer.len());
        while more && buffer.len() < wanted {
            more = fill(&mut buffer)?;
            if interrupt::requested() {
                return Err(DataError::Interrupted);
            }
        }
        let mut whole = Vec::new();
        let mut done = 0;
        let mut all = text::stories(&buffer).peekable();
        while let Some(story) = all.next() {
            let end = all.peek().map_or(buffer.len(), |next| next.start);
            // the newline after a separator may come yet
            if more && (!story.terminated || end == buffer.len()) {
                break;
            }
            if story.text.len() > LONGEST_STORY {
                break;
            }
            whole.push(story);
            done = end;
        }
        if buffer.len() - done > LONGEST_STORY {
            return Err(DataError::NoStories {
                path: path.display().to_string(),
                reason: "over 1 GB without a separator (<|endoftext|>)",
            });
        }
        let (documents, numbers): (Vec<_>, Vec<_>) =
            whole.iter().zip(number..).flat_map(|(story, n)| split.documents(*story).map(move |d| (d, n))).unzip();
        clean.fill(path, &documents, &numbers, start)?;
        number += whole.len();
        f(&clean.stories(&documents), start + done as u64)?;
        start += done as u64;
        buffer.drain(..done);
    }
    Ok(start)
}

/// Stories without the marks of answers.
#[derive(Default)]
struct Clean {
    bytes: Vec<u8>,
    answers: Vec<AnswerBytes>,
    /// For each story with marks: its number in the batch, its bytes and its answers.
    marked: Vec<(usize, std::ops::Range<usize>, std::ops::Range<usize>)>,
}

impl Clean {
    /// `numbers` are those of the stories in their file, from 1; `start` is where the text that they lie in begins.
    fn fill(
        &mut self,
        path: &Path,
        stories: &[text::Story<'_>],
        numbers: &[usize],
        start: u64,
    ) -> Result<(), DataError> {
        self.bytes.clear();
        self.answers.clear();
        self.marked.clear();
        for (index, story) in stories.iter().enumerate().filter(|(_, story)| marks::has_marks(story.text)) {
            let (bytes, answers) = (self.bytes.len(), self.answers.len());
            marks::strip(story.text, &mut self.bytes, &mut self.answers)
                .map_err(|error| error.in_story(path, numbers[index], start + story.start as u64))?;
            self.marked.push((index, bytes..self.bytes.len(), answers..self.answers.len()));
        }
        Ok(())
    }

    /// Those that are not blank.
    fn stories<'a>(&'a self, stories: &[text::Story<'a>]) -> Vec<StoryText<'a>> {
        let mut marked = self.marked.iter().peekable();
        let story = |(index, story): (usize, &text::Story<'a>)| match marked.next_if(|(marked, ..)| *marked == index) {
            Some((_, bytes, answers)) => {
                StoryText { text: &self.bytes[bytes.clone()], answers: &self.answers[answers.clone()] }
            }
            None => StoryText { text: story.text, answers: &[] },
        };
        stories.iter().enumerate().filter(|(_, story)| !story.is_blank()).map(story).collect()
    }
}

/// Says from time to time how much was read.
pub(super) struct Ticker<N> {
    what: &'static str,
    note: N,
    last: std::time::Instant,
}

impl<N: FnMut(String)> Ticker<N> {
    const EVERY: std::time::Duration = std::time::Duration::from_secs(10);

    pub fn new(what: &'static str, note: N) -> Self {
        Self { what, note, last: std::time::Instant::now() }
    }

    /// `bytes` were read so far.
    pub fn tick(&mut self, bytes: u64) {
        if self.last.elapsed() >= Self::EVERY {
            self.last = std::time::Instant::now();
            (self.note)(format!("{}: {:.1} GB so far", self.what, bytes as f64 * 1e-9));
        }
    }
}
