//! Rules stated, and later triggered.

use super::if_then_words::{Act, Acts, Condition, TEST, TRAIN, Wording};
use super::tracking_words::pronouns;
use super::writer::{Needs, Person, Writer};

/// Who does what: "Tom takes the boat".
#[derive(Clone, Copy)]
struct Deed {
    who: Person,
    acts: &'static Acts,
    form: Act,
    value: &'static str,
}

/// A story of one to six questions, in one or two scenes.
pub fn tell(w: &mut Writer) {
    let scenes = if w.difficulty.filler > 8 { 1 } else { w.rng.between(1, 2) };
    let mut used = Vec::new();
    for _ in 0..scenes {
        let level = w.level();
        match (level, w.rng.below(10)) {
            (1, 0..4) if !w.difficulty.plain() => otherwise(w, &mut used),
            (2.., 0..=3) => classes(w, level, &mut used),
            (_, 4..6) => keys(w, level, &mut used),
            _ => chains(w, level, &mut used),
        }
    }
}

fn wording(w: &Writer) -> &'static Wording {
    w.of(&TRAIN, &TEST)
}

/// Fills the slots of a clause.
fn fill(clause: &str, slots: &[(&str, &str)]) -> String {
    let mut out = clause.to_string();
    for (key, value) in slots {
        if let Some(at) = out.find('{')
            && out[at + 1..].starts_with(key)
        {
            out = out.replace(&format!("{{{key}}}"), value);
        }
    }
    out
}

impl Deed {
    fn new(w: &mut Writer, who: Person, acts: &'static Acts) -> Self {
        let value = w.fresh((acts.list)(w.words));
        Deed { who, acts, form: w.wording(acts.forms), value }
    }
    fn does(&self, w: &mut Writer) -> String {
        fill(&w.clause(self.form.0), &[("v", self.value)])
    }
}

/// Asks what came of a deed's condition.
fn ask(w: &mut Writer, deed: &Deed, facts: u8, end: usize, near: &[&'static str]) {
    let wording = wording(w);
    let template = w.wording(wording.answer);
    let name = deed.who.name;
    let wh = fill(&w.clause(deed.form.2), &[("a", name)]);
    let template = if template.contains("{did}") { template.replace("{did}", deed.form.1) } else { template.into() };
    let (s, t) = (w.grown(), w.grown());
    let the = deed.acts.the;
    let mut slots = vec![("a", name), ("wh", &*wh), ("v", deed.value), ("s", s), ("t", t), ("the", the), ("The", the)];
    slots.extend(pronouns(deed.who));
    let wrong = w.wrong(deed.value, near, (deed.acts.list)(w.words));
    w.ask(&[&template], &slots, Needs { facts, end, wrong });
}

fn rule(w: &mut Writer, condition: &str, deed: &Deed) -> usize {
    let does = deed.does(w);
    let (wording, s) = (wording(w), w.grown());
    let r = format!("{} {does}", deed.who.name);
    let mut slots = vec![("c", condition), ("r", &r), ("does", &does), ("a", deed.who.name), ("s", s)];
    slots.extend(pronouns(deed.who));
    w.one(wording.rule, &slots)
}

fn trigger(w: &mut Writer, happened: &str) -> usize {
    let (wording, s) = (wording(w), w.grown());
    w.one(wording.trigger, &[("c", happened), ("s", s)])
}

/// Acts of a list of which `needed` words are left.
fn some_acts(w: &mut Writer, needed: usize) -> &'static Acts {
    let all = wording(w).acts;
    loop {
        let acts = &all[w.rng.below(all.len())];
        if w.has_left((acts.list)(w.words), needed) {
            return acts;
        }
    }
}

/// A condition that this story has not used, with its people and colours filled in.
pub(super) fn condition(w: &mut Writer, used: &mut Vec<&'static str>) -> [String; 3] {
    let wording = wording(w);
    let mut form: Condition = w.rng.pick(wording.conditions);
    let colourless = !w.has_left(w.words.colours, 1);
    while used.contains(&form.0) && !form.0.contains("{b}") && !form.0.contains("{col}")
        || colourless && form.0.contains("{col}")
    {
        form = w.rng.pick(wording.conditions);
    }
    used.push(form.0);
    let (b, col) = match form.0.contains("{b}") {
        true => (w.person().name, ""),
        false if form.0.contains("{col}") => ("", w.fresh(w.words.colours)),
        false => ("", ""),
    };
    [form.0, form.1, form.2].map(|clause| fill(&w.clause(clause), &[("b", b), ("col", col)]).replace("{col}", col))
}

