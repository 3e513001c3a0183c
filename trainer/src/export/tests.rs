//! Packed models through core against a plain reference written from docs/DESIGN.md alone.

use std::collections::BTreeMap;
use std::path::Path;

use flashlm_core::config::{ChannelMixer, Mixer};
use flashlm_core::{Depth, Kernels, Line, RcsmConfig, Session, math};

use super::*;

type Tensors = BTreeMap<String, Vec<f32>>;

fn config() -> ModelConfig {
    ModelConfig {
        vocab: 90,
        d_model: 64,
        layers: 2,
        d_ffn: 96,
        mixer: Mixer::GatedRecurrence,
        ffn: ChannelMixer::Glu,
        rcsm: Some(RcsmConfig { width: 32, ops: 7, slots: 5, taps: 3, after: 1, ..RcsmConfig::DEFAULT }),
        eot: None,
        mixture_of_depths: None,
    }
}

/// Names, rows and columns of every tensor.
fn shapes(c: &ModelConfig) -> Vec<(String, usize, usize)> {
    let (v, d, f) = (c.vocab as usize, usize::from(c.d_model), usize::from(c.d_ffn));
    let mut all = vec![("embed".to_string(), v, d), ("norm.gain".into(), 1, d)];
    for i in 0..c.layers {
        let block = |name: &str| format!("blocks.{i}.{name}");
        for name in ["mixer.norm.gain", "mixer.shift", "mixer.state_norm.gain", "mixer.decay", "ffn.norm.gain"] {
            all.push((block(name), 1, d));
        }
        for name in ["gate", "value", "out_gate", "proj"] {
            all.push((block(&format!("mixer.{name}.weight")), d, d));
        }
        all.push((block("ffn.gate.weight"), f, d));
        all.push((block("ffn.up.weight"), f, d));
        all.push((block("ffn.down.weight"), d, f));
    }
    if let Some(rcsm) = &c.rcsm {
        let (r, o, s) = (usize::from(rcsm.width), usize::from(rcsm.ops), usize::from(rcsm.slots));
        let parts = [
            ("in_norm.gain", 1, d),
            ("down.weight", r, d),
            ("up.weight", d, r),
            ("code.weight", s, r),
            ("context_taps", usize::from(rcsm.taps) + 1, r),
            ("query_taps", usize::from(rcsm.taps) + 1, r),
            ("salience.weight", 1, r),
            ("salience.bias", 1, 1),
            ("write_gates.weight", 2, r),
            ("write_gates.bias", 1, 2),
            ("hop_gate.weight", 1, r),
            ("hop_gate.bias", 1, 1),
            ("hold_gate.weight", 1, r),
            ("hold_gate.bias", 1, 1),
            ("router.weight", o, r),
            ("ops", o * r, r),
            ("mix.weight", r, r),
            ("pass_scale", 1, rcsm.depths[2].into()),
            ("out_gain", 1, r),
            ("deeper.weight", 2, r),
            ("deeper.bias", 1, 2),
        ];
        all.extend(parts.map(|(name, rows, columns)| (format!("rcsm.{name}"), rows, columns)));
    }
    all
}

fn random_tensors(c: &ModelConfig, seed: u64) -> Tensors {
    let mut state = seed;
    let mut normal = || {
        // the sum of twelve uniforms, less six
        (0..12).fold(-6.0, |sum, _| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum + (state >> 40) as f32 / (1 << 24) as f32
        })
    };
    let mut tensors = Tensors::new();
    for (name, rows, columns) in shapes(c) {
        let values = (0..rows * columns).map(|_| match name.as_str() {
            "embed" => normal() * 0.02,
            _ if name.ends_with("gain") => 1.0 + 0.3 * normal(),
            _ if name.ends_with("decay") => 2.0 + normal(),
            _ if rows == 1 || name.ends_with("slots") => 0.3 * normal(),
            _ => normal() / (columns as f32).sqrt(),
        });
        let values = values.collect();
        tensors.insert(name, values);
    }
    tensors
}

fn pack(c: &ModelConfig, tensors: &Tensors) -> Vec<Line> {
    let facts = Facts { name: "test", data: "none", tokens: 5, steps: 2, phase: 1, held_out_bpc: None };
    let blob = write_blob(c, &facts, &[], &|name| tensors.get(name).map(Vec::as_slice)).expect("a model");
    let mut lines = vec![Line::ZERO; blob.len() / 64];
    bytemuck::cast_slice_mut(&mut lines).copy_from_slice(&blob);
    lines
}

