//! Git-LFS pointers: the few lines that stand for a large file where it was not fetched.

/// How every pointer begins (the git-LFS specification, version 1).
const START: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Pointers are shorter than this, bytes.
pub const LONGEST_LFS_POINTER: usize = 1024;

/// Whether a file that begins so, and is no longer than [`LONGEST_LFS_POINTER`], is a pointer.
pub fn is_lfs_pointer(start: &[u8]) -> bool {
    start.len() <= LONGEST_LFS_POINTER && start.starts_with(START)
}

/// What to say of one, behind what was expected.
pub const LFS_POINTER: &str = "found a git-LFS pointer, not the file it stands for: `git lfs pull` fetches that";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_from_a_text_about_pointers() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n";
        assert!(is_lfs_pointer(pointer.as_bytes()));
        assert!(!is_lfs_pointer(b"A version https://git-lfs.github.com/spec/v1"));
        assert!(!is_lfs_pointer(&pointer.repeat(100).into_bytes()));
        assert!(!is_lfs_pointer(b""));
    }
}
