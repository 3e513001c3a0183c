//! Puts words into sentences and keeps account of the answers.
//!
//! A template is a sentence with slots `{a}`, choices `[one|other]` (not nested), [`phrases`] `%name%`, articles `a(n)`
//! and, in a question, the answer between `<` and `>`. A slot at the start of a sentence gets its capital, an answer
//! keeps its case.

use std::ops::Range;

use super::lexicon::Lexicon;
use super::recast::Recast;
use super::{
    Answer, Difficulty, Family, ReasoningStory, Rng, Split, filler, open, phrases, slips, words_test, words_train,
};

/// Percent of the questions that nothing comes between and their answers, of those where something may.
const BARE: usize = 50;

/// Percent of loose training stories that are hearsay, once stories are not plain any more.
const HEARSAY: usize = 40;
/// Percent of the words between names and things that slip, in half of the loose stories.
const SLIPS: usize = 15;
/// Percent of loose training stories, once they are not plain any more, that are [`recast`](super::recast).
const RECAST: usize = 50;

/// What the slots of a template stand for.
pub type Slots<'a> = [(&'a str, &'a str)];

/// Someone in a story.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Person {
    pub name: &'static str,
    pub female: bool,
}

impl Person {
    pub fn he(self) -> &'static str {
        if self.female { "she" } else { "he" }
    }
    pub fn him(self) -> &'static str {
        if self.female { "her" } else { "him" }
    }
    pub fn his(self) -> &'static str {
        if self.female { "her" } else { "his" }
    }
}

/// The pronoun of a grown-up.
pub fn she(grown: &str) -> &'static str {
    if ["Dad", "Grandpa", "the farmer", "Uncle", "the baker"].contains(&grown) { "he" } else { "she" }
}

/// How a story is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Style {
    /// Nothing but facts and questions.
    Terse,
    /// Facts, questions and now and then something more.
    Plain,
    /// With a beginning and an end.
    Told,
}

/// What is known of an answer besides its place.
pub struct Needs {
    pub facts: u8,
    /// Where the sentence of the last needed fact ends.
    pub end: usize,
    pub wrong: Vec<String>,
}

/// Of a template that goes on with `rest` after the phrase `name`, the answer alone, if this is how answers begin.
fn bare<'t>(name: &str, rest: &'t str) -> Option<&'t str> {
    (name == phrases::SURE).then(|| rest.find('<').map(|at| &rest[at..]))?
}

pub struct Writer {
    pub rng: Rng,
    pub split: Split,
    pub words: &'static Lexicon,
    pub style: Style,
    pub difficulty: Difficulty,
    family: Family,
    text: String,
    answers: Vec<Answer>,
    used: Vec<&'static str>,
    bystanders: Vec<Person>,
    filler_left: usize,
    last_filler: [usize; 3],
    article: Option<usize>,
    span: Option<usize>,
    found: Option<Range<usize>>,
    /// Percent of words that slip in this story.
    slips: usize,
    recast: Option<Recast>,
}

impl Writer {
    pub fn new(split: Split, family: Family, difficulty: Difficulty, mut rng: Rng) -> Self {
        let words = match split {
            Split::Train => &words_train::TRAIN,
            Split::Test => &words_test::TEST,
        };
        let style = match rng.pick(&[Style::Terse, Style::Plain, Style::Told]) {
            _ if difficulty.plain() => Style::Terse,
            style => style,
        };
        let slips = match split {
            Split::Train if difficulty.loose && rng.chance(50) => SLIPS,
            _ => 0,
        };
        let loose = split == Split::Train && difficulty.loose && !difficulty.plain();
        let recast = (loose && rng.chance(RECAST)).then(|| Recast::new(&mut rng));
        let filler_left = (difficulty.filler as usize).max(if difficulty.filler > 0 { 12 } else { 0 });
        Self {
            rng,
            split,
            words,
            style,
            difficulty,
            family,
            text: String::with_capacity(1600),
            answers: Vec::with_capacity(6),
            used: Vec::with_capacity(24),
            bystanders: Vec::new(),
            filler_left,
            last_filler: [usize::MAX; 3],
            article: None,
            span: None,
            found: None,
            slips,
            recast,
        }
    }

    /// Of the two splits' lists, this story's.
    pub fn of<T>(&self, train: T, test: T) -> T {
        match self.split {
            Split::Train => train,
            Split::Test => test,
        }
    }

