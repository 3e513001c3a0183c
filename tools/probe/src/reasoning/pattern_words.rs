//! The sentences of pattern stories.
//!
//! `{n}` is who makes the pattern, `{seq}` its elements so far, `{e}` one element, `{v}` the answer, `{p}` the element
//! before it.

use super::lexicon::Lexicon;

/// What a pattern is made of, and how it is told.
pub struct Theme {
    pub list: fn(&Lexicon) -> &'static [&'static str],
    /// Told as a list: ends before the full stop.
    pub row: &'static [&'static str],
    /// Told in sentences: the first and every other. In a question `{e}` is the answer.
    pub steps: &'static [(&'static str, &'static str)],
}

/// The sentences of one split.
pub struct Wording {
    pub themes: &'static [Theme],
    /// Whose turn is it? Elements are names.
    pub turns: Theme,
    pub turn: &'static [&'static str],
    /// What comes next, when one pattern is told of.
    pub next: &'static [&'static str],
    /// The same, asked again.
    pub again: &'static [&'static str],
    /// What comes next in the pattern of `{n}`.
    pub next_of: &'static [&'static str],
    /// What comes after `{p}`?
    pub after: &'static [&'static str],
    pub numbers: &'static [&'static str],
    pub count: Theme,
    /// `{n}` gets two things of a kind: `{g}` `{x}` and `{g}` `{y}`; the answer is `{g}`.
    pub both: &'static [&'static str],
    /// When `{n}` says `{x}`, `{m}` says `{y}`.
    pub pair: &'static [&'static str],
    pub pair_question: &'static [&'static str],
    /// `{m}` gets the same as `{n}`.
    pub copy: &'static [&'static str],
    pub copy_question: &'static [&'static str],
}

fn colours(l: &Lexicon) -> &'static [&'static str] {
    l.colours
}
fn sounds(l: &Lexicon) -> &'static [&'static str] {
    l.sounds
}
fn steps(l: &Lexicon) -> &'static [&'static str] {
    l.steps
}
fn animals(l: &Lexicon) -> &'static [&'static str] {
    l.animals
}
fn objects(l: &Lexicon) -> &'static [&'static str] {
    l.objects
}
fn foods(l: &Lexicon) -> &'static [&'static str] {
    l.foods
}
fn clothes(l: &Lexicon) -> &'static [&'static str] {
    l.clothes
}
fn shapes(l: &Lexicon) -> &'static [&'static str] {
    l.shapes
}
fn materials(l: &Lexicon) -> &'static [&'static str] {
    l.materials
}
fn places(l: &Lexicon) -> &'static [&'static str] {
    l.places
}

