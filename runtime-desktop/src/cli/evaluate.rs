//! `flashlm eval`: bits per byte of a file of stories ([DESIGN section 5](flashlm_core::design::measures)).

use std::io::{self, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Instant;

use anyhow::{Result, bail};
use flashlm_core::text::stories;
use flashlm_host::text::Form;
use flashlm_host::{Blob, WordPasses, passes_by_word, peak_memory, text};
use serde_json::json;

use super::args::Eval;
use crate::model;

/// How often a word must stand in a text for its passes to be told.
const LEAST: u64 = 20;

pub fn run(path: Option<PathBuf>, args: Eval) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    let depth = blob.depth(args.depth)?;
    let name = args.data.display();
    let text = text::read_unmarked(&args.data, &Form::default())?;
    if text.is_empty() {
        bail!("{name}: expected stories separated by <|endoftext|>, found an empty file");
    }
    let stories = stories(&text).count();
    let threads = args.threads.map_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let begun = Instant::now();
    let score = flashlm_host::file(&blob, &text, Some(depth), threads)?;
    let (bpc, seconds) = (score.bits_per_byte(), begun.elapsed().as_secs_f64());
    let words = args.words.map(|n| ends(&blob, &text, n.into(), threads)).transpose()?;

    let mut out = io::stdout().lock();
    if args.json {
        let list = |words: &[WordPasses]| -> Vec<_> {
            words.iter().map(|w| json!({ "word": w.word, "count": w.count, "passes": w.passes })).collect()
        };
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
            "words": words.as_ref().map(|[most, fewest]| json!({ "most": list(most), "fewest": list(fewest) })),
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{bpc:.4} BPC: {:.1} bits for {} bytes", score.bits, score.bytes)?;
        let (tokens, speed) = (score.tokens, score.tokens as f64 / seconds);
        writeln!(out, "{stories} stories, {tokens} tokens in {seconds:.1} s, {speed:.0} tokens/s")?;
        for (title, words) in ["most", "fewest"].into_iter().zip(words.iter().flatten()) {
            writeln!(out, "\nwords with the {title} passes, of those that stand there {LEAST} times")?;
            for WordPasses { word, count, passes } in words {
                writeln!(out, "  {word:20} {passes:6.2} {count:8} times")?;
            }
        }
    }
    Ok(())
}

/// The `n` words with the most passes, and those with the fewest.
fn ends(blob: &Blob, text: &[u8], n: usize, threads: usize) -> Result<[Vec<WordPasses>; 2]> {
    let all = passes_by_word(blob, text, LEAST, threads)?;
    let most = all.iter().take(n).cloned().collect();
    Ok([most, all.into_iter().rev().take(n).collect()])
}
