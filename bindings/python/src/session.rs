//! One sequence that is run through a model, call by call.

use flashlm_core::Line;
use flashlm_core::config::Depth;
use flashlm_host::check_depth;
use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::arguments::{PIECE, Passes, token, tokens};
use crate::error::raised;
use crate::loaded::Running;

/// One sequence of tokens run through a model, in memory of constant size.
#[pyclass(module = "flashlm")]
pub struct Session(pub Running);

#[pymethods]
impl Session {
    /// Processes one token; returns the logits for the next, float32 (V,). The end-of-story token resets the state
    /// first: it also begins a story.
    #[pyo3(signature = (token, /))]
    fn step<'py>(&mut self, py: Python<'py>, token: i64) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let token = self::token(token, self.0.session().model().config())?;
        py.detach(|| self.0.with(|session| session.step(token))).map_err(raised)?;
        self.logits(py)
    }

    /// Processes tokens, to the same state as that many steps but faster.
    #[pyo3(signature = (tokens, /))]
    fn prefill(&mut self, py: Python<'_>, tokens: &Bound<'_, PyAny>) -> PyResult<()> {
        let tokens = self::tokens(tokens, self.0.session().model().config())?;
        for piece in tokens.chunks(PIECE) {
            py.detach(|| self.0.with(|session| session.prefill(piece))).map_err(raised)?;
            py.check_signals()?;
        }
        Ok(())
    }

    /// The logits after the last token, float32 (V,).
    fn logits<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<f32>>> {
        let mut logits = Vec::with_capacity(self.0.session().model().config().vocab as usize);
        let streamed = py.detach(|| self.0.session().logits(|_, rows| logits.extend_from_slice(rows)));
        streamed.map_err(raised)?;
        Ok(PyArray1::from_vec(py, logits))
    }

    /// All that the session remembers, uint8 (N,), to be kept and restored: to branch, or to go back.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u8>> {
        PyArray1::from_iter(py, self.0.session().state().iter().flat_map(|line| line.0))
    }

    /// Goes back to a state of a session over the same model: uint8 (N,) or bytes. What no session writes is refused,
    /// and then nothing changes.
    #[pyo3(signature = (state, /))]
    fn restore(&mut self, state: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = if let Ok(bytes) = state.cast::<PyBytes>() {
            bytes.as_bytes().to_vec()
        } else if let Ok(array) = state.extract::<PyReadonlyArray1<'_, u8>>() {
            array.as_array().to_vec()
        } else {
            return Err(PyTypeError::new_err("state: expected bytes or an array of uint8 with one dimension"));
        };
        let needed = size_of_val(self.0.session().state());
        if bytes.len() != needed {
            let found = bytes.len();
            return Err(PyValueError::new_err(format!("state: expected {needed} bytes, found {found}")));
        }
        let (lines, _) = bytes.as_chunks();
        let lines: Vec<Line> = lines.iter().map(|&line| Line(line)).collect();
        self.0.with(|session| session.restore(&lines)).map_err(raised)
    }

    /// Forgets everything.
    fn reset(&mut self) {
        self.0.with(|session| session.reset());
    }

    /// Tokens processed since the session began or was reset.
    #[getter]
    fn position(&self) -> u64 {
        self.0.session().position()
    }

    /// Passes of the reasoning loop a token takes, or "auto".
    #[getter]
    fn depth<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        depth(py, self.0.session().depth())
    }

    #[setter]
    fn set_depth(&mut self, passes: Passes) -> PyResult<()> {
        let Passes(depth) = passes;
        check_depth(depth, self.0.session().model().config().rcsm.as_ref()).map_err(PyValueError::new_err)?;
        self.0.with(|session| session.set_depth(depth)).map_err(raised)
    }

    fn __repr__(&self) -> String {
        format!("Session(position={}, depth={})", self.position(), self.0.session().depth())
    }
}

/// A depth as Python's number or "auto".
pub fn depth(py: Python<'_>, depth: Depth) -> PyResult<Bound<'_, PyAny>> {
    Ok(match depth {
        Depth::Adaptive => "auto".into_pyobject(py)?.into_any(),
        Depth::Fixed(passes) => passes.into_pyobject(py)?.into_any(),
    })
}
