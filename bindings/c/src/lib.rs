//! FlashLM models from C: `include/flashlm.h` is what C sees, and says what each function does.
//!
//! All that a model needs lies in memory that the caller gives to [`flashlm_open`]: the handle first, then the lines of
//! a session. Nothing else is kept anywhere: no heap, no statics. What can be checked of the arguments is checked
//! (null, alignment, lengths, a handle that is none), and what is wrong is returned as a [`Status`].
#![cfg_attr(not(feature = "std"), no_std)]
#![expect(
    unsafe_code,
    reason = "C's pointers: each is checked for what can be checked, and the header asks for the rest"
)]

mod handle;
mod status;

use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;

use flashlm_core::config::Depth;
use flashlm_core::{Line, MAX_CHUNK, Model, arena_lines};

pub use handle::{Flashlm, MAX_PIECE, Options, Stats};
pub use status::Status;

/// Version of the interface: 100 times the major, plus the minor one.
pub const VERSION: u32 = 1;

/// Version of the interface that the library was built with.
#[unsafe(no_mangle)]
pub extern "C" fn flashlm_version() -> u32 {
    VERSION
}

/// What a status means, in English.
#[unsafe(no_mangle)]
pub extern "C" fn flashlm_message(status: i32) -> *const c_char {
    Status::message(status).as_ptr()
}

/// The `len` bytes at `blob`, if they can be a model's: the pointer is one, on a 4-byte boundary.
///
/// # Safety
/// `blob` is null or `len` bytes can be read there, and nobody writes them while they are in use.
unsafe fn bytes<'a>(blob: *const c_void, len: usize) -> Result<&'a [u8], Status> {
    if blob.is_null() {
        return Err(Status::Null);
    }
    if !blob.addr().is_multiple_of(4) {
        return Err(Status::Alignment);
    }
    // SAFETY: the caller's promise; it is no null pointer.
    Ok(unsafe { core::slice::from_raw_parts(blob.cast(), len) })
}

/// Bytes of memory that `flashlm_open` needs for this model.
///
/// # Safety
/// `blob` is null or `len` bytes can be read there; `needed` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_memory(blob: *const c_void, len: usize, together: u32, needed: *mut usize) -> i32 {
    if needed.is_null() {
        return Status::Null.code();
    }
    // SAFETY: the caller's promise.
    let found = unsafe { bytes(blob, len) }.and_then(|blob| memory(blob, together));
    // SAFETY: the caller's promise; it is no null pointer.
    unsafe { needed.write(found.unwrap_or(0)) };
    found.map_or_else(Status::code, |_| Status::Ok.code())
}

fn memory(blob: &[u8], together: u32) -> Result<usize, Status> {
    let together = usize::try_from(together).unwrap_or(MAX_CHUNK).clamp(1, MAX_CHUNK);
    let lines = arena_lines(blob, together);
    if lines == 0 {
        return Err(Status::Model);
    }
    lines.checked_mul(size_of::<Line>()).and_then(|n| n.checked_add(size_of::<Flashlm>())).ok_or(Status::Model)
}

/// Opens a model in the caller's memory.
///
/// # Safety
/// `memory` is null or `bytes` bytes can be read and written there by this library alone as long as the handle is used;
/// `blob` is null or `len` bytes can be read there, and stay the same as long; `handle` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_open(
    memory: *mut c_void,
    bytes_of_memory: usize,
    blob: *const c_void,
    len: usize,
    handle: *mut *mut Flashlm,
) -> i32 {
    if handle.is_null() || memory.is_null() {
        return Status::Null.code();
    }
    // SAFETY: the caller's promise; it is no null pointer.
    unsafe { handle.write(core::ptr::null_mut()) };
    if !memory.addr().is_multiple_of(align_of::<Flashlm>()) {
        return Status::Alignment.code();
    }
    let Some(left) = bytes_of_memory.checked_sub(size_of::<Flashlm>()) else { return Status::Memory.code() };
    // SAFETY: the caller's promise.
    let model = unsafe { bytes(blob, len) }.and_then(|blob| Model::from_bytes(blob).map_err(Status::from));
    let model = match model {
        Ok(model) => model,
        Err(status) => return status.code(),
    };
    let place = memory.cast::<MaybeUninit<Flashlm>>();
    // SAFETY: behind the handle there are `left` bytes, which the caller gives to this library alone; a handle is as
    // large as its alignment, a line's, wants. Any bytes are lines.
    let lines: &'static mut [Line] =
        unsafe { core::slice::from_raw_parts_mut(place.add(1).cast::<Line>(), left / size_of::<Line>()) };
    // SAFETY: there is room for a handle at the start of the memory, on its boundary, beside the lines.
    let place = unsafe { &mut *place };
    match Flashlm::new(model, lines) {
        Ok(new) => {
            let place = core::ptr::from_mut(place.write(new));
            // SAFETY: the caller's promise; it is no null pointer.
            unsafe { handle.write(place) };
            Status::Ok.code()
        }
        Err(status) => status.code(),
    }
}

