//! Text from a packed model, through core.

use std::io;

use flashlm_core::config::Depth;
use flashlm_core::{Generation, Sampler, SamplerConfig};
use flashlm_host::Blob;

/// Continues `prompt` by at most `tokens` tokens, or to the story's end, handing the bytes of each to `sink`.
/// Returns how many tokens were drawn.
pub fn continue_text(
    blob: &Blob,
    prompt: &str,
    tokens: usize,
    config: SamplerConfig,
    depth: Option<Depth>,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<usize> {
    let tokenizer = blob.tokenizer()?;
    let (mut session, mut sampler) = (blob.session(depth)?, Sampler::new(config)?);
    let prompt = tokenizer.encoded(prompt.as_bytes());
    let mut story = Generation::begin(&mut session, &mut sampler, &prompt, &mut ())?;
    for drawn in 0..tokens {
        let Some(token) = story.next(&mut session, &mut sampler, &mut ())? else { return Ok(drawn) };
        sink(&tokenizer.piece(token))?;
    }
    Ok(tokens)
}

/// A sample to read at an evaluation: the start of a story and how the model goes on.
pub fn sample(blob: &Blob, prompt: &str, tokens: usize, seed: u64) -> anyhow::Result<String> {
    let mut bytes = prompt.as_bytes().to_vec();
    let config = SamplerConfig { seed, ..SamplerConfig::default() };
    continue_text(blob, prompt, tokens, config, None, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
