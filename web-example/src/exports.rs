//! The calls of the module. An instance of it has one model and tells one story at a time.
//!
//! Texts travel through the buffer that [`room`] gives. A call that answers with a text returns its length, or -1 less
//! the length of the reason when it fails; the text lies at the start of the buffer, which may have moved.
#![expect(unsafe_code, reason = "an exported name is an unsafe attribute; nothing here is an unsafe block")]

use std::cell::RefCell;

use flashlm_core::{Depth, Line, SamplerConfig};

use crate::teller::Teller;

#[derive(Default)]
struct Instance {
    /// What host and module exchange, on a 64-byte boundary as blobs want it.
    buffer: Vec<Line>,
    teller: Option<Teller>,
}

thread_local! {
    static INSTANCE: RefCell<Instance> = RefCell::default();
}

impl Instance {
    fn make_room(&mut self, bytes: usize) {
        let lines = bytes.div_ceil(64).max(self.buffer.len());
        self.buffer.resize(lines, Line::ZERO);
    }

    /// The first `len` bytes of the buffer, or all.
    fn bytes(&self, len: usize) -> &[u8] {
        let bytes = bytemuck::must_cast_slice(&self.buffer);
        &bytes[..len.min(bytes.len())]
    }

    fn load(&mut self, len: usize) -> Result<String, String> {
        if self.teller.is_some() {
            return Err("expected no model yet: an instance has one".into());
        }
        let lines: &'static [Line] = core::mem::take(&mut self.buffer).leak();
        let blob: &[u8] = bytemuck::must_cast_slice(lines);
        let teller = Teller::new(&blob[..len.min(blob.len())])?;
        let level = teller.level().into();
        self.teller = Some(teller);
        Ok(level)
    }

    /// Runs `f` on the teller and the first `len` bytes of the buffer.
    fn tell<R>(&mut self, len: usize, f: impl FnOnce(&mut Teller, &[u8]) -> Result<R, String>) -> Result<R, String> {
        let prompt = self.bytes(len).to_vec();
        let teller = self.teller.as_mut().ok_or("expected a model to be loaded first")?;
        f(teller, &prompt)
    }
}

/// Runs `f` and leaves its text in the buffer.
fn answer(f: impl FnOnce(&mut Instance) -> Result<String, String>) -> i32 {
    INSTANCE.with_borrow_mut(|instance| {
        let result = f(instance);
        let (Ok(text) | Err(text)) = &result;
        instance.make_room(text.len());
        bytemuck::must_cast_slice_mut::<_, u8>(&mut instance.buffer)[..text.len()].copy_from_slice(text.as_bytes());
        if result.is_ok() { text.len() as i32 } else { -1 - text.len() as i32 }
    })
}

/// The address of the buffer, after making it at least `bytes` long. What it holds stays.
#[unsafe(no_mangle)]
pub extern "C" fn room(bytes: usize) -> *mut u8 {
    INSTANCE.with_borrow_mut(|instance| {
        instance.make_room(bytes);
        instance.buffer.as_mut_ptr().cast()
    })
}

/// Takes the first `len` bytes of the buffer as the model, for good. Answers with the name of the instruction set.
#[unsafe(no_mangle)]
pub extern "C" fn load(len: usize) -> i32 {
    answer(|instance| instance.load(len))
}

/// Answers with what is to be known of the model, in JSON.
#[unsafe(no_mangle)]
pub extern "C" fn about() -> i32 {
    answer(|instance| instance.tell(0, |teller, _| Ok(teller.about().to_string())))
}

/// A depth as it comes through a call: passes, 0 where the model chooses, less for the depth it was trained for.
fn depth(passes: i32) -> Option<Depth> {
    match passes {
        ..0 => None,
        0 => Some(Depth::Adaptive),
        // a model has far less: it refuses the most there can be
        passes => Some(Depth::Fixed(passes.min(u8::MAX.into()) as u8)),
    }
}

fn config(seed: u64, temperature: f32, top_p: f32) -> SamplerConfig {
    SamplerConfig { seed, temperature, top_p, ..SamplerConfig::default() }
}

/// Begins a story with the `len` bytes of text in the buffer, at a depth of so many passes, 0 where the model is to
/// choose, or -1 as it was trained. Answers with what of the text is to be shown: all but white space at the end, which
/// the next word brings along.
#[unsafe(no_mangle)]
pub extern "C" fn begin(len: usize, seed: u64, temperature: f32, top_p: f32, passes: i32) -> i32 {
    let config = config(seed, temperature, top_p);
    answer(|instance| {
        instance.tell(len, |teller, prompt| teller.begin(prompt, config, depth(passes)).map(String::from))
    })
}

