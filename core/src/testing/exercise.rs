//! Everything public run over bytes that may be hostile. What is promised of any input is asserted here, for the
//! tests and the fuzz targets alike: no panic, no endless loop, errors instead, and results within their bounds.

use super::Blob;
use crate::arena::Line;
use crate::blob::{BlobError, arena_lines};
use crate::config::Depth;
use crate::kernels::Kernels;
use crate::model::Model;
use crate::sampler::{Sampler, SamplerConfig};
use crate::score;
use crate::session::{Session, SessionError};
use crate::text::{SEPARATOR, stories};
use crate::tokenizer::{PreTokens, Tokenizer, Utf8Stream};
use std::string::String;
use std::vec::Vec;

type HeapSession<'m> = Session<'m, Vec<Line>>;

/// Samplers that between them take every path.
const SAMPLERS: [SamplerConfig; 4] = [
    SamplerConfig { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 1 },
    SamplerConfig { temperature: 0.8, top_k: 0, top_p: 0.95, min_p: 0.05, repetition_penalty: 1.3, seed: 2 },
    SamplerConfig { temperature: 2e-4, top_k: 5, top_p: 0.1, min_p: 0.0, repetition_penalty: 1e30, seed: 3 },
    SamplerConfig { temperature: 1e30, top_k: 999, top_p: 1.0, min_p: 1.0, repetition_penalty: 1e-30, seed: 4 },
];

/// Reads a blob and, if it is accepted, runs it every way there is, at every level of kernels.
///
/// # Panics
/// If anything but an error comes of bytes that are no model, or a model that was accepted breaks a promise.
pub fn blob(bytes: &[u8]) -> Result<(), BlobError> {
    let _ = arena_lines(bytes, 16);
    let blob = Blob::new(bytes);
    let model = Model::from_bytes(blob.bytes())?;
    let config = *model.config();
    config.validate().expect("only valid configurations are accepted");
    for section in model.sections() {
        assert!(section.offset.is_multiple_of(64) && section.offset + section.len <= bytes.len());
        assert!(section.bits_per_weight().is_none_or(f64::is_finite));
    }
    if let Some(own) = model.tokenizer() {
        assert_eq!(own.vocab(), config.vocab);
        tokenizer(own, b"a cab, cdc bad abc123 \xc3\xa9\xff  deadbeef\n");
    }

    let text = inputs(config.vocab, config.eot, 21);
    let mut logits: Option<Vec<u32>> = None;
    for kernels in Kernels::available() {
        let mut session = Session::on_heap(model, kernels);
        run(&mut session, &text);
        let found = last_logits(&session);
        // the same on every level, whatever it is; all that is not a number counts as one value
        assert!(logits.as_ref().is_none_or(|want| *want == found), "{:?} differs", kernels.level());
        logits = Some(found);
    }

    let mut arena = std::vec![Line([0xA5; 64]); arena_lines(blob.bytes(), 1)];
    assert!(Session::new(model, Kernels::scalar(), &mut arena[1..]).is_err());
    let mut smallest = Session::new(model, Kernels::scalar(), arena.as_mut_slice()).expect("a sufficient arena");
    smallest.prefill(&text).expect("known tokens");
    let mut depths = std::vec![Depth::Adaptive, Depth::Fixed(0), Depth::Fixed(1), Depth::Fixed(255)];
    depths.extend(config.rcsm.map(|r| Depth::Fixed(r.depths[2])));
    for depth in depths {
        let set = smallest.set_depth(depth);
        assert!(set.is_ok() == config.rcsm.map_or(depth == Depth::Fixed(1), |r| r.allows(depth)));
        smallest.step(text[1]).expect("a known token");
    }
    Ok(())
}

/// `n` tokens of the vocabulary, its ends and the end of story among them.
fn inputs(vocab: u32, eot: Option<u32>, n: usize) -> Vec<u16> {
    let mut tokens: Vec<u16> = (0..n as u32).map(|i| (i.wrapping_mul(i * 7 + 3) % vocab) as u16).collect();
    tokens[n / 2] = (vocab - 1) as u16;
    tokens[n / 3] = eot.unwrap_or(0) as u16;
    tokens
}

/// Steps, prefills, scores, draws, saves and restores.
fn run(session: &mut HeapSession<'_>, text: &[u16]) {
    let vocab = session.model().config().vocab;
    assert_eq!(session.logits(|_, _| ()), Err(SessionError::Empty));
    session.step(text[0]).expect("a known token");
    session.prefill(text).expect("known tokens");
    if let Ok(stranger) = u16::try_from(vocab) {
        assert_eq!(session.step(stranger), Err(SessionError::Token(stranger)));
    }

    let mut rows_of = std::vec![0; 3];
    let count = |token: usize, first: u32, rows: &[f32]| {
        assert_eq!(first as usize, rows_of[token]);
        rows_of[token] += rows.len();
    };
    session.prefill_logits(&text[..3], count).expect("known tokens");
    assert!(rows_of.iter().all(|&rows| rows == vocab as usize));
    draw(session);

    let (state, before) = (session.state().to_vec(), last_logits(session));
    let mut scored = 0;
    score::continuation(session, text, |_, _| scored += 1).expect("a session that has processed a token");
    assert_eq!(scored, text.len());
    let story = score::story(session, &text[..2], |_, _| ());
    assert_eq!(story.is_ok(), session.model().config().eot.is_some());
    session.restore(&state).expect("a state of its own");
    assert_eq!(last_logits(session), before);
    session.step(text[1]).expect("a known token");
}

