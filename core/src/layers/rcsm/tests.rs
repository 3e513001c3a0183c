//! The engine against [DESIGN section 2](crate::design::models) written down a second time: one value after another, in
//! f64, on plain matrices decoded from the blob's sections as their documentation says. It shares no code with the
//! engine but the layout's place of a code.

use std::vec::Vec;

use super::*;
use crate::arena::Layout;
use crate::blob::Role;
use crate::blob::layout::Contents;
use crate::config::{ModelConfig, RcsmConfig};
use crate::layers::{Positions, Resets};
use crate::memory::Line;
use crate::model::Model;
use crate::testing::{Numbers, SMALL, random_blob, random_sections};

type Vector = Vec<f64>;

const EPS: f64 = 1e-6;

/// A ternary matrix in plain rows.
struct Linear {
    trits: Vec<Vec<f64>>,
    scales: Vector,
}

impl Linear {
    /// Decodes rows `first..first + rows` of a section.
    fn decode(config: &ModelConfig, role: Role, bytes: &[u8], first: usize, rows: usize) -> Self {
        let Contents::Ternary(shape, _) = Contents::of(role, config) else { panic!("{role:?} is ternary") };
        let trit = |row, column| {
            let (at, shift) = shape.code_at(row, column);
            f64::from(bytes[at] >> shift & 3) - 1.0
        };
        let scales = floats(&bytes[shape.code_bytes()..]);
        Self {
            trits: (first..first + rows).map(|row| (0..shape.columns).map(|k| trit(row, k)).collect()).collect(),
            scales: scales[first..first + rows].to_vec(),
        }
    }

    /// s_n a / 127 sum_k t_nk q_k.
    fn of(&self, x: &[f64]) -> Vector {
        let absmax = x.iter().fold(1e-5, |most: f64, v| most.max(v.abs()));
        let q: Vector = x.iter().map(|v| (v * 127.0 / absmax).round_ties_even().clamp(-127.0, 127.0)).collect();
        self.trits.iter().zip(&self.scales).map(|(row, scale)| scale * absmax / 127.0 * dot(row, &q)).collect()
    }
}