/// Answers with the link to the story that such a [`begin`] begins, at the default top-p.
#[unsafe(no_mangle)]
pub extern "C" fn link(len: usize, seed: u64, temperature: f32, passes: i32) -> i32 {
    let config = config(seed, temperature, SamplerConfig::default().top_p);
    answer(|instance| instance.tell(len, |teller, prompt| Ok(teller.link(prompt, config, depth(passes)))))
}

/// Answers with the story's next characters: none yet where a token ends within one, or where the story has [`ended`].
#[unsafe(no_mangle)]
pub extern "C" fn next() -> i32 {
    answer(|instance| {
        let mut text = String::new();
        instance.tell(0, |teller, _| teller.next(&mut text))?;
        Ok(text)
    })
}

/// 1 where the story has ended or none was begun, else 0.
#[unsafe(no_mangle)]
pub extern "C" fn ended() -> i32 {
    INSTANCE.with_borrow(|instance| instance.teller.as_ref().is_none_or(Teller::ended).into())
}

/// Runs `f` on the teller if there is one.
fn ask<R>(f: impl FnOnce(&Teller) -> Option<R>) -> Option<R> {
    INSTANCE.with_borrow(|instance| instance.teller.as_ref().and_then(f))
}

/// How many tokens the story has, the prompt's among them.
#[unsafe(no_mangle)]
pub extern "C" fn tokens() -> usize {
    ask(|teller| Some(teller.texts().len())).unwrap_or(0)
}

/// Answers with the characters that the story's token `at` completes.
#[unsafe(no_mangle)]
pub extern "C" fn text(at: usize) -> i32 {
    answer(|instance| instance.tell(0, |teller, _| Ok(teller.texts().get(at).cloned().unwrap_or_default())))
}

/// The passes of the reasoning loop that led to the story's token `at`; 0 where there are none.
#[unsafe(no_mangle)]
pub extern "C" fn passes(at: usize) -> usize {
    ask(|teller| Some(teller.passes(at))).unwrap_or(0)
}

/// The operation that weighed most in them; -1 where there are none.
#[unsafe(no_mangle)]
pub extern "C" fn operation(at: usize) -> i32 {
    ask(|teller| teller.operation(at)).map_or(-1, i32::from)
}

/// Answers with what led to the story's token `at`, or will lead to its next, in JSON: candidates, passes, and what
/// they read.
#[unsafe(no_mangle)]
pub extern "C" fn look(at: usize) -> i32 {
    answer(|instance| instance.tell(0, |teller, _| teller.look(at).map(|look| look.to_string())))
}

/// Answers with the fingerprint of a story of `tokens` tokens after the `len` bytes of text in the buffer.
#[unsafe(no_mangle)]
pub extern "C" fn fingerprint(len: usize, tokens: usize, seed: u64) -> i32 {
    answer(|instance| instance.tell(len, |teller, prompt| teller.fingerprint(prompt, tokens, seed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(length: i32) -> String {
        let length = if length < 0 { -1 - length } else { length };
        INSTANCE.with_borrow(|i| str::from_utf8(i.bytes(length as usize)).unwrap().into())
    }

    fn put(bytes: &[u8]) -> usize {
        room(bytes.len());
        INSTANCE.with_borrow_mut(|i| {
            bytemuck::must_cast_slice_mut::<_, u8>(&mut i.buffer)[..bytes.len()].copy_from_slice(bytes);
        });
        bytes.len()
    }

    #[test]
    fn a_host_that_errs_is_told_so_and_one_that_does_not_gets_a_story() {
        let error = next();
        assert!(error < 0 && said(error).contains("model to be loaded"), "{}", said(error));
        assert_eq!(ended(), 1);
        let error = load(put(b"not a model"));
        assert!(error < 0 && !said(error).is_empty());

        let blob = include_bytes!("../../models/supernova.flm");
        let level = load(put(blob));
        assert_eq!(said(level), flashlm_core::Kernels::detect().level().name());
        assert!(load(0) < 0);
        assert_eq!(said(begin(put(b"The cat "), 1, 0.0, 1.0, -1)), "The cat");
        assert_eq!(ended(), 0);
        let first = next();
        assert!(first > 0, "{}", said(first));
        assert!(begin(put(b"The cat"), 1, f32::NAN, 1.0, 0) < 0);
        assert_eq!(said(text(0)) + &said(text(1)), "The cat");
        assert_eq!((tokens(), passes(0) > 0, operation(0) >= 0), (3, true, true));
        assert!(said(look(2)).contains("candidates") && look(9) < 0);
        assert_eq!(said(link(put(b"The cat "), 1, 0.5, 0)), "#seed=1&prompt=The%20cat%20&temperature=0.5&depth=auto");
        assert!(said(about()).contains("\"depths\":["));
        assert!(begin(put(b"The cat"), 1, 0.5, 1.0, i32::MAX) < 0);
        // longer than the buffer: all of it
        assert_eq!(fingerprint(usize::MAX, 1, 1), 16);
    }
}
