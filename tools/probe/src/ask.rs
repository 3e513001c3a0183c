//! Asking a model: items through core, at one depth after another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flashlm_core::config::Depth;
use flashlm_core::score::LogSumExp;
use flashlm_core::{Kernels, Line, Model, Observer, Session, SessionError, Tokenizer};

use crate::error::ProbeError;
use crate::item::Item;

/// Items a thread takes at a time. Neighbours often share the beginning of their prompts, which is then read once.
const TAKEN: usize = 32;

/// How a model did on one item at one depth.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether the likeliest tokens, one after the other, spell the answer and end there.
    pub exact: bool,
    /// Whether the answer is likelier than every wrong one; a tie is not. `None` without wrong answers.
    pub choice: Option<bool>,
    /// Mean passes at the tokens that predict the answer's; `None` for a model without the reasoning loop.
    pub passes: Option<f64>,
    /// What was generated, as far as it was needed to tell.
    pub told: String,
}

/// A model with what asking it takes.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'m> {
    /// What to call it in messages.
    pub name: &'m str,
    pub model: Model<'m>,
}

impl<'m> Subject<'m> {
    /// The model's tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer<'m>, ProbeError> {
        let model = || self.name.to_string();
        self.model.tokenizer().copied().ok_or_else(|| ProbeError::Model { model: model(), what: "a tokenizer" })
    }

    /// The depths it is asked at unless told otherwise: all it has, and the one it chooses.
    pub fn depths(&self) -> Vec<Depth> {
        match self.model.config().rcsm {
            Some(rcsm) => rcsm.depths.map(Depth::Fixed).into_iter().chain([Depth::Adaptive]).collect(),
            None => vec![Depth::Fixed(1)],
        }
    }

    /// Bytes of what a session remembers, at any length of text.
    pub fn state_bytes(&self) -> usize {
        size_of_val(Session::on_heap(self.model, Kernels::detect()).state())
    }

    /// Asks all `items` at `depth` on so many threads. The outcomes, in the items' order, do not depend on them.
    pub fn ask(&self, items: &[Item], depth: Depth, threads: usize) -> Result<Vec<Outcome>, ProbeError> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Vec<Outcome>)>, ProbeError> {
            let mut reader = Reader::new(self, depth)?;
            let mut parts = Vec::new();
            loop {
                let start = next.fetch_add(TAKEN, Ordering::Relaxed);
                let Some(rest) = items.get(start..).filter(|rest| !rest.is_empty()) else { return Ok(parts) };
                parts.push((start, reader.ask(&rest[..rest.len().min(TAKEN)])?));
            }
        };
        let mut parts = thread::scope(|scope| -> Result<_, ProbeError> {
            let threads = threads.clamp(1, items.len().div_ceil(TAKEN).max(1));
            // this thread works, too, so that the work is done where no other can be started
            let start = || thread::Builder::new().spawn_scoped(scope, work).ok();
            let workers: Vec<_> = (1..threads).map_while(|_| start()).collect();
            let mut parts = work()?;
            for worker in workers {
                match worker.join() {
                    Ok(part) => parts.extend(part?),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Ok(parts)
        })?;
        parts.sort_unstable_by_key(|part| part.0);
        Ok(parts.into_iter().flat_map(|part| part.1).collect())
    }
}

/// One thread's session.
struct Reader<'m> {
    session: Session<'m, Vec<Line>>,
    tokenizer: Tokenizer<'m>,
    eot: u16,
}

/// What a prompt leads to: the state behind it and the likelihood of every token to come.
struct Ahead {
    state: Vec<Line>,
    /// V.
    logits: Vec<f32>,
    /// ln of the sum of their exponentials.
    total: f64,
}

impl<'m> Reader<'m> {
    fn new(subject: &Subject<'m>, depth: Depth) -> Result<Self, ProbeError> {
        let tokenizer = subject.tokenizer()?;
        let model = || subject.name.to_string();
        let eot = subject.model.config().eot;
        let eot = eot.ok_or_else(|| ProbeError::Model { model: model(), what: "an end-of-story token" })? as u16;
        let mut session = Session::on_heap(subject.model, Kernels::detect());
        let refused = |source| ProbeError::Depth { model: model(), depth: depth_name(depth), source };
        session.set_depth(depth).map_err(refused)?;
        Ok(Self { session, tokenizer, eot })
    }

    fn ask(&mut self, items: &[Item]) -> Result<Vec<Outcome>, SessionError> {
        // a text begins where another ends
        let prompt = |item: &Item| [vec![self.eot], self.tokenizer.encoded(item.prompt.as_bytes())].concat();
        let prompts: Vec<Vec<u16>> = items.iter().map(prompt).collect();
        let mut saved: Option<(usize, Vec<Line>)> = None;
        let mut outcomes = Vec::with_capacity(items.len());
        for (i, (item, prompt)) in items.iter().zip(&prompts).enumerate() {
            let last = prompt.len() - 1;
            // tokens before the last that the next prompt begins with too
            let shared = prompts.get(i + 1).map_or(0, |next| common(prompt, next).min(next.len() - 1)).min(last);
            let mut at = 0;
            if let Some((read, state)) = &saved {
                self.session.restore(state)?;
                at = *read;
            }
            if shared > at {
                self.session.prefill(&prompt[at..shared])?;
                at = shared;
                saved = Some((shared, self.session.state().to_vec()));
            } else if shared < at {
                saved = None;
            }
            self.session.prefill(&prompt[at..last])?;
            let mut passes = Passes::default();
            self.session.step_observed(prompt[last], &mut passes)?;
            outcomes.push(self.answer(item, passes)?);
        }
        Ok(outcomes)
    }

