//! What the module does, without the calls that lead there.

use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::{Tokenizer, Utf8Stream};
use flashlm_core::{
    Depth, Generation, Kernels, Line, Model, Observer, Sampler, SamplerConfig, Session, StoryLink, fingerprint, math,
};
use serde_json::{Value, json};

use crate::follow::Follow;

/// Tokens from one state that is kept to the next.
const KEPT_EVERY: usize = 16;
/// Candidates that are told of a place in a story, besides the one that came.
const CANDIDATES: usize = 8;

/// Tells stories with one model.
pub struct Teller {
    session: Session<'static, Vec<Line>>,
    tokenizer: Tokenizer<'static>,
    eot: u16,
    sampler: Sampler,
    utf8: Utf8Stream,
    story: Generation,
    ended: bool,
    /// The story's tokens, the prompt's first, and the characters that each completes.
    tokens: Vec<u16>,
    texts: Vec<String>,
    /// States after that many of them, to look at places near by.
    kept: Vec<(usize, Vec<Line>)>,
    /// `None` for a model without a reasoning loop.
    follow: Option<Follow>,
}

impl Teller {
    /// A teller with the model in `blob`. What is wrong with it is told in words.
    pub fn new(blob: &'static [u8]) -> Result<Self, String> {
        let model = Model::from_bytes(blob).map_err(|e| e.to_string())?;
        let (Some(tokenizer), Some(eot)) = (model.tokenizer(), model.config().eot) else {
            return Err("expected a model with a tokenizer and an end-of-story token, found one without".into());
        };
        Ok(Self {
            session: Session::on_heap(model, Kernels::detect()),
            tokenizer: *tokenizer,
            eot: eot as u16,
            sampler: Sampler::new(SamplerConfig::default()).map_err(|e| e.to_string())?,
            utf8: Utf8Stream::new(),
            story: Generation::default(),
            ended: true,
            tokens: Vec::new(),
            texts: Vec::new(),
            kept: Vec::new(),
            follow: None,
        })
    }

    /// What is to be known of the model.
    pub fn about(&self) -> Value {
        let model = self.session.model();
        let (config, facts) = (model.config(), model.facts());
        json!({
            "name": facts.name,
            "data": facts.data,
            "vocabulary": config.vocab,
            "depth": model.default_depth().to_string(),
            "depths": config.rcsm.map(|rcsm| rcsm.depths),
            "operations": config.rcsm.map_or(0, |rcsm| rcsm.ops),
        })
    }

