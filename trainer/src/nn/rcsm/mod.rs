//! RCSM, the Recursive Compositional State Machine (DESIGN section 2): per token 1, 3 or 8 passes of route -> two ternary
//! operations -> memory read -> mix -> norm, then one memory write that later tokens see.
//!
//! The loop is sequential over tokens and passes; all sequences of a micro-batch advance together. What does not
//! depend on the memory's order (projections in and out, every weight gradient) is one large product outside it.

mod address;
mod backward;
mod forward;

pub use backward::Losses;

use super::params::{RcsmSpans, Rng};
use super::shape::Shape;
use crate::kernels::{Kernels, Macs, QuantisedRows, SmallTernary, TernaryMatrix, zeros};
use flashlm_core::config::{RcsmConfig, TOP_K_OPS};

/// How many passes a forward takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Passes {
    /// This many for every token.
    Fixed(usize),
    /// Training: the outputs at every depth, blended by a (Gumbel-)softmax over the depth logits (Jang et al., 2017).
    Blend { tau: f32, noise_seed: Option<u64> },
    /// Inference: the depth with the largest logit.
    Hard,
}

/// The engine's weights, packed.
pub struct Weights {
    pub down: TernaryMatrix,
    pub up: TernaryMatrix,
    /// `[router; read_key]`, (O + S, R).
    pub route_read: SmallTernary,
    /// O matrices (R, R).
    pub ops: Vec<SmallTernary>,
    pub depth: SmallTernary,
    /// `[write_key; write_value]`, (S + R, R).
    pub write: SmallTernary,
    /// The mix transposed, (2R, R).
    pub mix_t: Vec<f32>,
}

impl Weights {
    pub fn new(kernels: Kernels, c: &RcsmConfig, d_model: usize) -> Self {
        let (r, o, s) = (c.width as usize, c.ops as usize, c.slots as usize);
        Self {
            down: TernaryMatrix::new(kernels, r, d_model),
            up: TernaryMatrix::new(kernels, d_model, r),
            route_read: SmallTernary::new(o + s, r),
            ops: (0..o).map(|_| SmallTernary::new(r, r)).collect(),
            depth: SmallTernary::new(c.depths.len(), r),
            write: SmallTernary::new(s + r, r),
            mix_t: vec![0.0; 2 * r * r],
        }
    }

    /// Quantises the latent weights.
    pub fn pack(&mut self, params: &[f32], spans: &RcsmSpans) {
        self.down.pack(&params[spans.down.clone()]);
        self.up.pack(&params[spans.up.clone()]);
        self.route_read.pack(&params[spans.route_read.clone()]);
        let ops = &params[spans.ops.clone()];
        let each = ops.len() / self.ops.len();
        for (op, w) in self.ops.iter_mut().zip(ops.chunks_exact(each)) {
            op.pack(w);
        }
        self.depth.pack(&params[spans.depth.clone()]);
        self.write.pack(&params[spans.write.clone()]);
        let mix = &params[spans.mix.clone()];
        let r = spans.pass_gain.len();
        for (n, row) in mix.chunks_exact(2 * r).enumerate() {
            for (k, &w) in row.iter().enumerate() {
                self.mix_t[k * r + n] = w;
            }
        }
    }
}

/// What one pass over all M tokens leaves for its backward.
struct PassRecord {
    /// Mean and reciprocal deviation of the pass norm, (M).
    norm: Vec<(f32, f32)>,
    /// The normalised state, quantised, (M, R).
    q: QuantisedRows,
    /// Router logits and read keys, (M, O + S).
    keys: Vec<f32>,
    /// The operations chosen and their softmax weights, (M).
    chosen: Vec<[u8; TOP_K_OPS]>,
    blend: Vec<[f32; TOP_K_OPS]>,
    /// Their outputs, (M, 2R).
    op_out: Vec<f32>,
    /// Read addresses (M, S) and the lengths their keys were divided by.
    address: Vec<f32>,
    length: Vec<f32>,
    /// What the mix reads: `[op_out; read]`, (M, 2R).
    mix_in: Vec<f32>,
    /// State plus mix before the norm, (M, R), and the norm's statistics.
    sum: Vec<f32>,
    out_norm: Vec<(f32, f32)>,
    /// The state after the pass, (M, R).
    r: Vec<f32>,
    /// Gradients of `keys`, `mix_in` and `sum`.
    dkeys: Vec<f32>,
    dmix_in: Vec<f32>,
    dsum: Vec<f32>,
}

