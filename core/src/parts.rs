//! Parts of slices that cannot panic, so that no panic is linked into a firmware.
//!
//! Lengths are settled once, when a blob is checked and an arena carved; what is cut later fits by construction, but
//! the compiler cannot see that. Plain indexing would check again and carry the panic along. These methods give what
//! there is instead, and complain in debug builds.

/// Parts of a slice.
pub(crate) trait Parts<T> {
    /// The first `n` elements.
    fn front(&self, n: usize) -> &[T];
    fn front_mut(&mut self, n: usize) -> &mut [T];

    /// `n` elements from `start` on.
    fn part(&self, start: usize, n: usize) -> &[T];

    /// The first `n` elements and the others.
    fn cut(&self, n: usize) -> (&[T], &[T]);
    fn cut_mut(&mut self, n: usize) -> (&mut [T], &mut [T]);

    /// The slice in rows of `n` elements, at least one.
    fn rows(&self, n: usize) -> core::slice::ChunksExact<'_, T>;
    fn rows_mut(&mut self, n: usize) -> core::slice::ChunksExactMut<'_, T>;

    /// Takes over the elements of `other`.
    fn set(&mut self, other: &[T])
    where
        T: Copy;
}

impl<T> Parts<T> for [T] {
    #[cfg_attr(not(unoptimized), inline(always))]
    fn front(&self, n: usize) -> &[T] {
        self.cut(n).0
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn front_mut(&mut self, n: usize) -> &mut [T] {
        self.cut_mut(n).0
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn part(&self, start: usize, n: usize) -> &[T] {
        self.cut(start).1.front(n)
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn cut(&self, n: usize) -> (&[T], &[T]) {
        debug_assert!(n <= self.len(), "{n} of {} elements", self.len());
        self.split_at_checked(n).unwrap_or((self, &[]))
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn cut_mut(&mut self, n: usize) -> (&mut [T], &mut [T]) {
        debug_assert!(n <= self.len(), "{n} of {} elements", self.len());
        let n = n.min(self.len());
        self.split_at_mut_checked(n).unwrap_or_default()
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn rows(&self, n: usize) -> core::slice::ChunksExact<'_, T> {
        self.chunks_exact(n.max(1))
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn rows_mut(&mut self, n: usize) -> core::slice::ChunksExactMut<'_, T> {
        self.chunks_exact_mut(n.max(1))
    }

    #[cfg_attr(not(unoptimized), inline(always))]
    fn set(&mut self, other: &[T])
    where
        T: Copy,
    {
        debug_assert_eq!(self.len(), other.len());
        for (own, &other) in self.iter_mut().zip(other) {
            *own = other;
        }
    }
}

/// Cuts the first `n` elements off `rest`.
#[cfg_attr(not(unoptimized), inline(always))]
pub(crate) fn take<'a, T>(rest: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (head, tail) = core::mem::take(rest).cut_mut(n);
    *rest = tail;
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_what_slicing_gives() {
        let mut x = [1, 2, 3, 4, 5, 6];
        assert_eq!(x.front(2), [1, 2]);
        assert_eq!(x.part(1, 3), [2, 3, 4]);
        assert_eq!(x.cut(6), (&[1, 2, 3, 4, 5, 6][..], &[][..]));
        assert!(x.rows(4).eq([[1, 2, 3, 4]]));
        x.cut_mut(4).1.set(&[9, 8]);
        x.rows_mut(3).for_each(|row| row[0] = 0);
        x.front_mut(2)[1] = 7;
        assert_eq!(x, [0, 7, 3, 0, 9, 8]);
        let mut rest = &mut x[..];
        assert_eq!(take(&mut rest, 0), []);
        assert_eq!((take(&mut rest, 2), rest), (&mut [0, 7][..], &mut [3, 0, 9, 8][..]));
    }

    #[test]
    #[should_panic(expected = "7 of 6 elements")]
    fn debug_builds_notice_a_part_that_is_not_there() {
        [0; 6].front(7);
    }
}
