//! Where in a character a text stands, so that only bytes follow which keep it valid UTF-8.

/// Whether a byte is one of those after the first of a character.
pub(super) const fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

/// The character that the bytes of a text so far leave unfinished, if they do: how many bytes it lacks, and within
/// which bounds the next of them lies (The Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing
/// beyond U+10FFFF).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Character {
    lacks: u8,
    low: u8,
    high: u8,
}

impl Character {
    /// Between characters.
    pub(crate) const NONE: Self = Self::lacking(0, 0x80, 0xBF);

    const fn lacking(lacks: u8, low: u8, high: u8) -> Self {
        Self { lacks, low, high }
    }

    /// What `byte` makes of it; `None` where it cannot follow.
    pub(crate) const fn and(self, byte: u8) -> Option<Self> {
        if self.lacks > 0 {
            let fits = self.low <= byte && byte <= self.high;
            return if fits { Some(Self { lacks: self.lacks - 1, ..Self::NONE }) } else { None };
        }
        Some(match byte {
            0x00..=0x7F => Self::NONE,
            0xC2..=0xDF => Self::lacking(1, 0x80, 0xBF),
            0xE0 => Self::lacking(2, 0xA0, 0xBF),
            0xED => Self::lacking(2, 0x80, 0x9F),
            0xE1..=0xEF => Self::lacking(2, 0x80, 0xBF),
            0xF0 => Self::lacking(3, 0x90, 0xBF),
            0xF1..=0xF3 => Self::lacking(3, 0x80, 0xBF),
            0xF4 => Self::lacking(3, 0x80, 0x8F),
            _ => return None,
        })
    }

    /// What `byte` leaves unfinished, whatever came before: where it cannot follow, it begins anew.
    pub(crate) fn after(self, byte: u8) -> Self {
        self.and(byte).or(Self::NONE.and(byte)).unwrap_or(Self::NONE)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use super::*;

    /// Whether all of `bytes` may follow one another from the beginning of a character on.
    fn follow(bytes: &[u8]) -> Option<Character> {
        bytes.iter().try_fold(Character::NONE, |at, &byte| at.and(byte))
    }

    #[test]
    fn bytes_follow_exactly_where_the_standard_library_can_still_make_a_character_of_them() {
        // every begin of three bytes, and four where three leave a character unfinished
        for begin in 0..1u32 << 24 {
            let [_, bytes @ ..] = begin.to_be_bytes();
            // most of ASCII says the same as some of it
            if bytes.iter().any(|b| (0x02..0x7E).contains(b)) {
                continue;
            }
            let check = |bytes: &[u8]| {
                let valid = core::str::from_utf8(bytes);
                let can = valid.is_ok_and(|_| true) || valid.is_err_and(|e| e.error_len().is_none());
                let found = follow(bytes);
                assert_eq!(found.is_some(), can, "{bytes:02x?}");
                assert_eq!(found == Some(Character::NONE), valid.is_ok(), "{bytes:02x?}");
            };
            check(&bytes);
            if follow(&bytes).is_some_and(|at| at != Character::NONE) {
                (0..=255).for_each(|last| check(&[&bytes[..], &[last]].concat()));
            }
        }
    }

    #[test]
    fn what_is_left_unfinished_depends_on_the_last_three_bytes_alone() {
        let bytes = [0x41, 0x80, 0x9F, 0xA0, 0xC0, 0xC3, 0xE0, 0xE3, 0xED, 0xF0, 0xF4, 0xFF];
        let after = |bytes: &[u8]| bytes.iter().fold(Character::NONE, |at, &byte| at.after(byte));
        for i in 0..bytes.len().pow(5) {
            let text: Vec<u8> = (0..5).map(|k| bytes[i / bytes.len().pow(k) % bytes.len()]).collect();
            assert_eq!(after(&text), after(&text[2..]), "{text:02x?}");
        }
    }
}
