//! Sequences that go on as they began.

use super::pattern_words::{TEST, TRAIN, Theme, Wording};
use super::tracking_words::pronouns;
use super::writer::{Needs, Person, Writer};

/// How a sequence goes on: element number `i` is `elements[shape.at(i)]`.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Repeat(&'static [usize]),
    /// a b a a b a a a b
    Grow,
}

impl Shape {
    fn at(self, i: usize) -> usize {
        match self {
            Shape::Repeat(unit) => unit[i % unit.len()],
            Shape::Grow => {
                let (mut left, mut run) = (i, 1);
                while left > run {
                    left -= run + 1;
                    run += 1;
                }
                (left == run) as usize
            }
        }
    }

    fn kinds(self) -> usize {
        match self {
            Shape::Repeat(unit) => 1 + unit.iter().max().unwrap_or(&0),
            Shape::Grow => 2,
        }
    }

    /// Elements after which it is clear how it goes on, at least and at most.
    fn shown(self) -> (usize, usize) {
        match self {
            Shape::Repeat(unit) => (2 * unit.len(), 3 * unit.len() + 1),
            Shape::Grow => (8, 13),
        }
    }

    /// Whether every element has one follower.
    fn plain(self) -> bool {
        matches!(self, Shape::Repeat(unit) if unit.len() == self.kinds())
    }

    fn draw(w: &mut Writer, level: u8) -> Shape {
        const TWO: &[&[usize]] = &[&[0, 1]];
        const THREE: &[&[usize]] = &[&[0, 1, 2], &[0, 1, 2], &[0, 1, 2], &[0, 0, 1], &[0, 1, 1]];
        const FOUR: &[&[usize]] =
            &[&[0, 1, 2, 3], &[0, 1, 2, 3], &[0, 0, 1, 1], &[0, 0, 1, 1], &[0, 1, 0, 2], &[0, 1, 2, 1]];
        match level {
            1 => Shape::Repeat(w.rng.pick(TWO)),
            2 => Shape::Repeat(w.rng.pick(THREE)),
            _ if w.rng.chance(15) => Shape::Grow,
            _ => Shape::Repeat(w.rng.pick(FOUR)),
        }
    }
}

/// A sequence under way.
struct Sequence {
    who: Person,
    shape: Shape,
    elements: Vec<&'static str>,
    /// Elements told so far.
    told: usize,
    list: &'static [&'static str],
    end: usize,
    facts: u8,
    /// The sentence the next elements come in, if told in sentences.
    step: Option<&'static str>,
    turns: bool,
}

impl Sequence {
    fn at(&self, i: usize) -> &'static str {
        self.elements[self.shape.at(i)]
    }
}

/// A story of one to six questions, in one or two scenes.
pub fn tell(w: &mut Writer) {
    let scenes = if w.difficulty.filler > 8 { 1 } else { w.rng.between(1, 2) };
    for _ in 0..scenes {
        let level = w.level();
        match (level, w.rng.below(20)) {
            (_, 0..2) => numbers(w, level),
            (1, 2..6) => pairs(w),
            (1, 6..9) => copies(w),
            (2, 2..6) => examples(w),
            _ => sequences(w, level),
        }
    }
}

fn wording(w: &Writer) -> &'static Wording {
    w.of(&TRAIN, &TEST)
}

/// Tells a sequence so far.
fn begin(w: &mut Writer, theme: &Theme, mut sequence: Sequence, named: bool) -> Sequence {
    let (least, most) = sequence.shape.shown();
    let count = w.rng.between(least, most);
    let n = sequence.who.name;
    let steps: Vec<_> = theme.steps.iter().filter(|s| !named || s.1.contains("{n}")).copied().collect();
    let sentences = sequence.shape != Shape::Grow && count <= 8 && !steps.is_empty() && w.rng.chance(35);
    if sentences {
        let (first, next) = w.wording(&steps);
        for i in 0..count {
            let template = if i == 0 { first } else { next };
            sequence.end = w.say(template, &[("n", n), ("e", sequence.at(i))]);
        }
        sequence.step = Some(next);
    } else {
        let mut row = String::new();
        for i in 0..count {
            row.push_str(if i == 0 { "" } else { ", " });
            row.push_str(sequence.at(i));
        }
        let rows: Vec<_> = theme.row.iter().filter(|r| !named || r.contains("{n}")).copied().collect();
        sequence.end = w.one(&rows, &[("n", n), ("seq", &row)]);
    }
    sequence.told = count;
    sequence
}

