//! Bits of texts, on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use flashlm_core::config::Depth;
use flashlm_core::score::{self, Score};
use flashlm_core::{Line, Session, text};

use crate::Blob;
use crate::memory::room_for_threads;

/// Stack of a thread that scores.
const STACK: usize = 2 << 20;

/// Scores every byte of `text`, a file of stories, separators included, each story from the reset state
/// ([DESIGN section 5](flashlm_core::design::measures)).
pub fn file(blob: &Blob, text: &[u8], depth: Option<Depth>, threads: usize) -> Result<Score> {
    let tokenizer = blob.tokenizer()?;
    let stories: Vec<_> = text::stories(text).collect();
    let tokens = |i: usize| (tokenizer.encoded(stories[i].text), stories[i].terminated);
    let mut score = run(blob, stories.len(), tokens, depth, threads)?;
    score.bytes = text.len() as u64;
    Ok(score)
}

/// The same of stories that are tokens already, each with whether its end is to be scored; they take `bytes` in their
/// file.
pub fn stories(
    blob: &Blob,
    stories: &[(&[u16], bool)],
    bytes: u64,
    depth: Option<Depth>,
    threads: usize,
) -> Result<Score> {
    let tokens = |i: usize| (stories[i].0.to_vec(), stories[i].1);
    let mut score = run(blob, stories.len(), tokens, depth, threads)?;
    score.bytes = bytes;
    Ok(score)
}

/// Scores `count` stories, each as `tokens` gives it. Their bits are added in order, so that the sum does not depend on
/// which thread took which.
fn run(
    blob: &Blob,
    count: usize,
    tokens: impl Fn(usize) -> (Vec<u16>, bool) + Sync,
    depth: Option<Depth>,
    threads: usize,
) -> Result<Score> {
    let eot = end_of_story(blob)?;
    let scores = each(blob, count, depth, threads, |session, index| {
        let (mut story, terminated) = tokens(index);
        if terminated {
            story.push(eot);
        }
        Ok((score::story(session, &story, |_, _| ())?, story.len() as u64))
    })?;
    let mut total = Score::default();
    for (bits, tokens) in scores {
        total.bits += bits;
        total.tokens += tokens;
    }
    Ok(total)
}

/// The model's end-of-story token.
pub(crate) fn end_of_story(blob: &Blob) -> Result<u16> {
    let eot = blob.model()?.config().eot;
    Ok(eot.with_context(|| format!("{}: expected a model with an end-of-story token", blob.name()))? as u16)
}

/// What `work` makes of each of `count` stories, in their order, on so many threads with a session each.
pub(crate) fn each<'b, T: Send>(
    blob: &'b Blob,
    count: usize,
    depth: Option<Depth>,
    threads: usize,
    work: impl Fn(&mut Session<'b, Vec<Line>>, usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let some = || -> Result<Vec<(usize, T)>> {
        let mut session = blob.session(depth)?;
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(done);
            }
            done.push((index, work(&mut session, index)?));
        }
    };
    let threads = threads.clamp(1, count.max(1));
    blob.check_sessions(threads)?;
    let mut done = thread::scope(|scope| -> Result<_> {
        // this thread works, too, so that the work is done where no other can be started
        let helpers = if room_for_threads(threads, STACK) { threads - 1 } else { 0 };
        let start = || thread::Builder::new().stack_size(STACK).spawn_scoped(scope, some).ok();
        let workers: Vec<_> = (0..helpers).map_while(|_| start()).collect();
        let mut done = some()?;
        for worker in workers {
            match worker.join() {
                Ok(part) => done.extend(part?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok(done)
    })?;
    done.sort_unstable_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
