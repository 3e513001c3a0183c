//! Reads tracking stories back with the templates and answers their questions from what was read.

use std::collections::HashMap;

use super::lexicon::Lexicon;
use super::tracking_words::{self, Wording};
use super::words_test::TEST;
use super::words_train::TRAIN;
use super::*;

type Slots = HashMap<String, String>;

/// What is left of a template: a piece of it and what follows.
#[derive(Clone, Copy)]
struct Rest<'r> {
    piece: &'static str,
    then: Option<&'r Rest<'r>>,
}

impl Rest<'_> {
    /// Without pieces that are done.
    fn skip(mut self) -> Self {
        while let (true, Some(then)) = (self.piece.is_empty(), self.then) {
            self = *then;
        }
        self
    }
}

/// Matches templates at the beginning of `text`.
struct Fit<'f> {
    text: &'f str,
    lexicon: &'f Lexicon,
    /// What the slots so far stand for.
    slots: Vec<(&'static str, String)>,
    /// The longest match yet: its slots and the bytes it took.
    best: Option<(Slots, usize)>,
}

fn fit(template: &'static str, text: &str, lexicon: &Lexicon) -> Option<(Slots, usize)> {
    let mut fit = Fit { text, lexicon, slots: Vec::new(), best: None };
    fit.go_on(Rest { piece: template, then: None }, 0);
    fit.best
}

impl Fit<'_> {
    fn go_on(&mut self, mut rest: Rest, mut at: usize) {
        let known = self.slots.len();
        rest = rest.skip();
        while let Some(next) = rest.piece.chars().next() {
            let left = &self.text[at..];
            let tail = &rest.piece[1..];
            match next {
                '<' | '>' => rest.piece = tail,
                '(' => {
                    at += left.starts_with('n') as usize;
                    rest.piece = tail.strip_prefix("n)").expect("an article");
                }
                '{' => {
                    let (key, tail) = tail.split_once('}').expect("a slot");
                    let Some(value) = self.value(key, left) else { break };
                    at += value.len();
                    self.slots.push((key, value));
                    rest.piece = tail;
                }
                '%' | '[' => {
                    let (inner, tail) = tail.split_once(if next == '%' { '%' } else { ']' }).expect("an end");
                    let after = Rest { piece: tail, then: rest.then };
                    let mut one = |piece| self.go_on(Rest { piece, then: Some(&after) }, at);
                    match next {
                        '%' => phrases::find(inner).expect("phrases").iter().copied().for_each(&mut one),
                        _ => inner.split('|').for_each(&mut one),
                    }
                    break;
                }
                // a phrase may have got a capital
                _ if left.starts_with(|c: char| c.eq_ignore_ascii_case(&next)) => {
                    at += 1;
                    rest.piece = tail;
                }
                _ => break,
            }
            rest = rest.skip();
            if rest.piece.is_empty() && self.best.as_ref().is_none_or(|b| b.1 < at) {
                self.best = Some((self.slots.iter().map(|(k, v)| (k.to_string(), v.clone())).collect(), at));
            }
        }
        self.slots.truncate(known);
    }

    /// What slot `key` stands for at the beginning of `left`.
    fn value(&self, key: &str, left: &str) -> Option<String> {
        let lexicon = self.lexicon;
        let word: String = left.chars().take_while(char::is_ascii_alphabetic).collect();
        let mut value = word.clone();
        if matches!(key, "s" | "t") && word.eq_ignore_ascii_case("the") && left.len() > 4 {
            value = left[..4].to_lowercase() + left[4..].split(|c: char| !c.is_ascii_alphabetic()).next()?;
        }
        let known = match key {
            "a" => is_name(lexicon, &value) || ["he", "He", "she", "She"].contains(&&*value),
            "b" => is_name(lexicon, &value),
            "x" => lexicon.objects.contains(&&*value) || lexicon.containers.contains(&&*value),
            "c" => lexicon.containers.contains(&&*value),
            "p" | "q" => lexicon.places.contains(&&*value) || lexicon.containers.contains(&&*value),
            "s" | "t" => lexicon.grown.contains(&&*value),
            "is" => ["is", "was"].contains(&&*value),
            "has" => ["has", "had"].contains(&&*value),
            "does" => ["does", "did"].contains(&&*value),
            _ => ["he", "she", "him", "her", "his"].contains(&&*value.to_lowercase()),
        };
        let told = self.slots.iter().find(|slot| slot.0 == key);
        (known && told.is_none_or(|slot| slot.1.eq_ignore_ascii_case(&value))).then_some(value)
    }
}

fn is_name(lexicon: &Lexicon, word: &str) -> bool {
    lexicon.girls.contains(&word) || lexicon.boys.contains(&word)
}

#[derive(Default)]
struct Reader {
    /// What each is at, in or with.
    at: HashMap<String, String>,
    before: HashMap<String, String>,
    giver: HashMap<String, String>,
    last: String,
}

impl Reader {
    fn end_of(&self, x: &str) -> String {
        let mut x = x.to_string();
        while let Some(up) = self.at.get(&x) {
            x = up.clone();
        }
        x
    }

    fn holder(&self, x: &str, lexicon: &Lexicon) -> String {
        let mut x = x.to_string();
        while let Some(up) = self.at.get(&x) {
            x = up.clone();
            if is_name(lexicon, &x) {
                return x;
            }
        }
        panic!("nobody has it");
    }

    fn put(&mut self, x: &str, to: &str) {
        if let Some(old) = self.at.insert(x.into(), to.into()) {
            self.before.insert(x.into(), old);
        }
    }

