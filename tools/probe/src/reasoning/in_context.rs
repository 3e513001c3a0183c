//! Made-up words, defined and then used.

use super::in_context_words::{TEST, TRAIN, Wording};
use super::made_up::{self, Kind};
use super::tracking_words::pronouns;
use super::writer::{Needs, Person, Writer};

/// A story of one to six questions, in one or two scenes.
pub fn tell(w: &mut Writer) {
    let scenes = if w.difficulty.filler > 8 { 1 } else { w.rng.between(1, 2) };
    for _ in 0..scenes {
        let level = w.level();
        match (level, w.rng.below(10)) {
            _ if w.difficulty.plain() => nouns(w, level),
            (1, 0..2) => names(w),
            (1, 2..4) => codes(w),
            (1 | 2, 4..6) => verbs(w, level),
            (_, 6..8) => homes(w, level),
            _ => nouns(w, level),
        }
    }
}

fn wording(w: &Writer) -> &'static Wording {
    w.of(&TRAIN, &TEST)
}

/// Different made-up words.
fn words(w: &mut Writer, kind: Kind, count: usize) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(count);
    while out.len() < count {
        let word = made_up::word(&mut w.rng, w.split, kind);
        if !out.contains(&word) {
            out.push(word);
        }
    }
    out
}

/// The words of `list` that follow "a": an "an" would tell half of the answer.
fn after_a(list: &[&'static str]) -> Vec<&'static str> {
    list.iter().copied().filter(|n| !n.starts_with(['a', 'e', 'i', 'o', 'u'])).collect()
}

/// Asks with the usual slots, `more` first.
fn ask(w: &mut Writer, list: &[&str], a: Person, more: &[(&str, &str)], needs: Needs) {
    let (s, t) = (w.grown(), w.grown());
    let mut slots = more.to_vec();
    slots.extend([("a", a.name), ("s", s), ("t", t)]);
    slots.extend(pronouns(a));
    w.ask(list, &slots, needs);
}

/// Two to four things to learn, and how many questions there will be of them.
fn how_many(w: &mut Writer) -> usize {
    w.rng.between(2, 3) + w.difficulty.distractors as usize / 2
}

/// Runs `question` for some of `count` things in random order.
fn some_of(w: &mut Writer, count: usize, mut question: impl FnMut(&mut Writer, usize)) {
    let mut turns: Vec<usize> = (0..count).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, count.min(4));
    for &i in &turns[..questions] {
        w.filler();
        question(w, i);
    }
}

/// "A blick is a red ball. Lily has a blick. What does Lily have?" With synonyms, up to three facts.
fn nouns(w: &mut Writer, level: u8) {
    let wording = wording(w);
    let count = how_many(w);
    let list = w.rng.pick(&[w.words.objects, w.words.animals, w.words.objects]);
    let list = &*after_a(list);
    let mut meanings: Vec<String> = w.several(list, count).iter().map(|m| m.to_string()).collect();
    if !w.difficulty.plain() && w.rng.chance(25) {
        let colours = w.words.colours;
        meanings.iter_mut().for_each(|m| *m = format!("{} {m}", w.rng.pick(colours)));
    }
    let made = words(w, Kind::Noun, 2 * count);
    let people: Vec<Person> = (0..count).map(|_| w.person()).collect();
    // with one fact a question asks for a word's meaning; with two there is a synonym, or someone has one
    let synonyms = level == 3 || (level == 2 && w.rng.chance(35));
    let holders = level == 3 || (level == 2 && !synonyms);
    let mut order: Vec<(usize, u8)> = (0..count).flat_map(|i| [(i, 0), (i, 1), (i, 2)]).collect();
    order.retain(|&(_, k)| k == 0 || (k == 1 && synonyms) || (k == 2 && holders));
    w.shuffle(&mut order);
    let mut ends = vec![0; count];
    for (i, kind) in order {
        let top = if synonyms { &made[count + i] } else { &made[i] };
        let s = w.grown();
        let slots = [("y", &*made[count + i]), ("a", people[i].name), ("n", &*meanings[i]), ("s", s)];
        let end = match kind {
            0 => w.one(wording.means, &[&slots[..], &[("w", &*made[i])]].concat()),
            1 => w.one(wording.same, &[&slots[..], &[("w", &*made[i])]].concat()),
            _ => w.one(wording.has, &[&slots[..], &[("w", &**top)]].concat()),
        };
        ends[i] = ends[i].max(end);
        w.aside();
    }
    some_of(w, count, |w, i| {
        let top = if synonyms { &made[count + i] } else { &made[i] };
        let wrong = w.wrong(&meanings[i], &meanings, list);
        let needs = Needs { facts: level.min(3), end: ends[i], wrong };
        let a = if holders { people[i] } else { w.person() };
        let meaning = &meanings[i];
        if level == 1 && w.rng.chance(25) {
            let needs = Needs { wrong: wrong_words(w, &made[i], &made[..count]), ..needs };
            return ask(w, wording.which_word, a, &[("w", &made[i]), ("n", meaning)], needs);
        }
        let list = match (holders, w.rng.chance(50)) {
            (true, _) => wording.what_has,
            (_, true) => wording.what,
            _ => wording.used,
        };
        ask(w, list, a, &[("w", top), ("v", meaning)], needs);
    });
}

/// Wrong answers among made-up words.
fn wrong_words(w: &mut Writer, right: &str, near: &[String]) -> Vec<String> {
    let more = words(w, Kind::Noun, 4);
    let more: Vec<&str> = more.iter().map(|m| &**m).collect();
    w.wrong(right, near, &more)
}

/// "All blicks live in the barn. The pet of Tom is a blick. Where does it live?"
fn homes(w: &mut Writer, level: u8) {
    let wording = wording(w);
    let count = how_many(w);
    let places = w.several(w.words.places, count);
    let made = words(w, Kind::Noun, 2 * count);
    let people: Vec<Person> = (0..count).map(|_| w.person()).collect();
    let mut order: Vec<(usize, u8)> = (0..count).flat_map(|i| (0..level.min(3)).map(move |k| (i, k))).collect();
    w.shuffle(&mut order);
    let mut ends = vec![0; count];
    for (i, kind) in order {
        let top = if level >= 3 { &made[count + i] } else { &made[i] };
        let (many, s) = (made_up::plural(&made[i]), w.grown());
        let end = match kind {
            0 => w.one(wording.live, &[("w", &made[i]), ("ws", &many), ("v", places[i])]),
            1 => w.one(wording.pet, &[("a", people[i].name), ("w", top), ("s", s)]),
            _ => w.one(wording.same, &[("y", &made[count + i]), ("w", &made[i]), ("s", s)]),
        };
        ends[i] = ends[i].max(end);
        w.aside();
    }
    some_of(w, count, |w, i| {
        let needs = Needs { facts: level.min(3), end: ends[i], wrong: w.wrong(places[i], &places, w.words.places) };
        if level == 1 {
            let (a, many) = (w.person(), made_up::plural(&made[i]));
            return ask(w, wording.where_lives, a, &[("w", &made[i]), ("ws", &many), ("v", places[i])], needs);
        }
        ask(w, wording.where_pet, people[i], &[("v", places[i])], needs);
    });
}

/// "To wug means to jump. Tom wugged: he" jumped.
fn verbs(w: &mut Writer, level: u8) {
    let wording = wording(w);
    let count = how_many(w);
    let mut meanings = w.words.actions.to_vec();
    w.shuffle(&mut meanings);
    meanings.truncate(count);
    let made = words(w, Kind::Verb, 2 * count);
    let mut order: Vec<(usize, u8)> = (0..count).flat_map(|i| (0..level).map(move |k| (i, k))).collect();
    w.shuffle(&mut order);
    let mut ends = vec![0; count];
    for (i, kind) in order {
        let (list, s) = (if kind == 0 { wording.verb } else { wording.same_verb }, w.grown());
        let slots = [("w", &*made[i]), ("y", &made[count + i]), ("n", meanings[i].0), ("s", s)];
        ends[i] = ends[i].max(w.one(list, &slots));
        w.aside();
    }
    some_of(w, count, |w, i| {
        let past = w.rng.chance(50);
        let form = |m: &(&'static str, &'static str)| if past { m.1 } else { m.0 };
        let near: Vec<_> = meanings.iter().map(form).collect();
        let far: Vec<_> = w.words.actions.iter().map(form).collect();
        let needs = Needs { facts: level, end: ends[i], wrong: w.wrong(near[i], &near, &far) };
        let top = if level > 1 { &made[count + i] } else { &made[i] };
        let a = w.person();
        let list = if past { wording.did } else { wording.verb_means };
        ask(w, list, a, &[("w", top), ("v", near[i]), ("did", near[i])], needs);
    });
}

/// "The cat is called Miro. The dog is called Zuna. What is the dog called?"
fn names(w: &mut Writer) {
    let wording = wording(w);
    let count = how_many(w);
    let list = after_a(w.words.animals);
    let animals = w.several(&list, count);
    let made: Vec<String> = words(w, Kind::Noun, count).iter().map(|word| made_up::capital(word)).collect();
    let mut ends = Vec::with_capacity(count);
    for i in 0..count {
        let s = w.grown();
        ends.push(w.one(wording.called, &[("n", animals[i]), ("w", &made[i]), ("s", s)]));
        w.aside();
    }
    some_of(w, count, |w, i| {
        let a = w.person();
        let slots = [("n", animals[i]), ("w", &*made[i]), ("v", animals[i])];
        if w.rng.chance(50) {
            let wrong = wrong_words(w, &made[i], &made).iter().map(|word| made_up::capital(word)).collect();
            return ask(w, wording.what_called, a, &slots, Needs { facts: 1, end: ends[i], wrong });
        }
        let wrong = w.wrong(animals[i], &animals, &list);
        ask(w, wording.who_called, a, &slots, Needs { facts: 1, end: ends[i], wrong });
    });
}

/// "If someone says zup, go to the barn. 'Zup!' said Mom. So Tom went to the" barn.
fn codes(w: &mut Writer) {
    let wording = wording(w);
    let count = how_many(w);
    let places = w.several(w.words.places, count);
    let made = words(w, Kind::Noun, count);
    let mut ends = Vec::with_capacity(count);
    for i in 0..count {
        let s = w.grown();
        ends.push(w.one(wording.code, &[("w", &made[i]), ("v", places[i]), ("s", s)]));
        w.aside();
    }
    some_of(w, count, |w, i| {
        let needs = Needs { facts: 1, end: ends[i], wrong: w.wrong(places[i], &places, w.words.places) };
        let a = w.person();
        ask(w, wording.code_used, a, &[("w", &made[i]), ("v", places[i])], needs);
    });
}
