//! Who is where and who holds what. The latest told counts.

use super::tracking_questions::Question;
use super::tracking_words::{TEST, TRAIN, Wording, pronouns};
use super::writer::{Person, Style, Writer, she};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Person(bool),
    Thing,
    Container,
}

/// What was last told of where something is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Place {
    Unknown,
    At(&'static str),
    /// With a person or in a container.
    With(usize),
}

#[derive(Clone, Copy)]
pub(super) struct Fact {
    pub(super) place: Place,
    /// Sentences it took (a dropped thing lies where its holder was: two).
    pub(super) facts: u8,
    /// Where the last of them ends.
    pub(super) end: usize,
}

const NOTHING: Fact = Fact { place: Place::Unknown, facts: 0, end: 0 };

pub(super) struct Entity {
    pub(super) word: &'static str,
    pub(super) kind: Kind,
    pub(super) now: Fact,
    /// For a person who moved: where they were before.
    pub(super) before: Option<&'static str>,
    /// For a thing that was given: who gave it, and where that sentence ends.
    pub(super) giver: Option<(usize, usize)>,
}

pub(super) struct World<'w> {
    pub(super) w: &'w mut Writer,
    pub(super) wording: &'static Wording,
    pub(super) entities: Vec<Entity>,
    pub(super) places: Vec<&'static str>,
    pub(super) past: bool,
    /// Told in the plainest sentences, and nothing but who is where and has what.
    pub(super) plain: bool,
    /// Whether the setting has been told.
    pub(super) going: bool,
    pub(super) level: u8,
    /// Who the last sentence was about, if about one person only.
    pub(super) subject: Option<usize>,
    pub(super) asked: Vec<(Question, usize, &'static str)>,
}

/// A story of two to six questions.
pub fn tell(w: &mut Writer) {
    let mut world = World::new(w);
    world.setting();
    let questions = if world.plain { 6 } else { world.w.rng.between(2, 6) };
    let mut asked = 0;
    for turn in 0..questions + 4 {
        if world.plain && world.w.rng.chance(25) {
            world.change();
        } else if !world.plain && (turn > 0 || world.w.rng.chance(25)) {
            for _ in 0..world.w.rng.below(3) {
                world.event();
            }
        }
        world.w.filler();
        world.subject = None;
        let level = world.w.level();
        asked += world.question(level) as usize;
        if asked == questions {
            return;
        }
    }
    if asked == 0 {
        // every one of these was drawn twice or had no answer: ask the plainest of all
        world.person_goes(0);
        world.ask(Question::Where, 0);
    }
}

impl<'w> World<'w> {
    fn new(w: &'w mut Writer) -> Self {
        let wording = w.of(&TRAIN, &TEST);
        let more = w.difficulty.distractors as usize;
        let level = w.level();
        let plain = w.difficulty.plain();
        let people = if plain { 3 } else { w.rng.between(2, 4) } + more.div_ceil(2).min(3);
        let things = if plain { 3 } else { w.rng.between(1, 3) } + more.min(4) / 2;
        let containers = match level {
            1 | 2 if plain => 0,
            1 => w.rng.below(3) * w.rng.below(2),
            2 => w.rng.below(3),
            _ => w.rng.between(1, 2),
        };
        let mut entities = Vec::with_capacity(12);
        let mut add = |word, kind| entities.push(Entity { word, kind, now: NOTHING, before: None, giver: None });
        for _ in 0..people {
            let Person { name, female } = w.person();
            add(name, Kind::Person(female));
        }
        for word in w.several(w.words.objects, things) {
            add(word, Kind::Thing);
        }
        for word in w.several(w.words.containers, containers) {
            add(word, Kind::Container);
        }
        let number = people.min(4) + w.rng.between(1, 2);
        let places = w.several(w.words.places, number);
        let past = w.rng.chance(if w.style == Style::Terse { 30 } else { 60 });
        Self { w, wording, entities, places, past, plain, going: false, level, subject: None, asked: Vec::new() }
    }

    /// Tells where everybody and everything is, in random order.
    fn setting(&mut self) {
        let mut order: Vec<usize> = (0..self.entities.len()).collect();
        self.w.shuffle(&mut order);
        let some_nowhere = self.w.rng.chance(25);
        for i in order {
            if self.entities[i].now.place == Place::Unknown {
                match self.entities[i].kind {
                    Kind::Person(_) => self.person_is(i),
                    Kind::Container if some_nowhere && self.w.rng.chance(60) => {}
                    _ => self.put_somewhere(i),
                }
                self.w.aside();
            }
        }
        self.going = true;
    }

