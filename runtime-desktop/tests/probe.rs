//! `flashlm probe` as a person or a script meets it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const ITEMS: &str = "family\tfacts\tprompt\tanswer\twrong\n\
    weather\t1\tOnce upon a\ttime\tbanana|nose|the\n\
    weather\t2\tOnce upon a time, there was a little\tgirl\tof|running|was\n\
    tails\t1\tShe said, \\\"\tzqx\tI|The|Hello\n";

fn probe(folder: &Path, args: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
    command.current_dir(folder).arg("probe").args(args.split_whitespace()).output().expect("flashlm starts")
}

fn stdout(folder: &Path, args: &str) -> String {
    let output = probe(folder, args);
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn items_of_a_file_are_asked_and_written_with_their_answers() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("items.tsv"), ITEMS.replace("\\\"", "\"")).unwrap();
    let args = "--file items.tsv --depth 1 --json - --tsv out.tsv";
    let report: Value = serde_json::from_str(&stdout(at, args)).unwrap();
    let groups = report["groups"].as_array().unwrap();
    let families: Vec<_> = groups.iter().map(|g| (g["family"].as_str().unwrap(), &g["facts"])).collect();
    assert_eq!(families[0], ("weather", &Value::Null));
    assert_eq!(families.len(), 4, "{families:?}");
    // the model writes stories
    let weather = &groups[0]["depths"]["1"];
    assert_eq!((&weather["choice"]["share"], &weather["exact"]["items"]), (&1.0.into(), &2.into()));
    assert_eq!(groups[3]["depths"]["1"]["exact"]["right"], 0.0);
    assert_eq!(groups[0]["baselines"]["chance"]["share"], 0.25);
    assert!(report["state_bytes"].as_u64().unwrap() > 0);

    // what was written can be asked again, on any number of threads
    let written = fs::read_to_string(at.join("out.tsv")).unwrap();
    assert!(written.lines().next().unwrap().ends_with("exact_1\tchoice_1\tpasses_1\ttold_1"), "{written}");
    let mut again: Value = serde_json::from_str(&stdout(at, "--file out.tsv --depth 1 --json - --threads 3")).unwrap();
    again["task"] = report["task"].clone();
    assert_eq!(again, report);
}

#[test]
fn tables_name_families_and_depths() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(folder.path(), "--task hops --chains --items 4 --json report.json");
    for want in ["exact match", "multiple choice", "  3 facts", "frequent"] {
        assert!(text.contains(want), "{want}: {text}");
    }
    let report: Value = serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    assert_eq!((&report["items"], &report["task"]), (&12.into(), &"hops".into()));
}

#[test]
fn what_is_wrong_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("bad.tsv"), "family\tprompt\tanswer\nf\tWhere?\n").unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    for (args, want) in [
        ("--file bad.tsv", "bad.tsv:2: expected 3 fields (family, prompt, answer) between tabs, found 2"),
        ("--file none.tsv", "none.tsv: "),
        ("--task babi", "--task babi: expected the folder"),
        ("--task babi empty", "empty: expected files qaN_name_test.txt, found none"),
        ("--task hops empty", "empty: expected a folder only with --task babi"),
        ("--task hops --items 1 --depth 77", "the built-in model supernova: --depth 77: "),
        ("--task mqar --pairs 1024 --items 1", "--pairs 1024: the model has words"),
    ] {
        let output = probe(at, args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args}: {error}");
        assert!(error.contains("error: ") && error.contains(want), "{args}: {error}");
    }
}
