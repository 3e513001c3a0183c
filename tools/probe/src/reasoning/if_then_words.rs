//! The sentences of if-then stories.
//!
//! A clause is told as it stands in a rule and as it happened: "it rains", "it rained". `{a}` acts, `{v}` is what the
//! answer is, `{c}` a condition, `{r}` what follows (both clauses), `{does}` and `{did}` the clause without `{a}`,
//! `{wh}` the question that `{did}` answers.

use super::lexicon::Lexicon;

/// Something that may happen: in a rule, as it happened, and as it did not.
pub type Condition = (&'static str, &'static str, &'static str);

/// Something to do with a `{v}`: in a rule, as it was done, and the question for it.
pub type Act = (&'static str, &'static str, &'static str);

/// Acts whose `{v}` is of one list.
pub struct Acts {
    pub list: fn(&Lexicon) -> &'static [&'static str],
    pub forms: &'static [Act],
    /// What a short answer begins with.
    pub the: &'static str,
}

/// The sentences of one split.
pub struct Wording {
    /// `{b}` is a person, `{col}` a colour.
    pub conditions: &'static [Condition],
    pub acts: &'static [Acts],
    pub rule: &'static [&'static str],
    pub otherwise: &'static [&'static str],
    pub trigger: &'static [&'static str],
    pub answer: &'static [&'static str],
    /// Everyone with `{x}` does; `{g}` is a colour or other adjective.
    pub class: &'static [&'static str],
    /// `{a}` has the `{x}`.
    pub member: &'static [&'static str],
    /// `{a}` is in a team.
    pub team: &'static [&'static str],
    /// A team has the `{x}`.
    pub team_has: &'static [&'static str],
    /// The `{g}` key opens the `{col}` door.
    pub key: &'static [&'static str],
    /// Behind the `{col}` door is the `{v}`.
    pub door: &'static [&'static str],
    /// The `{g}` key is in the `{k}`.
    pub kept: &'static [&'static str],
    pub got_key: &'static [&'static str],
    pub opened: &'static [&'static str],
    pub which_door: &'static [&'static str],
    pub behind: &'static [&'static str],
}

fn places(l: &Lexicon) -> &'static [&'static str] {
    l.places
}
fn objects(l: &Lexicon) -> &'static [&'static str] {
    l.objects
}
fn clothes(l: &Lexicon) -> &'static [&'static str] {
    l.clothes
}
fn foods(l: &Lexicon) -> &'static [&'static str] {
    l.foods
}
fn containers(l: &Lexicon) -> &'static [&'static str] {
    l.containers
}
fn animals(l: &Lexicon) -> &'static [&'static str] {
    l.animals
}
fn sounds(l: &Lexicon) -> &'static [&'static str] {
    l.sounds
}

