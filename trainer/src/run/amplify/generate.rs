//! Stories from the packed model, through core, on rayon's threads, several together on each.
//!
//! Each candidate has a number; prompt and random draws are functions of the run's seed and that number, and core gives
//! the same bits on every machine and in any company, so the same numbers give the same stories on one thread or
//! sixteen.

use std::ops::Range;

use flashlm_core::config::Depth;
use flashlm_core::{Generation, Line, MAX_CHUNK, Sampler, SamplerConfig, Session, Turn, score};
use flashlm_host::Blob;
use rayon::prelude::*;

use crate::data::hash::mix;
use crate::data::{self, StoryTokens};

/// Tokens of a training story that a candidate begins with, at most; never more than half of the story.
const PROMPT: Range<u64> = 4..20;
/// A candidate may be this many times as long as the story it begins like.
const LONGEST: usize = 4;

/// A story that the model told.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The training story it begins like, and that story's length in tokens.
    pub source: u32,
    pub source_tokens: usize,
    /// All its tokens, of which the first `prompt` are the training story's. No end-of-story token.
    pub tokens: Vec<u16>,
    pub prompt: usize,
    /// Whether the model itself ended it.
    pub ended: bool,
    /// Mean log-likelihood of what the model told [nats per token], the end included, at the deepest depth.
    pub log_likelihood: f64,
}

/// How stories are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    pub seed: u64,
    pub temperature: f32,
}

/// Tells the candidates of these numbers, beginning like some of the `count` stories of `stories`. Drawn and
/// scored at the model's deepest depth, whatever its choice of depth was fitted to so far.
pub fn generate(
    blob: &Blob,
    stories: &(impl StoryTokens + Sync),
    count: u32,
    drawing: Drawing,
    numbers: Range<u64>,
) -> anyhow::Result<Vec<Candidate>> {
    let deepest = blob.model()?.config().rcsm.map(|rcsm| Depth::Fixed(rcsm.depths[2]));
    let begin = |number: u64| -> anyhow::Result<Telling> {
        let own = mix(drawing.seed ^ mix(number));
        let source = (mix(own ^ 1) % u64::from(count.max(1))) as u32;
        let mut told = data::Told::default();
        stories.read(source, &mut told)?;
        let mut tokens = told.tokens;
        let length = PROMPT.start + mix(own ^ 2) % (PROMPT.end - PROMPT.start);
        let (source_tokens, prompt) = (tokens.len(), (length as usize).min(tokens.len() / 2));
        tokens.truncate(prompt);
        let config = SamplerConfig { temperature: drawing.temperature, seed: mix(own ^ 3), ..SamplerConfig::default() };
        let sampler = Sampler::new(config)?;
        let candidate = Candidate { source, source_tokens, tokens, prompt, ended: false, log_likelihood: 0.0 };
        Ok(Telling { candidate, sampler, story: Generation::default(), goes: true })
    };
    let tell = |session: &mut anyhow::Result<Session<Vec<Line>>>, numbers: &[u64]| -> anyhow::Result<Vec<Candidate>> {
        let session = session.as_mut().map_err(|e| anyhow::anyhow!("{e}"))?;
        let mut told: Vec<Telling> = numbers.iter().map(|&number| begin(number)).collect::<anyhow::Result<_>>()?;
        tell_together(blob, deepest, &mut told)?;
        let mut candidates: Vec<Candidate> = told.into_iter().map(|told| told.candidate).collect();
        for candidate in &mut candidates {
            let Candidate { tokens, prompt, ended, .. } = &*candidate;
            candidate.log_likelihood = log_likelihood(session, tokens, *prompt, *ended)?;
        }
        Ok(candidates)
    };
    let numbers: Vec<u64> = numbers.collect();
    let together = numbers.len().div_ceil(rayon::current_num_threads()).clamp(1, MAX_CHUNK);
    let told = numbers.par_chunks(together).with_max_len(1).map_init(|| blob.session(deepest), tell);
    let candidates: Vec<Vec<Candidate>> = told.collect::<anyhow::Result<_>>()?;
    Ok(candidates.into_iter().flatten().collect())
}

/// A candidate that is being told.
struct Telling {
    candidate: Candidate,
    sampler: Sampler,
    story: Generation,
    /// Whether it is to go on.
    goes: bool,
}

/// Goes on from every prompt to the end or to [`LONGEST`], each in a stream of its own.
fn tell_together(blob: &Blob, depth: Option<Depth>, all: &mut [Telling]) -> anyhow::Result<()> {
    let mut batch = blob.batch(all.len(), depth)?;
    for (stream, told) in all.iter_mut().enumerate() {
        let mut sequence = batch.stream(stream)?;
        told.story = Generation::begin(&mut sequence, &mut told.sampler, &told.candidate.tokens, &mut ())?;
    }
    loop {
        let (mut turns, mut told) = (Vec::new(), Vec::new());
        for (stream, Telling { candidate, sampler, story, goes }) in all.iter_mut().enumerate() {
            *goes &= candidate.tokens.len() < LONGEST * candidate.source_tokens;
            if *goes {
                turns.push(Turn { stream, story, sampler, token: None });
                told.push((candidate, goes));
            }
        }
        if turns.is_empty() {
            return Ok(());
        }
        Generation::next_together(&mut batch, &mut turns)?;
        for (turn, (candidate, goes)) in turns.into_iter().zip(told) {
            candidate.tokens.extend(turn.token);
            candidate.ended = turn.token.is_none();
            *goes = !candidate.ended;
        }
    }
}