/// Logits of core for one sequence, T x V.
fn core_logits(lines: &[Line], tokens: &[u16], depth: Option<Depth>) -> Vec<f32> {
    let model = Model::from_bytes(bytemuck::cast_slice(lines)).expect("a valid blob");
    let mut session = Session::on_heap(model, Kernels::detect());
    if let Some(depth) = depth {
        session.set_depth(depth).expect("a depth the model has");
    }
    let v = model.config().vocab as usize;
    let mut logits = vec![0.0; tokens.len() * v];
    session
        .prefill_logits(tokens, |t, first, rows| logits[t * v + first as usize..][..rows.len()].copy_from_slice(rows))
        .expect("tokens of the vocabulary");
    logits
}

/// Norm of the difference over norm of `want`.
fn difference(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |x: f64| x * x;
    let difference: f64 = got.iter().zip(want).map(|(&g, &w)| square(f64::from(g) - f64::from(w))).sum();
    (difference / want.iter().map(|&w| square(f64::from(w))).sum::<f64>()).sqrt()
}

/// The reference, a sequence at a time, in plain loops over f64.
mod reference {
    use super::*;

    type V = Vec<f64>;

    fn get(t: &Tensors, name: &str) -> V {
        t[name].iter().map(|&v| f64::from(v)).collect()
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    fn silu(x: f64) -> f64 {
        x * sigmoid(x)
    }

    fn int8(x: &[f64]) -> V {
        let s = x.iter().fold(1e-5f64, |m, v| m.max(v.abs())) / 127.0;
        x.iter().map(|v| (v / s).round_ties_even().clamp(-127.0, 127.0) * s).collect()
    }

    /// F.linear(int8(x), ternary(w)); a whole number of rows of x's length.
    fn bit_linear(w: &[f64], x: &[f64]) -> V {
        let x = int8(x);
        let row = |w: &[f64]| {
            let s = (w.iter().map(|v| v.abs()).sum::<f64>() / w.len() as f64).max(1e-5);
            w.iter().zip(&x).map(|(v, x)| (v / s).round_ties_even().clamp(-1.0, 1.0) * s * x).sum()
        };
        w.chunks_exact(x.len()).map(row).collect()
    }

    fn rms_norm(x: &[f64], gain: &[f64]) -> V {
        let r = 1.0 / (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64 + 1e-6).sqrt();
        x.iter().zip(gain).map(|(v, g)| v * r * g).collect()
    }

    fn rms(x: &[f64]) -> V {
        rms_norm(x, &vec![1.0; x.len()])
    }

    fn unit(x: &[f64]) -> V {
        let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt() + 1e-6;
        x.iter().map(|v| v / norm).collect()
    }

    fn add(x: &mut [f64], y: &[f64]) {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
    }

    /// x of all tokens after the blocks, the engine between two of them.
    fn blocks(c: &ModelConfig, t: &Tensors, tokens: &[u16], depth: Option<u8>) -> Vec<V> {
        let d = usize::from(c.d_model);
        let embed = get(t, "embed");
        let width = (d as f64).sqrt();
        let row = |&id: &u16| embed[usize::from(id) * d..][..d].iter().map(|v| v * width).collect();
        let mut x: Vec<V> = tokens.iter().map(row).collect();
        for i in 0..c.layers {
            let g = |name: &str| get(t, &format!("blocks.{i}.{name}"));
            let (shift, decay) = (g("mixer.shift"), g("mixer.decay"));
            let (mut h, mut before) = (vec![0.0; d], vec![0.0; d]);
            for x in &mut x {
                let n = rms_norm(x, &g("mixer.norm.gain"));
                let m = |j: usize| sigmoid(shift[j]);
                let u: V = (0..d).map(|j| m(j) * n[j] + (1.0 - m(j)) * before[j]).collect();
                before = n;
                let (gate, value) = (bit_linear(&g("mixer.gate.weight"), &u), bit_linear(&g("mixer.value.weight"), &u));
                for j in 0..d {
                    let a = sigmoid(decay[j]);
                    h[j] = a * h[j] + (1.0 - a * a).sqrt() * sigmoid(gate[j]) * value[j];
                }
                let out_gate = bit_linear(&g("mixer.out_gate.weight"), &u);
                let mut y = rms_norm(&h, &g("mixer.state_norm.gain"));
                y.iter_mut().zip(out_gate).for_each(|(y, o)| *y *= silu(o));
                add(x, &bit_linear(&g("mixer.proj.weight"), &y));
            }
            for x in &mut x {
                let u = rms_norm(x, &g("ffn.norm.gain"));
                let (gate, up) = (bit_linear(&g("ffn.gate.weight"), &u), bit_linear(&g("ffn.up.weight"), &u));
                let hidden: V = gate.iter().zip(up).map(|(&g, u)| silu(g) * u).collect();
                add(x, &bit_linear(&g("ffn.down.weight"), &hidden));
            }
            if let Some(rcsm) = c.rcsm.filter(|rcsm| rcsm.after == i + 1) {
                let (n, slots) = (usize::from(rcsm.width), rcsm.slots.into());
                let mut engine = Engine { t, u: Vec::new(), memory: vec![vec![0.0; n]; slots] };
                for x in &mut x {
                    let first = bit_linear(&engine.get("down.weight"), &rms_norm(x, &engine.get("in_norm.gain")));
                    engine.u.push(rms(&first));
                    let r = engine.passes(rcsm.depths, depth);
                    engine.write();
                    add(x, &bit_linear(&engine.get("up.weight"), &rms_norm(&r, &engine.get("out_gain"))));
                }
            }
        }
        x
    }

    /// The engine's vectors of all tokens so far, and its memory.
    struct Engine<'a> {
        t: &'a Tensors,
        u: Vec<V>,
        memory: Vec<V>,
    }

