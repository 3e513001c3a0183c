//! Other verbs and nouns in the sentences of training stories, all through a story the same: "The brass key opens the
//! red door" may be told as "The brass plonk scrubs the red bench", and what Tom then scrubbed with it is asked.
//!
//! However many sentences there are, they are made of some hundreds of verbs and nouns, and who has learnt what each of
//! them has to do with a question is lost at "gate" and "unlocks". What stays here is how a sentence is built. Articles
//! change for the same reason: an answer may follow "the", "some", or the verb.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::made_up::{self, Kind};
use super::{Rng, Split, hearsay, open};

/// Verbs of the sentences of training, one a line: its base form, and the others if they are not regular.
const VERBS: &str = include_str!("open/verbs.txt");
/// Nouns of the sentences of training.
const NOUNS: &str = "animal bead code color day door fence flower food friend game home key line machine meal meaning \
                     moment name number pattern pet picture player row rule shape sign song sound team thing toy turn \
                     word";
/// Regular verbs that may stand for others: they are in no sentence of the test.
const OTHER_VERBS: &str = include_str!("open/other_verbs.txt");

/// Percent of the verbs and nouns of a recast story that are others; percent of those that are made up, and how many
/// such words there are of each kind.
const OTHERS: usize = 60;
const INVENTED: usize = 40;
const MADE_UP: usize = 1000;

/// Percent of recast stories in which one other word stands for "the", and in which any does now and then.
const ONE_ARTICLE: usize = 25;
const ANY_ARTICLE: usize = 25;
/// What may stand for "the " before a thing.
const ARTICLES: [&str; 12] = ["", "", "", "some ", "some ", "his ", "her ", "that ", "this ", "my ", "one ", "our "];

/// Percent of answers that something comes before, in half of the recast stories.
const LEADS: usize = 30;

/// A verb: base form, third person, past, participle, with -ing. A noun: one, and four times more than one.
type Forms = [&'static str; 5];

static KNOWN: LazyLock<Vec<(Part, Forms)>> = LazyLock::new(|| {
    let verbs = VERBS.lines().map(|line| {
        let forms: Vec<&str> = line.split(' ').collect();
        (Part::Verb, forms.try_into().unwrap_or_else(|_| verb(line)))
    });
    verbs.chain(NOUNS.split(' ').map(|word| (Part::Noun, noun(word)))).collect()
});

/// Where in [`KNOWN`] a word is, and which of its forms.
static PLACES: LazyLock<HashMap<&str, (usize, usize)>> = LazyLock::new(|| {
    let mut places = HashMap::new();
    for (i, (_, forms)) in KNOWN.iter().enumerate() {
        for (form, &word) in forms.iter().enumerate() {
            places.entry(word).or_insert((i, form));
        }
    }
    places
});

/// Words that may stand for those of a part of speech: real ones, and made-up ones.
type Others = [Vec<Forms>; 2];

static OTHER: LazyLock<[Others; 2]> = LazyLock::new(|| {
    let mut rng = Rng::new(7);
    let mut made_up = |kind| -> Vec<_> { (0..MADE_UP).map(|_| made_up::word(&mut rng, Split::Train, kind)).collect() };
    let (verbs, nouns) = (made_up(Kind::Verb), made_up(Kind::Noun));
    [
        [OTHER_VERBS.split_whitespace().map(verb).collect(), verbs.iter().map(|word| verb(word)).collect()],
        [open::NOUNS.split_whitespace().map(noun).collect(), nouns.iter().map(|word| noun(word)).collect()],
    ]
});

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Verb,
    Noun,
}