fn ask(w: &mut Writer, list: &[&str], sequence: &Sequence, right: &'static str, before: &str) {
    let wrong = w.wrong(right, &sequence.elements, sequence.list);
    let (s, t) = (w.grown(), w.grown());
    let slots = [("n", sequence.who.name), ("v", right), ("e", right), ("p", before), ("s", s), ("t", t)];
    let needs = Needs { facts: sequence.facts, end: sequence.end, wrong };
    w.ask(list, &slots, needs);
}

/// One or two sequences, each gone on with.
fn sequences(w: &mut Writer, level: u8) {
    let wording = wording(w);
    let two = w.rng.chance(15 + 15 * w.difficulty.distractors.min(3) as usize);
    let mut all = Vec::new();
    for i in 0..1 + two as usize {
        let shape = Shape::draw(w, level);
        let turns = !two && w.rng.chance(15);
        let theme = if turns { &wording.turns } else { &wording.themes[w.rng.below(wording.themes.len())] };
        let who = w.person();
        let (elements, list) = if turns {
            let names = (0..shape.kinds()).map(|_| w.person().name).collect();
            (names, w.of(super::words_train::TRAIN.girls, super::words_test::TEST.boys))
        } else {
            let mut list = (theme.list)(w.words);
            let mut elements = w.several(list, shape.kinds());
            if elements.len() < shape.kinds() {
                list = w.words.objects;
                elements = w.several(list, shape.kinds());
            }
            (elements, list)
        };
        let sequence = Sequence { who, shape, elements, told: 0, list, end: 0, facts: level, step: None, turns };
        let mut sequence = begin(w, theme, sequence, two);
        // often the sentence itself goes on to the answer
        if sequence.step.is_none() {
            if i == 0 && !two && w.difficulty.filler == 0 && w.rng.chance(60) || w.rng.chance(30) {
                let next = sequence.at(sequence.told);
                let wrong = w.wrong(next, &sequence.elements, sequence.list);
                let needs = Needs { facts: level, end: sequence.end, wrong };
                w.ask_on(", <{v}>.", &[("v", next)], needs);
                sequence.told += 1;
                sequence.end = w.end();
            } else {
                sequence.end = w.go_on(".", &[]);
            }
        }
        all.push(sequence);
    }
    let questions = w.rng.between(1, 4);
    let mut last = usize::MAX;
    let mut followed = Vec::new();
    for q in 0..questions {
        let i = w.rng.below(all.len());
        let sequence = &mut all[i];
        let before = w.end();
        w.filler();
        let filled = w.end() > before;
        let next = sequence.at(sequence.told);
        if sequence.shape.plain() && q > 0 && w.rng.chance(25) {
            let place = w.rng.below(sequence.elements.len());
            let (p, v) = (sequence.at(place), sequence.at(place + 1));
            if followed.contains(&p) {
                continue;
            }
            followed.push(p);
            let facts = std::mem::replace(&mut sequence.facts, 1);
            ask(w, wording.after, sequence, v, p);
            sequence.facts = facts;
            last = usize::MAX;
            continue;
        }
        match sequence.step {
            Some(step) if w.rng.chance(60) => {
                let step = step.replace("{e}", "<{e}>");
                ask(w, &[&step], sequence, next, "");
            }
            _ if sequence.turns => ask(w, wording.turn, sequence, next, ""),
            _ if two => ask(w, wording.next_of, sequence, next, ""),
            _ if last == i && !filled => ask(w, wording.again, sequence, next, ""),
            _ => ask(w, wording.next, sequence, next, ""),
        }
        last = i;
        let end = w.end();
        sequence.told += 1;
        sequence.end = end;
    }
}

