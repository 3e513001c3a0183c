//! Puts events into words.
//!
//! A template is text with `[one|of|these]` choices, nested at will, and `{key}` or `{key.part}` references to
//! what the story has bound: a character (`{c}` the name, `.he .him .his .He .His .kind .trait .feels`), an object
//! (`{x}` the noun phrase without article, `.noun`), a place (`{p}`, `.at`) or a plain word. The article `a(n)`
//! takes the form its next word asks for, and sentences get their capitals.

use flashlm_probe::rng::Rng;

use super::template::{articles, capitals, closing, options};
use super::words::{self, Scene};
use super::world::{Event, Feeling, Item, Place, Who, World};
use super::{Story, WORDS};

type Key = &'static str;

struct Person {
    key: Key,
    name: &'static str,
    kind: &'static str,
    quality: &'static str,
    female: bool,
}

struct Thing {
    key: Key,
    phrase: String,
    noun: String,
}

pub struct Teller {
    pub rng: Rng,
    world: World,
    people: Vec<Person>,
    things: Vec<Thing>,
    places: Vec<(Key, Scene)>,
    words: Vec<(Key, String)>,
    events: Vec<Event>,
    text: String,
}

impl Teller {
    pub fn new(rng: Rng) -> Self {
        Self {
            rng,
            world: World::default(),
            people: Vec::new(),
            things: Vec::new(),
            places: Vec::new(),
            words: Vec::new(),
            events: Vec::new(),
            text: String::with_capacity(8 * WORDS.end()),
        }
    }

    /// The finished story, with articles and capitals in place.
    pub fn finish(self) -> Story {
        Story { text: capitals(&articles(&self.text)), events: self.events }
    }

    // ------------------------------------------------------------ binding

    /// A place that is not in the story yet.
    pub fn place(&mut self, key: Key, from: &[Scene]) {
        loop {
            let scene = self.rng.pick(from);
            if self.places.iter().all(|p| p.1.name != scene.name) {
                return self.places.push((key, scene));
            }
        }
    }

    /// A child or a talking animal, new to the story, who enters at `place`.
    pub fn character(&mut self, key: Key, place: Key) {
        let (name, kind, female) = loop {
            let female = self.rng.chance(50);
            let (name, kind) = if self.rng.chance(65) {
                let names = if female { words::GIRLS } else { words::BOYS };
                (self.rng.pick(names), if female { "girl" } else { "boy" })
            } else {
                let (kind, names) = self.rng.pick(words::ANIMALS);
                (self.rng.pick(names), kind)
            };
            if self.people.iter().all(|p| p.name != name && (p.kind != kind || kind == "girl" || kind == "boy")) {
                break (name, kind, female);
            }
        };
        self.enter(key, place, name, kind, female);
    }

    /// A grown-up of the family, who enters at `place`.
    pub fn grown_up(&mut self, key: Key, place: Key) {
        let (name, female) =
            self.rng.pick(&[("Mom", true), ("Dad", false), ("Grandma", true), ("Grandpa", false), ("Aunt May", true)]);
        self.enter(key, place, name, "grown-up", female);
    }

    fn enter(&mut self, key: Key, place: Key, name: &'static str, kind: &'static str, female: bool) {
        let quality = loop {
            let quality = self.rng.pick(words::TRAITS);
            if self.people.iter().all(|p| p.quality != quality) {
                break quality;
            }
        };
        let who = Who(self.people.len() as u8);
        self.people.push(Person { key, name, kind, quality, female });
        let at = self.place_id(place);
        self.event(Event::Enter { who, at });
    }

    /// An object "adjective noun"; it enters the story by `own`, `lie` or `make`.
    pub fn thing(&mut self, key: Key, nouns: &[&'static str]) {
        loop {
            let (adjective, noun) = (self.rng.pick(words::COLOURS), self.rng.pick(nouns));
            if self.things.iter().all(|t| t.noun != noun) {
                let phrase = format!("{adjective} {noun}");
                return self.things.push(Thing { key, phrase, noun: noun.into() });
            }
        }
    }

    /// An object called just `noun`.
    pub fn plain_thing(&mut self, key: Key, noun: &str) {
        self.things.push(Thing { key, phrase: noun.into(), noun: noun.into() });
    }

    pub fn word(&mut self, key: Key, word: impl Into<String>) {
        self.words.retain(|w| w.0 != key);
        self.words.push((key, word.into()));
    }

    /// Binds `key` to one of the hiding spots of a place.
    pub fn spot(&mut self, key: Key, place: Key) {
        let scene = self.places[self.place_id(place).0 as usize].1;
        let spot = self.rng.pick(scene.spots);
        self.word(key, spot);
    }

    /// The hiding spots of a place, in random order.
    pub fn spots(&mut self, place: Key) -> Vec<&'static str> {
        let mut spots = self.places[self.place_id(place).0 as usize].1.spots.to_vec();
        for i in (1..spots.len()).rev() {
            spots.swap(i, self.rng.below(i + 1));
        }
        spots
    }

    pub fn number(&mut self, key: Key, n: usize) {
        self.word(key, words::NUMBERS[n]);
    }

    // ------------------------------------------------------------ events

