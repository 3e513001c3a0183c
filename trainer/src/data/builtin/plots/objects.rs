//! Stories about things: lost, shared, swapped, broken, given, found.

use super::super::teller::Teller;
use super::super::words::{FRAGILE, HOMES, SCENES, TOYS, TREASURES};
use super::super::world::Feeling::*;
use super::{anywhere, ending, opening, outdoors};

/// An object is lost in one of two places and found where it was lost.
pub fn lost_and_found(t: &mut Teller) {
    opening(t, HOMES);
    let nouns = t.rng.pick(&[TOYS, TREASURES]);
    t.thing("x", nouns);
    t.own("c", "x");
    t.place("p", SCENES);
    t.place("q", SCENES);
    t.spot("spot", "p");
    t.spot("wrong", "q");
    t.one(&[
        "{c} had a(n) {x}. It was {c.his} favorite thing in the [whole |]world.",
        "{c} loved {c.his} {x} [very much|more than anything]. {c.He} took it everywhere.",
        "For {c.his} birthday {c} had got a(n) {x}[, and {c.he} loved it|]. {c.He} never left it at home.",
    ]);
    t.go("c", "p");
    t.one(&[
        "One [sunny |warm |cold |windy |]morning, {c} [went|walked|ran] to {p} with the {x.noun}.",
        "[In the morning|After breakfast], {c} took the {x.noun} to {p} and [played|sang|danced] there.",
    ]);
    t.lose("c", "x");
    t.go("c", "q");
    t.one(&[
        "Then {c.he} [went|walked] on to {q}.",
        "Later {c} went to {q} to [look at the birds|eat a snack|rest a little|meet a friend].",
    ]);
    t.feel("c", Sad);
    t.one(&[
        "But when {c} [looked down|looked for it], the {x.noun} was gone! {c} was {c.feels}.",
        "There {c.he} saw that {c.his} hands were empty. \"Oh no! Where is my {x.noun}?\" {c} [cried|said]. {c.He} \
            felt {c.feels}.",
    ]);
    t.paragraph();
    t.character("d", "q");
    t.one(&[
        "A(n) {d.kind} named {d} [heard {c.him}|came by]. \"What is wrong?\" asked {d}.",
        "{d}, a(n) {d.trait} {d.kind}, saw {c} and asked, \"Why are you so sad?\"",
    ]);
    t.one(&[
        "\"I lost my {x},\" said {c}. \"I had it in the morning.\"",
        "\"My {x} is gone,\" said {c}. \"I do not know where it is.\"",
    ]);
    t.one(&[
        "\"[Let us|We can] look for it together,\" said {d}.",
        "\"I will help you,\" said {d}. \"Where were you [before|this morning]?\" \"I was {p.at},\" said {c}.",
    ]);
    t.one(&[
        "They looked {wrong}, but it was not there.",
        "First they looked {wrong}. They found [an old shoe|a snail|only dust|a sleepy bug], but no {x.noun}.",
    ]);
    t.go("c", "p");
    t.go("d", "p");
    t.one(&["So they went back to {p}.", "Then they walked back to {p}, step by step."]);
    t.take("d", "x");
    t.one(&[
        "{d} looked {spot}. \"[Here it is|I see it|I found it]!\" {d} [shouted|called].",
        "There, {spot}, {d} saw something [bright|small|familiar]. It was the {x}!",
    ]);
    t.give("d", "c", "x");
    t.befriend("c", "d");
    t.one(&[
        "{d} gave the {x.noun} to {c}. \"Thank you!\" said {c}[ and hugged {d}|].",
        "{d} put the {x.noun} in {c}'s hands. {c} [jumped for joy|thanked {d}].",
    ]);
    let lesson = t.rng.pick(&[
        "two pairs of eyes see more than one",
        "it helps to think about where you have been",
        "a friend makes every search easier",
        "you should look after the things you love",
    ]);
    ending(t, Happy, lesson);
}

