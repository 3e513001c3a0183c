//! From the arguments to everything training needs.

mod tokenizer;

use std::collections::HashSet;
use std::fs;
use std::hash::Hasher;
use std::io::Write;
use std::path::{Path, PathBuf};

use flashlm_core::text::SEPARATOR;
use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::output;
use flashlm_host::text::{Form, is_lasting};
use serde::{Deserialize, Serialize};

use super::cache::TokenCache;
use super::corpus::Corpus;
use super::cut::Reading;
use super::evaluation::{self, EvaluationSet};
use super::hash::{Hash64, hash};
use super::mix::Mix;
use super::source::{Part, Source};
use super::split::Split;
use super::write::write;
use super::{DataError, split};

/// Goes into every cache key: raise it when the same inputs come to mean other files.
const VERSION: u64 = 3;

/// What to prepare.
#[derive(Clone, Debug)]
pub struct Options {
    pub data: Source,
    /// How both are read.
    pub reading: Reading,
    /// A file to evaluate on; `None` holds stories out of `data`.
    pub valid: Option<Source>,
    /// The largest vocabulary wanted; see [`Prepared::tokenizer`] for what the data gave.
    pub vocab: usize,
    /// A tokenizer's table to use (a checkpoint's, say) instead of training one.
    pub tokenizer: Option<Vec<u8>>,
    /// Other texts to mix in.
    pub texts: Vec<Mixed>,
    /// Reasoning stories that training will mix in: the tokenizer must know their words too.
    pub mix: Mix,
    /// The most bytes of `data` the tokenizer is trained on.
    pub sample: u64,
    /// Where tokenizers and tokens are kept between runs; made if absent.
    pub cache_dir: PathBuf,
    pub seed: u64,
}

/// A text to mix in.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    pub source: Source,
    /// Share of the tokens of all texts.
    pub share: f32,
}

/// A text that was mixed in, ready to train on.
pub struct MixedText {
    /// What it is called in messages.
    pub name: String,
    pub train: TokenCache,
    /// Share of the tokens of all texts.
    pub share: f32,
    /// Its own held-out stories; `None` where it has but one story.
    pub held_out: Option<PathBuf>,
    /// Documents read, their bytes, and those left out: copies, and what the held-out text of the data has.
    pub documents: usize,
    pub bytes: u64,
    pub left_out: usize,
}

/// Data ready to train on.
pub struct Prepared {
    /// The tokenizer's table.
    pub tokenizer: Vec<u8>,
    /// The training stories' tokens.
    pub train: TokenCache,
    pub valid: EvaluationSet,
    /// By what the same data is known again.
    pub fingerprints: Fingerprints,
    /// The file `valid` was read from: what `eval --data` takes for the same figure.
    pub valid_path: PathBuf,
    /// Documents read, and their bytes without separators.
    pub documents: usize,
    pub bytes: u64,
    /// Copies of other stories that were left out.
    pub duplicates: usize,
    /// Stories left out because the validation file has them.
    pub in_validation: usize,
    /// Texts mixed in, in the order they were asked for.
    pub mixed: Vec<MixedText>,
}

/// Everything to train on, each text with its share of the tokens; the data's first, with what the others leave.
pub fn with_shares(data: TokenCache, mixed: Vec<MixedText>) -> Vec<(TokenCache, f32)> {
    let rest = 1.0 - mixed.iter().map(|text| text.share).sum::<f32>();
    let mixed = mixed.into_iter().map(|text| (text.train, text.share));
    std::iter::once((data, rest)).chain(mixed).collect()
}

/// A text that was read and split.
struct Opened {
    corpus: Corpus,
    split: Split,
    /// Of the stories to train on.
    key: u64,
    share: f32,
}

/// Numbers that change with what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// The training stories, their order and their marked answers.
    pub stories: u64,
    /// The text that bits per byte are measured on.
    pub held_out: u64,
    /// The tokenizer's table.
    pub tokenizer: u64,
}

