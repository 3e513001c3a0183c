//! From what `--data` names to stories in memory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use flashlm_core::text;
use flashlm_host::is_lfs_pointer;
use memmap2::Mmap;

pub use super::hub::Part;
use super::marks::{self, AnswerBytes};
use super::{DataError, builtin, hub};
use crate::kernels::map::map_file;

/// Stories the built-in generator tells when it is the source.
pub const BUILTIN_STORIES: usize = 60_000;

/// What `--data` or `--valid` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in story generator.
    Builtin,
    /// A file, or a directory whose `*.txt` files are read in the order of their names.
    Path(PathBuf),
    /// `hf:OWNER/NAME[/FILE]`: text files of a data set on the Hugging Face hub.
    Hub(hub::Dataset),
}

impl Source {
    /// Reads the argument: `builtin`, `hf:...` or a path.
    pub fn parse(argument: &str) -> Result<Self, DataError> {
        Ok(match argument.strip_prefix("hf:") {
            Some(name) => Self::Hub(name.parse()?),
            None if argument == "builtin" => Self::Builtin,
            None => Self::Path(argument.into()),
        })
    }

    /// Opens all stories that are not blank. Files are mapped, not copied; a hub's files are downloaded into the
    /// hub's own cache first. `seed` is the story generator's.
    pub fn open(&self, part: Part, seed: u64) -> Result<Corpus, DataError> {
        let mut corpus = Corpus { name: self.to_string(), texts: Vec::new(), spans: Vec::new(), answers: Vec::new() };
        match self {
            Self::Builtin => corpus.add_generated(builtin::stories(seed).take(BUILTIN_STORIES)),
            Self::Path(path) => corpus.add_files(&text_files(path)?)?,
            Self::Hub(dataset) => corpus.add_files(&dataset.download(part)?)?,
        }
        if corpus.is_empty() {
            let bytes: usize = corpus.texts.iter().map(|text| text.bytes().len()).sum();
            let reason = if bytes == 0 { "it is empty" } else { "nothing but white space and separators" };
            return Err(DataError::NoStories { path: corpus.name, reason });
        }
        Ok(corpus)
    }

    /// The files behind this source, downloaded if need be; none for the generator.
    pub fn files(&self, part: Part) -> Result<Vec<PathBuf>, DataError> {
        match self {
            Self::Builtin => Ok(Vec::new()),
            Self::Path(path) => text_files(path),
            Self::Hub(dataset) => dataset.download(part),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Path(path) => path.display().fmt(f),
            Self::Hub(dataset) => dataset.fmt(f),
        }
    }
}

fn text_files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    if !fs::metadata(path).map_err(DataError::io(path))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(DataError::io(path))? {
        let file = entry.map_err(DataError::io(path))?.path();
        if file.extension().is_some_and(|extension| extension == "txt") && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(DataError::NoTextFiles { dir: path.to_owned() });
    }
    Ok(files)
}

/// Maps a file and checks that every story in it is UTF-8.
pub fn open_text(path: &Path) -> Result<Mmap, DataError> {
    let map = map_file(path).map_err(DataError::io(path))?;
    if is_lfs_pointer(&map) {
        return Err(DataError::Pointer { path: path.to_owned() });
    }
    for (index, story) in text::stories(&map).enumerate() {
        if let Err(error) = std::str::from_utf8(story.text) {
            let offset = story.start + error.valid_up_to();
            return Err(DataError::NotUtf8 { path: path.to_owned(), story: index + 1, offset });
        }
    }
    Ok(map)
}

enum Text {
    Mapped(Mmap),
    /// Made here: generated stories, and those of a file without its marks.
    Owned(Vec<u8>),
}

impl Text {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}

#[derive(Clone, Copy)]
struct Span {
    text: u32,
    length: u32,
    start: u64,
    /// Of [`Corpus::answers`], where this story's begin and how many there are.
    answers: (u32, u32),
}

/// Stories, in the order of their files. Each text is held once, however many stories it has.
pub struct Corpus {
    name: String,
    texts: Vec<Text>,
    spans: Vec<Span>,
    answers: Vec<AnswerBytes>,
}

impl Corpus {
    fn add_files(&mut self, files: &[PathBuf]) -> Result<(), DataError> {
        for file in files {
            let map = open_text(file)?;
            if marks::has_marks(&map) {
                self.add_marked(&map, file)?;
                continue;
            }
            let text = self.texts.len() as u32;
            for story in text::stories(&map).filter(|story| !story.is_blank()) {
                let length = u32::try_from(story.text.len()).map_err(|_| DataError::NoStories {
                    path: file.display().to_string(),
                    reason: "over 4 GB without a separator",
                })?;
                self.spans.push(Span { text, length, start: story.start as u64, answers: (0, 0) });
            }
            self.texts.push(Text::Mapped(map));
        }
        Ok(())
    }