/// Two want one toy; they take turns.
pub fn sharing(t: &mut Teller) {
    opening(t, &anywhere());
    t.thing("x", TOYS);
    t.own("c", "x");
    t.character("d", "home");
    t.one(&[
        "{c} had a(n) [new |]{x.noun}. {c.He} played with it all day.",
        "One day, {c} was {home.at} with {c.his} {x}.",
    ]);
    t.one(&[
        "{c.His} friend {d} [came|ran up] and saw the {x.noun}. \"Can I play with it too?\" asked {d}.",
        "{d} the {d.kind} looked at the {x}. \"May I have a turn, please?\" {d.he} asked.",
    ]);
    t.feel("d", Sad);
    t.one(&[
        "\"No! It is mine,\" said {c}, and held the {x.noun} [tight|close].",
        "{c} shook {c.his} head. \"No, you can not,\" {c.he} said.",
    ]);
    t.tell("{d} was {d.feels}[ and sat down alone| and went away a few steps| and began to cry].");
    t.paragraph();
    t.feel("c", Lonely);
    t.one(&[
        "{c} [played|went on playing], but it was [not much fun|no fun at all] alone. {c.He} felt {c.feels}.",
        "After a while {c} grew tired of playing alone. {c.He} looked at {d} and felt {c.feels}.",
    ]);
    t.maybe(50, "{c} thought, \"How would I feel if nobody shared with me?\"");
    t.give("c", "d", "x");
    t.feel("d", Happy);
    t.one(&[
        "So {c} walked over and gave the {x.noun} to {d}. \"Here, it is your turn,\" {c.he} said.",
        "\"I am sorry,\" said {c}. \"You can have it now.\" {c.He} handed {d} the {x.noun}.",
    ]);
    t.tell("{d} was {d.feels}. \"Thank you, {c}!\" {d.he} said.");
    if t.rng.chance(60) {
        t.give("d", "c", "x");
        t.one(&[
            "After [a while|some time], {d} gave it back. \"Now it is your turn again,\" said {d}.",
            "{d} played, and then {d} gave the {x.noun} back to {c}.",
        ]);
        t.one(&[
            "They took turns until [lunch|dinner|the sun went down].",
            "They played all afternoon, one after the other.",
        ]);
    } else {
        t.tell("They made up a new game that needed two players, and it was [great|so much] fun.");
    }
    let lesson = t.rng.pick(&[
        "sharing makes every game more fun",
        "a toy is more fun with a friend",
        "it feels good to share",
        "taking turns is better than playing alone",
    ]);
    ending(t, Happy, lesson);
}

/// Two swap what they have because each needs what the other holds.
pub fn swap(t: &mut Teller) {
    opening(t, &outdoors());
    t.thing("x", TREASURES);
    t.thing("y", TOYS);
    t.own("c", "x");
    t.character("d", "home");
    t.own("d", "y");
    t.tell("{c} had a(n) {x}, but {c.he} [did not need it|had grown tired of it|never used it].");
    t.tell("{c} [wished for|wanted|dreamed of] a(n) {y.noun}.");
    t.one(&[
        "One day {home.at}, {c} met a(n) {d.kind} named {d}. {d} had a(n) {y}.",
        "One [bright|cloudy|fine] day, {d} the {d.kind} came along with a(n) {y}.",
    ]);
    t.one(&[
        "\"What a [fine|lovely|nice] {y.noun}!\" said {c}. \"And I like your {x.noun},\" said {d}.",
        "{d} looked at the {x} and said, \"I have always wanted a(n) {x.noun} like that.\"",
    ]);
    t.paragraph();
    t.one(&[
        "{c} had an idea. \"If you give me the {y.noun}, I will give you the {x.noun},\" {c.he} said.",
        "\"Shall we [swap|trade]?\" asked {c}. \"My {x.noun} for your {y.noun}?\"",
    ]);
    t.tell("{d} thought [for a moment|about it]. \"[Yes|All right|That is fair]!\" said {d}.");
    t.give("c", "d", "x");
    t.give("d", "c", "y");
    t.one(&[
        "So {c} gave the {x.noun} to {d}, and {d} gave the {y.noun} to {c}.",
        "First {c} gave {d} the {x.noun}. Then {d} gave {c} the {y.noun}.",
    ]);
    t.feel("d", Happy);
    t.one(&["Now {d} had the {x}, and {c} had the {y}.", "Now the {x.noun} was {d}'s, and the {y.noun} was {c}'s."]);
    t.tell("{d} was {d.feels}[ and skipped away| and waved|].");
    t.befriend("c", "d");
    let lesson = t.rng.pick(&[
        "a fair trade makes two people happy",
        "what you do not need can be a treasure for a friend",
        "it is good to ask before you take",
    ]);
    ending(t, Happy, lesson);
}

