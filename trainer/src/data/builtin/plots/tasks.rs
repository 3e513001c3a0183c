//! Stories about doing: cooking, building, planning, following a rule, counting, practising.

use super::super::teller::Teller;
use super::super::words::{BUILDS, COUNTED, DISHES, HOMES, PLANS, RULES, SCENES, SKILLS};
use super::super::world::Feeling::*;
use super::{anywhere, ending, opening, outdoors};

/// A dish fails because one thing was forgotten, and works with it.
pub fn cooking(t: &mut Teller) {
    opening(t, HOMES);
    t.grown_up("g", "home");
    t.place("p", SCENES);
    t.character("d", "p");
    let [dish, missing, bad, good] = t.rng.pick(DISHES);
    t.plain_thing("x", dish);
    t.word("missing", missing);
    t.word("bad", bad);
    t.word("good", good);
    t.tell(
        "{c.His} friend {d} was [sick|coming to visit|sad today|hungry], so {c} wanted to make a(n) {x} for {d.him}.",
    );
    t.tell(
        "{c} took a [big|blue|clean|wooden] bowl and [began|set to work]. {c.He} [stirred|mixed|tasted] and hummed \
        a [little |]song.",
    );
    t.tell("But {c} forgot the {missing}! When it was done, it was {bad}.");
    t.feel("c", Sad);
    t.tell("{c} was {c.feels}. \"[It is all wrong|I can not cook|Nobody will eat this],\" {c.he} said.");
    t.paragraph();
    t.one(&[
        "{g} took a small bite. \"What did you put in?\" {g.he} asked. {c} named everything, one by one. \"And the \
            {missing}?\" asked {g}.",
        "\"Let us think,\" said {g}. \"What is missing?\" {c} looked at the table. There stood the {missing}, and \
            nobody had used it.",
    ]);
    t.tell(
        "\"[Oh|Oh no|Of course], I forgot the {missing}!\" said {c}. {c.He} [laughed|smiled] and [started \
        again|tried once more].",
    );
    t.make("c", "x");
    t.feel("c", Proud);
    t.tell("This time {c} did not forget the {missing}. And this time it was {good}. {c} was {c.feels}.");
    t.go("c", "p");
    t.give("c", "d", "x");
    t.use_up("d", "x");
    t.feel("d", Happy);
    t.tell(
        "{c} went to {p} and gave the {x} to {d}. {d} ate [it all up|every bit of it]. \"[Yum|Mmm]! That was [so \
        good|the best ever],\" said {d}.",
    );
    let lesson = t.rng.pick(&[
        "it is fine to fail if you try again",
        "one small thing can make a big difference",
        "you should check your list before you begin",
    ]);
    ending(t, Proud, lesson);
}

/// Something is built, fails for a reason, and stands once the reason is mended.
pub fn building(t: &mut Teller) {
    opening(t, &anywhere());
    t.character("d", "home");
    let [thing, parts, failure, cure] = t.rng.pick(BUILDS);
    t.plain_thing("x", thing);
    t.word("parts", parts);
    t.word("failure", failure);
    t.word("cure", cure);
    t.tell(
        "One [day|morning|rainy day|afternoon], {c} and {c.his} friend {d} wanted to build a(n) {x}. They \
        [got|found|gathered] {parts}.",
    );
    t.tell(
        "\"[It will be|We will make] the best {x} in the [world|whole town]!\" said {c}. They worked [hard|fast|for \
        a long time].",
    );
    t.make("c", "x");
    t.break_thing("x");
    t.tell("[But oh no! The|But what a pity! The|When it was done, the] {x} {failure}.");
    let gives_up = t.rng.chance(50);
    t.feel("c", if gives_up { Sad } else { Angry });
    if gives_up {
        t.tell("{c} was {c.feels}. \"I give up,\" {c.he} said.");
    } else {
        t.tell("{c} was {c.feels} and stamped {c.his} foot. \"Silly {x}!\" {c.he} shouted.");
    }
    t.paragraph();
    t.one(&[
        "\"Wait,\" said {d}. \"Why did it happen? Let us [think|look] first.\"",
        "{d} [put an arm around {c}|sat down beside {c}]. \"It only shows us what to do better,\" {d.he} said.",
    ]);
    t.mend("c", "x");
    t.tell(
        "They looked at it [closely|from all sides] and had an idea. So they started again, and this time they {cure}.",
    );
    t.one(&[
        "It worked! The {x} was [strong|fine|perfect].",
        "Now everything [held|was right]. \"Hooray!\" they [cried|shouted].",
    ]);
    t.maybe(50, "{d} and {c} [danced around it|clapped their hands|showed it to everyone].");
    t.befriend("c", "d");
    let lesson = t.rng.pick(&[
        "a mistake can teach you how to do better",
        "you should find out why before you give up",
        "patience helps more than shouting",
        "things go well when you work together",
    ]);
    ending(t, Proud, lesson);
}

