//! The program as a person or a script meets it: its output, its errors, its exit codes.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The model built into the program, as a file.
fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/default.flm")
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
        (["bench", "--tokens", "3"], "16..=100000"),
    ] {
        let output = run(&args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(range), "{args:?}: {error}");
    }
    assert!(failure(&["generate", "--depth", "99"]).contains("depths are"));
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
