//! Stories about others: helping, meeting, being brave, playing, telling the truth, working together.

use super::super::teller::Teller;
use super::super::words::{FEARS, HOMES, SCENES, TOYS, TROUBLES};
use super::super::world::Feeling::*;
use super::{anywhere, ending, opening, outdoors};

pub fn animal_in_trouble(t: &mut Teller) {
    opening(t, HOMES);
    t.grown_up("g", "home");
    t.place("p", &outdoors());
    let [animal, trouble, help, how] = t.rng.pick(TROUBLES);
    t.word("animal", animal);
    t.word("trouble", trouble);
    t.word("how", how);
    t.plain_thing("help", help);
    t.go("c", "p");
    t.one(&[
        "One day {c} was walking {p.at} when {c.he} heard a [small|sad|strange|soft] sound.",
        "[After school|In the afternoon|Early in the morning], {c} went to {p}. Something was making a [sad|tiny] \
            noise.",
    ]);
    t.tell("It was a(n) [little |baby |small |]{animal}. The {animal} {trouble}.");
    t.feel("c", Sad);
    t.one(&[
        "\"[Poor|Oh, poor] little {animal},\" said {c}. \"I want to help you.\" {c.He} was {c.feels}.",
        "{c} felt {c.feels} for the {animal}. \"Do not be afraid,\" {c.he} whispered.",
    ]);
    if t.rng.chance(60) {
        t.tell("{c} tried to help with {c.his} bare hands, but it did not work. The {animal} was too [afraid|scared].");
    }
    t.paragraph();
    t.go("c", "home");
    t.own("g", "help");
    t.tell("So {c} ran home to {g}. \"There is a(n) {animal} {p.at}, and it needs help!\" {c.he} [said|cried].");
    t.give("g", "c", "help");
    t.tell("\"Then we need {help},\" said {g}, and gave {c} what {c.he} needed.");
    t.go("c", "p");
    t.go("g", "p");
    t.one(&["They hurried back to {p}.", "Quickly they went back together."]);
    t.one(&[
        "{c} spoke softly and {how}. [The {animal} was safe|It worked|Now all was well]!",
        "\"Slowly now,\" said {g}. {c} {how}.",
    ]);
    t.one(&[
        "The {animal} looked at {c} [with bright eyes|for a long time], as if to say thank you.",
        "Soon the {animal} was [well|happy] again, and it [came close to {c}|made a happy sound].",
    ]);
    t.maybe(50, "The next day, {c} went back to {p}, and the {animal} was [waiting there|there with its family].");
    let lesson = t.rng.pick(&[
        "even small hands can be a big help",
        "it is good to ask for help",
        "being kind to animals is important",
        "you have to be gentle with those who are afraid",
    ]);
    ending(t, Proud, lesson);
}

pub fn new_friend(t: &mut Teller) {
    opening(t, HOMES);
    t.place("p", SCENES);
    t.go("c", "p");
    t.feel("c", Lonely);
    t.one(&[
        "{c} had just moved to a new [town|street|house] and did not know anyone. {c.He} felt {c.feels}.",
        "All of {c}'s friends were away. {c} went to {p} and felt {c.feels}.",
    ]);
    t.thing("x", TOYS);
    t.own("c", "x");
    t.character("d", "p");
    t.tell("One [day|morning], {c} sat {p.at} with {c.his} {x}.");
    t.feel("d", Lonely);
    t.one(&[
        "A(n) {d.kind} sat there too, all alone. \"{d.He} looks like me,\" thought {c}.",
        "Not far away, a(n) {d.trait} {d.kind} was kicking little stones. Nobody was playing with {d.him}.",
    ]);
    t.tell("{c} was [shy|a bit afraid]. \"What if {d.he} does not like me?\" {c.he} thought.");
    t.paragraph();
    t.one(&[
        "But then {c} stood up and walked over. \"Hi! I am {c}. What is your name?\"",
        "But {c} took a big breath and said, \"Hello, my name is {c}. Do you want to play?\"",
    ]);
    t.feel("d", Happy);
    t.one(&[
        "\"I am {d},\" said the {d.kind} with a [big |shy |]smile.",
        "The {d.kind} looked up. \"I am {d}. I would love to play!\"",
    ]);
    t.give("c", "d", "x");
    t.tell("{c} let {d} [play with|try] the {x.noun}. {d} was {d.feels}.");
    t.befriend("c", "d");
    t.one(&[
        "They [ran|laughed|sang] and told [jokes|stories|secrets] until it was time to go home.",
        "They found out that they both liked [apples|frogs|blue|songs|snow|the moon] best.",
    ]);
    t.give("d", "c", "x");
    t.tell("{d} gave the {x.noun} back to {c}. \"[See you|Let us meet here again] tomorrow!\" said {d}.");
    let lesson = t.rng.pick(&[
        "a friend can begin with one hello",
        "others may be just as shy as you",
        "saying hello is worth a little courage",
    ]);
    ending(t, Happy, lesson);
}

