//! What becomes of a program that gets no memory: a message and status 1, where Rust by itself aborts.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::{self, Write};

thread_local! {
    /// Whether who asks for memory on this thread can do without it.
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator for the programs: where it has nothing to give, it says so and ends the program with status
/// 1. What was saved is safe, as every file is written aside; what was not could not be saved without memory either.
pub struct Allocator;

// SAFETY: every call goes to the system's allocator as it came, and what that gives is given on; where it gives
// nothing, the program ends, or the caller is told by a null pointer, as the trait says.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        given(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        given(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        given(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Runs `work`, in which this thread's requests for memory may fail: for `try_reserve` and for what is made of it, such
/// as reading a file. Without [`Allocator`] they may anyway.
pub fn fallibly<T>(work: impl FnOnce() -> T) -> T {
    /// Sets the flag back, also when `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            FALLIBLE.set(self.0);
        }
    }
    let _before = Before(FALLIBLE.replace(true));
    work()
}

/// A pointer that is not null, or null where that will do.
fn given(pointer: *mut u8, size: usize) -> *mut u8 {
    if pointer.is_null() && !FALLIBLE.try_with(Cell::get).unwrap_or(false) {
        give_up(size);
    }
    pointer
}

/// Ends the program, without asking for memory.
#[cold]
fn give_up(size: usize) {
    let mut message = Message { text: [0; 200], length: 0 };
    // one that is too long is cut off
    let _ = writeln!(
        message,
        "error: out of memory: {size} bytes more are not to be had (ulimit -v, a container's limit or the machine's \
         own); files are as they were last saved"
    );
    #[cfg(unix)]
    {
        let text = &message.text[..message.length];
        // SAFETY: `text` is as long as is said; the program ends whether or not all of it is written.
        unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
        // SAFETY: ends the process at once; no destructor, no handler, as these may ask for memory.
        unsafe { libc::_exit(1) };
    }
}

/// Text on the stack.
struct Message {
    text: [u8; 200],
    length: usize,
}

impl Write for Message {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.text[self.length..];
        let taken = text.len().min(room.len());
        room[..taken].copy_from_slice(&text.as_bytes()[..taken]);
        self.length += taken;
        if taken == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_may_fail_does_and_later_ones_are_as_before() {
        let layout = Layout::from_size_align(isize::MAX as usize - 63, 64).unwrap();
        fallibly(|| {
            // SAFETY: the layout is not of size zero; nothing is given, so there is nothing to give back.
            assert!(unsafe { Allocator.alloc(layout) }.is_null());
            assert!(FALLIBLE.get());
        });
        assert!(!FALLIBLE.get());
    }

    #[test]
    fn a_message_fits_or_is_cut_off() {
        let mut message = Message { text: [0; 200], length: 0 };
        assert!(write!(message, "{}", "x".repeat(199)).is_ok());
        assert!(write!(message, "yz").is_err());
        assert_eq!((message.length, message.text[199]), (200, b'y'));
    }
}