pub const TRAIN: Wording = Wording {
    conditions: &[
        ("it rains", "it rained", "it did not rain"),
        ("it snows", "it snowed", "it did not snow"),
        ("the sun shines", "the sun shone", "the sun did not shine"),
        ("the wind blows", "the wind blew", "the wind did not blow"),
        ("it is cold", "it was cold", "it was not cold"),
        ("it is hot", "it was hot", "it was not hot"),
        ("it is windy", "it was windy", "it was not windy"),
        ("it is sunny", "it was sunny", "it was not sunny"),
        ("it gets dark", "it got dark", "it did not get dark"),
        ("the alarm rings", "the alarm rang", "the alarm did not ring"),
        ("the music plays", "the music played", "the music did not play"),
        ("the music stops", "the music stopped", "the music did not stop"),
        ("the baby cries", "the baby cried", "the baby did not cry"),
        ("the door opens", "the door opened", "the door did not open"),
        ("the light goes out", "the light went out", "the light did not go out"),
        ("the moon is full", "the moon was full", "the moon was not full"),
        ("the water is warm", "the water was warm", "the water was not warm"),
        ("there is thunder", "there was thunder", "there was no thunder"),
        ("someone knocks", "someone knocked", "nobody knocked"),
        ("the light is {col}", "the light was {col}", "the light was not {col}"),
        ("the sign is {col}", "the sign was {col}", "the sign was not {col}"),
        ("{b} is sad", "{b} was sad", "{b} was not sad"),
        ("{b} is happy", "{b} was happy", "{b} was not happy"),
        ("{b} is hungry", "{b} was hungry", "{b} was not hungry"),
        ("{b} is tired", "{b} was tired", "{b} was not tired"),
        ("{b} comes to visit", "{b} came to visit", "{b} did not come to visit"),
        ("{b} calls", "{b} called", "{b} did not call"),
        ("{b} laughs", "{b} laughed", "{b} did not laugh"),
        ("{b} sings", "{b} sang", "{b} did not sing"),
        ("{b} wins the game", "{b} won the game", "{b} did not win the game"),
        ("{b} falls asleep", "{b} fell asleep", "{b} did not fall asleep"),
        ("{b} says please", "{b} said please", "{b} did not say please"),
    ],
    acts: &[
        Acts {
            list: places,
            forms: &[
                ("goes to the {v}", "went to the <{v}>", "Where did {a} go?"),
                ("runs to the {v}", "ran to the <{v}>", "Where did {a} run?"),
                ("walks to the {v}", "walked to the <{v}>", "Where did {a} walk to?"),
                ("plays in the {v}", "played in the <{v}>", "Where did {a} play?"),
                ("stays in the {v}", "stayed in the <{v}>", "Where did {a} stay?"),
            ],
            the: "the ",
        },
        Acts {
            list: objects,
            forms: &[
                ("takes the {v}", "took the <{v}>", "What did {a} take?"),
                ("plays with the {v}", "played with the <{v}>", "What did {a} play with?"),
                ("brings the {v}", "brought the <{v}>", "What did {a} bring?"),
                ("picks up the {v}", "picked up the <{v}>", "What did {a} pick up?"),
                ("gets the {v}", "got the <{v}>", "What did {a} get?"),
            ],
            the: "the ",
        },
        Acts {
            list: clothes,
            forms: &[
                ("wears the {v}", "wore the <{v}>", "What did {a} wear?"),
                ("puts on the {v}", "put on the <{v}>", "What did {a} put on?"),
            ],
            the: "the ",
        },
        Acts {
            list: foods,
            forms: &[
                ("eats some {v}", "ate some <{v}>", "What did {a} eat?"),
                ("asks for {v}", "asked for <{v}>", "What did {a} ask for?"),
                ("has {v} for lunch", "had <{v}> for lunch", "What did {a} have for lunch?"),
            ],
            the: "",
        },
        Acts {
            list: containers,
            forms: &[
                ("hides in the {v}", "hid in the <{v}>", "Where did {a} hide?"),
                ("opens the {v}", "opened the <{v}>", "What did {a} open?"),
                ("looks in the {v}", "looked in the <{v}>", "Where did {a} look?"),
            ],
            the: "the ",
        },
        Acts {
            list: animals,
            forms: &[
                ("feeds the {v}", "fed the <{v}>", "What did {a} feed?"),
                ("visits the {v}", "visited the <{v}>", "Who did {a} visit?"),
                ("calls the {v}", "called the <{v}>", "Who did {a} call?"),
            ],
            the: "the ",
        },
        Acts {
            list: sounds,
            forms: &[
                ("says {v}", "said <{v}>", "What did {a} say?"),
                ("shouts {v}", "shouted <{v}>", "What did {a} shout?"),
            ],
            the: "",
        },
    ],
    rule: &[
        "If {c}, {r}.",
        "If {c}, {r}.",
        "When {c}, {r}.",
        "Whenever {c}, {r}.",
        "{r} if {c}.",
        "{r} when {c}.",
        "{r} whenever {c}.",
        "Every time {c}, {r}.",
        "Each time {c}, {r}.",
        "If {c}, then {r}.",
        "The rule is this: if {c}, {r}.",
        "{s} said, \"If {c}, {r}.\"",
        "Everyone knows that {r} when {c}.",
        "As soon as {c}, {r}.",
        "{a} has a rule: if {c}, {he} {does}.",
        "It is always like this: when {c}, {r}.",
        "\"If {c},\" {s} said, \"{r}.\"",
    ],
    otherwise: &[
        "Otherwise, {he} {does}.",
        "If not, {he} {does}.",
        "Otherwise, {a} {does}.",
        "Or else {he} {does}.",
        "If that does not happen, {he} {does}.",
        "On all other days, {he} {does}.",
    ],
    trigger: &[
        "One day {c}.",
        "Today {c}.",
        "This morning {c}.",
        "{c}.",
        "{c}.",
        "Then {c}.",
        "In the afternoon {c}.",
        "{s} said that {c}.",
        "Later that day {c}.",
        "The next day {c}.",
        "One morning {c}.",
        "Now it happened that {c}.",
        "\"Look!\" said {s}. And really, {c}.",
    ],
    answer: &[
        "So {a} {did}.",
        "So {a} {did}.",
        "Then {a} {did}.",
        "That is why {a} {did}.",
        "{wh} {a} {did}.",
        "{wh} {He} {did}.",
        "{wh} {The}<{v}>.",
        "{wh} <{v}>.",
        "{wh} <{v}>.",
        "Question: {wh} Answer: <{v}>.",
        "Q: {wh} A: <{v}>.",
        "Question: {wh}\nAnswer: {the}<{v}>.",
        "Because of the rule, {a} {did}.",
        "As always, {a} {did}.",
        "\"{wh}\" asked {s}. \"{He} {did},\" said {t}.",
        "{a} remembered the rule and {did}.",
        "{a} knew what to do and {did}.",
        "What happened next? {a} {did}.",
        "And what did {a} do? {He} {did}.",
    ],
    class: &[
        "Everyone with the {x} {does}.",
        "If someone has the {x}, {they} {does}.",
        "Whoever has the {x} {does}.",
        "The one who has the {x} {does}.",
        "The person with the {x} always {does}.",
        "The child who holds the {x} {does}.",
        "The rule says that whoever holds the {x} {does}.",
        "{s} said, \"The one with the {x} {does}.\"",
        "Having the {x} means that one {does}.",
    ],
    member: &[
        "{a} has the {x}.",
        "The {x} is with {a}.",
        "{a} got the {x}.",
        "{s} gave the {x} to {a}.",
        "{a} took the {x}.",
        "{a} is holding the {x}.",
        "The {x} went to {a}.",
        "{a} picked the {x}.",
        "The one who has the {x} is {a}.",
    ],
    team: &[
        "{a} is in the {col} team.",
        "{a} plays for the {col} team.",
        "The {col} team has {a} in it.",
        "{s} put {a} in the {col} team.",
        "{a} joined the {col} team.",
    ],
    team_has: &[
        "The {col} team has the {x}.",
        "The {x} is for the {col} team.",
        "The {x} is with the {col} team.",
        "The {col} team took the {x}.",
        "{s} gave the {x} to the {col} team.",
    ],
    key: &[
        "The {g} key opens the {col} door.",
        "Only the {g} key opens the {col} door.",
        "The {col} door opens with the {g} key.",
        "With the {g} key, you can open the {col} door.",
        "To open the {col} door, you need the {g} key.",
        "If you have the {g} key, you can open the {col} door.",
        "The {g} key fits the {col} door.",
        "Only the {col} door opens with the {g} key.",
        "Whoever has the {g} key can open the {col} door.",
    ],
    door: &[
        "Behind the {col} door is the {v}.",
        "The {v} is behind the {col} door.",
        "If you open the {col} door, you find the {v}.",
        "The {col} door leads to the {v}.",
        "{s} put the {v} behind the {col} door.",
        "The {col} door hides the {v}.",
    ],
    kept: &[
        "The {g} key is in the {k}.",
        "In the {k} is the {g} key.",
        "{s} put the {g} key in the {k}.",
        "The {k} has the {g} key inside.",
        "If you look in the {k}, you find the {g} key.",
    ],
    got_key: &[
        "{a} had the {g} key.",
        "{a} took the {g} key.",
        "{a} found the {g} key.",
        "{s} gave {a} the {g} key.",
        "{a} picked up the {g} key.",
        "{a} used the {g} key.",
    ],
    opened: &[
        "{a} took the key from the {k} and used it.",
        "{a} looked into the {k} and took out the key.",
        "{a} opened the {k} and got the key.",
        "{a} used the key that was in the {k}.",
    ],
    which_door: &[
        "So {a} opened the <{col}> door.",
        "Which door did {a} open? The <{col}> door.",
        "Which door did {a} open? The <{col}> one.",
        "With it, {he} opened the <{col}> door.",
        "{a} walked up to the <{col}> door and opened it.",
        "Question: Which door could {a} open? Answer: <{col}>.",
        "\"Which door will you open?\" asked {s}. \"The <{col}> door,\" said {a}.",
        "What color was the door that {a} opened? <{col}>.",
        "The key did not fit any other door, so {a} opened the <{col}> one.",
    ],
    behind: &[
        "So {a} found the <{v}>.",
        "What did {a} find? The <{v}>.",
        "What did {a} find? <{v}>.",
        "{a} opened the door and saw the <{v}>.",
        "Behind the door, {a} found the <{v}>.",
        "Question: What did {a} find? Answer: <{v}>.",
        "\"What did you find?\" asked {s}. \"I found the <{v}>,\" said {a}.",
        "The door opened and there was the <{v}>.",
        "In the end, {a} was looking at the <{v}>.",
    ],
};