impl Options {
    /// Reads, splits, trains the tokenizer and encodes, as far as `cache_dir` does not have the result already.
    /// `note` is told, in a line each, what takes time or is worth knowing. The result depends on the options and
    /// the data alone, not on threads or what was cached.
    pub fn prepare(&self, mut note: impl FnMut(String)) -> Result<Prepared, DataError> {
        fs::create_dir_all(&self.cache_dir).map_err(DataError::io(&self.cache_dir))?;
        output::remove_abandoned(&self.cache_dir);
        let corpus = self.data.open(Part::Train, &self.reading, self.seed, &self.cache_dir, &mut note)?;
        let given = self.valid.as_ref().map(|source| self.validation(source)).transpose()?;
        let fingerprints: Vec<u64> = corpus.stories().iter().map(|story| story.fingerprint).collect();
        let split = match &given {
            Some((_, text)) => split::without_copies(&fingerprints, &evaluation::fingerprints(text)),
            None => split::hold_out(&fingerprints, self.seed),
        };
        drop(fingerprints);
        let no_stories = |reason| Err(DataError::NoStories { path: corpus.name().to_owned(), reason });
        if split.train.is_empty() {
            return no_stories("the validation file has all of them");
        }
        if given.is_none() && split.held_out.is_empty() {
            return no_stories("only one, and one must be held out; name a validation file");
        }
        let (valid_path, held_out) = match given {
            Some(given) => given,
            None => {
                let path = self.write_held_out(&corpus, &split.held_out)?;
                let text = evaluation::read(&path, &Form::default())?;
                (path, text)
            }
        };
        let rest = 1.0 - self.texts.iter().map(|text| text.share).sum::<f32>();
        let mut opened = vec![Opened { key: corpus.content_key(&split.train), corpus, split, share: rest }];
        let held_out_stories = evaluation::fingerprints(&held_out);
        for text in &self.texts {
            opened.push(self.open_mixed(text, &held_out_stories, &mut note)?);
        }
        let table = match &self.tokenizer {
            Some(table) => table.clone(),
            None => self.tokenizer(&opened, &mut note)?,
        };
        let tokenizer = Tokenizer::from_bytes(&table)?;
        let valid = EvaluationSet::from_bytes(&held_out, tokenizer)?;
        let fingerprints =
            Fingerprints { stories: together(&opened), held_out: hash(&held_out), tokenizer: hash(&table) };
        let words = (tokenizer, fingerprints.tokenizer);
        let data = opened.remove(0);
        let train = self.encode(&data, words, &mut note)?;
        let mixed: Result<_, DataError> =
            opened.into_iter().map(|text| self.mixed_text(text, words, &mut note)).collect();
        Ok(Prepared {
            tokenizer: table,
            train,
            valid,
            fingerprints,
            valid_path,
            documents: data.corpus.len(),
            bytes: data.corpus.bytes(),
            duplicates: data.split.duplicates,
            in_validation: data.split.in_validation,
            mixed: mixed?,
        })
    }

    /// A text to mix in, without what is held out of the data, and with stories of its own held out.
    fn open_mixed(
        &self,
        Mixed { source, share }: &Mixed,
        held_out: &HashSet<u64>,
        note: &mut impl FnMut(String),
    ) -> Result<Opened, DataError> {
        let corpus = source.open(Part::Train, &self.reading, self.seed, &self.cache_dir, note)?;
        let fingerprints: Vec<u64> = corpus.stories().iter().map(|story| story.fingerprint).collect();
        let mut split = split::hold_out(&fingerprints, self.seed);
        let before = split.train.len();
        split.train.retain(|&index| !held_out.contains(&fingerprints[index as usize]));
        split.in_validation = before - split.train.len();
        if split.train.is_empty() {
            let reason = "what is held out of --data has all of them";
            return Err(DataError::NoStories { path: corpus.name().to_owned(), reason });
        }
        Ok(Opened { key: corpus.content_key(&split.train), corpus, split, share: *share })
    }

    fn mixed_text(
        &self,
        text: Opened,
        words: (Tokenizer, u64),
        note: &mut impl FnMut(String),
    ) -> Result<MixedText, DataError> {
        let train = self.encode(&text, words, note)?;
        let Opened { corpus, split, share, .. } = text;
        let held_out = match split.held_out[..] {
            [] => None,
            _ => Some(self.write_held_out(&corpus, &split.held_out)?),
        };
        Ok(MixedText {
            name: corpus.name().to_owned(),
            train,
            share,
            held_out,
            documents: corpus.len(),
            bytes: corpus.bytes(),
            left_out: split.duplicates + split.in_validation,
        })
    }

    /// The training stories of a text in tokens of a tokenizer, with its table's hash.
    fn encode(
        &self,
        Opened { corpus, split, key, .. }: &Opened,
        (tokenizer, table): (Tokenizer, u64),
        note: &mut impl FnMut(String),
    ) -> Result<TokenCache, DataError> {
        let key = combine(&[VERSION, *key, table]);
        let path = self.cache_dir.join(format!("tokens-{key:016x}.bin"));
        if !path.exists() {
            note(format!("encoding {} stories", split.train.len()));
        }
        TokenCache::open_or_build(&path, key, corpus, &split.train, tokenizer, note)
    }

