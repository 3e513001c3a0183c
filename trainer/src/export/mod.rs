//! From trained f32 tensors to the packed blob that `flashlm-core` runs.
//!
//! [`write_blob`] names every tensor as the reference does, checks it, quantises it exactly as the trainer's forward
//! pass does, and leaves the file's layout to [`flashlm_core::blob`].

mod pack;
#[cfg(test)]
mod tests;

use flashlm_core::blob::{self, Role, WriteError, layout::Contents};
use flashlm_core::config::{AttentionMap, ChannelMixer, Mixer};
use flashlm_core::{BlobError, Facts, Model, ModelConfig, TokenizerError, math};
use pack::{SectionWriter, int8_rows};

/// Why a model cannot be packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    #[error("tensor {0} is missing")]
    Missing(String),
    #[error("tensor {name} has {found} values, the configuration implies {rows} x {columns}")]
    Shape { name: String, rows: usize, columns: usize, found: usize },
    #[error("tensor {name} holds {value} at index {index}; every weight must be finite")]
    NotFinite { name: String, index: usize, value: f32 },
    #[error("the tokenizer table is wrong: {0}")]
    Tokenizer(#[from] TokenizerError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the packed blob does not read back: {0}")]
    ReadBack(#[from] BlobError),
}

/// Packs a model: `tensor` gives the latent f32 values, row-major, of every tensor named in `flashlm_ref.py`.
///
/// `tokenizer` is the tokenizer's table, or empty for a model without one. The blob is read back before it is
/// returned, so what this returns is what core accepts.
pub fn write_blob<'t>(
    config: &ModelConfig,
    facts: &Facts<'_>,
    tokenizer: &[u8],
    tensor: &dyn Fn(&str) -> Option<&'t [f32]>,
) -> Result<Vec<u8>, ExportError> {
    config.validate().map_err(WriteError::Config)?;
    let source = Source { config, tensor };
    let mut sections = [const { Vec::new() }; Role::ALL.len()];
    for (role, section) in Role::ALL.into_iter().zip(&mut sections) {
        *section = match role {
            Role::Tokenizer => tokenizer.to_vec(),
            _ => source.section(role)?,
        };
    }
    let blob = blob::write(config, facts, &sections)?;
    // the reader wants 4-byte alignment, which a Vec<u8> does not promise
    let mut aligned = vec![0u32; blob.len() / 4];
    bytemuck::cast_slice_mut(&mut aligned).copy_from_slice(&blob);
    match Model::from_bytes(bytemuck::cast_slice(&aligned)) {
        Ok(_) => Ok(blob),
        Err(BlobError::Tokenizer(e)) => Err(e.into()),
        Err(e) => Err(e.into()),
    }
}

/// A path's or name's last part, as far as a blob's [`Facts`] can hold it.
pub fn short_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(path);
    let mut end = name.len().min(blob::MAX_TEXT);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// Named tensors, checked as they are asked for.
struct Source<'s, 't> {
    config: &'s ModelConfig,
    tensor: &'s dyn Fn(&str) -> Option<&'t [f32]>,
}

