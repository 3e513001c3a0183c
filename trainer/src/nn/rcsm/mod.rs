//! RCSM, the Recursive Compositional State Machine ([DESIGN section 2](flashlm_core::design::models)): per token 1, 3
//! or 8 passes of route -> two ternary operations -> memory read, over a memory that every token is linked into once,
//! whatever depth it takes.
//!
//! As the memory does not depend on the passes, only its sweep is sequential in time ([`memory`]); what leads to it
//! ([`input`]) and every pass ([`passes`]) is done for all tokens at once, the operations gathered by route
//! ([`route`]). Rows that a pass does not need are not in it: the rows of pass n + 1 are some of those of pass n.
//!
//! A question may stand far from what it asks about: a gate of u, the *salience*, says how much a token counts for
//! those after it. Contexts and queries are mixed of salience u of the nearest tokens, and of its *trace*, h = salience
//! u + (1 - salience) h (docs/RESULTS.md has what it buys).

mod backward;
mod depth;
mod input;
mod memory;
mod passes;
mod route;
mod spans;

pub use depth::depth_gradient;

use flashlm_core::config::{RcsmConfig, TOP_K_OPS};
use flashlm_core::math;

use self::route::Routes;
use self::spans::Spans;
use super::context::{Context, Need};
use super::params::Layout;
use super::profile::Part;
use super::shape::{Shape, add, row};
use crate::kernels::{FloatMatrix, Kernels, Macs, QuantizedRows, TernaryMatrix, filled, room, zeros};

/// How many passes a forward takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passes {
    /// This many for every row.
    Fixed(usize),
    /// Training: as many as each row is told.
    Rows,
    /// Training: the states at every depth, blended by a (Gumbel-)softmax over the depth choice (Jang et al., 2017).
    Blend { tau: f32, noise_seed: Option<u64> },
    /// Inference: each row goes on while its logit for going deeper is positive.
    Hard,
}

/// What the backward pass needs to know of the loss beside `dx`.
#[derive(Clone, Copy, Debug)]
pub struct Losses {
    pub passes: Passes,
    /// Weight of the load-balance loss, O sum_i f_i P_i over this micro-batch (Fedus et al., 2022), already divided by
    /// the micro-batches of the step.
    pub balance: f32,
}

/// The engine's weights, packed.
pub struct Weights {
    spans: Spans,
    pub down: TernaryMatrix,
    pub up: TernaryMatrix,
    pub code: TernaryMatrix,
    pub router: TernaryMatrix,
    /// O matrices (R, R).
    pub ops: Vec<TernaryMatrix>,
    /// The mix for the backward, and transposed (R, R) for the forward, which sums in core's order.
    pub mix: FloatMatrix,
    pub mix_t: Vec<f32>,
}

impl Weights {
    pub fn new(kernels: Kernels, layout: &Layout, c: &RcsmConfig, d_model: usize) -> Self {
        let (r, o, s) = (c.width as usize, c.ops as usize, c.slots as usize);
        // its gradients pass through many of these small products, one after the other
        let ternary = |n, k| TernaryMatrix::new(kernels.in_one_precision(), n, k);
        Self {
            spans: Spans::new(layout),
            down: ternary(r, d_model),
            up: ternary(d_model, r),
            code: ternary(s, r),
            router: ternary(o, r),
            ops: (0..o).map(|_| ternary(r, r)).collect(),
            mix: FloatMatrix::new(kernels, r, r),
            mix_t: zeros(r * r),
        }
    }

