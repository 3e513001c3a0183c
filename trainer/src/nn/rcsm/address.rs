//! Reads and delta-rule writes of the RCSM memory, forward and backward, for one sequence at one token. Sums run in core's
//! order, so that the forward gives core's bits.

use crate::nn::norm::{dot, silu_slope};
use crate::nn::shape::{add_scaled, row, row_mut};
use flashlm_core::math::{EPS, sigmoid};

/// Turns `da`, the gradient of an address (S), into that of its key.
#[inline(always)]
pub fn address_backward(key: &[f32], address: &[f32], length: f32, da: &mut [f32]) {
    // below the least length the division is by a constant
    let along = if length > EPS { dot(da, address) } else { 0.0 };
    for ((d, &a), &k) in da.iter_mut().zip(address).zip(key) {
        *d = (*d - a * along) / length * silu_slope(k, sigmoid(k));
    }
}

/// `out = sum_s address_s M_s`, M (S, R).
#[inline(always)]
pub fn read(address: &[f32], memory: &[f32], out: &mut [f32]) {
    let r = out.len();
    out.fill(0.0);
    for (&a, slot) in address.iter().zip(memory.chunks_exact(r)) {
        add_scaled(out, a, slot);
    }
}

/// Adds the gradients of [`read`] to `dmemory` (S, R) and sets `daddress` (S).
#[inline(always)]
pub fn read_backward(address: &[f32], memory: &[f32], dread: &[f32], dmemory: &mut [f32], daddress: &mut [f32]) {
    let r = dread.len();
    for s in 0..address.len() {
        daddress[s] = dot(dread, row(memory, s, r));
        add_scaled(row_mut(dmemory, s, r), address[s], dread);
    }
}

/// The delta rule: `M' = M + gate * address ⊗ surprise`, `surprise = value - address M`, which it leaves in `surprise`.
#[inline(always)]
pub fn write(gate: f32, address: &[f32], value: &[f32], memory: &[f32], surprise: &mut [f32], after: &mut [f32]) {
    let r = value.len();
    read(address, memory, surprise);
    for (s, &v) in surprise.iter_mut().zip(value) {
        *s = v - *s;
    }
    for ((&a, before), after) in address.iter().zip(memory.chunks_exact(r)).zip(after.chunks_exact_mut(r)) {
        let step = gate * a;
        for ((m, &b), &s) in after.iter_mut().zip(before).zip(&*surprise) {
            *m = b + step * s;
        }
    }
}

/// Turns `dmemory`, the gradient of M' (S, R), into that of M, and sets `daddress` (S) and `dvalue` (R). Returns the
/// gradient of the gate.
#[inline(always)]
pub fn write_backward(
    gate: f32,
    address: &[f32],
    memory: &[f32],
    surprise: &[f32],
    dmemory: &mut [f32],
    daddress: &mut [f32],
    dvalue: &mut [f32],
) -> f32 {
    let r = surprise.len();
    let mut dgate = 0.0;
    dvalue.fill(0.0);
    for (s, &a) in address.iter().enumerate() {
        let slot = row(dmemory, s, r);
        let along = dot(slot, surprise);
        dgate += a * along;
        daddress[s] = gate * along;
        add_scaled(dvalue, gate * a, slot);
    }
    for (s, &a) in address.iter().enumerate() {
        daddress[s] -= dot(row(memory, s, r), dvalue);
        add_scaled(row_mut(dmemory, s, r), -a, dvalue);
    }
    dgate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Rng;
    use flashlm_core::math::unit_address;

    /// Everything `write` and `read` depend on, in one vector: keys, value, gate, memory.
    fn loss(x: &[f32], weights: &[f32]) -> f64 {
        const S: usize = 5;
        const R: usize = 7;
        let (key, rest) = x.split_at(S);
        let (read_key, rest) = rest.split_at(S);
        let (value, rest) = rest.split_at(R);
        let (gate, memory) = rest.split_at(1);
        let (mut a, mut b) = ([0.0; S], [0.0; S]);
        unit_address(key, &mut a);
        unit_address(read_key, &mut b);
        let (mut surprise, mut after, mut out) = ([0.0; R], [0.0; S * R], [0.0; R]);
        write(gate[0], &a, value, memory, &mut surprise, &mut after);
        read(&b, &after, &mut out);
        out.iter().zip(weights).map(|(a, b)| (a * b) as f64).sum()
    }

    #[test]
    fn write_then_read_has_the_gradients_of_finite_differences() {
        const S: usize = 5;
        const R: usize = 7;
        let mut rng = Rng::new(5);
        let x: Vec<f32> = (0..2 * S + R + 1 + S * R).map(|_| rng.normal()).collect();
        let weights: Vec<f32> = (0..R).map(|_| rng.normal()).collect();

        let (key, rest) = x.split_at(S);
        let (read_key, rest) = rest.split_at(S);
        let (value, rest) = rest.split_at(R);
        let (gate, memory) = rest.split_at(1);
        let (mut a, mut b) = ([0.0; S], [0.0; S]);
        let (a_length, b_length) = (unit_address(key, &mut a), unit_address(read_key, &mut b));
        let (mut surprise, mut after) = ([0.0; R], [0.0; S * R]);
        write(gate[0], &a, value, memory, &mut surprise, &mut after);

        let (mut dmemory, mut da, mut db, mut dvalue) = ([0.0; S * R], [0.0; S], [0.0; S], [0.0; R]);
        read_backward(&b, &after, &weights, &mut dmemory, &mut db);
        address_backward(read_key, &b, b_length, &mut db);
        let dgate = write_backward(gate[0], &a, memory, &surprise, &mut dmemory, &mut da, &mut dvalue);
        address_backward(key, &a, a_length, &mut da);
        let got: Vec<f32> = da.iter().chain(&db).chain(&dvalue).chain(&[dgate]).chain(&dmemory).copied().collect();

        for (i, &got) in got.iter().enumerate() {
            let at = |step: f32| {
                let mut x = x.clone();
                x[i] += step;
                loss(&x, &weights)
            };
            let slope = ((at(1e-2) - at(-1e-2)) / 2e-2) as f32;
            assert!((slope - got).abs() < 5e-3 * (1.0 + slope.abs()), "element {i}: {slope} against {got}");
        }
    }
}