pub const TEST: Wording = Wording {
    conditions: &[
        ("the fog comes", "the fog came", "the fog did not come"),
        ("it is dry outside", "it was dry outside", "it was not dry outside"),
        ("a storm begins", "a storm began", "no storm began"),
        ("it is quiet", "it was quiet", "it was not quiet"),
        ("the stars come out", "the stars came out", "the stars did not come out"),
        ("the fire goes out", "the fire went out", "the fire did not go out"),
        ("the curtain goes up", "the curtain went up", "the curtain did not go up"),
        ("guests arrive", "guests arrived", "no guests arrived"),
        ("the road is wet", "the road was wet", "the road was not wet"),
        ("the screen turns {col}", "the screen turned {col}", "the screen did not turn {col}"),
        ("{b} feels sick", "{b} felt sick", "{b} did not feel sick"),
        ("{b} gets angry", "{b} got angry", "{b} did not get angry"),
        ("{b} is late", "{b} was late", "{b} was not late"),
        ("{b} wakes up early", "{b} woke up early", "{b} did not wake up early"),
        ("{b} tells a joke", "{b} told a joke", "{b} did not tell a joke"),
        ("{b} is thirsty", "{b} was thirsty", "{b} was not thirsty"),
    ],
    acts: &[
        Acts {
            list: places,
            forms: &[
                ("heads for the {v}", "headed for the <{v}>", "Which place did {a} head for?"),
                ("sits in the {v}", "sat in the <{v}>", "In what place did {a} sit?"),
                ("hurries to the {v}", "hurried to the <{v}>", "To what place did {a} hurry?"),
            ],
            the: "the ",
        },
        Acts {
            list: objects,
            forms: &[
                ("fetches the {v}", "fetched the <{v}>", "Which thing did {a} fetch?"),
                ("uses the {v}", "used the <{v}>", "Which thing did {a} use?"),
                ("cleans the {v}", "cleaned the <{v}>", "Which thing did {a} clean?"),
            ],
            the: "the ",
        },
        Acts {
            list: foods,
            forms: &[
                ("orders {v}", "ordered <{v}>", "What food did {a} order?"),
                ("serves {v}", "served <{v}>", "What food did {a} serve?"),
            ],
            the: "",
        },
        Acts {
            list: animals,
            forms: &[
                ("washes the {v}", "washed the <{v}>", "Which animal did {a} wash?"),
                ("follows the {v}", "followed the <{v}>", "Which animal did {a} follow?"),
            ],
            the: "the ",
        },
    ],
    rule: &[
        "Suppose {c}: then {r}.",
        "In case {c}, {r}.",
        "{c}? Then {r}.",
        "Any time {c}, {r}.",
        "Once {c}, {r}.",
        "There is a law: {r} as soon as {c}.",
        "{r}, but only if {c}.",
    ],
    otherwise: &["In any other case, {he} {does}.", "Without that, {he} {does}.", "But if not, then {a} {does}."],
    trigger: &[
        "One evening {c}.",
        "That night {c}.",
        "All at once {c}.",
        "At noon {c}.",
        "It came about that {c}.",
        "As it happened, {c}.",
    ],
    answer: &[
        "Sure enough, {a} {did}.",
        "And what did that mean? {a} {did}.",
        "Tell me: {wh} <{v}>.",
        "\"Guess! {wh}\" said {s}. It was easy: {he} {did}.",
        "This time, {a} {did}.",
        "{a} did not forget and {did}.",
        "{wh} It was {the}<{v}>.",
    ],
    class: &[
        "Anyone holding the {x} {does}.",
        "The owner of the {x} {does}.",
        "All who carry the {x} must know: such a person {does}.",
        "It is the law that the owner of the {x} {does}.",
    ],
    member: &["{a} owns the {x}.", "The owner of the {x} is {a}.", "{a} carries the {x}.", "The {x} was won by {a}."],
    team: &[
        "{a} belongs to the {col} group.",
        "One of the {col} group is {a}.",
        "The {col} group chose {a}.",
        "{a} became part of the {col} group.",
    ],
    team_has: &[
        "The {col} group owns the {x}.",
        "The {x} belongs to the {col} group.",
        "The {col} group carries the {x}.",
        "The {x} was won by the {col} group.",
    ],
    key: &[
        "The {col} gate needs the {g} token.",
        "The {g} token unlocks the {col} gate.",
        "No token but the {g} one unlocks the {col} gate.",
        "The {g} token was made for the {col} gate.",
    ],
    door: &[
        "The {col} gate guards the {v}.",
        "Past the {col} gate you will see the {v}.",
        "The {v} waits past the {col} gate.",
        "Whoever unlocks the {col} gate sees the {v}.",
    ],
    kept: &[
        "The {k} holds the {g} token.",
        "The {g} token lies in the {k}.",
        "Someone keeps the {g} token in the {k}.",
        "You get the {g} token out of the {k}.",
    ],
    got_key: &[
        "{a} held the {g} token.",
        "{a} chose the {g} token.",
        "The {g} token was in the hand of {a}.",
        "{a} tried the {g} token.",
    ],
    opened: &[
        "{a} reached into the {k} for the token.",
        "{a} chose the token in the {k}.",
        "{a} pulled the token out of the {k}.",
        "{a} tried the token from the {k}.",
    ],
    which_door: &[
        "{a} unlocked the <{col}> gate.",
        "Tell me which gate {a} unlocked. The <{col}> gate.",
        "The only gate for {a} was the <{col}> gate.",
        "\"Which gate is it?\" said {s}. \"The <{col}> gate,\" {a} replied.",
    ],
    behind: &[
        "{a} went through and saw the <{v}>.",
        "Tell me what {a} saw past the gate. The <{v}>.",
        "What was waiting for {a} past the gate? The <{v}>.",
        "\"What is past the gate?\" said {s}. \"The <{v}>,\" {a} replied.",
    ],
};
