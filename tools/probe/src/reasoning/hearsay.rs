//! What someone has to do with something, told and asked in words that mean nothing to the question: "Mia waved at the lamp. Then Tom was
//! proud of the barn. … They all saw that Mia liked to draw the lamp."
//!
//! The other stories ask in some thousands of ways, all of which are told in training again and again. Who has only met those takes a
//! question in other words for one more sentence of a story. Here what stands between the words that count is any of what stands there in
//! TinyStories (Eldan and Li, 2023; the lists in `open/`), so only the words that count can be gone by. Training only.

use std::sync::LazyLock;

use super::writer::{Needs, Person, Writer};

/// What a sentence begins with before someone's name.
const STARTS: &str = include_str!("open/starts.txt");
/// What stands between someone and something.
const LINKS: &str = include_str!("open/links.txt");
/// What stands between something and someone.
const BACK: &str = include_str!("open/back.txt");
/// What a sentence ends with after something.
const TAILS: &str = include_str!("open/tails.txt");

/// What questions begin with.
const WHAT: [&str; 8] = ["What", "Where", "Which one", "Which", "What else", "Where else", "And what", "So what"];

static LINES: LazyLock<[Vec<&str>; 4]> =
    LazyLock::new(|| [STARTS, LINKS, BACK, TAILS].map(|list| list.lines().collect()));

struct Pair {
    who: Person,
    what: &'static str,
    /// Where it was last told or asked.
    end: usize,
}

/// A story of some pairs, and about twice as many questions.
pub fn tell(w: &mut Writer) {
    pairs(w);
}

/// Tells the story and returns what it is about.
fn pairs(w: &mut Writer) -> Vec<Pair> {
    let kinds = [w.words.objects, w.words.places, w.words.animals, w.words.foods, w.words.containers];
    let kind = w.rng.pick(&kinds);
    let count = w.rng.between(2, 4) + usize::from(w.difficulty.distractors.min(3));
    let mut told: Vec<Pair> = Vec::with_capacity(count);
    let mut left = w.rng.between(4, 7);
    while left > 0 {
        let more = told.len() < count && (told.len() < 2 || w.rng.chance(50));
        if more {
            let (who, what) = (w.person(), w.fresh(kind));
            let end = say(w, who, what);
            told.push(Pair { who, what, end });
            w.aside();
        } else {
            w.filler();
            let which = w.rng.below(told.len());
            ask(w, &mut told, which, kind);
            left -= 1;
        }
    }
    told
}

fn say(w: &mut Writer, who: Person, what: &str) -> usize {
    let template = if w.rng.chance(75) { forward("{x}") } else { backward("{a}") };
    words(w, &template, who, what, |w, slots| w.say(&template, slots))
}

/// "Then Mia waved at the lamp again.", the thing written as given.
fn forward(x: &str) -> String {
    format!("{{start}}{{a}} {{link}} the {x}{{tail}}.")
}

/// "One day, the lamp fell on Mia.", the name written as given.
fn backward(a: &str) -> String {
    format!("{{start}}the {{x}} {{back}} {a}.")
}

fn ask(w: &mut Writer, told: &mut [Pair], which: usize, kind: &[&'static str]) {
    let Pair { who, what, end } = told[which];
    let template = match w.rng.below(100) {
        0..45 => forward("<{x}>"),
        45..65 => {
            let what = w.rng.pick(&WHAT);
            let answer = w.rng.pick(&["<{x}>", "<{x}>", "The <{x}>", "The <{x}>", "It was the <{x}>"]);
            format!("{what} {{link}} {{a}}? {answer}.")
        }
        65..82 => "Who {link} the {x}? <{a}>.".into(),
        _ => backward("<{a}>"),
    };
    let wrong = match template.contains("<{a}>") {
        true => {
            let others: Vec<_> = told.iter().map(|pair| pair.who.name).collect();
            w.wrong(who.name, &others, if who.female { w.words.girls } else { w.words.boys })
        }
        false => {
            let others: Vec<_> = told.iter().map(|pair| pair.what).collect();
            w.wrong(what, &others, kind)
        }
    };
    let needs = Needs { facts: 1, end, wrong };
    told[which].end = words(w, &template, who, what, |w, slots| w.ask(&[&template], slots, needs));
}

/// Fills the slots of a template, hands it on, and returns where its sentence ends.
fn words(
    w: &mut Writer,
    template: &str,
    who: Person,
    what: &str,
    put: impl FnOnce(&mut Writer, &[(&str, &str)]) -> usize,
) -> usize {
    let [starts, links, back, tails] = &*LINES;
    let start = if w.rng.chance(50) { w.rng.pick(starts).to_owned() + " " } else { String::new() };
    let tail = if w.rng.chance(25) { format!(" {}", w.rng.pick(tails)) } else { String::new() };
    let (link, back) = (w.rng.pick(links), w.rng.pick(back));
    // a name keeps its capital, what comes first takes one
    let slots = [("start", &*start), ("a", who.name), ("x", what), ("link", link), ("back", back), ("tail", &*tail)];
    debug_assert!(template.contains("{a}"), "{template}");
    put(w, &slots)
}

#[cfg(test)]
mod tests {
    use super::super::{ALL_WORDINGS, Difficulty, Family, OPEN, Rng, Split, words_test};
    use super::*;

    const HARD: Difficulty =
        Difficulty { facts: 3, filler: 3, distractors: 2, wordings: ALL_WORDINGS, open: OPEN, loose: false };

    #[test]
    fn lists_have_no_word_of_the_test_and_nothing_twice() {
        for list in [STARTS, LINKS, BACK, TAILS] {
            let lines: Vec<_> = list.lines().collect();
            assert!(lines.is_sorted() && lines.windows(2).all(|pair| pair[0] != pair[1]));
            let of_test = |word: &str| words_test::TEST.words().any(|other| other.eq_ignore_ascii_case(word));
            for word in list.split_whitespace() {
                assert!(!of_test(word.trim_end_matches(',')), "{word}");
            }
        }
    }

    #[test]
    fn what_is_asked_was_told_before_and_of_no_one_else() {
        for index in 0..2000 {
            let mut w = Writer::new(Split::Train, Family::Tracking, HARD, Rng::new(5).fork(index));
            let pairs = pairs(&mut w);
            let told = w.finish();
            assert!(told.answers.len() >= 4, "{}", told.text);
            for answer in &told.answers {
                let right = &told.text[answer.span.clone()];
                let about: Vec<_> = pairs.iter().filter(|pair| [pair.who.name, pair.what].contains(&right)).collect();
                let [pair] = about[..] else { panic!("{right} is in {} pairs: {}", about.len(), told.text) };
                let other = if pair.what == right { pair.who.name } else { pair.what };
                // the answer's sentence and the one before, a question
                let before =
                    told.text[..answer.span.start].rmatch_indices(['.', '?']).nth(1).map_or(0, |(at, _)| at + 1);
                let after = told.text[answer.span.end..].find('.').map_or(told.text.len(), |at| answer.span.end + at);
                assert!(told.text[before..after].contains(other), "{right}, {other}: {}", told.text);
                let known = |sentence: &str| sentence.contains(right) && sentence.contains(other);
                assert!(
                    told.text[..answer.span.start].split_inclusive(['.', '?']).any(known),
                    "{right}, {other}: {}",
                    told.text
                );
                assert!(!answer.wrong.iter().any(|wrong| wrong == right));
            }
        }
    }
}
