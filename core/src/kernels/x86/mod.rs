//! x86-64. The levels read the same tiles; they differ in how many products an instruction forms.

mod amx;
mod avx2;
mod avx512;
mod avx_vnni;

pub(super) use amx::Amx;
pub(super) use avx_vnni::AvxVnni;
pub(super) use avx2::Avx2;
pub(super) use avx512::Avx512;

/// Whether the processor has all of these features: asked at run time on hosts, else what the target promises.
macro_rules! has {
    ($($feature:tt),+) => {{
        #[cfg(any(feature = "std", test))]
        let all = $(std::arch::is_x86_feature_detected!($feature))&&+;
        #[cfg(not(any(feature = "std", test)))]
        let all = $(cfg!(target_feature = $feature))&&+;
        all
    }};
}
use has;

use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use core::mem::MaybeUninit;

use crate::config::MAX_D_FFN;
use crate::views::TernaryMatrix;

/// A copy of T tokens' activations with every four bytes turned by one, as the rows j + 8 of a tile want them. The rows
/// j take the activations as they are.
///
/// Room for the widest vectors: whoever has one on its stack pays for a touch of every page of it when it is called.
struct Turned<const T: usize>(MaybeUninit<[[u32; MAX_D_FFN as usize / 4]; T]>);

impl<const T: usize> Turned<T> {
    const fn new() -> Self {
        Self(MaybeUninit::uninit())
    }

    /// Turns `q`, at most T tokens of at most [`MAX_D_FFN`] columns; returns what it made.
    #[inline(always)]
    fn fill(&mut self, q: &[i8]) -> *const i8 {
        let out = self.0.as_mut_ptr().cast::<u32>();
        let words = q.as_chunks::<4>().0;
        assert!(words.len() <= size_of_val(&self.0) / 4);
        for (i, word) in words.iter().enumerate() {
            let word: u32 = bytemuck::must_cast(*word);
            // SAFETY: i is below the length checked above.
            unsafe { out.add(i).write(word.rotate_left(8)) };
        }
        out.cast()
    }
}

/// The four activations at `q` as one word.
///
/// # Safety
/// Four bytes can be read at `q`.
#[inline(always)]
unsafe fn word(q: *const i8) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { q.cast::<i32>().read_unaligned() }
}

/// [`Backend::prefetch`](super::Backend::prefetch): the first codes, and the row scales, which a product reads in step
/// with them.
#[inline(always)]
fn prefetch(m: TernaryMatrix<'_>) {
    /// Bytes of either.
    const CODES: usize = 4096;
    const SCALES: usize = 512;
    let line = |bytes: *const u8, at: usize| {
        // SAFETY: a hint about an address; nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.wrapping_add(at).cast()) }
    };
    for at in (0..CODES.min(4 * m.codes.len())).step_by(64) {
        line(m.codes.as_ptr().cast(), at);
    }
    for at in (0..SCALES.min(4 * m.scales.len())).step_by(64) {
        line(m.scales.as_ptr().cast(), at);
    }
}
