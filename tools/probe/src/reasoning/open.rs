//! Words from outside a lexicon's lists, which stand in for its words in training stories now and then.
//!
//! A model that meets a few hundred words again and again learns them as classes, and answers with one of the class; asked
//! about words of another list it answers with its own. With an open list it has to copy.
//!
//! The lists in `open/` are words as they occur in TinyStories (Eldan and Li, 2023), in no word list and no sentence of
//! either split. Nouns and words begin with a consonant, so that "a" before them gives nothing away.

use std::sync::LazyLock;

use super::made_up::{self, Kind};
use super::{Rng, Split};

/// Things, mostly: they may stand for an object, a place, an animal.
pub const NOUNS: &str = include_str!("open/nouns.txt");
/// Names, of anyone.
pub const NAMES: &str = include_str!("open/names.txt");
/// Any other words: what something is called need not make sense to be remembered.
pub const WORDS: &str = include_str!("open/words.txt");

/// Made-up words in either list: they are cut into several tokens, as a rare word is.
const MADE_UP: usize = 1000;
/// Percent of draws from nouns or names, and from any words; the others are made up.
const SHARES: [usize; 2] = [45, 30];

/// Nouns or names, any words, made-up words.
type Lists = [Vec<&'static str>; 3];

static THINGS: LazyLock<Lists> = LazyLock::new(|| lists(NOUNS, 1, str::to_owned));
static PEOPLE: LazyLock<Lists> = LazyLock::new(|| lists(NAMES, 2, made_up::capital));

fn lists(own: &'static str, seed: u64, spell: fn(&str) -> String) -> Lists {
    let mut rng = Rng::new(seed);
    let spell = |word: &str| &*spell(word).leak();
    let made_up = (0..MADE_UP).map(|_| spell(&made_up::word(&mut rng, Split::Train, Kind::Noun))).collect();
    [own.split_whitespace().collect(), WORDS.split_whitespace().map(spell).collect(), made_up]
}

/// A word in place of a noun or, with `name`, of a name.
pub fn word(rng: &mut Rng, name: bool) -> &'static str {
    let list = match rng.below(100) {
        x if x < SHARES[0] => 0,
        x if x < SHARES[0] + SHARES[1] => 1,
        _ => 2,
    };
    let lists: &Lists = if name { &PEOPLE } else { &THINGS };
    rng.pick(&lists[list])
}
