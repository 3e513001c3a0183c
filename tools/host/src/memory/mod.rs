//! Memory of this process: what it took, what it can still have, and what becomes of it when there is none.

mod allocator;
mod available;

pub use allocator::{Allocator, fallibly};
pub use available::{Available, Bound, available, room_for_threads};

/// The most memory this process has had resident, bytes; `None` where the system does not say.
pub fn peak_memory() -> Option<u64> {
    available::status(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory of this process that is resident now, bytes; `None` where the system does not say.
pub fn resident_memory() -> Option<u64> {
    available::status(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// Something that is too large for the memory there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// What was to be done.
    what: String,
    need: u64,
    have: u64,
    bound: Bound,
    /// What would make it smaller.
    advice: String,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, need, have, bound, advice } = self;
        write!(f, "{what} needs {} of memory, and there are {} ({bound})", shown_bytes(*need), shown_bytes(*have))?;
        if advice.is_empty() { Ok(()) } else { write!(f, ": {advice}") }
    }
}

impl std::error::Error for Shortage {}

/// Refuses `what`, which takes `need` bytes, where there are fewer; `advice` says what makes it smaller. Where the
/// system does not tell what there is, nothing is refused.
pub fn check_memory(what: &str, need: u64, advice: &str) -> Result<(), Shortage> {
    match available() {
        Some(Available { bytes, bound }) if bytes < need => {
            Err(Shortage { what: what.to_owned(), need, have: bytes, bound, advice: advice.to_owned() })
        }
        _ => Ok(()),
    }
}

/// A number of bytes to read: 1.2 GB.
pub fn shown_bytes(n: u64) -> String {
    match n {
        ..10_000 => format!("{n} bytes"),
        10_000..1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", n as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.2} GB", n as f64 / 1e9),
        _ => format!("{:.2} TB", n as f64 / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_says_what_it_needs_what_there_is_and_what_to_do() {
        assert_eq!(check_memory("a byte", 1, ""), Ok(()));
        if available().is_some() {
            let error = check_memory("everything", u64::MAX, "ask for less").unwrap_err().to_string();
            assert!(error.starts_with("everything needs 18446744.07 TB of memory, and there are "), "{error}");
            assert!(error.ends_with("): ask for less"), "{error}");
        }
    }

    #[test]
    fn a_process_has_had_some_memory() {
        assert!(peak_memory().is_none_or(|bytes| bytes > 100_000));
        assert!(resident_memory().is_none_or(|bytes| bytes > 100_000 && bytes <= peak_memory().unwrap_or(0)));
    }
}