pub fn being_brave(t: &mut Teller) {
    opening(t, &anywhere());
    let [fear, reason, truth] = t.rng.pick(FEARS);
    t.word("fear", fear);
    t.word("reason", reason);
    t.word("truth", truth);
    if t.rng.chance(50) {
        t.grown_up("d", "home");
    } else {
        t.character("d", "home");
    }
    t.feel("c", Scared);
    t.one(&[
        "There was one thing {c} did not like: {fear}.",
        "{c} was not afraid of [spiders|mice|snakes|storms at sea]. But {c} was afraid of {fear}.",
    ]);
    t.tell("[It was bad because|You see,] {reason}.");
    t.tell("But one [day|morning|evening] there was no way around it.");
    t.one(&[
        "\"I [can not|will not] do it,\" said {c}. {c.He} was {c.feels}.",
        "{c}'s [knees|hands|legs] shook, and {c.he} wanted to [run away|go home|hide].",
    ]);
    t.paragraph();
    t.one(&[
        "\"I was afraid of {fear} too, once,\" said {d}. \"Hold my hand and count to three.\"",
        "{d} sat down next to {c}. \"Being brave does not mean that you are not afraid,\" {d.he} said. \"It means that \
            you try.\"",
        "{d} smiled. \"If we go together, it will only be half as bad,\" said {d}.",
    ]);
    t.one(&[
        "{c} [took|held] {d}'s hand. One, two, three!",
        "{c} closed {c.his} eyes, thought of something [nice|funny|warm], and took one small step. Then {c.he} took \
            another one.",
    ]);
    t.feel("c", Proud);
    t.tell("And [look|what a surprise|guess what]! {truth}.");
    t.one(&[
        "\"I did it!\" [shouted|cried] {c}. {d} clapped.",
        "\"That was not so bad,\" said {c}, and {c.he} began to [laugh|smile].",
    ]);
    t.maybe(60, "{c} [even wanted to|asked if they could] do it [again|once more].");
    let lesson = t.rng.pick(&[
        "being brave means trying even when you are afraid",
        "many things look worse than they are",
        "a friend makes fear smaller",
        "one small step is how every brave thing starts",
    ]);
    ending(t, Proud, lesson);
}

pub fn hide_and_seek(t: &mut Teller) {
    opening(t, &anywhere());
    t.character("d", "home");
    t.character("e", "home");
    let scene_spots = t.spots("home");
    t.word("one", scene_spots[0]);
    t.word("two", scene_spots[1]);
    t.word("three", scene_spots[2]);
    t.tell("One day {c} and {c.his} friends {d} and {e} were {home.at}. \"Let us play hide and seek!\" said {d}.");
    t.tell("{c} covered {c.his} eyes and counted to [five|ten|eight|seven].");
    t.tell("{d} hid {one}. {e} hid {two}[, and kept as quiet as a mouse|].");
    t.paragraph();
    t.tell("\"Ready or not, here I come!\" [called|shouted] {c}.");
    t.tell("{c} looked {three}, but nobody was there.");
    if t.rng.chance(50) {
        t.tell("Then {c} looked {one}. \"I found you, {d}!\" [laughed|said] {c}.");
        t.feel("c", Sad);
        t.tell(
            "But where was {e}? {c} looked [high and low|everywhere] and felt {c.feels}. \"Maybe {e} went home,\" \
            {c.he} said.",
        );
        t.tell("Then something {two} [sneezed|giggled|moved]. \"There you are, {e}!\" said {c}.");
    } else {
        t.tell("Then {c} looked {two}. \"I found you, {e}!\" [laughed|said] {c}.");
        t.feel("c", Sad);
        t.tell(
            "But where was {d}? {c} looked [high and low|everywhere] and felt {c.feels}. \"I give up,\" {c.he} said.",
        );
        t.tell(
            "Then a [small|happy] voice came from {c.his} left. {d} was still {one}! \"You walked past me \
            [two|three] times,\" said {d}.",
        );
    }
    t.tell("They all laughed [and laughed|until their tummies hurt]. Next it was {d}'s turn to [count|look].");
    let lesson = t.rng.pick(&[
        "it pays to look everywhere before you give up",
        "listening can help as much as looking",
        "games are best with friends",
    ]);
    ending(t, Happy, lesson);
}