/// Weather spoils a plan; another one turns out as good.
pub fn spoiled_plan(t: &mut Teller) {
    opening(t, HOMES);
    t.character("d", "home");
    let [plan, weather, instead, packed] = t.rng.pick(PLANS);
    t.word("plan", plan);
    t.word("weather", weather);
    t.word("instead", instead);
    t.plain_thing("packed", packed);
    t.place("p", &outdoors());
    t.own("c", "packed");
    t.tell("{c} and {d} wanted to {plan} {p.at}. They had [waited|planned it] all week.");
    t.tell("{c} [packed|got] {packed}[, and {d} put on a hat|, and {d} could not stand still|].");
    t.go("c", "p");
    t.go("d", "p");
    t.tell("But as soon as they came to {p}, {weather}.");
    t.feel("c", Sad);
    t.feel("d", Sad);
    t.one(&[
        "\"[Oh no|That is not fair]! Now we can not {plan},\" said {c}. {c.He} was {c.feels}.",
        "{c} was {c.feels}, and {d} was {d.feels} too. \"Our day is [spoiled|lost],\" said {d}.",
    ]);
    t.paragraph();
    t.go("c", "home");
    t.go("d", "home");
    t.tell("They [went|ran|walked slowly] back to {home} and looked out of the window.");
    t.one(&[
        "Then {d} [jumped up|smiled]. \"I have an idea!\" {d.he} said.",
        "\"We can not change the weather,\" said {c}, \"but we can change our plan.\"",
    ]);
    t.tell("So they {instead}.");
    t.feel("d", Happy);
    t.tell(
        "It was [so much fun|lovely|even better than the first plan]. They laughed and [sang|talked|played] until \
        [dinner|evening|bedtime]. {d} was {d.feels}.",
    );
    t.tell("\"[I am almost glad about the weather|What a good day],\" said {c}.");
    let lesson = t.rng.pick(&[
        "a new plan can be as good as the old one",
        "you can have fun in any weather",
        "when something goes wrong, it helps to think of something new",
    ]);
    ending(t, Happy, lesson);
}

/// A rule of the form "if this, then that": broken once with its consequence, then kept.
pub fn rule(t: &mut Teller) {
    opening(t, &anywhere());
    t.grown_up("g", "home");
    let [sign, action, consequence] = t.rng.pick(RULES);
    t.word("sign", sign);
    t.word("sign then", sign.replace(" is ", " was ").replace(" are ", " were ").replace("rings", "rang"));
    t.word("action", action);
    t.word("consequence", consequence);
    t.one(&[
        "{g} had a rule. \"If {sign}, then {action},\" {g.he} said.",
        "\"Remember,\" said {g}. \"If {sign}, you must {action}.\"",
        "Every day {g} told {c}, \"When {sign}, {action}.\"",
    ]);
    t.one(&[
        "But {c} did not [listen|think about it].",
        "\"Yes, yes,\" said {c}, but {c.he} was thinking of [lunch|a game|the clouds|a frog].",
    ]);
    t.tell("[One morning|On Monday|The next day], {sign then}. Did {c} {action}? No! So {c} {consequence}.");
    t.feel("c", Sorry);
    t.tell("{c} was {c.feels}. \"I should have done what {g} said,\" {c.he} [thought|said].");
    t.paragraph();
    t.one(&[
        "\"Do you know now why we have the rule?\" asked {g}. {c} nodded.",
        "{g} was not cross. \"Rules keep us safe,\" {g.he} said [softly|kindly]. \"What will you do next time?\"",
    ]);
    t.tell("\"If {sign}, then I will {action},\" said {c}.");
    t.tell(
        "[The day after|On Tuesday|A week later], {sign then} again. [Did {c} remember? Yes!|This time {c} \
        remembered.] {c} [knew|knew at once] what to do. {c} was ready to {action}, and nothing bad happened.",
    );
    t.maybe(60, "{c} even told [a friend|the other children|the little ones], \"If {sign}, then {action}!\"");
    t.tell("\"[Well done|Good for you|That was clever], {c},\" said {g}.");
    let lesson = t.rng.pick(&[
        "rules are there to help us",
        "it is wise to listen the first time",
        "a good rule is easy to keep when you know why",
    ]);
    ending(t, Proud, lesson);
}

