//! What the program shows of the reasoning loop, on a random model of byte tokens.

use std::io::Write;
use std::process::{Command, Stdio};

use flashlm_core::blob::{Role, write};
use flashlm_core::config::ModelConfig;
use flashlm_core::testing::{SMALL, random_sections};
use flashlm_core::{Facts, tokenizer};
use serde_json::Value;

/// A folder with a model in it: (folder, path).
fn model(config: &ModelConfig) -> (tempfile::TempDir, String) {
    let mut sections = random_sections(config, 9);
    // magic, version 1, no merges
    sections[Role::Tokenizer as usize] = [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random.flm");
    std::fs::write(&path, write(config, &Facts::default(), &sections).expect("a model")).unwrap();
    let path = path.to_str().expect("UTF-8").to_string();
    (folder, path)
}

fn bytes() -> ModelConfig {
    ModelConfig { vocab: 257, ..SMALL }
}

fn generate(path: &str, more: &[&str]) -> Vec<u8> {
    let args = [&["generate", "-p", "Tom", "-n", "12", "--depth", "3", "-m", path], more].concat();
    let output = Command::new(env!("CARGO_BIN_EXE_flashlm")).args(args).output().expect("flashlm starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_trace_follows_the_same_text_with_every_tokens_passes() {
    let (_folder, path) = model(&bytes());
    let (plain, traced) = (generate(&path, &[]), generate(&path, &["--trace"]));
    let trace = String::from_utf8(traced.strip_prefix(&plain[..]).expect("the same text first").to_vec()).unwrap();
    let report: Value = serde_json::from_slice(&generate(&path, &["--trace", "--json"])).unwrap();
    let steps = report["trace"].as_array().unwrap();
    let drawn = report["tokens"].as_u64().unwrap() as usize + usize::from(report["ended"] == "end of story");
    assert_eq!(steps.len(), drawn);
    // the first token follows the end of the story before, and "Tom"
    assert_eq!(steps[0]["position"], 4);
    assert!(steps.iter().all(|step| step["passes"].as_array().unwrap().len() == 3));
    assert_eq!(trace.matches(": 3 passes\n").count(), drawn);
    assert_eq!(trace.matches("  3: operations ").count(), drawn);
    assert!(trace.contains(" after ") && trace.contains(" before ") && trace.contains("; hop 0."), "{trace}");
    let untraced: Value = serde_json::from_slice(&generate(&path, &["--json"])).unwrap();
    assert!(untraced["trace"].is_null() && untraced["text"] == report["text"]);
}

/// Runs a chat with the model at `path` over `input` and returns (standard output, standard error).
fn chat(path: &str, input: &str) -> (String, String) {
    chat_at(&["--depth", "2"], path, input)
}

/// The same at the depth that `depth` says.
fn chat_at(depth: &[&str], path: &str, input: &str) -> (String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashlm"))
        .args(["chat", "-n", "1", "-m", path])
        .args(depth)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    (String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into())
}

#[test]
fn a_chat_traces_from_where_it_is_switched_on_until_it_is_switched_off() {
    let (_folder, path) = model(&bytes());
    let (out, err) = chat(&path, "abc\n/trace on\n/set\n/continue x\n/trace off\n/continue y\n/help\n");
    assert_eq!(err, "", "{out}");
    let (before, rest) = out.split_once("trace on, length 1").expect("the settings");
    assert_eq!((before.matches(": 2 passes\n").count(), rest.matches(": 2 passes\n").count()), (0, 1), "{out}");
    assert!(rest.contains("/trace on|off"));
    let (_, err) = chat(&path, "/trace maybe\n");
    assert!(err.contains("/trace: expected on or off"), "{err}");
}

#[test]
fn why_lists_what_was_done_for_the_words_that_went_deeper_alone() {
    let (_folder, path) = model(&bytes());
    let prompt = "Tom was here. Lily is in the barn with a big red cat and a dog";
    let args = ["trace", "-n", "1", "--depth", "auto", "-p", prompt, "-m", &path];
    let trace = Command::new(env!("CARGO_BIN_EXE_flashlm")).args(args).output().unwrap();
    let trace: Value = serde_json::from_slice(&trace.stdout).unwrap();
    let words = trace["words"].as_array().unwrap();
    let from = words.iter().position(|word| word["word"] == " Lily").unwrap();
    let sentence: Vec<_> = words[from..].iter().filter(|w| !w["word"].as_str().unwrap().trim().is_empty()).collect();
    let passes = |word: &&Value| word["passes"].as_u64().unwrap();
    let (fewest, most) = (sentence.iter().map(passes).min(), sentence.iter().map(passes).max());
    assert_ne!(fewest, most, "all words alike prove nothing");
    let deeper: Vec<_> = sentence.iter().filter(|word| Some(passes(word)) > fewest).collect();
    let tokens: u64 = deeper.iter().map(|word| word["tokens"].as_u64().unwrap()).sum();
    let (out, err) = chat(&path, &format!("/depth auto\n{prompt}\n/why\n"));
    let (_, why) = out.split_once(&format!("Lily({}) is(", passes(&sentence[0]))).expect("the sentence");
    let heading = format!("Words took from {} to {} passes (depth auto)", fewest.unwrap(), most.unwrap());
    let (line, details) = why.split_once(&heading).expect("how many");
    assert_eq!(line.matches('(').count(), sentence.len() - 2, "{line}");
    let steps = details.lines().filter(|line| line.starts_with('"'));
    assert_eq!((steps.count() as u64, err.as_str()), (tokens, ""), "{details}");
}

#[test]
fn a_model_without_a_loop_has_nothing_to_trace() {
    let (_folder, path) = model(&ModelConfig { rcsm: None, ..bytes() });
    let output =
        Command::new(env!("CARGO_BIN_EXE_flashlm")).args(["generate", "--trace", "-m", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no reasoning loop"));
    let output = Command::new(env!("CARGO_BIN_EXE_flashlm")).args(["trace", "-m", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no reasoning loop"));
    let (_, err) = chat_at(&[], &path, "abc\n/why\n");
    assert!(err.contains("no reasoning loop, so there is nothing to explain"), "{err}");
}
