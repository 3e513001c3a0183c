//! What the reasoning loop does for every token of a text.

use std::sync::Arc;

use flashlm_core::config::{Depth, RcsmConfig};
use flashlm_core::{MemoryWrite, Observer, Pass};
use flashlm_host::{Direction, Links};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::raised;
use crate::loaded::{Loaded, Running};

/// Tokens followed between two looks for Ctrl-C: every read is asked of every write before it.
const PIECE: usize = 16;

/// Values that every pass has `width` of, passes one after another.
struct PerPass<T> {
    width: usize,
    values: Vec<T>,
    /// What stands where a token took no such pass.
    none: T,
}

impl<T: Copy + Element> PerPass<T> {
    fn new(width: usize, none: T) -> Self {
        Self { width, values: Vec::new(), none }
    }

    /// As an array (T, P, ...), P the most passes that a token took.
    fn array<'py>(&self, py: Python<'py>, passes: &[u8], inner: &[usize]) -> PyResult<Bound<'py, PyAny>> {
        let most = usize::from(passes.iter().copied().max().unwrap_or(0));
        let mut all = Vec::with_capacity(passes.len() * most * self.width);
        let mut values = self.values.iter().copied();
        for &taken in passes {
            let taken = usize::from(taken);
            all.extend(values.by_ref().take(taken * self.width));
            all.extend(std::iter::repeat_n(self.none, (most - taken) * self.width));
        }
        shaped(py, all, &[&[passes.len(), most], inner].concat())
    }
}

/// `values` as an array of this shape.
fn shaped<'py, T: Element>(py: Python<'py>, values: Vec<T>, shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    Ok(PyArray1::from_vec(py, values).reshape(shape)?.into_any())
}

/// What the loop told.
struct Told {
    links: Links,
    passes: Vec<u8>,
    deeper: Vec<f32>,
    operations: PerPass<i16>,
    weights: PerPass<f32>,
    hop: PerPass<f32>,
    hold: PerPass<f32>,
    addresses: PerPass<f32>,
    held: PerPass<f32>,
    read_from: PerPass<i32>,
    read_direction: PerPass<i8>,
    read_share: PerPass<f32>,
    read_similarity: PerPass<f32>,
    write_gates: Vec<f32>,
    write_contexts: Vec<f32>,
    write_tokens: Vec<f32>,
}

impl Told {
    fn new(rcsm: &RcsmConfig) -> Self {
        let floats = |width| PerPass::new(width, f32::NAN);
        Self {
            links: Links::new(rcsm.writes),
            passes: Vec::new(),
            deeper: Vec::new(),
            operations: PerPass::new(2, -1),
            weights: floats(2),
            hop: floats(1),
            hold: floats(1),
            addresses: floats(rcsm.slots.into()),
            held: floats(rcsm.width.into()),
            read_from: PerPass::new(Links::LISTED, -1),
            read_direction: PerPass::new(Links::LISTED, 0),
            read_share: floats(Links::LISTED),
            read_similarity: floats(Links::LISTED),
            write_gates: Vec::new(),
            write_contexts: Vec::new(),
            write_tokens: Vec::new(),
        }
    }
}

impl Observer for Told {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        self.passes.push(passes);
        self.deeper.extend((0..2).map(|i| logits.get(i).copied().unwrap_or(f32::NAN)));
    }

    fn pass(&mut self, pass: Pass<'_>) {
        self.operations.values.extend(pass.ops.map(i16::from));
        self.weights.values.extend(pass.weights);
        self.hop.values.push(pass.hop);
        self.hold.values.push(pass.hold);
        self.addresses.values.extend(pass.address);
        self.held.values.extend(pass.read);
        let links = self.links.largest(pass.address);
        for i in 0..Links::LISTED {
            let link = links.get(i);
            self.read_from.values.push(link.map_or(-1, |link| link.writer as i32));
            self.read_direction.values.push(link.map_or(0, |link| match link.direction {
                Direction::After => 1,
                Direction::Before => -1,
            }));
            self.read_share.values.push(link.map_or(f32::NAN, |link| link.share));
            self.read_similarity.values.push(link.map_or(f32::NAN, |link| link.similarity));
        }
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.links.add(write);
        self.write_gates.extend(write.gates);
        self.write_contexts.extend(write.context);
        self.write_tokens.extend(write.token);
    }
}

/// Follows a story that `text` is, from its begin.
pub fn of<'py>(
    py: Python<'py>,
    loaded: &Arc<Loaded>,
    text: &[u8],
    depth: Option<Depth>,
) -> PyResult<Bound<'py, PyDict>> {
    let Some(rcsm) = loaded.model().config().rcsm else {
        let name = loaded.name();
        return Err(PyValueError::new_err(format!(
            "{name}: this model has no reasoning loop, so there is nothing to trace"
        )));
    };
    let (tokenizer, eot) = (loaded.tokenizer().map_err(raised)?, loaded.end_of_story().map_err(raised)?);
    let tokens = [vec![eot], py.detach(|| tokenizer.encoded(text))].concat();
    let mut running = Running::start(loaded, depth).map_err(raised)?;
    let mut told = Told::new(&rcsm);
    for piece in tokens.chunks(PIECE) {
        py.detach(|| running.with(|session| session.prefill_observed(piece, &mut told))).map_err(raised)?;
        py.check_signals()?;
    }
    let (count, passes, listed) = (tokens.len(), &told.passes[..], &[Links::LISTED][..]);
    let (slots, width) = (usize::from(rcsm.slots), usize::from(rcsm.width));
    let found = PyDict::new(py);
    found.set_item("tokens", shaped(py, tokens, &[count])?)?;
    found.set_item("passes", shaped(py, passes.to_vec(), &[count])?)?;
    found.set_item("deeper", shaped(py, told.deeper, &[count, 2])?)?;
    found.set_item("operations", told.operations.array(py, passes, &[2])?)?;
    found.set_item("weights", told.weights.array(py, passes, &[2])?)?;
    found.set_item("hop", told.hop.array(py, passes, &[])?)?;
    found.set_item("hold", told.hold.array(py, passes, &[])?)?;
    found.set_item("addresses", told.addresses.array(py, passes, &[slots])?)?;
    found.set_item("held", told.held.array(py, passes, &[width])?)?;
    found.set_item("read_from", told.read_from.array(py, passes, listed)?)?;
    found.set_item("read_direction", told.read_direction.array(py, passes, listed)?)?;
    found.set_item("read_share", told.read_share.array(py, passes, listed)?)?;
    found.set_item("read_similarity", told.read_similarity.array(py, passes, listed)?)?;
    found.set_item("write_gates", shaped(py, told.write_gates, &[count, 2])?)?;
    found.set_item("write_contexts", shaped(py, told.write_contexts, &[count, slots])?)?;
    found.set_item("write_tokens", shaped(py, told.write_tokens, &[count, slots])?)?;
    Ok(found)
}