fn floats(bytes: &[u8]) -> Vector {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rms(x: &[f64]) -> Vector {
    let root = (dot(x, x) / x.len() as f64 + EPS).sqrt();
    x.iter().map(|v| v / root).collect()
}

fn unit(x: &[f64]) -> Vector {
    let norm = dot(x, x).sqrt() + EPS;
    x.iter().map(|v| v / norm).collect()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// a x + b y.
fn sum(a: f64, x: &[f64], b: f64, y: &[f64]) -> Vector {
    x.iter().zip(y).map(|(x, y)| a * x + b * y).collect()
}

struct Oracle {
    rcsm: RcsmConfig,
    down: Linear,
    up: Linear,
    router: Linear,
    code: Linear,
    ops: Vec<Linear>,
    /// Column k of the R x R matrix in place k.
    mix: Vec<Vector>,
    gain: Vector,
    context_taps: Vec<Vector>,
    query_taps: Vec<Vector>,
    salience: (Vector, f64),
    out_gain: Vector,
    hop: (Vector, f64),
    hold: (Vector, f64),
    writes: Vec<(Vector, f64)>,
    deeper: Vec<(Vector, f64)>,
    pass_scale: Vector,
    /// S x R.
    memory: Vec<Vector>,
    /// Salient u of the tokens before, the nearest first.
    past: Vec<Vector>,
    trace: Vector,
}

impl Oracle {
    fn new(config: &ModelConfig, seed: u64) -> Self {
        let rcsm = config.rcsm.unwrap();
        let (d, r, taps): (usize, usize, usize) = (config.d_model.into(), rcsm.width.into(), rcsm.taps.into());
        let (o, s): (usize, usize) = (rcsm.ops.into(), rcsm.slots.into());
        let sections = random_sections(config, seed);
        let section = |role: Role| &sections[role as usize];
        let linear = |role, first, rows| Linear::decode(config, role, section(role), first, rows);
        let vectors = floats(section(Role::RcsmVectors));
        let mut rest = &vectors[..];
        let mut vector = |n: usize| {
            let (head, tail) = rest.split_at(n);
            rest = tail;
            head.to_vec()
        };
        let mix = (0..r).map(|_| vector(r)).collect();
        let gain = vector(d);
        let context_taps = (0..=taps).map(|_| vector(r)).collect();
        let query_taps = (0..=taps).map(|_| vector(r)).collect();
        let salience = vector(r);
        let (out_gain, hop, hold) = (vector(r), vector(r), vector(r));
        let (writes, deeper) = ([vector(r), vector(r)], [vector(r), vector(r)]);
        let salience = (salience, vector(1)[0]);
        let (hop_bias, hold_bias) = (vector(1)[0], vector(1)[0]);
        let (write_biases, deeper_biases) = (vector(2), vector(2));
        let pass_scale = vector(rcsm.depths[2].into());
        assert!(rest.is_empty());
        Self {
            rcsm,
            down: linear(Role::RcsmIn, 0, r),
            up: linear(Role::RcsmOut, 0, d),
            router: linear(Role::RcsmPass, 0, o),
            code: linear(Role::RcsmPass, o.next_multiple_of(16), s),
            ops: (0..o).map(|i| linear(Role::RcsmOps, i * r, r)).collect(),
            mix,
            gain,
            context_taps,
            query_taps,
            salience,
            out_gain,
            hop: (hop, hop_bias),
            hold: (hold, hold_bias),
            writes: writes.into_iter().zip(write_biases).collect(),
            deeper: deeper.into_iter().zip(deeper_biases).collect(),
            pass_scale,
            memory: std::vec![std::vec![0.0; r]; s],
            past: std::vec![std::vec![0.0; r]; taps],
            trace: std::vec![0.0; r],
        }
    }

    fn reset(&mut self) {
        self.memory.iter_mut().chain(&mut self.past).chain([&mut self.trace]).for_each(|row| row.fill(0.0));
    }

    fn address(&self, x: &[f64]) -> Vector {
        unit(&self.code.of(&rms(x)))
    }

    fn read(&self, at: &[f64]) -> Vector {
        let zero = std::vec![0.0; self.out_gain.len()];
        self.memory.iter().zip(at).fold(zero, |all, (slot, &a)| sum(1.0, &all, a, slot))
    }

    /// x (D) -> x plus the engine's output, and the passes taken.
    fn token(&mut self, x: &[f64], depth: Depth) -> (Vector, u8) {
        let r = self.out_gain.len();
        let gate = |(weights, bias): &(Vector, f64), x: &[f64]| sigmoid(dot(weights, x) + bias);
        let normed: Vector = rms(x).iter().zip(&self.gain).map(|(x, g)| x * g).collect();
        let u = rms(&self.down.of(&normed));
        let blend = |taps: &[Vector], tokens: &[Vector]| -> Vector {
            (0..r).map(|i| taps.iter().zip(tokens).map(|(tap, token)| tap[i] * token[i]).sum()).collect()
        };
        let seen = |past: &[Vector], trace: &Vector| [past, std::slice::from_ref(trace)].concat();
        let context = rms(&blend(&self.context_taps, &seen(&self.past, &self.trace)));
        let salience = gate(&self.salience, &u);
        let salient: Vector = u.iter().map(|v| salience * v).collect();
        self.trace = sum(1.0 - salience, &self.trace, 1.0, &salient);
        self.past.pop();
        self.past.insert(0, salient);
        let query = self.address(&blend(&self.query_taps, &seen(&self.past, &self.trace)));

        let [first, second, deepest] = self.rcsm.depths;
        let mut passes = match depth {
            Depth::Fixed(passes) => passes,
            Depth::Adaptive => first,
        };
        let (mut state, mut held) = (std::vec![0.0; r], std::vec![0.0; r]);
        let mut n = 0;
        while n < passes {
            let v = rms(&sum(1.0, &state, 1.0, &u));
            let (at, hold) = if n == 0 {
                (query.clone(), 1.0)
            } else {
                let hop = gate(&self.hop, &v);
                (unit(&sum(hop, &self.address(&held), 1.0 - hop, &self.address(&v))), gate(&self.hold, &v))
            };
            let logits = self.router.of(&v);
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let (a, b) = (order[0], order[1]);
            let weight = sigmoid(logits[a] - logits[b]);
            let operated = sum(weight, &self.ops[a].of(&v), 1.0 - weight, &self.ops[b].of(&v));
            held = sum(1.0 - hold, &held, hold, &self.read(&at));
            let zero = std::vec![0.0; r];
            let mixed = self.mix.iter().zip(&operated).fold(zero, |all, (column, &o)| sum(1.0, &all, o, column));
            let step = hold * self.pass_scale[usize::from(n)];
            state = sum(1.0, &state, step, &sum(1.0, &mixed, 1.0, &rms(&held)));
            n += 1;
            if depth == Depth::Adaptive && n == passes && n < deepest {
                let (weights, bias) = &self.deeper[usize::from(n == second)];
                if dot(weights, &rms(&state)) + bias > 0.0 {
                    passes = if n == first { second } else { deepest };
                }
            }
        }

        let links = [(self.address(&context), u.clone()), (self.address(&u), context)];
        for (link, (key, value)) in links.iter().enumerate().take(self.rcsm.writes.count()) {
            let beta = gate(&self.writes[link], &u);
            let surprise = sum(1.0, value, -1.0, &self.read(key));
            for (slot, k) in self.memory.iter_mut().zip(key) {
                *slot = sum(1.0, slot, beta * k, &surprise);
            }
        }
        let out: Vector = rms(&state).iter().zip(&self.out_gain).map(|(v, g)| v * g).collect();
        (sum(1.0, x, 1.0, &self.up.of(&out)), passes)
    }
}

#[derive(Default)]
struct Depths(Vec<u8>);

impl Observer for Depths {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.0.push(passes);
    }
}

/// Norm of the difference over norm of the second.
fn distance<'a>(got: impl IntoIterator<Item = &'a f32>, want: impl IntoIterator<Item = f64>) -> f64 {
    let (mut apart, mut all) = (0.0, 1e-12);
    for (&got, want) in got.into_iter().zip(want) {
        apart += (f64::from(got) - want).powi(2);
        all += want * want;
    }
    (apart / all).sqrt()
}

