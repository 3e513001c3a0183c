//! Errors as Python's exceptions.

use std::collections::TryReserveError;
use std::io;

use flashlm_host::Shortage;
use pyo3::PyErr;
use pyo3::exceptions::{PyMemoryError, PyValueError};

/// The exception for `error`, with its whole message: of the system's errors the `OSError` that Python itself raises
/// for them, of a lack of memory a `MemoryError`, of all others a `ValueError`.
pub fn raised(error: impl Into<anyhow::Error>) -> PyErr {
    let error = error.into();
    let message = format!("{error:#}");
    for cause in error.chain() {
        if let Some(system) = cause.downcast_ref::<io::Error>() {
            return io::Error::new(system.kind(), message).into();
        }
        if cause.is::<Shortage>() || cause.is::<TryReserveError>() {
            return PyMemoryError::new_err(message);
        }
    }
    PyValueError::new_err(message)
}
