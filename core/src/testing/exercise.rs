//! Everything public run over bytes that may be hostile. What is promised of any input is asserted here, for the
//! tests and the fuzz targets alike: no panic, no endless loop, errors instead, and results within their bounds.

use std::string::String;
use std::vec::Vec;

use super::Blob;
use crate::blob::{BlobError, arena_lines};
use crate::config::Depth;
use crate::config::MAX_D_MODEL;
use crate::kernels::Kernels;
use crate::math::int16_range;
use crate::memory::{Line, MAX_CHUNK};
use crate::model::Model;
use crate::sampler::{Sampler, SamplerConfig};
use crate::score;
use crate::session::{Session, SessionError};
use crate::text::{SEPARATOR, stories};
use crate::tokenizer::{MAX_PRE_TOKEN, PreTokens, Tokenizer, Utf8Stream};
use crate::views::{Embedding, TernaryMatrix};

type HeapSession<'m> = Session<'m, Vec<Line>>;

/// Samplers that between them take every path.
const SAMPLERS: [SamplerConfig; 4] = [
    SamplerConfig { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: 1 },
    SamplerConfig { temperature: 0.8, top_k: 0, top_p: 0.95, min_p: 0.05, repetition_penalty: 1.3, seed: 2 },
    SamplerConfig { temperature: 2e-4, top_k: 5, top_p: 0.1, min_p: 0.0, repetition_penalty: 1e30, seed: 3 },
    SamplerConfig { temperature: 1e30, top_k: 999, top_p: 1.0, min_p: 1.0, repetition_penalty: 1e-30, seed: 4 },
];

/// Reads a blob, with its checksum and without, and, if either accepts it, runs it every way there is, at every level
/// of kernels. Returns what reading it with its checksum does.
///
/// # Panics
/// If anything but an error comes of bytes that are no model, or a model that was accepted breaks a promise.
pub fn blob(bytes: &[u8]) -> Result<(), BlobError> {
    let _ = arena_lines(bytes, 16);
    let blob = Blob::new(bytes);
    let verified = Model::from_bytes(blob.bytes()).map(|_| ());
    let trusted = Model::from_bytes_trusted(blob.bytes());
    match (verified, trusted) {
        (Err(BlobError::Checksum), _) => {}
        (verified, trusted) => assert_eq!(verified, trusted.map(|_| ()), "the checksum alone may differ"),
    }
    if let Ok(model) = trusted {
        accepted(model, blob.bytes());
    }
    verified
}

/// Runs a model over `bytes`.
fn accepted(model: Model<'_>, bytes: &[u8]) {
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

    let mut arena = std::vec![Line([0xA5; 64]); arena_lines(bytes, 1)];
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
    let mut numbers = true;
    session.logits(|_, rows| numbers &= rows.iter().all(|v| v.is_finite())).expect("a session that has logits");
    for config in SAMPLERS {
        let mut sampler = Sampler::new(config).expect("valid parameters");
        sampler.observe(0);
        let mut text = Vec::new();
        for _ in 0..5 {
            let token = session.sample(&mut sampler).expect("a session that has processed a token");
            assert!(u32::from(token) < session.model().config().vocab);
            // whatever token a model says ends its stories: its bytes are none of a story's
            if session.model().config().eot == Some(token.into()) {
                break;
            }
            session.model().tokenizer().iter().for_each(|t| t.for_each_byte(token, |byte| text.push(byte)));
        }
        // a sampler can make infinite what is not
        let whole = core::str::from_utf8(&text).map_or_else(|error| error.error_len().is_none(), |_| true);
        assert!(whole || !numbers || config != SAMPLERS[0], "{text:02x?} is no text");
    }
}

/// The logits' bits, as [`canonical`] gives them.
pub(super) fn last_logits(session: &HeapSession<'_>) -> Vec<u32> {
    let mut all = Vec::new();
    session
        .logits(|_, rows| all.extend(rows.iter().map(|&v| canonical(v))))
        .expect("a session that has processed a token");
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

    assert!(PreTokens::new(file).all(|p| (1..=MAX_PRE_TOKEN).contains(&p.len())));
    assert_eq!(PreTokens::new(file).flatten().count(), file.len());

    let (mut stream, mut shown) = (Utf8Stream::new(), String::new());
    file.chunks(piece.max(1)).for_each(|bytes| stream.push(bytes, |text| shown.push_str(text)));
    stream.finish(|text| shown.push_str(text));
    assert_eq!(shown, String::from_utf8_lossy(file));
}