    /// Takes in a fact, or checks an answer.
    fn take(&mut self, kind: &str, slots: &Slots, lexicon: &Lexicon, text: &str) {
        let get = |key: &str| slots.get(key).cloned().unwrap_or_default();
        let (mut a, b, x, c, p) = (get("a"), get("b"), get("x"), get("c"), get("p"));
        if ["he", "she"].contains(&&*a.to_lowercase()) {
            a = self.last.clone();
        }
        let held = |this: &Self, by: &str| {
            this.at.iter().filter(|(_, at)| **at == *by).map(|(x, _)| x.clone()).collect::<Vec<_>>()
        };
        match kind {
            "is_at" | "go" => self.put(&a, &p),
            "join" => {
                let there = self.at[&b].clone();
                self.put(&a, &there);
            }
            "lies" => self.put(&x, &p),
            "has" => self.put(&x, &a),
            "carry" => {
                self.put(&x, &a);
                self.put(&a, &p);
            }
            "give" => {
                assert_eq!(self.at[&x], a, "gives what they do not have: {text}");
                self.put(&x, &b);
                self.giver.insert(x.clone(), a.clone());
            }
            "drop" => {
                assert_eq!(self.at[&x], a, "drops what they do not have: {text}");
                let there = self.at[&a].clone();
                self.put(&x, &there);
            }
            "inside" => self.put(&x, &c),
            "where_person" => assert_eq!(self.end_of(&a), p, "where is {a}: {text}"),
            // some sentences ask for what a thing is in, wherever that is
            "where_thing" | "where_inside" | "which_container" if lexicon.containers.contains(&&*(p.clone() + &c)) => {
                assert_eq!(self.at[&x], p + &c, "what is {x} in: {text}")
            }
            "where_thing" | "where_inside" => assert_eq!(self.end_of(&x), p, "where is {x}: {text}"),
            "who_has" => assert_eq!(self.holder(&x, lexicon), a, "who has {x}: {text}"),
            "what_has" => assert_eq!(held(self, &a), [x], "what has {a}: {text}"),
            "what_inside" => assert_eq!(held(self, &c), [x], "what is in {c}: {text}"),
            "who_is_at" => {
                let mut there = held(self, &p);
                there.retain(|n| is_name(lexicon, n));
                assert_eq!(there, [a.clone()], "who is in {p}: {text}");
            }
            "before" => {
                assert_eq!(self.at[&a], get("q"), "{text}");
                assert_eq!(self.before[&a], p, "where was {a}: {text}");
            }
            "giver" => {
                assert_eq!((&self.giver[&x], &self.at[&x]), (&a, &b), "who gave {x} to {b}: {text}");
            }
            _ => unreachable!(),
        }
        self.last = a;
    }
}

fn kinds(w: &Wording) -> [(&'static str, &'static [&'static str]); 19] {
    [
        ("is_at", w.is_at),
        ("go", w.go),
        ("join", w.join),
        ("lies", w.lies),
        ("has", w.has),
        ("carry", w.carry),
        ("give", w.give),
        ("drop", w.drop),
        ("inside", w.inside),
        ("where_person", w.where_person),
        ("where_thing", w.where_thing),
        ("where_inside", w.where_inside),
        ("which_container", w.which_container),
        ("who_has", w.who_has),
        ("what_has", w.what_has),
        ("what_inside", w.what_inside),
        ("who_is_at", w.who_is_at),
        ("before", w.before),
        ("giver", w.giver),
    ]
}

#[test]
fn a_reader_of_the_text_alone_finds_the_same_answers() {
    for (split, wording, lexicon) in
        [(Split::Train, &tracking_words::TRAIN, &TRAIN), (Split::Test, &tracking_words::TEST, &TEST)]
    {
        let (mut answers, mut checked) = (0, 0);
        for index in 0..1_000 {
            let difficulty = Difficulty {
                facts: 1 + (index % 3) as u8,
                filler: 0,
                distractors: (index % 5) as u8,
                wordings: ALL_WORDINGS,
                open: 0,
                loose: false,
            };
            let told = story(split, &[Family::Tracking], difficulty, 21, index);
            let (mut reader, mut at) = (Reader::default(), 0);
            answers += told.answers.len();
            while at < told.text.len() {
                let rest = &told.text[at..];
                let starts = std::iter::once("").chain(wording.then.iter().copied());
                let starts: Vec<&str> = starts.filter(|s| rest.starts_with(s)).collect();
                let mut best: Option<(&str, Slots, usize)> = None;
                for start in starts {
                    for (kind, templates) in kinds(wording) {
                        for found in templates.iter().filter_map(|t| fit(t, &rest[start.len()..], lexicon)) {
                            if best.as_ref().is_none_or(|b| b.2 < found.1 + start.len()) {
                                best = Some((kind, found.0, found.1 + start.len()));
                            }
                        }
                    }
                }
                let Some((kind, slots, taken)) = best else {
                    // a beginning or an end
                    let sentence = rest.find(". ").map_or(rest.len(), |i| i + 2);
                    assert!(at == 0 || at + sentence >= told.text.len(), "not understood: {rest:?} of {}", told.text);
                    at += sentence;
                    continue;
                };
                checked += told.answers.iter().any(|a| (at..at + taken).contains(&a.span.start)) as usize;
                reader.take(kind, &slots, lexicon, &told.text);
                at += taken;
                at += told.text[at..].starts_with([' ', '\n']) as usize;
            }
        }
        assert!(answers > 3_000 && checked == answers, "{checked} of {answers} answers checked");
    }
}
