//! Reasoning stories among those of the data: which, how many, told into tokens, and their words for the tokenizer.

use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::text::marks::AnswerBytes;
use serde::{Deserialize, Serialize};

use super::DataError;
use super::encoder::Encoder;
use super::hash::{hash, mix};
use super::lanes::{Tell, Told};
use super::reasoning::{self, ALL_WORDINGS, Difficulty, Family, OPEN, Split};

/// The share of reasoning stories among the built-in ones, where no other was asked for.
pub const BUILTIN_SHARE: f32 = 0.3;
/// The most, whatever is asked for: held-out text and phases are of the data's own stories.
pub const MAX_SHARE: f32 = 0.9;

/// The hardest stories, which have all the words.
const HARDEST: Difficulty =
    Difficulty { facts: 3, filler: 6, distractors: 3, wordings: ALL_WORDINGS, open: OPEN, loose: false };
/// The most text told for the tokenizer, in bytes: by then every word has come often.
const MAX_SAMPLE: u64 = 4 << 20;
/// Stories that [`Mix::key`] looks at.
const LOOKED_AT: u64 = 64;

/// Reasoning stories to mix in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mix {
    /// Share of all tokens, 0 to [`MAX_SHARE`].
    pub share: f32,
    /// Kinds of stories by name; all where none is named.
    pub families: Vec<String>,
}

/// What reasoning stories are called where something is mixed in.
pub const REASONING: &str = "reasoning";

/// One thing to mix in, what `--mix` takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Ingredient {
    /// [`REASONING`], or a text as `--data` has it.
    pub name: String,
    pub share: f32,
}

impl Ingredient {
    /// Reads `reasoning=0.3` or `b.jsonl=0.3`.
    pub fn parse(argument: &str) -> Result<Self, DataError> {
        let bad = |reason: &str| DataError::BadMix { argument: argument.to_owned(), reason: reason.to_owned() };
        let expected = "expected NAME=SHARE, as in reasoning=0.3 or b.txt=0.3";
        let (name, share) = argument.rsplit_once('=').ok_or_else(|| bad(expected))?;
        let least = if name == REASONING { 0.0 } else { f32::MIN_POSITIVE };
        match share.parse() {
            _ if name.is_empty() => Err(bad(expected)),
            Ok(share) if (least..=MAX_SHARE).contains(&share) => Ok(Self { name: name.to_owned(), share }),
            _ => Err(bad(&format!("the share must be a number in 0 ..= {MAX_SHARE}"))),
        }
    }
}

impl Mix {
    /// No reasoning stories.
    pub const NONE: Self = Self { share: 0.0, families: Vec::new() };

    /// The kinds of stories; an error where one does not exist.
    pub fn families(&self) -> Result<Vec<Family>, DataError> {
        let family = |name: &String| {
            Family::from_name(name).ok_or_else(|| DataError::BadFamily {
                name: name.clone(),
                expected: Family::ALL.map(Family::name).join(", "),
            })
        };
        self.families.iter().map(family).collect()
    }

    /// Stories to train the tokenizer on beside `bytes` of other text: as many bytes as their share asks for, but at
    /// most [`MAX_SAMPLE`], and how often each counts to make up for that.
    pub fn sample(&self, bytes: u64, seed: u64) -> Result<(Vec<String>, u64), DataError> {
        let share = f64::from(self.share.min(MAX_SHARE));
        let wanted = (bytes as f64 * share / (1.0 - share)) as u64;
        let (families, seed) = (self.families()?, story_seed(seed));
        let (mut stories, mut told) = (Vec::new(), 0);
        while told < wanted.min(MAX_SAMPLE) {
            let story = reasoning::story(Split::Train, &families, HARDEST, seed, stories.len() as u64).text;
            told += story.len() as u64;
            stories.push(story);
        }
        Ok((stories, (wanted / told.max(1)).max(1)))
    }

    /// A number that changes with the share, the kinds and how their stories are told.
    pub fn key(&self, seed: u64) -> Result<u64, DataError> {
        if self.share == 0.0 {
            return Ok(0);
        }
        let (families, seed) = (self.families()?, story_seed(seed));
        let text = |index| reasoning::story(Split::Train, &families, HARDEST, seed, index).text;
        let told = (0..LOOKED_AT).fold(0, |key, index| mix(key ^ hash(text(index).as_bytes())));
        Ok(mix(told ^ u64::from(self.share.to_bits())))
    }
}

/// Reasoning stories have a seed of their own, so that they have nothing in common with stories of the same numbers.
fn story_seed(seed: u64) -> u64 {
    mix(seed ^ 0x7265_6173_6f6e)
}

