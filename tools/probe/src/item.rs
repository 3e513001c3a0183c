//! One question with a known answer, and files of them.
//!
//! A file is tab-separated text, one item a line. A first line that names the columns `prompt` and `answer` is a
//! header; the columns known are [`COLUMNS`], others are passed over. Without a header the columns are family, prompt,
//! answer, wrong. In a field `\n`, `\t`, `\r`, `\|` and `\\` stand for a newline, a tab, a carriage return, a bar and a
//! backslash.

use std::io::{self, Write};
use std::path::Path;

use crate::error::ProbeError;
use crate::file;

/// The columns an items file may have.
pub const COLUMNS: [&str; 7] = ["family", "facts", "distance", "prompt", "answer", "wrong", "end"];

/// A prompt that stops right before its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// What the item is counted under.
    pub family: String,
    /// Facts needed to answer.
    pub facts: Option<u8>,
    /// Words between the last fact needed and the question.
    pub distance: Option<u32>,
    /// Text up to the answer, without white space at its end.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// Wrong answers to choose from, none equal to the right one; may be empty.
    pub wrong: Vec<String>,
    /// What must follow the answer. Empty: anything that does not make it a longer word.
    pub end: String,
}

impl Item {
    /// What stands between prompt and answer: nothing after an opening quote (and at a text's very beginning), else a
    /// space.
    pub fn gap(&self) -> &'static str {
        let mut back = self.prompt.chars().rev();
        match (back.next(), back.next()) {
            (None, _) => "",
            (Some('"' | '\'' | '\u{201c}' | '\u{2018}' | '('), before) if before.is_none_or(char::is_whitespace) => "",
            _ => " ",
        }
    }

    /// The right answer and the wrong ones.
    pub fn choices(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.answer).chain(&self.wrong).map(String::as_str)
    }
}

/// Reads an items file.
pub fn read(path: &Path) -> Result<Vec<Item>, ProbeError> {
    let bytes = file::read(path, file::QUESTIONS)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let valid = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&b| b == b'\n').count();
        ProbeError::line(path, line, "expected UTF-8 text")
    })?;
    parse(&text).map_err(|(line, message)| match line {
        0 => ProbeError::file(path, message),
        _ => ProbeError::line(path, line, message),
    })
}

/// Parses an items file; an error is the line it is in (from 1; 0 for the whole file) and what is wrong.
pub fn parse(text: &str) -> Result<Vec<Item>, (usize, String)> {
    let mut lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate().peekable();
    let mut columns = ["family", "prompt", "answer", "wrong"].map(String::from).to_vec();
    if let Some((_, first)) = lines.peek() {
        let names: Vec<String> = first.split('\t').map(|name| name.trim().to_ascii_lowercase()).collect();
        let has = |name: &str| names.iter().any(|n| n == name);
        if has("prompt") && has("answer") {
            if let Some(twice) = COLUMNS.iter().find(|&c| names.iter().filter(|n| n == c).count() > 1) {
                return Err((1, format!("the header names the column {twice} twice")));
            }
            columns = names;
            lines.next();
        }
    }
    let mut items = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        items.push(item(&columns, line).map_err(|message| (number + 1, message))?);
    }
    if items.is_empty() {
        return Err((0, "expected an item a line: family, prompt, answer and wrong answers, found none".into()));
    }
    Ok(items)
}

fn item(columns: &[String], line: &str) -> Result<Item, String> {
    let fields: Vec<&str> = line.split('\t').collect();
    if fields.len() != columns.len() {
        let names = columns.join(", ");
        return Err(format!("expected {} fields ({names}) between tabs, found {}", columns.len(), fields.len()));
    }
    let mut item = Item { family: "items".into(), ..Item::default() };
    for (column, field) in columns.iter().zip(fields) {
        match column.as_str() {
            "family" => item.family = unescape(field)?.trim().to_string(),
            "facts" => item.facts = number(column, field)?,
            "distance" => item.distance = number(column, field)?,
            "prompt" => item.prompt = unescape(field)?.trim_end().to_string(),
            "answer" => item.answer = unescape(field)?.trim().to_string(),
            "wrong" => {
                item.wrong =
                    split_bars(field).map(|w| Ok(unescape(w)?.trim().to_string())).collect::<Result<_, String>>()?
            }
            "end" => item.end = unescape(field)?,
            _ => {}
        }
    }
    item.wrong.retain(|w| !w.is_empty());
    if item.family.is_empty() {
        return Err("family: expected a name, found nothing".into());
    }
    if item.answer.is_empty() {
        return Err("answer: expected text, found nothing".into());
    }
    if item.wrong.contains(&item.answer) {
        return Err(format!("wrong: the answer {:?} is among the wrong ones", item.answer));
    }
    Ok(item)
}

fn number<N: std::str::FromStr>(column: &str, field: &str) -> Result<Option<N>, String> {
    match field.trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| format!("{column}: expected a whole number, found {text:?}")),
    }
}

/// The parts of a field between bars that no backslash escapes.
fn split_bars(field: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    field.split(move |c: char| {
        let cut = c == '|' && !escaped;
        escaped = c == '\\' && !escaped;
        cut
    })
}

