//! `flashlm._flashlm`: FlashLM models from Python.
//!
//! [`Model`](model::Model) is a checked file; [`Session`](session::Session) runs tokens through it one call at a time;
//! [`Stream`](stream::Stream) tells a story piece by piece. Numbers come as NumPy arrays; shape letters are the
//! design's: T tokens, P passes, S slots, R reasoning width, V vocabulary. The interpreter's lock is let go of while a
//! model runs, and between pieces of long work Ctrl-C is asked for. What is wrong with an argument or a file is a
//! `ValueError`, `TypeError`, `OSError` or `MemoryError` with the message that the other programs give.
//!
//! `python/flashlm` has what is Python: the types of all this, and reading of the trainer's runs.

mod arguments;
mod error;
mod loaded;
mod model;
mod score;
mod session;
mod stops;
mod stream;
mod trace;

/// What Python sees.
#[pyo3::pymodule]
mod _flashlm {
    #[pymodule_export]
    use crate::model::Model;
    #[pymodule_export]
    use crate::score::Score;
    #[pymodule_export]
    use crate::session::Session;
    #[pymodule_export]
    use crate::stream::Stream;
}
