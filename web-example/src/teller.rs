//! What the module does, without the calls that lead there.

use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::{Tokenizer, Utf8Stream};
use flashlm_core::{Generation, Kernels, Line, Model, Sampler, SamplerConfig, Session, fingerprint};

/// Tells stories with one model.
pub struct Teller {
    session: Session<'static, Vec<Line>>,
    tokenizer: Tokenizer<'static>,
    sampler: Sampler,
    utf8: Utf8Stream,
    story: Generation,
    ended: bool,
}

impl Teller {
    /// A teller with the model in `blob`. What is wrong with it is told in words.
    pub fn new(blob: &'static [u8]) -> Result<Self, String> {
        let model = Model::from_bytes(blob).map_err(|e| e.to_string())?;
        let (Some(tokenizer), Some(_)) = (model.tokenizer(), model.config().eot) else {
            return Err("expected a model with a tokenizer and an end-of-story token, found one without".into());
        };
        Ok(Self {
            session: Session::on_heap(model, Kernels::detect()),
            tokenizer: *tokenizer,
            sampler: Sampler::new(SamplerConfig::default()).map_err(|e| e.to_string())?,
            utf8: Utf8Stream::new(),
            story: Generation::default(),
            ended: true,
        })
    }

    /// Begins a story with `prompt` and returns what of it is to be shown: without white space at its end, which is
    /// [left to the next word](Prompt).
    pub fn begin<'p>(&mut self, prompt: &'p [u8], config: SamplerConfig) -> Result<&'p str, String> {
        let prompt = Prompt::new(prompt);
        let shown = str::from_utf8(prompt.text).map_err(|e| format!("expected a prompt in UTF-8: {e}"))?;
        self.sampler = Sampler::new(config).map_err(|e| e.to_string())?;
        let tokens = self.tokenizer.encoded(prompt.text);
        let begun = Generation::begin(&mut self.session, &mut self.sampler, &tokens, &mut ());
        self.story = begun.map_err(|e| e.to_string())?;
        if prompt.space {
            self.story.owe_space();
        }
        self.utf8 = Utf8Stream::new();
        self.ended = false;
        Ok(shown)
    }

    /// Draws a token and adds its text to `text`, whole characters only. False at the story's end.
    pub fn next(&mut self, text: &mut String) -> Result<bool, String> {
        if self.ended {
            return Ok(false);
        }
        let drawn = self.story.next(&mut self.session, &mut self.sampler, &mut ()).map_err(|e| e.to_string())?;
        let Some(token) = drawn else {
            self.ended = true;
            self.utf8.finish(|c| text.push_str(c));
            return Ok(false);
        };
        self.utf8.push(&self.tokenizer.piece(token), |c| text.push_str(c));
        Ok(true)
    }

    /// Whether the story has ended, or none was begun.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// The fingerprint of a story of `tokens` tokens, in hexadecimal digits: the one that `flashlm fingerprint` prints.
    pub fn fingerprint(&mut self, prompt: &[u8], tokens: usize, seed: u64) -> Result<String, String> {
        let config = SamplerConfig { temperature: 0.8, top_k: 40, seed, ..SamplerConfig::default() };
        let mut sampler = Sampler::new(config).map_err(|e| e.to_string())?;
        let prompt = self.tokenizer.encoded(prompt);
        self.ended = true;
        let hash = fingerprint(&mut self.session, &mut sampler, &prompt, tokens).map_err(|e| e.to_string())?;
        Ok(std::format!("{hash:016x}"))
    }

    /// Whose instructions it runs on.
    pub fn level(&self) -> &'static str {
        self.session.kernels().level().name()
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::include_blob;

    use super::*;

    static BLOB: &[u8] = include_blob!("../../runtime-desktop/models/default.flm");

    fn story(teller: &mut Teller, seed: u64, tokens: usize) -> String {
        let mut text = String::new();
        teller.begin(b"Once upon a time", SamplerConfig { seed, ..SamplerConfig::default() }).unwrap();
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
        teller.fingerprint(b"The cat", 2, 1).unwrap();
        assert_eq!(teller.next(&mut String::new()), Ok(false));
        assert_eq!(story(&mut teller, 1, 30), first);
    }

    #[test]
    fn a_space_at_the_prompts_end_is_the_next_words_own() {
        let mut teller = Teller::new(BLOB).unwrap();
        let mut story = |prompt: &str| {
            let mut text = teller.begin(prompt.as_bytes(), SamplerConfig { temperature: 0.0, ..Default::default() });
            let mut text = text.as_mut().unwrap().to_owned();
            (0..20).for_each(|_| assert!(teller.next(&mut text).is_ok()));
            text
        };
        assert_eq!(story("Tom saw a "), story("Tom saw a"));
    }

    #[test]
    fn what_is_no_model_is_refused_in_words() {
        let error = Teller::new(&BLOB[..1000]).err().unwrap();
        assert!(!error.is_empty());
        let mut teller = Teller::new(BLOB).unwrap();
        assert!(teller.begin(b"", SamplerConfig { temperature: -1.0, ..Default::default() }).is_err());
        assert!(teller.begin(b"caf\xe9 ", SamplerConfig::default()).unwrap_err().contains("UTF-8"));
    }
}