/// The forms of a regular verb.
fn verb(base: &str) -> Forms {
    let letters = base.as_bytes();
    let vowel = |c: u8| b"aeiou".contains(&c);
    let (last, before) = (letters[letters.len() - 1], letters[letters.len() - 2]);
    let short = letters.iter().zip(&letters[1..]).filter(|&(&a, &b)| vowel(a) && !vowel(b)).count() == 1;
    let twice = short && vowel(before) && !vowel(last) && !b"wxy".contains(&last) && letters.len() > 2;
    let twice = twice && !letters.len().checked_sub(3).is_some_and(|i| vowel(letters[i]));
    let stem = if twice { format!("{base}{}", last as char) } else { base.to_owned() };
    let (third, past, ing) = match (last, before) {
        (b'e', _) => (format!("{base}s"), format!("{base}d"), format!("{}ing", &base[..base.len() - 1])),
        (b'y', c) if !vowel(c) => {
            let stem = &base[..base.len() - 1];
            (format!("{stem}ies"), format!("{stem}ied"), format!("{base}ing"))
        }
        _ => (made_up::plural(base), format!("{stem}ed"), format!("{stem}ing")),
    };
    let [base, third, past, ing] = [base.to_owned(), third, past, ing].map(|word| &*word.leak());
    [base, third, past, past, ing]
}

fn noun(one: &str) -> Forms {
    let more = &*made_up::plural(one).leak();
    [one.to_owned().leak(), more, more, more, more]
}

