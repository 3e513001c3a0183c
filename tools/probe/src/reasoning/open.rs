//! Words from outside a lexicon's lists, which stand in for its words in training stories now and then.
//!
//! A model that meets a few hundred words again and again learns them as classes, and answers with one of the class;
//! asked about words of another list it answers with its own. With an open list it has to copy.
//!
//! The lists in `open/` are words as they occur in TinyStories (Eldan and Li, 2023), in no word list and no sentence of
//! either split. Nouns and words begin with a consonant, so that "a" before them gives nothing away.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::made_up::{self, Kind};
use super::{Rng, Split, words_test, words_train};

/// Things, mostly: they may stand for an object, a place, an animal.
pub const NOUNS: &str = include_str!("open/nouns.txt");
/// Names, of anyone.
pub const NAMES: &str = include_str!("open/names.txt");
/// Any other words: what something is called need not make sense to be remembered.
pub const WORDS: &str = include_str!("open/words.txt");

/// Made-up words in either list: they are cut into several tokens, as a rare word is.
const MADE_UP: usize = 1000;
/// Blends of two words in either list, "ham" and "gazelle" as "hazelle": they are cut into the tokens that any rare
/// word is cut into, which the few syllables of made-up words are not.
const BLENDS: usize = 6000;
/// Percent of draws from nouns or names, from any words, and of blends; the others are made up.
const SHARES: [usize; 3] = [20, 50, 20];

/// Nouns or names, any words, blends, made-up words.
type Lists = [Vec<&'static str>; 4];

static THINGS: LazyLock<Lists> = LazyLock::new(|| lists(NOUNS, 1, str::to_owned));
static PEOPLE: LazyLock<Lists> = LazyLock::new(|| lists(NAMES, 2, made_up::capital));

fn lists(own: &'static str, seed: u64, spell: fn(&str) -> String) -> Lists {
    let mut rng = Rng::new(seed);
    let spell = |word: &str| &*spell(word).leak();
    let made_up = (0..MADE_UP).map(|_| spell(&made_up::word(&mut rng, Split::Train, Kind::Noun))).collect();
    let blends = (0..BLENDS).map(|_| spell(&blend(&mut rng))).collect();
    [own.split_whitespace().collect(), WORDS.split_whitespace().map(spell).collect(), blends, made_up]
}

/// Words that a blend must not be by chance, in lower case.
static KNOWN: LazyLock<HashSet<String>> = LazyLock::new(|| {
    [&words_train::TRAIN, &words_test::TEST].into_iter().flat_map(|l| l.words()).map(str::to_lowercase).collect()
});

/// The beginning of one word and the end of another.
fn blend(rng: &mut Rng) -> String {
    static WHOLE: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let all = [NOUNS, WORDS, NAMES].into_iter().flat_map(str::split_whitespace);
        all.filter(|word| word.len() >= 4).collect()
    });
    loop {
        let [first, second] = [rng.pick(&WHOLE), rng.pick(&WHOLE)];
        let start = &first[..rng.between(2, first.len() - 1)];
        let end = &second[rng.between(1, second.len() - 2)..];
        let word = (start.to_owned() + end).to_lowercase();
        let consonant = !word.starts_with(['a', 'e', 'i', 'o', 'u']);
        if consonant && (4..=10).contains(&word.len()) && !KNOWN.contains(&word) {
            return word;
        }
    }
}

/// A word in place of a noun or, with `name`, of a name.
pub fn word(rng: &mut Rng, name: bool) -> &'static str {
    let list = match rng.below(100) {
        x if x < SHARES[0] => 0,
        x if x < SHARES[0] + SHARES[1] => 1,
        x if x < SHARES.iter().sum() => 2,
        _ => 3,
    };
    let lists: &Lists = if name { &PEOPLE } else { &THINGS };
    rng.pick(&lists[list])
}