/// Like things are gathered, given and lost, and the numbers add up.
pub fn counting(t: &mut Teller) {
    opening(t, &outdoors());
    t.character("d", "home");
    let [one, many] = t.rng.pick(COUNTED);
    let named = move |n: usize| if n == 1 { one } else { many };
    let mut have = t.rng.between(2, 6);
    t.number("n", have);
    t.word("things", named(have));
    t.word("many", many);
    t.tell("{c} loved to count. One day, {c.he} was {home.at} and found {n} {things}[ in the grass| in a basket|].");
    let more = t.rng.between(1, 4);
    have = t.count(have, more as i32);
    t.number("more", more);
    t.number("n", have);
    t.tell("Then {c} found {more} more. \"Now I have {n} {many}!\" {c.he} said[ proudly|].");
    t.paragraph();
    t.feel("d", Sad);
    t.tell("{c.His} friend {d} came by. {d} had no {many} and was {d.feels}.");
    let given = t.rng.between(1, have - 2);
    have = t.count(have, -(given as i32));
    t.count(0, given as i32);
    t.number("given", given);
    t.word("given things", named(given));
    t.number("n", have);
    t.word("things", named(have));
    t.tell("\"You can have some of mine,\" said {c}. {c} gave {d} {given} {given things}.");
    t.tell("Now {d} had {given}, and {c} had {n} {things} left.");
    t.feel("d", Happy);
    t.tell("\"Thank you!\" said {d}. {d.He} was {d.feels}.");
    if have > 2 && t.rng.chance(60) {
        let gone = t.rng.between(1, have - 1);
        have = t.count(have, -(gone as i32));
        t.number("gone", gone);
        t.word("gone things", named(gone));
        t.number("n", have);
        t.word("things", named(have));
        t.tell(
            "On the way home, {c} dropped {gone} {gone things} [into the river|in the mud|and a bird flew off with \
            what fell]. {c} counted again. There {are} {n} {things} now."
                .replace("{are}", if have == 1 { "was" } else { "were" })
                .as_str(),
        );
        t.tell(
            "\"{n} {things} [is|are] still enough for me,\" said {c}."
                .replace("[is|are]", if have == 1 { "is" } else { "are" })
                .as_str(),
        );
    } else {
        t.tell(
            "They sat down and counted together: {count}."
                .replace("{count}", &super::super::words::NUMBERS[1..=have].join(", "))
                .as_str(),
        );
    }
    let lesson = t.rng.pick(&[
        "when you give some away, you still have enough",
        "sharing makes a small number feel big",
        "counting is useful and sharing is even better",
    ]);
    ending(t, Happy, lesson);
}

/// A skill that fails at first comes with practice.
pub fn practice(t: &mut Teller) {
    opening(t, &anywhere());
    t.character("d", "home");
    let [skill, failure, success] = t.rng.pick(SKILLS);
    t.word("skill", skill);
    t.word("failure", failure);
    t.word("success", success);
    t.tell("More than anything, {c} wanted to {skill}. {c.His} friend {d} could {skill} very well.");
    t.tell("[On Monday|The first day], {c} tried. {c.He} {failure}.");
    t.tell("[On Tuesday|The next day], {c} tried again. {c} {failure} [once more|again].");
    t.feel("c", Sad);
    t.tell("\"I will never learn it,\" said {c}. {c.He} was {c.feels}.");
    t.paragraph();
    t.one(&[
        "\"Do you think I could do it at once?\" asked {d}. \"It took me [many days|a whole summer|weeks and weeks].\"",
        "{d} shook {d.his} head. \"Never say never,\" {d.he} said. \"Watch me, and then try slowly.\"",
        "\"You are already a little better than [yesterday|before],\" said {d}. \"I saw it.\"",
    ]);
    t.tell(
        "So {c} tried [again and again|every morning|a little every day]. {c.He} did not give up[, not even when it \
        rained|].",
    );
    t.feel("c", Proud);
    t.tell("And then, on [Friday|Sunday|a bright morning|the last day of the month], it happened. {c} {success}!");
    t.one(&["\"You did it!\" shouted {d}.", "\"Look, {d}! I can do it!\" [cried|shouted] {c}. {d} clapped."]);
    let lesson = t.rng.pick(&[
        "practice makes hard things easy",
        "nobody can do everything at once",
        "you should not give up after the first try",
    ]);
    ending(t, Proud, lesson);
}
