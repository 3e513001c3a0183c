//! Text from a packed model, through core.

use std::io::{self, Write};

use anyhow::Context;
use flashlm_core::{Sampler, SamplerConfig};

use crate::run::args::{DepthArg, GenerateArgs};
use crate::run::packed::{self, Blob};

/// Runs `trainer generate`: the prompt and its continuation on standard output.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let blob = packed::load(&args.model)?;
    let config =
        SamplerConfig { temperature: args.temperature, top_p: args.top_p, seed: args.seed, ..SamplerConfig::default() };
    let mut out = io::stdout().lock();
    out.write_all(args.prompt.as_bytes())?;
    continue_text(&blob, &args.prompt, args.tokens as usize, config, args.depth, |bytes| {
        out.write_all(bytes)?;
        out.flush()
    })?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Continues `prompt` by at most `tokens` tokens, or to the story's end, handing the bytes of each to `sink`.
/// Returns how many tokens were drawn.
pub fn continue_text(
    blob: &Blob,
    prompt: &str,
    tokens: usize,
    config: SamplerConfig,
    depth: DepthArg,
    mut sink: impl FnMut(&[u8]) -> io::Result<()>,
) -> anyhow::Result<usize> {
    let model = blob.model()?;
    let tokenizer = *model.tokenizer().context("the model carries no tokenizer")?;
    let mut sampler = Sampler::new(config)?;
    let mut session = blob.session(depth)?;
    let mut ids = vec![tokenizer.eot(); prompt.len() + 1];
    let count = 1 + tokenizer.encode(prompt.as_bytes(), &mut ids[1..])?;
    ids[1..count].iter().for_each(|&id| sampler.observe(id));
    session.prefill(&ids[..count])?;
    for drawn in 0..tokens {
        let token = session.sample(&mut sampler)?;
        if token == tokenizer.eot() {
            return Ok(drawn);
        }
        sink(&tokenizer.piece(token))?;
        session.step(token)?;
    }
    Ok(tokens)
}

/// A sample to read at an evaluation: the start of a story and how the model goes on.
pub fn sample(blob: &Blob, prompt: &str, tokens: usize, seed: u64) -> anyhow::Result<String> {
    let mut bytes = prompt.as_bytes().to_vec();
    let config = SamplerConfig { seed, ..SamplerConfig::default() };
    continue_text(blob, prompt, tokens, config, DepthArg::Model, |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
