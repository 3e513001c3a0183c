//! From trained f32 tensors to the packed blob that `flashlm-core` runs.
//!
//! [`write_blob`] takes every tensor that the [`schema`] names, checks it, quantises it exactly
//! as the trainer's forward pass does, and leaves the file's layout to [`flashlm_core::blob`].

mod pack;
#[cfg(test)]
mod tests;
pub mod unpack;

use flashlm_core::blob::{self, Role, WriteError, layout::Contents};
use flashlm_core::schema::{self, Stored};
use flashlm_core::{BlobError, Facts, Model, ModelConfig, TokenizerError};
use pack::SectionWriter;

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

/// Packs a model: `tensor` gives the latent f32 values, row-major, of every tensor that the schema names.
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

    /// The bytes of a section: the tensors of its role, block after block, in the schema's order.
    fn section(&self, role: Role) -> Result<Vec<u8>, ExportError> {
        let c = self.config;
        let mut w = SectionWriter::new(Contents::of(role, c));
        let of_role: Vec<_> = schema::tensors(c).filter(|(_, t)| t.role == role).collect();
        for block in of_role.chunk_by(|(a, _), (b, _)| a == b) {
            let mut matrices = Vec::new();
            for &(index, tensor) in block {
                let name = tensor.named(index).to_string();
                let values = self.get(&name, tensor.rows(c), tensor.columns(c))?;
                match tensor.stored {
                    Stored::Int8 => w.int8(values),
                    Stored::Ternary => matrices.push(values),
                    Stored::Floats(forms) => forms.iter().for_each(|&form| w.floats(values, form)),
                }
            }
            if !matrices.is_empty() {
                w.ternary(&matrices);
            }
        }
        Ok(w.finish())
    }
}
