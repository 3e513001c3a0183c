//! Completions as OpenAI's servers tell them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use flashlm_core::Tokenizer;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::request::{Completions, Subject};
use super::task::{End, Part, Scored, Task};

/// What an answer and all its parts begin with.
#[derive(Clone, Debug, Serialize)]
pub struct Head {
    id: String,
    object: &'static str,
    created: u64,
    model: &'static str,
    system_fingerprint: String,
}

impl Head {
    /// A new answer's.
    pub fn new(subject: &Subject) -> Self {
        static ANSWERS: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // the time tells servers apart that ran one after another
        let (count, nanos) = (ANSWERS.fetch_add(1, Ordering::Relaxed), now.as_nanos() as u64);
        Self {
            id: format!("cmpl-{nanos:016x}{count:08x}"),
            object: "text_completion",
            created: now.as_secs(),
            model: subject.name,
            system_fingerprint: fingerprint(subject),
        }
    }
}

/// The model, as its checksum tells it.
pub fn fingerprint(subject: &Subject) -> String {
    format!("fp_{:08x}", subject.model.checksum())
}

/// How much was read and told.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

/// What is told of one choice.
#[derive(Clone, Debug)]
struct Form {
    index: usize,
    seed: u64,
    /// Whether probabilities were asked for.
    logprobs: bool,
}

/// What answers to one request have in common.
#[derive(Clone, Debug)]
pub struct Teller {
    head: Head,
    tokenizer: Tokenizer<'static>,
    forms: Vec<Form>,
    usage: Usage,
}

impl Teller {
    /// For a request that was not started yet.
    pub fn new(request: &Completions, subject: &Subject) -> Self {
        let tasks = request.tasks.iter().enumerate();
        let form =
            |(index, task): (usize, &Task)| Form { index, seed: task.sampler.seed, logprobs: task.logprobs.is_some() };
        let forms = tasks.map(form).collect();
        let prompt_tokens = request.prompt_tokens;
        let usage = Usage { prompt_tokens, completion_tokens: 0, total_tokens: prompt_tokens };
        Self { head: Head::new(subject), tokenizer: subject.tokenizer, forms, usage }
    }

    /// Counts what a part tells.
    pub fn count(&mut self, part: &Part) {
        self.usage.completion_tokens += part.drawn;
        self.usage.total_tokens += part.drawn;
    }

    /// An answer of all choices, whose parts these are.
    pub fn whole(&self, parts: &[Part]) -> String {
        let choices = self.forms.iter().zip(parts).map(|(form, part)| self.choice(form, part)).collect();
        self.json(choices, Some(Some(self.usage)))
    }

    /// The part of a stream that tells of one choice; `usage`: whether it will be told at the end.
    pub fn part(&self, choice: usize, part: &Part, usage: bool) -> String {
        let choices = self.forms.get(choice).map(|form| self.choice(form, part)).into_iter().collect();
        self.json(choices, usage.then_some(None))
    }

    /// The part of a stream that tells the usage.
    pub fn last(&self) -> String {
        self.json(Vec::new(), Some(Some(self.usage)))
    }

    fn choice<'a>(&'a self, form: &Form, part: &'a Part) -> Choice<'a> {
        let &Form { index, seed, logprobs } = form;
        let finish_reason = match part.end {
            Some(End::Stop) => Some("stop"),
            Some(End::Length) => Some("length"),
            Some(End::Failed(_)) | None => None,
        };
        let logprobs = logprobs.then_some(Logprobs { tokenizer: &self.tokenizer, tokens: &part.tokens });
        Choice { index, text: &part.text, logprobs, finish_reason, seed }
    }

    fn json(&self, choices: Vec<Choice<'_>>, usage: Option<Option<Usage>>) -> String {
        // strings and numbers: there is nothing in it that JSON has not
        serde_json::to_string(&Answer { head: &self.head, choices, usage }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    head: &'a Head,
    choices: Vec<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: usize,
    text: &'a str,
    logprobs: Option<Logprobs<'a>>,
    finish_reason: Option<&'static str>,
    /// Not OpenAI's: what gives the same text again.
    seed: u64,
}

/// Four lists beside one another, written without a tree in between.
struct Logprobs<'a> {
    tokenizer: &'a Tokenizer<'static>,
    tokens: &'a [Scored],
}

impl Serialize for Logprobs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let &Self { tokenizer, tokens } = self;
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("tokens", &list(tokens, |scored| token(tokenizer, scored.token)))?;
        map.serialize_entry("token_logprobs", &list(tokens, |scored| scored.logprob))?;
        map.serialize_entry("top_logprobs", &list(tokens, |scored| Top(tokenizer, &scored.top)))?;
        map.serialize_entry("text_offset", &list(tokens, |scored| scored.offset))?;
        map.end()
    }
}

/// What a function makes of every token.
struct List<'a, F>(&'a [Scored], F);

fn list<'a, T, F: Fn(&'a Scored) -> T>(tokens: &'a [Scored], of: F) -> List<'a, F> {
    List(tokens, of)
}

impl<'a, T: Serialize, F: Fn(&'a Scored) -> T> Serialize for List<'a, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

/// Candidates by their text.
struct Top<'a>(&'a Tokenizer<'static>, &'a [(u16, f32)]);

impl Serialize for Top<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.1.iter().map(|&(candidate, logprob)| (token(self.0, candidate), logprob)))
    }
}

/// A token's text; as OpenAI writes it where it is none, `bytes:\xe2\x80`.
fn token(tokenizer: &Tokenizer<'_>, token: u16) -> String {
    let piece = tokenizer.piece(token);
    match str::from_utf8(&piece) {
        // it spells nothing, and the text has its place in other lists
        Ok("") => "<|endoftext|>".into(),
        Ok(text) => text.into(),
        Err(_) => piece.iter().fold("bytes:".into(), |text, byte| format!("{text}\\x{byte:02x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model;

    #[test]
    fn what_is_no_text_is_told_in_bytes() {
        let blob = model::open(None).unwrap();
        let tokenizer = blob.tokenizer().unwrap();
        assert_eq!(token(&tokenizer, 1 + 0xe2), "bytes:\\xe2");
        assert_eq!(token(&tokenizer, 1 + u16::from(b'a')), "a");
        assert_eq!(token(&tokenizer, 0), "<|endoftext|>");
    }
}
