//! Where the engine's tensors lie among the parameters.

use std::ops::Range;

use crate::nn::params::Layout;

/// Where the RCSM engine's tensors lie.
#[derive(Clone, Debug)]
pub struct Spans {
    pub in_norm: Range<usize>,
    pub down: Range<usize>,
    pub up: Range<usize>,
    pub code: Range<usize>,
    pub context_taps: Range<usize>,
    pub query_taps: Range<usize>,
    pub salience: Range<usize>,
    pub salience_bias: usize,
    pub write_gates: Range<usize>,
    pub write_biases: Range<usize>,
    pub hop: Range<usize>,
    pub hop_bias: usize,
    pub hold: Range<usize>,
    pub hold_bias: usize,
    pub router: Range<usize>,
    pub ops: Range<usize>,
    pub mix: Range<usize>,
    pub pass_scale: Range<usize>,
    pub out_gain: Range<usize>,
    pub deeper: Range<usize>,
    pub deeper_biases: Range<usize>,
}

impl Spans {
    pub fn new(layout: &Layout) -> Self {
        let one = |name: &str| layout.one(None, name);
        Self {
            in_norm: one("rcsm.in_norm.gain"),
            down: one("rcsm.down.weight"),
            up: one("rcsm.up.weight"),
            code: one("rcsm.code.weight"),
            context_taps: one("rcsm.context_taps"),
            query_taps: one("rcsm.query_taps"),
            salience: one("rcsm.salience.weight"),
            salience_bias: one("rcsm.salience.bias").start,
            write_gates: one("rcsm.write_gates.weight"),
            write_biases: one("rcsm.write_gates.bias"),
            hop: one("rcsm.hop_gate.weight"),
            hop_bias: one("rcsm.hop_gate.bias").start,
            hold: one("rcsm.hold_gate.weight"),
            hold_bias: one("rcsm.hold_gate.bias").start,
            router: one("rcsm.router.weight"),
            ops: one("rcsm.ops"),
            mix: one("rcsm.mix.weight"),
            pass_scale: one("rcsm.pass_scale"),
            out_gain: one("rcsm.out_gain"),
            deeper: one("rcsm.deeper.weight"),
            deeper_biases: one("rcsm.deeper.bias"),
        }
    }
}
