//! The memory's sweep: the one part that is sequential in time. Sums run in core's order, so that the forward gives
//! core's bits.

use flashlm_core::math::dot;

use super::spans::Spans;
use super::{ABSENT, CONTEXT, QUERY, Rcsm, TOKEN};
use crate::kernels::{Kernels, Rounding, rows_times_matrix};
use crate::nn::context::Context;
use crate::nn::shape::{add, add_scaled, row, row_mut};

/// `out = sum_s address_s M_s`, M (S, R).
#[inline(always)]
pub(super) fn read(kernels: Kernels, address: &[f32], memory: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    rows_times_matrix(kernels, Rounding::Separate, address, 1, memory, out);
}

/// Sets `daddress` (S) to the gradient of [`read`]'s address.
#[inline(always)]
pub(super) fn read_address_backward(memory: &[f32], dread: &[f32], daddress: &mut [f32]) {
    for (da, slot) in daddress.iter_mut().zip(memory.chunks_exact(dread.len())) {
        *da = dot(dread, slot);
    }
}

/// `out_s = memory_s + gate address_s surprise`, the delta rule's step (Schlag et al., 2021) for a surprise that was
/// computed.
#[inline(always)]
fn step(gate: f32, address: &[f32], surprise: &[f32], memory: &mut [f32]) {
    for (&a, slot) in address.iter().zip(memory.chunks_exact_mut(surprise.len())) {
        let step = gate * a;
        for (m, &s) in slot.iter_mut().zip(surprise) {
            *m += step * s;
        }
    }
}

/// `surprise = value - address M`.
#[inline(always)]
fn surprise(kernels: Kernels, address: &[f32], value: &[f32], memory: &[f32], out: &mut [f32]) {
    read(kernels, address, memory, out);
    for (s, &v) in out.iter_mut().zip(value) {
        *s = v - *s;
    }
}

/// Of one write `M' = M + gate address ⊗ surprise`, the address and what it corrected.
#[derive(Clone, Copy)]
struct Written<'a> {
    gate: f32,
    address: &'a [f32],
    surprise: &'a [f32],
}

/// Turns `dmemory`, the gradient of the memory after `write` (S, R), into that of the memory before it, and sets
/// `daddress` (S) and `dvalue` (R). Returns the gradient of the gate. The memory before the write is `memory` after
/// `earlier`, if there is one.
#[inline(always)]
fn write_backward(
    kernels: Kernels,
    write: Written,
    memory: &[f32],
    earlier: Option<Written>,
    dmemory: &mut [f32],
    daddress: &mut [f32],
    dvalue: &mut [f32],
) -> f32 {
    let Written { gate, address, surprise } = write;
    let r = surprise.len();
    let mut dgate = 0.0;
    for (s, &a) in address.iter().enumerate() {
        let along = dot(row(dmemory, s, r), surprise);
        dgate += a * along;
        daddress[s] = gate * along;
    }
    dvalue.fill(0.0);
    rows_times_matrix(kernels, Rounding::Fused, address, 1, dmemory, dvalue);
    dvalue.iter_mut().for_each(|v| *v *= gate);
    for (s, slot) in memory.chunks_exact(r).enumerate() {
        daddress[s] -= dot(slot, dvalue);
        add_scaled(row_mut(dmemory, s, r), -address[s], dvalue);
    }
    if let Some(earlier) = earlier {
        let along = earlier.gate * dot(earlier.surprise, dvalue);
        add_scaled(daddress, -along, earlier.address);
    }
    dgate
}

