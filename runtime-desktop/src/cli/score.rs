//! `flashlm score`: how surprised a model is by each line, for minimal pairs and multiple choice.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use flashlm_core::score;
use flashlm_host::text;
use serde_json::json;

use super::args::Score;
use crate::model;

pub fn run(path: Option<PathBuf>, args: Score) -> Result<()> {
    let blob = model::open(path.as_deref())?;
    let (mut session, tokenizer) = (blob.session(args.depth)?, blob.tokenizer()?);
    let text = text::read(&args.file)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut scores = Vec::new();
    for line in lines(&text) {
        let tokens = tokenizer.encoded(line);
        let bits = score::story(&mut session, &tokens, |_, _| ())?;
        if args.json {
            scores.push(json!({ "bits": bits, "tokens": tokens.len(), "bytes": line.len() }));
        } else {
            writeln!(out, "{bits:.4}")?;
        }
    }
    if args.json {
        let report = json!({ "model": blob.name(), "depth": session.depth().to_string(), "scores": scores });
        writeln!(out, "{report:#}")?;
    }
    out.flush()?;
    Ok(())
}

/// The lines of a file without their "\n" or "\r\n"; an empty line is a text of zero bits, so that the output has as
/// many lines as the input.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let text = text.strip_suffix(b"\n").map_or((text, text.is_empty()), |t| (t, false));
    let (text, none) = text;
    text.split(|&b| b == b'\n').take(if none { 0 } else { usize::MAX }).map(|l| l.strip_suffix(b"\r").unwrap_or(l))
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn there_is_one_text_for_every_line() {
        let split = |text: &'static str| lines(text.as_bytes()).map(|l| str::from_utf8(l).unwrap()).collect::<Vec<_>>();
        assert_eq!(split("a\nb\r\n\nc"), ["a", "b", "", "c"]);
        assert_eq!(split("a\n"), ["a"]);
        assert_eq!(split("\n"), [""]);
        assert_eq!(split(""), [""; 0]);
    }
}
