//! `flashlm` where memory or threads are short.
#![cfg(target_os = "linux")]

#[path = "../../tests/common/limits.rs"]
mod limits;

use std::fs;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flashlm");

#[test]
fn a_limit_on_addresses_is_met_with_a_message() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("d.txt"), "Once upon a time.\n<|endoftext|>\nThe end.\n".repeat(20)).unwrap();
    for args in [&["eval", "--data", "d.txt", "--threads", "2"][..], &["generate", "--tokens", "5"]] {
        assert!(limits::with_little_memory(PROGRAM, args, dir.path()) > 0, "{args:?}: no limit was too low");
    }
}

#[test]
fn without_threads_the_one_there_is_does_all_the_work() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("d.txt"), "Once upon a time.\n<|endoftext|>\nThe end.\n".repeat(20)).unwrap();
    let eval = &["eval", "--data", "d.txt", "--threads", "8"][..];
    for args in [eval, &["probe", "--items", "2", "--threads", "8", "--depth", "1", "--task", "mqar"]] {
        for processes in 1..4 {
            let ended = limits::run(&format!("-u {processes}"), PROGRAM, args, dir.path());
            assert_eq!(ended.code, Some(0), "ulimit -u {processes}: {args:?}: {ended:?}");
        }
    }
}