    impl Engine<'_> {
        fn get(&self, name: &str) -> V {
            get(self.t, &format!("rcsm.{name}"))
        }

        fn address(&self, z: &[f64]) -> V {
            unit(&bit_linear(&self.get("code.weight"), &rms(z)))
        }

        /// A mix of the salient u of the tokens from `first` before the last on, and of their trace.
        fn blend(&self, taps: &str, first: usize) -> V {
            let (n, seen) = (self.u[0].len(), self.u.len() - first);
            let (mut salient, mut trace) = (Vec::new(), vec![0.0; n]);
            for u in &self.u[..seen] {
                let s = sigmoid(self.gate("salience", 0, u));
                (0..n).for_each(|k| trace[k] = (1.0 - s) * trace[k] + s * u[k]);
                salient.push(u.iter().map(|v| s * v).collect::<V>());
            }
            let taps: Vec<V> = self.get(taps).chunks_exact(n).map(<[f64]>::to_vec).collect();
            let (of_trace, window) = taps.split_last().unwrap();
            let mut out: V = (0..n).map(|k| of_trace[k] * trace[k]).collect();
            for (tap, u) in window.iter().zip(salient.iter().rev()) {
                (0..n).for_each(|k| out[k] += tap[k] * u[k]);
            }
            out
        }

        fn gate(&self, name: &str, row: usize, v: &[f64]) -> f64 {
            let w = self.get(&format!("{name}.weight"));
            let sum: f64 = w.chunks_exact(v.len()).nth(row).unwrap().iter().zip(v).map(|(w, x)| w * x).sum();
            sum + self.get(&format!("{name}.bias"))[row]
        }

        fn operate(&self, v: &[f64]) -> V {
            let logits = bit_linear(&self.get("router.weight"), v);
            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
            let every = bit_linear(&self.get("ops"), v);
            let w = 1.0 / (1.0 + (logits[order[1]] - logits[order[0]]).exp());
            let n = v.len();
            let op = |i: usize, j: usize| every[order[i] * n + j];
            let o: V = (0..n).map(|j| w * op(0, j) + (1.0 - w) * op(1, j)).collect();
            self.get("mix.weight").chunks_exact(n).map(|row| row.iter().zip(&o).map(|(w, x)| w * x).sum()).collect()
        }

