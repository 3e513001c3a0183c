//! From what `--data` names to stories.

use std::fmt;
use std::path::{Path, PathBuf};

use flashlm_host::text::{self, Listing};

use super::corpus::Corpus;
use super::cut::Reading;
pub use super::hub::Part;
use super::{DataError, builtin, hub};

/// Stories the built-in generator tells when it is the source.
pub const BUILTIN_STORIES: usize = 60_000;

/// What `--data` or `--valid` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The built-in story generator.
    Builtin,
    /// A text file or a pipe, "-" for standard input, or a folder of text files ([`text::files`]).
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

    /// Goes through all stories that are not blank. A hub's files are downloaded into the hub's own cache first; what
    /// comes through a pipe is kept in a file without a name in `spool`. `seed` is the story generator's; `note` is
    /// told what a folder's files are, and how far it is.
    pub fn open(
        &self,
        part: Part,
        reading: &Reading,
        seed: u64,
        spool: &Path,
        mut note: impl FnMut(String),
    ) -> Result<Corpus, DataError> {
        if *self == Self::Builtin {
            return Corpus::of_stories("builtin", builtin::stories(seed).take(BUILTIN_STORIES));
        }
        let listing = self.files(part)?;
        let text = listing.to_string();
        text.lines().for_each(|line| note(line.into()));
        Corpus::of_files(self.to_string(), &listing.taken, reading, spool, note)
    }

    /// The files behind this source, downloaded if need be; none for the generator.
    pub fn files(&self, part: Part) -> Result<Listing, DataError> {
        match self {
            Self::Builtin => Ok(Listing::default()),
            Self::Path(path) => Ok(text::files(path)?),
            Self::Hub(dataset) => Ok(Listing { taken: dataset.download(part)?, ..Listing::default() }),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str("builtin"),
            Self::Path(path) if text::is_stdin(path) => f.write_str("standard input"),
            Self::Path(path) => path.display().fmt(f),
            Self::Hub(dataset) => dataset.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flashlm_host::text::Form;
    use flashlm_host::text::marks::AnswerBytes;

    use super::super::cut::Split;
    use super::*;

    type Stories = Vec<(String, Vec<AnswerBytes>)>;

    fn stories(corpus: &Corpus) -> Stories {
        let all: Vec<u32> = (0..corpus.len() as u32).collect();
        let mut found = Vec::new();
        let read = corpus.read(&all, |batch, _| {
            found.extend(batch.iter().map(|s| (String::from_utf8(s.text.to_vec()).unwrap(), s.answers.to_vec())));
            Ok(())
        });
        read.unwrap();
        found
    }

    fn texts(corpus: &Corpus) -> Vec<String> {
        stories(corpus).into_iter().map(|(text, _)| text).collect()
    }

    fn open(path: &Path) -> Result<Corpus, DataError> {
        open_as(path, &Reading::default())
    }

    fn open_as(path: &Path, reading: &Reading) -> Result<Corpus, DataError> {
        let spool = tempfile::tempdir().unwrap();
        Source::parse(path.to_str().unwrap()).unwrap().open(Part::Train, reading, 0, spool.path(), |_| {})
    }

    fn message(path: &Path) -> String {
        open(path).err().expect("an error").to_string()
    }

    #[test]
    fn a_directory_is_its_txt_files_in_order_of_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("b.txt"), "three\n").unwrap();
        fs::write(dir.path().join("a.TXT"), "one\n<|endoftext|>\n \n<|endoftext|>\ntwo\n<|endoftext|>\n").unwrap();
        fs::write(dir.path().join("c.jsonl"), "{\"text\": \"four\"}\n").unwrap();
        fs::write(dir.path().join("d.csv"), "text\nno\n").unwrap();
        fs::write(dir.path().join("e.rs"), "not a story").unwrap();
        assert_eq!(texts(&open(dir.path()).unwrap()), ["one", "two", "three\n", "four"]);
        let mut notes = Vec::new();
        let source = Source::Path(dir.path().to_owned());
        source.open(Part::Train, &Reading::default(), 0, dir.path(), |line| notes.push(line)).unwrap();
        assert!(notes[0].ends_with("3 files: a.TXT, b.txt, c.jsonl"));
        let left_out =
            "left out: d.csv (a table: save its column of text as JSON lines), e.rs (not .txt, .md or .jsonl)";
        assert!(notes[1].ends_with(left_out), "{notes:?}");
    }

    #[test]
    fn every_unusable_source_is_named_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("data.txt");
        assert!(message(&file).contains("data.txt: no such file"));
        assert!(message(dir.path()).contains("no .txt, .md or .jsonl files"));
        fs::write(&file, "").unwrap();
        assert!(message(&file).contains("it is empty"));
        fs::write(&file, " \n<|endoftext|>\n").unwrap();
        assert!(message(&file).contains("nothing but white space"));
        fs::write(&file, b"fine\n<|endoftext|>\nnot \xff fine").unwrap();
        let message = message(&file);
        assert!(message.contains("data.txt: story 2 is not UTF-8: invalid byte at offset 23"), "{message}");
    }

    #[test]
    fn marked_stories_are_read_without_marks_and_with_their_answers() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "plain\n<|endoftext|>\n").unwrap();
        let marked = "x\n<|endoftext|>\n\n<|endoftext|>\nIn <|answer:2|>a barn<|/answer|>, <|answer|>Tom<|/answer|>.";
        fs::write(dir.path().join("b.txt"), marked).unwrap();
        let corpus = open(dir.path()).unwrap();
        assert_eq!(texts(&corpus), ["plain", "x", "In a barn, Tom."]);
        let answer = |start, length, facts| AnswerBytes { start, length, facts };
        let answers: Vec<_> = stories(&corpus).into_iter().map(|(_, answers)| answers).collect();
        assert_eq!(answers, [vec![], vec![], vec![answer(3, 6, 2), answer(11, 3, 1)]]);
        fs::write(dir.path().join("b.txt"), "x\n<|endoftext|>\nIn <|answer:2|>a barn.").unwrap();
        let error = message(dir.path());
        assert!(error.contains("b.txt: story 2, byte 19 of the file: <|answer|>"), "{error}");
    }

    #[test]
    fn stories_are_whole_wherever_batches_are_cut() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        // some longer than a batch, separators on every border
        let long = |i: usize| format!("{i} {}", "word ".repeat([1, 7, 100_000, 900_000][i % 4] + i));
        let all: Vec<String> = (0..40).map(long).collect();
        fs::write(&file, all.join("\n<|endoftext|>\n")).unwrap();
        let whole = Reading { split: Split::None, ..Reading::default() };
        assert!(texts(&open_as(&file, &whole).unwrap()) == all);
    }

    #[test]
    fn the_same_stories_are_read_from_every_kind_of_text() {
        let dir = tempfile::tempdir().unwrap();
        let stories = ["One.\nTwo \"three\".", "Vier f\u{fc}nf.", "  six"];
        let file = |name: &str, text: String| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let json =
            |field: &str| stories.map(|story| serde_json::json!({ "n": 1, field: story }).to_string() + "\n").concat();
        let custom = |field: &str, separator: Option<&str>| Reading {
            form: Form { field: field.into(), separator: separator.map(str::to_owned) },
            ..Reading::default()
        };
        for (path, reading) in [
            (file("a.txt", stories.join("\n<|endoftext|>\n")), Reading::default()),
            (file("a.jsonl", json("text")), Reading::default()),
            (file("b.jsonl", json("story")), custom("story", None)),
            (file("b.txt", stories.join("\n===\n")), custom("text", Some("\n===\n"))),
        ] {
            assert_eq!(texts(&open_as(&path, &reading).unwrap()), stories, "{}", path.display());
        }
        let other = message(&dir.path().join("b.jsonl"));
        assert!(other.contains("b.jsonl: line 1: expected a field \"text\"") && other.contains("\"story\""), "{other}");
        let list = message(&file("list.json", "[{\"text\": \"a\"}]".into()));
        assert!(list.contains("a JSON list: saved as JSON lines"), "{list}");
        assert!(message(&file("t.csv", "text\na\n".into())).contains("a table (CSV)"));
    }

    #[test]
    fn long_documents_are_cut_and_every_line_is_one_where_asked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("book.md");
        let book: Vec<String> = (0..3000).map(|i| format!("# Chapter {i}\n\nIt went on and on.")).collect();
        fs::write(&file, book.join("\n\n")).unwrap();
        let pieces = texts(&open(&file).unwrap());
        assert!(
            pieces.len() > 10 && pieces.iter().all(|p| p.len() <= 8192) && pieces.join("\n\n") == book.join("\n\n")
        );
        let lines = Reading { split: Split::Lines, ..Reading::default() };
        assert_eq!(open_as(&file, &lines).unwrap().len(), 6000);
    }

    #[test]
    fn a_file_that_changes_between_two_looks_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        fs::write(&file, "one\n<|endoftext|>\ntwo").unwrap();
        let corpus = open(&file).unwrap();
        for changed in ["one\n<|endoftext|>\ntwo, three", "one", "one\n<|endoftext|>\ntwo\n<|endoftext|>\nthree"] {
            fs::write(&file, changed).unwrap();
            let error = corpus.read(&[0, 1], |_, _| Ok(())).unwrap_err().to_string();
            assert!(error.contains("a.txt") && error.contains("changed"), "{error}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_comes_through_a_pipe_can_be_read_again_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let to = pipe.clone();
        let writer = std::thread::spawn(move || fs::write(to, "one\r\n<|endoftext|>\r\ntwo").unwrap());
        let corpus = open(&pipe).unwrap();
        writer.join().unwrap();
        assert_eq!(
            (texts(&corpus), texts(&corpus)),
            (vec!["one".into(), "two".into()], vec!["one".into(), "two".into()])
        );
    }

    #[test]
    fn the_generator_is_a_source() {
        let source = Source::parse("builtin").unwrap();
        assert_eq!(source, Source::Builtin);
        let corpus = source.open(Part::Train, &Reading::default(), 5, Path::new("."), |_| {}).unwrap();
        assert_eq!(corpus.len(), BUILTIN_STORIES);
        assert_eq!(texts(&corpus)[1], builtin::stories(5).nth(1).unwrap());
    }
}
