//! What the reasoning loop did for every token: passes, operations, gates, and what was read from the memory.

mod page;
mod table;
mod words;

use std::collections::VecDeque;

use flashlm_core::config::RcsmConfig;
use flashlm_core::tokenizer::Tokenizer;
use flashlm_core::{MemoryWrite, Observer, Pass};
use flashlm_host::{Direction, Link, Links};
use serde_json::{Value, json};

pub use self::page::page;
pub use self::table::table;
pub use self::words::last_sentence;

/// One pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    pub ops: [u8; 2],
    pub weights: [f32; 2],
    /// How far it read where the pass before pointed.
    pub hop: f32,
    /// How far what it read replaces what was read before.
    pub hold: f32,
    /// The links of the largest shares.
    pub reads: Vec<Link>,
}

/// The passes after one token of the story, and the token drawn then.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The token that was processed, by its place in the story.
    pub input: usize,
    pub hops: Vec<Hop>,
    /// Logits for going deeper that decided how many they are; none where the depth is fixed.
    pub deeper: Vec<f32>,
    pub drawn: u16,
}

/// Follows one story. It knows the links of the tokens it was told of.
#[derive(Clone, Debug)]
pub struct Trace {
    eot: u16,
    taps: usize,
    depths: [u8; 3],
    /// The first input whose step is told.
    from: usize,
    /// Tokens about to be processed.
    expected: VecDeque<u16>,
    /// Tokens processed since the story began, and what they wrote.
    tokens: Vec<u16>,
    links: Links,
    /// Of the token processed last.
    hops: Vec<Hop>,
    deeper: Vec<f32>,
    steps: Vec<Step>,
}

