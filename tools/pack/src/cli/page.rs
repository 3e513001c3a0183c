//! `pack page model.flm -o story.html`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use flashlm_host::{Blob, output, read_file};

use crate::page;

/// The most that is read as a module, bytes.
const LONGEST_MODULE: u64 = 16 << 20;

#[derive(clap::Args)]
pub struct Args {
    /// Model to put into the page (.flm, or the name of a built-in one)
    model: PathBuf,
    /// Where the page goes (.html) [default: the model's name with .html]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Title of the page [default: the model's name]
    #[arg(long)]
    title: Option<String>,
    /// What runs the model: a build of web-example (.wasm) [default: the one built into this program]
    #[arg(long, value_name = "FILE")]
    module: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let blob = Blob::open(&args.model)?;
    let model = blob.model()?;
    // what the page would refuse is better refused here
    blob.tokenizer()?;
    let name = blob.name();
    ensure!(model.config().eot.is_some(), "{name}: expected a model with an end-of-story token, found one without");
    let read = |path: &PathBuf| read_file(path, LONGEST_MODULE).with_context(|| path.display().to_string());
    let own = args.module.as_ref().map(read).transpose()?;
    if let (Some(path), Some(bytes)) = (&args.module, &own) {
        let begin = &bytes[..bytes.len().min(4)];
        ensure!(begin == b"\0asm", "{}: expected a WebAssembly module (.wasm), found something else", path.display());
    }
    let title = match (&args.title, model.facts().name) {
        (Some(title), _) => title,
        (None, "") => "Stories",
        (None, name) => name,
    };
    let page = page::page(title, own.as_deref().unwrap_or(page::MODULE), blob.bytes())
        .with_context(|| format!("{name}: cannot be compressed"))?;
    let path = args.output.clone().unwrap_or_else(|| args.model.with_extension("html"));
    let inputs: Vec<_> =
        [Some(&args.model), args.module.as_ref()].into_iter().flatten().map(PathBuf::as_path).collect();
    output::write(&path, &inputs, |file| file.write_all(page.as_bytes()))?;
    let mut out = io::stdout().lock();
    writeln!(out, "{} -> {}: {} bytes, opens in any browser, from disk too", name, path.display(), page.len())?;
    Ok(())
}
