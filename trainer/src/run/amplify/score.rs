//! What a generated story is worth: repetition and consistency of names, read off its text.
//!
//! | measure | formula | best |
//! |---|---|---|
//! | likelihood | mean log-likelihood per token told, at the deepest depth ([`generate`](super::generate)) | 0 |
//! | repetition | 1 - distinct / all runs of three words | 0 |
//! | names | of the distinct names of the second half, the share that the first half has introduced | 1 |
//!
//! A name is a word with a capital first letter that begins no sentence, and not the word "I". In the first half any
//! capitalised word introduces its name, also one that begins a sentence. A story without late names is consistent.

use std::collections::HashSet;

/// Words of a run whose repetition counts.
const RUN: usize = 3;

/// What the text says about a story.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TextScore {
    /// Share of the runs of three words that occurred before, 0 to 1.
    pub repetition: f64,
    /// Share of the late names that were introduced early, 0 to 1.
    pub names: f64,
    /// Whether the last sentence is whole: it ends in a full stop, an exclamation or question mark, also in quotes.
    pub whole: bool,
}

impl TextScore {
    /// Scores a text.
    pub fn of(text: &str) -> Self {
        let words = words(text);
        Self { repetition: repetition(&words), names: names(&words), whole: is_whole(text) }
    }
}

/// A word, without punctuation, and whether a sentence begins with it.
struct Word<'a> {
    text: &'a str,
    begins: bool,
}

/// Words are runs of letters, digits and inner apostrophes. A sentence begins with the text, after an end mark, a line
/// break, or a quotation mark.
fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut begins = true;
    let mut start = None;
    let end = text.len();
    for (at, c) in text.char_indices().chain([(end, ' ')]) {
        let inside = c.is_alphanumeric() || (start.is_some() && matches!(c, '\'' | '’'));
        match (start, inside) {
            (None, true) => start = Some(at),
            (Some(from), false) => {
                let word = text[from..at].trim_end_matches(['\'', '’']);
                // "Tom's" is Tom
                let word = word.strip_suffix("'s").or(word.strip_suffix("’s")).unwrap_or(word);
                words.push(Word { text: word, begins });
                (start, begins) = (None, false);
            }
            _ => {}
        }
        if !inside {
            begins |= matches!(c, '.' | '!' | '?' | '\n' | '"' | '“' | '”' | ':' | '…');
        }
    }
    words
}

fn repetition(words: &[Word]) -> f64 {
    let runs = words.windows(RUN);
    let all = runs.len();
    let lower: Vec<String> = words.iter().map(|word| word.text.to_lowercase()).collect();
    let distinct = lower.windows(RUN).collect::<HashSet<_>>().len();
    if all == 0 { 0.0 } else { 1.0 - distinct as f64 / all as f64 }
}

fn names(words: &[Word]) -> f64 {
    let (early, late) = words.split_at(words.len().div_ceil(2));
    let introduced: HashSet<&str> =
        early.iter().filter(|word| is_capitalised(word.text)).map(|word| word.text).collect();
    let is_name = |word: &&Word| !word.begins && is_capitalised(word.text) && !is_first_person(word.text);
    let late: HashSet<&str> = late.iter().filter(is_name).map(|word| word.text).collect();
    let known = late.iter().filter(|name| introduced.contains(*name)).count();
    if late.is_empty() { 1.0 } else { known as f64 / late.len() as f64 }
}

fn is_capitalised(word: &str) -> bool {
    word.chars().next().is_some_and(char::is_uppercase)
}

/// "I", "I'm", "I'll".
fn is_first_person(word: &str) -> bool {
    word.strip_prefix('I').is_some_and(|rest| rest.is_empty() || rest.starts_with(['\'', '’']))
}

fn is_whole(text: &str) -> bool {
    let text = text.trim_end().trim_end_matches(['"', '”', '\'', '’', ')']);
    text.ends_with(['.', '!', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "Once upon a time there was a girl. Lily had a red ball, and her friend Tom had a kite. \
                        \"Can I play?\" Tom asked. \"Yes,\" said Lily, \"I'm happy.\" Then Lily and Tom played in the \
                        park.";

    #[test]
    fn a_good_story_repeats_nothing_keeps_its_names_and_ends() {
        assert_eq!(TextScore::of(GOOD), TextScore { repetition: 0.0, names: 1.0, whole: true });
    }

    #[test]
    fn repetition_is_the_share_of_runs_seen_before() {
        // runs: 8 words make 6; "the cat sat", "cat sat the", "sat the cat" once, then the first three again
        let of = |text: &str| TextScore::of(text).repetition;
        assert_eq!(of("the cat sat the cat sat the cat"), 0.5);
        assert_eq!(of("The cat sat. the cat sat."), 0.25);
        assert!(of(&"He ran. ".repeat(50)) > 0.95);
        assert_eq!(of("Two words"), 0.0);
        assert_eq!(of(""), 0.0);
    }

    #[test]
    fn a_name_that_turns_up_late_is_inconsistent() {
        let of = |text: &str| TextScore::of(text).names;
        assert_eq!(of(&GOOD.replace("Then Lily and Tom", "Then Lily and Max")), 0.5);
        assert_eq!(of(&GOOD.replace("Then Lily and Tom", "Then Sue and Max").replace("said Lily", "said Ben")), 0.0);
        // a name introduced as the first word of a sentence is introduced
        assert_eq!(of("Tom ran home fast today. His mother saw that Tom was wet."), 1.0);
        // and capitals that begin a sentence or a quotation are no names
        assert_eq!(of("A dog ran home fast. Then it slept. \"Good dog,\" they said. Everyone laughed."), 1.0);
        // a possessive is its owner
        assert_eq!(of("Tom had a hat and a coat. The wind took away Tom's hat."), 1.0);
        assert_eq!(of(""), 1.0);
    }

    #[test]
    fn a_whole_story_ends_in_an_end_mark() {
        for (text, whole) in [
            ("They went home.", true),
            ("They went home!\n", true),
            ("\"Let us go home.\"", true),
            ("They went", false),
            ("They went home,", false),
            ("", false),
        ] {
            assert_eq!(TextScore::of(text).whole, whole, "{text}");
        }
    }
}
