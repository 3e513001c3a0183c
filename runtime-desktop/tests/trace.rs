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
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashlm"))
        .args(["chat", "-n", "1", "--depth", "2", "-m", path])
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
fn a_model_without_a_loop_has_nothing_to_trace() {
    let (_folder, path) = model(&ModelConfig { rcsm: None, ..bytes() });
    let output =
        Command::new(env!("CARGO_BIN_EXE_flashlm")).args(["generate", "--trace", "-m", &path]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no reasoning loop"));
}
