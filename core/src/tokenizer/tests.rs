extern crate std;
use std::collections::HashMap;
use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::hostile::table;

fn byte(b: u8) -> u16 {
    1 + u16::from(b)
}

/// "ab", "aa", "abc", " a", "aaaa", "ba", "é", "éé", "\n\n", "aaaaaa".
fn sample_merges() -> Vec<(u16, u16)> {
    std::vec![
        (byte(b'a'), byte(b'b')),
        (byte(b'a'), byte(b'a')),
        (257, byte(b'c')),
        (byte(b' '), byte(b'a')),
        (258, 258),
        (byte(b'b'), byte(b'a')),
        (byte(0xc3), byte(0xa9)),
        (263, 263),
        (byte(b'\n'), byte(b'\n')),
        (261, 258),
    ]
}

/// One pair at a time, the lowest rank first and the leftmost of equals: the definition of BPE.
fn oracle(merges: &[(u16, u16)], pre_token: &[u8]) -> Vec<u16> {
    let ranks: HashMap<_, _> = merges.iter().enumerate().map(|(rank, &pair)| (pair, rank)).collect();
    let mut tokens: Vec<u16> = pre_token.iter().map(|&b| byte(b)).collect();
    loop {
        let pairs = tokens.windows(2).enumerate();
        let found = pairs.filter_map(|(at, pair)| Some((*ranks.get(&(pair[0], pair[1]))?, at))).min();
        let Some((rank, at)) = found else { return tokens };
        tokens.splice(at..at + 2, [257 + rank as u16]);
    }
}

fn encode(tokenizer: &Tokenizer, text: &[u8]) -> Vec<u16> {
    let mut tokens = std::vec![0; text.len()];
    let length = tokenizer.encode(text, &mut tokens).unwrap();
    tokens.truncate(length);
    tokens
}

fn pre_tokens(text: &str) -> Vec<&str> {
    PreTokens::new(text.as_bytes()).map(|p| core::str::from_utf8(p).unwrap()).collect()
}

#[test]
fn pre_tokens_are_the_regex_matches() {
    assert_eq!(pre_tokens("Lily ran. \"Stop!\" 12 cats"), ["Lily", " ran", ".", " \"", "Stop", "!\"", " 12", " cats"]);
    assert_eq!(pre_tokens("a  b"), ["a", "  ", "b"]);
    assert_eq!(pre_tokens("a\n b"), ["a", "\n ", "b"]);
    assert_eq!(pre_tokens(" \n"), [" \n"]);
    assert_eq!(pre_tokens("don't"), ["don", "'", "t"]);
    assert_eq!(pre_tokens("a1 "), ["a", "1", " "]);
    assert_eq!(pre_tokens("\u{b}\u{c}x\u{1c}"), ["\u{b}\u{c}", "x", "\u{1c}"]);
    assert_eq!(pre_tokens(" é\u{a0}\u{85}-x"), [" é\u{a0}\u{85}-", "x"]);
    assert_eq!(pre_tokens(""), [""; 0]);
}

#[test]
fn a_run_goes_on_in_the_next_pre_token_after_127_characters() {
    let lengths = |text: &str| pre_tokens(text).iter().map(|p| p.chars().count()).collect::<Vec<_>>();
    for unit in ["a", "7", "-", "é", "日", "\u{1f642}", "\n"] {
        assert_eq!(lengths(&unit.repeat(127)), [127], "{unit:?}");
        assert_eq!(lengths(&unit.repeat(300)), [127, 127, 46], "{unit:?}");
        let first = if unit == "\n" { 127 } else { 128 };
        assert_eq!(lengths(&format!(" {}", unit.repeat(300)))[0], first, "{unit:?}");
    }
    // the last space of a long run goes with the word if the run before it is full
    assert_eq!(lengths(&format!("{}ab", " ".repeat(127))), [127, 2]);
    assert_eq!(lengths(&format!("{}ab", " ".repeat(128))), [127, 3]);
    // no text: bytes that could continue a character for ever
    let lengths: Vec<usize> = PreTokens::new(&[0x80; 1100]).map(<[u8]>::len).collect();
    assert_eq!(lengths, [512, 512, 76]);
    let longest = format!(" {}", "\u{10ffff}".repeat(127));
    assert_eq!(PreTokens::new(longest.repeat(3).as_bytes()).map(<[u8]>::len).collect::<Vec<_>>(), [509; 3]);
}

#[test]
fn the_end_of_story_token_is_never_made_from_text() {
    let bytes = table(&sample_merges());
    let tokens = encode(&Tokenizer::from_bytes(&bytes).unwrap(), b"<|endoftext|>");
    assert_eq!(tokens.len(), 13);
    assert!(!tokens.contains(&EOT));
}

#[test]
fn a_long_run_of_one_letter_is_encoded_in_a_few_sweeps() {
    let bytes = table(&sample_merges());
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    // One token at a time with a rescan for each would take 10^12 steps, were it a pre-token.
    let mut tokens = std::vec![0; 1_000_003];
    let used = tokenizer.encode_pre_token(&std::vec![b'a'; 1_000_003], &mut tokens).unwrap();
    assert_eq!(used, 250_001);
    assert_eq!(tokens[0], 261);
    assert_eq!(tokens[249_999..used], [266, byte(b'a')]);
}

