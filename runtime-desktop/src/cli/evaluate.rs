//! `flashlm eval`: bits per byte of a file of stories (DESIGN section 5).

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use flashlm_core::text::stories;
use flashlm_host::peak_memory;
use serde_json::json;

use super::args::Eval;
use crate::model;

pub fn run(path: Option<PathBuf>, args: Eval) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    let depth = blob.depth(args.depth)?;
    let name = args.data.display();
    let text = fs::read(&args.data).with_context(|| format!("{name}: expected a readable text file of stories"))?;
    if text.is_empty() {
        bail!("{name}: expected stories separated by <|endoftext|>, found an empty file");
    }
    let stories = stories(&text).count();
    let threads = args.threads.map_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let begun = Instant::now();
    let score = flashlm_host::file(&blob, &text, Some(depth), threads)?;
    let (bpc, seconds) = (score.bits_per_byte(), begun.elapsed().as_secs_f64());

    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "model": blob.name(),
            "data": args.data.display().to_string(),
            "depth": depth.to_string(),
            "bpc": bpc,
            "bits": score.bits,
            "bytes": text.len(),
            "stories": stories,
            "tokens": score.tokens,
            "seconds": seconds,
            "threads": threads,
            "peak_memory_bytes": peak_memory(),
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{bpc:.4} BPC: {:.1} bits for {} bytes", score.bits, score.bytes)?;
        let (tokens, speed) = (score.tokens, score.tokens as f64 / seconds);
        writeln!(out, "{stories} stories, {tokens} tokens in {seconds:.1} s, {speed:.0} tokens/s")?;
    }
    Ok(())
}