/// Mean log-likelihood of `tokens` from number `from` on, and of the end where there is one, at the session's
/// depth [nats per token]; 0 where that is nothing.
fn log_likelihood(session: &mut Session<Vec<Line>>, tokens: &[u16], from: usize, ended: bool) -> anyhow::Result<f64> {
    let eot = session.model().config().eot;
    let mut all = tokens.to_vec();
    if ended {
        all.extend(eot.map(|eot| eot as u16));
    }
    let mut bits = 0.0;
    score::story(session, &all, |index, own| {
        if index >= from {
            bits += own;
        }
    })?;
    let told = all.len().saturating_sub(from);
    Ok(if told == 0 { 0.0 } else { -bits * std::f64::consts::LN_2 / told as f64 })
}

#[cfg(test)]
mod tests {
    use flashlm_core::blob::Facts;
    use flashlm_core::config::{ModelConfig, RcsmConfig};

    use super::*;
    use crate::data::{DataError, Told, bpe};
    use crate::export::write_blob;
    use crate::nn::Params;

    fn blob() -> Blob {
        let rcsm = RcsmConfig { width: 16, ops: 2, slots: 4, after: 1, ..RcsmConfig::DEFAULT };
        let config =
            ModelConfig { vocab: 257, d_model: 32, layers: 1, d_ffn: 48, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA };
        let mut params = Params::init(&config, 5);
        // as an untrained model draws nothing but noise, let some tokens be likelier than others
        params.data.iter_mut().for_each(|v| *v *= 3.0);
        let bytes = write_blob(&config, &Facts::default(), &bpe::table(&[]), &|name| params.tensor(name)).unwrap();
        Blob::copy("a model", &bytes).unwrap()
    }

    struct Stories(Vec<Vec<u16>>);

    impl StoryTokens for Stories {
        fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
            *told = Told { tokens: self.0[index as usize].clone(), ..Told::default() };
            Ok(())
        }
    }

    fn stories() -> Stories {
        Stories((0..30).map(|i| (0..10 + i).map(|t| 1 + (7 * i + t) % 256).collect()).collect())
    }

    const DRAWING: Drawing = Drawing { seed: 9, temperature: 1.0 };

    #[test]
    fn the_same_numbers_give_the_same_stories_on_any_number_of_threads() {
        let (blob, stories) = (blob(), stories());
        let on = |threads: usize, numbers: Range<u64>| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| generate(&blob, &stories, 30, DRAWING, numbers).unwrap())
        };
        let all = on(1, 0..24);
        assert_eq!(all, on(4, 0..24));
        assert_eq!(all[16..], on(2, 16..24), "a candidate does not depend on those before it");
        let seed = generate(&blob, &stories, 30, Drawing { seed: 10, ..DRAWING }, 0..24).unwrap();
        assert_ne!(all, seed);
    }

    #[test]
    fn a_candidate_begins_like_its_source_and_goes_on_by_itself() {
        let (blob, stories) = (blob(), stories());
        let all = generate(&blob, &stories, 30, DRAWING, 0..40).unwrap();
        for c in &all {
            let source = &stories.0[c.source as usize];
            assert_eq!(c.source_tokens, source.len());
            assert!(c.prompt >= 4.min(source.len() / 2) && c.prompt <= source.len() / 2);
            assert_eq!(c.tokens[..c.prompt], source[..c.prompt]);
            assert!(c.ended || c.tokens.len() == 4 * source.len());
            assert!(!c.tokens.contains(&0));
        }
        let mut sources: Vec<u32> = all.iter().map(|c| c.source).collect();
        sources.sort();
        sources.dedup();
        assert!(sources.len() > 15, "{sources:?}");
    }

    /// Against the logits after each token, stepped through one by one.
    #[test]
    fn likelihood_is_of_what_was_told_at_the_deepest_depth() {
        let (blob, stories) = (blob(), stories());
        let c = generate(&blob, &stories, 30, DRAWING, 3..4).unwrap().remove(0);
        let mut session = blob.session(Some(Depth::Fixed(8))).unwrap();
        session.step(0).unwrap();
        let (mut want, mut told) = (0.0, 0);
        for (i, &token) in c.tokens.iter().chain(c.ended.then_some(&0)).enumerate() {
            let mut logits = Vec::new();
            session.logits(|_, rows| logits.extend(rows.iter().map(|&v| f64::from(v)))).unwrap();
            if i >= c.prompt {
                want += logits[usize::from(token)] - logits.iter().map(|v| v.exp()).sum::<f64>().ln();
                told += 1;
            }
            session.step(token).unwrap();
        }
        assert!((c.log_likelihood - want / f64::from(told)).abs() < 1e-4, "{} {}", c.log_likelihood, want);
        assert!(c.log_likelihood < 0.0);
    }
}
