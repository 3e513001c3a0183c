use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::super::corpus::Corpus;
use super::super::cut::Reading;
use super::super::encoder::Encoder;
use super::super::source::{Part, Source};
use super::*;

/// A corpus with words, numbers, repeats, punctuation and text outside ASCII.
fn corpus(dir: &Path) -> Corpus {
    let mut text = String::new();
    for i in 0..600 {
        let repeats = ["a", "ab", "!", "é", "日本", "aab"][i % 6].repeat(i % 23);
        text += &format!("Lily{} saw {i} cats  and\n\nshe said \"Été, naïve café!\" {repeats}\n<|endoftext|>\n", i % 7);
    }
    fs::write(dir.join("a.txt"), text).unwrap();
    Source::Path(dir.join("a.txt")).open(Part::Train, &Reading::default(), 0, dir, |_| {}).unwrap()
}

fn all(corpus: &Corpus) -> Vec<u32> {
    (0..corpus.len() as u32).collect()
}

fn trained() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let corpus = corpus(dir.path());
    train(&corpus.sample(&all(&corpus), u64::MAX).unwrap(), 700).unwrap()
}

struct Both {
    table: Vec<u8>,
    theirs: tokenizers::Tokenizer,
}

impl Both {
    fn new(table: Vec<u8>) -> Self {
        let mut theirs = to_tokenizers(&Tokenizer::from_bytes(&table).unwrap()).unwrap();
        // As in core, the end of a story is not spelled in text.
        theirs.set_encode_special_tokens(true);
        Self { table, theirs }
    }

    fn ours(&self) -> Tokenizer<'_> {
        Tokenizer::from_bytes(&self.table).unwrap()
    }

    fn encode_theirs(&self, text: &str) -> Vec<u16> {
        self.theirs.encode_fast(text, false).unwrap().get_ids().iter().map(|&id| id as u16).collect()
    }

    fn decode_ours(&self, tokens: &[u16]) -> Vec<u8> {
        tokens.iter().flat_map(|&token| self.ours().piece(token)).collect()
    }

    fn check(&self, text: &str) -> Result<(), TestCaseError> {
        let tokens = self.ours().encoded(text.as_bytes());
        prop_assert_eq!(&tokens, &self.encode_theirs(text), "{:?}", text);
        prop_assert_eq!(self.decode_ours(&tokens), text.as_bytes());
        let ids: Vec<u32> = tokens.iter().map(|&token| u32::from(token)).collect();
        prop_assert_eq!(self.theirs.decode(&ids, false).unwrap(), text);
        Ok(())
    }
}

static BOTH: LazyLock<Both> = LazyLock::new(|| Both::new(trained()));

/// Every class and every border between classes, ASCII or not.
fn borders() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        " ",
        "  ",
        "\n",
        "\t",
        "\u{b}",
        "\u{c}",
        "\r\n",
        "\u{85}",
        "\u{a0}",
        "\u{2028}",
        "\u{3000}",
        "\u{1c}",
        "\0",
        "a",
        "Lily",
        "cats",
        "é",
        "É",
        "日本",
        "!",
        "\"",
        "<|endoftext|>",
        "0",
        "42",
        "٣",
        "ª",
        "ſ",
        "K",
        "🙂",
        "\u{301}",
        "_",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Runs of one class around the length at which a pre-token ends, with and without a space before them.
fn long_runs() -> impl Strategy<Value = String> {
    let unit =
        prop::sample::select(vec!["a", "ab", "7", "-", "é", "日本", "🙂", "\u{301}", " ", "\n", "\r\n", "\u{a0}"]);
    let run = ("[ a]{0,2}", unit, 110usize..150, 0usize..3).prop_map(|(before, unit, length, more)| {
        let run: String = unit.chars().cycle().take(length + 127 * more).collect();
        before + &run
    });
    prop::collection::vec(run, 1..5).prop_map(|runs| runs.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn core_agrees_with_the_crate_on_arbitrary_unicode(text in any::<String>()) {
        BOTH.check(&text)?;
    }

    #[test]
    fn core_agrees_with_the_crate_at_every_border_of_classes(text in borders()) {
        BOTH.check(&text)?;
    }

    #[test]
    fn core_agrees_with_the_crate_where_long_runs_are_cut(text in long_runs()) {
        BOTH.check(&text)?;
    }

    #[test]
    fn core_agrees_with_the_crate_on_words_that_merge(text in "([ab]{1,30}| \
        ?(aab|é|日本|Lily|!){1,12}|[0-9]{1,5}){0,8}") {
        BOTH.check(&text)?;
    }
}

#[test]
fn core_agrees_with_the_crate_on_very_long_words() {
    for (unit, times) in [("a", 10_000), ("ab", 5_001), ("é", 4_000), ("日本!", 2_000), ("aab", 3_333), (" \n", 3_000)]
    {
        BOTH.check(&unit.repeat(times)).unwrap();
    }
}

/// `bytes` of Chinese without a space or a full stop, as words of two of 300 characters.
fn chinese(bytes: usize) -> String {
    let mut state = 1u32;
    let mut text = String::new();
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // a word's second character follows from its first: there is something to merge
        let first = (state >> 16) % 300;
        text.extend([first, first * 7 % 300].map(|n| char::from_u32(0x4E00 + n).expect("an ideograph")));
    }
    text
}

