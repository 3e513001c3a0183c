//! What the server lets a client have, and what that comes to.

use std::time::Duration;

use flashlm_core::{Line, MAX_CHUNK, Model, Tokenizer, batch_lines};

use super::request::MOST_LOGPROBS;
use super::task::{Scored, Task};

/// Bytes that a connection may have read and not written, each.
pub const BUFFER: usize = 16 << 10;

/// Limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Threads that tell stories, and stories that each tells at a time.
    pub threads: usize,
    pub streams: usize,
    /// Stories that may wait.
    pub queue: usize,
    pub connections: usize,
    /// Of one request: tokens of a prompt, tokens drawn, choices, bytes.
    pub prompt: usize,
    pub length: usize,
    pub choices: usize,
    pub body: usize,
    /// For a request's head to come, and for its body.
    pub receive: Duration,
    /// For a client to take what is written to it.
    pub write: Duration,
    /// For an answer.
    pub answer: Duration,
    /// For answers when the server ends.
    pub grace: Duration,
}

impl Limits {
    /// Stories that may be told or wait.
    pub fn stories(&self) -> usize {
        self.threads * self.streams + self.queue
    }

    /// The most memory that all this takes at a time beside the model, bytes. It adds up what would be there if every
    /// client asked for all it can have and took none of it.
    pub fn memory(&self, model: &Model<'_>, tokenizer: &Tokenizer<'_>) -> u64 {
        /// What JSON takes of a byte that it escapes, `\u0000`.
        const ESCAPED: usize = 6;
        /// A vector that grows has room for twice as much, and has the old one beside it while it moves.
        const GROWS: usize = 3;
        /// A future with its connection, sockets, headers.
        const CONNECTION: usize = 32 << 10;
        let longest = (0..tokenizer.vocab()).map(|token| {
            let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
            tokenizer.piece(token as u16).iter().map(|byte| if plain(byte) { 1 } else { ESCAPED }).sum()
        });
        let longest: usize = longest.max().unwrap_or(0);
        // a number of twelve places, quotes and commas beside every candidate
        let candidates = (MOST_LOGPROBS + 1) * (longest + 20);
        let scored = size_of::<Scored>() + MOST_LOGPROBS * size_of::<(u16, f32)>() + 16;
        let shown = (self.prompt + self.length) * (longest + candidates);
        let told = (self.prompt + self.length) * scored;
        let story = size_of::<Task>() + self.prompt * size_of::<u16>() + GROWS * (shown + told);
        let connection = CONNECTION + 2 * BUFFER + GROWS * self.body;
        // what is parsed is a value for every other byte, of one request at a time
        let parsed = GROWS * self.body / 2 * size_of::<serde_json::Value>();
        let batch = batch_lines(model.config(), self.streams, MAX_CHUNK) * size_of::<Line>();
        (self.threads * batch + self.stories() * story + self.connections * connection + parsed) as u64
    }
}
