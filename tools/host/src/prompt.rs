//! Prompts that come through a pipe, and what is said of all.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, Result, bail};

/// What is said where [white space at a prompt's end](flashlm_core::text::Prompt) was left out.
pub const FOLDED: &str =
    "note: the white space at the end is left to the next word, as words carry the space before them";

/// The most that is read as a prompt, bytes.
const LONGEST: usize = 16 << 20;

/// The prompt on standard input; empty where that is a terminal.
///
/// # Errors
/// As [`read_prompt`].
pub fn piped_prompt() -> Result<String> {
    let stdin = io::stdin();
    if stdin.is_terminal() { Ok(String::new()) } else { read_prompt(stdin.lock()).context("standard input") }
}

/// All of `from` as a prompt, without the one line end that closes its last line and the mark that some programs begin
/// UTF-8 with. Line ends are those that models know, "\n" alone.
///
/// # Errors
/// It cannot be read, is no UTF-8, holds a byte 0 (it is no text) or is longer than 16 MiB.
pub fn read_prompt(from: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(LONGEST as u64 + 1).read_to_end(&mut bytes).context("cannot be read")?;
    if bytes.len() > LONGEST {
        bail!("expected a prompt of at most {} MiB, found more", LONGEST >> 20);
    }
    let text = check_text(&bytes).map_err(anyhow::Error::msg)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
}

/// `bytes` as text, or what is wrong with them and where.
pub fn check_text(bytes: &[u8]) -> Result<&str, String> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = bytes.get(at).copied().unwrap_or_default();
        format!("expected text in UTF-8, found the byte 0x{byte:02x} at offset {at}, which is none")
    })?;
    match bytes.iter().position(|&byte| byte == 0) {
        Some(at) => Err(format!("expected text, found a byte 0 at offset {at}")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_the_text_without_its_last_line_end() {
        let of = |bytes: &[u8]| read_prompt(bytes).unwrap();
        assert_eq!(of(b""), "");
        assert_eq!(of(b"\n"), "");
        assert_eq!(of(b"Once upon\n"), "Once upon");
        assert_eq!(of(b"Once upon\r\n"), "Once upon");
        assert_eq!(of(b"Once\r\nupon\n\n"), "Once\nupon\n");
        assert_eq!(of("\u{feff}Été \u{1f642} ".as_bytes()), "Été \u{1f642} ");
    }

    #[test]
    fn what_is_no_text_is_refused_with_where() {
        let refused = |bytes: &[u8]| format!("{:#}", read_prompt(bytes).unwrap_err());
        assert_eq!(
            refused(b"Once \xe9t\xe9"),
            "expected text in UTF-8, found the byte 0xe9 at offset 5, which is none"
        );
        assert!(refused("日本".as_bytes().split_last().unwrap().1).contains("0xe6 at offset 3"));
        assert_eq!(refused(b"Once\0"), "expected text, found a byte 0 at offset 4");
        assert!(refused(&vec![b'a'; LONGEST + 1]).contains("at most 16 MiB"));
        assert_eq!(read_prompt(&vec![b'a'; LONGEST][..]).unwrap().len(), LONGEST);
    }
}
