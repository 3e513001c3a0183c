//! Sums in f32 along the ranks, exactly those of one process.
//!
//! A sum of floats has an order. One process adds its replicas' gradients from the first to the last; so sums travel
//! from the first rank to the last, and each adds its replicas, one after the other, to what those before came to. The
//! last rank's sums travel back. In pieces, so that every rank is at work at the same time: the whole takes about as
//! long as two copies of the gradients on one link, and a piece's way along all ranks and back. A ring's all-reduce
//! takes as many bytes, but starts the sums at another rank for every piece.

use super::Link;

/// Numbers of a piece: few enough that a chain fills up soon, enough that a message is worth sending.
pub const PIECE: usize = 1 << 14;

/// Adds `parts`, this rank's replicas' gradients in their order, to what the ranks before came to: `total`, which is
/// the whole sum on the last rank then.
pub fn add_up(link: &dyn Link, parts: &[&[f32]], total: &mut [f32]) {
    let before = link.rank().checked_sub(1);
    let after = Some(link.rank() + 1).filter(|&rank| rank < link.count());
    stream(link, (before, after), total, |start, piece| {
        for (i, part) in parts.iter().enumerate() {
            let part = &part[start..start + piece.len()];
            if i == 0 && before.is_none() {
                piece.copy_from_slice(part);
            } else {
                piece.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
            }
        }
    });
}

/// Brings the last rank's `total` to all ranks.
pub fn spread(link: &dyn Link, total: &mut [f32]) {
    let after = Some(link.rank() + 1).filter(|&rank| rank < link.count());
    stream(link, (after, link.rank().checked_sub(1)), total, |_, _| {});
}

/// Takes `total` piece by piece from one rank, where there is one, and sends every piece on to another when `f` has
/// done with it, while the next one comes. `f` is called with a piece and where in `total` it begins.
fn stream(
    link: &dyn Link,
    (from, to): (Option<usize>, Option<usize>),
    total: &mut [f32],
    mut f: impl FnMut(usize, &mut [f32]),
) {
    for start in (0..total.len() + PIECE).step_by(PIECE) {
        let (at, all) = (start.min(total.len()), total.len());
        let (done, coming) = total.split_at_mut(at);
        let leaving = &done[start.saturating_sub(PIECE)..];
        let coming = &mut coming[..PIECE.min(all - at)];
        let out = to.filter(|_| !leaving.is_empty()).map(|to| (to, bytemuck::cast_slice(leaving)));
        let into = from.filter(|_| !coming.is_empty()).map(|from| (from, bytemuck::cast_slice_mut(&mut *coming)));
        if out.is_some() || into.is_some() {
            link.pass(out, into);
        }
        f(at, coming);
    }
}