impl<'t> Source<'_, 't> {
    /// The tensor `name` of rows x columns finite values.
    fn get(&self, name: &str, rows: usize, columns: usize) -> Result<&'t [f32], ExportError> {
        let values = (self.tensor)(name).ok_or_else(|| ExportError::Missing(name.into()))?;
        if values.len() != rows * columns {
            return Err(ExportError::Shape { name: name.into(), rows, columns, found: values.len() });
        }
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => Err(ExportError::NotFinite { name: name.into(), index, value: values[index] }),
            None => Ok(values),
        }
    }

    /// The bytes of a section, in the order [`Role`] documents.
    fn section(&self, role: Role) -> Result<Vec<u8>, ExportError> {
        let c = self.config;
        let (d, f) = (usize::from(c.d_model), usize::from(c.d_ffn));
        let mut w = SectionWriter::new(Contents::of(role, c));
        let blocks = (0..c.layers).map(|i| format!("blocks.{i}"));
        match role {
            Role::Tokenizer => {}
            Role::Embedding => return Ok(int8_rows(self.get("embed", c.vocab as usize, d)?, d)),
            Role::MixerIn => {
                let inner = c.inner();
                let parts = match c.mixer {
                    Mixer::GatedRecurrence => [("gate", 1), ("value", 1), ("out_gate", 1)],
                    Mixer::ParallelRecurrence(_) => [("forget", 1), ("value", 1), ("out_gate", 1)],
                    Mixer::Attention(a) => [("q", a.map.softmaxes()), ("k", a.map.softmaxes()), ("v", 1)],
                };
                for block in blocks {
                    let part =
                        |(name, n): (&str, usize)| self.get(&format!("{block}.mixer.{name}.weight"), n * inner, d);
                    let [first, second, third] = parts;
                    w.ternary(&[part(first)?, part(second)?, part(third)?]);
                }
            }
            Role::MixerOut => {
                for block in blocks {
                    w.ternary(&[self.get(&format!("{block}.mixer.proj.weight"), d, c.inner())?]);
                }
            }
            Role::FfnIn => {
                for block in blocks {
                    let part = |name| self.get(&format!("{block}.ffn.{name}.weight"), f, d);
                    match c.ffn {
                        ChannelMixer::Glu => w.ternary(&[part("gate")?, part("up")?]),
                        ChannelMixer::Relu2 | ChannelMixer::ShiftedRelu2 => w.ternary(&[part("up")?]),
                    }
                }
            }
            Role::FfnOut => {
                for block in blocks {
                    w.ternary(&[self.get(&format!("{block}.ffn.down.weight"), d, f)?]);
                }
            }
            Role::BlockVectors => {
                for layer in 0..c.layers {
                    self.block_vectors(layer.into(), &mut w)?;
                }
            }
            Role::Norm => w.floats(self.get("norm.gain", 1, d)?),
            _ => self.rcsm_section(role, &mut w)?,
        }
        Ok(w.finish())
    }

    /// One block's floats, in the order [`Role::BlockVectors`] documents.
    fn block_vectors(&self, layer: usize, w: &mut SectionWriter) -> Result<(), ExportError> {
        let c = self.config;
        let (d, inner) = (usize::from(c.d_model), c.inner());
        let get = |name: &str, n| self.get(&format!("blocks.{layer}.{name}"), 1, n);
        let sigmoid = |name: &str, n| -> Result<Vec<f32>, ExportError> {
            Ok(get(name, n)?.iter().map(|&v| math::sigmoid(v)).collect())
        };
        w.floats(get("mixer.norm.gain", d)?);
        match c.mixer {
            Mixer::GatedRecurrence => {
                let decay = sigmoid("mixer.decay", d)?;
                let drive: Vec<f32> = decay.iter().map(|&a| math::sqrt(1.0 - a * a)).collect();
                w.floats(&sigmoid("mixer.shift", d)?);
                w.floats(&decay);
                w.floats(&drive);
                w.floats(get("mixer.state_norm.gain", d)?);
            }
            Mixer::ParallelRecurrence(_) => {
                w.floats(&sigmoid("mixer.shift", d)?);
                for name in ["mixer.forget_bias", "mixer.group_gain", "mixer.group_bias"] {
                    w.floats(get(name, inner)?);
                }
            }
            Mixer::Attention(a) => {
                for name in ["mixer.q_norm.gain", "mixer.k_norm.gain", "mixer.head_norm.gain"] {
                    w.floats(get(name, a.heads.width.into())?);
                }
                if a.map == AttentionMap::Difference {
                    w.floats(&sigmoid("mixer.lam", a.heads.count.into())?);
                }
            }
        }
        w.floats(get("ffn.norm.gain", d)?);
        if c.ffn == ChannelMixer::ShiftedRelu2 {
            w.floats(&sigmoid("ffn.shift", d)?);
        }
        if c.routed(layer) {
            w.floats(get("router", d)?);
        }
        Ok(())
    }

    fn rcsm_section(&self, role: Role, w: &mut SectionWriter) -> Result<(), ExportError> {
        let Some(rcsm) = &self.config.rcsm else { return Ok(()) };
        let d = usize::from(self.config.d_model);
        let (r, o, s) = (usize::from(rcsm.width), usize::from(rcsm.ops), usize::from(rcsm.slots));
        let get = |name: &str, rows, columns| self.get(&format!("rcsm.{name}"), rows, columns);
        match role {
            Role::RcsmIn => w.ternary(&[get("down.weight", r, d)?]),
            Role::RcsmPass => w.ternary(&[get("router.weight", o, r)?, get("code.weight", s, r)?]),
            Role::RcsmOps => w.ternary(&[get("ops", o * r, r)?]),
            Role::RcsmOut => w.ternary(&[get("up.weight", d, r)?]),
            Role::RcsmVectors => {
                let mix = get("mix.weight", r, r)?;
                let transposed: Vec<f32> = (0..r * r).map(|i| mix[(i % r) * r + i / r]).collect();
                w.floats(&transposed);
                w.floats(get("in_norm.gain", 1, d)?);
                let (taps, choices) = (usize::from(rcsm.taps), rcsm.depths.len() - 1);
                for (name, rows, columns) in [
                    ("context_taps", taps + 1, r),
                    ("query_taps", taps + 1, r),
                    ("salience.weight", 1, r),
                    ("out_gain", 1, r),
                    ("hop_gate.weight", 1, r),
                    ("hold_gate.weight", 1, r),
                    ("write_gates.weight", 2, r),
                    ("deeper.weight", choices, r),
                    ("salience.bias", 1, 1),
                    ("hop_gate.bias", 1, 1),
                    ("hold_gate.bias", 1, 1),
                    ("write_gates.bias", 1, 2),
                    ("deeper.bias", 1, choices),
                    ("pass_scale", 1, rcsm.depths[2].into()),
                ] {
                    w.floats(get(name, rows, columns)?);
                }
            }
            _ => {}
        }
        Ok(())
    }
}