impl Rcsm {
    /// Links every token into the memory, and reads at every query what the tokens before it left: the first pass's
    /// read. Leaves the memory that each token sees.
    pub(super) fn sweep(&mut self, kernels: Kernels, reset: &[bool]) {
        let (r, _, s) = self.dims();
        let (b, m, cells) = (self.shape.sequences, self.shape.rows(), s * r);
        let writes = self.config.writes.count();
        if writes == 0 {
            self.passes[0].read.fill(0.0);
            return;
        }
        kernels.vectorize(
            #[inline(always)]
            || {
                self.memory[..b * cells].copy_from_slice(&self.memory_carry);
                for i in 0..m {
                    let (before, after) = self.memory.split_at_mut((i / b + 1) * b * cells);
                    let (before, after) = (row_mut(before, i, cells), row_mut(after, i % b, cells));
                    if reset[i] {
                        before.fill(0.0);
                    }
                    read(kernels, row(&self.address[QUERY], i, s), before, row_mut(&mut self.passes[0].read, i, r));
                    let [first, second] = &mut self.surprise;
                    let (u, context) = (row(&self.vectors[TOKEN], i, r), row(&self.vectors[CONTEXT], i, r));
                    let (of_context, of_u) = (row(&self.address[CONTEXT], i, s), row(&self.address[TOKEN], i, s));
                    let first = row_mut(first, i, r);
                    surprise(kernels, of_context, u, before, first);
                    after.copy_from_slice(before);
                    step(self.gates[i][0], of_context, first, after);
                    if writes == 2 {
                        let second = row_mut(second, i, r);
                        surprise(kernels, of_u, context, after, second);
                        step(self.gates[i][1], of_u, second, after);
                    }
                }
                self.memory_carry.copy_from_slice(&self.memory[m * cells..]);
            },
        );
    }

