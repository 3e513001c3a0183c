//! `trainer probe`: text to train on, a model trained on it, and the questions it is asked.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn trainer(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(folder).args(args.split_whitespace()).output().expect("trainer starts")
}

fn stdout(folder: &Path, args: &str) -> String {
    let output = trainer(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_model_trained_on_written_text_is_asked_by_file_or_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    stdout(at, "probe --task mqar --pairs 2,3 --stories 400 --write text");
    let train = fs::read_to_string(at.join("text/train.txt")).unwrap();
    assert_eq!(train.matches("<|endoftext|>\n").count(), 400);
    assert_eq!(train.matches("<|answer|>").count(), 200 * (2 + 3));
    assert_eq!(fs::read_to_string(at.join("text/test.txt")).unwrap().matches("<|endoftext|>\n").count(), 4);

    let tiny = "--d-model 32 --layers 1 --d-ffn 48 --vocab 700 --rcsm-width 16 --rcsm-ops 4 --threads 1 --sequences 4 \
                --tokens 32 --data text/train.txt --steps 3 --out out";
    stdout(at, tiny);
    let ask = |model: &str| {
        let args = format!("probe out/{model} --task mqar --pairs 2,3 --items 6 --json - --depth 1,chosen");
        let report: serde_json::Value = serde_json::from_str(&stdout(at, &args)).unwrap();
        assert_eq!(report["items"], 12);
        report["groups"].clone()
    };
    assert_eq!(ask("model.flm"), ask("model.safetensors"));
}

#[test]
fn reasoning_stories_are_written_marked_and_their_items_have_as_many_of_each_number_of_facts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    stdout(at, "probe --stories 200 --write text");
    let train = fs::read_to_string(at.join("text/train.txt")).unwrap();
    assert_eq!(train.matches("<|endoftext|>\n").count(), 200);
    assert!(train.matches("<|answer|>").count() >= 200);
    assert_eq!(train.matches("<|answer|>").count(), train.matches("<|/answer|>").count());

    stdout(at, "probe --family tracking,if-then --facts 1,2,3 --items 30 --tsv items.tsv");
    let items = fs::read_to_string(at.join("items.tsv")).unwrap();
    for family in ["tracking", "if-then"] {
        for facts in 1..=3 {
            let start = format!("{family}\t{facts}\t");
            assert_eq!(items.lines().filter(|l| l.starts_with(&start)).count(), 10, "{start}");
        }
    }
}

#[test]
fn babi_files_become_training_text_and_held_out_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("en")).unwrap();
    let story = |i: usize| format!("1 Mary went to room {i}.\n2 Where is Mary?\troom{i}\t1\n3 Why?\tfun,joy\t1\n");
    fs::write(at.join("en/qa1_single_train.txt"), (0..20).map(story).collect::<String>()).unwrap();
    stdout(at, "probe --task babi en --write out --hold-out 0.1");
    let held = fs::read_to_string(at.join("out/held-out/qa1_single_valid.txt")).unwrap();
    assert_eq!(held.matches("1 Mary").count(), 2);
    let train = fs::read_to_string(at.join("out/train.txt")).unwrap();
    assert!(train.matches("Why? <|answer|>fun, joy<|/answer|>.\n").count() >= 18, "{train}");
    for line in held.lines().filter(|l| l.starts_with("1 ")) {
        assert!(!train.contains(&line[2..]), "{line} is trained on");
    }
    // without a model the held-out questions can be written as items
    stdout(at, "probe --task babi out/held-out --tsv items.tsv");
    let items = fs::read_to_string(at.join("items.tsv")).unwrap();
    assert_eq!(items.lines().count(), 1 + 4, "{items}");
    assert!(items.contains("Where is Mary?\troom"), "{items}");
}

#[test]
fn a_probe_needs_something_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (args, want) in [
        ("probe", "expected a model to ask, or --tsv or --write"),
        ("probe a.flm b.flm", "b.flm: expected one model, found a second"),
        ("probe a b --task babi", "b: expected a model (.flm or .safetensors) and a folder"),
        ("probe none.flm", "none.flm: "),
    ] {
        let output = trainer(folder.path(), args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(want), "{args}: {error}");
    }
}

#[test]
fn split_and_wordings_say_whose_words_and_how_many_sentences_are_asked_in() {
    let folder = tempfile::tempdir().unwrap();
    let prompts = |args: &str| -> Vec<String> {
        let plain = "probe --family tracking --facts 1 --filler 0 --distractors 0 --items 60 --tsv items.tsv";
        stdout(folder.path(), &format!("{plain} {args}"));
        let items = fs::read_to_string(folder.path().join("items.tsv")).unwrap();
        items.lines().skip(1).map(|line| line.split('\t').nth(3).unwrap().to_owned()).collect()
    };
    let direct = |prompts: &[String]| prompts.iter().filter(|prompt| prompt.ends_with('?')).count();
    let (plainest, all) = (prompts("--split train --wordings 1"), prompts("--split train"));
    assert_eq!((plainest.len(), direct(&plainest)), (60, 60), "the plainest questions are answered at once");
    assert!(direct(&all) < 50, "{} of 60", direct(&all));
    // what the test asks with never asks in training
    let asks = |prompts: &[String]| prompts.iter().filter(|p| p.contains("Where can ")).count();
    assert_eq!(asks(&plainest), 0);
    assert!(asks(&prompts("--split test --wordings 1")) > 5);
    assert_eq!(prompts("--split test"), prompts(""), "the test's is the default");
}