        /// The state after this token's passes.
        fn passes(&self, depths: [u8; 3], forced: Option<u8>) -> V {
            let u = self.u.last().unwrap();
            let n = u.len();
            let query = self.address(&self.blend("query_taps", 0));
            let (mut r, mut y) = (vec![0.0; n], vec![0.0; n]);
            let mut passes = forced.unwrap_or(depths[0]);
            let mut pass = 0;
            while pass < passes {
                let v = rms(&r.iter().zip(u).map(|(r, u)| r + u).collect::<V>());
                let (at, hold) = if pass == 0 {
                    (query.clone(), 1.0)
                } else {
                    let (hop, hold) = (sigmoid(self.gate("hop_gate", 0, &v)), sigmoid(self.gate("hold_gate", 0, &v)));
                    let (held, own) = (self.address(&y), self.address(&v));
                    (unit(&held.iter().zip(&own).map(|(h, o)| hop * h + (1.0 - hop) * o).collect::<V>()), hold)
                };
                let got = read(&self.memory, &at);
                (0..n).for_each(|j| y[j] = (1.0 - hold) * y[j] + hold * got[j]);
                let (mixed, normed, scale) = (self.operate(&v), rms(&y), self.get("pass_scale")[usize::from(pass)]);
                (0..n).for_each(|j| r[j] += hold * scale * (mixed[j] + normed[j]));
                pass += 1;
                if forced.is_none() && pass == passes && pass < depths[2] {
                    let choice = usize::from(pass != depths[0]);
                    if self.gate("deeper", choice, &rms(&r)) > 0.0 {
                        passes = depths[choice + 1];
                    }
                }
            }
            r
        }

        /// Links the last token to its context, both ways.
        fn write(&mut self) {
            let (u, context) = (self.u.last().unwrap().clone(), rms(&self.blend("context_taps", 1)));
            for (i, (key, value)) in [(&context, &u), (&u, &context)].into_iter().enumerate() {
                let gate = sigmoid(self.gate("write_gates", i, &u));
                let a = self.address(key);
                let old = read(&self.memory, &a);
                for (slot, a) in self.memory.iter_mut().zip(&a) {
                    (0..old.len()).for_each(|j| slot[j] += gate * a * (value[j] - old[j]));
                }
            }
        }
    }

    fn read(memory: &[V], address: &[f64]) -> V {
        let mut out = vec![0.0; memory[0].len()];
        for (slot, a) in memory.iter().zip(address) {
            out.iter_mut().zip(slot).for_each(|(o, m)| *o += a * m);
        }
        out
    }

    pub fn logits(c: &ModelConfig, t: &Tensors, tokens: &[u16], depth: Option<u8>) -> Vec<f32> {
        let x = blocks(c, t, tokens, depth);
        let (embed, gain) = (get(t, "embed"), get(t, "norm.gain"));
        let head = |x: &V| {
            let u = rms_norm(x, &gain);
            let row = |e: &[f64]| e.iter().zip(&u).map(|(e, u)| e * u).sum::<f64>() as f32;
            embed.chunks_exact(u.len()).map(row).collect::<Vec<_>>()
        };
        x.iter().flat_map(head).collect()
    }
}

/// Rounds the embedding to what the blob can hold, so that only arithmetic is left to differ.
fn with_int8_embedding(mut tensors: Tensors, c: &ModelConfig) -> Tensors {
    let mut q = vec![0; usize::from(c.d_model)];
    for row in tensors.get_mut("embed").unwrap().chunks_exact_mut(q.len()) {
        let scale = math::quantize_int8(row, &mut q);
        row.iter_mut().zip(&q).for_each(|(v, &q)| *v = f32::from(q) * scale);
    }
    tensors
}

#[test]
fn packed_models_compute_what_the_reference_computes() {
    let tokens: Vec<u16> = (0..20).map(|i| (i * 37 + 11) % 90).collect();
    let without = ModelConfig { rcsm: None, ..config() };
    let (mut worst, mut sum, mut cases) = (0.0f64, 0.0, 0);
    for seed in 0..6 {
        for c in [config(), without] {
            let tensors = with_int8_embedding(random_tensors(&c, seed), &c);
            let lines = pack(&c, &tensors);
            for depth in [None, Some(1), Some(3), Some(8)] {
                if c.rcsm.is_none() && depth.is_some_and(|n| n > 1) {
                    continue;
                }
                let forced = depth.map(Depth::Fixed);
                let want = reference::logits(&c, &tensors, &tokens, depth);
                let difference = difference(&core_logits(&lines, &tokens, forced), &want);
                (worst, sum, cases) = (worst.max(difference), sum + difference, cases + 1);
            }
        }
    }
    // a rounding tie between f32 and f64 may flip an int8 here and there
    let mean = sum / f64::from(cases);
    println!("relative difference: mean {mean:.1e}, largest {worst:.1e}");
    assert!(mean < 1e-3 && worst < 2e-2, "relative difference: mean {mean:.1e}, largest {worst:.1e}");
}