    /// The one file that a validation source stands for, and its text without marks. What comes through a pipe is kept
    /// in the cache.
    fn validation(&self, source: &Source) -> Result<(PathBuf, Vec<u8>), DataError> {
        let mut files = source.files(Part::Valid)?.taken;
        let (Some(file), true) = (files.pop(), files.is_empty()) else {
            return Err(DataError::NoStories { path: source.to_string(), reason: "name the one file to validate on" });
        };
        let text = evaluation::read(&file, &self.reading.form)?;
        if is_lasting(&file) {
            return Ok((file, text));
        }
        let path = self.cache_dir.join(format!("held-out-{:016x}.txt", hash(&text)));
        write(&path, |file| file.write_all(&text).map_err(DataError::io(&path)))?;
        Ok((path, text))
    }

    /// Held-out stories as a file of the usual form, so that any program can measure on it.
    fn write_held_out(&self, corpus: &Corpus, stories: &[u32]) -> Result<PathBuf, DataError> {
        let key = combine(&[VERSION, corpus.content_key(stories)]);
        let path = self.cache_dir.join(format!("held-out-{key:016x}.txt"));
        write(&path, |file| {
            corpus.read(stories, |batch, _| {
                batch.iter().try_for_each(|story| {
                    let parts = [story.text, b"\n", SEPARATOR, b"\n"];
                    parts.iter().try_for_each(|part| file.write_all(part)).map_err(DataError::io(&path))
                })
            })
        })?;
        Ok(path)
    }
}

/// A number that changes with any of the texts.
fn together(texts: &[Opened]) -> u64 {
    match texts {
        [text] => text.key,
        texts => combine(&texts.iter().map(|text| text.key).collect::<Vec<_>>()),
    }
}

fn combine(words: &[u64]) -> u64 {
    let mut key = Hash64::default();
    words.iter().for_each(|&word| key.write_u64(word));
    key.finish()
}

/// Where caches go unless told otherwise: `.flashlm-cache` in the working directory.
pub fn default_cache_dir() -> &'static Path {
    Path::new(".flashlm-cache")
}

#[cfg(test)]
mod tests {
    use super::super::bpe;
    use super::super::encoder::AnswerTokens;
    use super::super::lanes::{StoryTokens, Told};
    use super::*;

    fn file(dir: &Path, name: &str, stories: impl Iterator<Item = usize>) -> PathBuf {
        let text: String =
            stories.map(|i| format!("Tom had {i} red balls. He lost {}.\n<|endoftext|>\n", i / 2)).collect();
        fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    }

    fn options(dir: &Path, data: PathBuf, valid: Option<PathBuf>) -> Options {
        Options {
            data: Source::Path(data),
            reading: Reading::default(),
            valid: valid.map(Source::Path),
            vocab: 320,
            tokenizer: None,
            texts: Vec::new(),
            mix: Mix::NONE,
            sample: u64::MAX,
            cache_dir: dir.join("cache"),
            seed: 1,
        }
    }

    fn story(prepared: &Prepared, index: u32) -> (Vec<u16>, Vec<AnswerTokens>) {
        let mut told = Told::default();
        prepared.train.read(index, &mut told).unwrap();
        (told.tokens, told.answers)
    }

