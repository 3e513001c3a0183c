//! Showing a story no faster than it is read.

use std::fmt;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// Words a minute of adults who read English silently (Brysbaert, 2019).
const READING: u16 = 238;
/// The fastest pace that can be asked for.
const FASTEST: u16 = 10_000;
/// How long a Ctrl-C may wait.
const PATIENCE: Duration = Duration::from_millis(20);

/// How fast a story is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As fast as it is written.
    #[default]
    Off,
    /// At most this many words a minute.
    Words(u16),
}

impl FromStr for Pace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self::Off),
            "reading" => Ok(Self::Words(READING)),
            _ => match text.parse() {
                Ok(words @ 1..=FASTEST) => Ok(Self::Words(words)),
                _ => Err(format!("expected words a minute from 1 to {FASTEST}, reading or off, found {text:?}")),
            },
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Words(words) => words.fmt(f),
        }
    }
}

/// Counts the words of one story and waits where they come too fast.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    begun: Instant,
    words: u32,
    in_word: bool,
}

impl Pacer {
    pub fn new(pace: Pace) -> Self {
        Self { pace, begun: Instant::now(), words: 0, in_word: false }
    }

    /// Waits until it is time for `text`, the next of the story, or `stopped`.
    pub fn wait(&mut self, text: &str, stopped: impl Fn() -> bool) {
        let due = self.due(text);
        while !stopped()
            && let Some(left) = due.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero())
        {
            thread::sleep(left.min(PATIENCE));
        }
    }

    /// When `text` may be shown, from the story's begin: the first word at once.
    fn due(&mut self, text: &str) -> Duration {
        let Pace::Words(pace) = self.pace else { return Duration::ZERO };
        let before = self.words.saturating_sub(u32::from(self.in_word));
        for c in text.chars() {
            let in_word = !c.is_whitespace();
            self.words += u32::from(in_word && !self.in_word);
            self.in_word = in_word;
        }
        let due = self.words.saturating_sub(1).max(before);
        Duration::from_secs(60) * due / u32::from(pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_number_of_words_or_a_name() {
        assert_eq!("off".parse(), Ok(Pace::Off));
        assert_eq!("reading".parse(), Ok(Pace::Words(238)));
        assert_eq!("60".parse::<Pace>().map(|pace| pace.to_string()), Ok("60".into()));
        for bad in ["0", "-1", "10001", "fast", ""] {
            assert!(bad.parse::<Pace>().unwrap_err().contains("from 1 to 10000, reading or off"), "{bad}");
        }
    }

    #[test]
    fn words_are_due_one_after_another_whatever_the_tokens_are() {
        let mut pacer = Pacer::new(Pace::Words(60));
        let due: Vec<u64> = ["On", "ce", " upon", " a", " ti", "me", ",", " the cat"]
            .iter()
            .map(|piece| pacer.due(piece).as_secs())
            .collect();
        assert_eq!(due, [0, 0, 1, 2, 3, 3, 3, 5]);
        assert_eq!(Pacer::new(Pace::Off).due("a b c d"), Duration::ZERO);
    }

    #[test]
    fn waiting_takes_as_long_as_the_pace_says_and_ends_when_it_is_stopped() {
        let mut pacer = Pacer::new(Pace::Words(6000));
        pacer.wait("one two three four five six", || false);
        assert!(pacer.begun.elapsed() >= Duration::from_millis(50));
        let mut slow = Pacer::new(Pace::Words(1));
        slow.wait("one two", || true);
        assert!(slow.begun.elapsed() < Duration::from_secs(30));
    }
}