#[test]
fn packed_golden_model_agrees_with_the_reference_outputs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/supernova.safetensors");
    let file = std::fs::read(&path).expect("the golden model");
    let file = safetensors::SafeTensors::deserialize(&file).expect("a safetensors file");
    let floats = |name: &str| -> Vec<f32> {
        let data = file.tensor(name).expect(name).data();
        data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let c = ModelConfig {
        vocab: 96,
        rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 16, taps: 3, after: 1, ..RcsmConfig::DEFAULT }),
        ..config()
    };
    let tensors: Tensors =
        shapes(&c).into_iter().map(|(name, ..)| (name.clone(), floats(&format!("param.{name}")))).collect();
    let ids = file.tensor("ids").expect("ids");
    let ids: Vec<u16> = ids.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u16).collect();
    let rounded = with_int8_embedding(tensors.clone(), &c);
    let lines = pack(&c, &tensors);
    for (name, depth) in [("eval", None), ("depth1", Some(1)), ("depth3", Some(3)), ("depth8", Some(8))] {
        let want = floats(&format!("{name}.logits"));
        for (sequence, want) in ids.chunks_exact(24).zip(want.chunks_exact(24 * 96)) {
            // the oracle here must itself be the reference
            let here = difference(&reference::logits(&c, &tensors, sequence, depth), want);
            let arithmetic = reference::logits(&c, &rounded, sequence, depth);
            let got = core_logits(&lines, sequence, depth.map(Depth::Fixed));
            let (packed, arithmetic) = (difference(&got, want), difference(&got, &arithmetic));
            println!("{name}: oracle {here:.1e}, packed {packed:.1e}, packed against int8 oracle {arithmetic:.1e}");
            // the golden model was not trained with an int8 embedding, so rounding it moves its logits
            assert!(here < 1e-5 && arithmetic < 1e-3, "{name}: {here:.1e} {arithmetic:.1e}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_tensor_is_said_with_its_name() {
    let c = config();
    let tensors = random_tensors(&c, 1);
    let export = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        let get = |name: &str| tensors.get(name).map(Vec::as_slice);
        write_blob(&c, &Facts::default(), &[], &get).expect_err("a broken model").to_string()
    };
    for (name, rows, columns) in shapes(&c) {
        let missing = export(&|t| drop(t.remove(&name)));
        assert_eq!(missing, format!("tensor {name} is missing"));
        let short = export(&|t| t.get_mut(&name).unwrap().truncate(rows * columns - 1));
        assert!(short.contains(&format!("tensor {name} has {} values", rows * columns - 1)), "{short}");
        let nan = export(&|t| *t.get_mut(&name).unwrap().last_mut().unwrap() = f32::NAN);
        assert!(nan.contains(&format!("tensor {name} holds NaN at index {}", rows * columns - 1)), "{nan}");
    }
}

#[test]
fn wrong_tokenizers_names_and_configurations_are_refused() {
    let c = config();
    let tensors = random_tensors(&c, 1);
    let get = |name: &str| tensors.get(name).map(Vec::as_slice);
    let bad_tokenizer = write_blob(&c, &Facts::default(), b"no table", &get);
    assert!(matches!(bad_tokenizer, Err(ExportError::Tokenizer(_))), "{bad_tokenizer:?}");
    let long = "x".repeat(65);
    let bad_name = write_blob(&c, &Facts { data: &long, ..Facts::default() }, &[], &get);
    assert!(matches!(bad_name, Err(ExportError::Write(WriteError::Text))), "{bad_name:?}");
    let bad_config = write_blob(&ModelConfig { d_ffn: 90, ..c }, &Facts::default(), &[], &get);
    assert!(matches!(bad_config, Err(ExportError::Write(WriteError::Config(_)))), "{bad_config:?}");
}

#[test]
fn names_are_cut_to_what_a_blob_can_hold() {
    assert_eq!(short_name("/data/stories/train.txt"), "train.txt");
    assert_eq!(short_name("builtin"), "builtin");
    assert_eq!(short_name("stories/"), "stories");
    assert!(short_name(&"\u{e9}".repeat(100)).len() <= blob::MAX_TEXT);
}
