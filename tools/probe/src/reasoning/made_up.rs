//! Made-up words. The syllables of the two splits are disjoint.

use super::{Rng, Split};

const ONSETS: [&str; 24] = [
    "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "bl", "dr", "fl", "gr", "kr", "pl",
    "sn", "tr",
];
const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
const CODAS: [&str; 12] = ["x", "ck", "b", "g", "p", "m", "f", "zz", "sk", "rp", "lt", "nk"];
/// Codas after which a verb takes a plain "ed".
const VERB_CODAS: [usize; 5] = [1, 8, 9, 10, 11];

/// Words that a syllable must not spell.
const REAL: &[&str] = &[
    "back", "bag", "bank", "beg", "belt", "big", "black", "blank", "blink", "blip", "blob", "block", "bob", "bog",
    "bolt", "bop", "box", "buck", "bug", "burp", "buzz", "dam", "deck", "desk", "dick", "dig", "dim", "dip", "disk",
    "dock", "dog", "dom", "drag", "drank", "drink", "drip", "drop", "drug", "drum", "drunk", "dub", "duck", "dug",
    "dusk", "fag", "fax", "felt", "fig", "fix", "fizz", "flag", "flap", "flick", "flip", "flock", "flog", "flop",
    "flux", "fob", "fog", "fox", "fuck", "fuzz", "gap", "gem", "gob", "grab", "gram", "greg", "grim", "grip", "grub",
    "gum", "hag", "halt", "ham", "him", "hip", "hog", "honk", "hop", "hub", "hug", "hum", "keg", "kick", "kim", "kip",
    "lab", "lack", "lag", "lap", "lax", "leg", "lick", "lip", "lob", "lock", "log", "lop", "luck", "lug", "lux",
    "mack", "mam", "map", "mask", "max", "meg", "melt", "mick", "mix", "mob", "mom", "mop", "mug", "mum", "nag", "nap",
    "neck", "nick", "nig", "nip", "nix", "nog", "pack", "pam", "peck", "peg", "pick", "pig", "pink", "pip", "plank",
    "plop", "pluck", "plug", "plum", "pom", "pop", "pox", "pub", "puck", "pug", "pup", "rack", "rag", "ram", "rap",
    "razz", "rex", "rib", "rick", "rig", "rim", "rink", "rip", "risk", "rob", "rock", "rub", "rug", "rum", "sack",
    "sag", "salt", "sam", "sank", "sap", "sax", "sex", "sick", "sink", "sip", "six", "snack", "snag", "snap", "snip",
    "snob", "snub", "snuck", "snug", "sob", "sock", "sub", "suck", "sum", "sunk", "tag", "tank", "tap", "task", "tax",
    "tick", "tig", "tilt", "tim", "tip", "tizz", "tock", "tom", "top", "track", "tram", "trap", "trick", "trim",
    "trip", "truck", "trunk", "tub", "tuck", "tug", "tux", "vim", "wag", "wax", "web", "wick", "wig", "wilt", "wink",
    "zack", "zap", "zeb", "zig", "zip", "zizz", "zog",
];

/// What a made-up word is to be.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Noun,
    /// Its past ends in a plain "ed".
    Verb,
}

/// A made-up word of `split`: one closed syllable, or an open one and a closed one.
pub fn word(rng: &mut Rng, split: Split, kind: Kind) -> String {
    loop {
        let mut word = String::with_capacity(8);
        if rng.chance(45) {
            let (onset, vowel) = (rng.below(16), rng.below(VOWELS.len()));
            if side(onset + vowel) != split {
                continue;
            }
            word.push_str(ONSETS[onset]);
            word.push_str(VOWELS[vowel]);
        }
        let (onset, vowel) = (rng.below(ONSETS.len()), rng.below(VOWELS.len()));
        let coda = if kind == Kind::Verb { rng.pick(&VERB_CODAS) } else { rng.below(CODAS.len()) };
        if side(onset + vowel + coda) != split {
            continue;
        }
        let start = word.len();
        for part in [ONSETS[onset], VOWELS[vowel], CODAS[coda]] {
            word.push_str(part);
        }
        if !REAL.contains(&&word[start..]) && !REAL.contains(&word.as_str()) {
            return word;
        }
    }
}

fn side(sum: usize) -> Split {
    if sum % 3 == 2 { Split::Test } else { Split::Train }
}

/// `word` as a name.
pub fn capital(word: &str) -> String {
    word[..1].to_ascii_uppercase() + &word[1..]
}

/// More than one of `noun`.
pub fn plural(noun: &str) -> String {
    let es = noun.ends_with(['x', 's', 'z']) || noun.ends_with("ch") || noun.ends_with("sh");
    format!("{noun}{}", if es { "es" } else { "s" })
}
