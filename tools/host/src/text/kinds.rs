//! What a file is by its first bytes, where that is no text.

use std::path::Path;

use flashlm_core::blob::MAGIC;

use crate::kind;

pub fn is_gz(head: &[u8]) -> bool {
    head.starts_with(b"\x1f\x8b\x08")
}

/// Whether a file that can be read again from its start is a Parquet file; leaves it at its start.
#[cfg(feature = "parquet")]
pub fn is_parquet(mut file: &std::fs::File) -> bool {
    use std::io::{Read, Seek};
    let mut begin = [0; super::parquet::MAGIC.len()];
    let is_file = file.metadata().is_ok_and(|about| about.is_file());
    let found = is_file && file.read_exact(&mut begin).is_ok() && begin == *super::parquet::MAGIC;
    found & (!is_file || file.rewind().is_ok())
}

/// What the file at `path` with this beginning is, if that is no text, and how to get on.
pub fn foreign(head: &[u8], path: &Path) -> Option<String> {
    let list = || {
        let what = "a JSON list: saved as JSON lines, an object a line, it can be read (`jq -c '.[]'` does that)";
        (json(head) == Some(Json::List)).then(|| what.to_owned())
    };
    let model =
        || head.starts_with(&MAGIC).then(|| format!("a packed model: `flashlm -m {}` talks to it", path.display()));
    kind(head, path).or_else(model).or_else(list)
}

/// Whether a name says that a file is a table of comma- or tab-separated values.
pub fn is_table(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// A way to keep objects in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// One in every line.
    Lines,
    List,
}

/// Whether a file begins as JSON objects, or a list of them: a brace and a quoted name.
pub fn json(head: &[u8]) -> Option<Json> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let (text, found) = match text.strip_prefix(b"[") {
        Some(text) => (text.trim_ascii_start(), Json::List),
        None => (text, Json::Lines),
    };
    let name = text.strip_prefix(b"{")?.trim_ascii_start().strip_prefix(b"\"")?;
    let end = name.iter().position(|&b| b == b'"')?;
    name[end + 1..].trim_ascii_start().starts_with(b":").then_some(found)
}
