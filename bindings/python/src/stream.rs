//! A story that is told piece by piece.

use std::sync::Arc;

use anyhow::Result;
use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::Utf8Stream;
use flashlm_core::{Generation, Sampler};
use numpy::PyArray1;
use pyo3::prelude::*;

use crate::arguments::PIECE;
use crate::error::raised;
use crate::loaded::{Loaded, Running};
use crate::stops::Stops;

/// Why a story ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The model ended it.
    Story,
    /// The length asked for was reached.
    Length,
    /// A text to stop at was told.
    Stop,
}

impl Ended {
    fn name(self) -> &'static str {
        match self {
            Self::Story => "end of story",
            Self::Length => "length",
            Self::Stop => "stop",
        }
    }
}

/// An iterator over the pieces of a story, each a token's text or a few tokens'. The tokens drawn and why the story
/// ended can be asked for at any time.
#[pyclass(module = "flashlm")]
pub struct Stream {
    running: Running,
    sampler: Sampler,
    story: Generation,
    utf8: Utf8Stream,
    stops: Stops,
    /// Tokens that may still be drawn.
    left: usize,
    tokens: Vec<u16>,
    /// Text that is certain and was not given out yet.
    ready: String,
    ended: Option<Ended>,
}

#[pymethods]
impl Stream {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&mut self, py: Python<'_>) -> PyResult<Option<String>> {
        while self.ready.is_empty() && self.ended.is_none() {
            py.detach(|| self.advance()).map_err(raised)?;
            py.check_signals()?;
        }
        let piece = std::mem::take(&mut self.ready);
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Tokens drawn so far, uint16 (T,).
    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u16>> {
        PyArray1::from_slice(py, &self.tokens)
    }

    /// "end of story", "length" or "stop"; None while the story goes on.
    #[getter]
    fn ended(&self) -> Option<&'static str> {
        self.ended.map(Ended::name)
    }
}

impl Stream {
    /// Begins a story with `prompt`, of which at most `length` further tokens are told.
    pub fn begin(
        py: Python<'_>,
        loaded: &Arc<Loaded>,
        prompt: &[u8],
        sampler: Sampler,
        depth: Option<Depth>,
        length: usize,
        stops: Stops,
    ) -> PyResult<Self> {
        let tokenizer = loaded.tokenizer().map_err(raised)?;
        loaded.end_of_story().map_err(raised)?;
        let mut running = Running::start(loaded, depth).map_err(raised)?;
        let (mut sampler, prompt) = (sampler, Prompt::new(prompt));
        let tokens = py.detach(|| tokenizer.encoded(prompt.text));
        let begun = running.with(|session| Generation::begin(session, &mut sampler, &[], &mut ()));
        let mut story = begun.map_err(raised)?;
        for piece in tokens.chunks(PIECE) {
            let added = py.detach(|| running.with(|session| story.add(session, &mut sampler, piece, &mut ())));
            added.map_err(raised)?;
            py.check_signals()?;
        }
        if prompt.space {
            story.owe_space();
        }
        let utf8 = Utf8Stream::new();
        let (tokens, ready, ended) = (Vec::new(), String::new(), None);
        Ok(Self { running, sampler, story, utf8, stops, left: length, tokens, ready, ended })
    }

    /// All that is still to come.
    pub fn rest(&mut self, py: Python<'_>) -> PyResult<String> {
        let mut text = String::new();
        while let Some(piece) = self.__next__(py)? {
            text += &piece;
        }
        Ok(text)
    }

    /// Draws a token, or ends.
    fn advance(&mut self) -> Result<()> {
        if self.left == 0 {
            // a character that is not whole is left out
            self.end(Ended::Length);
            return Ok(());
        }
        self.left -= 1;
        let Self { running, sampler, story, utf8, stops, tokens, ready, .. } = self;
        let Some(token) = running.with(|session| story.next(session, sampler, &mut ()))? else {
            let mut text = String::new();
            utf8.finish(|c| text.push_str(c));
            let stopped = stops.push(&text, ready);
            self.end(if stopped { Ended::Stop } else { Ended::Story });
            return Ok(());
        };
        tokens.push(token);
        let mut text = String::new();
        utf8.push(&running.loaded().tokenizer()?.piece(token), |c| text.push_str(c));
        if stops.push(&text, ready) {
            self.end(Ended::Stop);
        }
        Ok(())
    }

    fn end(&mut self, ended: Ended) {
        self.stops.finish(&mut self.ready);
        self.ended = Some(ended);
    }
}
