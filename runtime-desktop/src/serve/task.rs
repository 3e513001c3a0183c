//! What a request asks of a worker, and what comes back of it while it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flashlm_core::SamplerConfig;
use flashlm_core::config::Depth;
use tokio::sync::Notify;

/// One story to be told: a choice of a request.
#[derive(Debug)]
pub struct Task {
    /// Its tokens, without the one that begins every story; the model has all of them.
    pub prompt: Vec<u16>,
    /// Whether what follows the prompt is to begin with a space.
    pub owes_space: bool,
    pub sampler: SamplerConfig,
    pub depth: Depth,
    /// The most tokens drawn.
    pub length: usize,
    /// Texts that the story ends before.
    pub stop: Vec<String>,
    /// Whether the prompt is part of what is told.
    pub echo: bool,
    /// How many candidates are told beside each token; `None`: no probabilities at all.
    pub logprobs: Option<usize>,
    pub output: Arc<Output>,
}

impl Task {
    /// Whether the prompt's tokens are told with their probabilities.
    pub fn scores_prompt(&self) -> bool {
        self.echo && self.logprobs.is_some()
    }
}

/// A token with the logarithm of its probability, and the likeliest that were beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub token: u16,
    pub logprob: f32,
    pub top: Vec<(u16, f32)>,
    /// Characters of the text before it.
    pub offset: usize,
}

/// How a story ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself or before a stop word.
    Stop,
    Length,
    /// The model could not go on.
    Failed(String),
}

/// Part of what was told.
#[derive(Debug, Default)]
pub struct Part {
    pub text: String,
    pub tokens: Vec<Scored>,
    /// Tokens drawn.
    pub drawn: usize,
    pub end: Option<End>,
}

impl Part {
    fn is_news(&self) -> bool {
        !self.text.is_empty() || !self.tokens.is_empty() || self.end.is_some()
    }
}

/// What the connection of an output wants to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    EveryPart,
    TheEnd,
}

/// Where a worker puts what it tells and a connection takes it from. A worker never waits for a connection: what is not
/// taken stays, and it cannot be more than a request's length allows.
#[derive(Debug)]
pub struct Output {
    part: Mutex<Part>,
    cancelled: AtomicBool,
    /// Told of news; all choices of a request have one.
    news: Arc<Notify>,
    notice: Notice,
}

impl Output {
    pub fn new(news: Arc<Notify>, notice: Notice) -> Self {
        Self { part: Mutex::default(), cancelled: AtomicBool::new(false), news, notice }
    }

    /// Adds to what was told.
    pub fn tell(&self, add: impl FnOnce(&mut Part)) {
        let mut part = self.lock();
        add(&mut part);
        if self.notice == Notice::EveryPart || part.end.is_some() {
            self.news.notify_one();
        }
    }

    /// Takes what was told since the last time, if it is anything to show.
    pub fn take(&self) -> Option<Part> {
        let mut part = self.lock();
        part.is_news().then(|| std::mem::take(&mut *part))
    }

    /// Whether the story has ended, and that has not been taken.
    pub fn ended(&self) -> bool {
        self.lock().end.is_some()
    }

    /// Nobody wants it any more.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Part> {
        // whole at any time
        self.part.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