    /// Begins a story with `prompt` and returns what of it is to be shown: without white space at its end, which is
    /// [left to the next word](Prompt). `None` is the depth that the model was trained for.
    pub fn begin<'p>(
        &mut self,
        prompt: &'p [u8],
        config: SamplerConfig,
        depth: Option<Depth>,
    ) -> Result<&'p str, String> {
        let prompt = Prompt::new(prompt);
        let shown = str::from_utf8(prompt.text).map_err(|e| format!("expected a prompt in UTF-8: {e}"))?;
        let sampler = Sampler::new(config).map_err(|e| e.to_string())?;
        let depth = depth.unwrap_or(self.session.model().default_depth());
        self.session.set_depth(depth).map_err(|e| e.to_string())?;
        let tokens = self.tokenizer.encoded(prompt.text);
        self.forget();
        self.sampler = sampler;
        self.follow = self.session.model().config().rcsm.as_ref().map(Follow::new);
        let Self { session, sampler, follow, .. } = self;
        let begun = Generation::begin(session, sampler, &tokens, &mut Following(follow));
        self.story = begun.map_err(|e| e.to_string())?;
        if prompt.space {
            self.story.owe_space();
        }
        for token in tokens {
            self.tell(token);
        }
        self.keep();
        self.ended = false;
        Ok(shown)
    }

    /// Draws a token and adds its text to `text`, whole characters only. False at the story's end.
    pub fn next(&mut self, text: &mut String) -> Result<bool, String> {
        if self.ended {
            return Ok(false);
        }
        let Self { session, sampler, follow, .. } = self;
        let drawn = self.story.next(session, sampler, &mut Following(follow)).map_err(|e| e.to_string())?;
        if self.tokens.len().is_multiple_of(KEPT_EVERY) {
            self.keep();
        }
        let Some(token) = drawn else {
            self.ended = true;
            self.utf8.finish(|c| text.push_str(c));
            return Ok(false);
        };
        text.push_str(self.tell(token));
        Ok(true)
    }

    /// Takes note of a token; the characters it completes.
    fn tell(&mut self, token: u16) -> &str {
        let mut text = String::new();
        self.utf8.push(&self.tokenizer.piece(token), |c| text.push_str(c));
        self.tokens.push(token);
        self.texts.push(text);
        self.texts.last().map_or("", String::as_str)
    }

    /// Keeps the state, which has seen all tokens.
    fn keep(&mut self) {
        self.kept.push((self.tokens.len(), self.session.state().to_vec()));
    }

    /// There is no story.
    fn forget(&mut self) {
        self.ended = true;
        self.utf8 = Utf8Stream::new();
        self.tokens.clear();
        self.texts.clear();
        self.kept.clear();
        self.follow = None;
    }

    /// Whether the story has ended, or none was begun.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The characters that each of the story's tokens completes, the prompt's first.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Passes that led to the story's token `at`; 0 where none are known.
    pub fn passes(&self, at: usize) -> usize {
        self.follow.as_ref().map_or(0, |follow| follow.passes(at))
    }

    /// The operation that weighed most in them.
    pub fn operation(&self, at: usize) -> Option<u8> {
        self.follow.as_ref()?.operation(at)
    }

    /// What led to the story's token `at`, or will lead to its next: the likeliest tokens there with their
    /// probabilities, before temperature and top-p; the passes, and what each read from the memory.
    pub fn look(&self, at: usize) -> Result<Value, String> {
        if at > self.tokens.len() || self.kept.is_empty() {
            return Err(format!("expected a token of the story, 0 to {}, found {at}", self.tokens.len()));
        }
        let mut session = self.session.clone();
        let known = self.kept.iter().rfind(|(count, _)| *count <= at);
        let told = |result: Result<(), flashlm_core::SessionError>| result.map_err(|e| e.to_string());
        match known {
            Some((_, state)) => told(session.restore(state))?,
            None => told(session.step(self.eot))?,
        }
        let rest = self.tokens.get(known.map_or(0, |(count, _)| *count)..at).unwrap_or_default();
        told(session.prefill(rest))?;
        let mut probabilities = Vec::new();
        told(session.logits(|_, rows| probabilities.extend_from_slice(rows)))?;
        math::softmax(&mut probabilities);
        let mut likely: Vec<(usize, f32)> = probabilities.into_iter().enumerate().collect();
        likely.sort_by(|a, b| b.1.total_cmp(&a.1));
        let drawn = self.tokens.get(at).copied().or(self.ended.then_some(self.eot));
        // what came is told of, however unlikely it was
        let mut rank = 0..;
        likely.retain(|&(token, _)| rank.next() < Some(CANDIDATES) || drawn.map(usize::from) == Some(token));

        let before: Vec<u8> = self.tokens[..at].iter().flat_map(|&t| self.tokenizer.piece(t).to_vec()).collect();
        let candidate = |&(token, probability): &(usize, f32)| {
            let token = token as u16;
            let piece = self.tokenizer.piece(token);
            let text = [&before[..], &piece].concat();
            json!({
                "text": String::from_utf8_lossy(&piece),
                "probability": probability,
                "drawn": drawn == Some(token),
                "end": token == self.eot,
                // within a character a story cannot be begun
                "whole": token != self.eot && str::from_utf8(&text).is_ok(),
            })
        };
        Ok(json!({
            "candidates": likely.iter().map(candidate).collect::<Vec<_>>(),
            "passes": self.follow.as_ref().map(|follow| follow.described(at)),
        }))
    }

    /// The link that tells the story that [`begin`](Self::begin) begins with these.
    pub fn link(&self, prompt: &[u8], config: SamplerConfig, depth: Option<Depth>) -> String {
        let SamplerConfig { seed, temperature, .. } = config;
        let depth = depth.unwrap_or(self.session.model().default_depth());
        StoryLink { seed, prompt, temperature, depth }.to_string()
    }

    /// The fingerprint of a story of `tokens` tokens, in hexadecimal digits: the one that `flashlm fingerprint` prints.
    pub fn fingerprint(&mut self, prompt: &[u8], tokens: usize, seed: u64) -> Result<String, String> {
        let config = SamplerConfig { temperature: 0.8, top_k: 40, seed, ..SamplerConfig::default() };
        let mut sampler = Sampler::new(config).map_err(|e| e.to_string())?;
        let prompt = self.tokenizer.encoded(prompt);
        self.forget();
        let depth = self.session.model().default_depth();
        let hash =
            self.session.set_depth(depth).and_then(|()| fingerprint(&mut self.session, &mut sampler, &prompt, tokens));
        Ok(format!("{:016x}", hash.map_err(|e| e.to_string())?))
    }

    /// Whose instructions it runs on.
    pub fn level(&self) -> &'static str {
        self.session.kernels().level().name()
    }
}

/// Follows where there is something to follow.
struct Following<'f>(&'f mut Option<Follow>);

