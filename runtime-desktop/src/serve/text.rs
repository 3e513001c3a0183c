//! From tokens to what is shown of them: whole characters, up to a stop word, with probabilities where asked for.

use std::collections::VecDeque;
use std::sync::Arc;

use flashlm_core::tokenizer::{Piece, Utf8Stream};

use super::task::{End, Output, Scored, Task};
use crate::stop::{Seen, Stop};

/// Whether a story goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    On,
    /// A stop word came: it is over.
    Stopped,
}

/// The text of one story while it is told.
pub struct Text {
    output: Arc<Output>,
    utf8: Utf8Stream,
    stop: Stop,
    /// Characters that tokens have begun, and that were shown.
    begun: usize,
    shown: usize,
    /// Tokens whose text is not shown yet.
    held: VecDeque<Scored>,
}

impl Text {
    pub fn new(task: &Task) -> Self {
        let stop = Stop::new(task.stop.clone());
        let output = Arc::clone(&task.output);
        Self { output, utf8: Utf8Stream::new(), stop, begun: 0, shown: 0, held: VecDeque::new() }
    }

    /// Takes in the bytes of a task's prompt, which stop words are not looked for in: a character that they leave
    /// unfinished is the story's to show. With `echo`, they are shown.
    pub fn prompt(&mut self, bytes: &[u8], task: &Task) {
        let mut text = String::new();
        self.utf8.push(bytes, |c| text.push_str(c));
        if !task.scores_prompt() {
            let unseen = if task.echo { 0 } else { text.chars().count() };
            self.begun = begun(bytes).saturating_sub(unseen);
        }
        if task.echo {
            self.show(text);
        }
    }

    /// Characters that were begun before the next token, of these bytes.
    pub fn offset(&mut self, piece: &[u8]) -> usize {
        let offset = self.begun;
        self.begun += begun(piece);
        offset
    }

    /// A token of the prompt, with its probability.
    pub fn score(&mut self, scored: Scored) {
        self.held.push_back(scored);
        self.show(String::new());
    }

    /// A token that was drawn.
    pub fn draw(&mut self, piece: &Piece, scored: Option<Scored>) -> Told {
        self.held.extend(scored);
        let mut text = String::new();
        self.utf8.push(piece, |c| text.push_str(c));
        self.output.tell(|part| part.drawn += 1);
        match self.stop.push(&text) {
            Seen::Text(text) => {
                self.show(text);
                Told::On
            }
            Seen::Stopped { before, .. } => {
                self.show(before);
                self.output.tell(|part| part.end = Some(End::Stop));
                Told::Stopped
            }
        }
    }

    /// The model ended the story.
    pub fn finish(mut self) {
        let mut text = String::new();
        self.utf8.finish(|c| text.push_str(c));
        let seen = self.stop.push(&text);
        match seen {
            Seen::Text(text) => self.show(text),
            Seen::Stopped { before, .. } => {
                self.show(before);
                return self.output.tell(|part| part.end = Some(End::Stop));
            }
        }
        self.end(End::Stop);
    }

    /// It is over: what was held back is shown, but for a character that is not whole.
    pub fn end(mut self, end: End) {
        let text = self.stop.finish();
        let held = std::mem::take(&mut self.held);
        self.output.tell(|part| {
            part.text.push_str(&text);
            part.tokens.extend(held);
            part.end = Some(end);
        });
    }

    fn show(&mut self, text: String) {
        self.shown += text.chars().count();
        let shown = self.shown;
        let free = self.held.iter().take_while(|scored| scored.offset < shown).count();
        let tokens: Vec<Scored> = self.held.drain(..free).collect();
        if !text.is_empty() || !tokens.is_empty() {
            self.output.tell(|part| {
                part.text.push_str(&text);
                part.tokens.extend(tokens);
            });
        }
    }
}

/// Characters that bytes begin: those that go on with one are 10xxxxxx.
fn begun(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0xC0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use flashlm_core::SamplerConfig;
    use flashlm_core::config::Depth;
    use tokio::sync::Notify;

    use super::super::task::Notice;
    use super::*;

    fn task(stop: &[&str]) -> Task {
        Task {
            prompt: Vec::new(),
            owes_space: false,
            sampler: SamplerConfig::default(),
            depth: Depth::Fixed(1),
            length: 9,
            stop: stop.iter().map(|&word| word.to_owned()).collect(),
            echo: false,
            logprobs: Some(0),
            output: Arc::new(Output::new(Arc::new(Notify::new()), Notice::EveryPart)),
        }
    }

    fn draw(text: &mut Text, token: u16, bytes: &[u8]) -> Told {
        let scored = Scored { token, logprob: -1.0, top: Vec::new(), offset: text.offset(bytes) };
        text.draw(&Piece::from_slice(bytes).unwrap(), Some(scored))
    }

    #[test]
    fn tokens_come_with_their_text_and_those_behind_a_stop_word_not_at_all() {
        let task = task(&["The end"]);
        let mut text = Text::new(&task);
        for (token, piece) in (1..).zip([" He slept.", " Th", "e en"]) {
            assert_eq!(draw(&mut text, token, piece.as_bytes()), Told::On);
        }
        let part = task.output.take().unwrap();
        let tokens = |tokens: &[Scored]| tokens.iter().map(|s| (s.token, s.offset)).collect::<Vec<_>>();
        assert_eq!((&part.text[..], tokens(&part.tokens)), (" He slept. ", vec![(1, 0), (2, 10)]));
        assert_eq!(draw(&mut text, 4, b"d."), Told::Stopped);
        let rest = task.output.take().unwrap();
        assert_eq!((&rest.text[..], tokens(&rest.tokens), rest.end), ("", vec![], Some(End::Stop)));
        assert_eq!(part.drawn + rest.drawn, 4);
    }

    #[test]
    fn a_character_is_shown_whole_or_not_at_all() {
        let task = task(&[]);
        let mut text = Text::new(&task);
        // one that the prompt leaves unfinished
        text.prompt("\u{e9}".as_bytes().split_last().unwrap().1, &task);
        draw(&mut text, 1, &[0xa9, b'!']);
        assert_eq!(task.output.take().unwrap().text, "\u{e9}!");
        draw(&mut text, 2, &[0xe6]);
        assert!(task.output.take().is_none());
        text.end(End::Length);
        let part = task.output.take().unwrap();
        assert_eq!((&part.text[..], part.tokens.len(), part.drawn, part.end), ("", 1, 1, Some(End::Length)));
    }
}
