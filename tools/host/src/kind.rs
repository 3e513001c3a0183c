//! What a file is that was taken for a model or a text.

use std::path::Path;

/// Bytes of a file's begin that [`kind`] looks at.
pub const KIND_BYTES: usize = 512;

/// Files that are known by their first bytes: what they are, and how to get on with one at a path `{}`.
const BEGINS: [(&[u8], &str, &str); 25] = [
    (
        b"version https://git-lfs.github.com/spec/v1",
        "a git-LFS pointer, which stands for the file itself",
        "`git lfs pull` in its folder gets that",
    ),
    (b"\x1f\x8b", "a file packed by gzip", "`gunzip {}` unpacks it"),
    (b"\x1f\x9d", "a file packed by compress", "`uncompress {}` unpacks it"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd", "`unzstd {}` unpacks it"),
    (b"\xfd7zXZ\0", "a file packed by xz", "`unxz {}` unpacks it"),
    (b"\x04\x22\x4d\x18", "a file packed by lz4", "`unlz4 {}` unpacks it"),
    (
        b"PK\x03\x04",
        "a zip archive",
        "`unzip {}` unpacks it; PyTorch's files (.pt, .bin), documents (.docx, .odt) and e-books are archives, too, \
         and cannot be used",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "`7z x {}` unpacks it"),
    (b"Rar!\x1a\x07", "a rar archive", "`unrar x {}` unpacks it"),
    (b"GGUF", "a model for llama.cpp (GGUF)", "only models that `trainer` made can be used"),
    (b"%PDF-", "a PDF document", "`pdftotext {}` makes plain text of it"),
    (b"{\\rtf", "a rich text document", "saved as plain text it can be read"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document", "saved as plain text it can be read"),
    (b"PAR1", "a Parquet file", PARQUET),
    (b"ARROW1\0", "an Arrow file", "its column of text, saved as plain text, can be read"),
    (b"SQLite format 3\0", "an SQLite database", "its text, saved as plain text, can be read"),
    (b"\xff\xfe\0\0", "text in UTF-32", "saved as UTF-8 it can be read"),
    (b"\0\0\xfe\xff", "text in UTF-32", "saved as UTF-8 it can be read"),
    (b"\x7fELF", "a program (ELF)", "expected is another file"),
    (b"MZ\x90\0", "a program", "expected is another file"),
    (b"\x89PNG\r\n", "a picture", "expected is another file"),
    (b"\xff\xd8\xff", "a picture", "expected is another file"),
    (b"GIF8", "a picture", "expected is another file"),
    (b"OggS", "a sound", "expected is another file"),
    (b"ID3\x03", "a sound", "expected is another file"),
];

const PARQUET: &str = "built with `--features parquet` the trainer reads its column `text` from a file (--field names \
     another); or save that as plain text";

/// What the file at `path` is by its first bytes, as [`KIND_BYTES`] of them tell, and how to get on; `None` where they
/// do not tell.
pub fn kind(begin: &[u8], path: &Path) -> Option<String> {
    let path = path.display().to_string();
    if is_safetensors(begin) {
        return Some(format!("a checkpoint (safetensors): `pack {path} -o model.flm` makes a model of it"));
    }
    if is_page(begin) {
        return Some("a web page (HTML), not the file it should lead to: download that one instead".into());
    }
    if begin.get(257..262) == Some(b"ustar") {
        return Some(format!("a tar archive: `tar -xf {path}` unpacks it"));
    }
    if begin.starts_with(b"BZh") && begin.get(4..10) == Some(b"1AY&SY") {
        return Some(format!("a file packed by bzip2: `bunzip2 {path}` unpacks it"));
    }
    let (_, what, then) = BEGINS.iter().find(|(bytes, ..)| begin.starts_with(bytes))?;
    let unpacked = path.rsplit_once('.').map(|(stem, _)| stem).filter(|stem| stem.ends_with(".safetensors"));
    let more = unpacked.map_or(String::new(), |stem| format!(", then `pack {stem} -o model.flm` makes a model of it"));
    Some(format!("{what}: {}{more}", then.replace("{}", &path)))
}

/// Whether a header's length and the header's first byte stand there.
fn is_safetensors(begin: &[u8]) -> bool {
    let Some((length, [b'{', ..])) = begin.split_first_chunk() else { return false };
    // the format's own limit
    (2..=100_000_000).contains(&u64::from_le_bytes(*length))
}

fn is_page(begin: &[u8]) -> bool {
    let begin = begin.strip_prefix("\u{feff}".as_bytes()).unwrap_or(begin).trim_ascii_start();
    let is = |tag: &[u8]| begin.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
    is(b"<!doctype html") || is(b"<html")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_taken_for_models_are_known_and_the_way_on_is_shown() {
        let of = |begin: &[u8], name: &str| kind(begin, Path::new(name)).expect("known");
        let checkpoint = [&1234u64.to_le_bytes()[..], b"{\"__metadata__\":"].concat();
        assert!(of(&checkpoint, "a b.safetensors").contains("`pack a b.safetensors -o model.flm`"));
        assert!(of(b"\x1f\x8b\x08\x08", "model.flm.gz").ends_with("gzip: `gunzip model.flm.gz` unpacks it"));
        let gzip = of(b"\x1f\x8b\x08", "out/model.safetensors.gz");
        assert!(gzip.contains("then `pack out/model.safetensors -o model.flm`"), "{gzip}");
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(of(pointer, "model.safetensors").contains("git lfs pull"));
        for page in ["<!DOCTYPE html>\n<html>", "\n <HTML lang=en>", "\u{feff}<html>"] {
            assert!(of(page.as_bytes(), "model.flm").contains("web page"), "{page}");
        }
        assert!(of(b"PK\x03\x04\x00\x00", "model.pt").contains("zip archive: `unzip model.pt`"));
        let mut tar = vec![0; KIND_BYTES];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(of(&tar, "model.tar").contains("tar -xf model.tar"));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for begin in [&b""[..], b"FLM1\x04\0\0\0", b"Once upon a time", &[0; 512], b"\x1f", &[0xFF; 9], b"<htm"] {
            assert_eq!(kind(begin, Path::new("model.flm")), None, "{begin:?}");
        }
    }
}