pub const TRAIN: Wording = Wording {
    themes: &[
        Theme {
            list: colours,
            row: &[
                "{n} put beads on a string: {seq}",
                "{n} painted the boards of the fence: {seq}",
                "{n} made a row of beads. The colors were {seq}",
                "The lights changed like this: {seq}",
                "{n} drew lines: {seq}",
                "In the row there were flowers: {seq}",
                "The colors go {seq}",
                "Pattern: {seq}",
                "{n} saw a pattern of colors: {seq}",
            ],
            steps: &[
                ("The first bead was {e}.", "The next bead was {e}."),
                ("First {n} drew a(n) {e} line.", "Then {n} drew a(n) {e} line."),
                ("The first flower was {e}.", "The next one was {e}."),
            ],
        },
        Theme {
            list: sounds,
            row: &[
                "{n} made funny sounds: {seq}",
                "The machine went {seq}",
                "{n} said, {seq}",
                "There was a strange sound: {seq}",
                "The sounds were {seq}",
                "{n} sang a silly song: {seq}",
            ],
            steps: &[
                ("First {n} heard a(n) {e}.", "Then {n} heard a(n) {e}."),
                ("The toy went {e}.", "Then it went {e}."),
            ],
        },
        Theme {
            list: steps,
            row: &[
                "{n} danced: {seq}",
                "The dance goes like this: {seq}",
                "The steps of the game were {seq}",
                "\"Do as I do,\" said {n}. {seq}",
                "{n} moved like this: {seq}",
                "They played a game: {seq}",
            ],
            steps: &[("The first step is {e}.", "The next step is {e}."), ("First they {e}.", "Then they {e}.")],
        },
        Theme {
            list: animals,
            row: &[
                "The animals stood in a row: {seq}",
                "{n} drew animals: {seq}",
                "{n} put toy animals in a line: {seq}",
                "Animals came by one after another: {seq}",
                "In the picture there was a row of animals: {seq}",
            ],
            steps: &[
                ("First came the {e}.", "Then came the {e}."),
                ("{n} drew a(n) {e} first.", "Next {n} drew the {e}."),
                ("The first in line was the {e}.", "Behind it was the {e}."),
            ],
        },
        Theme {
            list: objects,
            row: &[
                "{n} put toys in a row: {seq}",
                "{n} laid things on the table: {seq}",
                "On the wall {n} saw pictures: {seq}",
                "{n} drew these things: {seq}",
                "{n} asked for these things, one after another: {seq}",
            ],
            steps: &[
                ("First {n} took the {e}.", "Then {n} took the {e}."),
                ("{n} drew the {e} first.", "Next {n} drew the {e}."),
            ],
        },
        Theme {
            list: foods,
            row: &[
                "{n} ate every day: {seq}",
                "{n} made a plan for lunch: {seq}",
                "For dinner they had, day by day, {seq}",
                "{n} fed the baby: {seq}",
            ],
            steps: &[
                ("On the first day {n} ate {e}.", "The next day {n} ate {e}."),
                ("First {n} tasted some {e}.", "Then {n} tasted some {e}."),
                ("On the first day they had {e} for lunch.", "The day after, they had {e}."),
            ],
        },
        Theme {
            list: clothes,
            row: &[
                "{n} hung up the clothes: {seq}",
                "{n} put clothes in a row: {seq}",
                "On the line there were clothes: {seq}",
            ],
            steps: &[("On the first day {n} wore the {e}.", "The next day {n} wore the {e}.")],
        },
        Theme {
            list: shapes,
            row: &["{n} drew shapes: {seq}", "The shapes on the wall were {seq}", "{n} cut out shapes: {seq}"],
            steps: &[("First {n} drew a(n) {e}.", "Then {n} drew a(n) {e}.")],
        },
        Theme {
            list: materials,
            row: &["{n} put blocks in a row: {seq}", "The balls in the row were {seq}", "{n} lined up the eggs: {seq}"],
            steps: &[("The first ball was {e}.", "The next ball was {e}.")],
        },
        Theme {
            list: places,
            row: &["{n} went for a walk every day: {seq}", "Each day {n} played somewhere: {seq}"],
            steps: &[
                ("On the first day {n} went to the {e}.", "The next day {n} went to the {e}."),
                ("First the bus stopped at the {e}.", "Then the bus stopped at the {e}."),
            ],
        },
    ],
    turns: Theme {
        list: places,
        row: &[
            "They took turns: {seq}",
            "The children jumped in turn: {seq}",
            "It went on like this: {seq}",
            "Everyone had a turn: {seq}",
            "They threw the dice in turn: {seq}",
        ],
        steps: &[
            ("First it was the turn of {e}.", "Then it was the turn of {e}."),
            ("{e} threw the ball.", "Then the ball was thrown by {e}."),
            ("The first to read was {e}.", "After that, the one to read was {e}."),
        ],
    },
    turn: &[
        "Whose turn is it now? <{v}>.",
        "Who is next? <{v}>.",
        "Who comes next? It is <{v}>.",
        "Now it was the turn of <{v}>.",
        "The next turn was for <{v}>.",
        "Question: Whose turn is it? Answer: <{v}>.",
        "\"Who is next?\" asked {s}. \"<{v}> is next,\" said {t}.",
        "\"It is your turn, <{v}>,\" said {s}.",
        "So the next one was <{v}>.",
    ],
    next: &[
        "What comes next? <{v}>.",
        "What comes next? <{v}>.",
        "What came next? <{v}>.",
        "What is next? It is <{v}>.",
        "Next came <{v}>.",
        "After that came <{v}>.",
        "The next one was <{v}>.",
        "Question: What comes next? Answer: <{v}>.",
        "Q: What is next? A: <{v}>.",
        "Question: What comes next?\nAnswer: <{v}>.",
        "\"What comes next?\" asked {s}. \"It is <{v}>,\" said {t}.",
        "\"Do you know what comes next?\" asked {s}. \"Yes, <{v}>,\" said {n}.",
        "{n} knew what came next: <{v}>.",
        "Can you guess the next one? <{v}>.",
        "The pattern goes on with <{v}>.",
        "So the next must be <{v}>.",
        "{n} thought about the pattern and said, \"<{v}>.\"",
    ],
    again: &[
        "And then? <{v}>.",
        "And after that? <{v}>.",
        "What comes after that? <{v}>.",
        "And next? <{v}>.",
        "After that came <{v}>.",
        "Then it was <{v}>.",
        "\"And then?\" asked {s}. \"It is <{v}>,\" said {t}.",
    ],
    next_of: &[
        "{n} went on: <{v}>.",
        "What comes next for {n}? <{v}>.",
        "{n} knew what came next: <{v}>.",
        "What does {n} need next? <{v}>.",
        "The next one of {n} was <{v}>.",
        "Question: How does {n} go on? Answer: <{v}>.",
        "\"What comes next, {n}?\" asked {s}. \"It is <{v}>,\" said {n}.",
        "The pattern of {n} goes on with <{v}>.",
    ],
    after: &[
        "What comes after {p}? <{v}>.",
        "After {p} comes <{v}>.",
        "Every time, after {p} came <{v}>.",
        "Question: What always follows {p}? Answer: <{v}>.",
        "\"What comes after {p}?\" asked {s}. \"It is <{v}>,\" said {t}.",
        "{n} saw that {p} was always followed by <{v}>.",
        "If this one is {p}, the next is <{v}>.",
        "Right after {p} there is always <{v}>.",
    ],
    numbers: &["one", "two", "three", "four", "five", "six", "seven"],
    count: Theme {
        list: colours,
        row: &[
            "{n} counted: {seq}",
            "{n} counted the steps: {seq}",
            "{n} wrote down numbers: {seq}",
            "The numbers are {seq}",
            "{n} said, {seq}",
            "They counted together: {seq}",
            "{n} jumped and counted: {seq}",
        ],
        steps: &[
            ("On the first day {n} counted flowers, and the number was {e}.", "The next day the number was {e}."),
            ("First {n} made a tower of {e} blocks, all in a pile.", "Then {n} made a tower of {e} blocks."),
            ("The first number was {e}.", "The next number was {e}."),
        ],
    },
    both: &[
        "{n} has a {g} {x} and a <{g}> {y}.",
        "{n} got a {g} {x} and a <{g}> {y}.",
        "{n} has a {g} {x} and {his} {y} is <{g}>.",
        "The {x} of {n} is {g}. The {y} of {n} is <{g}>.",
        "{n} drew a {g} {x} and a <{g}> {y}.",
        "{n} wanted a {g} {x}, and a <{g}> {y} too.",
        "If the {x} of {n} is {g}, then the {y} of {n} is <{g}>.",
        "{n} came with a {g} {x}. {He} had a <{g}> {y} as well.",
    ],
    pair: &[
        "When {n} said {x}, {m} said <{y}>.",
        "{n} said {x}. {m} said <{y}>.",
        "{n} shouted {x}, and {m} shouted <{y}>.",
        "First {n} said {x} and then {m} said <{y}>.",
        "If {n} said {x}, {m} said <{y}>.",
        "{n} drew {x}. {m} drew <{y}>.",
        "{x} goes with <{y}>.",
        "{x} - <{y}>.",
    ],
    pair_question: &["Again {n} said {x}. So {m} said <{y}>."],
    copy: &[
        "{n} got the {x}, so {m} got the {x}, too.",
        "{n} drew the {x}. {m} drew the {x}, too.",
        "When {n} looked at the {x}, {m} looked at the {x}.",
        "{n} wanted the {x}. Then {m} wanted the {x}.",
        "{n} said, \"I like the {x}.\" {m} said, \"I like the {x}.\"",
        "First {n} touched the {x} and then {m} touched the {x}.",
    ],
    copy_question: &[
        "{n} got the {x}, so {m} got the <{x}>, too.",
        "{n} drew the {x}. {m} drew the <{x}>, too.",
        "When {n} looked at the {x}, {m} looked at the <{x}>.",
        "{n} wanted the {x}. Then {m} wanted the <{x}>.",
        "{n} said, \"I like the {x}.\" {m} said, \"I like the <{x}>.\"",
        "First {n} touched the {x} and then {m} touched the <{x}>.",
    ],
};

