//! What a file is by its first bytes.

/// Files that begin in a way of their own, and what they are.
const MAGIC: [(&[u8], &str); 24] = [
    (
        b"PK\x03\x04",
        "a zip archive (or a document or e-book, which is one inside): unpack it, or save it as plain text",
    ),
    (b"\x28\xb5\x2f\xfd", "zstd data: unpack it first (zstd -d)"),
    (b"\xfd7zXZ\0", "xz data: unpack it first (xz -d)"),
    (b"\x04\x22\x4d\x18", "lz4 data: unpack it first (lz4 -d)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"Rar!\x1a\x07", "a rar archive: unpack it first"),
    (b"\x1f\x9d", "data of compress: unpack it first"),
    (b"%PDF-", "a PDF document: save it as plain text"),
    (b"{\\rtf", "a rich text document: save it as plain text"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document: save it as plain text"),
    (b"PAR1", "a Parquet file: export its text column as plain text"),
    (b"ARROW1\0", "an Arrow file: export its text column as plain text"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"FLM1", "a packed model (.flm)"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"\x89PNG\r\n", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"OggS", "a sound"),
    (b"ID3\x03", "a sound"),
    (b"\xff\xfe\0\0", "UTF-32 text: save it as UTF-8"),
    (b"\0\0\xfe\xff", "UTF-32 text: save it as UTF-8"),
    (
        b"version https://git-lfs.github.com/spec/",
        "a git-LFS pointer, which stands for a file that was not fetched: git lfs pull brings it",
    ),
];

pub fn is_gz(head: &[u8]) -> bool {
    head.starts_with(b"\x1f\x8b\x08")
}

/// What a file with this beginning is, if that is no text.
pub fn foreign(head: &[u8]) -> Option<&'static str> {
    if let Some((_, what)) = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(what);
    }
    if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return Some("bzip2 data: unpack it first (bzip2 -d)");
    }
    if is_gz(head) {
        return Some("gz data within gz data: unpack it first (gzip -d)");
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it first");
    }
    // a header's length in 8 bytes, then the header, a JSON object
    if head.get(5..9) == Some(b"\0\0\0{") {
        return Some("a safetensors file");
    }
    is_json(head)
        .then_some("JSON: expected plain text (save the field that holds it, stories separated by <|endoftext|>)")
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
