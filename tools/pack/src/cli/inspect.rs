//! `pack inspect`: what a blob holds.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use flashlm_core::{ChannelMixer, Depth, Line, MAX_CHUNK, Mixer, ModelConfig, Writes, arena_lines};
use flashlm_host::Blob;
use serde_json::json;

use crate::table;

#[derive(clap::Args)]
pub struct Args {
    /// Blob to describe (.flm, or the name of a built-in one)
    model: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let blob = Blob::open(&args.model)?;
    let model = blob.model()?;
    let (config, facts) = (model.config(), model.facts());
    let arena = |chunk| arena_lines(blob.bytes(), chunk) * size_of::<Line>();
    let merges = model.tokenizer().map(|t| t.vocab() - 257);
    let state = size_of_val(blob.session(None)?.state());
    let mut out = io::stdout().lock();
    if args.json {
        let sections: Vec<_> = model
            .sections()
            .map(|s| {
                json!({
                    "name": s.role.name(),
                    "offset": s.offset,
                    "bytes": s.len,
                    "weights": s.weights,
                    "bits_per_weight": s.bits_per_weight(),
                })
            })
            .collect();
        let report = json!({
            "model": args.model.display().to_string(),
            "bytes": blob.bytes().len(),
            "checksum": format!("{:08x}", model.checksum()),
            "config": config,
            "facts": facts,
            "tokenizer_merges": merges,
            "sections": sections,
            "arena_bytes": { "decode": arena(1), "prefill": arena(MAX_CHUNK) },
            "state_bytes": state,
        });
        writeln!(out, "{report:#}")?;
        return Ok(());
    }
    writeln!(out, "{}: {} (CRC-32 {:08x})", args.model.display(), facts.name, model.checksum())?;
    let (d, f, v) = (config.d_model, config.d_ffn, config.vocab);
    writeln!(out, "model      {} layers, width {d}, feed-forward {f}, vocabulary {v}", config.layers)?;
    writeln!(out, "mixer      {}; {}", mixer(config), channel_mixer(config))?;
    if let Some(m) = &config.mixture_of_depths {
        writeln!(out, "routing    from block {} on, {} % of the tokens in training", m.from, m.capacity)?;
    }
    if let Some(r) = &config.rcsm {
        let [a, b, c] = r.depths;
        writeln!(out, "reasoning  after block {}, width {}, {} operations", r.after, r.width, r.ops)?;
        writeln!(out, "           depths {a}, {b}, {c}, by default {}", depth(r.default_depth))?;
        writeln!(out, "           memory of {} addresses, {} taps, {}", r.slots, r.taps, writes(r.writes))?;
    }
    match merges {
        Some(merges) => writeln!(out, "tokenizer  byte-level BPE, {merges} merges")?,
        None => writeln!(out, "tokenizer  none")?,
    }
    let data = if facts.data.is_empty() { "nothing named" } else { facts.data };
    writeln!(out, "trained    {} tokens of {data} in {} steps, phase {}", facts.tokens, facts.steps, facts.phase)?;
    if let Some(bpc) = facts.held_out_bpc {
        writeln!(out, "held out   {bpc:.4} BPC")?;
    }
    writeln!(
        out,
        "session    {} bytes to decode, of which {state} are state, {} to prefill {MAX_CHUNK} tokens together",
        arena(1),
        arena(MAX_CHUNK)
    )?;
    writeln!(out)?;
    table::print(&mut out, &model, blob.bytes().len())?;
    Ok(())
}

fn depth(depth: Depth) -> String {
    match depth {
        Depth::Adaptive => "chosen for every token".into(),
        Depth::Fixed(passes) => passes.to_string(),
    }
}

fn writes(writes: Writes) -> &'static str {
    match writes {
        Writes::None => "never written",
        Writes::Forward => "written forwards",
        Writes::Both => "written both ways",
    }
}

fn mixer(config: &ModelConfig) -> String {
    let mut words = config.mixer.words().to_owned();
    if let Some(heads) = config.heads() {
        words += &format!(", {} heads x {}", heads.count, heads.width);
    }
    if let Mixer::Attention(attention) = config.mixer {
        words += &format!(", window {}", attention.window);
    }
    words
}

fn channel_mixer(config: &ModelConfig) -> &'static str {
    match config.ffn {
        ChannelMixer::Glu => "gated linear unit",
        ChannelMixer::Relu2 => "squared rectifier",
        ChannelMixer::ShiftedRelu2 => "token-shifted squared rectifier",
    }
}
