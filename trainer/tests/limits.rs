//! The trainer where memory or threads are short: it says so and ends, whatever it was asked to do.
#![cfg(target_os = "linux")]

#[path = "../../tests/common/limits.rs"]
mod limits;

use std::fs;
use std::path::Path;

const PROGRAM: &str = env!("CARGO_BIN_EXE_trainer");
const TINY: &str = "--d-model 16 --layers 1 --d-ffn 16 --vocab 300 --rcsm-width 16 --rcsm-ops 2 --rcsm-slots 2 \
                    --sequences 2 --tokens 32 --threads 2";

/// A folder with stories to train on.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let story = |i: usize| format!("Tom had {i} red balls. He lost {} of them.\n<|endoftext|>\n", i / 2);
    fs::write(dir.path().join("d.txt"), (0..300).map(story).collect::<String>()).unwrap();
    dir
}

fn run(limit: &str, line: &str, folder: &Path) -> limits::Ended {
    limits::run(limit, PROGRAM, &line.split_whitespace().collect::<Vec<_>>(), folder)
}

#[test]
fn a_limit_on_addresses_is_met_with_a_message() {
    let dir = folder();
    for line in [format!("{TINY} --data d.txt --steps 2 --resume never --out o"), format!("bench {TINY} --repeats 1")] {
        let args: Vec<&str> = line.split_whitespace().collect();
        assert!(limits::with_little_memory(PROGRAM, &args, dir.path()) > 0, "{line}: no limit was too low");
    }
}

#[test]
fn a_limit_on_threads_is_met_with_a_message() {
    let dir = folder();
    let train = format!("{TINY} --data d.txt --steps 2 --resume never --out o");
    let bench = format!("bench {TINY} --repeats 1");
    for (line, words) in [(&train, ""), (&bench, "cannot start 2 threads"), (&"smoke --threads 2".to_owned(), "")] {
        for processes in 1..4 {
            let ended = run(&format!("-u {processes}"), line, dir.path());
            ended.assert_orderly(&format!("ulimit -u {processes}: {line}"));
            assert!(processes > 1 || (ended.code == Some(1) && ended.stderr.contains(words)), "{line}: {ended:?}");
        }
    }
    // what needs no threads does without
    let ended = run("-u 1", "probe --help", dir.path());
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_model_too_large_says_what_it_needs_what_there_is_and_what_to_do() {
    let dir = folder();
    let huge = "--d-model 512 --layers 64 --d-ffn 8192 --sequences 1024 --tokens 4096 --threads 64";
    for line in [format!("{huge} --data d.txt --steps 2 --out o"), format!("bench {huge} --repeats 1")] {
        let ended = run("-v unlimited", &line, dir.path());
        ended.assert_orderly(&line);
        for words in
            ["a model of this size in training", "TB of memory, and there are", "--threads, --sequences or --tokens"]
        {
            assert!(ended.stderr.contains(words), "{line}: {ended:?}");
        }
    }
    assert!(!dir.path().join("o").exists(), "nothing was begun");
    // and one that the shell's limit forbids
    let ended = run("-v 2000000", "bench --threads 16 --repeats 1", dir.path());
    assert!(ended.code == Some(1) && ended.stderr.contains("ulimit -v"), "{ended:?}");
}
