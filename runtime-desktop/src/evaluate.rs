//! `flashlm eval`: bits per byte of a file of stories (DESIGN section 5).

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use flashlm_core::text::{Story, stories};
use serde_json::json;

use crate::args::Eval;
use crate::engine::Scorer;
use crate::model::ModelFile;
use crate::settings::depth_name;
use crate::stats::peak_memory;

pub fn run(path: Option<PathBuf>, args: Eval) -> Result<()> {
    let file = ModelFile::open(path.as_deref())?;
    let model = file.model()?;
    let depth = file.depth(&model, args.depth)?;
    let name = args.data.display();
    let text = fs::read(&args.data).with_context(|| format!("{name}: expected a readable text file of stories"))?;
    if text.is_empty() {
        bail!("{name}: expected stories separated by <|endoftext|>, found an empty file");
    }
    let stories: Vec<Story> = stories(&text).collect();
    let threads = args.threads.map_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()), usize::from);
    let begun = Instant::now();

    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<(usize, f64, usize)>> {
        let mut arena = file.arena();
        let mut scorer = Scorer::new(&file, &model, &mut arena, depth)?;
        let mut scores = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(story) = stories.get(index) else { return Ok(scores) };
            let (bits, tokens) = scorer.score(story.text, story.terminated)?;
            scores.push((index, bits, tokens));
        }
    };
    let mut scores = thread::scope(|scope| -> Result<_> {
        let workers: Vec<_> = (0..threads.min(stories.len())).map(|_| scope.spawn(work)).collect();
        let mut scores = Vec::with_capacity(stories.len());
        for worker in workers {
            match worker.join() {
                Ok(part) => scores.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(scores)
    })?;
    // in the file's order, so that the sum does not depend on which thread took which story
    scores.sort_unstable_by_key(|s| s.0);
    let bits: f64 = scores.iter().map(|s| s.1).sum();
    let tokens: usize = scores.iter().map(|s| s.2).sum();
    let (bpc, seconds) = (bits / text.len() as f64, begun.elapsed().as_secs_f64());

    let mut out = io::stdout().lock();
    if args.json {
        let report = json!({
            "model": file.name,
            "data": args.data.display().to_string(),
            "depth": depth_name(depth),
            "bpc": bpc,
            "bits": bits,
            "bytes": text.len(),
            "stories": stories.len(),
            "tokens": tokens,
            "seconds": seconds,
            "threads": threads,
            "peak_memory_bytes": peak_memory(),
        });
        writeln!(out, "{report:#}")?;
    } else {
        writeln!(out, "{bpc:.4} BPC: {bits:.1} bits for {} bytes", text.len())?;
        let speed = tokens as f64 / seconds;
        writeln!(out, "{} stories, {tokens} tokens in {seconds:.1} s, {speed:.0} tokens/s", stories.len())?;
    }
    Ok(())
}
