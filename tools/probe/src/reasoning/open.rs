//! Words from outside a lexicon's lists, which stand in for its words in training stories now and then.
//!
//! A model that meets a few hundred words again and again learns them as classes, and answers with one of the class; asked about
//! words of another list it answers with its own. With an open list it has to copy.

use std::sync::LazyLock;

use super::made_up::{self, Kind};
use super::words_open::{NAMES, NOUNS, WORDS};
use super::{Rng, Split};

/// Made-up words in either list: they are cut into several tokens, as a rare word is.
const MADE_UP: usize = 1000;
/// Percent of draws from each of three lists: nouns or names, any words, made-up words.
const SHARES: [usize; 3] = [45, 30, 25];

struct Open {
    nouns: Vec<&'static str>,
    names: Vec<&'static str>,
    /// [`WORDS`] as names.
    words: Vec<&'static str>,
}

static MADE: LazyLock<Open> = LazyLock::new(|| {
    let mut rng = Rng::new(0x6f70_656e);
    let made = |rng: &mut Rng| &*made_up::word(rng, Split::Train, Kind::Noun).leak();
    Open {
        nouns: (0..MADE_UP).map(|_| made(&mut rng)).collect(),
        names: (0..MADE_UP).map(|_| capital(made(&mut rng))).collect(),
        words: WORDS.iter().copied().map(capital).collect(),
    }
});

fn capital(word: &'static str) -> &'static str {
    (word[..1].to_ascii_uppercase() + &word[1..]).leak()
}

/// A word in place of a noun or, with `name`, of a name.
pub fn word(rng: &mut Rng, name: bool) -> &'static str {
    let [first, second, _] = SHARES;
    let draw = rng.below(100);
    let list: &[&str] = match (draw, name) {
        (x, false) if x < first => NOUNS,
        (x, true) if x < first => NAMES,
        (x, false) if x < first + second => WORDS,
        (x, true) if x < first + second => &MADE.words,
        (_, false) => &MADE.nouns,
        (_, true) => &MADE.names,
    };
    rng.pick(list)
}
