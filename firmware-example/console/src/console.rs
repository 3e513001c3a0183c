//! A line editor over the serial line, and how things are printed.

use core::fmt;

use heapless::{Deque, Vec};

use crate::Board;

/// The longest line, bytes.
pub const LINE: usize = 256;

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const BELL: u8 = 0x07;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7F;

/// What was typed.
pub enum Input {
    Line,
    /// More than [`LINE`] bytes.
    TooLong,
    /// Ctrl-D on an empty line.
    End,
}

/// The terminal at the other end of a board's serial line.
pub struct Console<B> {
    /// The board.
    pub board: B,
    /// Typed while a story was told.
    ahead: Deque<u8, LINE>,
    /// A line feed behind this carriage return is part of it.
    after_return: bool,
}

impl<B: Board> Console<B> {
    /// The console of `board`.
    pub fn new(board: B) -> Self {
        Self { board, ahead: Deque::new(), after_return: false }
    }

    /// Reads a line into `line`, with echo. Enter (CR, LF or both) ends it, backspace takes a character back, Ctrl-C
    /// all of it.
    pub fn read_line(&mut self, line: &mut Vec<u8, LINE>) -> Input {
        line.clear();
        let mut fits = true;
        loop {
            let Some(byte) = self.ahead.pop_front().or_else(|| self.board.read()) else { continue };
            let after_return = core::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\r' | b'\n' => {
                    self.print("\n");
                    return if fits { Input::Line } else { Input::TooLong };
                }
                CTRL_D if line.is_empty() => return Input::End,
                CTRL_C => {
                    self.print("^C\n");
                    line.clear();
                    return Input::Line;
                }
                BACKSPACE | DELETE => self.take_back(line),
                b' ' | b'!'..=b'~' | 0x80.. => {
                    fits = line.push(byte).is_ok();
                    self.put(if fits { byte } else { BELL });
                }
                // other control characters mean nothing here
                _ => self.put(BELL),
            }
        }
    }

    /// Removes the last character, which may have several bytes.
    fn take_back(&mut self, line: &mut Vec<u8, LINE>) {
        while let Some(byte) = line.pop() {
            let continues = (0x80..0xC0).contains(&byte);
            if !continues {
                return self.print("\x08 \x08");
            }
        }
        self.put(BELL);
    }

    /// Whether Ctrl-C was typed since the last look; other keys are kept for [`read_line`](Self::read_line).
    pub fn interrupted(&mut self) -> bool {
        while !self.ahead.is_full()
            && let Some(byte) = self.board.read()
        {
            if byte == CTRL_C {
                return true;
            }
            let _ = self.ahead.push_back(byte);
        }
        false
    }

    /// Prints a byte, a line feed as CR LF.
    pub fn put(&mut self, byte: u8) {
        if byte == b'\n' {
            self.board.write(b'\r');
        }
        self.board.write(byte);
    }

    /// Prints text.
    pub fn print(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.put(byte));
    }
}

impl<B: Board> fmt::Write for Console<B> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.print(text);
        Ok(())
    }
}
