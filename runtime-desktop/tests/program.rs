//! The program as a person or a script meets it: its output, its errors, its exit codes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The model built into the program, as a file.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/supernova.flm")
}

fn flashlm(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    flashlm(args).output().expect("flashlm starts")
}

fn stdout(args: &[&str]) -> String {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("output is UTF-8")
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).expect("one JSON document")
}

/// Runs a chat over `input` and returns (standard output, standard error).
fn chat(args: &[&str], input: &[u8]) -> (String, String) {
    let mut child =
        flashlm(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("piped").write_all(input).expect("written");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"))
}

fn file(name: &str, contents: impl AsRef<[u8]>) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, contents).expect("written");
    let path = path.to_str().expect("UTF-8").to_string();
    (folder, path)
}

/// Runs with `input` on standard input and returns (standard output, standard error), or the error of what failed.
fn piped(args: &[&str], input: &[u8]) -> Result<(String, String), String> {
    let mut child =
        flashlm(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
    // a program that refuses its arguments reads nothing
    let _ = child.stdin.take().expect("piped").write_all(input);
    let output = child.wait_with_output().expect("ends");
    let (out, err) =
        (String::from_utf8(output.stdout).expect("UTF-8"), String::from_utf8(output.stderr).expect("UTF-8"));
    if output.status.success() { Ok((out, err)) } else { Err(err) }
}

/// The error of a run that must fail with exit code 1.
fn failure(args: &[&str]) -> String {
    let output = run(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    error
}

#[test]
fn the_same_seed_gives_the_same_text_and_the_file_gives_what_the_built_in_model_gives() {
    let text = |seed: &str| stdout(&["generate", "-p", "Once upon a time", "-n", "60", "--temp", "1", "--seed", seed]);
    let one = text("1");
    assert!(one.starts_with("Once upon a time"));
    assert_eq!(one, text("1"));
    assert!((2..6).any(|seed| text(&seed.to_string()) != one), "the seed does nothing");
    let path = model();
    let args = ["generate", "-p", "Once upon a time", "-n", "60", "--temp", "1", "--seed", "1", "-m"];
    assert_eq!(one, stdout(&[&args[..], &[path.to_str().unwrap()]].concat()));
}

#[test]
fn standard_input_is_the_prompt_where_none_is_given() {
    let told = |prompt: &str| stdout(&["generate", "-n", "20", "-p", prompt]);
    let from = |input: &[u8]| piped(&["generate", "-n", "20"], input).expect("a story").0;
    assert_eq!(from(b"Once upon a time\n"), told("Once upon a time"));
    assert_eq!(from(b"Once upon a time\r\n"), told("Once upon a time"));
    assert_eq!(from(b"\xef\xbb\xbfTom ran.\r\nLily"), told("Tom ran.\nLily"), "lines end as in stories");
    // nothing at all begins a story, as it does where standard input is /dev/null
    assert_eq!(from(b""), told(""));
    assert_eq!(stdout(&["generate", "-n", "20"]), told(""));
    // what is given counts, if it be nothing
    for prompt in ["The cat", ""] {
        let given = piped(&["generate", "-n", "20", "-p", prompt], b"Once upon a time\n").expect("a story").0;
        assert_eq!(given, told(prompt));
    }
}

#[test]
fn a_piped_prompt_that_is_no_text_is_refused_with_where() {
    for (input, error) in [
        (&b"caf\xe9 au lait"[..], "standard input: expected text in UTF-8, found the byte 0xe9 at offset 3"),
        (b"\xff\xfeO\0n\0", "0xff at offset 0"),
        (b"Once\0upon", "standard input: expected text, found a byte 0 at offset 4"),
    ] {
        let found = piped(&["generate", "-n", "5"], input).expect_err("refused");
        assert!(found.starts_with("error: ") && found.contains(error), "{found}");
    }
    let (out, err) = piped(&["chat", "-n", "2"], b"A bird\0\nThe cat\n").expect("a chat");
    assert!(err.contains("line 1 of standard input is skipped") && err.contains("byte 0 at offset 6"), "{err}");
    assert!(out.starts_with("The cat"), "{out}");
}

#[test]
fn a_space_at_a_prompts_end_is_the_next_words_own() {
    for (prompt, folded) in [("Once upon a time there was a", " "), ("Tom ran to the", " \t  "), ("Lily said,", " ")] {
        let args = ["generate", "-n", "30", "--temp", "0", "-p"];
        let without = stdout(&[&args[..], &[prompt]].concat());
        let with = run(&[&args[..], &[&format!("{prompt}{folded}")]].concat());
        assert_eq!(String::from_utf8_lossy(&with.stdout), without, "the likeliest word has a space before it");
        assert!(String::from_utf8_lossy(&with.stderr).contains("the white space at the end is left to the next word"));
    }
    // "an" and "there" are no words for whoever has typed a space
    for seed in 1..30 {
        let (seed, args) = (seed.to_string(), ["generate", "-n", "1", "--temp", "2", "-p", "Tom saw the ", "--seed"]);
        let story = stdout(&[&args[..], &[&seed]].concat());
        assert!(story.starts_with("Tom saw the ") || story == "Tom saw the\n", "{story:?}");
    }
    let report = json(&["generate", "-n", "9", "--json", "-p", "The cat "]);
    assert_eq!(report["prompt"], "The cat");
    assert!(report["text"].as_str().expect("a text").starts_with(' '));
    // a line end is none of this: stories have them, and no space behind
    let (out, err) = piped(&["generate", "-n", "9", "-p", "The end.\n"], b"").expect("a story");
    assert!(out.starts_with("The end.\n") && err.is_empty(), "{out} {err}");
}

#[test]
fn a_chat_folds_the_space_at_a_lines_end_too() {
    let (out, err) = chat(&["chat", "-n", "6", "--temp", "0"], b"The cat sat on the \n/continue   and the \n");
    assert_eq!(err.matches("the white space at the end is left").count(), 2, "{err}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("The cat sat on the ") && !lines[0].contains("  "), "{out}");
    assert!(lines[1].starts_with("  and the ") && !lines[1].trim_start().contains("  "), "{out}");
}

#[test]
fn a_random_seed_is_shown_and_gives_the_same_text_again() {
    let args = ["generate", "-p", "Once upon a time", "-n", "40", "--temp", "1", "--seed"];
    let of = |seed: &str| piped(&[&args[..], &[seed]].concat(), b"").expect("a story");
    let (drawn, other) = (of("random"), of("random"));
    let seed = drawn.1.trim().strip_prefix("seed ").expect("the seed alone");
    assert_eq!(of(seed), (drawn.0.clone(), String::new()));
    assert_ne!(drawn.1, other.1);
    let report = json(&["generate", "-n", "5", "--temp", "1", "--seed", "random", "--json"]);
    let again = json(&["generate", "-n", "5", "--temp", "1", "--seed", &report["seed"].to_string(), "--json"]);
    assert_eq!(report["text"], again["text"]);
    let (out, err) = chat(&["chat", "-n", "9", "--seed", "random"], b"The cat\n/seed random\nThe cat\n/set\n");
    let seeds: Vec<&str> = err.lines().map(|line| line.strip_prefix("seed ").expect("a seed")).collect();
    assert!(seeds.len() == 2 && out.contains(&format!(", seed {}, ", seeds[1])), "{out} {err}");
    let (again, _) = chat(&["chat", "-n", "9", "--seed", seeds[1]], b"The cat\n");
    assert!(again.starts_with("The cat") && out.contains(again.trim_end()), "{again:?} in {out:?}");
}

#[test]
fn symbols_of_any_script_do_not_garble_what_follows() {
    for prompt in ["\u{65e5}\u{672c}", "Tom saw a \u{1f642}", "\u{e9}", "\u{41f}\u{440}\u{438}"] {
        let mut lines = String::from("/length 60\n/temp 3\n");
        (1..=12).for_each(|seed| lines += &format!("/seed {seed}\n{prompt}\n"));
        let (out, err) = chat(&["chat"], lines.as_bytes());
        assert!(err.is_empty() && out.matches(prompt).count() >= 12, "{err}");
        assert!(!out.contains('\u{fffd}'), "{out}");
    }
}

#[test]
fn greedy_text_does_not_depend_on_the_seed() {
    let text = |seed| stdout(&["generate", "-p", "The cat", "-n", "20", "--temp", "0", "--seed", seed]);
    assert_eq!(text("1"), text("99"));
}

#[test]
fn every_level_of_this_processor_has_the_same_fingerprint() {
    let fingerprint = |more: &[&str]| stdout(&[&["fingerprint", "-n", "5", "-p", "The cat"], more].concat());
    let all = fingerprint(&[]);
    let (levels, hashes): (Vec<_>, Vec<_>) = all.lines().map(|line| line.split_once(' ').unwrap()).unzip();
    assert_eq!(levels[0], "scalar");
    assert!(hashes[0].len() == 16 && hashes.iter().all(|&hash| hash == hashes[0]), "{all}");
    assert_eq!(fingerprint(&["--level", "scalar"]), format!("scalar {}\n", hashes[0]));
    assert_ne!(fingerprint(&["--level", "scalar", "--seed", "2"]), format!("scalar {}\n", hashes[0]));
    let error = String::from_utf8(run(&["fingerprint", "--level", "mmx"]).stderr).unwrap();
    assert!(error.contains("expected one of this processor's: scalar") && error.contains("mmx"), "{error}");
}

#[test]
fn generate_reports_as_json() {
    let report = json(&["generate", "-p", "Tim had a", "-n", "12", "--seed", "5", "--json"]);
    assert_eq!(report["prompt"], "Tim had a");
    assert_eq!(report["seed"], 5);
    assert!(report["text"].is_string() && report["tokens_per_second"].is_number());
    let tokens = report["tokens"].as_u64().unwrap();
    match report["ended"].as_str().unwrap() {
        "length" => assert_eq!(tokens, 12),
        "end of story" => assert!(tokens <= 12),
        other => panic!("ended by {other}"),
    }
    let plain = stdout(&["generate", "-p", "Tim had a", "-n", "12", "--seed", "5"]);
    assert_eq!(plain, format!("Tim had a{}\n", report["text"].as_str().unwrap()));
}

#[cfg(target_os = "linux")]
#[test]
fn generating_takes_less_than_12_mb_beside_the_model() {
    let report = json(&["generate", "-p", "Once upon a time", "-n", "300", "--json"]);
    let blob = std::fs::metadata(model()).unwrap().len();
    let peak = report["peak_memory_bytes"].as_u64().unwrap();
    assert!(peak < 12_000_000 + blob, "{peak} bytes at the peak, {blob} of them the model");
}

#[test]
fn a_piped_chat_has_no_prompt_and_no_escape_codes_and_tells_the_story_generate_tells() {
    let (out, err) = chat(&[], b"/length 30\n/seed 3\nOnce upon a time\n/quit\n");
    assert_eq!(err, "");
    assert!(!out.contains('\u{1b}') && !out.contains("> "), "{out:?}");
    let told = stdout(&["generate", "-p", "Once upon a time", "-n", "30", "--seed", "3"]);
    assert_eq!(out.trim_end(), told.trim_end());
}

#[test]
fn a_chat_stopped_by_its_length_continues_where_it_was() {
    let whole = stdout(&["generate", "-p", "One day", "-n", "40", "--temp", "0"]);
    let (parts, _) = chat(&["chat", "--temp", "0", "-n", "20"], b"One day\n/continue\n");
    let joined: String = parts.split('\n').collect();
    assert_eq!(joined, whole.replace('\n', ""));
}

#[test]
fn chat_commands_answer_and_wrong_ones_are_refused_with_the_range() {
    let (out, err) =
        chat(&["chat", "-n", "5"], b"/temp 99\n/depth 99\n/sing\n/continue\nA dog\n/stats\n/set\n/help\n/reset\n\n");
    assert!(err.contains("/temp: expected a number from 0 to 10"), "{err}");
    assert!(err.contains("depths are") || err.contains("no reasoning loop"), "{err}");
    assert!(err.contains("no command /sing"), "{err}");
    assert_eq!(err.matches("no story to go on with").count(), 2, "before the first story and after /reset: {err}");
    for expected in ["tokens/s", "passes per token", "memory: session", "temp 0.7", "/load FILE"] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

#[test]
fn a_chat_loads_another_model_and_keeps_its_own_when_that_fails() {
    let path = model();
    let (_, err) = chat(&["chat", "-n", "3"], b"/load /nowhere/at.flm\nA cat\n");
    assert!(err.contains("/nowhere/at.flm: expected a readable model file") && err.contains("stays"), "{err}");
    let script = format!("/load {}\nA cat\n", path.display());
    let (out, err) = chat(&["chat", "-n", "3"], script.as_bytes());
    assert!(out.contains("A cat") && err.is_empty(), "{err}");
}

#[test]
fn a_line_that_is_not_utf8_is_skipped_with_its_number() {
    let (out, err) = chat(&["chat", "-n", "2"], b"\xff\xfe\nA bird\n");
    assert!(err.contains("line 1") && err.contains("UTF-8"), "{err}");
    assert!(out.contains("A bird"));
}

#[test]
fn evaluation_lists_the_words_that_take_most_and_fewest_passes() {
    let story = "The cat saw the dog. The dog saw the cat and ran.\n<|endoftext|>\n";
    let (_folder, path) = file("stories.txt", story.repeat(20));
    let words = json(&["eval", "--data", &path, "--words", "3", "--json"])["words"].clone();
    let list = |name: &str| words[name].as_array().expect("a list").clone();
    let (most, fewest) = (list("most"), list("fewest"));
    assert_eq!((most.len(), fewest.len()), (3, 3));
    let passes = |word: &Value| word["passes"].as_f64().expect("a number");
    assert!(passes(&most[0]) >= passes(&most[2]) && passes(&fewest[0]) <= passes(&fewest[2]));
    assert!(passes(&most[2]) >= passes(&fewest[2]));
    assert!(most.iter().chain(&fewest).all(|w| w["count"].as_u64().is_some_and(|n| n % 20 == 0)), "{words}");
    let text = stdout(&["eval", "--data", &path, "--words", "3"]);
    assert!(text.contains("words with the most passes") && text.contains("words with the fewest passes"), "{text}");
}

#[test]
fn evaluation_counts_every_byte_and_does_not_depend_on_the_threads() {
    let text = "Tom had a ball.\n<|endoftext|>\nLily saw \u{e9} cat.\nIt ran.\n<|endoftext|>\n";
    let (_folder, path) = file("stories.txt", text);
    let one = json(&["eval", "--data", &path, "--threads", "1", "--json"]);
    let four = json(&["eval", "--data", &path, "--threads", "4", "--json"]);
    assert_eq!(one["bpc"], four["bpc"]);
    assert_eq!(one["bytes"], text.len());
    assert_eq!(one["stories"], 2);
    let (bpc, bits) = (one["bpc"].as_f64().unwrap(), one["bits"].as_f64().unwrap());
    assert!((bpc - bits / text.len() as f64).abs() < 1e-12 && bpc > 0.0);
    assert!(stdout(&["eval", "--data", &path]).contains(&format!("{bpc:.4} BPC")));
}

#[test]
fn a_storys_bits_are_its_score_and_its_end() {
    let (_folder, unterminated) = file("one.txt", "Tom had a ball.");
    let (_folder2, terminated) = file("two.txt", "Tom had a ball.\n<|endoftext|>\n");
    let bits = |path: &str| json(&["eval", "--data", path, "--json"])["bits"].as_f64().unwrap();
    let score = json(&["score", &unterminated, "--json"])["scores"][0]["bits"].as_f64().unwrap();
    assert!((bits(&unterminated) - score).abs() < 1e-9);
    assert!(bits(&terminated) > score, "the end of the story costs bits too");
}

#[test]
fn marks_of_answers_are_no_text() {
    let (_folder, plain) = file("plain.txt", "Tom was in the barn.\n<|endoftext|>\n");
    let (_folder2, marked) = file("marked.txt", "Tom was in the <|answer:2|>barn<|/answer|>.\n<|endoftext|>\n");
    let (_folder3, open) = file("open.txt", "Tom.\n<|endoftext|>\nIn the <|answer|>barn.");
    let [plain, marked] = [plain, marked].map(|path| json(&["eval", "--data", &path, "--json"]));
    assert_eq!([&plain["bits"], &plain["bytes"]], [&marked["bits"], &marked["bytes"]]);
    assert!(failure(&["eval", "--data", &open]).contains("story 2, byte 26 of the file: <|answer|>"));
}

#[test]
fn score_prints_one_number_for_every_line() {
    let (_folder, path) = file("lines.txt", "The cat sat.\n\nThe dog ran.\r\nThe cat sat.");
    let lines: Vec<f64> = stdout(&["score", &path]).lines().map(|l| l.parse().expect("a number")).collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[1], 0.0);
    assert_eq!(lines[0], lines[3], "each line starts from the reset state");
    assert_eq!(json(&["score", &path, "--json"])["scores"].as_array().unwrap().len(), 4);
}

#[test]
fn bench_measures_every_level_and_depth() {
    let report = json(&["bench", "-n", "16", "--repeats", "1", "--json"]);
    let results = report["results"].as_array().unwrap();
    assert!(results.iter().any(|r| r["level"] == "scalar"));
    for result in results {
        assert!(result["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
        assert!(result["prefill_tokens_per_second"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn damaged_models_are_refused_by_name_and_reason() {
    let good = std::fs::read(model()).unwrap();
    let refused = |name: &str, bytes: &[u8], reason: &str| {
        let (_folder, path) = file(name, bytes);
        let error = failure(&["generate", "-m", &path, "-n", "1"]);
        assert!(error.contains(name) && error.contains(reason), "{error}");
    };
    refused("truncated.flm", &good[..good.len() / 2], "truncated");
    refused("short.flm", &good[..10], "not a model");
    refused("empty.flm", b"", "empty file");
    refused("text.flm", &b"Once upon a time, there was a file that was not a model at all, alas.".repeat(4), "FLM1");
    // what people hand over instead of a model, and how they get on
    let checkpoint = [&99u64.to_le_bytes()[..], b"{\"__metadata__\":{}}"].concat();
    refused("model.safetensors", &checkpoint, "a checkpoint (safetensors): `pack ");
    refused("model.safetensors", &checkpoint, "model.safetensors -o model.flm`");
    refused("model.safetensors.gz", b"\x1f\x8b\x08\0\0", "gunzip");
    refused("model.flm.gz", b"\x1f\x8b\x08\0\0", "gunzip");
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 2936896\n";
    refused("pointer.flm", pointer, "a git-LFS pointer");
    refused("page.flm", b"<!DOCTYPE html>\n<html><title>Not found</title></html>\n", "a web page");
    refused("model.zip", b"PK\x03\x04\x14\0\0\0", "a zip archive");
    let (_folder, path) = file("model.safetensors", &checkpoint);
    let (_, err) = chat(&["chat"], format!("/load {path}\n").as_bytes());
    assert!(err.contains("`pack ") && err.contains("stays"), "{err}");
    let mut version = good.clone();
    version[4] = 99;
    refused("future.flm", &version, "version 99");
    for at in [good.len() / 3, good.len() - 1, 70] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        refused("flipped.flm", &flipped, "damaged");
    }
    assert!(failure(&["generate", "-m", "/nowhere.flm"]).contains("/nowhere.flm: expected a readable model file"));
    assert!(failure(&["generate", "-m", env!("CARGO_MANIFEST_DIR")]).contains("expected a"));
}

#[test]
fn missing_and_empty_data_are_refused_by_name() {
    assert!(failure(&["eval", "--data", "/nowhere.txt"]).contains("/nowhere.txt: expected a readable text file"));
    let (_folder, path) = file("empty.txt", "");
    assert!(failure(&["eval", "--data", &path]).contains("found an empty file"));
    assert!(failure(&["score", "/nowhere.txt"]).contains("/nowhere.txt: expected"));
}

#[test]
fn flag_values_out_of_range_are_refused_with_the_range() {
    for (args, range) in [
        (["generate", "--temp", "11"], "from 0 to 10"),
        (["generate", "--top-p", "0"], "above 0, up to 1"),
        (["generate", "--length", "0"], "from 1 to"),
        (["generate", "--seed", "dice"], "from 0 to 18446744073709551615, or random"),
        (["fingerprint", "--seed", "random"], "from 0 to 18446744073709551615, found"),
        (["bench", "--tokens", "3"], "16..=100000"),
    ] {
        let output = run(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(range), "{args:?}: {error}");
    }
    assert!(failure(&["generate", "--depth", "99"]).contains("depths are"));
}

#[cfg(not(feature = "serve"))]
#[test]
fn a_program_without_a_server_says_how_to_build_one() {
    assert!(failure(&["serve"]).contains("cargo build --release -p runtime-desktop --features serve"));
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = flashlm(&["generate", "-n", "100000", "--temp", "2", "-p", "A"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
