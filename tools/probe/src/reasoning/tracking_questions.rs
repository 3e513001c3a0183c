//! What tracking stories ask: a question is asked only if the story so far gives it one answer.

use super::tracking::{Entity, Kind, Place, World};
use super::tracking_words::pronouns;
use super::writer::{Needs, she};

#[derive(Clone, Copy, PartialEq)]
pub enum Question {
    Where,
    WhoHas,
    WhichContainer,
    WhatHas,
    WhatInside,
    WhoIsAt,
    Before,
    Giver,
}

impl World<'_> {
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
    pub(super) fn question(&mut self, level: u8) -> bool {
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
        // what chains are made of
        const PLAIN: [Question; 5] = [Where, Where, WhoHas, WhoHas, WhoHas];
        let kinds = if self.plain { &PLAIN[..] } else { &KINDS };
        for facts in (1..=level).rev() {
            for _ in 0..16 {
                let (kind, i) = (self.w.rng.pick(kinds), self.w.rng.below(self.entities.len()));
                if self.facts(kind, i) == Some(facts) && self.ask(kind, i) {
                    return true;
                }
            }
        }
        false
    }

    /// Asks, unless the same was asked and nothing has changed.
    pub(super) fn ask(&mut self, kind: Question, i: usize) -> bool {
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
