//! What Python hands over: texts, tokens, depths.

use anyhow::{Result, anyhow};
use flashlm_core::config::{Depth, ModelConfig};
use numpy::{PyArrayDescrMethods, PyReadonlyArray1, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyString};

use crate::error::raised;

/// Tokens of a long text that are processed between two looks for Ctrl-C.
pub const PIECE: usize = 256;

/// A text: a `str`, as UTF-8, or `bytes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = given.cast::<PyString>() {
            return Ok(Self(text.to_cow()?.as_bytes().to_vec()));
        }
        match given.cast::<PyBytes>() {
            Ok(bytes) => Ok(Self(bytes.as_bytes().to_vec())),
            Err(_) => Err(PyTypeError::new_err(format!("expected str or bytes, found {}", given.get_type().name()?))),
        }
    }
}

/// A depth: `"auto"` or a number of passes. Whether a model has it is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passes(pub Depth);

impl<'py> FromPyObject<'_, 'py> for Passes {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if !given.is_instance_of::<PyString>() && !given.is_instance_of::<PyInt>() {
            let found = given.get_type().name()?;
            return Err(PyTypeError::new_err(format!("depth: expected \"auto\" or a number of passes, found {found}")));
        }
        let text = given.str()?.to_cow()?.into_owned();
        let depth = text.parse().map_err(|error| PyValueError::new_err(format!("depth: {error}, found {text:?}")))?;
        Ok(Self(depth))
    }
}

/// A whole number that is not negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole(pub u64);

impl<'py> FromPyObject<'_, 'py> for Whole {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        given.extract().map(Self).map_err(|error| match error.is_instance_of::<PyOverflowError>(given.py()) {
            true => PyValueError::new_err(format!("expected a whole number from 0 to {}, found {}", u64::MAX, *given)),
            false => error,
        })
    }
}

/// Tokens from an array or a sequence of whole numbers, one dimension, each less than the vocabulary.
pub fn tokens(given: &Bound<'_, PyAny>, config: &ModelConfig) -> PyResult<Vec<u16>> {
    let array = given.py().import("numpy")?.call_method1("asarray", (given,))?;
    let array = array.cast_into::<PyUntypedArray>().map_err(PyErr::from)?;
    if array.ndim() != 1 {
        let shape = array.shape();
        return Err(PyValueError::new_err(format!("tokens: expected one dimension, found shape {shape:?}")));
    }
    // of no values NumPy makes floats
    if array.len() == 0 {
        return Ok(Vec::new());
    }
    let kind = array.dtype().kind();
    if kind != b'i' && kind != b'u' {
        let dtype = array.dtype();
        return Err(PyTypeError::new_err(format!("tokens: expected whole numbers, found an array of {dtype}")));
    }
    let wide = array.call_method1("astype", ("int64",))?;
    let wide: PyReadonlyArray1<'_, i64> = wide.extract()?;
    let wide = wide.as_array();
    let checked = wide.iter().enumerate().map(|(at, &token)| {
        in_vocabulary(token, config).ok_or_else(|| anyhow!("tokens: {} at index {at}", outside(token, config)))
    });
    checked.collect::<Result<_>>().map_err(raised)
}

/// One token.
pub fn token(given: i64, config: &ModelConfig) -> PyResult<u16> {
    in_vocabulary(given, config).ok_or_else(|| PyValueError::new_err(format!("token: {}", outside(given, config))))
}

fn in_vocabulary(token: i64, config: &ModelConfig) -> Option<u16> {
    u16::try_from(token).ok().filter(|&token| u32::from(token) < config.vocab)
}

fn outside(token: i64, config: &ModelConfig) -> String {
    format!("expected 0 to {}, found {token}", config.vocab - 1)
}