pub const TEST: Wording = Wording {
    themes: &[
        Theme {
            list: colours,
            row: &[
                "{n} wove a long band: {seq}",
                "The tiles on the floor were {seq}",
                "{n} chose a color every day: {seq}",
                "The stripes went {seq}",
            ],
            steps: &[("One tile was {e}.", "Beside it was a tile that was {e}.")],
        },
        Theme {
            list: sounds,
            row: &["An odd noise came: {seq}", "{n} played noises: {seq}", "The old engine made {seq}"],
            steps: &[("One noise was {e}.", "It was followed by {e}.")],
        },
        Theme {
            list: steps,
            row: &["Follow the leader: {seq}", "{n} taught them how to move: {seq}", "Everyone did it together: {seq}"],
            steps: &[("To begin, {n} said {e}.", "Following that, {n} said {e}.")],
        },
        Theme {
            list: animals,
            row: &[
                "{n} saw a parade: {seq}",
                "{n} cut animals out of felt: {seq}",
                "The little animals waited in line: {seq}",
            ],
            steps: &[("At the front was a(n) {e}.", "It was followed by the {e}.")],
        },
        Theme {
            list: objects,
            row: &[
                "{n} arranged things in order: {seq}",
                "{n} packed, one by one: {seq}",
                "{n} hung up things in a line: {seq}",
            ],
            steps: &[("To begin, {n} packed the {e}.", "Following that, {n} packed the {e}.")],
        },
        Theme {
            list: foods,
            row: &["{n} served in this order: {seq}", "The menu of the week was {seq}"],
            steps: &[("To begin the week, {n} had {e}.", "A day later {n} had {e}.")],
        },
    ],
    turns: Theme {
        list: places,
        row: &[
            "They went down the slope one by one: {seq}",
            "The order was {seq}",
            "The leaders were, in order, {seq}",
        ],
        steps: &[("To begin, the leader was {e}.", "Following that, the leader was {e}.")],
    },
    turn: &[
        "Who has to follow? <{v}>.",
        "Tell me who must go now. <{v}>.",
        "The person to follow was <{v}>.",
        "\"Your go, <{v}>!\" said {s}.",
    ],
    next: &[
        "Tell me what must follow. <{v}>.",
        "Which one should follow now? <{v}>.",
        "To continue the order, choose <{v}>.",
        "\"How does it continue?\" said {s}. \"With <{v}>,\" {n} replied.",
        "It can only continue with <{v}>.",
    ],
    again: &[
        "And following that? <{v}>.",
        "It continues with <{v}>.",
        "Afterwards? <{v}>.",
        "The following one: <{v}>.",
    ],
    next_of: &[
        "Tell me how {n} must continue. <{v}>.",
        "{n} continued with <{v}>.",
        "\"How will you continue, {n}?\" said {s}. \"With <{v}>,\" {n} replied.",
        "The order of {n} continues with <{v}>.",
    ],
    after: &[
        "Tell me what stands behind each {p}. <{v}>.",
        "Which one is behind {p} in the order? <{v}>.",
        "In this order, {p} leads to <{v}>.",
        "\"What do you choose when you have just had {p}?\" said {s}. \"I choose <{v}>,\" {n} replied.",
    ],
    numbers: &[
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
        "twenty",
    ],
    count: Theme {
        list: colours,
        row: &[
            "{n} read the numbers aloud: {seq}",
            "The pages were {seq}",
            "The house numbers in the street were {seq}",
        ],
        steps: &[("To begin, {n} had a score of {e}.", "Following that, the score was {e}.")],
    },
    both: &[
        "For {n}, the {x} is {g} and the {y} is <{g}>.",
        "{n} owns a {g} {x}, so the {y} is <{g}>.",
        "{n} chose a {g} {x} along with a <{g}> {y}.",
        "Along with a {g} {x}, {n} bought a <{g}> {y}.",
    ],
    pair: &[
        "{n} called out {x} and {m} replied <{y}>.",
        "To {x}, {m} always replied <{y}>.",
        "Whenever {x} was read by {n}, {m} read <{y}>.",
        "For {x}, the partner is <{y}>.",
    ],
    pair_question: &["Once more {n} called out {x}, and {m} replied <{y}>."],
    copy: &[
        "{n} bought the {x}. {m} bought the {x} as well.",
        "{n} chose the {x}, and {m} chose the {x} likewise.",
        "{n} pointed to the {x}, and so {m} pointed to the {x}.",
        "As {n} cleaned the {x}, {m} cleaned the {x}.",
    ],
    copy_question: &[
        "{n} bought the {x}. {m} bought the <{x}> as well.",
        "{n} chose the {x}, and {m} chose the <{x}> likewise.",
        "{n} pointed to the {x}, and so {m} pointed to the <{x}>.",
        "As {n} cleaned the {x}, {m} cleaned the <{x}>.",
    ],
};