/// Calls `then` with the handle, if it is one.
///
/// # Safety
/// `handle` is null, or `flashlm_open` gave it and its memory was left alone since, and nobody else uses it meanwhile.
unsafe fn with(handle: *mut Flashlm, then: impl FnOnce(&mut Flashlm) -> Result<Status, Status>) -> i32 {
    if handle.is_null() {
        return Status::Null.code();
    }
    if !handle.addr().is_multiple_of(align_of::<Flashlm>()) {
        return Status::Alignment.code();
    }
    // SAFETY: the caller's promise; the pointer is none to null and on its boundary.
    let handle = unsafe { &mut *handle };
    if !handle.is_open() {
        return Status::Handle.code();
    }
    then(handle).unwrap_or_else(|status| status).code()
}

/// The options a handle begins with.
///
/// # Safety
/// `options` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_defaults(options: *mut Options) -> i32 {
    if options.is_null() {
        return Status::Null.code();
    }
    // SAFETY: the caller's promise; it is no null pointer.
    unsafe { options.write(Options::DEFAULT) };
    Status::Ok.code()
}

/// Takes options for stories from now on.
///
/// # Safety
/// As [`with`] says of `handle`; `options` is null or can be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_set_options(handle: *mut Flashlm, options: *const Options) -> i32 {
    if options.is_null() {
        return Status::Null.code();
    }
    // SAFETY: the caller's promise; it is no null pointer.
    let options = unsafe { options.read() };
    // SAFETY: the caller's promise.
    unsafe { with(handle, |handle| handle.set_options(options)) }
}

/// Chooses the passes of the reasoning loop, 0 for the model's own choice.
///
/// # Safety
/// As [`with`] says of `handle`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_set_depth(handle: *mut Flashlm, passes: u32) -> i32 {
    let depth = match u8::try_from(passes) {
        Ok(0) => Depth::Adaptive,
        Ok(passes) => Depth::Fixed(passes),
        Err(_) => return Status::Depth.code(),
    };
    // SAFETY: the caller's promise.
    unsafe { with(handle, |handle| handle.set_depth(depth)) }
}

/// Begins a story with a text.
///
/// # Safety
/// As [`with`] says of `handle`; `text` is null or `len` bytes can be read there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_begin(handle: *mut Flashlm, text: *const c_char, len: usize) -> i32 {
    if text.is_null() && len > 0 {
        return Status::Null.code();
    }
    let text = match len {
        0 => &[][..],
        // SAFETY: the caller's promise; it is no null pointer.
        _ => unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) },
    };
    // SAFETY: the caller's promise.
    unsafe { with(handle, |handle| handle.begin(text)) }
}

/// Draws the next piece of the story.
///
/// # Safety
/// As [`with`] says of `handle`; `piece` is null or `capacity` bytes can be written there; `written` is null or can be
/// written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_next(
    handle: *mut Flashlm,
    piece: *mut c_char,
    capacity: usize,
    written: *mut usize,
) -> i32 {
    if piece.is_null() {
        return Status::Null.code();
    }
    if capacity <= MAX_PIECE {
        return Status::Capacity.code();
    }
    // SAFETY: the caller's promise: these bytes can be written, of which there are enough; now they can be read, too.
    let place = unsafe {
        piece.write_bytes(0, MAX_PIECE + 1);
        core::slice::from_raw_parts_mut(piece.cast::<u8>(), MAX_PIECE + 1)
    };
    let mut length = 0;
    // SAFETY: the caller's promise.
    let status = unsafe { with(handle, |handle| handle.next(place, &mut length)) };
    if !written.is_null() {
        // SAFETY: the caller's promise; it is no null pointer.
        unsafe { written.write(length) };
    }
    status
}

/// What the story took so far.
///
/// # Safety
/// As [`with`] says of `handle`; `stats` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_stats(handle: *mut Flashlm, stats: *mut Stats) -> i32 {
    if stats.is_null() {
        return Status::Null.code();
    }
    let read = |handle: &mut Flashlm| {
        // SAFETY: the caller's promise; it is no null pointer.
        unsafe { stats.write(handle.stats()) };
        Ok(Status::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { with(handle, read) }
}

/// Ends the use of a handle, whose memory is the caller's again.
///
/// # Safety
/// As [`with`] says of `handle`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn flashlm_close(handle: *mut Flashlm) -> i32 {
    let close = |handle: &mut Flashlm| {
        handle.close();
        Ok(Status::Ok)
    };
    // SAFETY: the caller's promise.
    unsafe { with(handle, close) }
}

/// A program without an operating system brings no handler of its own in C. None is reached: core panics nowhere, and
/// `test.sh` looks for panics in what is linked.
#[cfg(all(not(feature = "std"), not(test), target_os = "none"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