/// Multiplies by ternary and int8 matrices of any shape and contents at every level. Each slice is an allocation of its
/// own, so that a sanitizer sees a read past its end, which inside a blob would only meet the next section.
pub fn products(bytes: &[u8]) {
    let [groups, tiles, tokens, bytes @ ..] = bytes else { return };
    let (rows, columns) = (16 * (1 + usize::from(groups % 5)), 16 * (1 + usize::from(tiles % 40)));
    let tokens = 1 + usize::from(tokens % MAX_CHUNK as u8);
    let mut bytes = bytes.iter().cycle().copied();
    let mut byte = || bytes.next().unwrap_or(0);
    let mut word = || u32::from_le_bytes([byte(), byte(), byte(), byte()]);
    let scales: Vec<f32> = (0..rows).map(|_| f32::from_bits(word())).collect();
    // no code is 3, and quantising gives no least integer
    let codes: Vec<u32> = (0..rows * columns / 16).map(|_| word()).map(|w| w & !(w >> 1 & 0x5555_5555)).collect();
    let q: Vec<i8> = (0..tokens * columns).map(|_| (word() as i8).max(-127)).collect();
    let scale: Vec<f32> = (0..tokens).map(|_| f32::from_bits(word())).collect();
    let matrix = TernaryMatrix { codes: &codes, scales: &scales, columns };
    at_every_level(tokens * rows, |kernels, y| kernels.ternary(matrix, &q, &scale, y));

    let columns = columns.min(MAX_D_MODEL.into());
    let values: Vec<u32> = (0..rows * columns / 4).map(|_| word()).collect();
    let most = int16_range(columns);
    let x: Vec<i16> = (0..columns).map(|_| (word() as i16).clamp(-most, most)).collect();
    let first = 16 * (usize::from(*groups / 5) % (rows / 16));
    let embedding = Embedding { values: &values, scales: &scales, columns };
    at_every_level(rows - first, |kernels, y| kernels.head(embedding, first, &x, scale[0], y));

    let floats: Vec<f32> = (0..rows * columns).map(|_| f32::from_bits(word())).collect();
    at_every_level(rows, |kernels, y| kernels.matvec(&floats, &floats[..columns], y));
}

/// Asserts that a product of `n` floats is the same at every level.
fn at_every_level(n: usize, product: impl Fn(Kernels, &mut [f32])) {
    let run = |kernels| -> Vec<u32> {
        let mut y = std::vec![f32::NAN; n];
        product(kernels, &mut y);
        y.iter().map(|&v| canonical(v)).collect()
    };
    let want = run(Kernels::scalar());
    Kernels::available().for_each(|kernels| assert!(run(kernels) == want, "{:?} differs", kernels.level()));
}

/// A float's bits, with one value for all that is not a number: its sign and payload are the processor's affair.
pub(super) fn canonical(v: f32) -> u32 {
    if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Numbers, hostile};
    use super::*;

    fn bytes(least: usize, most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), least..most)
    }

    /// Parts of separators and of characters, so that they meet.
    fn file() -> impl Strategy<Value = Vec<u8>> {
        const PARTS: [&str; 9] = ["<|endoftext|>", "<|endof", "\n", "\n\n", "a", " ", "\u{e9}", "\u{1f600}", "<"];
        let part = prop_oneof![
            3 => prop::sample::select(&PARTS[..]).prop_map(|part| part.as_bytes().to_vec()),
            1 => bytes(0, 4),
        ];
        prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn products_of_any_bits_agree_at_every_level(bytes in bytes(3, 400)) {
            products(&bytes);
        }

        #[test]
        fn any_file_is_cut_without_a_gap_and_shown_as_it_is(file in file(), piece in 1usize..9) {
            text(&file, piece);
        }

        #[test]
        fn any_merges_spell_what_was_encoded(seed in any::<u64>(), n in 0usize..200, text in file()) {
            let table = hostile::table(&hostile::merges(n, &mut Numbers(seed)));
            tokenizer(&Tokenizer::from_bytes(&table).unwrap(), &text);
        }
    }
}
