//! Breaking lines at words while the text arrives.

use unicode_width::UnicodeWidthChar;

/// Breaks lines that grow beyond a width at the spaces between words. A word is held back until it is whole, for where
/// it goes depends on its length.
#[derive(Clone, Debug)]
pub struct Wrap {
    /// Columns of a line; none where it is not known, and then nothing is held back or broken.
    width: Option<usize>,
    /// Columns that are taken of the current line.
    column: usize,
    /// Spaces behind them, which a line break takes the place of.
    spaces: usize,
    word: String,
    word_width: usize,
}

impl Wrap {
    pub fn new(width: Option<usize>) -> Self {
        Self { width: width.filter(|&width| width > 0), column: 0, spaces: 0, word: String::new(), word_width: 0 }
    }

    /// Takes a piece of text in; appends what can be shown to `out`.
    pub fn push(&mut self, text: &str, out: &mut String) {
        let Some(width) = self.width else { return out.push_str(text) };
        for c in text.chars() {
            match c {
                '\n' => {
                    self.finish(out);
                    out.push('\n');
                    (self.column, self.spaces) = (0, 0);
                }
                ' ' => {
                    self.word_ends(width, out);
                    self.spaces += 1;
                }
                _ => {
                    let columns = c.width().unwrap_or(0);
                    // scripts of wide letters have no spaces: a line may end before each
                    if columns > 1 || self.word_width + columns > width {
                        self.word_ends(width, out);
                    }
                    self.word.push(c);
                    self.word_width += columns;
                }
            }
        }
    }

    /// Takes in a code that takes no room, such as one for a colour.
    pub fn code(&mut self, code: &str, out: &mut String) {
        if self.width.is_some() { self.word.push_str(code) } else { out.push_str(code) }
    }

    /// Ends the text: appends what was held back.
    pub fn finish(&mut self, out: &mut String) {
        if let Some(width) = self.width {
            self.word_ends(width, out);
            out.extend(std::iter::repeat_n(' ', std::mem::take(&mut self.spaces)));
        }
    }

    fn word_ends(&mut self, width: usize, out: &mut String) {
        if self.word.is_empty() {
            return;
        }
        let breaks = self.column > 0 && self.column + self.spaces + self.word_width > width;
        let spaces = std::mem::take(&mut self.spaces);
        if breaks {
            out.push('\n');
            self.column = 0;
        } else {
            out.extend(std::iter::repeat_n(' ', spaces));
            self.column += spaces;
        }
        out.push_str(&self.word);
        self.column += self.word_width;
        self.word.clear();
        self.word_width = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(width: usize, pieces: &[&str]) -> String {
        let (mut wrap, mut out) = (Wrap::new(Some(width)), String::new());
        pieces.iter().for_each(|piece| wrap.push(piece, &mut out));
        wrap.finish(&mut out);
        out
    }

    #[test]
    fn lines_break_between_words_however_the_pieces_cut_them() {
        let want = "The cat\nsat on\nthe mat.";
        assert_eq!(wrapped(8, &["The cat sat on the mat."]), want);
        assert_eq!(wrapped(8, &["Th", "e c", "a", "t sa", "t", " on t", "he", " ma", "t."]), want);
        assert_eq!(wrapped(7, &["The cat sat"]), "The cat\nsat", "a line may be full");
        assert_eq!(wrapped(80, &["a  b\n\n c "]), "a  b\n\n c ", "what fits stays as it is");
    }

    #[test]
    fn a_word_longer_than_a_line_is_broken_and_wide_letters_count_twice() {
        assert_eq!(wrapped(4, &["a abcdefghi b"]), "a\nabcd\nefgh\ni b");
        assert_eq!(wrapped(5, &["日本語と英語"]), "日本\n語と\n英語");
        assert_eq!(wrapped(6, &["e\u{301}te\u{301} e\u{301}te\u{301}"]), "e\u{301}te\u{301}\ne\u{301}te\u{301}");
    }

    #[test]
    fn a_word_is_held_back_until_it_is_whole_and_codes_take_no_room() {
        let (mut wrap, mut out) = (Wrap::new(Some(7)), String::new());
        wrap.push("The ca", &mut out);
        assert_eq!(out, "The");
        wrap.code("\u{1b}[1m", &mut out);
        wrap.push("t", &mut out);
        assert_eq!(out, "The");
        wrap.push(" ", &mut out);
        assert_eq!(out, "The ca\u{1b}[1mt");
    }

    #[test]
    fn without_a_width_nothing_is_held_back_or_broken() {
        let (mut wrap, mut out) = (Wrap::new(None), String::new());
        wrap.push("The ca", &mut out);
        assert_eq!(out, "The ca");
        wrap.push(&"t ".repeat(500), &mut out);
        assert!(!out.contains('\n'));
    }
}