    /// Quantises the latent weights.
    pub fn pack(&mut self, params: &[f32]) {
        let spans = &self.spans;
        self.down.pack(&params[spans.down.clone()]);
        self.up.pack(&params[spans.up.clone()]);
        self.code.pack(&params[spans.code.clone()]);
        self.router.pack(&params[spans.router.clone()]);
        let ops = &params[spans.ops.clone()];
        let each = ops.len() / self.ops.len();
        for (op, w) in self.ops.iter_mut().zip(ops.chunks_exact(each)) {
            op.pack(w);
        }
        let mix = &params[spans.mix.clone()];
        self.mix.pack(mix);
        let r = spans.out_gain.len();
        for (n, row) in mix.chunks_exact(r).enumerate() {
            for (k, &w) in row.iter().enumerate() {
                self.mix_t[k * r + n] = w;
            }
        }
    }
}

/// The three vectors of a token that have an address.
const TOKEN: usize = 0;
const CONTEXT: usize = 1;
const QUERY: usize = 2;

/// What one pass leaves for its backward: N rows, some of the micro-batch's.
struct PassRecord {
    /// Which rows take part, rising; where each is in the pass before; and the place of every row, or `ABSENT`.
    rows: Vec<u32>,
    parent: Vec<u32>,
    place: Vec<u32>,
    /// v = rms(r + u), (N, R), the reciprocal rms, and v quantised.
    v: Vec<f32>,
    v_r: Vec<f32>,
    q: QuantizedRows,
    /// Router logits, (N, O).
    logits: Vec<f32>,
    /// The operations chosen and their softmax weights, (N).
    chosen: Vec<[u8; TOP_K_OPS]>,
    blend: Vec<[f32; TOP_K_OPS]>,
    /// Their outputs, (N, 2, R), and blended, (N, R).
    op_out: Vec<f32>,
    mixed: Vec<f32>,
    /// The mix of that, (N, R).
    product: Vec<f32>,
    /// Addresses of v, of what the pass before held and of the read, (N, S), with what each was divided by.
    own: Vec<f32>,
    own_length: Vec<f32>,
    held_code: Vec<f32>,
    held_length: Vec<f32>,
    address: Vec<f32>,
    length: Vec<f32>,
    /// What the pass before held, normalised and quantised.
    q_held: QuantizedRows,
    /// Gates, (N).
    hop: Vec<f32>,
    hold: Vec<f32>,
    /// What was read, what is held after it, that normalised, (N, R), and its reciprocal rms.
    read: Vec<f32>,
    held: Vec<f32>,
    held_normed: Vec<f32>,
    held_r: Vec<f32>,
    /// The state after the pass, (N, R).
    r: Vec<f32>,
    /// Gradient of `read`, (N, R).
    dread: Vec<f32>,
}

/// A row that takes no part in a pass.
const ABSENT: u32 = u32::MAX;

impl PassRecord {
    fn new(m: usize, r: usize, o: usize, s: usize) -> Self {
        let floats = |n: usize| zeros::<f32>(n);
        Self {
            rows: room(m),
            parent: room(m),
            place: filled(ABSENT, m),
            v: floats(m * r),
            v_r: floats(m),
            q: QuantizedRows::with_capacity(m, r),
            logits: floats(m * o),
            chosen: zeros(m),
            blend: zeros(m),
            op_out: floats(m * TOP_K_OPS * r),
            mixed: floats(m * r),
            product: floats(m * r),
            own: floats(m * s),
            own_length: floats(m),
            held_code: floats(m * s),
            held_length: floats(m),
            address: floats(m * s),
            length: floats(m),
            q_held: QuantizedRows::with_capacity(m, r),
            hop: floats(m),
            hold: floats(m),
            read: floats(m * r),
            held: floats(m * r),
            held_normed: floats(m * r),
            held_r: floats(m),
            r: floats(m * r),
            dread: floats(m * r),
        }
    }

    /// The state after the pass of micro-batch row `i`, which takes part.
    #[inline(always)]
    fn state(&self, i: usize) -> &[f32] {
        let r = self.r.len() / self.place.len();
        row(&self.r, self.place[i] as usize, r)
    }
}

