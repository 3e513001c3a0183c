//! What was told in a chat, part by part, and the way back.

use std::collections::VecDeque;

use crate::engine::Snapshot;

/// What ends a story in a file of them.
const END: &str = "\n<|endoftext|>\n";
/// Parts that can be undone; of older ones only the text is kept.
const UNDONE: usize = 32;

/// What a part began with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A new story, with this text.
    Story(String),
    /// More of the story, after this text.
    Continue(String),
}

impl Line {
    pub fn text(&self) -> &str {
        match self {
            Self::Story(text) | Self::Continue(text) => text,
        }
    }
}

#[derive(Debug)]
struct Turn {
    line: Line,
    /// What was shown: the reader's and the model's words.
    text: String,
}

/// The parts of a chat, the oldest first.
#[derive(Debug, Default)]
pub struct Turns {
    turns: Vec<Turn>,
    /// Where the engine stood before each of the last.
    before: VecDeque<Snapshot>,
}

impl Turns {
    /// A part begins with `line`, where the engine stood at `before`.
    pub fn begin(&mut self, line: Line, before: Snapshot) {
        self.turns.push(Turn { line, text: String::new() });
        self.before.push_back(before);
        if self.before.len() > UNDONE {
            self.before.pop_front();
        }
    }

    /// Adds what is shown to the last part.
    pub fn tell(&mut self, text: &str) {
        self.turns.last_mut().into_iter().for_each(|turn| turn.text.push_str(text));
    }

    /// Takes the last part back: how it began, and where the engine stood before it.
    ///
    /// # Errors
    /// There is none, or it is too long ago: what to tell the reader.
    pub fn undo(&mut self) -> Result<(Line, Snapshot), String> {
        if self.turns.is_empty() {
            return Err("nothing was told yet".into());
        }
        let too_late = || format!("only the last {UNDONE} parts, told by the same model, can be undone");
        let before = self.before.pop_back().ok_or_else(too_late)?;
        let turn = self.turns.pop().ok_or_else(too_late)?;
        Ok((turn.line, before))
    }

    /// Keeps the texts alone: another model cannot go back to where one stood.
    pub fn close(&mut self) {
        self.before.clear();
    }

    /// What was told: a file of stories, each ended by its mark.
    pub fn stories(&self) -> String {
        let mut text = String::new();
        for (i, turn) in self.turns.iter().enumerate() {
            if i > 0 && matches!(turn.line, Line::Story(_)) {
                text += END;
            }
            text += &turn.text;
        }
        if self.turns.is_empty() { text } else { text + END }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::model;
    use crate::settings::Settings;

    #[test]
    fn parts_of_one_story_are_saved_as_one_and_old_ones_can_no_longer_be_undone() {
        let blob = model::open(None).unwrap();
        let engine = Engine::new(&blob, Settings::default()).unwrap();
        let mut turns = Turns::default();
        assert_eq!(turns.stories(), "");
        assert!(turns.undo().unwrap_err().contains("nothing"));
        for (line, text) in [
            (Line::Story("Tom".into()), "Tom ran."),
            (Line::Continue(" He".into()), " He fell."),
            (Line::Story("A".into()), "A cat."),
        ] {
            turns.begin(line, engine.snapshot());
            turns.tell(text);
        }
        assert_eq!(turns.stories(), "Tom ran. He fell.\n<|endoftext|>\nA cat.\n<|endoftext|>\n");
        assert_eq!(turns.undo().unwrap().0, Line::Story("A".into()));
        assert_eq!(turns.stories(), "Tom ran. He fell.\n<|endoftext|>\n");
        for _ in 0..UNDONE {
            turns.begin(Line::Story("x".into()), engine.snapshot());
        }
        (0..UNDONE).for_each(|_| drop(turns.undo().unwrap()));
        assert!(turns.undo().unwrap_err().contains("only the last 32"));
        assert_eq!(turns.stories(), "Tom ran. He fell.\n<|endoftext|>\n", "the text stays");
    }
}
