//! How text looks: who wrote it shows, lines break at words, and a story may take its time. All of this on a terminal
//! alone: a pipe or file gets the text and nothing else.

mod pace;
mod wrap;

use std::env;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use clap::ColorChoice;

pub use self::pace::Pace;
use self::pace::Pacer;
use self::wrap::Wrap;

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voice {
    /// The reader's own.
    Own,
    /// The model's.
    Model,
    /// The program's.
    Message,
}

impl Voice {
    pub fn style(self) -> Style {
        match self {
            Self::Own => AnsiColor::Green.on_default().bold(),
            Self::Model => Style::new(),
            Self::Message => AnsiColor::Cyan.on_default(),
        }
    }
}

/// What the program's two outputs can show.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    coloured: bool,
    coloured_errors: bool,
    terminal: bool,
}

impl Screen {
    /// Looks at the outputs. Where `choice` leaves it open, a terminal has colours unless `NO_COLOR` says otherwise
    /// (<https://no-color.org>) or it can show none.
    pub fn open(choice: ColorChoice) -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|term| term != "dumb");
        let coloured = |terminal: bool| match choice {
            ColorChoice::Auto => terminal && wanted,
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self { coloured: coloured(out), coloured_errors: coloured(err), terminal: out }
    }

    /// Whether standard output has colours.
    pub fn coloured(self) -> bool {
        self.coloured
    }

    /// Columns of the terminal; none where the output is no terminal, or one that does not say.
    fn width(self) -> Option<usize> {
        let size = if self.terminal { terminal_size::terminal_size_of(io::stdout()) } else { None };
        size.map(|(width, _)| usize::from(width.0))
    }

    /// A message, as a line of its own.
    pub fn say(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", styled(Voice::Message.style(), text, self.coloured))?;
        out.flush()
    }

    /// Lines that are neither a story nor a message.
    pub fn print(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// A complaint or a remark, beside the text.
    pub fn complain(self, text: &str) -> io::Result<()> {
        writeln!(io::stderr(), "{}", styled(Voice::Message.style(), text, self.coloured_errors))
    }

    /// Begins a text on standard output that comes in pieces.
    pub fn text(self, pace: Pace) -> Text {
        let wrap = Wrap::new(self.width());
        Text { coloured: self.coloured, wrap, pacer: Pacer::new(pace), style: Style::new(), ready: String::new() }
    }
}

/// `text` in `style`, where there are colours.
fn styled(style: Style, text: &str, coloured: bool) -> String {
    if coloured { format!("{style}{text}{style:#}") } else { text.into() }
}

/// A text that is shown while it arrives.
#[derive(Debug)]
pub struct Text {
    coloured: bool,
    wrap: Wrap,
    pacer: Pacer,
    style: Style,
    ready: String,
}

impl Text {
    /// Shows `text` at once, but for a word that is not whole yet.
    pub fn show(&mut self, text: &str, style: Style) -> io::Result<()> {
        self.turn_to(style);
        self.wrap.push(text, &mut self.ready);
        self.flush()
    }

    /// Shows `text` when its time has come, or when `stopped`.
    pub fn tell(&mut self, text: &str, stopped: impl Fn() -> bool) -> io::Result<()> {
        self.pacer.wait(text, stopped);
        self.show(text, Voice::Model.style())
    }

    /// Shows what is left, then `end`.
    pub fn finish(mut self, end: &str) -> io::Result<()> {
        self.turn_to(Style::new());
        self.wrap.finish(&mut self.ready);
        self.ready.push_str(end);
        self.flush()
    }

    fn turn_to(&mut self, style: Style) {
        if self.coloured && style != self.style {
            self.wrap.code(&format!("{:#}{style}", self.style), &mut self.ready);
        }
        self.style = style;
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(self.ready.as_bytes())?;
        self.ready.clear();
        out.flush()
    }
}