/// What one replica keeps between forward and backward, and between chunks.
pub struct Rcsm {
    config: RcsmConfig,
    d: usize,
    shape: Shape,
    /// 1 / rms of every input row, (M), and the normalised input, quantised, (M, D).
    in_r: Vec<f32>,
    q_in: QuantizedRows,
    /// u = rms(down(norm(x))), context and query before its code, (M, R) each, and their reciprocal rms, (M).
    vectors: [Vec<f32>; 3],
    vectors_r: [Vec<f32>; 3],
    /// The three quantised.
    q: [QuantizedRows; 3],
    /// Their addresses, (M, S), and what they were divided by, (M).
    address: [Vec<f32>; 3],
    length: [Vec<f32>; 3],
    /// Earlier tokens of the same story that a row sees, at most as many as there are taps, (M).
    age: Vec<u8>,
    /// Write gates, (M).
    gates: Vec<[f32; 2]>,
    /// How much every token counts for those after it, (M), and u times that, (M, R).
    salience: Vec<f32>,
    salient: Vec<f32>,
    /// What was salient up to every token, the latest most, (M, R).
    trace: Vec<f32>,
    /// Of the tokens before the chunk, u times its salience, the nearest first, and the trace, (taps + 1, B, R); zero
    /// where another story was.
    pub past: Vec<f32>,
    /// The same as the last forward found it, which its backward still needs.
    past_before: Vec<f32>,
    /// Memory seen by every token, and after the last, (T + 1, B, S, R).
    memory: Vec<f32>,
    /// Memory after the chunk, (B, S, R).
    pub memory_carry: Vec<f32>,
    /// What each write corrected, (M, R).
    surprise: [Vec<f32>; 2],
    passes: Vec<PassRecord>,
    /// Passes the last forward took at most.
    taken: usize,
    /// Passes of every row of the last forward, (M).
    pub row_passes: Vec<u8>,
    /// Logits for going deeper and the weights of the blend, (M).
    deeper: Vec<[f32; 2]>,
    depth_weights: Vec<[f32; 3]>,
    /// The state that is output, its reciprocal rms, and normalised, scaled and quantised, (M, R).
    state: Vec<f32>,
    state_r: Vec<f32>,
    q_state: QuantizedRows,
    routes: Routes,
    /// How often every operation was chosen by the last forward, (O).
    pub op_counts: Vec<u32>,
    gradients: Gradients,
}

/// Gradients on their way, by micro-batch row unless said.
struct Gradients {
    /// Of the output state, of the state after the pass at hand, of what it holds and of that normalised, (M, R).
    dstate: Vec<f32>,
    dr: Vec<f32>,
    dheld: Vec<f32>,
    dheld_normed: Vec<f32>,
    /// Of u, context and query, (M, R), and of their addresses, (M, S).
    dvectors: [Vec<f32>; 3],
    daddress: [Vec<f32>; 3],
    /// Of u times its salience and of the trace, (M, R).
    dsalient: Vec<f32>,
    dtrace: Vec<f32>,
    /// Of the memory, (B, S, R).
    dmemory: Vec<f32>,
    /// By the rows of the pass at hand: of the product, the blended operations and v, (N, R), of router logits (N, O),
    /// of codes (N, S), and of the gates before their sigmoid, (N).
    dproduct: Vec<f32>,
    dmixed: Vec<f32>,
    dv: Vec<f32>,
    dlogits: Vec<f32>,
    down: Vec<f32>,
    dheld_code: Vec<f32>,
    dgates: Vec<[f32; 2]>,
    /// Of the gates' weights: hop and hold (R each), then the two writes' (2 R).
    weights: Vec<f32>,
}