    /// What the session, behind the prompt, makes of its answers.
    fn answer(&mut self, item: &Item, mut passes: Passes) -> Result<Outcome, SessionError> {
        let (mut logits, mut total) = (Vec::new(), LogSumExp::default());
        let kernels = self.session.kernels();
        self.session.logits(|_, rows| {
            logits.extend_from_slice(rows);
            total.push(kernels, rows);
        })?;
        let ahead = Ahead { state: self.session.state().to_vec(), logits, total: total.value() };

        let (exact, told) =
            self.generate(&ahead, &[item.gap(), &item.answer, &item.end].concat(), item.end.is_empty())?;
        let tokens = |choice: &str| self.tokenizer.encoded([item.gap(), choice].concat().as_bytes());
        let (answer, wrong) = (tokens(&item.answer), item.wrong.iter().map(|w| tokens(w)).collect::<Vec<_>>());
        let right = self.likelihood(&ahead, &answer, &mut passes)?;
        let mut beaten = 0;
        for wrong in &wrong {
            // a likelihood that is no number beats nothing
            if right > self.likelihood(&ahead, wrong, &mut ())? {
                beaten += 1;
            } else {
                break;
            }
        }
        let choice = (!wrong.is_empty()).then_some(beaten == wrong.len());
        Ok(Outcome { exact, choice, passes: passes.mean(), told })
    }

    /// The log-likelihood of `tokens`, nats.
    fn likelihood(&mut self, ahead: &Ahead, tokens: &[u16], seen: &mut impl Observer) -> Result<f64, SessionError> {
        let Some(&first) = tokens.first() else { return Ok(0.0) };
        let mut sum = f64::from(ahead.logits[usize::from(first)]) - ahead.total;
        if tokens.len() > 1 {
            self.session.restore(&ahead.state)?;
        }
        let kernels = self.session.kernels();
        for pair in tokens.windows(2) {
            self.session.step_observed(pair[0], seen)?;
            let (target, mut logit, mut total) = (usize::from(pair[1]), 0.0, LogSumExp::default());
            self.session.logits(|row, rows| {
                logit = target.checked_sub(row as usize).and_then(|i| rows.get(i)).copied().unwrap_or(logit);
                total.push(kernels, rows);
            })?;
            sum += f64::from(logit) - total.value();
        }
        Ok(sum)
    }

    /// Takes the likeliest token after the other until it is clear whether they spell `wanted` and, where `whole` is
    /// asked for, no longer word. Returns that, and the text.
    fn generate(&mut self, ahead: &Ahead, wanted: &str, whole: bool) -> Result<(bool, String), SessionError> {
        self.session.restore(&ahead.state)?;
        let mut text = Vec::new();
        let mut token = likeliest(&ahead.logits);
        let exact = loop {
            if token == self.eot {
                break ended(&text, wanted.as_bytes());
            }
            self.tokenizer.for_each_byte(token, |byte| text.push(byte));
            if let Some(verdict) = spells(&text, wanted.as_bytes(), whole) {
                break verdict;
            }
            self.session.step(token)?;
            let mut best = (0, f32::NEG_INFINITY);
            self.session.logits(|row, rows| {
                for (i, &logit) in rows.iter().enumerate() {
                    if logit > best.1 {
                        best = (row + i as u32, logit);
                    }
                }
            })?;
            token = best.0 as u16;
        };
        Ok((exact, String::from_utf8_lossy(&text).into_owned()))
    }
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> u16 {
    let best =
        logits.iter().enumerate().fold((0, f32::NEG_INFINITY), |best, (i, &l)| if l > best.1 { (i, l) } else { best });
    best.0 as u16
}

/// Whether `text` is `wanted` and goes on as no longer word; `None` while too little of it is there. "barn." and
/// "barn, " end a word, "barns", "barn's", "barn-owl" and "barn,park" go on.
fn spells(text: &[u8], wanted: &[u8], whole: bool) -> Option<bool> {
    let Some(rest) = text.strip_prefix(wanted) else {
        return if wanted.starts_with(text) { None } else { Some(false) };
    };
    let word = |b: &u8| b.is_ascii_alphanumeric() || *b >= 0x80;
    match rest {
        _ if !whole => Some(true),
        [] | [b',' | b'\'' | b'-'] => None,
        [b',' | b'\'' | b'-', next, ..] => Some(!word(next)),
        [next, ..] => Some(!word(next)),
    }
}

/// The same where the story ends behind `text`.
fn ended(text: &[u8], wanted: &[u8]) -> bool {
    text.starts_with(wanted)
}

fn common(a: &[u16], b: &[u16]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Passes taken.
#[derive(Clone, Copy, Debug, Default)]
struct Passes {
    sum: u32,
    tokens: u32,
}

impl Passes {
    fn mean(self) -> Option<f64> {
        (self.tokens > 0).then(|| f64::from(self.sum) / f64::from(self.tokens))
    }
}

impl Observer for Passes {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.sum += u32::from(passes);
        self.tokens += 1;
    }
}

/// A depth by name: passes, or `chosen`.
pub fn depth_name(depth: Depth) -> String {
    match depth {
        Depth::Adaptive => "chosen".into(),
        fixed => fixed.to_string(),
    }
}

/// Reads [`depth_name`]'s names, and those that depths have elsewhere.
pub fn depth(name: &str) -> Result<Depth, String> {
    match name {
        "chosen" => Ok(Depth::Adaptive),
        other => other.parse().map_err(|e| format!("{e}, or chosen, found {name:?}")),
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