/// "If it rains, the cat hides. If the cat hides, Tom takes the boat. It rained. So Tom took the" boat.
fn chains(w: &mut Writer, length: u8, used: &mut Vec<&'static str>) {
    let count = match length {
        1 => w.rng.between(2, 4) + w.difficulty.distractors as usize / 2,
        2 => w.rng.between(2, 3),
        _ => 2,
    };
    let shared_acts = w.rng.chance(70);
    // one actor a depth, or others in every chain
    let shared_actors = w.rng.chance(60);
    let mut actors: Vec<Person> = (0..length).map(|_| w.person()).collect();
    let mut acts: Vec<&Acts> = (0..length).map(|_| some_acts(w, count * length as usize)).collect();
    let mut starts = Vec::new();
    let mut deeds: Vec<Vec<Deed>> = Vec::new();
    for _ in 0..count {
        if !shared_actors {
            actors.iter_mut().for_each(|a| *a = w.person());
        }
        if !shared_acts {
            acts.iter_mut().for_each(|a| *a = some_acts(w, length as usize));
        }
        starts.push(condition(w, used));
        let form = w.rng.below(8);
        deeds.push(
            (0..length as usize)
                .map(|depth| {
                    let mut deed = Deed::new(w, actors[depth], acts[depth]);
                    if shared_acts {
                        deed.form = acts[depth].forms[form % acts[depth].forms.len()];
                    }
                    deed
                })
                .collect(),
        );
    }
    let mut order: Vec<(usize, usize)> = (0..count).flat_map(|c| (0..length as usize).map(move |d| (c, d))).collect();
    if w.rng.chance(75) {
        w.shuffle(&mut order);
    }
    let mut ends = vec![[0; 3]; count];
    for (c, depth) in order {
        let deed = deeds[c][depth];
        let condition = match depth {
            0 => starts[c][0].clone(),
            _ => format!("{} {}", deeds[c][depth - 1].who.name, deeds[c][depth - 1].does(w)),
        };
        ends[c][depth] = rule(w, &condition, &deed);
        w.aside();
    }
    let mut turns: Vec<usize> = (0..count).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, count);
    for &c in &turns[..questions] {
        w.filler();
        trigger(w, &starts[c][1]);
        let depth = if length > 1 && w.rng.chance(20) { w.rng.between(1, length as usize) } else { length as usize };
        let deed = deeds[c][depth - 1];
        let end = ends[c][..depth].iter().copied().max().unwrap_or(0);
        let same = |d: &&Deed| std::ptr::eq(d.acts, deed.acts);
        let near: Vec<_> = deeds.iter().flatten().filter(same).map(|d| d.value).collect();
        ask(w, &deed, depth as u8, end, &near);
    }
}

/// "If it rains, Tom goes to the barn. Otherwise, he goes to the park. It did not rain. So Tom went to the" park.
fn otherwise(w: &mut Writer, used: &mut Vec<&'static str>) {
    let wording = wording(w);
    let mut near = Vec::new();
    let mut rules = Vec::new();
    for _ in 0..w.rng.between(1, 2) {
        let (start, who) = (condition(w, used), w.person());
        let acts = some_acts(w, 2);
        let (yes, no) = (Deed::new(w, who, acts), Deed::new(w, who, acts));
        let no = Deed { form: yes.form, ..no };
        rule(w, &start[0], &yes);
        let does = no.does(w);
        let mut slots = vec![("a", who.name), ("does", &*does)];
        slots.extend(pronouns(who));
        let end = w.one(wording.otherwise, &slots);
        near.extend([yes.value, no.value]);
        rules.push((start, yes, no, end));
    }
    let mut turns: Vec<(usize, bool)> = (0..rules.len()).flat_map(|r| [(r, true), (r, false)]).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, turns.len().min(3));
    for &(r, happened) in &turns[..questions] {
        let (start, yes, no, end) = &rules[r];
        let (yes, no, end) = (*yes, *no, *end);
        w.filler();
        trigger(w, &start[if happened { 1 } else { 2 }]);
        let deed = if happened { yes } else { no };
        let near: Vec<_> =
            rules.iter().filter(|r| std::ptr::eq(r.1.acts, deed.acts)).flat_map(|r| [r.1.value, r.2.value]).collect();
        ask(w, &deed, 1, end, &near);
    }
}