impl Rcsm {
    pub fn new(config: RcsmConfig, d: usize, shape: Shape) -> Self {
        let (r, o, s) = (config.width as usize, config.ops as usize, config.slots as usize);
        let (m, b) = (shape.rows(), shape.sequences);
        let floats = |n: usize| zeros::<f32>(n);
        let rows = || std::array::from_fn(|_| floats(m * r));
        let passes = config.depths[config.depths.len() - 1] as usize;
        Self {
            config,
            d,
            shape,
            in_r: floats(m),
            q_in: QuantizedRows::with_capacity(m, d),
            vectors: rows(),
            vectors_r: std::array::from_fn(|_| floats(m)),
            q: std::array::from_fn(|_| QuantizedRows::with_capacity(m, r)),
            address: std::array::from_fn(|_| floats(m * s)),
            length: std::array::from_fn(|_| floats(m)),
            age: zeros(m),
            gates: zeros(m),
            salience: floats(m),
            salient: floats(m * r),
            trace: floats(m * r),
            past: floats((config.taps as usize + 1) * b * r),
            past_before: floats((config.taps as usize + 1) * b * r),
            memory: floats((shape.tokens + 1) * b * s * r),
            memory_carry: floats(b * s * r),
            surprise: std::array::from_fn(|_| floats(m * r)),
            passes: (0..passes).map(|_| PassRecord::new(m, r, o, s)).collect(),
            taken: 0,
            row_passes: zeros(m),
            deeper: zeros(m),
            depth_weights: zeros(m),
            state: floats(m * r),
            state_r: floats(m),
            q_state: QuantizedRows::with_capacity(m, r),
            routes: Routes::new(o, r, m),
            op_counts: vec![0; o],
            gradients: Gradients {
                dstate: floats(m * r),
                dr: floats(m * r),
                dheld: floats(m * r),
                dheld_normed: floats(m * r),
                dvectors: rows(),
                daddress: std::array::from_fn(|_| floats(m * s)),
                dsalient: floats(m * r),
                dtrace: floats(m * r),
                dmemory: floats(b * s * r),
                dproduct: floats(m * r),
                dmixed: floats(m * r),
                dv: floats(m * r),
                dlogits: floats(m * o),
                down: floats(m * s),
                dheld_code: floats(m * s),
                dgates: zeros(m),
                weights: floats(4 * r),
            },
        }
    }

    /// For a model of width `d`.
    pub fn need(config: &RcsmConfig, d: usize) -> Need {
        let (r, o) = (config.width as usize, config.ops as usize);
        Need { all: d.max(r), narrow: d.max(r).max(o), ..Need::default() }
    }

    /// `y = x + up(out_gain * rms(r))`, x and y (M, D); `depths` tells each row its passes where `passes` is
    /// [`Passes::Rows`].
    pub fn forward(
        &mut self,
        cx: &mut Context<'_>,
        weights: &Weights,
        x: &[f32],
        y: &mut [f32],
        passes: Passes,
        depths: &[u8],
    ) {
        self.read_input(cx, weights, x);
        self.sweep(cx.worker.kernels, cx.reset);
        cx.worker.profile.lap_products(Part::RcsmForward, self.sweep_macs());
        self.take_passes(cx, weights, passes, depths);
        self.choose_states(cx.worker.kernels, passes);
        self.write_output(cx, weights, x, y);
    }

    /// `y = x + up(out_gain * rms(r))` of the states in `self.state`.
    fn write_output(&mut self, cx: &mut Context<'_>, weights: &Weights, x: &[f32], y: &mut [f32]) {
        let (m, r) = (self.shape.rows(), self.config.width as usize);
        let kernels = cx.worker.kernels;
        let gain = &cx.params[weights.spans.out_gain.clone()];
        self.q_state.begin(m);
        kernels.vectorize(
            #[inline(always)]
            || {
                let normed = &mut cx.scratch.narrow[..r];
                for i in 0..m {
                    self.state_r[i] = math::rms_norm(row(&self.state, i, r), gain, normed);
                    self.q_state.quantize_row(i, normed);
                }
            },
        );
        kernels.ternary_forward(&self.q_state, &weights.up, y, &mut cx.worker.workspace);
        kernels.vectorize(
            #[inline(always)]
            || add(y, &x[..m * self.d]),
        );
        cx.worker.lap_products(Part::RcsmProducts);
    }