/// Draws with every sampler.
fn draw(session: &HeapSession<'_>) {
    for config in SAMPLERS {
        let mut sampler = Sampler::new(config).expect("valid parameters");
        sampler.observe(0);
        for _ in 0..3 {
            let token = session.sample(&mut sampler).expect("a session that has processed a token");
            assert!(u32::from(token) < session.model().config().vocab);
        }
    }
}

/// The logits' bits, with one value for all that is not a number: its sign and payload are the processor's affair.
fn last_logits(session: &HeapSession<'_>) -> Vec<u32> {
    let mut all = Vec::new();
    let canonical = |v: &f32| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() };
    session.logits(|_, rows| all.extend(rows.iter().map(canonical))).expect("a session that has processed a token");
    assert_eq!(all.len(), session.model().config().vocab as usize);
    all
}

/// Restores `state` into a session over `model` and, if it is accepted, goes on from there. The state's own header
/// decides whether it is of this model.
pub fn state(model: Model<'_>, state: &[Line]) -> Result<(), SessionError> {
    let mut session = Session::on_heap(model, Kernels::detect());
    session.step(1)?;
    let before = session.state().to_vec();
    if let Err(error) = session.restore(state) {
        // what was refused has changed nothing
        assert!(session.state() == before);
        return Err(error);
    }
    assert!(session.state() == state);
    if session.position() > 0 {
        draw(&session);
    }
    session.prefill(&inputs(model.config().vocab, model.config().eot, 20))?;
    draw(&session);
    last_logits(&session);
    let state = session.state().to_vec();
    session.restore(&state)
}

/// Encodes `text` and spells every token.
pub fn tokenizer(tokenizer: &Tokenizer<'_>, text: &[u8]) {
    let mut tokens = std::vec![0; text.len()];
    let used = tokenizer.encode(text, &mut tokens).expect("as many places as bytes");
    let tokens = &tokens[..used];
    let mut spelled = Vec::new();
    for &token in tokens {
        assert!(u32::from(token) < tokenizer.vocab());
        tokenizer.for_each_byte(token, |byte| spelled.push(byte));
    }
    assert_eq!(spelled, text, "decoding gives back what was encoded");
    for room in 0..text.len().min(3) {
        // fewer places are an error or enough, never more
        let mut few = std::vec![0; room];
        assert!(tokenizer.encode(text, &mut few).is_err() || used <= room);
    }
    for token in (0..=u16::MAX).step_by(1 + 65_535 / 512).chain(0..600).chain([u16::MAX]) {
        let piece = tokenizer.piece(token);
        assert_eq!(piece.len(), tokenizer.piece_len(token));
        assert!(u32::from(token) < tokenizer.vocab() || piece.is_empty());
        if let Some((left, right)) = tokenizer.parts(token) {
            assert!(left < token && right < token);
            assert_eq!(piece[..], [&tokenizer.piece(left)[..], &tokenizer.piece(right)[..]].concat());
        }
    }
}

/// Cuts `file` into stories and pre-tokens, and shows it as text in pieces of `piece` bytes.
pub fn text(file: &[u8], piece: usize) {
    let mut end = 0;
    let mut terminated = true;
    for story in stories(file) {
        assert!(terminated, "only the last story can lack a separator");
        assert_eq!(story.start, end);
        assert!(file[end..].starts_with(story.text));
        end += story.text.len();
        terminated = story.terminated;
        if terminated {
            end += usize::from(file.get(end) == Some(&b'\n'));
            assert!(file[end..].starts_with(SEPARATOR));
            end += SEPARATOR.len();
            end += usize::from(file.get(end) == Some(&b'\n'));
        }
        let _ = story.is_blank();
    }
    assert_eq!(end, file.len(), "every byte belongs to a story or a separator");

    assert!(PreTokens::new(file).all(|p| !p.is_empty()));
    assert_eq!(PreTokens::new(file).flatten().count(), file.len());

    let (mut stream, mut shown) = (Utf8Stream::new(), String::new());
    file.chunks(piece.max(1)).for_each(|bytes| stream.push(bytes, |text| shown.push_str(text)));
    stream.finish(|text| shown.push_str(text));
    assert_eq!(shown, String::from_utf8_lossy(file));
}
