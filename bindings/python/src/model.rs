//! A packed model.

use std::path::PathBuf;
use std::sync::Arc;

use flashlm_core::sampler::MAX_CANDIDATES;
use flashlm_core::{Sampler, SamplerConfig};
use flashlm_host::{Blob, check_memory, fallibly};
use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::arguments::{PIECE, Passes, Text, Whole, tokens};
use crate::error::raised;
use crate::loaded::{Loaded, Running};
use crate::score::{self, Score};
use crate::session::{self, Session};
use crate::stops::Stops;
use crate::stream::Stream;
use crate::trace;

/// A packed model (.flm), read and checked. It does not change: any number of sessions and threads may use it.
#[pyclass(frozen, module = "flashlm")]
pub struct Model(Arc<Loaded>);

#[pymethods]
impl Model {
    /// Reads a model from the file at a path, takes one that is built in by its name, or the bytes of one.
    #[new]
    #[pyo3(signature = (source, /))]
    fn new(py: Python<'_>, source: &Bound<'_, PyAny>) -> PyResult<Self> {
        let blob = if let Ok(bytes) = source.cast::<PyBytes>() {
            Blob::copy("the model", bytes.as_bytes())
        } else {
            let path: PathBuf = source.extract()?;
            py.detach(|| Blob::open(&path))
        };
        let blob = blob.map_err(raised)?;
        py.detach(|| Loaded::check(blob)).map(|loaded| Self(Arc::new(loaded))).map_err(raised)
    }