/// "Whoever has the boat goes to the barn. Tom has the boat. So Tom went to the" barn; with teams, three facts.
fn classes(w: &mut Writer, level: u8, used: &mut Vec<&'static str>) {
    let wording = wording(w);
    let count = (2 + w.rng.below(2) + w.difficulty.distractors as usize / 3).min(w.words.colours.len()).min(4);
    let acts = some_acts(w, 2 * count);
    let form = w.wording(acts.forms);
    if level >= 3 && !w.has_left(w.words.colours, count) {
        return chains(w, level, used);
    }
    let things = w.several(w.words.objects, count);
    let people: Vec<Person> = (0..count).map(|_| w.person()).collect();
    let colours = if level >= 3 { w.several(w.words.colours, count) } else { vec![""; count] };
    let count = count.min(things.len()).min(colours.len());
    let deeds: Vec<Deed> = (0..count).map(|i| Deed { form, ..Deed::new(w, people[i], acts) }).collect();
    let mut order: Vec<(usize, u8)> = (0..count).flat_map(|i| (0..level.min(3)).map(move |k| (i, k))).collect();
    w.shuffle(&mut order);
    let mut ends = vec![0; count];
    for (i, kind) in order {
        let does = deeds[i].does(w);
        let s = w.grown();
        let slots = [
            ("a", people[i].name),
            ("x", things[i]),
            ("does", &does),
            ("col", colours[i]),
            ("they", "that person"),
            ("s", s),
        ];
        let list = match (kind, level) {
            (0, _) => wording.class,
            (1, 2) => wording.member,
            (1, _) => wording.team,
            _ => wording.team_has,
        };
        ends[i] = ends[i].max(w.one(list, &slots));
        w.aside();
    }
    let near: Vec<_> = deeds.iter().map(|d| d.value).collect();
    let mut turns: Vec<usize> = (0..count).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, count);
    for &i in &turns[..questions] {
        w.filler();
        ask(w, &deeds[i], level.min(3), ends[i], &near);
    }
}

/// "The small key opens the red door. Behind the red door is the cat. Tom had the small key. So Tom found the" cat.
fn keys(w: &mut Writer, level: u8, used: &mut Vec<&'static str>) {
    let wording = wording(w);
    let count = 2 + w.rng.below(2);
    if !w.has_left(w.words.colours, count) || !w.has_left(w.words.materials, count) {
        return chains(w, level, used);
    }
    let colours = w.several(w.words.colours, count);
    let kinds = w.several(w.words.materials, count);
    let kept = w.several(w.words.containers, count);
    let list = if w.rng.chance(50) { w.words.objects } else { w.words.animals };
    let found = w.several(list, count);
    let count = count.min(colours.len()).min(kinds.len()).min(kept.len());
    let mut order: Vec<(usize, u8)> = (0..count).flat_map(|i| (0..level.min(3)).map(move |k| (i, k))).collect();
    w.shuffle(&mut order);
    let mut ends = vec![[0; 3]; count];
    for (i, kind) in order {
        let s = w.grown();
        let slots = [("g", kinds[i]), ("col", colours[i]), ("v", found[i]), ("k", kept[i]), ("s", s)];
        let list = [wording.key, wording.door, wording.kept][kind as usize];
        ends[i][kind as usize] = w.one(list, &slots);
        w.aside();
    }
    let mut turns: Vec<usize> = (0..count).collect();
    w.shuffle(&mut turns);
    let questions = w.rng.between(1, count);
    for &i in &turns[..questions] {
        w.filler();
        let (a, s) = (w.person(), w.grown());
        let mut slots =
            vec![("a", a.name), ("g", kinds[i]), ("col", colours[i]), ("v", found[i]), ("k", kept[i]), ("s", s)];
        slots.extend(pronouns(a));
        w.one(if level >= 3 { wording.opened } else { wording.got_key }, &slots);
        let end = ends[i].iter().copied().max().unwrap_or(0);
        let (templates, right, near, far) = match level {
            1 => (wording.which_door, colours[i], &colours, w.words.colours),
            _ => (wording.behind, found[i], &found, list),
        };
        let wrong = w.wrong(right, near, far);
        w.ask(templates, &slots, Needs { facts: level.min(3), end, wrong });
    }
}
