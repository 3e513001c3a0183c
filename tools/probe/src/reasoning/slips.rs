//! Slips of the tongue in training stories: now and then a word that is nobody's and nothing's name is another, is
//! missing, or has company. Who listens for certain words only is misled by them, so that one learns to do without.

use std::borrow::Cow;
use std::sync::LazyLock;

use super::made_up::{self, Kind};
use super::{Rng, Split, phrases};

/// Made-up words among those that slip in.
const MADE_UP: usize = 1000;

/// Words of the phrases, and made-up words, half of them with the ending of a past.
static WORDS: LazyLock<[Vec<&'static str>; 2]> = LazyLock::new(|| {
    let mut rng = Rng::new(3);
    let made_up = (0..MADE_UP).map(|i| {
        let word = made_up::word(&mut rng, Split::Train, Kind::Verb);
        &*if i % 2 == 0 { word } else { word + "ed" }.leak()
    });
    [phrases::all().flat_map(str::split_whitespace).filter(|word| is_plain(word)).collect(), made_up.collect()]
});

fn is_plain(word: &str) -> bool {
    word.bytes().all(|c| c.is_ascii_lowercase())
}

/// `text`, part of a sentence, with a slip at so many percent of its whole words. A word at its edge counts as whole
/// where a space stands beside it, on the left in what was said `before`.
pub fn slip<'t>(rng: &mut Rng, percent: usize, text: &'t str, before: &str) -> Cow<'t, str> {
    let free = before.is_empty() || before.ends_with([' ', '\n']);
    let mut out = String::new();
    let mut kept = 0;
    let mut at = 0;
    for word in text.split_inclusive(' ') {
        let (start, bare) = (at, word.trim_end_matches([' ', ',', '.', '!', '?']));
        at += word.len();
        let whole = (start > 0 || free) && bare.len() < word.len();
        if !whole || bare.is_empty() || !is_plain(bare) || !rng.chance(percent) {
            continue;
        }
        let list = rng.below(2);
        let other = rng.pick(&WORDS[list]);
        out.push_str(&text[kept..start]);
        match rng.below(4) {
            // a word alone before a comma or a stop is not missed
            0 if word.len() == bare.len() + 1 && word.ends_with(' ') => kept = at,
            1 => {
                out.push_str(other);
                out.push(' ');
                kept = start;
            }
            _ => {
                out.push_str(other);
                kept = start + bare.len();
            }
        }
    }
    if kept == 0 && out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[kept..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_change_so_many_words_and_nothing_else() {
        let (mut rng, mut changed) = (Rng::new(1), 0);
        for _ in 0..2000 {
            let said = slip(&mut rng, 10, " soon went to the ", "Mia");
            assert!(said.starts_with(' ') && said.ends_with(' ') && said.len() > 8, "{said:?}");
            changed += usize::from(said != " soon went to the ");
        }
        // 1 - 0.9^4, and now and then a word slips in that was there
        assert!((600..760).contains(&changed), "{changed} of 2000");
        assert_eq!(slip(&mut rng, 100, "'s", "Mia"), "'s");
        for _ in 0..100 {
            assert!(slip(&mut rng, 100, "s of ", "bone").starts_with("s "), "the end of a word stays with it");
            assert!(slip(&mut rng, 100, " of", "bone").ends_with(" of"), "what comes next may belong to the word");
        }
    }
}
