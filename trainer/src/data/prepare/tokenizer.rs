//! The tokenizer of a run's texts: kept between runs, or trained on them.

use std::fs;
use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::output;

use super::{Opened, Options, VERSION, combine, together};
use crate::data::hash::hash;
use crate::data::{DataError, bpe};
use crate::interrupt;

/// Time between two looks at Ctrl-C while the tokenizer is trained.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Options {
    /// The cached tokenizer of these texts, or one trained on them and cached, its JSON form beside it.
    pub(super) fn tokenizer(&self, texts: &[Opened], note: &mut impl FnMut(String)) -> Result<Vec<u8>, DataError> {
        let mut words = vec![VERSION, together(texts), self.vocab as u64, self.sample, self.mix.key(self.seed)?];
        words.extend(texts.iter().skip(1).map(|text| u64::from(text.share.to_bits())));
        let key = combine(&words);
        let path = self.cache_dir.join(format!("tokenizer-{key:016x}.bin"));
        if let Ok(bytes) = fs::read(&path) {
            match checked(&bytes) {
                Some(table) => return Ok(table.to_vec()),
                None => note(format!("{}: damaged, making it anew", path.display())),
            }
        }
        note(format!("training a tokenizer of {} tokens", self.vocab));
        let most = self.sample.min(bpe::MAX_SAMPLE) as f64;
        let mut sample = Vec::new();
        for Opened { corpus, split, share, .. } in texts {
            sample.append(&mut corpus.sample(&split.train, (most * f64::from(*share)) as u64)?);
        }
        let table = self.train_tokenizer(sample)?;
        let json = bpe::to_tokenizers(&Tokenizer::from_bytes(&table)?)?;
        let json = json.to_string(true).map_err(|error| DataError::Bpe(error.to_string()))?;
        output::write(&path.with_extension("json"), &[], |file| file.write_all(json.as_bytes()))?;
        output::write(&path, &[], |file| {
            file.write_all(&table)?;
            file.write_all(&hash(&table).to_le_bytes())
        })?;
        Ok(table)
    }

    /// Trains it on a thread of its own, which nothing can stop, and goes on without it when the user wants to stop.
    fn train_tokenizer(&self, texts: Vec<Vec<u8>>) -> Result<Vec<u8>, DataError> {
        let (sender, receiver) = channel();
        let (vocab, mix, seed) = (self.vocab, self.mix.clone(), self.seed);
        // whoever waits may be gone
        let train = move || drop(sender.send(bpe::train_mixed(&texts, vocab, &mix, seed)));
        let failed = |what: String| DataError::Bpe(what);
        thread::Builder::new()
            .name("tokenizer".into())
            .spawn(train)
            .map_err(|error| failed(format!("no thread for it: {error}")))?;
        loop {
            // where there are no threads but this one, it is the one that does that thread's parallel work
            while rayon::yield_now() == Some(rayon::Yield::Executed) {}
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(table) => return table,
                Err(RecvTimeoutError::Timeout) if interrupt::requested() => return Err(DataError::Interrupted),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(failed("it ended without a result".into())),
            }
        }
    }
}

/// A cached table without the hash that follows it, if they agree.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (table, sum) = bytes.split_last_chunk()?;
    (hash(table) == u64::from_le_bytes(*sum) && Tokenizer::from_bytes(table).is_ok()).then_some(table)
}
