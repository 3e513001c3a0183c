//! Large buffers on huge pages: activations are walked row after row with strides of kilobytes, and with 4 KB pages
//! every row costs a walk of the page tables.

use bytemuck::Zeroable;

/// Buffers below this many bytes stay on ordinary pages.
#[cfg(target_os = "linux")]
const WORTH_IT: usize = 4 << 20;

/// `n` zeros, on huge pages where the system grants them on request.
pub fn zeros<T: Zeroable + Clone>(n: usize) -> Vec<T> {
    // the allocator maps large zeroed memory without touching it, so the pages are chosen after the advice
    let mut buffer = bytemuck::zeroed_vec(n);
    prefer_huge_pages(&mut buffer);
    buffer
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