pub fn truth(t: &mut Teller) {
    opening(t, HOMES);
    t.grown_up("g", "home");
    let treat = t.rng.pick(&["cake", "pie", "jam", "chocolate", "pudding", "bread", "honey"]);
    t.plain_thing("x", treat);
    t.own("g", "x");
    t.place("p", &outdoors());
    t.tell(
        "{g} made some {x}. \"Please do not eat it yet,\" said {g}. \"It is for [the party|tonight|our \
        guests|everyone].\"",
    );
    t.put("g", "x");
    t.go("g", "p");
    t.tell("{g} put the {x} on the table and went to {p}.");
    t.take("c", "x");
    t.one(&[
        "The {x} smelled so good. {c} took a tiny bite. Then {c.he} took one more, and soon it was all gone.",
        "{c} looked at the {x}. \"Only a little bit,\" {c.he} thought. But {c.he} could not stop, and {c.he} ate it \
            all.",
    ]);
    t.use_up("c", "x");
    t.go("g", "home");
    t.feel("g", Sad);
    t.tell("When {g} came back, {g.he} looked at the empty plate. \"Who ate the {x}?\" {g.he} asked.");
    t.paragraph();
    t.feel("c", Scared);
    let lie = t.rng.pick(&["the cat", "a bird", "the dog", "a mouse", "the wind"]);
    t.word("lie", lie);
    t.tell(
        "{c} was {c.feels}. \"It was {lie},\" {c.he} said. But there [were crumbs|was some {x}] on {c.his} \
        [nose|chin|cheek].",
    );
    t.feel("c", Sorry);
    t.one(&[
        "{g} said nothing and looked sad. Then {c} felt {c.feels}. \"No, it was not {lie}. It was me,\" {c.he} said.",
        "{c}'s face grew hot. {c.He} was {c.feels}. \"That was not true,\" {c.he} said. \"I ate it.\"",
    ]);
    t.feel("g", Happy);
    t.tell(
        "\"Thank you for telling the truth,\" said {g}. \"Now [let us|we will] make some more, and you can help me.\"",
    );
    t.tell("{c} [washed the bowl|stirred|worked hard], and this time {c.he} waited until it was time to eat.");
    let lesson = t.rng.pick(&[
        "the truth is better than a lie",
        "a lie makes a small mistake bigger",
        "good things are worth the wait",
    ]);
    ending(t, Happy, lesson);
}

/// Something too heavy for one, lifted by all.
pub fn teamwork(t: &mut Teller) {
    opening(t, &outdoors());
    t.character("d", "home");
    t.character("e", "home");
    let load =
        t.rng.pick(&["pumpkin", "log", "rock", "cart", "boat", "box of books", "turnip", "sack of flour", "snowball"]);
    t.plain_thing("x", load);
    t.lie("x", "home");
    t.tell(
        "One day {c} found a(n) [huge|very big|heavy] {x} {home.at}. It lay right [in the way|on the path], and \
        nobody could get past.",
    );
    t.tell("{c} [pushed and pushed|pulled and pulled|pushed with all {c.his} might], but the {x} did not move.");
    t.feel("c", Sad);
    t.tell("{c} sat down. {c.He} was {c.feels}.");
    t.tell(
        "{d} the {d.kind} came along. \"I am strong. I can move it!\" said {d}. But {d} could not move it \
        [either|at all].",
    );
    t.paragraph();
    t.tell("Then came {e}, a(n) {e.trait} {e.kind}. \"You are too small to help,\" said {d}.");
    t.one(&[
        "\"Maybe not alone,\" said {e}. \"But what if we all push at the same time?\"",
        "\"I am small, but I have an idea,\" said {e}. \"{c} pushes, {d} pulls, and I put a stick under it.\"",
    ]);
    t.tell("So they did. \"One, two, three, now!\" [called|shouted] {c}.");
    t.take("c", "x");
    t.put("c", "x");
    t.tell(
        "The {x} [rocked|moved a little|made a deep sound], and then it rolled [away|to the side]. The way was free!",
    );
    t.befriend("c", "e");
    t.feel("d", Sorry);
    t.tell("\"I was wrong,\" said {d}. \"We needed you, {e}.\" {e} [smiled|blushed|laughed].");
    let lesson = t.rng.pick(&[
        "together we can do what nobody can do alone",
        "nobody is too small to help",
        "a good idea can be stronger than strong arms",
    ]);
    ending(t, Happy, lesson);
}
