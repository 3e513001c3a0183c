//! What the user sees of a run: figures at the bottom of a terminal, plain lines elsewhere.

mod status;

use std::time::{Duration, Instant};

use console::Style;

pub use self::status::Status;
use crate::terminal::{self, LongWords};

/// Time between lines where nothing can be drawn over.
const LINE_EVERY: Duration = Duration::from_secs(15);
/// Time between draws.
const DRAW_EVERY: Duration = Duration::from_millis(200);

/// The display.
pub struct Progress {
    /// Whether anything is said: of several processes that train together one does.
    says: bool,
    draws: bool,
    colors: bool,
    shown: Option<Instant>,
}

impl Progress {
    /// Drawn lines when standard error is a terminal.
    pub fn new() -> Self {
        Self { says: true, draws: terminal::draws(), colors: terminal::colors(), shown: None }
    }

    /// The display of a process of which another one speaks.
    pub fn silent() -> Self {
        Self { says: false, draws: false, colors: false, shown: None }
    }

    /// Shows the figures, not more often than the eye or a log wants them.
    pub fn show(&mut self, status: &Status) {
        let every = if self.draws { DRAW_EVERY } else { LINE_EVERY };
        if !self.says || self.shown.is_some_and(|at| at.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        match terminal::width() {
            Some(width) if self.draws => terminal::draw(status::lines(status, width, self.colors)),
            _ => terminal::print(&status.to_string()),
        }
    }

    /// Shows what is being done where there are no steps to show; only where it can be drawn over.
    pub fn doing(&mut self, what: &str, share: f64) {
        if self.draws && self.shown.is_none_or(|at| at.elapsed() >= DRAW_EVERY) {
            self.shown = Some(Instant::now());
            terminal::draw(vec![format!("{what}: {:.0} %", 100.0 * share)]);
        }
    }

    /// Prints lines above the figures, wrapped to the terminal.
    pub fn line(&self, text: &str) {
        if self.says {
            terminal::print(&laid_out(text));
        }
    }

    /// [`Self::line`] in the colour of warnings.
    pub fn warning(&self, text: &str) {
        let text = laid_out(text);
        if !self.says {
            return;
        }
        if self.colors {
            let style = Style::new().for_stderr().force_styling(true).yellow();
            let lines: Vec<_> = text.lines().map(|line| style.apply_to(line).to_string()).collect();
            terminal::print(&lines.join("\n"));
        } else {
            terminal::print(&text);
        }
    }

    /// Prints a story to read, wrapped to the terminal.
    pub fn sample(&self, story: &str) {
        if self.says {
            terminal::print(&sample(story, terminal::width()));
        }
    }

    /// Takes the figures away, so that what is printed next is the last thing to see.
    pub fn finish(&self) {
        if self.says {
            terminal::clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Progress {
    /// A run that ends with an error leaves no figures below it. A panic's message may stand below them: it stays.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.finish();
        }
    }
}

fn laid_out(text: &str) -> String {
    terminal::width().map_or_else(|| text.to_owned(), |width| terminal::wrapped(text, width))
}

/// A story behind a mark, its further lines hanging; as long as they are where there is no terminal. What would move
/// the cursor or colour the terminal is not handed to it: a model may tell any bytes.
fn sample(story: &str, width: Option<usize>) -> String {
    const FIRST: &str = "  > ";
    const REST: &str = "    ";
    let shown = |c: char| match c {
        '\n' => '\n',
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    let story: String = story.chars().map(shown).collect();
    match width {
        Some(width) => terminal::wrap(&story, width, FIRST, REST, LongWords::Broken).join("\n"),
        None => format!("{FIRST}{}", story.replace('\n', &format!("\n{REST}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_wrapped_at_words_behind_its_mark_and_whole_where_there_is_no_terminal() {
        let story = "Once upon a time there was a cat.\nIt sat.";
        let want = "  > Once upon a\n    time there\n    was a cat.\n    It sat.";
        assert_eq!(sample(story, Some(17)), want);
        assert_eq!(sample(story, None), "  > Once upon a time there was a cat.\n    It sat.");
    }

    #[test]
    fn a_story_cannot_move_the_cursor() {
        assert_eq!(sample("a\x1b[2Jb\tc\rd", Some(40)), "  > a\u{fffd}[2Jb c\u{fffd}d");
    }
}