impl Trace {
    /// A trace of a model with this engine, where `eot` as input begins a story. Its steps are told from that on whose
    /// input is the story's `from`th token.
    pub fn new(config: &RcsmConfig, eot: u16, from: usize) -> Self {
        Self {
            eot,
            taps: config.taps.into(),
            depths: config.depths,
            from,
            expected: VecDeque::new(),
            tokens: Vec::new(),
            links: Links::new(config.writes),
            hops: Vec::new(),
            deeper: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Announces the tokens that the session processes next.
    pub fn expect(&mut self, tokens: &[u16]) {
        self.expected.extend(tokens);
    }

    /// The session's last token led to `token`.
    pub fn drawn(&mut self, token: u16) {
        let (hops, deeper) = (std::mem::take(&mut self.hops), std::mem::take(&mut self.deeper));
        let input = self.tokens.len().saturating_sub(1);
        if input >= self.from {
            self.steps.push(Step { input, hops, deeper, drawn: token });
        }
    }

    /// How deep so many passes are, of the three depths that the model was made for: 0, 1 or 2.
    pub fn level(&self, passes: usize) -> usize {
        self.depths.iter().take(2).filter(|&&depth| passes > depth.into()).count()
    }

    /// The steps as lines of text, one for every token drawn and one for each of its passes.
    pub fn lines(&self, tokenizer: &Tokenizer) -> String {
        self.steps.iter().map(|step| self.lines_of(tokenizer, step)).collect()
    }

    fn lines_of(&self, tokenizer: &Tokenizer, step: &Step) -> String {
        let (drawn, input) = (self.quoted(tokenizer, &[step.drawn]), self.span(tokenizer, step.input, 1));
        let mut text = format!("{drawn} after {input}: {}", counted(step.hops.len()));
        if !step.deeper.is_empty() {
            let logits: Vec<_> = step.deeper.iter().map(|logit| format!("{logit:+.2}")).collect();
            text += &format!(", deeper {}", logits.join(", "));
        }
        text.push('\n');
        for (i, hop) in step.hops.iter().enumerate() {
            let Hop { ops: [a, b], weights: [p, q], hop: follows, hold, .. } = hop;
            text += &format!("  {}: operations {a} {p:.2}, {b} {q:.2}", i + 1);
            if i > 0 {
                text += &format!("; hop {follows:.2}, hold {hold:.2}");
            }
            let reads: Vec<_> = hop.reads.iter().map(|link| self.described(tokenizer, link)).collect();
            text += &match &reads[..] {
                [] => "; read nothing\n".into(),
                reads => format!("; read {}\n", reads.join(", ")),
            };
        }
        text
    }

    /// The steps as a JSON array.
    pub fn json(&self, tokenizer: &Tokenizer) -> Value {
        let hop = |hop: &Hop| {
            let reads = hop.reads.iter().map(|link| {
                json!({
                    "token": self.text(tokenizer, &self.tokens[link.writer..][..1]),
                    "context": self.text(tokenizer, self.context(link.writer)),
                    "position": link.writer,
                    "direction": link.direction.name(),
                    "share": link.share,
                    "similarity": link.similarity,
                })
            });
            json!({
                "operations": hop.ops,
                "weights": hop.weights,
                "hop": hop.hop,
                "hold": hop.hold,
                "reads": reads.collect::<Vec<_>>(),
            })
        };
        let step = |step: &Step| {
            json!({
                "token": self.text(tokenizer, &[step.drawn]),
                "position": step.input + 1,
                "deeper": step.deeper,
                "passes": step.hops.iter().map(hop).collect::<Vec<_>>(),
            })
        };
        self.steps.iter().map(step).collect()
    }

    /// What came after a context, as `" barn" after " is in the"`, or before a token, with the share of it.
    fn described(&self, tokenizer: &Tokenizer, link: &Link) -> String {
        let token = self.span(tokenizer, link.writer, 1);
        let context = self.quoted(tokenizer, self.context(link.writer));
        let (share, similarity) = (link.share, link.similarity);
        match link.direction {
            Direction::After => format!("{token} after {context} {share:.2} (cosine {similarity:.2})"),
            Direction::Before => format!("{context} before {token} {share:.2} (cosine {similarity:.2})"),
        }
    }

    /// The tokens before `writer` that its context is made of.
    fn context(&self, writer: usize) -> &[u16] {
        &self.tokens[writer.saturating_sub(self.taps)..writer]
    }

    fn span(&self, tokenizer: &Tokenizer, start: usize, count: usize) -> String {
        let end = (start + count).min(self.tokens.len());
        self.quoted(tokenizer, self.tokens.get(start..end).unwrap_or_default())
    }

    fn quoted(&self, tokenizer: &Tokenizer, tokens: &[u16]) -> String {
        format!("{:?}", self.text(tokenizer, tokens))
    }

    fn text(&self, tokenizer: &Tokenizer, tokens: &[u16]) -> String {
        let mut bytes = Vec::new();
        for &token in tokens {
            match token == self.eot {
                true => bytes.extend(flashlm_core::text::SEPARATOR),
                false => tokenizer.for_each_byte(token, |byte| bytes.push(byte)),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Observer for Trace {
    fn depth(&mut self, _: u8, logits: &[f32]) {
        self.deeper = logits.to_vec();
    }

    fn pass(&mut self, pass: Pass<'_>) {
        if pass.index == 0 {
            self.hops.clear();
            let token = self.expected.pop_front().unwrap_or(self.eot);
            if token == self.eot {
                self.tokens.clear();
                self.links.clear();
            }
            self.tokens.push(token);
        }
        let Pass { ops, weights, address, hop, hold, .. } = pass;
        // what is not told needs no reads, which take as long as the story is
        let reads = if self.tokens.len() > self.from { self.links.largest(address) } else { Vec::new() };
        self.hops.push(Hop { ops, weights, hop, hold, reads });
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.links.add(write);
    }
}

/// So many passes, in words.
pub fn counted(passes: usize) -> String {
    format!("{passes} pass{}", if passes == 1 { "" } else { "es" })
}

#[cfg(test)]
mod tests;
