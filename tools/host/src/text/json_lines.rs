//! JSON lines: an object a line, one field of which is a text.

use std::borrow::Cow;
use std::fmt;

use flashlm_core::text::SEPARATOR;
use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};

/// A longer line is no document.
const LONGEST: usize = 1 << 30;
/// Names of other fields shown where the one wanted is missing.
const SHOWN: usize = 8;

/// Why a line holds no document.
#[derive(Debug)]
pub struct Wrong {
    /// From 1.
    pub line: u64,
    pub reason: String,
}

/// Lines that arrive in pieces.
pub struct JsonLines {
    field: String,
    /// What has come of the lines that are not told yet.
    pending: Vec<u8>,
    line: u64,
}

impl JsonLines {
    pub fn new(field: &str) -> Self {
        Self { field: field.into(), pending: Vec::new(), line: 0 }
    }

    /// Where the next piece is to be appended: UTF-8 with "\n" at the ends of lines.
    pub fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Appends to `text` the texts of all lines that are whole, a separator after each; `ended`: no more will come.
    pub fn take(&mut self, text: &mut Vec<u8>, ended: bool) -> Result<(), Wrong> {
        let end = match ended {
            true => self.pending.len(),
            false => memchr::memrchr(b'\n', &self.pending).map_or(0, |newline| newline + 1),
        };
        for line in self.pending[..end].split_inclusive(|&byte| byte == b'\n') {
            self.line += 1;
            if !line.trim_ascii().is_empty() {
                let told = document(line, &self.field).map_err(|reason| Wrong { line: self.line, reason })?;
                push(text, &told);
            }
        }
        self.pending.drain(..end);
        if self.pending.len() > LONGEST {
            return Err(Wrong { line: self.line + 1, reason: "it is over 1 GB long".into() });
        }
        Ok(())
    }
}

/// The text in `field` of the object that a line is.
fn document<'a>(line: &'a [u8], field: &str) -> Result<Cow<'a, str>, String> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let text = Field(field).deserialize(&mut json).and_then(|text| json.end().map(|()| text));
    let text = text.map_err(|error| match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => format!("no JSON object ({error}); JSON lines have a whole one in every line"),
    })?;
    match text.contains('\0') {
        true => Err(format!("a NUL character in the field \"{field}\"")),
        false => Ok(text),
    }
}

/// Appends a document's text, ends of lines as everywhere, and a separator.
pub(super) fn push(text: &mut Vec<u8>, told: &str) {
    let mut rest = told.as_bytes();
    while let Some(at) = memchr::memchr(b'\r', rest) {
        text.extend_from_slice(&rest[..at]);
        text.push(b'\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix(b"\n").unwrap_or(rest);
    }
    text.extend_from_slice(rest);
    text.push(b'\n');
    text.extend_from_slice(SEPARATOR);
    text.push(b'\n');
}

/// Finds the text in the field of this name.
struct Field<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut others) = (None, Vec::new());
        while let Some(name) = fields.next_key::<Text<'de>>()? {
            if name.0 == self.0 {
                found = Some(fields.next_value::<Text<'de>>()?.0);
            } else {
                fields.next_value::<IgnoredAny>()?;
                if others.len() < SHOWN {
                    others.push(format!("\"{}\"", name.0));
                }
            }
        }
        found.ok_or_else(|| {
            let others = if others.is_empty() { "none".into() } else { others.join(", ") };
            A::Error::custom(format_args!("expected a field \"{}\" (--field names another), found {others}", self.0))
        })
    }
}

/// A string, borrowed where nothing in it is escaped.
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.into())))
            }
        }
        json.deserialize_str(Strings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(pieces: &[&str], field: &str) -> Result<String, Wrong> {
        let (mut lines, mut text) = (JsonLines::new(field), Vec::new());
        for (i, piece) in pieces.iter().enumerate() {
            lines.pending().extend_from_slice(piece.as_bytes());
            lines.take(&mut text, i + 1 == pieces.len())?;
        }
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn each_line_is_a_document_wherever_pieces_end() {
        let one = "{\"id\": 1, \"text\": \"One\\u00e9.\\r\\nTwo\\r.\"}\n\n";
        let all = &format!("{one}{}", "{\"text\":\"\\\"3\\\"\", \"more\": [{\"text\": 4}]}");
        let want = "Oneé.\nTwo\n.\n<|endoftext|>\n\"3\"\n<|endoftext|>\n";
        for cut in 0..all.len() {
            assert_eq!(told(&[&all[..cut], &all[cut..]], "text").unwrap(), want, "cut at {cut}");
        }
        assert_eq!(told(&["{\"story\": \"x\", \"text\": \"y\"}\n"], "story").unwrap(), "x\n<|endoftext|>\n");
        assert_eq!(told(&[""], "text").unwrap(), "");
    }

    #[test]
    fn a_line_without_a_text_is_named_with_what_it_has() {
        for (line, reason) in [
            (
                "{\"story\": \"a\", \"id\": 3}",
                "expected a field \"text\" (--field names another), found \"story\", \"id\"",
            ),
            ("{}", "found none"),
            ("{\"text\": 5}", "expected a string"),
            ("{\"text\": null}", "expected a string"),
            ("{\"text\": \"a\"", "have a whole one in every line"),
            ("{\"text\": \"a\"} x", "have a whole one in every line"),
            ("[1]", "expected an object"),
            ("{\"text\": \"a\\u0000\"}", "a NUL character in the field \"text\""),
        ] {
            let wrong = told(&["{\"text\": \"fine\"}\n", line], "text").unwrap_err();
            assert!(wrong.line == 2 && wrong.reason.contains(reason), "{line}: {wrong:?}");
        }
    }
}