/// Tells reasoning stories of the training split.
pub struct Teller<'a> {
    tokenizer: Tokenizer<'a>,
    families: &'a [Family],
    seed: u64,
}

impl<'a> Teller<'a> {
    /// A teller of these kinds of stories (all where none is named); `seed` is the run's.
    pub fn new(tokenizer: Tokenizer<'a>, families: &'a [Family], seed: u64) -> Self {
        Self { tokenizer, families, seed: story_seed(seed) }
    }
}

impl Tell for Teller<'_> {
    fn tell(&self, index: u64, difficulty: Difficulty, told: &mut Told) {
        let story = reasoning::story(Split::Train, self.families, difficulty, self.seed, index);
        let bytes = |answer: &reasoning::Answer| AnswerBytes {
            start: answer.span.start as u32,
            length: answer.span.len() as u32,
            facts: answer.facts.max(1),
        };
        let answers: Vec<AnswerBytes> = story.answers.iter().map(bytes).collect();
        told.clear();
        Encoder::new(self.tokenizer)
            .encode_marked(story.text.as_bytes(), &answers, &mut told.tokens, &mut told.answers)
            .expect("the encoder makes room for every byte");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(share: f32) -> Mix {
        Mix { share, families: Vec::new() }
    }

    #[test]
    fn a_share_is_read_and_what_is_wrong_with_it_said() {
        let of = |name: &str, share| Ingredient { name: name.into(), share };
        assert_eq!(Ingredient::parse("reasoning=0.25").unwrap(), of("reasoning", 0.25));
        assert_eq!(Ingredient::parse("reasoning=0").unwrap(), of("reasoning", 0.0));
        assert_eq!(Ingredient::parse("a=b.txt=.5").unwrap(), of("a=b.txt", 0.5));
        for (argument, want) in [
            ("0.3", "expected NAME=SHARE"),
            ("=0.3", "expected NAME=SHARE"),
            ("poems.txt=0", "0 ..= 0.9"),
            ("reasoning=0.95", "0 ..= 0.9"),
            ("reasoning=-0.1", "0 ..= 0.9"),
            ("reasoning=NaN", "0 ..= 0.9"),
            ("reasoning=", "0 ..= 0.9"),
        ] {
            let message = Ingredient::parse(argument).unwrap_err().to_string();
            assert!(message.contains(want) && message.contains(argument), "{message}");
        }
        let unknown = Mix { families: vec!["tracking".into(), "magic".into()], ..Mix::NONE };
        let message = unknown.families().unwrap_err().to_string();
        assert!(message.contains("magic") && message.contains("pattern, if-then, tracking, in-context"), "{message}");
    }

    #[test]
    fn the_tokenizers_sample_has_the_share_in_weight() {
        for (bytes, share) in [(100_000u64, 0.5), (20 << 20, 0.3)] {
            let (stories, times) = mix(share).sample(bytes, 1).unwrap();
            let told: u64 = stories.iter().map(|story| story.len() as u64).sum();
            assert!(told <= MAX_SAMPLE + 10_000);
            let found = (told * times) as f32 / (told * times + bytes) as f32;
            assert!((found - share).abs() < 0.05, "{found} of {share}");
        }
        assert_eq!(mix(0.0).sample(1 << 20, 1).unwrap(), (vec![], 1));
    }

    #[test]
    fn the_key_tells_shares_kinds_and_seeds_apart() {
        let one = Mix { share: 0.3, families: vec!["tracking".into()] };
        let keys = [mix(0.3).key(1), mix(0.2).key(1), one.key(1), mix(0.3).key(2), mix(0.0).key(1)];
        let keys = keys.map(Result::unwrap);
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
        assert_eq!(mix(0.3).key(1).unwrap(), keys[0]);
    }

    #[test]
    fn a_told_storys_answers_are_the_words_the_generator_marked() {
        let table = crate::data::bpe::table(&[]);
        let tokenizer = Tokenizer::from_bytes(&table).unwrap();
        let teller = Teller::new(tokenizer, &[], 3);
        let mut told = Told::default();
        for index in 0..200 {
            teller.tell(index, HARDEST, &mut told);
            let story = reasoning::story(Split::Train, &[], HARDEST, story_seed(3), index);
            // without merges a token is a byte
            assert_eq!(told.tokens.len(), story.text.len());
            let spans = told.answers.iter().map(|a| (a.start as usize, a.length as usize, a.facts));
            assert!(spans.eq(story.answers.iter().map(|a| (a.span.start, a.span.len(), a.facts))), "story {index}");
        }
    }
}