fn unescape(field: &str) -> Result<String, String> {
    let mut text = String::with_capacity(field.len());
    let mut chars = field.chars();
    while let Some(c) = chars.next() {
        text.push(match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => '\n',
            ('\\', Some('t')) => '\t',
            ('\\', Some('r')) => '\r',
            ('\\', Some(c @ ('|' | '\\'))) => c,
            ('\\', other) => {
                let found = other.map(String::from).unwrap_or_default();
                return Err(format!("expected \\n, \\t, \\r, \\| or \\\\ after a backslash, found {found:?}"));
            }
            (c, _) => c,
        });
    }
    Ok(text)
}

fn escape(text: &str) -> String {
    let mut field = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => field.push_str("\\n"),
            '\t' => field.push_str("\\t"),
            '\r' => field.push_str("\\r"),
            '|' | '\\' => field.extend(['\\', c]),
            c => field.push(c),
        }
    }
    field
}

/// Writes items with a header. `extra` are further columns: their names, and the fields of each item.
pub fn write(
    out: &mut impl Write,
    items: &[Item],
    extra: &[String],
    fields: impl Fn(usize) -> Vec<String>,
) -> io::Result<()> {
    let header: Vec<&str> = COLUMNS.into_iter().chain(extra.iter().map(String::as_str)).collect();
    writeln!(out, "{}", header.join("\t"))?;
    for (index, item) in items.iter().enumerate() {
        let wrong: Vec<String> = item.wrong.iter().map(|w| escape(w)).collect();
        let mut row = vec![
            escape(&item.family),
            item.facts.map(|n| n.to_string()).unwrap_or_default(),
            item.distance.map(|n| n.to_string()).unwrap_or_default(),
            escape(&item.prompt),
            escape(&item.answer),
            wrong.join("|"),
            escape(&item.end),
        ];
        row.extend(fields(index).iter().map(|f| escape(f)));
        writeln!(out, "{}", row.join("\t"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn example() -> Item {
        Item {
            family: "tracking".into(),
            facts: Some(2),
            distance: Some(31),
            prompt: "Tom said:\n\n\t\"A | or a \\?\"".into(),
            answer: "barn".into(),
            wrong: vec!["park|lake".into(), "shop\\".into()],
            end: ".".into(),
        }
    }

    #[test]
    fn items_survive_a_file() {
        let items = [example(), Item { family: "b".into(), answer: "x".into(), ..Item::default() }];
        let mut file = Vec::new();
        write(&mut file, &items, &["exact_1".into()], |i| vec![i.to_string()]).unwrap();
        let text = String::from_utf8(file).unwrap();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(parse(&text).unwrap(), items);
    }

    #[test]
    fn four_columns_need_no_header_and_columns_may_come_in_any_order() {
        let plain = parse("tracking\tWhere is Tom? \tbarn\tpark|lake\n\nif-then\tIt\trained\t\n").unwrap();
        assert_eq!(plain[0].prompt, "Where is Tom?");
        assert_eq!(plain[0].wrong, ["park", "lake"]);
        assert_eq!((plain[1].family.as_str(), plain[1].wrong.len()), ("if-then", 0));
        let named = parse("answer\tnote\tfacts\tprompt\nbarn\tmine\t3\tWhere?\n").unwrap();
        assert_eq!((named[0].facts, named[0].family.as_str(), named[0].answer.as_str()), (Some(3), "items", "barn"));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, want) in [
            ("", 0, "found none"),
            ("prompt\tanswer\n", 0, "found none"),
            ("a\tb\tc\td\na\tb\n", 2, "expected 4 fields (family, prompt, answer, wrong) between tabs, found 2"),
            ("prompt\tanswer\tfacts\nx\ty\tmany\n", 2, "facts: expected a whole number, found \"many\""),
            ("prompt\tanswer\tprompt\nx\ty\tz\n", 1, "the column prompt twice"),
            ("f\tp\t \tw\n", 1, "answer: expected text"),
            ("f\tp\ta\tb|a\n", 1, "\"a\" is among the wrong ones"),
            ("f\tp\\x\ta\tb\n", 1, "after a backslash, found \"x\""),
            (" \tp\ta\tb\n", 1, "family: expected a name"),
        ] {
            let (at, message) = parse(text).unwrap_err();
            assert!(at == line && message.contains(want), "{text:?}: {at}: {message}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.tsv");
        assert!(read(&path).unwrap_err().to_string().contains("items.tsv: "));
        fs::write(&path, b"f\tp\ta\tb\nf\t\xff\ta\tb\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().ends_with("items.tsv:2: expected UTF-8 text"));
        fs::write(&path, "f\tp\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("items.tsv:1: expected 4 fields"));
    }

    #[test]
    fn an_answer_follows_an_opening_quote_directly() {
        let gap = |prompt: &str| Item { prompt: prompt.into(), ..Item::default() }.gap();
        assert_eq!(gap("Tom said, \""), "");
        assert_eq!(gap("\""), "");
        assert_eq!(gap(""), "");
        for prompt in ["Where is Tom?", "\"Where is Tom?\"", "He is in the"] {
            assert_eq!(gap(prompt), " ", "{prompt}");
        }
    }
}
