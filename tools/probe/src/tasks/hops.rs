//! Questions that need one, two or three facts.
//!
//! ```text
//! Story: Tom has the key. Tom is in the barn. Sue is in the park. Where is the key? barn. ...
//! ```
//! Three persons, three things (or, in a fifth of the stories, four persons), told in random order, some of it changed
//! later, and six questions. Half of the facts are told the other way round ("The key is with Tom"). With chains, a
//! thing is with a person or in a container, a container with a person or at a place: up to three facts.
//! Ordinary sentences can stand between facts and question.
//!
//! Every story begins with the same words, so that a name is the same token wherever it stands: behind a space.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::{Part, sample};
use crate::item::Item;
use crate::marked::Told;
use crate::rng::Rng;
use crate::words;

const NAMES: [&str; 12] = ["Tom", "Ann", "Sam", "Lily", "Ben", "Mia", "Max", "Sue", "Tim", "Amy", "Jack", "Lucy"];
const THINGS: [&str; 10] = ["key", "cup", "ball", "hat", "pen", "coin", "doll", "ring", "book", "spoon"];
const CONTAINERS: [&str; 6] = ["box", "bag", "jar", "tin", "pot", "sack"];
const PLACES: [&str; 10] = ["barn", "park", "shop", "cave", "lake", "hill", "farm", "school", "kitchen", "garden"];

const FILLER: [[&str; 10]; 3] = [
    [
        "The old dog",
        "A small bird",
        "The warm wind",
        "The little cat",
        "A red leaf",
        "The morning sun",
        "A grey cloud",
        "The happy frog",
        "A brown horse",
        "The quiet moon",
    ],
    [
        "came along",
        "went by",
        "was very pretty",
        "made everyone smile",
        "looked soft",
        "seemed a bit sleepy",
        "was there again",
        "did not stay long",
        "was nice to see",
        "was on its way home",
    ],
    [
        "that day",
        "once more",
        "and it was fun",
        "as it always did",
        "in the end",
        "while the day was young",
        "for a little while",
        "and nobody knew why",
        "and then it was gone",
        "just like the day before",
    ],
];

/// Which way round facts are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Telling {
    /// "The key is with Tom."
    Forward,
    /// "Tom has the key."
    Backward,
    /// Either.
    #[default]
    Mixed,
}

/// What kind of stories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Containers and questions that need up to three facts.
    pub chains: bool,
    pub telling: Telling,
    /// Fewest and most words of ordinary text before a question.
    pub filler: (u16, u16),
}

/// A story with its answers, and each question as an item.
pub fn story(task: &Task, part: Part, seed: u64, index: u64) -> (Told, Vec<Item>) {
    let rng = part.rng(seed, index);
    let teller = Teller {
        task: *task,
        rng,
        told: Told { text: "Story:".into(), answers: vec![] },
        above: BTreeMap::new(),
        items: vec![],
    };
    if task.chains { teller.chains() } else { teller.people_and_things() }
}

/// At least `count` items of every kind of question, from as many stories as that takes.
pub fn items(task: &Task, part: Part, seed: u64, count: usize) -> Vec<Item> {
    const KINDS: usize = 3; // facts of chains; else persons, holders, things
    let mut kept: BTreeMap<(String, Option<u8>), usize> = BTreeMap::new();
    let mut all = Vec::new();
    for index in 0.. {
        for item in story(task, part, seed, index).1 {
            let kept = kept.entry((item.family.clone(), item.facts)).or_default();
            if *kept < count {
                *kept += 1;
                all.push(item);
            }
        }
        if all.len() >= KINDS * count {
            break;
        }
    }
    all
}

/// Telling one story.
struct Teller {
    task: Task,
    rng: Rng,
    told: Told,
    /// Where what is, or with whom, and how many words were told up to there.
    above: BTreeMap<&'static str, (&'static str, usize)>,
    items: Vec<Item>,
}