    #[test]
    fn a_second_run_prepares_the_same_from_the_cache() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), file(dir.path(), "a.txt", 0..400), None);
        let mut notes = Vec::new();
        let first = options.prepare(|line| notes.push(line)).unwrap();
        assert_eq!(notes, ["training a tokenizer of 320 tokens", "encoding 396 stories"]);
        notes.clear();
        let second = options.prepare(|line| notes.push(line)).unwrap();
        assert!(notes.is_empty(), "{notes:?}");
        assert_eq!(first.tokenizer, second.tokenizer);
        assert_eq!(first.valid, second.valid);
        assert_eq!(first.fingerprints, second.fingerprints);
        assert_eq!(first.train.difficulties(), second.train.difficulties());
        assert!((0..396).all(|index| story(&first, index) == story(&second, index)));
    }

    #[test]
    fn held_out_stories_are_a_file_anyone_can_evaluate() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), file(dir.path(), "a.txt", 0..400), None);
        let prepared = options.prepare(|_| {}).unwrap();
        let text = fs::read_to_string(&prepared.valid_path).unwrap();
        assert_eq!(text.matches("<|endoftext|>\n").count(), 4);
        assert_eq!(prepared.valid.stories.len(), 4);
        assert_eq!(prepared.valid.bytes, text.len() as u64);
    }

    #[test]
    fn stories_of_the_validation_file_are_left_out_of_training() {
        let dir = tempfile::tempdir().unwrap();
        let data = file(dir.path(), "a.txt", (0..400).chain(0..10));
        let valid = file(dir.path(), "b.txt", 380..420);
        let prepared = options(dir.path(), data, Some(valid.clone())).prepare(|_| {}).unwrap();
        assert_eq!((prepared.train.len(), prepared.in_validation, prepared.duplicates), (380, 20, 10));
        assert_eq!((prepared.valid.stories.len(), prepared.valid_path), (40, valid));
    }

    #[test]
    fn a_given_tokenizer_is_used_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), file(dir.path(), "a.txt", 0..50), None);
        let table = bpe::table(&[]);
        options.tokenizer = Some(table.clone());
        let prepared = options.prepare(|_| {}).unwrap();
        assert_eq!(prepared.tokenizer, table);
        assert!(prepared.train.length(0) > 30);
    }

    #[test]
    fn a_tokenizer_for_mixed_stories_knows_their_words_and_is_cached_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(dir.path(), file(dir.path(), "a.txt", 0..400), None);
        options.vocab = 1000;
        let plain = options.prepare(|_| {}).unwrap();
        options.mix = Mix { share: 0.5, families: vec!["tracking".into()] };
        let mixed = options.prepare(|_| {}).unwrap();
        let text = b"She was in the kitchen.";
        let length = |prepared: &Prepared| {
            let tokenizer = Tokenizer::from_bytes(&prepared.tokenizer).unwrap();
            tokenizer.encoded(text).len()
        };
        assert!(length(&mixed) + 4 < length(&plain), "{} and {} tokens", length(&mixed), length(&plain));
        assert_eq!(mixed.valid.bytes, plain.valid.bytes, "what is held out is of the file");
        assert_eq!(options.prepare(|_| {}).unwrap().tokenizer, mixed.tokenizer);
    }

    #[test]
    fn answers_marked_in_a_file_reach_the_cache_and_new_marks_make_a_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let marked = |i: usize, mark: &str| format!("Tom had <|answer{mark}|>{i}<|/answer|> balls.\n<|endoftext|>\n");
        let mut options = options(dir.path(), dir.path().join("a.txt"), None);
        options.vocab = 300;
        for (mark, facts) in [("", 1), (":3", 3)] {
            fs::write(dir.path().join("a.txt"), (100..200).map(|i| marked(i, mark)).collect::<String>()).unwrap();
            let prepared = options.prepare(|_| {}).unwrap();
            let tokenizer = Tokenizer::from_bytes(&prepared.tokenizer).unwrap();
            for index in 0..prepared.train.len() as u32 {
                let (tokens, answers) = story(&prepared, index);
                let [answer] = answers[..] else { panic!("one answer a story") };
                let tokens = &tokens[answer.start as usize..][..answer.length as usize];
                let length: usize = tokens.iter().map(|&token| tokenizer.piece_len(token)).sum();
                assert!(length == 3 || length == 4, "three digits and perhaps the space before");
                assert_eq!(answer.facts, facts);
            }
            let held_out = fs::read_to_string(&prepared.valid_path).unwrap();
            assert!(!held_out.contains("answer"), "{held_out}");
        }
    }

    #[test]
    fn a_damaged_cached_tokenizer_is_trained_anew() {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path(), file(dir.path(), "a.txt", 0..100), None);
        let first = options.prepare(|_| {}).unwrap();
        let cached = fs::read_dir(&options.cache_dir).unwrap().map(|entry| entry.unwrap().path());
        let path = cached
            .into_iter()
            .find(|path| path.extension().is_some_and(|e| e == "bin") && path.to_string_lossy().contains("tokenizer-"));
        let path = path.unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[10] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut notes = Vec::new();
        let second = options.prepare(|line| notes.push(line)).unwrap();
        assert!(notes[0].contains("damaged"), "{notes:?}");
        assert_eq!(first.tokenizer, second.tokenizer);
    }

    #[test]
    fn too_few_stories_say_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let data = file(dir.path(), "a.txt", 0..1);
        let message = |valid| options(dir.path(), data.clone(), valid).prepare(|_| {}).err().unwrap().to_string();
        assert!(message(None).contains("name a validation file"));
        assert!(message(Some(data.clone())).contains("the validation file has all of them"));
    }
}