/// What one replica keeps between forward and backward, and between chunks.
pub struct Rcsm {
    config: RcsmConfig,
    d: usize,
    shape: Shape,
    /// 1 / rms of every input row, (M).
    in_r: Vec<f32>,
    /// The normalised input, quantised, (M, D).
    q_in: QuantisedRows,
    /// down(norm(x)), (M, R).
    first: Vec<f32>,
    passes: Vec<PassRecord>,
    /// Passes the last forward took at most.
    taken: usize,
    /// Depth logits and the weights of the blend, (M, 3).
    depth_logits: Vec<f32>,
    depth_weights: Vec<f32>,
    /// The final state (M, R), and quantised.
    state: Vec<f32>,
    q_state: QuantisedRows,
    /// Write keys and values, (M, S + R); addresses (M, S) and lengths; gates (M); surprises (M, R).
    write_out: Vec<f32>,
    write_address: Vec<f32>,
    write_length: Vec<f32>,
    write_gate: Vec<f32>,
    surprise: Vec<f32>,
    /// Memory seen by every token, and after the last, (T + 1, B, S, R).
    memory: Vec<f32>,
    /// Memory after the chunk, (B, S, R).
    pub memory_carry: Vec<f32>,
    // gradients
    dstate: Vec<f32>,
    ddepth: Vec<f32>,
    dwrite_out: Vec<f32>,
    dfirst: Vec<f32>,
    dmemory: Vec<f32>,
    /// Rows of one operation gathered: quantised inputs and output gradients.
    gathered: QuantisedRows,
    dgathered: Vec<f32>,
    order: Vec<u32>,
    /// How often every operation was chosen by the last forward, (O).
    pub op_counts: Vec<u32>,
    /// Passes a hard choice takes for every row of the last forward, (M).
    pub row_passes: Vec<u8>,
}

/// Rows of one gathered product.
const GATHER: usize = 4096;

impl Rcsm {
    pub fn new(config: RcsmConfig, d: usize, shape: Shape) -> Self {
        let (r, o, s) = (config.width as usize, config.ops as usize, config.slots as usize);
        let m = shape.rows();
        let floats = |n: usize| zeros::<f32>(n);
        let depths = config.depths.len();
        let passes = config.depths[depths - 1] as usize;
        let record = || PassRecord {
            norm: vec![(0.0, 0.0); m],
            q: QuantisedRows::with_capacity(m, r),
            keys: floats(m * (o + s)),
            chosen: vec![[0; TOP_K_OPS]; m],
            blend: vec![[0.0; TOP_K_OPS]; m],
            op_out: floats(m * TOP_K_OPS * r),
            address: floats(m * s),
            length: floats(m),
            mix_in: floats(m * 2 * r),
            sum: floats(m * r),
            out_norm: vec![(0.0, 0.0); m],
            r: floats(m * r),
            dkeys: floats(m * (o + s)),
            dmix_in: floats(m * 2 * r),
            dsum: floats(m * r),
        };
        Self {
            config,
            d,
            shape,
            in_r: floats(m),
            q_in: QuantisedRows::with_capacity(m, d),
            first: floats(m * r),
            passes: (0..passes).map(|_| record()).collect(),
            taken: 0,
            depth_logits: floats(m * depths),
            depth_weights: floats(m * depths),
            state: floats(m * r),
            q_state: QuantisedRows::with_capacity(m, r),
            write_out: floats(m * (s + r)),
            write_address: floats(m * s),
            write_length: floats(m),
            write_gate: floats(m),
            surprise: floats(m * r),
            memory: floats((shape.tokens + 1) * shape.sequences * s * r),
            memory_carry: floats(shape.sequences * s * r),
            dstate: floats(m * r),
            ddepth: floats(m * depths),
            dwrite_out: floats(m * (s + r)),
            dfirst: floats(m * r),
            dmemory: floats(shape.sequences * s * r),
            gathered: QuantisedRows::with_capacity(GATHER, r),
            dgathered: floats(GATHER * r),
            order: vec![0; passes * m * TOP_K_OPS],
            op_counts: vec![0; o],
            row_passes: vec![0; m],
        }
    }

    /// Multiplications with weights in the last forward loop.
    fn forward_macs(&self, passes: Passes, memory_writes: bool) -> Macs {
        let (r, o, s) = self.dims();
        let mix = self.taken * 2 * r * r;
        let int8 = self.taken * (o + s + TOP_K_OPS * r) * r + self.outside_passes(passes, memory_writes);
        let rows = self.shape.rows();
        Macs { int8: (rows * int8) as u64, single: (rows * mix) as u64, float: 0 }
    }

    /// Multiplications with weights in the last backward loop: as many as forward, all in f32.
    fn backward_macs(&self, passes: Passes, memory_writes: bool) -> Macs {
        let Macs { int8, single, float } = self.forward_macs(passes, memory_writes);
        Macs { int8: 0, single: int8 + single, float }
    }

    /// Of one row: the depth controller's and the memory write's.
    fn outside_passes(&self, passes: Passes, memory_writes: bool) -> usize {
        let (r, _, s) = self.dims();
        let depth = if matches!(passes, Passes::Fixed(_)) { 0 } else { self.config.depths.len() * r };
        depth + if memory_writes { (s + r) * r } else { 0 }
    }

    /// R, O, S.
    fn dims(&self) -> (usize, usize, usize) {
        (self.config.width as usize, self.config.ops as usize, self.config.slots as usize)
    }
}

/// Gumbel noise for the depth logits of one row: a function of seed and row alone.
fn gumbel(seed: u64, row: usize, noise: &mut [f32]) {
    let mut rng = Rng::new(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ row as u64);
    for n in noise {
        *n = -(-rng.uniform().ln()).ln();
    }
}
