//! `trainer generate` as a person or a script meets it.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs `trainer generate` on the golden model with `input` on standard input; (standard output, standard error), or
/// the error of what failed.
fn generate(args: &[&str], input: &[u8]) -> Result<(String, String), String> {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/version-4.flm");
    let mut child = Command::new(env!("CARGO_BIN_EXE_trainer"))
        .args(["generate", "-n", "60", "-m", model])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("trainer starts");
    // one that refuses its arguments reads nothing
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("ends");
    let err = String::from_utf8(output.stderr).expect("UTF-8");
    let out = String::from_utf8(output.stdout).expect("whole characters of UTF-8");
    if output.status.success() { Ok((out, err)) } else { Err(err) }
}

fn told(args: &[&str], input: &[u8]) -> String {
    let (out, err) = generate(args, input).expect("a story");
    assert_eq!(err, "");
    out
}

#[test]
fn the_prompt_is_what_is_given_or_else_standard_input() {
    let want = told(&["-p", "Once upon a time"], b"");
    assert!(want.starts_with("Once upon a time"), "{want}");
    assert_eq!(told(&[], b"Once upon a time\n"), want);
    assert_eq!(told(&["-p", "Once upon a time"], b"The cat\n"), want);
    assert_eq!(told(&[], b""), told(&["-p", ""], b"The cat\n"));
    for (input, error) in [(&b"caf\xe9"[..], "0xe9 at offset 3"), (b"a\0b", "a byte 0 at offset 1")] {
        let found = generate(&[], input).expect_err("refused");
        assert!(found.contains("standard input: expected text") && found.contains(error), "{found}");
    }
}

#[test]
fn a_space_at_the_prompts_end_is_the_next_words_own_and_it_is_said() {
    let (out, err) = generate(&["--temperature", "0", "-p", "Tom saw the "], b"").expect("a story");
    assert!(out.starts_with("Tom saw the ") && !out.contains("  "), "{out}");
    assert!(err.contains("the white space at the end is left to the next word"), "{err}");
}

#[test]
fn a_seed_that_is_drawn_is_shown_and_gives_the_text_again() {
    let (drawn, err) = generate(&["-p", "The cat", "--seed", "random"], b"").expect("a story");
    let seed = err.trim().strip_prefix("seed ").expect("the seed alone");
    assert_eq!(told(&["-p", "The cat", "--seed", seed], b""), drawn);
    assert!(generate(&["--seed", "dice"], b"").expect_err("refused").contains("or random"));
}

#[test]
fn text_is_utf8_whatever_the_prompt_and_wherever_it_stops() {
    // hot enough to draw bytes that no training text had; with these seeds, ones that no text can have here
    for (prompt, seed) in [("日本 🙂", 45), ("日本 🙂", 58), ("é", 76), ("日本 🙂", 1), ("é", 1)] {
        let out = told(&["-p", prompt, "--temperature", "9", "--top-p", "1", "--seed", &seed.to_string()], b"");
        assert!(out.starts_with(prompt) && !out.contains('\u{fffd}'), "{out}");
    }
}