/// Something breaks; the one who did it says so and helps to mend it.
pub fn broken_and_sorry(t: &mut Teller) {
    opening(t, HOMES);
    t.grown_up("g", "home");
    t.thing("x", FRAGILE);
    t.lie("x", "home");
    t.one(&[
        "{g} had a(n) {x}. It stood {home.at}, and {g} loved it [very much|dearly].",
        "{home.at} there was a(n) {x} that belonged to {g}.",
    ]);
    t.one(&["\"Please do not run near the {x.noun},\" {g} always said.", "{g} had told {c} to be careful near it."]);
    t.break_thing("x");
    t.one(&[
        "But one day {c} was [running|dancing|jumping|throwing a ball] {home.at}. Crash! The {x.noun} fell and broke.",
        "One afternoon {c} [spun around and around|chased a fly|kicked a ball], and bump! The {x.noun} fell down and \
            broke.",
    ]);
    t.feel("c", Scared);
    t.one(&["{c} was {c.feels}. \"What will {g} say?\" {c.he} thought.", "{c} felt {c.feels}. {c.He} wanted to hide."]);
    t.paragraph();
    let honest_at_once = t.rng.chance(60);
    if honest_at_once {
        t.tell("But {c} [took a deep breath|did not hide] and went to find {g}.");
    } else {
        t.tell("{c} hid the pieces under [the rug|a pillow|a blanket]. But all day {c.his} tummy [hurt|felt bad].");
        t.tell("In the evening {c} could not [wait|keep it in] any longer.");
    }
    t.feel("c", Sorry);
    t.one(&[
        "\"I broke your {x.noun},\" said {c}. \"I am [so|very] sorry.\"",
        "\"It was me,\" said {c}. \"I was not careful, and your {x.noun} broke. I am sorry.\"",
    ]);
    t.one(&[
        "{g} [was quiet for a moment|looked at the pieces], and then gave {c} a hug. \"Thank you for telling me the \
            truth,\" said {g}.",
        "{g} was a little sad, but not angry. \"It was [brave|good] of you to tell me,\" {g.he} said.",
    ]);
    t.mend("c", "x");
    t.one(&[
        "Together they got some glue, and {c} [helped to put|put] the pieces back, one by one. Soon the {x.noun} was \
            whole again.",
        "\"Let us fix it,\" said {g}. {c} held the pieces, {g} put on the glue, and soon the {x.noun} looked almost \
            new.",
    ]);
    let lesson = t.rng.pick(&[
        "it is better to tell the truth",
        "everyone makes mistakes, and saying sorry helps",
        "a mistake can be mended when you own up to it",
        "you should be careful with the things others love",
    ]);
    ending(t, Happy, lesson);
}

