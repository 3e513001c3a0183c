//! Stop words: texts that a story ends before, however the tokens cut them.

/// What a piece of text led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// This much can be shown; what may be the beginning of a stop word is held back.
    Text(String),
    /// A stop word came: what stands before it, and what follows from its first letter on.
    Stopped { before: String, rest: String },
}

/// Looks for stop words in text that comes in pieces.
#[derive(Debug)]
pub struct Stop {
    words: Vec<String>,
    held: String,
}

impl Stop {
    /// Looks for `words`, none of which is empty.
    pub fn new(words: Vec<String>) -> Self {
        Self { words, held: String::new() }
    }

    /// Takes a piece in. Of several stop words the one that stands first counts.
    pub fn push(&mut self, piece: &str) -> Seen {
        self.held.push_str(piece);
        let found = self.words.iter().filter_map(|word| self.held.find(word)).min();
        if let Some(at) = found {
            let rest = self.held.split_off(at);
            return Seen::Stopped { before: std::mem::take(&mut self.held), rest };
        }
        let kept = self.words.iter().map(|word| beginning(&self.held, word)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - kept);
        Seen::Text(std::mem::replace(&mut self.held, rest))
    }

    /// Ends the text: what was held back turns out to be no stop word.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that `word` begins with, as many as can be.
fn beginning(text: &str, word: &str) -> usize {
    let starts = word.char_indices().map(|(at, _)| at).rev();
    starts.into_iter().find(|&length| text.ends_with(&word[..length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is shown of the pieces, one after another, and what is left when they end or a word stops them.
    fn shown(words: &[&str], pieces: &[&str]) -> (Vec<String>, Option<String>) {
        let mut stop = Stop::new(words.iter().map(|&word| word.to_owned()).collect());
        let mut shown = Vec::new();
        for piece in pieces {
            match stop.push(piece) {
                Seen::Text(text) => shown.push(text),
                Seen::Stopped { before, rest } => {
                    shown.push(before);
                    return (shown, Some(rest));
                }
            }
        }
        shown.push(stop.finish());
        (shown, None)
    }

    #[test]
    fn a_stop_word_spread_over_tokens_ends_the_text_before_it() {
        let (text, rest) = shown(&["The end"], &["He slept. ", "Th", "e", " en", "ds"]);
        assert_eq!((text.concat().as_str(), rest.as_deref()), ("He slept. ", Some("The ends")));
        let (text, rest) = shown(&["dog"], &["a big dog ran"]);
        assert_eq!((text.concat().as_str(), rest.as_deref()), ("a big ", Some("dog ran")));
    }

    #[test]
    fn text_held_back_is_shown_as_soon_as_it_cannot_be_a_stop_word() {
        let (text, rest) = shown(&["The end"], &["x Th", "e", " cat"]);
        assert_eq!((text, rest), (vec!["x ".into(), String::new(), "The cat".into(), String::new()], None));
        // only a part of what was held back is free
        let (text, rest) = shown(&["aab"], &["a", "a", "a", "b!"]);
        assert_eq!((text.concat().as_str(), rest.as_deref()), ("a", Some("aab!")));
        let (text, rest) = shown(&["The end"], &["The", " en"]);
        assert_eq!((text.concat().as_str(), rest), ("The en", None), "shown where the text ends");
    }

    #[test]
    fn the_first_of_several_words_counts_and_letters_are_never_cut() {
        let (text, rest) = shown(&["cat", "a c"], &["I saw a cat"]);
        assert_eq!((text.concat().as_str(), rest.as_deref()), ("I saw ", Some("a cat")));
        let (text, rest) = shown(&["été"], &["l'é", "t", "oile"]);
        assert_eq!((text.concat().as_str(), rest), ("l'étoile", None));
        assert_eq!(shown(&[], &["a", "b"]).0.concat(), "ab");
    }
}