#[test]
fn a_small_buffer_is_refused_and_says_what_suffices() {
    let bytes = table(&sample_merges());
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    let mut tokens = [0; 4];
    assert_eq!(tokenizer.encode(b"abcabc", &mut tokens), Err(TokenizerError::BufferTooSmall { needed: 6 }));
    assert_eq!(tokenizer.encode(b"abc aa", &mut tokens), Ok(3));
    assert_eq!(tokens[..3], [259, byte(b' '), 258]);
}

#[test]
fn tokens_outside_the_vocabulary_spell_nothing() {
    let bytes = table(&sample_merges());
    let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
    assert_eq!(tokenizer.vocab(), 267);
    for token in [EOT, 267, u16::MAX] {
        assert!(tokenizer.piece(token).is_empty());
        assert_eq!(tokenizer.piece_len(token), 0);
    }
    for token in 1..267 {
        assert_eq!(tokenizer.piece(token).len(), tokenizer.piece_len(token));
    }
}

#[test]
fn a_merge_may_only_join_earlier_tokens() {
    for pair in [(257, 1), (0, 1), (1, 0), (1, 300)] {
        let error = Tokenizer::from_bytes(&table(&[pair])).unwrap_err();
        assert_eq!(error, TokenizerError::BadMerge(0), "{pair:?}");
    }
}

#[test]
fn pieces_over_the_limit_are_refused() {
    let doubling: Vec<_> = (0..7).map(|i| if i == 0 { (1, 1) } else { (256 + i, 256 + i) }).collect();
    assert!(Tokenizer::from_bytes(&table(&doubling[..6])).is_ok());
    assert_eq!(Tokenizer::from_bytes(&table(&doubling)).unwrap_err(), TokenizerError::BadPieceLength(6));
}

#[test]
fn a_pair_merged_twice_is_refused() {
    assert_eq!(Tokenizer::from_bytes(&table(&[(1, 2), (1, 2)])).unwrap_err(), TokenizerError::BadIndex);
}

#[test]
fn every_truncation_is_refused() {
    let bytes = table(&sample_merges());
    for length in 0..bytes.len() {
        assert!(Tokenizer::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
    }
}

/// A text of the letters that merge, often in long runs.
fn mergeable() -> impl Strategy<Value = String> {
    "[ab]{0,40}|( ?[abc]{1,12}){0,6}|[éa\n ]{0,20}|.{0,20}"
}

proptest! {
    #[test]
    fn encoding_is_bpe_by_definition(text in mergeable()) {
        let merges = sample_merges();
        let bytes = table(&merges);
        let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
        let want: Vec<u16> = PreTokens::new(text.as_bytes()).flat_map(|p| oracle(&merges, p)).collect();
        prop_assert_eq!(encode(&tokenizer, text.as_bytes()), want);
    }

    #[test]
    fn pre_tokens_cover_any_bytes_and_are_no_longer_than_the_limit(
        text in prop::collection::vec((any::<u8>(), 1usize..600), 0..12),
    ) {
        let text: Vec<u8> = text.into_iter().flat_map(|(byte, times)| std::vec![byte; times]).collect();
        prop_assert!(PreTokens::new(&text).all(|p| (1..=MAX_PRE_TOKEN).contains(&p.len())));
        prop_assert_eq!(PreTokens::new(&text).collect::<Vec<_>>().concat(), text);
    }

    #[test]
    fn a_cut_of_text_falls_between_characters(text in "(a{0,200}|é{0,200}|日{0,200}|🙂{0,200}| {0,200}){0,8}") {
        for pre_token in PreTokens::new(text.as_bytes()) {
            let pre_token = core::str::from_utf8(pre_token);
            prop_assert!(pre_token.is_ok_and(|p| (1..=128).contains(&p.chars().count())));
        }
    }

    #[test]
    fn any_bytes_survive_the_round_trip(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let bytes = table(&sample_merges());
        let tokenizer = Tokenizer::from_bytes(&bytes).unwrap();
        let back: Vec<u8> = encode(&tokenizer, &text).iter().flat_map(|&t| tokenizer.piece(t)).collect();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn corrupt_tables_are_refused_or_harmless(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        text in mergeable(),
    ) {
        let mut bytes = table(&sample_merges());
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(tokenizer) = Tokenizer::from_bytes(&bytes) {
            let tokens = encode(&tokenizer, text.as_bytes());
            let back: Vec<u8> = tokens.iter().flat_map(|&t| tokenizer.piece(t)).collect();
            prop_assert_eq!(back, text.as_bytes());
        }
    }

    #[test]
    fn arbitrary_tables_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Tokenizer::from_bytes(&bytes);
    }

    #[test]
    fn streamed_text_is_the_text(text in ".{0,40}", cuts in prop::collection::vec(1usize..5, 1..20)) {
        let mut stream = Utf8Stream::new();
        let mut shown = String::new();
        let mut rest = text.as_bytes();
        for &cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (now, later) = rest.split_at(cut.min(rest.len()));
            stream.push(now, |s| shown.push_str(s));
            rest = later;
        }
        stream.finish(|s| shown.push_str(s));
        prop_assert_eq!(shown, text);
    }

    #[test]
    fn invalid_bytes_are_shown_as_the_standard_library_does(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut stream = Utf8Stream::new();
        let mut shown = String::new();
        stream.push(&bytes, |s| shown.push_str(s));
        stream.finish(|s| shown.push_str(s));
        prop_assert_eq!(shown, String::from_utf8_lossy(&bytes).into_owned());
    }
}