/// A present is made or bought, and given.
pub fn gift(t: &mut Teller) {
    opening(t, HOMES);
    t.grown_up("g", "home");
    t.place("p", &outdoors());
    t.thing("x", TREASURES);
    t.one(&[
        "Tomorrow was {g}'s birthday, and {c} had no [present|gift] yet.",
        "{g} had a birthday, and {c} wanted to give {g.him} something [special|nice].",
    ]);
    t.feel("c", Sad);
    t.tell("{c} had no money, so {c.he} was {c.feels}. [Then {c.he} had an idea.|What could {c.he} do?]");
    t.go("c", "p");
    if t.rng.chance(50) {
        t.make("c", "x");
        t.tell(
            "{c} went to {p} and picked up [leaves and twigs|bright little stones|pieces of bark|soft grass and \
            string].",
        );
        t.tell("{c.He} worked [for hours|all afternoon|very hard], and at last {c.he} had made a(n) {x}.");
    } else {
        t.spot("spot", "p");
        t.lie("x", "p");
        t.take("c", "x");
        t.tell(
            "{c} went to {p} to think. There, {spot}, lay a(n) {x}. {c} asked everyone {p.at}, but it belonged to \
            nobody.",
        );
        t.tell("So {c} took it and [cleaned|washed|polished] it until it was [bright|as good as new].");
    }
    t.paragraph();
    t.go("c", "home");
    t.tell("Back {home.at}, {c} put the {x.noun} in a box and tied it with a [red|blue|green|yellow] ribbon.");
    t.give("c", "g", "x");
    t.feel("g", Happy);
    t.one(&[
        "[The next morning|After dinner], {c} gave the box to {g}. \"Happy birthday!\" {c.he} said.",
        "\"This is for you,\" said {c}, and gave the box to {g}.",
    ]);
    t.one(&[
        "{g} opened it and smiled. \"A(n) {x.noun}! It is [just what I wanted|beautiful|perfect],\" said {g}.",
        "{g} was {g.feels}. \"I will keep this {x.noun} for ever,\" {g.he} said.",
    ]);
    let lesson = t.rng.pick(&[
        "the best gifts come from the heart",
        "a gift does not need to cost much",
        "making someone else happy makes you happy too",
    ]);
    ending(t, Proud, lesson);
}

/// Something is found, its owner is found, and honesty is thanked.
pub fn finders_choice(t: &mut Teller) {
    opening(t, HOMES);
    t.place("p", SCENES);
    t.thing("x", TREASURES);
    t.lie("x", "p");
    t.spot("spot", "p");
    t.go("c", "p");
    t.tell("One [day|morning|afternoon], {c} was {p.at}[ all alone|].");
    t.take("c", "x");
    t.one(&[
        "{c.He} saw something {spot}. It was a(n) {x}! {c} picked it up.",
        "{spot}, {c.he} found a(n) {x}. {c} picked it up and [looked at it|turned it around].",
    ]);
    t.one(&[
        "\"It is so pretty,\" thought {c}. \"I want to keep it.\"",
        "{c} put it in {c.his} pocket. \"Finders keepers,\" {c.he} [whispered|said].",
    ]);
    t.character("d", "p");
    t.feel("d", Sad);
    t.one(&[
        "Then {c} heard someone crying. It was a(n) {d.kind} named {d}.",
        "Soon a(n) {d.kind} named {d} came by, looking at the ground. {d.He} was {d.feels}.",
    ]);
    t.tell("\"I lost my {x.noun},\" said {d}. \"It was a gift from my [grandma|grandpa|best friend|sister|brother].\"");
    t.paragraph();
    t.tell(
        "{c} [thought hard|felt the {x.noun} in {c.his} hand|was quiet]. {c.He} wanted to keep it, but it was not \
        {c.his} own.",
    );
    t.give("c", "d", "x");
    t.feel("d", Happy);
    t.one(&[
        "\"Is this it?\" asked {c}, and gave the {x.noun} to {d}.",
        "{c} held out the {x.noun}. \"I found it {spot},\" {c.he} said, and gave it to {d}.",
    ]);
    t.tell("\"Yes! Thank you[ so much|]!\" said {d}. {d.He} was {d.feels}.");
    t.befriend("c", "d");
    t.one(&[
        "{d} asked {c} to [play|come to lunch|race to the gate], and soon they were friends.",
        "They [played|talked|walked home] together and became [good|best] friends.",
    ]);
    let lesson = t.rng.pick(&[
        "it is right to give back what belongs to someone else",
        "a new friend is worth more than any treasure",
        "being honest feels better than keeping what is not yours",
    ]);
    ending(t, Happy, lesson);
}
