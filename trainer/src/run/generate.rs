//! Text from a packed model, through core.

use std::io;

use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::tokenizer::Utf8Stream;
use flashlm_core::{Generation, Sampler, SamplerConfig};
use flashlm_host::Blob;

/// Continues `prompt` by at most `tokens` tokens, or to the story's end, handing the whole characters of each to
/// `sink`. Returns how many tokens were drawn.
pub fn continue_text(
    blob: &Blob,
    prompt: Prompt<'_>,
    tokens: usize,
    config: SamplerConfig,
    depth: Option<Depth>,
    mut sink: impl FnMut(&str) -> io::Result<()>,
) -> anyhow::Result<usize> {
    let tokenizer = blob.tokenizer()?;
    let (mut session, mut sampler) = (blob.session(depth)?, Sampler::new(config)?);
    let encoded = tokenizer.encoded(prompt.text);
    let mut story = Generation::begin(&mut session, &mut sampler, &encoded, &mut ())?;
    if prompt.space {
        story.owe_space();
    }
    let mut characters = Utf8Stream::new();
    for drawn in 0..tokens {
        let Some(token) = story.next(&mut session, &mut sampler, &mut ())? else { return Ok(drawn) };
        let mut text = String::new();
        characters.push(&tokenizer.piece(token), |whole| text.push_str(whole));
        sink(&text)?;
    }
    Ok(tokens)
}

/// A sample to read at an evaluation: the start of a story and how the model goes on.
pub fn sample(blob: &Blob, prompt: &str, tokens: usize, seed: u64) -> anyhow::Result<String> {
    let prompt = Prompt::new(prompt.as_bytes());
    let mut text = String::from_utf8_lossy(prompt.text).into_owned();
    let config = SamplerConfig { seed, ..SamplerConfig::default() };
    continue_text(blob, prompt, tokens, config, None, |piece| {
        text.push_str(piece);
        Ok(())
    })?;
    Ok(text)
}