impl Teller {
    fn people_and_things(mut self) -> (Told, Vec<Item>) {
        let people = self.rng.chance(20);
        let names = sample(&mut self.rng, &NAMES, if people { 4 } else { 3 });
        let things = if people { vec![] } else { sample(&mut self.rng, &THINGS, 3) };
        let all = [names.clone(), things.clone()].concat();
        let tell = |this: &mut Self, x| {
            let place = if names.contains(&x) { this.rng.pick(&PLACES) } else { this.rng.pick(&names) };
            this.tell(x, place);
        };
        for x in sample(&mut self.rng, &all, all.len()) {
            tell(&mut self, x);
        }
        for _ in 0..if people { 5 } else { 6 } {
            if self.rng.chance(25) {
                let x = self.rng.pick(&all);
                tell(&mut self, x);
            }
            let kind = self.rng.below(100);
            if people || kind < 30 {
                let x = self.rng.pick(&names);
                self.ask("where is a person", &format!("Where is {x}?"), x, 1, &PLACES);
            } else if kind < 60 {
                let x = self.rng.pick(&things);
                self.ask("who has a thing", &format!("Who has the {x}?"), x, 1, &NAMES);
            } else {
                let x = self.rng.pick(&things);
                self.ask("where is a thing", &format!("Where is the {x}?"), x, 2, &PLACES);
            }
        }
        (self.told, self.items)
    }

    fn chains(mut self) -> (Told, Vec<Item>) {
        let names = sample(&mut self.rng, &NAMES, 3);
        let boxes = sample(&mut self.rng, &CONTAINERS, 2);
        let things = sample(&mut self.rng, &THINGS, 3);
        let places = sample(&mut self.rng, &PLACES, 5);
        let all = [names.clone(), boxes.clone(), things.clone()].concat();
        let tell = |this: &mut Self, x| {
            let inside = if things.contains(&x) && this.rng.chance(55) {
                &boxes
            } else if names.contains(&x) || boxes.contains(&x) && this.rng.chance(40) {
                &places
            } else {
                &names
            };
            let inside = this.rng.pick(inside);
            this.tell(x, inside);
        };
        for x in sample(&mut self.rng, &all, all.len()) {
            tell(&mut self, x);
        }
        for _ in 0..6 {
            if self.rng.chance(25) {
                let x = self.rng.pick(&all);
                tell(&mut self, x);
            }
            let facts = self.rng.between(1, 3);
            let fitting: Vec<_> = all.iter().copied().filter(|x| self.chain(x).len() == facts).collect();
            let x = self.rng.pick(if fitting.is_empty() { &all } else { &fitting });
            let facts = self.chain(x).len();
            self.ask("chain", &format!("Where is {}?", named(x)), x, facts, &places);
        }
        (self.told, self.items)
    }

    /// Says that `x` is at, in or with `at`.
    fn tell(&mut self, x: &'static str, at: &'static str) {
        let mut subject = named(x);
        subject[..1].make_ascii_uppercase();
        let sentence = if !NAMES.contains(&at) {
            format!("{subject} is in the {at}.")
        } else if match self.task.telling {
            Telling::Forward => false,
            Telling::Backward => true,
            Telling::Mixed => self.rng.chance(50),
        } {
            format!("{at} has the {x}.")
        } else {
            format!("{subject} is with {at}.")
        };
        self.told.say(&sentence);
        self.above.insert(x, (at, words::count(&self.told.text)));
    }

    /// What `x` is in, what that is in, and so on, each with the words told up to that fact.
    fn chain(&self, x: &str) -> Vec<(&'static str, usize)> {
        std::iter::successors(self.above.get(x).copied(), |(at, _)| self.above.get(at).copied()).collect()
    }

    /// Asks for what is `facts` steps above `x`, after some ordinary text.
    fn ask(&mut self, family: &str, question: &str, x: &str, facts: usize, kind: &[&str]) {
        let (low, high) = self.task.filler;
        let wanted = self.rng.between(low.into(), high.max(low).into());
        let mut filled = 0;
        loop {
            let sentence = FILLER.map(|part| self.rng.pick(&part)).join(" ") + ".";
            filled += words::count(&sentence);
            if filled > wanted {
                break;
            }
            self.told.say(&sentence);
        }
        let chain = &self.chain(x)[..facts];
        let Some(&(answer, _)) = chain.last() else { return };
        let told = chain.iter().map(|link| link.1).max().unwrap_or(0);
        let distance = words::count(&self.told.text) - told;
        self.told.say(question);
        let mut others: Vec<&str> = kind.iter().copied().filter(|&o| o != answer).collect();
        others = sample(&mut self.rng, &others, others.len());
        // those the story speaks of are the harder ones
        others.sort_by_key(|&o| !words::words(&self.told.text).any(|w| w == o.to_lowercase()));
        self.items.push(Item {
            family: family.into(),
            facts: Some(facts as u8),
            distance: Some(distance as u32),
            prompt: self.told.text.clone(),
            answer: answer.into(),
            wrong: others.into_iter().take(4).map(String::from).collect(),
            end: String::new(),
        });
        self.told.answer(answer);
        self.told.text.push('.');
    }
}

