//! The texts of a run.

use flashlm_host::shown_bytes;

use crate::data::{self, Prepared};
use crate::run::checkpoint::Checkpoint;
use crate::run::progress::Progress;
use crate::run::request::Request;
use crate::run::settings::{MixedText, Source};

/// Bytes of text a tokenizer is trained on.
const TOKENIZER_SAMPLE: u64 = 64 << 20;

/// Reads what the run trains on and is measured on, and says what that is.
pub(super) fn load(
    request: &Request,
    checkpoint: Option<&Checkpoint>,
    progress: &Progress,
) -> anyhow::Result<Prepared> {
    let Request { config, settings, .. } = request;
    let options = data::Options {
        data: data::Source::parse(&settings.source.train)?,
        valid: request.valid.clone().map(data::Source::Path),
        reading: settings.source.reading.clone(),
        vocab: config.vocab as usize,
        tokenizer: checkpoint.map(|c| &c.tokenizer).or(request.start.as_ref().map(|s| &s.tokenizer)).cloned(),
        texts: mixed_texts(&settings.source)?,
        mix: settings.source.mix.clone(),
        sample: TOKENIZER_SAMPLE,
        cache_dir: request.cache.clone().unwrap_or_else(|| data::prepare::default_cache_dir().into()),
        seed: settings.seed,
    };
    let data = options.prepare(|note| progress.line(&note))?;
    let shown = |documents: usize, bytes| format!("{documents} documents, {}", shown_bytes(bytes));
    progress.line(&format!("read: {}", shown(data.documents, data.bytes)));
    if data.duplicates + data.in_validation > 0 {
        let (copies, seen) = (data.duplicates, data.in_validation);
        progress.line(&format!("left out: {copies} copies of others and {seen} that the held-out text has"));
    }
    let (train, valid) = (&data.train, &data.valid);
    let held_out = valid.stories.iter().filter(|story| !story.tokens.is_empty()).count();
    let (documents, tokens) = (train.len(), train.tokens());
    let held_out = shown(held_out, valid.bytes);
    progress.line(&format!("to train on: {documents} documents, {tokens} tokens; held out: {held_out}"));
    for text in &data.mixed {
        let (name, percent, left_out) = (&text.name, 100.0 * text.share, text.left_out);
        let (read, tokens) = (shown(text.documents, text.bytes), text.train.tokens());
        let more = format!("{read}, {tokens} tokens; left out: {left_out} copies");
        progress.line(&format!("mixed in, {percent:.0} %: {name}: {more}"));
    }
    Ok(data)
}

fn mixed_texts(source: &Source) -> anyhow::Result<Vec<data::Mixed>> {
    let mixed = |text: &MixedText| Ok(data::Mixed { source: data::Source::parse(&text.data)?, share: text.share });
    source.texts.iter().map(mixed).collect()
}