/// What stands for what in one story.
pub struct Recast {
    /// Known words that came up, by number, and what stands for them.
    chosen: Vec<(usize, Option<&'static Forms>)>,
    /// Percent of the articles that are others, and which, if they are all the same.
    articles: (usize, Option<&'static str>),
    /// Percent of the answers that something comes before.
    leads: usize,
}

impl Recast {
    pub fn new(rng: &mut Rng) -> Self {
        let articles = match rng.below(100) {
            0..ONE_ARTICLE => (100, Some(rng.pick(&ARTICLES))),
            x if x < ONE_ARTICLE + ANY_ARTICLE => (50, None),
            _ => (0, None),
        };
        let leads = if rng.chance(50) { LEADS } else { 0 };
        Self { chosen: Vec::new(), articles, leads }
    }

    /// A clause with slots that a sentence is made of.
    pub fn clause(&mut self, rng: &mut Rng, clause: &str) -> String {
        self.words(rng, clause, "").replace("the {v}", &(self.article(rng).to_owned() + "{v}"))
    }

    /// Puts another word in place of "the" at the end of `text`.
    pub fn vary_article(&self, rng: &mut Rng, text: &mut String) {
        let end = ["the ", "The "].into_iter().find_map(|the| text.strip_suffix(the));
        let Some(before) = end.filter(|before| !before.ends_with(|c: char| c.is_ascii_alphabetic())) else { return };
        let (at, other) = (before.len(), self.article(rng));
        let capital = text[at..].starts_with('T');
        text.truncate(at);
        match other.split_at_checked(1) {
            Some((first, rest)) if capital => text.extend([&*first.to_ascii_uppercase(), rest]),
            _ => text.push_str(other),
        }
    }

    /// Puts something between `text`, a question, and its answer.
    pub fn lead(&self, rng: &mut Rng, text: &mut String) {
        if self.leads > 0 && text.ends_with(['"', '?', ' ']) && rng.chance(self.leads) {
            text.extend([hearsay::start(rng), " "]);
        }
    }

    /// What stands for "the " this time.
    fn article(&self, rng: &mut Rng) -> &'static str {
        match self.articles {
            (percent, one) if rng.chance(percent) => one.unwrap_or_else(|| rng.pick(&ARTICLES)),
            _ => "the ",
        }
    }

    /// `text`, part of a sentence after what was said `before`, with its verbs and nouns replaced.
    pub fn words<'t>(&mut self, rng: &mut Rng, text: &'t str, before: &str) -> Cow<'t, str> {
        let free = before.is_empty() || before.ends_with([' ', '\n', '"']);
        let (mut out, mut kept) = (String::new(), 0);
        let letter = |c: char| c.is_ascii_alphabetic() || c == '\'';
        let mut at = 0;
        while let Some(start) = text[at..].find(letter).map(|i| at + i) {
            let end = text[start..].find(|c| !letter(c)).map_or(text.len(), |i| start + i);
            at = end;
            let slot = text[..start].ends_with(['{', '%', '-']) || text[end..].starts_with(['}', '%', '-']);
            if slot || start == 0 && !free {
                continue;
            }
            if let Some(word) = self.instead(rng, &text[start..end]) {
                out.push_str(&text[kept..start]);
                out.push_str(word);
                kept = end;
            }
        }
        if kept == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[kept..]);
        Cow::Owned(out)
    }

    /// What stands for `word`, if anything does.
    fn instead(&mut self, rng: &mut Rng, word: &str) -> Option<&'static str> {
        let &(known, form) = PLACES.get(word)?;
        let other = match self.chosen.iter().find(|chosen| chosen.0 == known) {
            Some(chosen) => chosen.1,
            None => {
                let others = &OTHER[KNOWN[known].0 as usize][usize::from(rng.chance(INVENTED))];
                let other = rng.chance(OTHERS).then(|| &others[rng.below(others.len())]);
                self.chosen.push((known, other));
                other
            }
        };
        other.map(|forms| forms[form])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ALL_WORDINGS, Difficulty, Family, OPEN, story, words_test};
    use super::*;

    #[test]
    fn verbs_are_inflected_as_they_are_spelt() {
        assert_eq!(verb("scrub"), ["scrub", "scrubs", "scrubbed", "scrubbed", "scrubbing"]);
        assert_eq!(verb("copy"), ["copy", "copies", "copied", "copied", "copying"]);
        assert_eq!(verb("chase"), ["chase", "chases", "chased", "chased", "chasing"]);
        assert_eq!(verb("pinch"), ["pinch", "pinches", "pinched", "pinched", "pinching"]);
        for (base, past) in
            [("load", "loaded"), ("stay", "stayed"), ("mix", "mixed"), ("owe", "owed"), ("row", "rowed")]
        {
            assert_eq!(verb(base)[2], past);
        }
    }

    #[test]
    fn a_story_calls_the_same_by_the_same_word() {
        let mut replaced = 0;
        for seed in 0..400 {
            let (mut rng, mut recast) = (Rng::new(seed), Recast { chosen: Vec::new(), articles: (0, None), leads: 0 });
            let told = recast.words(&mut rng, " opens the door.", "The key").into_owned();
            let asked = recast.words(&mut rng, "Which door did {open} open?", "").into_owned();
            let (opens, door) = told.trim_end_matches('.').trim().split_once(" the ").unwrap();
            let base = asked.strip_suffix('?').unwrap().rsplit_once(' ').unwrap().1;
            assert!(asked.starts_with(&format!("Which {door} did {{open}} ")), "{told:?} {asked:?}");
            let forms = KNOWN.iter().map(|known| &known.1).chain(OTHER[0].iter().flatten());
            assert!(forms.into_iter().any(|forms| forms[..2] == [base, opens]), "{told:?} {asked:?}");
            replaced += usize::from(opens != "opens");
        }
        assert!((200..280).contains(&replaced), "{replaced} of 400");
    }

    #[test]
    fn words_are_of_neither_test_s_list_nor_of_its_sentences() {
        let sources = [
            include_str!("pattern_words.rs"),
            include_str!("if_then_words.rs"),
            include_str!("tracking_words.rs"),
            include_str!("in_context_words.rs"),
        ];
        let test = sources.map(|source| source.split_once("pub const TEST").expect("sentences of the test").1);
        let said = test.iter().flat_map(|source| source.split(|c: char| !c.is_ascii_alphabetic()));
        let said: Vec<_> = said.chain(words_test::TEST.words()).map(str::to_lowercase).collect();
        for word in OTHER[0][0].iter().flatten().chain(OTHER[1].iter().flatten().flatten()) {
            assert!(!said.iter().any(|other| other == word), "{word}");
        }
    }

    #[test]
    fn an_answer_follows_other_words_than_the_in_some_loose_stories() {
        let hard = Difficulty { facts: 3, filler: 0, distractors: 0, wordings: ALL_WORDINGS, open: OPEN, loose: true };
        let bare = |loose: bool| {
            let told = |i| story(Split::Train, &[Family::IfThen], Difficulty { loose, ..hard }, 5, i);
            (0..500).map(told).filter(|told| told.text.contains(" some ") && told.text.contains(" our ")).count()
        };
        assert_eq!((bare(false), bare(true) > 5), (0, true));
    }
}
