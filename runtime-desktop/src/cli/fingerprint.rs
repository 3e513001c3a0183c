//! `flashlm fingerprint`: one number for a whole computation, to compare machines and instruction sets by.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use flashlm_core::{Kernels, Sampler, SamplerConfig, Session, fingerprint};

use super::args::Fingerprint;
use crate::model;

pub fn run(path: Option<PathBuf>, args: Fingerprint) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    let model = blob.model()?;
    let prompt = blob.tokenizer()?.encoded(args.prompt.as_bytes());
    let levels = args.isa.map_or(Kernels::available().collect(), |kernels| vec![kernels]);
    let config = SamplerConfig { temperature: 0.8, top_k: 40, seed: args.seed, ..SamplerConfig::default() };
    let mut arena = blob.arena()?;
    let mut found = Vec::new();
    let mut out = io::stdout().lock();
    for kernels in levels {
        let mut session = Session::new(model, kernels, &mut arena[..]).with_context(|| blob.name().to_string())?;
        let hash = fingerprint(&mut session, &mut Sampler::new(config)?, &prompt, args.tokens)
            .with_context(|| blob.name().to_string())?;
        writeln!(out, "{} {hash:016x}", kernels.level().name())?;
        out.flush()?;
        found.push(hash);
    }
    ensure!(found.windows(2).all(|pair| pair[0] == pair[1]), "expected one fingerprint at every level, found several");
    Ok(())
}
