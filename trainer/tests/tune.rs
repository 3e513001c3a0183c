//! A trained model goes on with other text, and several texts are read together.

mod common;

use std::fs;
use std::process::{Command, Output};

use common::{Work, stderr};
use flashlm_host::Blob;

/// Notes in the words of a trade, one a document.
fn notes() -> String {
    let note = |i: usize| {
        let (tool, part) = (["file", "lathe", "drill"][i % 3], ["shaft", "bolt", "plate", "gear"][i % 4]);
        format!("Note {i}: set the {tool} to {} and turn the {part} {} times.\n<|endoftext|>\n", i % 7, i % 5)
    };
    (0..400).map(note).collect()
}

fn tune(work: &Work, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(work.dir.path()).arg("tune").args(arguments.split_whitespace()).output().unwrap()
}

/// Before and after, of the line that begins with `text`.
fn change(output: &Output, text: &str) -> (f64, f64) {
    let message = stderr(output);
    let line = message.lines().find(|line| line.starts_with(text)).unwrap_or_else(|| panic!("no {text}: {message}"));
    let mut figures = line.split_whitespace().filter_map(|word| word.parse().ok());
    (figures.next().unwrap(), figures.next().unwrap())
}

fn packed(work: &Work, out: &str) -> Blob {
    Blob::open(&work.path(out).join("model.flm")).unwrap()
}

#[test]
fn a_packed_model_learns_a_new_text_and_keeps_its_tokenizer() {
    let work = Work::new();
    let trained = work.run("out", "--data stories.txt --steps 250 --no-curriculum --no-phase-4");
    assert!(trained.status.success(), "{}", stderr(&trained));
    fs::write(work.path("notes.txt"), notes()).unwrap();
    let usual = "notes.txt --from out/model.flm --steps 150 --lr 0.003 --threads 2 --sequences 4";
    let own = tune(&work, usual);
    assert!(own.status.success(), "{}", stderr(&own));
    let (before, after) = change(&own, "new text");
    assert!(after < 0.8 * before, "{before} -> {after}");
    let (before, after) = change(&own, "its own stories");
    assert!(before < 3.0 && after < before + 0.5, "{before} -> {after}");
    let of = |blob: &Blob| {
        let model = blob.model().unwrap();
        let spelled: Vec<_> = (0..model.config().vocab).map(|t| model.tokenizer().unwrap().piece(t as u16)).collect();
        (*model.config(), format!("{spelled:?}"))
    };
    assert_eq!(of(&packed(&work, "out/tuned")), of(&packed(&work, "out")));

    // with the text it was trained on at hand, and from the checkpoint
    let usual = usual.replace("model.flm", "model.safetensors");
    let old = tune(&work, &format!("{usual} --old stories.txt --out second"));
    assert!(old.status.success(), "{}", stderr(&old));
    let (before, after) = change(&old, "stories.txt");
    assert!(after < before + 0.3, "{before} -> {after}");
    let none = tune(&work, &format!("{usual} --old-share 0 --out third"));
    assert!(none.status.success() && !stderr(&none).contains("rehearse"), "{}", stderr(&none));
}

#[test]
fn what_a_model_without_training_tells_is_rehearsed_too() {
    let work = Work::new();
    assert!(work.run("out", "--data stories.txt --steps 1 --no-phase-4").status.success());
    fs::write(work.path("notes.txt"), notes()).unwrap();
    // it tells every byte there is
    let tuned = tune(&work, "notes.txt --from out/model.flm --steps 1 --threads 2 --sequences 4");
    assert!(tuned.status.success(), "{}", stderr(&tuned));
}

#[test]
fn a_model_to_begin_with_brings_its_dimensions() {
    let work = Work::new();
    assert!(work.run("out", "--data stories.txt --steps 3 --no-phase-4").status.success());
    let begin = |more: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        let arguments = format!("--from out/model.flm --data stories.txt --steps 2 --no-phase-4 --out again {more}");
        command.current_dir(work.dir.path()).args(arguments.split_whitespace()).output().unwrap()
    };
    let refused = begin("--d-model 64");
    assert!(!refused.status.success());
    assert!(stderr(&refused).contains("out/model.flm has dimensions of its own"), "{}", stderr(&refused));
    let taken = begin("");
    assert!(taken.status.success(), "{}", stderr(&taken));
    assert!(stderr(&taken).contains("begins with the weights and the tokenizer of out/model.flm"));
    assert_eq!(packed(&work, "again").model().unwrap().config().d_model, 32);
    let results: serde_json::Value =
        serde_json::from_slice(&fs::read(work.path("again/results.json")).unwrap()).unwrap();
    assert_eq!(results["settings"]["from"], "out/model.flm");
}

#[test]
fn another_text_is_mixed_in_with_its_share() {
    let work = Work::new();
    let lines: String = notes()
        .split("\n<|endoftext|>\n")
        .filter(|note| !note.is_empty())
        .map(|note| serde_json::json!({ "text": note }).to_string() + "\n")
        .collect();
    fs::write(work.path("notes.jsonl"), lines).unwrap();
    let mixed = work.run("out", "--data stories.txt --mix notes.jsonl=0.3 --steps 30 --no-phase-4");
    assert!(mixed.status.success(), "{}", stderr(&mixed));
    let message = stderr(&mixed);
    assert!(message.contains("mixed in, 30 %: notes.jsonl: 400 documents"), "{message}");
    let again = work.run("out", "--data stories.txt --mix notes.jsonl=0.5 --steps 40 --extend --no-phase-4");
    let message = stderr(&again);
    assert!(message.contains("source.texts.1.share: 0.3 -> 0.5") && message.contains("starts anew"), "{message}");
    let all = work.run("none", "--data stories.txt --mix notes.jsonl=0.6 --mix stories.txt=0.5 --steps 2");
    assert!(!all.status.success());
    assert!(stderr(&all).contains("add up to 1.1, expected at most 0.9"), "{}", stderr(&all));
    let absent = work.run("none", "--data stories.txt --mix poems.txt=0.3 --steps 2");
    assert!(!absent.status.success() && stderr(&absent).contains("poems.txt: no such file"), "{}", stderr(&absent));
}