    /// The output at another depth, after a forward with [`Passes::Fixed`] of at least as many passes.
    pub fn output_at(&mut self, cx: &mut Context<'_>, weights: &Weights, passes: usize, x: &[f32], y: &mut [f32]) {
        assert!((1..=self.taken).contains(&passes), "{passes} of {} passes", self.taken);
        self.state.copy_from_slice(&self.passes[passes - 1].r);
        self.write_output(cx, weights, x, y);
    }

    /// rms(r) of row `i` after `passes` passes, which it took: what the choice to go deeper looks at.
    pub fn choice_input(&self, passes: usize, i: usize, out: &mut [f32]) {
        math::rms(self.passes[passes - 1].state(i), out);
    }

    /// Multiplications of the sweep's reads and writes: a read at the query, and each write reads and adds.
    fn sweep_macs(&self) -> Macs {
        let (r, _, s) = self.dims();
        let writes = self.config.writes.count();
        let cells = if writes == 0 { 0 } else { (1 + 2 * writes) * r * s };
        Macs { int8: 0, single: (self.shape.rows() * cells) as u64, float: 0 }
    }

    /// R, O, S.
    fn dims(&self) -> (usize, usize, usize) {
        (self.config.width as usize, self.config.ops as usize, self.config.slots as usize)
    }
}

/// Adds to `dx` the gradient of `y = rms(x)`, given y, the reciprocal rms and dy; all one row.
#[inline(always)]
fn rms_backward(y: &[f32], r: f32, dy: &[f32], dx: &mut [f32]) {
    let along = math::dot(dy, y) / y.len() as f32;
    for ((dx, &dy), &y) in dx.iter_mut().zip(dy).zip(y) {
        *dx += r * (dy - y * along);
    }
}

/// Turns `da`, the gradient of `a = z / (||z|| + EPS)`, into that of z, given a and the divisor.
#[inline(always)]
fn unit_backward(a: &[f32], length: f32, da: &mut [f32]) {
    let norm = length - math::EPS;
    let along = if norm > 0.0 { math::dot(da, a) * (length / norm) } else { 0.0 };
    for (d, &a) in da.iter_mut().zip(a) {
        *d = (*d - a * along) / length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::params::Rng;

    /// Central differences of `f` at `x` against `want`.
    fn check(x: &[f32], want: &[f32], f: impl Fn(&[f32]) -> f64) {
        let largest = want.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for i in 0..x.len() {
            let at = |step: f32| {
                let mut x = x.to_vec();
                x[i] += step;
                f(&x)
            };
            let slope = (at(1e-2) - at(-1e-2)) / 2e-2;
            assert!((slope as f32 - want[i]).abs() < 0.02 * largest, "element {i}: {slope} against {}", want[i]);
        }
    }

    #[test]
    fn normalising_gradients_match_finite_differences() {
        let mut rng = Rng::new(1);
        let mut random = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f32>>();
        let (x, dy) = (random(37), random(37));
        let loss = |y: &[f32]| y.iter().zip(&dy).map(|(a, b)| (a * b) as f64).sum::<f64>();
        let (mut y, mut dx) = (vec![0.0; 37], vec![0.0; 37]);
        let r = math::rms(&x, &mut y);
        rms_backward(&y, r, &dy, &mut dx);
        check(&x, &dx, |x| {
            let mut y = vec![0.0; 37];
            math::rms(x, &mut y);
            loss(&y)
        });
        let unit = |x: &[f32]| {
            let mut y = x.to_vec();
            (math::unit(&mut y), y)
        };
        let (length, y) = unit(&x);
        let mut dx = dy.clone();
        unit_backward(&y, length, &mut dx);
        check(&x, &dx, |x| loss(&unit(x).1));
        let mut dx = dy.clone();
        unit_backward(&[0.0; 37], math::EPS, &mut dx);
        assert!(dx.iter().all(|v| v.is_finite()));
    }
}