/// A name, or a thing with its article.
fn named(x: &str) -> String {
    if NAMES.contains(&x) { x.into() } else { format!("the {x}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a prompt as a person would: later facts overrule earlier ones.
    fn solve(prompt: &str) -> (String, u8) {
        let mut at: BTreeMap<String, String> = BTreeMap::new();
        let mut result = None;
        for sentence in prompt.trim_start_matches("Story:").split_inclusive(['.', '?']) {
            let words: Vec<String> = words::words(sentence).filter(|w| w != "the").collect();
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [x, "is", "in" | "with", y, "."] => drop(at.insert(x.into(), y.into())),
                [y, "has", x, "."] => drop(at.insert(x.into(), y.into())),
                ["where", "is", x, "?"] => {
                    let chain: Vec<_> = std::iter::successors(at.get(x), |y| at.get(*y)).collect();
                    result = chain.last().map(|y| (y.to_string(), chain.len() as u8));
                }
                ["who", "has", x, "?"] => result = at.get(x).map(|y| (y.clone(), 1)),
                _ => {} // earlier answers and ordinary text
            }
        }
        result.expect("a question")
    }

    fn tasks() -> [Task; 4] {
        let mixed = Telling::Mixed;
        [
            Task::default(),
            Task { chains: true, ..Task::default() },
            Task { chains: true, telling: Telling::Backward, filler: (0, 100) },
            Task { chains: false, telling: mixed, filler: (20, 40) },
        ]
    }

    #[test]
    fn answers_and_numbers_of_facts_are_those_a_reader_finds() {
        for task in tasks() {
            for index in 0..300 {
                let (told, items) = story(&task, Part::Train, 3, index);
                assert_eq!(told.answers.len(), items.len());
                for (item, span) in items.iter().zip(&told.answers) {
                    let (answer, facts) = solve(&item.prompt);
                    assert_eq!((item.answer.to_lowercase(), item.facts), (answer, Some(facts)), "{}", item.prompt);
                    assert_eq!(&told.text[span.clone()], item.answer);
                    assert_eq!(item.prompt, told.text[..span.start - 1]);
                    assert!(item.wrong.len() >= 3 && !item.wrong.contains(&item.answer), "{item:?}");
                }
            }
        }
    }

    #[test]
    fn filler_stands_between_facts_and_question() {
        let task = Task { filler: (30, 60), ..Task::default() };
        let items = items(&task, Part::Test, 1, 200);
        assert!(items.iter().all(|item| (16..).contains(&item.distance.unwrap())));
        let near = super::items(&Task::default(), Part::Test, 1, 200);
        assert!(near.iter().any(|item| item.distance == Some(0)));
        for word in NAMES.iter().chain(&THINGS).chain(&CONTAINERS).chain(&PLACES) {
            let filler: Vec<String> = FILLER.iter().flatten().flat_map(|part| words::words(part)).collect();
            assert!(!filler.contains(&word.to_lowercase()), "{word}");
        }
    }

    #[test]
    fn tellings_differ_and_parts_share_no_story() {
        let text = |telling, part| {
            let task = Task { telling, ..Task::default() };
            (0..200).map(|i| story(&task, part, 5, i).0.text).collect::<Vec<_>>()
        };
        let (forward, backward) = (text(Telling::Forward, Part::Train), text(Telling::Backward, Part::Train));
        assert!(
            forward.iter().all(|t| !t.contains(". Tom has the")) && backward.iter().all(|t| !t.contains(" is with "))
        );
        let (train, test) = (text(Telling::Mixed, Part::Train), text(Telling::Mixed, Part::Test));
        assert!(train.iter().all(|t| !test.contains(t)));
        assert_eq!(train, text(Telling::Mixed, Part::Train));
    }

    #[test]
    fn every_kind_of_question_is_asked_as_often_as_wanted() {
        for task in tasks() {
            let items = items(&task, Part::Test, 1, 50);
            let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
            items.iter().for_each(|i| *kinds.entry((&i.family, i.facts)).or_default() += 1);
            assert!(kinds.len() == 3 && kinds.values().all(|&n| n == 50), "{kinds:?}");
        }
    }
}