/// One line of 800 KB once took minutes.
#[test]
fn text_without_spaces_is_trained_on_and_encoded_in_time_linear_in_its_length() {
    let begun = Instant::now();
    let table = train(&[chinese(800_000).into_bytes()], 1024).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(60), "training took {:?}", begun.elapsed());
    let tokenizer = Tokenizer::from_bytes(&table).unwrap();
    // the least of several: the machine may be busy
    let time = |bytes| {
        let text = chinese(bytes);
        let once = || {
            let (begun, mut tokens) = (Instant::now(), Vec::new());
            Encoder::new(tokenizer).encode(text.as_bytes(), &mut tokens).unwrap();
            assert!(tokens.len() < bytes / 3, "{} tokens of {bytes} bytes: nothing merged", tokens.len());
            begun.elapsed()
        };
        (0..3).map(|_| once()).min().unwrap()
    };
    let (some, all) = (time(100_000), time(800_000));
    // 8 times the text; a time that grows with its square would be 64 times as long
    assert!(all < some * 24, "{some:?} for 100 KB, {all:?} for 800 KB");
}

#[test]
fn training_twice_gives_the_same_tokenizer() {
    assert_eq!(trained(), trained());
}

#[test]
fn a_small_corpus_gives_a_small_vocabulary() {
    let text = [b"abc abc abc".to_vec()];
    let table = train(&text, 4096).unwrap();
    let tokenizer = Tokenizer::from_bytes(&table).unwrap();
    assert!((258..265).contains(&tokenizer.vocab()), "{}", tokenizer.vocab());
    let error = train(&text, 100).unwrap_err().to_string();
    assert!(error.contains("a vocabulary of 100, expected 257 to 65536"), "{error}");
}

#[test]
fn a_sample_is_spread_over_the_whole_corpus() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = corpus(dir.path());
    let all = all(&corpus);
    let total: usize = corpus.stories().iter().map(|story| story.length as usize).sum();
    let stories = corpus.sampled(&all, total as u64 / 4);
    let bytes: usize = corpus.sample(&all, total as u64 / 4).unwrap().iter().map(Vec::len).sum();
    assert!(bytes <= total / 4 && bytes > total / 5, "{bytes} of {total}");
    assert!((0..4).all(|quarter| stories.iter().filter(|&&i| i / 150 == quarter).count() > 20));
    assert_eq!(corpus.sampled(&all, u64::MAX), all);
    // one story that is longer than the sample
    assert_eq!(corpus.sample(&[7], 10).unwrap(), [b"Lily0 saw ".to_vec()]);
}

#[test]
fn the_json_form_loads_as_the_same_tokenizer() {
    let json = BOTH.theirs.to_string(true).unwrap();
    let loaded: tokenizers::Tokenizer = json.parse().unwrap();
    let text = "Lily1 saw 12 cats  and\n\nshe said \"Été!\"";
    let ids: Vec<u16> = loaded.encode_fast(text, false).unwrap().get_ids().iter().map(|&id| id as u16).collect();
    assert_eq!(ids, BOTH.encode_theirs(text));
    assert_eq!(loaded.token_to_id(EOT_TEXT), Some(u32::from(EOT)));
}

#[test]
fn remembered_words_do_not_change_the_tokens() {
    let mut encoder = Encoder::new(BOTH.ours());
    for text in ["Lily saw cats", "cats saw Lily  and", "é日本 cats\n"] {
        let mut tokens = vec![7];
        encoder.encode(text.as_bytes(), &mut tokens).unwrap();
        assert_eq!(tokens[1..], BOTH.encode_theirs(text));
    }
}

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/tinystories").join(name);
    let found = path.exists();
    if !found {
        println!("skipped: {} is not there", path.display());
    }
    found.then_some(path)
}

#[test]
fn core_agrees_with_the_crate_on_all_of_the_validation_stories() {
    let (Some(train_path), Some(valid_path)) = (shared("train.txt"), shared("valid.txt")) else { return };
    let spool = tempfile::tempdir().unwrap();
    let corpus = Source::Path(train_path).open(Part::Train, &Reading::default(), 0, spool.path(), |_| {}).unwrap();
    let both = Both::new(train(&corpus.sample(&all(&corpus), 4 << 20).unwrap(), 4096).unwrap());
    assert_eq!(both.ours().vocab(), 4096);
    let text = fs::read_to_string(valid_path).unwrap();
    for story in flashlm_core::text::stories(text.as_bytes()) {
        both.check(std::str::from_utf8(story.text).unwrap()).unwrap();
    }
}
