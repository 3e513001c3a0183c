//! What a file is by its first bytes, where that is no text.

use std::path::Path;

use flashlm_core::blob::MAGIC;

use crate::kind;

pub fn is_gz(head: &[u8]) -> bool {
    head.starts_with(b"\x1f\x8b\x08")
}

/// What the file at `path` with this beginning is, if that is no text, and how to get on.
pub fn foreign(head: &[u8], path: &Path) -> Option<String> {
    let list = || {
        let what = "a JSON list: saved as JSON lines, an object a line, it can be read (`jq -c '.[]'` does that)";
        (head.trim_ascii_start().starts_with(b"[") && is_json(head)).then(|| what.to_owned())
    };
    let table = || {
        let what = "a table (CSV): its column of text, saved as JSON lines ({\"text\": \"...\"} in every line), can be \
                    read";
        is_table(path).then(|| what.to_owned())
    };
    let model =
        || head.starts_with(&MAGIC).then(|| format!("a packed model: `flashlm -m {}` talks to it", path.display()));
    kind(head, path).or_else(model).or_else(list).or_else(table)
}

/// Whether a name says that a file is a table of comma- or tab-separated values.
pub fn is_table(path: &Path) -> bool {
    let name = path.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// Whether a file begins as JSON lines do.
pub fn is_json_lines(head: &[u8]) -> bool {
    is_json(head) && !head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start().starts_with(b"[")
}

/// Whether a file begins as a JSON object, or a list of them: a brace and a quoted name.
fn is_json(head: &[u8]) -> bool {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let text = text.strip_prefix(b"[").map_or(text, <[u8]>::trim_ascii_start);
    let Some(name) = text.strip_prefix(b"{").and_then(|text| text.trim_ascii_start().strip_prefix(b"\"")) else {
        return false;
    };
    let Some(end) = name.iter().position(|&b| b == b'"') else { return false };
    name[end + 1..].trim_ascii_start().starts_with(b":")
}