impl Observer for Following<'_> {
    fn pass(&mut self, pass: flashlm_core::Pass<'_>) {
        if let Some(follow) = self.0 {
            follow.pass(pass);
        }
    }

    fn write(&mut self, write: flashlm_core::MemoryWrite<'_>) {
        if let Some(follow) = self.0 {
            follow.write(write);
        }
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::include_blob;

    use super::*;

    static BLOB: &[u8] = include_blob!("../../models/supernova.flm");

    fn story(teller: &mut Teller, seed: u64, tokens: usize) -> String {
        let mut text = String::new();
        teller.begin(b"Once upon a time", SamplerConfig { seed, ..SamplerConfig::default() }, None).unwrap();
        for _ in 0..tokens {
            if !teller.next(&mut text).unwrap() {
                break;
            }
        }
        text
    }

    #[test]
    fn a_story_does_not_depend_on_what_was_told_before() {
        let mut teller = Teller::new(BLOB).unwrap();
        let first = story(&mut teller, 1, 30);
        assert!(first.contains(' ') && !first.contains('\u{FFFD}'), "{first}");
        assert_ne!(story(&mut teller, 2, 30), first);
        teller.begin(b"Tom", SamplerConfig::default(), Some(Depth::Fixed(2))).unwrap();
        teller.fingerprint(b"The cat", 2, 1).unwrap();
        assert_eq!(teller.next(&mut String::new()), Ok(false));
        assert_eq!(story(&mut teller, 1, 30), first);
    }

    #[test]
    fn a_space_at_the_prompts_end_is_the_next_words_own() {
        let mut teller = Teller::new(BLOB).unwrap();
        let mut story = |prompt: &str| {
            let config = SamplerConfig { temperature: 0.0, ..Default::default() };
            let mut text = teller.begin(prompt.as_bytes(), config, None).unwrap().to_owned();
            (0..20).for_each(|_| assert!(teller.next(&mut text).is_ok()));
            text
        };
        assert_eq!(story("Tom saw a "), story("Tom saw a"));
    }

    #[test]
    fn a_look_at_any_place_shows_what_was_drawn_there_and_disturbs_nothing() {
        let mut teller = Teller::new(BLOB).unwrap();
        let greedy = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
        teller.begin(b"Once upon a time", greedy, Some(Depth::Fixed(2))).unwrap();
        let given = teller.tokens.len();
        let mut text = String::new();
        for _ in 0..40 {
            assert!(teller.next(&mut text).unwrap());
        }
        assert_eq!(teller.texts()[given..].concat(), text);
        for at in 0..teller.tokens.len() {
            let look = teller.look(at).unwrap();
            let candidates = look["candidates"].as_array().unwrap();
            assert_eq!(candidates.iter().filter(|c| c["drawn"] == true).count(), 1, "{at}: {look}");
            assert!(candidates.len() == CANDIDATES || candidates[CANDIDATES..].iter().all(|c| c["drawn"] == true));
            let sum: f64 = candidates.iter().map(|c| c["probability"].as_f64().unwrap()).sum();
            assert!(sum > 0.0 && sum <= 1.0001, "{sum}");
            if at >= given {
                // the likeliest was taken, from states that were kept as from those that were not
                assert_eq!(candidates[0]["drawn"], true, "{at}: {look}");
            }
            let passes = look["passes"].as_array().unwrap();
            assert_eq!((passes.len(), teller.passes(at)), (2, 2));
            let ops = passes.iter().flat_map(|pass| pass["operations"].as_array().unwrap());
            assert!(ops.map(|op| op.as_u64()).any(|op| op == teller.operation(at).map(u64::from)));
            let reads = passes.iter().flat_map(|pass| pass["reads"].as_array().unwrap());
            assert!(reads.map(|read| read["at"].as_i64().unwrap()).all(|read| read < at as i64));
        }
        assert!(teller.look(teller.tokens.len() + 1).unwrap_err().contains("found"));
        let next = teller.look(teller.tokens.len()).unwrap();
        let mut one = String::new();
        assert!(teller.next(&mut one).unwrap());
        assert_eq!(next["candidates"][0]["text"], one);
    }

    #[test]
    fn a_link_says_what_the_story_was_begun_with() {
        let teller = Teller::new(BLOB).unwrap();
        let config = SamplerConfig { seed: 7, temperature: 0.7, ..SamplerConfig::default() };
        let link = teller.link("caf\u{e9} ".as_bytes(), config, Some(Depth::Fixed(3)));
        assert_eq!(link, "#seed=7&prompt=caf%C3%A9%20&temperature=0.7&depth=3");
        let about = teller.about();
        assert!(teller.link(b"", config, None).ends_with(&format!("&depth={}", about["depth"].as_str().unwrap())));
    }

    #[test]
    fn what_is_no_model_is_refused_in_words() {
        let error = Teller::new(&BLOB[..1000]).err().unwrap();
        assert!(!error.is_empty());
        let mut teller = Teller::new(BLOB).unwrap();
        let config = SamplerConfig::default();
        assert!(teller.begin(b"", SamplerConfig { temperature: -1.0, ..config }, None).is_err());
        assert!(teller.begin(b"caf\xe9 ", config, None).unwrap_err().contains("UTF-8"));
        assert!(teller.begin(b"", config, Some(Depth::Fixed(99))).unwrap_err().contains("99 passes"));
        assert!(teller.look(0).is_err(), "there is no story");
    }
}
