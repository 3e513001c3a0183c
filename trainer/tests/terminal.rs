//! A run on a terminal: what stands on it while the run goes on, and after.
#![cfg(unix)]

mod common;

use std::process::Command;

use rexpect::session::{PtySession, spawn_command};

use self::common::{TINY, Work};

const COLUMNS: usize = 60;

/// As much of a terminal as the trainer uses: it wraps, moves the cursor up and erases to the end of the screen.
#[derive(Default)]
struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// Characters that did not fit on their row and went on to the next.
    wrapped: usize,
}

impl Screen {
    fn showing(output: &str) -> Self {
        let mut screen = Self::default();
        let mut rest = output.chars();
        while let Some(c) = rest.next() {
            match c {
                '\x1b' => {
                    assert_eq!(rest.next(), Some('['), "an escape sequence of another kind");
                    let mut number = String::new();
                    let last = loop {
                        match rest.next().expect("a whole escape sequence") {
                            c if c.is_ascii_digit() || c == ';' => number.push(c),
                            c => break c,
                        }
                    };
                    screen.control(last, &number);
                }
                '\r' => screen.column = 0,
                '\n' => screen.row += 1,
                c => screen.put(c),
            }
        }
        screen
    }

    fn control(&mut self, what: char, number: &str) {
        match what {
            'A' => self.row = self.row.checked_sub(number.parse().unwrap()).expect("not above the first line"),
            'J' => {
                self.rows.truncate(self.row + 1);
                if let Some(row) = self.rows.get_mut(self.row) {
                    row.truncate(self.column);
                }
            }
            'm' => {}
            other => panic!("unexpected: {other}"),
        }
    }

    fn put(&mut self, c: char) {
        let columns = console::measure_text_width(c.encode_utf8(&mut [0; 4]));
        if columns == 0 {
            return;
        }
        if self.column + columns > COLUMNS {
            (self.row, self.column, self.wrapped) = (self.row + 1, 0, self.wrapped + 1);
        }
        self.rows.resize(self.rows.len().max(self.row + 1), Vec::new());
        let row = &mut self.rows[self.row];
        row.resize(row.len().max(self.column + columns), ' ');
        row[self.column] = c;
        self.column += columns;
    }

    fn text(&self) -> String {
        self.rows.iter().map(|row| row.iter().collect::<String>() + "\n").collect()
    }
}

/// A run in a terminal of 60 columns, of which only standard error is one.
fn start(work: &Work, more: &str, environment: &[(&str, &str)]) -> PtySession {
    let shell = "stty cols 60 rows 24; cd \"$0\"; exec \"$@\" >stdout";
    let mut command = Command::new("sh");
    command.args(["-c", shell]).arg(work.dir.path()).arg(env!("CARGO_BIN_EXE_trainer"));
    command.args(TINY.split_whitespace()).args(more.split_whitespace());
    command.env("TERM", "xterm").env("CARGO", "cargo").env_remove("NO_COLOR").envs(environment.iter().copied());
    spawn_command(command, Some(120_000)).expect("a terminal")
}

/// All that the run wrote from here on, and that it ended well.
fn rest(session: &mut PtySession) -> String {
    let shown = session.exp_eof().expect("the run ends");
    let status = format!("{:?}", session.process().wait());
    assert!(status.starts_with("Ok(Exited(") && status.ends_with(", 0))"), "{status}: {shown}");
    // one character for each byte so far
    let bytes: Vec<u8> = shown.chars().map(|c| c as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The three commands at the end, as a shell reads them.
fn commands(text: &str) -> Vec<String> {
    let joined = text.replace(" \\\n", " ");
    let lines: Vec<&str> = joined.lines().collect();
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    lines[lines.len() - 6..].chunks(2).map(|pair| format!("{} {}", pair[0], squeezed(pair[1]))).collect()
}

#[test]
fn a_finished_run_leaves_lines_that_fit_and_three_commands_and_none_of_its_figures() {
    let work = Work::new();
    let mut session = start(&work, "--out run --data stories.txt --steps 600", &[]);
    session.exp_string(" left").expect("figures while it runs");
    let shown = rest(&mut session);
    assert!(shown.contains(" left") && shown.contains("\x1b[1m"), "no figures, or no colours");
    let screen = Screen::showing(&shown[shown.find('\n').expect("lines")..]);
    let text = screen.text();
    assert_eq!(screen.wrapped, 0, "a line is too long: {text}");
    assert!(!text.contains(" left"), "figures are left behind: {text}");
    assert!(text.contains("finished after 600 steps") && text.contains("  > Once upon a"), "{text}");
    let want = [
        "to talk to it: cargo run --release -p runtime-desktop -- -m run/model.flm".to_owned(),
        format!(
            "to train it for as long again: cargo run --release -p trainer -- {TINY} --out run --data stories.txt \
             --extend --steps 1200"
        ),
        "to see how it went: cargo run --release -p trainer -- report run".to_owned(),
    ];
    assert_eq!(commands(&text), want.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")));
    assert_eq!(std::fs::read(work.path("stdout")).unwrap(), b"");
}

#[test]
fn an_interrupted_run_says_so_above_its_figures_and_how_it_goes_on() {
    let work = Work::new();
    let mut session = start(&work, "--out run --data stories.txt --hours 1", &[]);
    session.exp_string(" left").expect("figures while it runs");
    session.send_control('c').expect("Ctrl-C");
    let shown = rest(&mut session);
    let text = Screen::showing(&shown).text();
    assert!(text.contains("stopping: saving a checkpoint and the model (Ctrl-C"), "{text}");
    let below = &text[text.find("stopping").unwrap()..];
    assert!(!below.contains(" left") && below.contains("stopped after"), "figures are left behind: {text}");
    let again = &commands(&text)[1];
    assert!(
        again.starts_with("to go on with the training:") && again.ends_with("--out run --data stories.txt --hours 1")
    );
}

#[test]
fn no_color_and_a_dumb_terminal_mean_no_colour() {
    for environment in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let work = Work::new();
        let shown = rest(&mut start(&work, "--out run --data stories.txt --steps 20", &[environment]));
        let last = |code: &str| code.chars().find(char::is_ascii_alphabetic);
        let colored = shown.split("\x1b[").skip(1).any(|code| last(code) == Some('m'));
        assert!(!colored, "{environment:?}: {shown:?}");
        assert_eq!(shown.contains('\x1b'), environment.0 == "NO_COLOR", "a dumb terminal moves no cursor: {shown:?}");
        assert!(shown.contains(" left | "), "figures all the same: {shown:?}");
    }
}
