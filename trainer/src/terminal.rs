//! Standard error where it is a terminal: lines that stay, and below them a few that are drawn over again and again.
//!
//! Whoever prints while a run is on display goes through here, Ctrl-C's answer too, so that nothing is written into the
//! drawn lines and none of them is left behind. The size is asked for at every draw: terminals that are made narrower
//! wrap what is on them, and so many rows more are drawn over.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::{self, IsTerminal, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};

use console::{Term, measure_text_width, truncate_str};
use textwrap::{Options, WordSplitter};

/// Columns of a terminal that does not say how many it has.
const USUAL_WIDTH: usize = 80;
/// Columns at the right that drawn lines leave free: for the `^C` that a terminal shows where the cursor is, and the
/// last one, after which some terminals wrap.
const FREE: usize = 3;

static BOTTOM: LazyLock<Mutex<Bottom>> =
    LazyLock::new(|| Mutex::new(Bottom { term: Term::buffered_stderr(), drawn: Vec::new() }));

/// The lines at the bottom, the cursor at the end of the last.
struct Bottom {
    term: Term,
    drawn: Vec<String>,
}

/// Columns; `None` where standard error is no terminal.
pub fn width() -> Option<usize> {
    io::stderr().is_terminal().then(|| size().1)
}

/// Columns that a drawn line may take on a terminal of `width`.
pub fn drawable(width: usize) -> usize {
    width.saturating_sub(FREE)
}

/// Whether lines can be drawn over: standard error is a terminal that moves its cursor.
pub fn draws() -> bool {
    io::stderr().is_terminal() && !is_dumb(std::env::var_os("TERM").as_deref())
}

/// Whether colours are wanted: on a terminal that is not dumb, unless `NO_COLOR` says something (no-color.org).
pub fn colors() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    // asked first: old consoles of Windows are switched to understand colours by it
    let able = Term::stderr().features().colors_supported() || draws();
    able && draws() && !refused
}