/// Counting by one, two or three, up or down.
fn numbers(w: &mut Writer, level: u8) {
    let wording = wording(w);
    let numbers = wording.numbers;
    let step = if level >= 3 && numbers.len() < 10 { 2 } else { level as usize };
    let long = (numbers.len() - 1) / step + 1;
    let shown = if long > 4 { w.rng.between(3, (long - 1).min(5)) } else { long - 1 };
    let start = w.rng.below(numbers.len() - step * shown);
    let down = level >= 2 && w.rng.chance(40);
    let at = |i: usize| numbers[if down { numbers.len() - 1 - start - step * i } else { start + step * i }];
    let (who, s, t) = (w.person(), w.grown(), w.grown());
    let n = who.name;
    let near = [at(shown - 1), at(shown - 2), at(0)];
    let wrong = w.wrong(at(shown), &near, numbers);
    let slots = [("n", n), ("v", at(shown)), ("s", s), ("t", t), ("e", at(shown))];
    if w.rng.chance(35) {
        let (first, next) = w.wording(wording.count.steps);
        for i in 0..shown {
            w.say(if i == 0 { first } else { next }, &[("n", n), ("e", at(i))]);
        }
        let needs = Needs { facts: level, end: w.end(), wrong };
        w.filler();
        let cloze = next.replace("{e}", "<{e}>");
        if w.rng.chance(50) {
            w.ask(&[&cloze], &slots, needs)
        } else {
            w.ask(wording.next, &slots, needs)
        };
        return;
    }
    let row: Vec<&str> = (0..shown).map(at).collect();
    let end = w.one(wording.count.row, &[("n", n), ("seq", &row.join(", "))]);
    let needs = Needs { facts: level, end, wrong };
    if w.difficulty.filler == 0 || w.rng.chance(30) {
        w.ask_on(", <{v}>.", &slots, needs);
    } else {
        w.go_on(".", &[]);
        w.filler();
        w.ask(wording.next, &slots, needs);
    }
}

/// Each child has two things of one colour.
fn examples(w: &mut Writer) {
    let wording = wording(w);
    let list = if w.rng.chance(70) { w.words.colours } else { w.words.materials };
    let colours = w.several(list, 4);
    if colours.len() < 3 {
        return sequences(w, 2);
    }
    let things = w.several(w.words.objects, 2);
    let template = w.wording(wording.both);
    let known = template.replace(['<', '>'], "");
    let count = colours.len().min(w.rng.between(3, 4));
    for (i, &g) in colours.iter().enumerate().take(count) {
        let who = w.person();
        let mut slots = vec![("n", who.name), ("g", g), ("x", things[0]), ("y", things[1])];
        slots.extend(pronouns(who));
        let end = w.end();
        if i + 1 == count || (i >= 2 && w.rng.chance(50)) {
            w.filler();
            let wrong = w.wrong(g, &colours, list);
            w.ask(&[template], &slots, Needs { facts: 2, end, wrong });
        } else {
            w.say(&known, &slots);
        }
    }
}

/// What one says, another answers: told once, then asked.
fn pairs(w: &mut Writer) {
    let wording = wording(w);
    let theme = &wording.themes[w.rng.below(wording.themes.len())];
    let mut list = (theme.list)(w.words);
    if !w.has_left(list, 4) {
        list = w.words.objects;
    }
    let count = (list.len() / 2).min(w.rng.between(2, 3) + w.difficulty.distractors as usize / 2);
    let words = w.several(list, 2 * count);
    let count = words.len() / 2;
    let (n, m) = (w.person().name, w.person().name);
    let template = w.wording(wording.pair);
    let known = template.replace(['<', '>'], "");
    let answers: Vec<_> = words[..count].to_vec();
    let mut ends = Vec::new();
    for i in 0..count {
        ends.push(w.say(&known, &[("n", n), ("m", m), ("x", words[count + i]), ("y", answers[i])]));
    }
    let mut turns: Vec<usize> = (0..count).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, count);
    for &i in &turns[..questions] {
        w.filler();
        let wrong = w.wrong(answers[i], &answers, list);
        let says = template.contains("said") && w.rng.chance(40);
        let list = if says { wording.pair_question } else { &[template] };
        let slots = [("n", n), ("m", m), ("x", words[count + i]), ("y", answers[i])];
        w.ask(list, &slots, Needs { facts: 1, end: ends[i], wrong });
    }
}

/// One does as the other does.
fn copies(w: &mut Writer) {
    let wording = wording(w);
    let count = w.rng.between(3, 5);
    let things = w.several(w.words.objects, count);
    let (n, m) = (w.person().name, w.person().name);
    let form = w.rng.below(wording.copy.len());
    let known = w.rng.between(2, count - 1);
    for &x in &things[..known] {
        w.say(wording.copy[form], &[("n", n), ("m", m), ("x", x)]);
    }
    for &x in &things[known..] {
        let end = w.end();
        w.filler();
        let wrong = w.wrong(x, &things, w.words.objects);
        w.ask(&[wording.copy_question[form]], &[("n", n), ("m", m), ("x", x)], Needs { facts: 1, end, wrong });
    }
}
