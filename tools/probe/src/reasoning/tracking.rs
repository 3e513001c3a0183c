//! Who is where and who holds what. The latest told counts.

use super::tracking_words::{TEST, TRAIN, Wording, pronouns};
use super::writer::{Needs, Person, Style, Writer, she};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Person(bool),
    Thing,
    Container,
}

/// What was last told of where something is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Unknown,
    At(&'static str),
    /// With a person or in a container.
    With(usize),
}

#[derive(Clone, Copy)]
struct Fact {
    place: Place,
    /// Sentences it took (a dropped thing lies where its holder was: two).
    facts: u8,
    /// Where the last of them ends.
    end: usize,
}

const NOTHING: Fact = Fact { place: Place::Unknown, facts: 0, end: 0 };

struct Entity {
    word: &'static str,
    kind: Kind,
    now: Fact,
    /// For a person who moved: where they were before.
    before: Option<&'static str>,
    /// For a thing that was given: who gave it, and where that sentence ends.
    giver: Option<(usize, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Question {
    Where,
    WhoHas,
    WhichContainer,
    WhatHas,
    WhatInside,
    WhoIsAt,
    Before,
    Giver,
}

struct World<'w> {
    w: &'w mut Writer,
    wording: &'static Wording,
    entities: Vec<Entity>,
    places: Vec<&'static str>,
    past: bool,
    /// Whether the setting has been told.
    going: bool,
    level: u8,
    /// Who the last sentence was about, if about one person only.
    subject: Option<usize>,
    asked: Vec<(Question, usize, &'static str)>,
}

/// A story of two to six questions.
pub fn tell(w: &mut Writer) {
    let mut world = World::new(w);
    world.setting();
    let questions = world.w.rng.between(2, 6);
    let mut asked = 0;
    for turn in 0..questions + 4 {
        if turn > 0 || world.w.rng.chance(25) {
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
        let people = w.rng.between(2, 4) + more.div_ceil(2).min(3);
        let things = w.rng.between(1, 3) + more.min(4) / 2;
        let containers = match level {
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
        Self { w, wording, entities, places, past, going: false, level, subject: None, asked: Vec::new() }
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

    fn is_person(&self, i: usize) -> bool {
        matches!(self.entities[i].kind, Kind::Person(_))
    }

    fn all(&self, kind: fn(Kind) -> bool) -> Vec<usize> {
        (0..self.entities.len()).filter(|&i| kind(self.entities[i].kind)).collect()
    }

    fn people(&self) -> Vec<usize> {
        self.all(|k| matches!(k, Kind::Person(_)))
    }

    fn containers(&self) -> Vec<usize> {
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
        let mut template = self.w.rng.pick(templates);
        let starts =
            template.starts_with("{a} ") && !template.starts_with("{a} {is}") && !template.starts_with("{a} {has}");
        if let (Some(a), Some(person)) = (a, person) {
            let follows = starts && self.subject == Some(a);
            let pronoun = follows && template.matches("{b}").count() == 0 && self.w.rng.chance(60);
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
        if starts && self.going && self.w.rng.chance(30) {
            then.push_str(self.w.rng.pick(self.wording.then));
            then.push_str(template);
            template = "";
        }
        self.w.say(if template.is_empty() { &then } else { template }, &all)
    }

    fn tense(&self) -> [(&'static str, &'static str); 3] {
        match self.past {
            true => [("is", "was"), ("has", "had"), ("does", "did")],
            false => [("is", "is"), ("has", "has"), ("does", "does")],
        }
    }

    fn name(&self, a: usize) -> Person {
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

    fn person_goes(&mut self, a: usize) {
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
            _ if self.w.rng.chance(70) => self.people(),
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
        } else if self.entities[whom].now.place == Place::Unknown && self.w.rng.chance(50) {
            let place = self.some_place();
            let end = self.tell(self.wording.carry, Some(whom), &[("x", word), ("p", place)]);
            self.set(whom, Place::At(place), 1, end);
            self.set(x, Place::With(whom), 1, end);
        } else {
            let end = self.tell(self.wording.has, Some(whom), &[("x", word)]);
            self.set(x, Place::With(whom), 1, end);
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

    // ------------------------------------------------------------ questions

    /// Follows a thing to where it ends: the last word, the facts it takes, and where the last of them ends.
    fn follow(&self, x: usize) -> Option<(Place, u8, usize)> {
        let (mut i, mut facts, mut end) = (x, 0, 0);
        for _ in 0..6 {
            let now = self.entities[i].now;
            (facts, end) = (facts + now.facts, end.max(now.end));
            match now.place {
                Place::With(up) => i = up,
                Place::At(_) => return Some((now.place, facts, end)),
                Place::Unknown if i == x || self.is_person(i) => return None,
                Place::Unknown => return Some((Place::With(i), facts, end)),
            }
        }
        None
    }

    /// Who holds it, itself or what it is in.
    fn holder(&self, x: usize) -> Option<(usize, u8, usize)> {
        let (mut i, mut facts, mut end) = (x, 0, 0);
        while let Place::With(up) = self.entities[i].now.place {
            (facts, end) = (facts + 1, end.max(self.entities[i].now.end));
            if self.is_person(up) {
                return Some((up, facts, end));
            }
            i = up;
        }
        None
    }

    /// The one entity for which `test` holds, if it is the only one.
    fn only(&self, test: impl Fn(&Entity) -> bool) -> Option<usize> {
        let mut found = (0..self.entities.len()).filter(|&i| test(&self.entities[i]));
        found.next().filter(|_| found.next().is_none())
    }

    /// How many facts a question takes, if it has one answer.
    fn facts(&self, question: Question, i: usize) -> Option<u8> {
        let person = self.is_person(i);
        let now = self.entities[i].now;
        match question {
            Question::Where => self.follow(i).map(|f| f.1),
            Question::WhoHas if !person => self.holder(i).map(|h| h.1),
            Question::WhichContainer if !person => {
                matches!(now.place, Place::With(c) if !self.is_person(c)).then_some(1)
            }
            Question::WhatHas if person => self.only(|e| e.now.place == Place::With(i)).map(|_| 1),
            Question::WhatInside if self.entities[i].kind == Kind::Container => {
                self.only(|e| e.now.place == Place::With(i)).map(|_| 1)
            }
            Question::WhoIsAt if person => {
                let there = |e: &Entity| matches!(e.kind, Kind::Person(_)) && e.now.place == now.place;
                self.only(there).filter(|_| matches!(now.place, Place::At(_))).map(|_| 1)
            }
            Question::Before if person => self.entities[i].before.map(|_| 2),
            Question::Giver if !person => self.entities[i].giver.map(|_| 1),
            _ => None,
        }
    }

    /// Asks something that takes `level` facts, or fewer if nothing does.
    fn question(&mut self, level: u8) -> bool {
        use Question::*;
        const KINDS: [Question; 14] = [
            Where,
            Where,
            Where,
            Where,
            Where,
            WhoHas,
            WhoHas,
            WhoHas,
            WhichContainer,
            WhatHas,
            WhatInside,
            WhoIsAt,
            Before,
            Giver,
        ];
        for facts in (1..=level).rev() {
            for _ in 0..16 {
                let (kind, i) = (self.w.rng.pick(&KINDS), self.w.rng.below(self.entities.len()));
                if self.facts(kind, i) == Some(facts) && self.ask(kind, i) {
                    return true;
                }
            }
        }
        false
    }

    /// Asks, unless the same was asked and nothing has changed.
    fn ask(&mut self, kind: Question, i: usize) -> bool {
        let x = self.entities[i].word;
        let now = self.entities[i].now;
        let word = |j: usize| self.entities[j].word;
        let wording = self.wording;
        // person to speak of, answer, list, facts, end, slots of question and answer
        let (templates, who, right, facts, end, slots): (_, _, &'static str, u8, usize, [(&str, &str); 3]) = match kind
        {
            Question::Where => {
                let Some((place, facts, end)) = self.follow(i) else { return false };
                let (list, right) = match place {
                    Place::At(p) if self.is_person(i) => (wording.where_person, p),
                    Place::At(p) => (wording.where_thing, p),
                    Place::With(c) => (wording.where_inside, word(c)),
                    Place::Unknown => return false,
                };
                (list, i, right, facts, end, [("x", x), ("p", right), ("", "")])
            }
            Question::WhoHas => {
                let Some((a, facts, end)) = self.holder(i) else { return false };
                (wording.who_has, a, word(a), facts, end, [("x", x), ("", ""), ("", "")])
            }
            Question::WhichContainer => {
                let Place::With(c) = now.place else { return false };
                (wording.which_container, i, word(c), 1, now.end, [("x", x), ("c", word(c)), ("", "")])
            }
            Question::WhatHas | Question::WhatInside => {
                let Some(t) = self.only(|e| e.now.place == Place::With(i)) else { return false };
                let list = if kind == Question::WhatHas { wording.what_has } else { wording.what_inside };
                (list, i, word(t), 1, self.entities[t].now.end, [("x", word(t)), ("c", x), ("", "")])
            }
            Question::WhoIsAt => {
                let Place::At(p) = now.place else { return false };
                (wording.who_is_at, i, x, 1, now.end, [("p", p), ("", ""), ("", "")])
            }
            Question::Before => {
                let (Some(before), Place::At(p)) = (self.entities[i].before, now.place) else { return false };
                (wording.before, i, before, 2, now.end, [("p", before), ("q", p), ("", "")])
            }
            Question::Giver => {
                let (Some((a, end)), Place::With(b)) = (self.entities[i].giver, now.place) else { return false };
                (wording.giver, a, word(a), 1, end, [("x", x), ("b", word(b)), ("", "")])
            }
        };
        if self.asked.contains(&(kind, i, right)) {
            return false;
        }
        self.asked.push((kind, i, right));
        let near = self.rivals(right, kind, i);
        let lexicon = self.w.words;
        let far = match kind {
            Question::Where if self.containers().iter().any(|&c| self.entities[c].word == right) => lexicon.containers,
            Question::Where | Question::Before => lexicon.places,
            Question::WhichContainer => lexicon.containers,
            Question::WhatHas | Question::WhatInside => lexicon.objects,
            _ => self.w.of(super::words_train::TRAIN.girls, super::words_test::TEST.boys),
        };
        let wrong = self.w.wrong(right, &near, far);
        let mut s = self.w.grown();
        let mut t = self.w.grown();
        while s == t {
            (s, t) = (self.w.grown(), self.w.grown());
        }
        let mut all: Vec<(&str, &str)> = Vec::with_capacity(16);
        let person = self.name(who);
        all.push(("a", person.name));
        all.extend(pronouns(person));
        all.extend([("s", s), ("t", t), ("she", she(s))]);
        all.extend(self.tense());
        all.extend(slots);
        self.w.ask(templates, &all, Needs { facts, end, wrong });
        self.subject = None;
        true
    }

    /// Words of the story that the answer might be taken for.
    fn rivals(&mut self, right: &str, kind: Question, asked: usize) -> Vec<&'static str> {
        let is = |e: &Entity, want: Kind| std::mem::discriminant(&e.kind) == std::mem::discriminant(&want);
        let of = |want: Kind| self.entities.iter().filter(|e| is(e, want)).map(|e| e.word).collect::<Vec<_>>();
        let mut near = match kind {
            Question::Where | Question::Before => match of(Kind::Container).contains(&right) {
                true => of(Kind::Container),
                false => self.places.clone(),
            },
            Question::WhichContainer => of(Kind::Container),
            Question::WhatHas => [of(Kind::Thing), of(Kind::Container)].concat(),
            Question::WhatInside => of(Kind::Thing),
            Question::WhoHas | Question::WhoIsAt | Question::Giver => of(Kind::Person(true)),
        };
        near.retain(|&n| n != self.entities[asked].word || kind == Question::WhoIsAt);
        near
    }
}
