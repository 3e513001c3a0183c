//! The plot families: each decides what happens and asks the teller to put it into words.

mod objects;
mod people;
mod tasks;

use super::teller::Teller;
use super::words::{HOMES, SCENES, Scene};
use super::world::Feeling;

pub type Plot = fn(&mut Teller);

pub const ALL: &[Plot] = &[
    objects::lost_and_found,
    objects::sharing,
    objects::swap,
    objects::broken_and_sorry,
    objects::gift,
    objects::finders_choice,
    people::animal_in_trouble,
    people::new_friend,
    people::being_brave,
    people::hide_and_seek,
    people::truth,
    people::teamwork,
    tasks::cooking,
    tasks::building,
    tasks::spoiled_plan,
    tasks::rule,
    tasks::counting,
    tasks::practice,
];

/// Brings the main character "c" into the story at the new place "home".
fn opening(t: &mut Teller, from: &[Scene]) {
    t.place("home", from);
    t.character("c", "home");
    t.one(&[
        "[Once upon a time|Long ago|Once], there [was|lived] a(n) [little |small |young |]{c.kind} named {c}. \
         {c} was [very |always |]{c.trait}.",
        "[Once upon a time|Once], there was a(n) {c.trait} {c.kind} [named|called] {c}.",
        "{c} was a(n) {c.trait} [little|young|small] {c.kind}[| who loved [spring|summer|autumn|winter|sunny days|long \
            walks|stories]| who liked to laugh| with a big smile].",
        "[There once was|In a small town lived|Far away, near the sea, lived] a(n) {c.trait} {c.kind}. {c.His} name \
            was {c}.",
    ]);
}

/// Ends with `feeling` and what was learned.
fn ending(t: &mut Teller, feeling: Feeling, lesson: &str) {
    t.feel("c", feeling);
    t.learn("c");
    t.one(&[
        "{c} [felt|was] {c.feels}.",
        "{c} went to bed {c.feels} that [night|evening].",
        "At the end of the day, {c} [felt|was] {c.feels}.",
        "{c} was {c.feels}, and {c.he} [smiled all the way home|laughed|sang a little song].",
    ]);
    t.word("lesson", lesson);
    t.one(&[
        "[That day|From that day on], {c} [knew|remembered] that {lesson}.",
        "{c} had learned that {lesson}.",
        "[After that|From then on], {c} never forgot that {lesson}.",
        "[And so|In the end] {c} learned that {lesson}.",
    ]);
}

fn outdoors() -> Vec<Scene> {
    SCENES.iter().filter(|s| s.outdoors).copied().collect()
}

fn anywhere() -> Vec<Scene> {
    SCENES.iter().chain(HOMES).copied().collect()
}