    pub fn own(&mut self, who: Key, item: Key) {
        self.event(Event::Own { who: self.who(who), item: self.item(item) });
    }
    pub fn lie(&mut self, item: Key, place: Key) {
        self.event(Event::Lie { item: self.item(item), at: self.place_id(place) });
    }
    pub fn go(&mut self, who: Key, place: Key) {
        self.event(Event::Go { who: self.who(who), to: self.place_id(place) });
    }
    pub fn take(&mut self, who: Key, item: Key) {
        self.event(Event::Take { who: self.who(who), item: self.item(item) });
    }
    pub fn put(&mut self, who: Key, item: Key) {
        self.event(Event::Put { who: self.who(who), item: self.item(item) });
    }
    pub fn lose(&mut self, who: Key, item: Key) {
        self.event(Event::Lose { who: self.who(who), item: self.item(item) });
    }
    pub fn give(&mut self, from: Key, to: Key, item: Key) {
        self.event(Event::Give { from: self.who(from), to: self.who(to), item: self.item(item) });
    }
    pub fn make(&mut self, who: Key, item: Key) {
        self.event(Event::Make { who: self.who(who), item: self.item(item) });
    }
    pub fn break_thing(&mut self, item: Key) {
        self.event(Event::Break { item: self.item(item) });
    }
    pub fn mend(&mut self, who: Key, item: Key) {
        self.event(Event::Mend { who: self.who(who), item: self.item(item) });
    }
    pub fn use_up(&mut self, who: Key, item: Key) {
        self.event(Event::UseUp { who: self.who(who), item: self.item(item) });
    }
    pub fn befriend(&mut self, a: Key, b: Key) {
        self.event(Event::Befriend { a: self.who(a), b: self.who(b) });
    }
    pub fn feel(&mut self, who: Key, feeling: Feeling) {
        self.event(Event::Feel { who: self.who(who), feeling });
    }
    pub fn learn(&mut self, who: Key) {
        self.event(Event::Learn { who: self.who(who) });
    }
    /// Changes a number of like things and returns the new number.
    pub fn count(&mut self, before: usize, change: i32) -> usize {
        let after = before as i32 + change;
        self.event(Event::Count { before: before as i32, change, after });
        after as usize
    }

    fn event(&mut self, event: Event) {
        if let Err(why) = self.world.apply(event) {
            panic!("a plot contradicts its world: {event:?}: {why}");
        }
        self.events.push(event);
    }

    fn who(&self, key: Key) -> Who {
        Who(self.people.iter().position(|p| p.key == key).expect("a character the plot has named") as u8)
    }
    fn item(&self, key: Key) -> Item {
        Item(self.things.iter().position(|t| t.key == key).expect("an object the plot has named") as u8)
    }
    fn place_id(&self, key: Key) -> Place {
        Place(self.places.iter().position(|p| p.0 == key).expect("a place the plot has named") as u8)
    }

    // ------------------------------------------------------------ words

    /// Adds the sentences of `template`.
    pub fn tell(&mut self, template: &str) {
        let text = self.expand(template);
        let text = text.trim();
        if !text.is_empty() {
            if !self.text.is_empty() && !self.text.ends_with('\n') {
                self.text.push(' ');
            }
            self.text.push_str(text);
        }
    }

    /// Adds one of `templates`.
    pub fn one(&mut self, templates: &[&str]) {
        let template = self.rng.pick(templates);
        self.tell(template);
    }

    /// Adds `template` in `percent` of stories.
    pub fn maybe(&mut self, percent: usize, template: &str) {
        if self.rng.chance(percent) {
            self.tell(template);
        }
    }

    /// Begins a new paragraph.
    pub fn paragraph(&mut self) {
        self.text.push_str("\n\n");
    }

    pub(super) fn expand(&mut self, template: &str) -> String {
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['[', '{']) {
            out.push_str(&rest[..at]);
            let end = closing(rest, at);
            let inner = &rest[at + 1..end];
            if rest.as_bytes()[at] == b'[' {
                let option = self.rng.pick(&options(inner));
                out.push_str(&self.expand(option));
            } else {
                out.push_str(&self.reference(inner));
            }
            rest = &rest[end + 1..];
        }
        out.push_str(rest);
        out
    }

    fn reference(&mut self, name: &str) -> String {
        let (key, part) = name.split_once('.').unwrap_or((name, ""));
        if let Some(i) = self.people.iter().position(|p| p.key == key) {
            let feeling = self.world.feels(Who(i as u8));
            let p = &self.people[i];
            let choose = |f, m| if p.female { f } else { m };
            return match part {
                "" => p.name,
                "he" => choose("she", "he"),
                "He" => choose("She", "He"),
                "him" => choose("her", "him"),
                "his" => choose("her", "his"),
                "His" => choose("Her", "His"),
                "himself" => choose("herself", "himself"),
                "kind" => p.kind,
                "trait" => p.quality,
                "feels" => self.rng.pick(feeling_words(feeling.expect("a feeling the plot has given"))),
                _ => panic!("a character has no part {part:?}"),
            }
            .into();
        }
        if let Some(t) = self.things.iter().find(|t| t.key == key) {
            return if part == "noun" { t.noun.clone() } else { t.phrase.clone() };
        }
        if let Some(p) = self.places.iter().find(|p| p.0 == key) {
            return if part == "at" { format!("{} {}", p.1.at, p.1.name) } else { p.1.name.into() };
        }
        let word = self.words.iter().find(|w| w.0 == key);
        word.unwrap_or_else(|| panic!("nothing is bound to {name:?}")).1.clone()
    }
}

fn feeling_words(feeling: Feeling) -> &'static [&'static str] {
    match feeling {
        Feeling::Happy => &["happy", "very happy", "glad", "full of joy"],
        Feeling::Proud => &["proud", "very proud"],
        Feeling::Sad => &["sad", "very sad", "unhappy"],
        Feeling::Scared => &["scared", "afraid", "very scared", "frightened"],
        Feeling::Angry => &["angry", "cross", "very angry", "upset"],
        Feeling::Sorry => &["sorry", "very sorry", "ashamed"],
        Feeling::Lonely => &["lonely", "very lonely", "all alone"],
    }
}
