//! Promises about texts.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn of(bytes: &[u8]) -> Result<Vec<u8>, TextError> {
    let (mut reader, mut text) = (
        Reader::from_read(Path::new("a.txt"), Box::new(io::Cursor::new(bytes.to_vec())), &Form::default())?,
        Vec::new(),
    );
    while reader.fill(&mut text)? {}
    Ok(text)
}

fn message(bytes: &[u8]) -> String {
    of(bytes).unwrap_err().to_string()
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(unit).collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn one_text_in_whatever_dress_reads_the_same() {
    let text = "One: 一 🙂.\n<|endoftext|>\n\nTwo\n";
    let dressed = text.replace('\n', "\r\n");
    let marked = |text: &str| [b"\xef\xbb\xbf", text.as_bytes()].concat();
    let le = utf16(&format!("\u{feff}{dressed}"), u16::to_le_bytes);
    let be = utf16(&format!("\u{feff}{text}"), u16::to_be_bytes);
    let two_parts = [gz(&text.as_bytes()[..7]), gz(&text.as_bytes()[7..])].concat();
    for bytes in [
        text.into(),
        dressed.clone().into_bytes(),
        text.replace('\n', "\r").into_bytes(),
        marked(text),
        marked(&dressed),
        gz(&marked(&dressed)),
        gz(&le),
        le,
        be,
        two_parts,
    ] {
        assert_eq!(String::from_utf8(of(&bytes).unwrap()).unwrap(), text, "{:?}", &bytes[..6]);
    }
    assert_eq!(of(b"").unwrap(), b"");
    assert_eq!(of(b"\xef\xbb\xbf").unwrap(), b"");
}

#[test]
fn pieces_are_cut_anywhere_without_a_trace() {
    let text = "é\r\n🙂\r\r\n<|endoftext|>\r\nab<|endoftext|>\n\n\r".repeat(3);
    let want = text.replace("\r\n", "\n").replace('\r', "\n");
    for (encoding, bytes) in [
        (Encoding::Utf8, text.clone().into_bytes()),
        (Encoding::Utf16Le, utf16(&text, u16::to_le_bytes)),
        (Encoding::Utf16Be, utf16(&text, u16::to_be_bytes)),
    ] {
        for size in 1..=bytes.len() {
            let (mut decoder, mut out) = (Decoder::new(encoding, 0), Vec::new());
            let mut pieces = bytes.chunks(size).peekable();
            while let Some(piece) = pieces.next() {
                decoder.pending().extend_from_slice(piece);
                decoder.decode(&mut out, pieces.peek().is_none()).unwrap();
            }
            assert_eq!(String::from_utf8(out).unwrap(), want, "{encoding:?} by {size}");
            assert_eq!(decoder.story(), 7, "{encoding:?} by {size}");
        }
    }
}

#[test]
fn what_is_no_text_is_named_with_its_place() {
    assert!(message(b"a\r\nb\xff").contains("a.txt: story 1 is not UTF-8: invalid byte at offset 4"));
    let late = [b"fine <|endoftext|>".repeat(200_000), b"\xc3".to_vec()].concat();
    let want = format!("story 200001 is not UTF-8: invalid byte at offset {}", late.len() - 1);
    assert!(message(&late).contains(&want), "{}", message(&late));
    assert!(message(b"one<|endoftext|>t\0wo").contains("story 2 is no text: a NUL byte at offset 17"));
    // UTF-16 without its mark
    assert!(message(&utf16("Once", u16::to_le_bytes)).contains("a NUL byte at offset 1"));
    assert!(message(b"\xff\xfea\0b").contains("story 1 is not UTF-16"));
    assert!(message(&[b"\xff\xfe".to_vec(), vec![0x3d, 0xd8, b'a', 0]].concat()).contains("offset 2"));
    assert!(message(b"\xff\xfea\0\0\0").contains("NUL byte at offset 4"));
    for (bytes, want) in [
        (&b"PK\x03\x04rest"[..], "zip"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"%PDF-1.7", "PDF"),
        (b"FLM1\x03\0\0\0", "packed model"),
        (b"\x48\x01\0\0\0\0\0\0{\"__metadata__\"", "safetensors"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:", "git lfs pull"),
        (b"{\"story\": \"Once\"}\n", "line 1: expected a field \"text\""),
        (b" [ { \"text\" : 1}]", "JSON list"),
        (b"\xef\xbb\xbf[{\"text\": 1}]", "JSON list"),
        (b"BZh91AY&SY", "bunzip2"),
        (b"<!DOCTYPE html>", "web page"),
    ] {
        assert!(message(bytes).contains(want), "{}", message(bytes));
        assert!(message(&gz(bytes)).contains(want), "in gz: {}", message(&gz(bytes)));
    }
    let mut tar = vec![b'a'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    assert!(message(&gz(&tar)).contains("tar"));
    let cut = gz(&b"Once upon a time".repeat(1000));
    assert!(message(&cut[..cut.len() - 9]).contains("damaged gz"), "{}", message(&cut[..cut.len() - 9]));
    // text that only looks a little like it
    for text in ["{ she said }", "{\"Hello\" is a greeting}", "PKs are short.", "BZh is a sound."] {
        assert_eq!(of(text.as_bytes()).unwrap(), text.as_bytes());
    }
}

#[test]
fn tables_and_json_lines_are_no_documents_and_no_plain_text() {
    let dir = tempfile::tempdir().unwrap();
    let (table, lines) = (dir.path().join("items.tsv"), dir.path().join("a.jsonl"));
    fs::write(&table, "family\tprompt\n").unwrap();
    fs::write(&lines, "{\"text\": \"a\"}\n").unwrap();
    assert_eq!(read(&table).unwrap(), b"family\tprompt\n");
    for error in [read_unmarked(&table, &Form::default()).unwrap_err(), files(&table).unwrap_err()] {
        assert!(error.to_string().contains("items.tsv: expected a text, found a table (CSV)"), "{error}");
    }
    assert_eq!(read_unmarked(&lines, &Form::default()).unwrap(), b"a\n<|endoftext|>\n");
    assert!(read(&lines).unwrap_err().to_string().contains("found records (JSON lines or Parquet)"));
}

#[test]
fn a_folder_says_what_it_gave() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::create_dir_all(path("sub/deeper")).unwrap();
    fs::create_dir_all(path(".git")).unwrap();
    for name in
        ["b.txt", "a.TXT", "sub/c.txt.gz", "sub/deeper/d.Txt", "._b.txt", ".hidden.txt", "notes.rtf", ".git/x.txt"]
    {
        fs::write(path(name), "text").unwrap();
    }
    #[cfg(unix)]
    for (target, link) in [("..", "sub/up"), ("nowhere", "gone.txt"), ("sub/deeper", "also")] {
        std::os::unix::fs::symlink(target, path(link)).unwrap();
    }
    let listing = files(dir.path()).unwrap();
    let name = |path: &PathBuf| path.strip_prefix(dir.path()).unwrap().display().to_string();
    let taken: Vec<String> = listing.taken.iter().map(name).collect();
    let left_out: Vec<String> = listing.left_out.iter().map(|(p, why)| format!("{} {why}", name(p))).collect();
    if cfg!(unix) {
        assert_eq!(taken, ["a.TXT", "also/d.Txt", "b.txt", "sub/c.txt.gz", "sub/deeper/d.Txt"]);
        assert_eq!(
            left_out,
            [
                "._b.txt hidden",
                ".git hidden",
                ".hidden.txt hidden",
                "gone.txt a link to nothing",
                &format!("notes.rtf not {}", files::KINDS),
                "sub/up a link to a folder it is in"
            ]
        );
    }
    let text = listing.to_string();
    assert!(text.contains("files: a.TXT, ") && text.contains("left out: ._b.txt (hidden), "), "{text}");
    assert_eq!(files(&path("b.txt")).unwrap().taken, [path("b.txt")]);
    assert!(matches!(files(&path("absent")), Err(TextError::Missing { .. })));
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("empty/a.csv"), "a,b").unwrap();
    let message = files(&path("empty")).unwrap_err().to_string();
    let none = format!("no {} files", files::KINDS);
    assert!(message.contains(&none) && message.contains("a.csv (a table: "), "{message}");
}
