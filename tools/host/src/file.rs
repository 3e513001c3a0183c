//! Files read into memory, as far as that makes sense.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use crate::memory::{check_memory, fallibly, shown_bytes};

/// The most that is read of what does not say how long it is: a pipe, or a device that may never end.
const LONGEST_STREAM: u64 = 1 << 30;

/// Reads the file at `path`, of at most `most` bytes, and of at most 1 GiB where it does not say how long it is.
///
/// # Errors
/// It cannot be read, is longer than that, or there is no memory for it. No more is asked for than a file is long.
pub fn read_file(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let about = file.metadata()?;
    let (length, most) = if about.is_file() { (about.len(), most) } else { (0, most.min(LONGEST_STREAM)) };
    let too_long = |found: String| {
        let limit = shown_bytes(most);
        Err(io::Error::new(ErrorKind::FileTooLarge, format!("expected at most {limit}, found {found}")))
    };
    if length > most {
        return too_long(shown_bytes(length));
    }
    let no_memory = |error: String| io::Error::new(ErrorKind::OutOfMemory, error);
    check_memory("reading it", length, "").map_err(|shortage| no_memory(shortage.to_string()))?;
    let mut bytes = Vec::new();
    fallibly(|| {
        bytes.try_reserve_exact(length as usize).map_err(|error| no_memory(error.to_string()))?;
        file.take(most.saturating_add(1)).read_to_end(&mut bytes)
    })?;
    if bytes.len() as u64 > most { too_long("more".to_owned()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read_file(&path, 5).unwrap(), b"12345");
        let error = read_file(&path, 4).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::FileTooLarge, "expected at most 4 bytes, found 5 bytes")
        );
        assert_eq!(read_file(&dir.path().join("b"), 4).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(read_file(dir.path(), 4).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_without_an_end_is_given_up() {
        assert_eq!(read_file(Path::new("/dev/zero"), 1 << 20).unwrap_err().kind(), ErrorKind::FileTooLarge);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_longer_than_all_memory_is_not_begun() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sparse");
        File::create(&path).unwrap().set_len(1 << 42).unwrap();
        let error = read_file(&path, u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        assert!(error.to_string().starts_with("reading it needs 4.40 TB of memory, and there are "), "{error}");
    }
}