    pub fn finish(self) -> ReasoningStory {
        ReasoningStory { text: self.text, answers: self.answers }
    }

    /// Whether the story is [`hearsay`](super::hearsay).
    pub fn hears(&mut self) -> bool {
        self.split == Split::Train && self.difficulty.loose && !self.difficulty.plain() && self.rng.chance(HEARSAY)
    }

    // ------------------------------------------------------------ words

    /// A word of `list`, or in training sometimes another.
    fn draw(&mut self, list: &[&'static str]) -> &'static str {
        if self.split == Split::Train && self.rng.chance(self.difficulty.open.into()) {
            let name = list.first().is_some_and(|word| word.starts_with(|c: char| c.is_ascii_uppercase()));
            return open::word(&mut self.rng, name);
        }
        self.rng.pick(list)
    }

    /// A word of `list` that this story has not used.
    pub fn fresh(&mut self, list: &[&'static str]) -> &'static str {
        for _ in 0..64 {
            let word = self.draw(list);
            if !self.used.contains(&word) {
                self.used.push(word);
                return word;
            }
        }
        self.rng.pick(list)
    }

    /// `count` different words of `list`, none used before; fewer only if the list has no more.
    pub fn several(&mut self, list: &[&'static str], count: usize) -> Vec<&'static str> {
        if list.len() > 2 * (count + self.used.len()) {
            return (0..count).map(|_| self.fresh(list)).collect();
        }
        let mut free: Vec<_> = list.iter().copied().filter(|w| !self.used.contains(w)).collect();
        let count = count.min(free.len());
        for i in 0..count {
            let j = i + self.rng.below(free.len() - i);
            free.swap(i, j);
        }
        free.truncate(count);
        for word in &mut free {
            let drawn = self.draw(&[*word]);
            if !self.used.contains(&drawn) {
                *word = drawn;
            }
            self.used.push(*word);
        }
        free
    }

    /// Whether this story has not used at least `count` words of `list`.
    pub fn has_left(&self, list: &[&'static str], count: usize) -> bool {
        list.len() >= self.used.len() + count || list.iter().filter(|w| !self.used.contains(w)).count() >= count
    }

    pub fn person(&mut self) -> Person {
        let female = self.rng.chance(50);
        let name = self.fresh(if female { self.words.girls } else { self.words.boys });
        Person { name, female }
    }

    pub fn grown(&mut self) -> &'static str {
        let list = self.words.grown;
        self.rng.pick(list)
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            list.swap(i, self.rng.below(i + 1));
        }
    }

    /// How many facts the next question is to need.
    pub fn level(&mut self) -> u8 {
        match (self.difficulty.facts, self.rng.below(100)) {
            (0 | 1, _) => 1,
            (2, x) => 1 + (x >= 35) as u8,
            (_, x) => 1 + (x >= 20) as u8 + (x >= 50) as u8,
        }
    }

    /// Up to five wrong answers: those of `near` (of the story) first, then some of `far`, until there are three.
    pub fn wrong<S: AsRef<str>>(&mut self, right: &str, near: &[S], far: &[&str]) -> Vec<String> {
        let mut out: Vec<String> = Vec::with_capacity(5);
        let start = self.rng.below(near.len().max(1));
        for i in 0..near.len() {
            let word = near[(start + i) % near.len()].as_ref();
            if out.len() < 5 && word != right && !out.iter().any(|o| o == word) {
                out.push(word.into());
            }
        }
        while out.len() < 3 {
            let word = far[self.rng.below(far.len())];
            if word != right && !out.iter().any(|o| o == word) {
                out.push(word.into());
            }
        }
        out
    }

    // ------------------------------------------------------------ sentences

    /// Adds a sentence and returns where it ends.
    pub fn say(&mut self, template: &str, slots: &Slots) -> usize {
        self.gap(template);
        self.put(template, slots);
        self.text.len()
    }

    /// One of the wordings that this story may choose from.
    pub fn wording<T: Copy>(&mut self, all: &[T]) -> T {
        let some = all.len().min(self.difficulty.wordings.max(1) as usize);
        self.rng.pick(&all[..some])
    }

    /// Adds one of `templates`; returns where it ends.
    pub fn one(&mut self, templates: &[&str], slots: &Slots) -> usize {
        let template = self.wording(templates);
        self.say(template, slots)
    }

    /// Adds a question, or a sentence that only goes on rightly with the answer.
    pub fn ask(&mut self, templates: &[&str], slots: &Slots, needs: Needs) -> usize {
        let template = self.wording(templates);
        let start = self.text.len();
        self.gap(template);
        self.answer(template, slots, start, needs)
    }

    /// Goes on within the sentence to an answer.
    pub fn ask_on(&mut self, template: &str, slots: &Slots, needs: Needs) -> usize {
        let start = self.text.len();
        self.answer(template, slots, start, needs)
    }

    fn answer(&mut self, template: &str, slots: &Slots, start: usize, needs: Needs) -> usize {
        self.put(template, slots);
        let span = self.found.take().unwrap_or_else(|| panic!("a question without an answer: {template:?}"));
        let distance = self.text[needs.end.min(start)..start].split_ascii_whitespace().count();
        let (facts, distance) = (needs.facts, distance.min(u16::MAX as usize) as u16);
        self.answers.push(Answer { span, family: self.family, facts, distance, wrong: needs.wrong });
        self.text.len()
    }

    /// Goes on within the sentence: no space, no capital.
    pub fn go_on(&mut self, template: &str, slots: &Slots) -> usize {
        self.put(template, slots);
        self.text.len()
    }

    pub fn end(&self) -> usize {
        self.text.len()
    }

    /// Between facts and question: 0 to `difficulty.filler` sentences that say nothing of either.
    pub fn filler(&mut self) {
        let count = self.rng.below(self.difficulty.filler as usize + 1).min(self.filler_left);
        self.filler_left -= count;
        for _ in 0..count {
            self.filler_sentence();
        }
    }

    /// Now and then a sentence between two facts.
    pub fn aside(&mut self) {
        if self.difficulty.filler > 0 && self.filler_left > 0 && self.style != Style::Terse && self.rng.chance(15) {
            self.filler_left -= 1;
            self.filler_sentence();
        }
    }

    fn filler_sentence(&mut self) {
        if self.bystanders.is_empty() || (self.bystanders.len() < 3 && self.rng.chance(20)) {
            let one = self.person();
            self.bystanders.push(one);
        }
        let n = self.rng.pick(&self.bystanders);
        let mut food = self.rng.pick(self.words.foods);
        for _ in 0..20 {
            if self.used.contains(&food) {
                food = self.rng.pick(self.words.foods);
            }
        }
        let grown = self.grown();
        let list = self.of(filler::TRAIN, filler::TEST);
        let mut template = self.rng.below(list.len());
        while self.last_filler.contains(&template) {
            template = self.rng.below(list.len());
        }
        self.last_filler = [self.last_filler[1], self.last_filler[2], template];
        self.say(list[template], &[("n", n.name), ("he", n.he()), ("his", n.his()), ("f", food), ("s", grown)]);
    }

    /// The beginning, if the story has one.
    pub fn open(&mut self) {
        if self.style == Style::Told || (self.style == Style::Plain && self.rng.chance(25)) {
            let list = self.of(filler::OPEN_TRAIN, filler::OPEN_TEST);
            self.one(list, &[]);
        }
    }

    /// The end, if the story has one.
    pub fn close(&mut self) {
        if self.style == Style::Told && self.rng.chance(75) {
            let list = self.of(filler::CLOSE_TRAIN, filler::CLOSE_TEST);
            self.one(list, &[]);
        }
    }

    fn gap(&mut self, template: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            let line = template.starts_with('Q') && template[..template.len().min(10)].contains(':');
            let line = line && self.rng.chance(50);
            self.text.push(if line { '\n' } else { ' ' });
        }
    }

    fn put(&mut self, template: &str, slots: &Slots) {
        let mut rest = template;
        while let Some(at) = rest.find(['{', '[', '%', '<', '>', '(']) {
            self.literal(&rest[..at]);
            let tail = &rest[at + 1..];
            let close = |c| tail.find(c).unwrap_or_else(|| panic!("unbalanced template {template:?}"));
            rest = match rest.as_bytes()[at] {
                b'{' => {
                    self.vary_article();
                    let end = close('}');
                    let key = &tail[..end];
                    let slot = slots.iter().find(|s| s.0 == key);
                    self.slot(slot.unwrap_or_else(|| panic!("no {key:?} for {template:?}")).1);
                    &tail[end + 1..]
                }
                b'[' => {
                    let end = close(']');
                    let inner = &tail[..end];
                    let choice = self.rng.below(1 + inner.bytes().filter(|&b| b == b'|').count());
                    self.put(inner.split('|').nth(choice).unwrap_or_default(), slots);
                    &tail[end + 1..]
                }
                b'%' => {
                    let end = close('%');
                    if let Some(answer) = bare(&tail[..end], &tail[end + 1..])
                        && self.rng.chance(BARE)
                    {
                        rest = answer;
                        continue;
                    }
                    let list = phrases::find(&tail[..end]);
                    let phrase = self.rng.pick(list.unwrap_or_else(|| panic!("no phrases {:?}", &tail[..end])));
                    self.put(phrase, slots);
                    &tail[end + 1..]
                }
                b'<' => {
                    self.vary_article();
                    self.lead();
                    self.span = Some(self.text.len());
                    tail
                }
                b'>' => {
                    self.found = self.span.take().map(|start| start..self.text.len());
                    tail
                }
                _ => {
                    self.article = Some(self.text.len());
                    &tail[close(')') + 1..]
                }
            };
        }
        self.literal(rest);
    }

    /// Text of a template or phrase: a phrase may begin a sentence.
    fn literal(&mut self, text: &str) {
        let recast = match &mut self.recast {
            Some(recast) if self.span.is_none() => &recast.words(&mut self.rng, text, &self.text),
            _ => text,
        };
        let text = match self.slips {
            percent @ 1.. if self.span.is_none() => &slips::slip(&mut self.rng, percent, recast, &self.text),
            _ => recast,
        };
        if text.starts_with(|c: char| c.is_ascii_lowercase()) && self.span.is_none() && self.at_start() {
            self.push(&text[..1].to_ascii_uppercase());
            return self.push(&text[1..]);
        }
        self.push(text);
    }

    /// A clause with slots that a sentence is made of: as this story has it, see [`recast`](super::recast).
    pub fn clause(&mut self, clause: &str) -> String {
        match &mut self.recast {
            Some(recast) => recast.clause(&mut self.rng, clause),
            None => clause.into(),
        }
    }

    /// Puts what this story has for "the" before what comes next.
    fn vary_article(&mut self) {
        if let Some(recast) = self.recast.as_ref().filter(|_| self.span.is_none()) {
            recast.vary_article(&mut self.rng, &mut self.text);
        }
    }

    /// Something that comes between a question and its answer.
    fn lead(&mut self) {
        if let Some(recast) = self.recast.as_ref().filter(|_| self.at_start()) {
            recast.lead(&mut self.rng, &mut self.text);
        }
    }

    fn slot(&mut self, value: &str) {
        let capital = self.span.is_none() && self.at_start();
        let at = self.text.len();
        self.push(value);
        let at = at + (self.text.len() - at - value.len());
        if capital && value.starts_with(|c: char| c.is_ascii_lowercase()) {
            let upper = value[..1].to_ascii_uppercase();
            self.text.replace_range(at..at + 1, &upper);
        }
    }

    fn at_start(&self) -> bool {
        let text = self.text.as_bytes();
        let text = text.strip_suffix(b"\"").unwrap_or(text);
        if text.len() < self.text.len() && text.ends_with(b", ") {
            return true;
        }
        let text = text.strip_suffix(b" ").or(text.strip_suffix(b"\n")).unwrap_or(text);
        text.is_empty()
            || text.ends_with(b".")
            || text.ends_with(b"!")
            || text.ends_with(b"?")
            || text.ends_with(b".\"")
    }

    fn push(&mut self, words: &str) {
        if let (Some(at), Some(first)) = (self.article, words.trim_start().bytes().next()) {
            self.article = None;
            let vowel = matches!(first.to_ascii_lowercase(), b'a' | b'e' | b'i' | b'o' | b'u');
            if vowel && !words.trim_start().starts_with("unicorn") && words.trim_start() != "one" {
                self.text.insert(at, 'n');
                self.span = self.span.map(|s| if s >= at { s + 1 } else { s });
            }
        }
        self.text.push_str(words);
    }
}