/// How far the engine and the oracle are apart after a text of `tokens` tokens whose third begins a story: the streams,
/// and the memories. None if they chose other depths.
fn apart(config: &ModelConfig, seed: u64, tokens: usize, depth: Depth, kernels: Kernels) -> Option<[f64; 2]> {
    let blob = random_blob(config, seed);
    let model = Model::from_bytes(blob.bytes()).unwrap();
    let (w, d) = (model.rcsm().unwrap(), usize::from(config.d_model));
    let layout = Layout::new(config);
    let mut arena = std::vec![Line::ZERO; layout.fixed_lines() + tokens * layout.token_lines()];
    let (mut stream, s) = layout.carve(&mut arena, 1, tokens).unwrap();
    let mut numbers = Numbers(seed ^ 0x5EED);
    let x: Vec<f32> = (0..tokens * d).map(|_| numbers.float(-2.0, 2.0)).collect();
    s.x.front_mut(tokens * d).set(&x);
    let ids: Vec<u16> = (0..tokens).map(|t| u16::from(t != 2)).collect();
    let mut depths = Depths::default();
    let resets = Resets::new(&ids, Some(0));
    let positions = Positions::count(tokens, resets, &mut stream);
    let mut chunk = Chunk { kernels, tokens, resets, positions, scales: [0.0; MAX_CHUNK], s };
    reason(&w, &mut chunk, &[depth; MAX_CHUNK], &mut stream, &mut depths);
    let s = chunk.s;

    let mut oracle = Oracle::new(config, seed);
    let (mut want, mut passes) = (Vec::new(), Vec::new());
    for (x, id) in x.rows(d).zip(&ids) {
        if *id == 0 {
            oracle.reset();
        }
        let x: Vector = x.iter().map(|&v| v.into()).collect();
        let (y, n) = oracle.token(&x, depth);
        // what the engine added, so that the stream itself hides nothing
        want.extend(sum(1.0, &y, -1.0, &x));
        passes.push(n);
    }
    let added: Vec<f32> = s.x.iter().zip(&x).map(|(y, x)| y - x).collect();
    let memory = distance(stream.memory().values::<f32>(0).iter(), oracle.memory.into_iter().flatten());
    (passes == depths.0).then(|| [distance(&added, want), memory])
}

#[test]
fn the_engine_is_what_the_design_says() {
    let wide = RcsmConfig { width: 96, ops: 16, slots: 32, taps: 4, ..SMALL.rcsm.unwrap() };
    let narrow = RcsmConfig { width: 16, ops: 2, slots: 1, taps: 1, writes: Writes::Forward, ..wide };
    for rcsm in [SMALL.rcsm.unwrap(), wide, narrow] {
        let config = ModelConfig { rcsm: Some(rcsm), ..SMALL };
        for depth in [Depth::Fixed(1), Depth::Fixed(2), Depth::Fixed(3), Depth::Fixed(8), Depth::Adaptive] {
            let results: Vec<_> = (1..=40).map(|seed| apart(&config, seed, 6, depth, Kernels::detect())).collect();
            let mut found: Vec<f64> = results.into_iter().flatten().map(|[out, memory]| out.max(memory)).collect();
            found.sort_by(f64::total_cmp);
            // A value on the edge between two int8 goes the other way in some texts, which then differ by some
            // thousandths; whatever is computed otherwise shows in most.
            let (many, all) = (found[found.len() / 2], found[found.len() - 1]);
            assert!(found.len() >= 38, "{depth:?}: other depths in {} texts of 40", 40 - found.len());
            assert!(many < 1e-6, "{depth:?}: {many:.1e} in half of the texts");
            assert!(all < 0.03, "{depth:?}: {all:.1e}");
        }
    }
}
