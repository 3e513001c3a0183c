//! The integer product in plain loops, for a CPU of which nothing is known.

use super::Write;
use super::operands::{LeftFactor, Lines, RightFactor};

/// Outputs computed side by side, which share the widening of the activations.
const SIDE_BY_SIDE: usize = 4;

/// Columns of the right factor against rows of the left: compilers turn the dot product of sign-extended bytes into
/// the multiply-and-add-pairs instruction that most CPUs have.
#[inline(always)]
pub(super) fn int8_product(left: LeftFactor<'_>, right: RightFactor<'_>, y: &mut [f32], write: Write) {
    let (n, depth) = (right.cols, right.depth);
    let Lines::Rows(stride) = left.lines else { unreachable!("panels are other levels'") };
    let rows = left.values.chunks_exact(stride).zip(left.scale);
    for (y, (q, &row_scale)) in y.chunks_exact_mut(n).zip(rows) {
        // there are whole tiles of columns
        let groups = right.values.chunks_exact(SIDE_BY_SIDE * depth).zip(right.scale.chunks(SIDE_BY_SIDE));
        for (y, (columns, scales)) in y.chunks_mut(SIDE_BY_SIDE).zip(groups) {
            let sums = dot_products(&q[..depth], columns);
            for ((y, scale), sum) in y.iter_mut().zip(scales).zip(sums) {
                let product = sum as f32 * (scale * row_scale);
                *y = match write {
                    Write::Set => product,
                    Write::Add => *y + product,
                };
            }
        }
    }
}

/// `q` times each of the columns, which are as long.
#[inline(always)]
fn dot_products(q: &[i8], columns: &[i8]) -> [i32; SIDE_BY_SIDE] {
    let (first, second) = columns.split_at(2 * q.len());
    let ((a, b), (c, d)) = (first.split_at(q.len()), second.split_at(q.len()));
    let mut sums = [0; SIDE_BY_SIDE];
    for ((((&q, &a), &b), &c), &d) in q.iter().zip(a).zip(b).zip(c).zip(d) {
        for (sum, value) in sums.iter_mut().zip([a, b, c, d]) {
            *sum += q as i32 * value as i32;
        }
    }
    sums
}
