//! The built-in story generator: what the trainer learns from when no data is named.
//!
//! A story is told over a small [`world`]: who is where, who holds what, what is broken, who feels how. A
//! [`plots`] family decides what happens, every happening is an [`Event`] the world must accept, and the
//! [`teller`] puts it into words from varied templates. So what a story says is true in its world: an object
//! that was given is held by its receiver, and a sum that was counted adds up.
//!
//! Everything is a function of the seed and the story's number; nothing is read from outside.

mod plots;
mod teller;
mod template;
mod words;
pub mod world;

pub use world::Event;

use flashlm_probe::rng::Rng;
use teller::Teller;

/// Fewest and most words of a story.
pub const WORDS: std::ops::RangeInclusive<usize> = 60..=250;

/// One story and what happened in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    /// ASCII text, paragraphs separated by an empty line, no newline at the end.
    pub text: String,
    /// Everything that happened, in order; [`world::World::replay`] checks it.
    pub events: Vec<Event>,
}

/// Story number `index` of `seed`.
pub fn story(seed: u64, index: u64) -> Story {
    let mut rng = Rng::new(seed).fork(index);
    loop {
        let plot = plots::ALL[rng.below(plots::ALL.len())];
        let mut teller = Teller::new(rng.fork(0));
        plot(&mut teller);
        let story = teller.finish();
        if WORDS.contains(&story.text.split_whitespace().count()) {
            return story;
        }
        rng = rng.fork(1);
    }
}

/// The endless stream of stories of `seed`.
pub fn stories(seed: u64) -> impl Iterator<Item = String> {
    (0..).map(move |index| story(seed, index).text)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::world::World;
    use super::*;

    #[test]
    fn the_same_seed_tells_the_same_stories_and_another_seed_others() {
        let first: Vec<_> = stories(7).take(300).collect();
        assert_eq!(first, stories(7).take(300).collect::<Vec<_>>());
        let other: HashSet<_> = stories(8).take(300).collect();
        assert!(first.iter().filter(|s| other.contains(*s)).count() <= 3);
    }

    #[test]
    fn at_least_99_percent_of_50_000_stories_are_distinct() {
        let distinct: HashSet<_> = stories(1).take(50_000).collect();
        assert!(distinct.len() >= 49_500, "{} distinct", distinct.len());
    }

    #[test]
    fn every_story_is_ascii_prose_of_the_promised_length() {
        for text in stories(2).take(5_000) {
            let words = text.split_whitespace().count();
            assert!(WORDS.contains(&words), "{words} words: {text}");
            assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)), "{text}");
            assert!(text.ends_with(['.', '!', '?', '"']), "{text}");
            assert!(!text.contains(['{', '}', '[', ']', '|', '(', ')']), "unexpanded template: {text}");
            assert!(!text.contains("  ") && !text.contains(" .") && !text.contains(" ,"), "stray space: {text}");
            for paragraph in text.split("\n\n") {
                assert_eq!(paragraph.matches('"').count() % 2, 0, "unbalanced quotes: {text}");
            }
        }
    }

    #[test]
    fn sentences_begin_with_a_capital() {
        for text in stories(3).take(3_000) {
            for end in [". ", "! ", "? ", ".\" "] {
                for (i, _) in text.match_indices(end) {
                    let next = text[i + end.len()..].trim_start_matches('"').chars().next().unwrap();
                    assert!(!next.is_ascii_lowercase(), "{end:?} then {next:?}: {text}");
                }
            }
        }
    }

    #[test]
    fn the_article_fits_the_sound_that_follows() {
        for text in stories(4).take(5_000) {
            let words: Vec<&str> = text.split(|c: char| !c.is_ascii_alphabetic()).filter(|w| !w.is_empty()).collect();
            for pair in words.windows(2) {
                let (article, next) = (pair[0].to_lowercase(), pair[1].to_lowercase());
                let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u']);
                // the only words in the lists whose first sound and first letter disagree
                let vowel = (vowel && !["one", "unicorn", "useful"].contains(&next.as_str()))
                    || ["hour", "honest"].contains(&next.as_str());
                match article.as_str() {
                    "a" => assert!(!vowel, "a {next}: {text}"),
                    "an" => assert!(vowel, "an {next}: {text}"),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_event_follows_from_the_state_before_it() {
        for index in 0..5_000 {
            let story = story(5, index);
            let mut world = World::default();
            for (i, &event) in story.events.iter().enumerate() {
                world.apply(event).unwrap_or_else(|why| panic!("event {i} {event:?}: {why}\n{}", story.text));
                match event {
                    Event::Give { to, item, .. } => assert_eq!(world.holder(item), Some(to), "{}", story.text),
                    Event::Take { who, item } => assert_eq!(world.holder(item), Some(who), "{}", story.text),
                    Event::Lose { item, .. } | Event::Put { item, .. } => assert_eq!(world.holder(item), None),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn every_plot_family_is_told_and_no_story_ends_with_an_unhappy_main_character() {
        let mut openings = HashSet::new();
        for index in 0..3_000 {
            let story = story(6, index);
            let world = World::replay(&story.events).unwrap();
            assert!(!world.feels(world::Who(0)).is_some_and(|f| f.is_bad()), "{}", story.text);
            openings.insert(std::mem::discriminant(&story.events[0]));
        }
        assert!(!openings.is_empty());
        for plot in plots::ALL {
            let mut told = 0;
            for i in 0..200 {
                let mut teller = Teller::new(Rng::new(i));
                plot(&mut teller);
                let story = teller.finish();
                World::replay(&story.events).unwrap();
                told += WORDS.contains(&story.text.split_whitespace().count()) as u32;
            }
            assert!(told >= 180, "a family fits the length only {told} times of 200");
        }
    }
}