    /// The model's dimensions by name, as its header has them.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, self.0.model().config())
    }

    /// How the model came about: name, data, tokens and steps trained on, phase, held_out_bpc [bits per byte].
    #[getter]
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        plain(py, self.0.model().facts())
    }

    /// V: tokens are 0 to V - 1.
    #[getter]
    fn vocab_size(&self) -> u32 {
        self.0.model().config().vocab
    }

    /// The token that ends a story and, as input, begins one; None if the model has none.
    #[getter]
    fn end_of_story(&self) -> Option<u32> {
        self.0.model().config().eot
    }

    /// Passes of the reasoning loop a token takes unless told otherwise, or "auto".
    #[getter]
    fn default_depth<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        session::depth(py, self.0.model().default_depth())
    }

    /// The tokens of a text, uint16 (T,). Any bytes are text; <|endoftext|> in it has no special meaning.
    #[pyo3(signature = (text, /))]
    fn encode<'py>(&self, py: Python<'py>, text: Text) -> PyResult<Bound<'py, PyArray1<u16>>> {
        let tokenizer = self.0.tokenizer().map_err(raised)?;
        Ok(PyArray1::from_vec(py, py.detach(|| tokenizer.encoded(&text.0))))
    }

    /// The text of tokens; bytes that are no UTF-8 become U+FFFD. The end of a story spells nothing.
    #[pyo3(signature = (tokens, /))]
    fn decode(&self, tokens: &Bound<'_, PyAny>) -> PyResult<String> {
        Ok(String::from_utf8_lossy(&self.spelled(tokens)?).into_owned())
    }

    /// The bytes that tokens spell.
    #[pyo3(signature = (tokens, /))]
    fn decode_bytes<'py>(&self, py: Python<'py>, tokens: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.spelled(tokens)?))
    }

    /// The logits after every token, float32 (T, V), from the reset state. A story begins with the end-of-story token.
    #[pyo3(signature = (tokens, /, depth = None))]
    fn logits<'py>(
        &self,
        py: Python<'py>,
        tokens: &Bound<'_, PyAny>,
        depth: Option<Passes>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let vocab = self.vocab_size() as usize;
        let tokens = self::tokens(tokens, self.0.model().config())?;
        let mut running = self.running(depth)?;
        let (count, need) = (tokens.len(), tokens.len() * vocab);
        check_memory("logits of all tokens", 4 * need as u64, "fewer tokens take less").map_err(raised)?;
        let mut logits = Vec::new();
        fallibly(|| logits.try_reserve_exact(need)).map_err(raised)?;
        for piece in tokens.chunks(PIECE) {
            let begin = logits.len();
            logits.resize(begin + piece.len() * vocab, 0.0);
            let rows_of = |t: usize, row: u32| begin + t * vocab + row as usize;
            let each = |t: usize, row: u32, rows: &[f32]| {
                logits[rows_of(t, row)..][..rows.len()].copy_from_slice(rows);
            };
            py.detach(|| running.with(|session| session.prefill_logits(piece, each))).map_err(raised)?;
            py.check_signals()?;
        }
        PyArray1::from_vec(py, logits).reshape([count, vocab])
    }

    /// How many bits the model needs to predict a text. A text of several stories with <|endoftext|> between them is
    /// scored as flashlm eval does: every story from the reset state, separators included.
    #[pyo3(signature = (text, /, depth = None))]
    fn score(&self, py: Python<'_>, text: Text, depth: Option<Passes>) -> PyResult<Score> {
        score::of(py, &self.0, &text.0, depth.map(|passes| passes.0))
    }

    /// A session in the reset state.
    #[pyo3(signature = (depth = None))]
    fn session(&self, depth: Option<Passes>) -> PyResult<Session> {
        Ok(Session(self.running(depth)?))
    }

    /// What the reasoning loop does for every token of a text that begins a story: a dict of arrays.
    #[pyo3(signature = (text, /, depth = None))]
    fn trace<'py>(&self, py: Python<'py>, text: Text, depth: Option<Passes>) -> PyResult<Bound<'py, PyDict>> {
        trace::of(py, &self.0, &text.0, depth.map(|passes| passes.0))
    }

    /// Goes on with a prompt, as an iterator over pieces of text. The same seed gives the same text everywhere.
    #[expect(clippy::too_many_arguments, reason = "they are keywords where they are used")]
    #[pyo3(signature = (prompt = String::new(), *, max_tokens = Whole(400), temperature = 0.7, top_k = Whole(0),
        top_p = 0.95, min_p = 0.0, repetition_penalty = 1.0, seed = Whole(1), depth = None, stop = None))]
    #[pyo3(text_signature = "($self, prompt='', *, max_tokens=400, temperature=0.7, top_k=0, top_p=0.95, min_p=0.0, \
        repetition_penalty=1.0, seed=1, depth=None, stop=None)")]
    fn stream(
        &self,
        py: Python<'_>,
        prompt: String,
        max_tokens: Whole,
        temperature: f32,
        top_k: Whole,
        top_p: f32,
        min_p: f32,
        repetition_penalty: f32,
        seed: Whole,
        depth: Option<Passes>,
        stop: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Stream> {
        let (Whole(max_tokens), Whole(top_k), Whole(seed)) = (max_tokens, top_k, seed);
        if top_k > MAX_CANDIDATES as u64 {
            return Err(PyValueError::new_err(format!("top_k: expected 0 to {MAX_CANDIDATES}, found {top_k}")));
        }
        let (top_k, length) = (top_k as u32, usize::try_from(max_tokens).unwrap_or(usize::MAX));
        let config = SamplerConfig { temperature, top_k, top_p, min_p, repetition_penalty, seed };
        let sampler = Sampler::new(config).map_err(raised)?;
        let depth = depth.map(|passes| passes.0);
        Stream::begin(py, &self.0, prompt.as_bytes(), sampler, depth, length, stops(stop)?)
    }

    /// Goes on with a prompt: the text that follows it. Keywords are those of stream.
    #[pyo3(signature = (prompt = None, **options))]
    #[pyo3(text_signature = "($self, prompt='', *, max_tokens=400, temperature=0.7, top_k=0, top_p=0.95, min_p=0.0, \
        repetition_penalty=1.0, seed=1, depth=None, stop=None)")]
    fn generate(
        this: &Bound<'_, Self>,
        prompt: Option<&Bound<'_, PyString>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<String> {
        let py = this.py();
        let prompt = prompt.map_or_else(|| PyString::new(py, ""), Bound::clone);
        let stream = this.call_method("stream", (prompt,), options)?;
        let mut stream: PyRefMut<'_, Stream> = stream.extract()?;
        stream.rest(py)
    }

    fn __repr__(&self) -> String {
        let (config, facts) = (self.0.model().config(), self.0.model().facts());
        format!("Model({:?}, {} layers, d_model {}, vocab {})", facts.name, config.layers, config.d_model, config.vocab)
    }
}

impl Model {
    fn running(&self, depth: Option<Passes>) -> PyResult<Running> {
        Running::start(&self.0, depth.map(|passes| passes.0)).map_err(raised)
    }

    fn spelled(&self, tokens: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
        let tokenizer = self.0.tokenizer().map_err(raised)?;
        let mut bytes = Vec::new();
        for token in self::tokens(tokens, self.0.model().config())? {
            tokenizer.for_each_byte(token, |byte| bytes.push(byte));
        }
        Ok(bytes)
    }
}

/// A text to stop at, or several.
fn stops(given: Option<&Bound<'_, PyAny>>) -> PyResult<Stops> {
    let Some(given) = given else { return Ok(Stops::default()) };
    let stops =
        if given.is_instance_of::<PyString>() { given.extract().map(|stop| vec![stop]) } else { given.extract() };
    let found = given.get_type().name()?;
    let wrong = |_| PyTypeError::new_err(format!("stop: expected a str or a list of them, found {found}"));
    stops.map(Stops::new).map_err(wrong)
}

/// A value as Python's own dicts, lists and numbers.
fn plain<'py>(py: Python<'py>, value: &impl serde::Serialize) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value).map_err(raised)?;
    py.import("json")?.call_method1("loads", (text,))
}
