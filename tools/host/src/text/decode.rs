//! From a file's bytes to UTF-8 with "\n" at the ends of lines.

use flashlm_core::text::SEPARATOR;
use memchr::{memchr, memmem};

/// How characters are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    /// What a text's first bytes say, and how many of them are a byte order mark.
    pub fn of(head: &[u8]) -> (Self, usize) {
        match head {
            [0xef, 0xbb, 0xbf, ..] => (Self::Utf8, 3),
            [0xff, 0xfe, ..] => (Self::Utf16Le, 2),
            [0xfe, 0xff, ..] => (Self::Utf16Be, 2),
            _ => (Self::Utf8, 0),
        }
    }
}

/// What is wrong, and at which byte of the file (where it was gz, of what was in it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    NotUtf8(u64),
    NotUtf16(u64),
    Nul(u64),
}

/// Decodes a text piece by piece.
pub struct Decoder {
    encoding: Encoding,
    /// Bytes that were not decoded yet, and how many came before them.
    pending: Vec<u8>,
    before: u64,
    /// Whether the last character was "\r": a "\n" after it is not another end of line.
    after_return: bool,
    /// Separators so far, and the last bytes, in which the next may have begun.
    separators: usize,
    tail: Vec<u8>,
    /// UTF-16 as UTF-8.
    converted: Vec<u8>,
}

impl Decoder {
    /// A decoder of what comes after the file's first `before` bytes.
    pub fn new(encoding: Encoding, before: u64) -> Self {
        Self {
            encoding,
            pending: Vec::new(),
            before,
            after_return: false,
            separators: 0,
            tail: Vec::new(),
            converted: Vec::new(),
        }
    }

    /// Where to put the next bytes: behind those that are there.
    pub fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// The number of the story that is being read, from 1.
    pub fn story(&self) -> usize {
        self.separators + 1
    }

    /// Appends to `text` what is pending, but for half a character at its end; at the text's end (`last`) that is an
    /// error. On an error all that comes before it was appended.
    pub fn decode(&mut self, text: &mut Vec<u8>, last: bool) -> Result<(), Wrong> {
        match self.encoding {
            Encoding::Utf8 => self.decode_utf8(text, last),
            Encoding::Utf16Le => self.decode_utf16(text, last, u16::from_le_bytes),
            Encoding::Utf16Be => self.decode_utf16(text, last, u16::from_be_bytes),
        }
    }

    fn decode_utf8(&mut self, text: &mut Vec<u8>, last: bool) -> Result<(), Wrong> {
        let (mut valid, mut wrong) = (self.pending.len(), None);
        if let Err(e) = std::str::from_utf8(&self.pending) {
            valid = e.valid_up_to();
            if e.error_len().is_some() || last {
                wrong = Some(Wrong::NotUtf8(self.before + valid as u64));
            }
        }
        if let Some(nul) = memchr(0, &self.pending[..valid]) {
            (valid, wrong) = (nul, Some(Wrong::Nul(self.before + nul as u64)));
        }
        let rest = self.pending.split_off(valid);
        let whole = std::mem::replace(&mut self.pending, rest);
        self.before += valid as u64;
        self.append(&whole, text);
        wrong.map_or(Ok(()), Err)
    }

    fn decode_utf16(&mut self, text: &mut Vec<u8>, last: bool, unit: fn([u8; 2]) -> u16) -> Result<(), Wrong> {
        let mut converted = std::mem::take(&mut self.converted);
        converted.clear();
        let (units, odd) = self.pending.as_chunks::<2>();
        let (mut done, mut wrong) = (0, None);
        while done < units.len() && wrong.is_none() {
            let pair = &units[done..units.len().min(done + 2)];
            let first = char::decode_utf16(pair.iter().map(|&bytes| unit(bytes))).next();
            let offset = self.before + 2 * done as u64;
            match first {
                Some(Ok('\0')) => wrong = Some(Wrong::Nul(offset)),
                Some(Ok(c)) => {
                    converted.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    done += c.len_utf16();
                }
                // the other half of the last character may come yet
                _ if pair.len() == 1 && !last => break,
                _ => wrong = Some(Wrong::NotUtf16(offset)),
            }
        }
        if last && wrong.is_none() && !odd.is_empty() {
            wrong = Some(Wrong::NotUtf16(self.before + 2 * done as u64));
        }
        self.pending.drain(..2 * done);
        self.before += 2 * done as u64;
        self.append(&converted, text);
        self.converted = converted;
        wrong.map_or(Ok(()), Err)
    }

    /// Appends UTF-8 with its ends of lines made "\n", and counts its separators.
    fn append(&mut self, mut utf8: &[u8], text: &mut Vec<u8>) {
        let start = text.len();
        if utf8.is_empty() {
            return;
        }
        if self.after_return {
            utf8 = utf8.strip_prefix(b"\n").unwrap_or(utf8);
        }
        self.after_return = false;
        while let Some(at) = memchr(b'\r', utf8) {
            text.extend_from_slice(&utf8[..at]);
            text.push(b'\n');
            utf8 = &utf8[at + 1..];
            self.after_return = utf8.is_empty();
            utf8 = utf8.strip_prefix(b"\n").unwrap_or(utf8);
        }
        text.extend_from_slice(utf8);
        self.count(&text[start..]);
    }

    fn count(&mut self, new: &[u8]) {
        let longest = SEPARATOR.len() - 1;
        // one that is cut in two by the border
        let tail = self.tail.len();
        self.tail.extend_from_slice(&new[..new.len().min(longest)]);
        self.separators += memmem::find_iter(&self.tail, SEPARATOR).filter(|at| at + SEPARATOR.len() > tail).count();
        self.separators += memmem::find_iter(new, SEPARATOR).count();
        if new.len() >= longest {
            self.tail.clear();
            self.tail.extend_from_slice(&new[new.len() - longest..]);
        } else {
            let surplus = self.tail.len().saturating_sub(longest);
            self.tail.drain(..surplus);
        }
    }
}
