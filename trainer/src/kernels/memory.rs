//! Large buffers on huge pages: activations are walked row after row with strides of kilobytes, and with 4 KB pages
//! every row costs a walk of the page tables.
//!
//! What a model in training takes is made of these, so that building one can be rehearsed: [`counted`] says how many
//! bytes it would take.

use std::cell::Cell;

use bytemuck::Zeroable;

/// Buffers below this many bytes stay on ordinary pages.
#[cfg(target_os = "linux")]
const WORTH_IT: usize = 4 << 20;

thread_local! {
    /// Bytes asked for since a rehearsal on this thread began; `None` where there is none.
    static REHEARSED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// `n` zeros, on huge pages where the system grants them on request. In a rehearsal ([`counted`]) none at all.
pub fn zeros<T: Zeroable + Clone>(n: usize) -> Vec<T> {
    if rehearsed::<T>(n) {
        return Vec::new();
    }
    // the allocator maps large zeroed memory without touching it, so the pages are chosen after the advice
    let mut buffer = bytemuck::zeroed_vec(n);
    prefer_huge_pages(&mut buffer);
    buffer
}

/// `n` times `value`. In a rehearsal none at all.
pub fn filled<T: Clone>(value: T, n: usize) -> Vec<T> {
    if rehearsed::<T>(n) { Vec::new() } else { vec![value; n] }
}

/// Nothing yet, with room for `n`. In a rehearsal without.
pub fn room<T>(n: usize) -> Vec<T> {
    if rehearsed::<T>(n) { Vec::new() } else { Vec::with_capacity(n) }
}

/// The bytes of the buffers that `build` asks for, none of which it gets: what it builds is dropped unused.
pub fn counted<T>(build: impl FnOnce() -> T) -> u64 {
    /// Ends the rehearsal, also when `build` panics.
    struct Before(Option<u64>);
    impl Drop for Before {
        fn drop(&mut self) {
            REHEARSED.set(self.0);
        }
    }
    let _before = Before(REHEARSED.replace(Some(0)));
    drop(build());
    REHEARSED.get().unwrap_or(0)
}

/// Whether this is a rehearsal, in which `n` values are counted and not had.
fn rehearsed<T>(n: usize) -> bool {
    let bytes = (n as u64).saturating_mul(size_of::<T>() as u64);
    let count = REHEARSED.get();
    REHEARSED.set(count.map(|count| count.saturating_add(bytes)));
    count.is_some()
}

#[cfg(target_os = "linux")]
fn prefer_huge_pages<T>(buffer: &mut [T]) {
    const PAGE: usize = 4096;
    let range = buffer.as_mut_ptr_range();
    let (start, end) = ((range.start as usize).next_multiple_of(PAGE), range.end as usize / PAGE * PAGE);
    if size_of_val(buffer) < WORTH_IT || start >= end {
        return;
    }
    // SAFETY: the whole pages from start to end belong to `buffer`; the advice changes no contents. A refusal (an old
    // kernel) leaves ordinary pages.
    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages<T>(_: &mut [T]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rehearsal_counts_what_is_asked_for_and_gives_nothing() {
        let build = || (zeros::<f32>(1 << 60), filled(7u16, 10), room::<u8>(3), vec![1, 2]);
        assert_eq!(counted(build), (4 << 60) + 23);
        assert_eq!(zeros::<u8>(2), [0, 0]);
        assert_eq!(filled(7, 2), [7, 7]);
        assert!(room::<u8>(5).capacity() >= 5);
    }
}