fn is_dumb(term: Option<&OsStr>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

/// Rows and columns.
fn size() -> (usize, usize) {
    Term::stderr().size_checked().map_or((24, USUAL_WIDTH), |(rows, columns)| (rows.into(), columns.into()))
}

/// Prints lines that stay, above the drawn ones. Where nobody reads them any more (a closed pipe) nothing happens.
pub fn print(text: &str) {
    let mut bottom = lock();
    if bottom.drawn.is_empty() {
        let _ = writeln!(io::stderr(), "{text}");
        return;
    }
    let lines = bottom.drawn.clone();
    let _ = bottom.redraw(Some(text), lines);
}

/// Prints a line from wherever a signal is answered, wrapped; what the terminal shows of the keys stays apart from it.
pub fn note(text: &str) {
    match width() {
        Some(width) => {
            let apart = if lock().drawn.is_empty() { "\n" } else { "" };
            print(&format!("{apart}{}", wrapped(text, width)));
        }
        None => print(text),
    }
}

/// `text` wrapped at words to a terminal of `width`, what does not fit on a line two columns further in than the line.
pub fn wrapped(text: &str, width: usize) -> String {
    let lines = text.lines().flat_map(|line| {
        let lead: String = line.chars().take_while(|&c| c == ' ').collect();
        wrap(line.trim_start_matches(' '), width, &lead, &format!("{lead}  "), LongWords::Whole)
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What becomes of a word that is longer than a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongWords {
    Broken,
    /// It may be a path that is wanted in one piece.
    Whole,
}

/// `text` wrapped at words to a terminal of `width`: its first line behind `first`, all others behind `rest`.
pub fn wrap(text: &str, width: usize, first: &str, rest: &str, long: LongWords) -> Vec<String> {
    let options = Options::new(width.saturating_sub(1).max(1)).initial_indent(first).subsequent_indent(rest);
    let options = options.break_words(long == LongWords::Broken).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// Draws `lines` at the bottom, over those drawn before. Those of them that do not fit are cut off.
pub fn draw(lines: Vec<String>) {
    let _ = lock().redraw(None, lines);
}

/// Takes the drawn lines away.
pub fn clear() {
    lock().clear();
}

/// [`clear`], unless another thread is writing at the moment: for the last thing that a program does.
pub fn clear_if_idle() {
    match BOTTOM.try_lock() {
        Ok(mut bottom) => bottom.clear(),
        Err(TryLockError::Poisoned(bottom)) => bottom.into_inner().clear(),
        Err(TryLockError::WouldBlock) => {}
    }
}

fn lock() -> MutexGuard<'static, Bottom> {
    // lines are whole whenever it is unlocked
    BOTTOM.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bottom {
    fn clear(&mut self) {
        if !self.drawn.is_empty() {
            let _ = self.redraw(None, Vec::new());
        }
    }

    /// All in one write: from the first drawn row on `above`, if any, and below it `lines`.
    fn redraw(&mut self, above: Option<&str>, lines: Vec<String>) -> io::Result<()> {
        let lines = fitting(&lines, size());
        let text = redrawn(&self.drawn, above, &lines, size());
        // as they stand there: the next draw counts their rows
        self.drawn = lines;
        self.term.write_str(&text)?;
        self.term.flush()
    }
}

/// What turns `drawn`, as a terminal of `size` (rows, columns) shows it now, into `above` and `lines` below it.
fn redrawn(drawn: &[String], above: Option<&str>, lines: &[String], (rows, columns): (usize, usize)) -> String {
    let columns = columns.max(1);
    let taken: usize = drawn.iter().map(|line| measure_text_width(line).div_ceil(columns).max(1)).sum();
    let mut text = String::from("\r");
    let up = taken.saturating_sub(1).min(rows.saturating_sub(1));
    if up > 0 {
        text += &format!("\x1b[{up}A");
    }
    // down to the end of the screen
    text += "\x1b[J";
    if let Some(above) = above {
        text += &above.replace('\n', "\r\n");
        text += "\r\n";
    }
    text + &fitting(lines, (rows, columns)).join("\r\n")
}

/// As much of `lines` as a terminal of `size` (rows, columns) has room for.
fn fitting(lines: &[String], (rows, columns): (usize, usize)) -> Vec<String> {
    let few = lines.iter().take(rows.saturating_sub(1).max(1));
    few.map(|line| truncate_str(line, drawable(columns), "").into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &[&str]) -> Vec<String> {
        of.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn two_lines_are_drawn_over_from_the_first_of_them() {
        let (before, after) = (lines(&["one", "two"]), lines(&["three"]));
        assert_eq!(redrawn(&before, None, &after, (24, 80)), "\r\x1b[1A\x1b[Jthree");
        assert_eq!(redrawn(&after, None, &before, (24, 80)), "\r\x1b[Jone\r\ntwo");
        assert_eq!(redrawn(&before, Some("said\ntwice"), &after, (24, 80)), "\r\x1b[1A\x1b[Jsaid\r\ntwice\r\nthree");
        assert_eq!(redrawn(&before, None, &[], (24, 80)), "\r\x1b[1A\x1b[J");
    }

    #[test]
    fn a_terminal_that_became_narrower_shows_the_lines_on_more_rows_and_all_are_drawn_over() {
        // 70 columns wrap to 2 rows of 40, 80 to exactly 2; colours take none
        let before = vec![format!("\x1b[1m{}\x1b[0m", "a".repeat(70)), "b".repeat(80)];
        let drawn = redrawn(&before, None, &before, (24, 40));
        assert!(drawn.starts_with("\r\x1b[3A\x1b[J"), "{drawn:?}");
        // and what is drawn fits, with room for ^C
        let rows: Vec<&str> = drawn[8..].split("\r\n").collect();
        assert_eq!(rows.iter().map(|row| measure_text_width(row)).collect::<Vec<_>>(), [37, 37]);
    }

    #[test]
    fn lines_that_were_cut_off_are_drawn_over_on_the_rows_they_take_and_no_more() {
        let shown = fitting(&[format!("\x1b[1m{}\x1b[0m", "a".repeat(97))], (24, 60));
        assert_eq!(measure_text_width(&shown[0]), 57);
        assert_eq!(redrawn(&shown, Some("said"), &[], (24, 60)), "\r\x1b[Jsaid\r\n");
    }

    #[test]
    fn a_terminal_of_hardly_any_rows_or_columns_does_no_harm() {
        let before = lines(&["one", "two"]);
        assert_eq!(redrawn(&before, None, &before, (1, 80)), "\r\x1b[Jone");
        assert_eq!(redrawn(&before, None, &before, (2, 0)), "\r\x1b[1A\x1b[J");
    }

    #[test]
    fn text_is_wrapped_at_words_and_hangs_below_the_line_it_belongs_to() {
        assert_eq!(wrapped("all of it fits", 15), "all of it fits");
        assert_eq!(
            wrapped("not all of it fits\n  nor of these ones", 15),
            "not all of it\n  fits\n  nor of these\n    ones"
        );
        let path = "/a/path/that/is-longer/than/a/line.txt";
        assert_eq!(wrapped(&format!("see {path} for more"), 15), format!("see\n  {path}\n  for more"));
    }

    #[test]
    fn only_a_terminal_that_says_so_is_dumb() {
        assert!(is_dumb(Some("dumb".as_ref())));
        assert!(!is_dumb(Some("xterm".as_ref())) && !is_dumb(None));
    }
}
