//! Any bytes as a text, in any pieces: what is read is UTF-8 without returns and NULs, and the same however it comes;
//! what is refused is refused, and never a panic.
#![no_main]

use std::io::{self, Read};
use std::path::Path;

use flashlm_host::text::{Form, Reader};
use libfuzzer_sys::fuzz_target;

/// Gives at most so many bytes at a time.
struct Slow(io::Cursor<Vec<u8>>, usize);

impl Read for Slow {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.1);
        self.0.read(&mut bytes[..length])
    }
}

fn read(bytes: &[u8], at_a_time: usize, form: &Form) -> Result<Vec<u8>, String> {
    let raw = Box::new(Slow(io::Cursor::new(bytes.to_vec()), at_a_time));
    let mut reader = Reader::from_read(Path::new("a text"), raw, form).map_err(|e| e.to_string())?;
    let mut text = Vec::new();
    while reader.fill(&mut text).map_err(|e| e.to_string())? {
        assert!(text.len() <= 1 << 26, "the fuzzer's inputs are small, but for gz");
    }
    Ok(text)
}

fuzz_target!(|input: (u8, &[u8])| {
    let (at_a_time, bytes) = input;
    let separator = [None, Some("\n\n"), Some("a")][usize::from(at_a_time % 3)];
    let form = Form { separator: separator.map(str::to_owned), ..Form::default() };
    // what unpacks to more than memory is for a reader that throws it away piece by piece
    if bytes.starts_with(b"\x1f\x8b") && bytes.len() > 4096 {
        return;
    }
    let whole = read(bytes, usize::MAX, &form);
    assert_eq!(read(bytes, usize::from(at_a_time).max(1), &form), whole);
    let Ok(text) = whole else { return };
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(!text.contains(['\r', '\0']));
    if let Ok(plain) = std::str::from_utf8(bytes)
        && !bytes.starts_with(b"\x1f\x8b")
        && separator.is_none()
    {
        let plain = plain.strip_prefix('\u{feff}').unwrap_or(plain);
        // JSON lines are another text
        assert!(plain.trim_start().starts_with('{') || text == plain.replace("\r\n", "\n").replace('\r', "\n"));
    }
});