    /// The sweep in reverse, after all passes': takes the gradients of every read to the memory and on to what was
    /// written, adding to those of u and context, and setting those of the addresses.
    pub(super) fn sweep_backward(&mut self, cx: &mut Context<'_>, spans: &Spans, grads: &mut [f32]) {
        let (kernels, params, reset, scratch) = (cx.worker.kernels, cx.params, cx.reset, &mut cx.scratch.narrow);
        let (r, _, s) = self.dims();
        let (b, m, cells) = (self.shape.sequences, self.shape.rows(), s * r);
        let writes = self.config.writes.count();
        let g = &mut self.gradients;
        if writes == 0 {
            g.daddress.iter_mut().for_each(|d| d.fill(0.0));
            return;
        }
        if writes == 1 {
            g.daddress[TOKEN].fill(0.0);
        }
        let gate_weights = &params[spans.write_gates.clone()];
        let [dweights, dbiases] = match grads.get_disjoint_mut([spans.write_gates.clone(), spans.write_biases.clone()])
        {
            Ok(slices) => slices,
            Err(e) => unreachable!("tensors of one layout overlap: {e}"),
        };
        kernels.vectorize(
            #[inline(always)]
            || {
                let dvalue = &mut scratch[..r];
                g.dmemory.fill(0.0);
                for i in (0..m).rev() {
                    let memory = row(&self.memory, i, cells);
                    let dmemory = row_mut(&mut g.dmemory, i % b, cells);
                    let [du, dcontext, _] = &mut g.dvectors;
                    let (du, dcontext) = (row_mut(du, i, r), row_mut(dcontext, i, r));
                    let [dof_u, dof_context, dof_query] = &mut g.daddress;
                    let [gate, second_gate] = self.gates[i];
                    let first = Written {
                        gate,
                        address: row(&self.address[CONTEXT], i, s),
                        surprise: row(&self.surprise[0], i, r),
                    };
                    let mut dgates = [0.0; 2];
                    if writes == 2 {
                        let second = Written {
                            gate: second_gate,
                            address: row(&self.address[TOKEN], i, s),
                            surprise: row(&self.surprise[1], i, r),
                        };
                        let da = row_mut(dof_u, i, s);
                        dgates[1] = write_backward(kernels, second, memory, Some(first), dmemory, da, dvalue);
                        add(dcontext, dvalue);
                    }
                    let da = row_mut(dof_context, i, s);
                    dgates[0] = write_backward(kernels, first, memory, None, dmemory, da, dvalue);
                    add(du, dvalue);
                    let u = row(&self.vectors[TOKEN], i, r);
                    Self::gates_backward(self.gates[i], dgates, gate_weights, u, du, dweights, dbiases);

                    read_address_backward(memory, row(&self.passes[0].dread, i, r), row_mut(dof_query, i, s));
                    for (pass, p) in self.passes[..self.taken].iter().enumerate() {
                        let k = p.place[i];
                        if k == ABSENT {
                            break;
                        }
                        let address = if pass == 0 { &self.address[QUERY] } else { &p.address };
                        let (address, dread) = (row(address, k as usize, s), row(&p.dread, k as usize, r));
                        for (&a, slot) in address.iter().zip(dmemory.chunks_exact_mut(r)) {
                            add_scaled(slot, a, dread);
                        }
                    }
                    if reset[i] {
                        dmemory.fill(0.0);
                    }
                }
            },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Rng;

    const S: usize = 5;
    const R: usize = 7;

    /// What two writes and a read of one token depend on, in one vector.
    struct Inputs<'a> {
        addresses: [&'a [f32]; 3],
        values: [&'a [f32]; 2],
        gates: &'a [f32],
        memory: &'a [f32],
    }

    fn parts(x: &[f32]) -> Inputs<'_> {
        let (addresses, rest) = x.split_at(3 * S);
        let (values, rest) = rest.split_at(2 * R);
        let (gates, memory) = rest.split_at(2);
        Inputs {
            addresses: [0, 1, 2].map(|i| &addresses[i * S..][..S]),
            values: [0, 1].map(|i| &values[i * R..][..R]),
            gates,
            memory,
        }
    }

    #[test]
    fn two_writes_and_a_read_have_the_gradients_of_finite_differences() {
        let kernels = Kernels::detect();
        let mut rng = Rng::new(5);
        let x: Vec<f32> = (0..3 * S + 2 * R + 2 + S * R).map(|_| rng.normal()).collect();
        let weights: Vec<f32> = (0..R).map(|_| rng.normal()).collect();
        let run = |x: &[f32]| {
            let p = parts(x);
            let (mut memory, mut surprises, mut out) = (p.memory.to_vec(), [[0.0; R]; 2], [0.0; R]);
            for i in 0..2 {
                surprise(kernels, p.addresses[i], p.values[i], &memory, &mut surprises[i]);
                step(p.gates[i], p.addresses[i], &surprises[i], &mut memory);
            }
            read(kernels, p.addresses[2], &memory, &mut out);
            let loss: f64 = out.iter().zip(&weights).map(|(a, b)| (a * b) as f64).sum();
            (loss, surprises, memory)
        };
        let (_, surprises, after) = run(&x);
        let p = parts(&x);
        let write = |i: usize| Written { gate: p.gates[i], address: p.addresses[i], surprise: &surprises[i] };
        let (mut dmemory, mut da, mut dvalues, mut dgates) = ([0.0; S * R], [[0.0; S]; 3], [[0.0; R]; 2], [0.0; 2]);
        read_address_backward(&after, &weights, &mut da[2]);
        for (&a, slot) in p.addresses[2].iter().zip(dmemory.chunks_exact_mut(R)) {
            add_scaled(slot, a, &weights);
        }
        for i in [1, 0] {
            let earlier = (i == 1).then(|| write(0));
            let (da, dvalue) = (&mut da[i], &mut dvalues[i]);
            dgates[i] = write_backward(kernels, write(i), p.memory, earlier, &mut dmemory, da, dvalue);
        }
        let got: Vec<f32> = da.concat().into_iter().chain(dvalues.concat()).chain(dgates).chain(dmemory).collect();
        for (i, &got) in got.iter().enumerate() {
            let at = |step: f32| {
                let mut x = x.clone();
                x[i] += step;
                run(&x).0
            };
            let slope = ((at(1e-2) - at(-1e-2)) / 2e-2) as f32;
            assert!((slope - got).abs() < 5e-3 * (1.0 + slope.abs()), "element {i}: {slope} against {got}");
        }
    }
}