    pub(super) fn is_person(&self, i: usize) -> bool {
        matches!(self.entities[i].kind, Kind::Person(_))
    }

    fn all(&self, kind: fn(Kind) -> bool) -> Vec<usize> {
        (0..self.entities.len()).filter(|&i| kind(self.entities[i].kind)).collect()
    }

    fn people(&self) -> Vec<usize> {
        self.all(|k| matches!(k, Kind::Person(_)))
    }

    pub(super) fn containers(&self) -> Vec<usize> {
        self.all(|k| k == Kind::Container)
    }

    /// A place; rarely one where somebody is.
    fn some_place(&mut self) -> &'static str {
        for _ in 0..4 {
            let place = self.w.rng.pick(&self.places);
            if !self.entities.iter().any(|e| e.now.place == Place::At(place)) {
                return place;
            }
        }
        self.w.rng.pick(&self.places)
    }

    /// Says one of `templates` about `a` (a person), with a pronoun where that is clear.
    fn tell(&mut self, templates: &[&str], a: Option<usize>, slots: &[(&str, &str)]) -> usize {
        let mut all: Vec<(&str, &str)> = Vec::with_capacity(16);
        let person = a.map(|a| self.name(a));
        let mut template = self.w.wording(templates);
        let starts =
            template.starts_with("{a} ") && !template.starts_with("{a} {is}") && !template.starts_with("{a} {has}");
        if let (Some(a), Some(person)) = (a, person) {
            let follows = starts && self.subject == Some(a);
            let pronoun = follows && !self.plain && template.matches("{b}").count() == 0 && self.w.rng.chance(60);
            all.push(("a", if pronoun { person.he() } else { person.name }));
            all.extend(pronouns(person));
            self.subject = (!template.contains("{s}") && !slots.iter().any(|s| s.0 == "b")).then_some(a);
        } else {
            self.subject = None;
        }
        let (s, t) = (self.w.grown(), self.w.grown());
        all.extend([("s", s), ("t", t), ("she", she(s))]);
        all.extend(self.tense());
        all.extend(slots);
        let mut then = String::new();
        if starts && self.going && self.w.style != Style::Terse && self.w.rng.chance(30) {
            then.push_str(self.w.rng.pick(self.wording.then));
            then.push_str(template);
            template = "";
        }
        self.w.say(if template.is_empty() { &then } else { template }, &all)
    }

    pub(super) fn tense(&self) -> [(&'static str, &'static str); 3] {
        match self.past {
            true => [("is", "was"), ("has", "had"), ("does", "did")],
            false => [("is", "is"), ("has", "has"), ("does", "does")],
        }
    }

    pub(super) fn name(&self, a: usize) -> Person {
        let female = self.entities[a].kind == Kind::Person(true);
        Person { name: self.entities[a].word, female }
    }

    // ------------------------------------------------------------ facts

    fn set(&mut self, i: usize, place: Place, facts: u8, end: usize) {
        let old = self.entities[i].now.place;
        if let (true, Place::At(before)) = (self.is_person(i), old) {
            self.entities[i].before = (place != old).then_some(before);
        } else {
            self.entities[i].before = None;
        }
        self.entities[i].now = Fact { place, facts, end };
        self.entities[i].giver = None;
    }

    fn person_is(&mut self, a: usize) {
        let known: Vec<_> = self.people().into_iter().filter(|&b| self.entities[b].now.facts == 1).collect();
        if self.level > 1 && !known.is_empty() && self.w.rng.chance(15) {
            return self.joins(a, &known);
        }
        let place = self.some_place();
        let list = if self.w.rng.chance(60) { self.wording.is_at } else { self.wording.go };
        let end = self.tell(list, Some(a), &[("p", place)]);
        self.set(a, Place::At(place), 1, end);
    }

    /// Comes to where one of `known` is.
    fn joins(&mut self, a: usize, known: &[usize]) {
        let b = self.w.rng.pick(known);
        let there = self.entities[b].now;
        let end = self.tell(self.wording.join, Some(a), &[("b", self.entities[b].word)]);
        self.set(a, there.place, 1 + there.facts, end);
    }

    pub(super) fn person_goes(&mut self, a: usize) {
        let mut place = self.some_place();
        while self.entities[a].now.place == Place::At(place) {
            place = self.w.rng.pick(&self.places);
        }
        let end = self.tell(self.wording.go, Some(a), &[("p", place)]);
        self.set(a, Place::At(place), 1, end);
    }

    /// A thing or container comes to a person, into a container or to a place.
    fn put_somewhere(&mut self, x: usize) {
        let word = self.entities[x].word;
        let into = match self.entities[x].kind {
            Kind::Thing if !self.containers().is_empty() && self.w.rng.chance(55) => self.containers(),
            _ if self.w.rng.chance(if self.plain { 90 } else { 70 }) => self.people(),
            _ => Vec::new(),
        };
        if into.is_empty() {
            let place = self.some_place();
            let end = self.tell(self.wording.lies, None, &[("x", word), ("p", place)]);
            return self.set(x, Place::At(place), 1, end);
        }
        let whom = self.w.rng.pick(&into);
        let to = self.entities[whom].word;
        if !self.is_person(whom) {
            let end = self.tell(self.wording.inside, None, &[("x", word), ("c", to)]);
            self.set(x, Place::With(whom), 1, end);
        } else if self.entities[whom].now.place == Place::Unknown && !self.plain && self.w.rng.chance(50) {
            let place = self.some_place();
            let end = self.tell(self.wording.carry, Some(whom), &[("x", word), ("p", place)]);
            self.set(whom, Place::At(place), 1, end);
            self.set(x, Place::With(whom), 1, end);
        } else {
            let end = self.tell(self.wording.has, Some(whom), &[("x", word)]);
            self.set(x, Place::With(whom), 1, end);
        }
    }

    /// Something is told anew, and perhaps otherwise: all that changes in a plain story.
    fn change(&mut self) {
        let i = self.w.rng.below(self.entities.len());
        match self.is_person(i) {
            true => self.person_goes(i),
            false => self.put_somewhere(i),
        }
    }

    /// Something changes.
    fn event(&mut self) {
        let people = self.people();
        let a = self.w.rng.pick(&people);
        let held: Vec<usize> = (0..self.entities.len())
            .filter(|&x| matches!(self.entities[x].now.place, Place::With(h) if self.is_person(h)))
            .collect();
        match self.w.rng.below(10) {
            0..4 => self.person_goes(a),
            4..7 if !held.is_empty() && people.len() > 1 => {
                let x = self.w.rng.pick(&held);
                let Place::With(from) = self.entities[x].now.place else { return };
                let to = self.w.rng.pick(&people);
                if to == from {
                    return self.person_goes(from);
                }
                let slots = [("x", self.entities[x].word), ("b", self.entities[to].word)];
                let end = self.tell(self.wording.give, Some(from), &slots);
                self.set(x, Place::With(to), 1, end);
                self.entities[x].giver = Some((from, end));
            }
            7 if !held.is_empty() => {
                let x = self.w.rng.pick(&held);
                let Place::With(from) = self.entities[x].now.place else { return };
                let Fact { place: place @ Place::At(_), facts, .. } = self.entities[from].now else { return };
                let end = self.tell(self.wording.drop, Some(from), &[("x", self.entities[x].word)]);
                self.set(x, place, 1 + facts, end);
            }
            8 => {
                let loose: Vec<usize> = (0..self.entities.len())
                    .filter(|&x| !self.is_person(x) && self.entities[x].now.place == Place::Unknown)
                    .collect();
                let x = if loose.is_empty() { self.entities.len() - 1 } else { self.w.rng.pick(&loose) };
                // only what nobody holds is moved by someone unnamed
                if !held.contains(&x) && !self.is_person(x) {
                    self.put_somewhere(x);
                }
            }
            _ => {
                // a thing that lies where someone is: they take it
                let at = self.entities[a].now.place;
                let here = |x: &usize| !self.is_person(*x) && self.entities[*x].now.place == at && at != Place::Unknown;
                let here: Vec<usize> = (0..self.entities.len()).filter(here).collect();
                if here.is_empty() {
                    return self.person_goes(a);
                }
                let x = self.w.rng.pick(&here);
                let end = self.tell(self.wording.has, Some(a), &[("x", self.entities[x].word)]);
                self.set(x, Place::With(a), 1, end);
            }
        }
    }
}
