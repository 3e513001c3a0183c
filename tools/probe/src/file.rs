//! Files of questions and of text, read as far as they make sense.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::error::ProbeError;

/// The longest file of questions, and the longest text that word statistics are made of, bytes.
pub const QUESTIONS: u64 = 256 << 20;
pub const TEXT: u64 = 4 << 30;

/// Reads the file at `path`, of at most `most` bytes; a longer one, or a device without an end, is an error.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ProbeError> {
    let long = || io::Error::new(ErrorKind::FileTooLarge, format!("expected at most {} MB", most >> 20));
    let open = || -> io::Result<Vec<u8>> {
        let file = File::open(path)?;
        if file.metadata()?.len() > most {
            return Err(long());
        }
        let mut bytes = Vec::new();
        file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most { Err(long()) } else { Ok(bytes) }
    };
    open().map_err(ProbeError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert!(read(&path, 4).unwrap_err().to_string().ends_with("a: expected at most 0 MB"));
        #[cfg(unix)]
        assert!(read(Path::new("/dev/zero"), 1 << 20).unwrap_err().to_string().contains("at most 1 MB"));
    }
}
