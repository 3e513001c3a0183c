//! Texts with known answers, as files to train on: every answer between marks, so that training can weight it.
//!
//! ```text
//! Tom is in the barn. Where is Tom? <|answer|>barn<|/answer|>.
//! <|endoftext|>
//! ```
//! The marks are no text: who reads such a file takes them out. The space before an answer stands before its mark.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use flashlm_core::text::SEPARATOR;
use flashlm_host::output;

use crate::error::ProbeError;

/// Stands before an answer.
pub const ANSWER: &str = "<|answer|>";
/// Stands behind an answer.
pub const ANSWER_END: &str = "<|/answer|>";

/// A text and where its answers lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub text: String,
    /// Bytes of `text`, in order, not overlapping, without the space before them.
    pub answers: Vec<Range<usize>>,
}

impl Told {
    /// Adds an answer after a space.
    pub fn answer(&mut self, answer: &str) {
        self.text.push(' ');
        self.answers.push(self.text.len()..self.text.len() + answer.len());
        self.text.push_str(answer);
    }

    /// Adds text after a space.
    pub fn say(&mut self, text: &str) {
        self.text.push(' ');
        self.text.push_str(text);
    }

    /// The text with marks around its answers.
    pub fn marked(&self) -> String {
        let mut text = String::with_capacity(self.text.len() + 32 * self.answers.len());
        let mut at = 0;
        for answer in &self.answers {
            text.extend([&self.text[at..answer.start], ANSWER, &self.text[answer.clone()], ANSWER_END]);
            at = answer.end;
        }
        text.push_str(&self.text[at..]);
        text
    }
}

/// The text without marks.
pub fn plain(text: &str) -> String {
    text.replace(ANSWER, "").replace(ANSWER_END, "")
}

/// Writes stories to a file, marked and each ended by a line `<|endoftext|>`, and makes the folders to it.
pub fn write(path: &Path, stories: impl IntoIterator<Item = Told>) -> Result<(), ProbeError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(ProbeError::io(folder))?;
    }
    let separator = String::from_utf8_lossy(SEPARATOR);
    let write = |story: Told, file: &mut BufWriter<File>| writeln!(file, "{}\n{separator}", story.marked());
    Ok(output::write(path, &[], |file| stories.into_iter().try_for_each(|story| write(story, file)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_marked_and_marks_come_out_again() {
        let mut told = Told { text: "Where is Tom?".into(), answers: vec![] };
        told.answer("barn");
        told.text.push('.');
        told.say("Where is Sue?");
        told.answer("the park");
        assert_eq!(
            told.marked(),
            "Where is Tom? <|answer|>barn<|/answer|>. Where is Sue? <|answer|>the park<|/answer|>"
        );
        assert_eq!(plain(&told.marked()), told.text);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/train.txt");
        write(&path, [told.clone(), told.clone()]).unwrap();
        let file = fs::read(&path).unwrap();
        let stories: Vec<_> = flashlm_core::text::stories(&file).collect();
        assert!(stories.len() == 2 && stories.iter().all(|s| s.terminated && s.text == told.marked().as_bytes()));
    }
}