    /// Adds a file's stories without their marks, in memory.
    fn add_marked(&mut self, map: &[u8], file: &Path) -> Result<(), DataError> {
        let mut bytes = Vec::with_capacity(map.len());
        for (index, story) in text::stories(map).enumerate() {
            let (start, first) = (bytes.len(), self.answers.len());
            marks::strip(story.text, &mut bytes, &mut self.answers)
                .map_err(|error| error.in_story(file, index + 1, story.start))?;
            if story.is_blank() {
                continue;
            }
            self.spans.push(Span {
                text: self.texts.len() as u32,
                length: (bytes.len() - start) as u32,
                start: start as u64,
                answers: (first as u32, (self.answers.len() - first) as u32),
            });
        }
        self.texts.push(Text::Owned(bytes));
        Ok(())
    }

    fn add_generated(&mut self, stories: impl Iterator<Item = String>) {
        let mut bytes = Vec::new();
        for story in stories {
            let (text, length) = (self.texts.len() as u32, story.len() as u32);
            self.spans.push(Span { text, length, start: bytes.len() as u64, answers: (0, 0) });
            bytes.extend_from_slice(story.as_bytes());
        }
        self.texts.push(Text::Owned(bytes));
    }

    /// Where the stories come from, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of stories.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are no stories; never so for a corpus from [`Source::open`].
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Story `index`, UTF-8, without marks.
    pub fn story(&self, index: usize) -> &[u8] {
        let Span { text, length, start, .. } = self.spans[index];
        &self.texts[text as usize].bytes()[start as usize..][..length as usize]
    }

    /// The answers marked in story `index`, in order.
    pub fn answers(&self, index: usize) -> &[AnswerBytes] {
        let (first, count) = self.spans[index].answers;
        &self.answers[first as usize..][..count as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stories(corpus: &Corpus) -> Vec<&str> {
        (0..corpus.len()).map(|i| std::str::from_utf8(corpus.story(i)).unwrap()).collect()
    }

    fn open(path: &Path) -> Result<Corpus, DataError> {
        Source::parse(path.to_str().unwrap()).unwrap().open(Part::Train, 0)
    }

    fn message(path: &Path) -> String {
        open(path).err().expect("an error").to_string()
    }

    #[test]
    fn a_directory_is_its_txt_files_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.txt"), "three\n").unwrap();
        fs::write(dir.path().join("a.txt"), "one\n<|endoftext|>\n \n<|endoftext|>\ntwo\n<|endoftext|>\n").unwrap();
        fs::write(dir.path().join("c.md"), "not a story").unwrap();
        assert_eq!(stories(&open(dir.path()).unwrap()), ["one", "two", "three\n"]);
    }

    #[test]
    fn every_unusable_source_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.txt");
        assert!(message(&file).contains("data.txt: no such file"));
        assert!(message(dir.path()).contains("no .txt files"));
        fs::write(&file, "").unwrap();
        assert!(message(&file).contains("it is empty"));
        fs::write(&file, " \n<|endoftext|>\n").unwrap();
        assert!(message(&file).contains("nothing but white space"));
        fs::write(&file, b"fine\n<|endoftext|>\nnot \xff fine").unwrap();
        assert!(
            message(&file).contains("data.txt: story 2 is not UTF-8: invalid byte at offset 23"),
            "{}",
            message(&file)
        );
    }

    #[test]
    fn marked_stories_are_read_without_marks_and_with_their_answers() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "plain\n<|endoftext|>\n").unwrap();
        let marked = "x\n<|endoftext|>\n\n<|endoftext|>\nIn <|answer:2|>a barn<|/answer|>, <|answer|>Tom<|/answer|>.";
        fs::write(dir.path().join("b.txt"), marked).unwrap();
        let corpus = open(dir.path()).unwrap();
        assert_eq!(stories(&corpus), ["plain", "x", "In a barn, Tom."]);
        let answer = |start, length, facts| AnswerBytes { start, length, facts };
        assert_eq!(corpus.answers(2), [answer(3, 6, 2), answer(11, 3, 1)]);
        assert!(corpus.answers(0).is_empty() && corpus.answers(1).is_empty());
        fs::write(dir.path().join("b.txt"), "x\n<|endoftext|>\nIn <|answer:2|>a barn.").unwrap();
        let error = message(dir.path());
        assert!(error.contains("b.txt: story 2, byte 19 of the file: <|answer|>"), "{error}");
    }

    #[test]
    fn the_generator_is_a_source() {
        let source = Source::parse("builtin").unwrap();
        assert_eq!(source, Source::Builtin);
        let corpus = source.open(Part::Train, 5).unwrap();
        assert_eq!(corpus.len(), BUILTIN_STORIES);
        assert_eq!(stories(&corpus)[1], builtin::stories(5).nth(1).unwrap());
    }
}
