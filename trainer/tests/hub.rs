//! `trainer --data hf:OWNER/NAME` against a hub on this machine, as a user meets it.
#![cfg(target_os = "linux")]

#[path = "../src/data/hub/tests/server.rs"]
mod server;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use server::{Reply, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_trainer");
const TINY: &str = "--d-model 16 --layers 1 --d-ffn 16 --vocab 300 --rcsm-width 16 --rcsm-ops 2 --rcsm-slots 2 \
                    --sequences 2 --tokens 32 --threads 1 --steps 1 --resume never --out o";

/// The trainer in `folder`, which is its user's home, and its hub at `endpoint`.
fn trainer(folder: &Path, endpoint: &str, data: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(TINY.split_whitespace()).args(["--data", data]).current_dir(folder);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HF_") || name.starts_with("XDG_")) {
        command.env_remove(name);
    }
    command.env("HF_HOME", folder.join("hf")).env("HF_ENDPOINT", endpoint);
    command
}

/// Its exit status and what it said.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("panicked"), "{text}");
    (output.status.code(), text)
}

/// A hub with one data set of one file.
fn stories() -> Server {
    let story = |i: usize| format!("Tom had {i} red balls. He lost {} of them.\n<|endoftext|>\n", i / 2);
    let text: String = (0..200).map(story).collect();
    let blob = [format!("blob {}\0", text.len()).as_bytes(), text.as_bytes()].concat();
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &blob);
    let etag: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    Server::new(move |request| match request.path.as_str() {
        "/api/datasets/someone/stories/revision/main?blobs=true" => {
            Reply::new(200, r#"{"sha":"c1","siblings":[{"rfilename":"train.txt"}]}"#)
        }
        "/datasets/someone/stories/resolve/c1/train.txt" => {
            let from = request.from();
            let reply = Reply::new(if from > 0 { 206 } else { 200 }, &text.as_bytes()[from..]);
            let reply = reply.with("Content-Range", format!("bytes {from}-{}/{}", text.len() - 1, text.len()));
            reply.with("X-Repo-Commit", "c1").with("ETag", format!("\"{etag}\""))
        }
        "/api/datasets/hotel/wifi/revision/main?blobs=true" => Reply::page("Welcome"),
        _ => Reply::new(401, "").with("X-Error-Code", "RepoNotFound"),
    })
}

#[test]
fn a_run_on_a_data_set_goes_on_without_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stories();
    let (code, text) = ended(&mut trainer(folder.path(), &hub.address, "hf:someone/stories"));
    assert!(code == Some(0) && text.contains("downloading train.txt"), "{code:?} {text}");
    assert_eq!(hub.count("GET", "train.txt"), 1);
    // a hub that is gone, and one that is not to be asked
    let (code, text) = ended(&mut trainer(folder.path(), "http://127.0.0.1:1", "hf:someone/stories"));
    assert!(code == Some(0) && text.contains("cannot be reached"), "{code:?} {text}");
    assert!(text.contains("using commit c1 of the cache"), "{text}");
    let mut offline = trainer(folder.path(), &hub.address, "hf:someone/stories");
    let (code, text) = ended(offline.env("HF_HUB_OFFLINE", "1"));
    assert!(code == Some(0) && text.contains("HF_HUB_OFFLINE is set: using commit c1"), "{code:?} {text}");
    assert_eq!(hub.requests().len(), 3);
}

#[test]
fn what_is_wrong_is_said_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stories();
    let refused = |data: &str, variables: &[(&str, &str)], words: &str| {
        let mut command = trainer(folder.path(), &hub.address, data);
        let (code, text) = ended(command.envs(variables.iter().copied()));
        assert!(code == Some(1) && text.lines().any(|line| line.starts_with("error: ")), "{code:?} {text}");
        assert!(text.contains(words), "no {words:?} in {text}");
    };
    refused("hf:someone/other", &[], "needs a token");
    refused("hf:someone/other", &[("HF_TOKEN", "hf_secret")], "the token of HF_TOKEN is not accepted");
    let last = hub.requests().pop().unwrap();
    assert_eq!(last.header("authorization"), Some("Bearer hf_secret"));
    refused("hf:hotel/wifi", &[], "an HTML page (\"Welcome\")");
    refused("hf:someone/stories/../x", &[], "expected hf:OWNER/NAME");
    refused("hf:someone/other", &[("HF_HUB_OFFLINE", "1")], "not in the cache");
    refused("hf:someone/other", &[("HF_ENDPOINT", "hub")], "HF_ENDPOINT: expected");
    refused("hf:someone/other", &[("HF_HUB_ETAG_TIMEOUT", "x")], "HF_HUB_ETAG_TIMEOUT: expected");
}

#[test]
fn a_user_without_a_home_is_told_what_to_set() {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        eprintln!("only root can become a user without a home: not tried");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let program = folder.path().join("trainer");
    fs::copy(PROGRAM, &program).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "54243", "--clear-groups", "env", "-i"]).arg(program).args(["--data", "hf:a/b"]);
    let (code, text) = ended(command.current_dir(folder.path()));
    assert!(code == Some(1) && text.contains("hf:a/b: there is no home directory"), "{code:?} {text}");
    assert!(text.contains("set HF_HOME"), "{text}");
}

#[test]
fn ctrl_c_ends_the_wait_for_a_silent_hub_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Server::new(|_| Reply::silent());
    let mut command = trainer(folder.path(), &hub.address, "hf:someone/stories");
    command.env("HF_HUB_DOWNLOAD_TIMEOUT", "600").stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while hub.requests().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "the hub is asked");
        thread::sleep(Duration::from_millis(20));
    }
    let pressed = Instant::now();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(pressed.elapsed() < Duration::from_secs(10), "Ctrl-C is not answered");
        thread::sleep(Duration::from_millis(10));
    };
    let took = pressed.elapsed();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let text = lines.collect::<Vec<_>>().join("\n");
    assert!(took < Duration::from_secs(1) && !status.success() && text.contains("stopped"), "{took:?} {text}");
}

#[test]
fn a_pointer_in_place_of_stories_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n";
    fs::write(folder.path().join("train.txt"), pointer).unwrap();
    for data in ["train.txt", "."] {
        let (code, text) = ended(&mut trainer(folder.path(), "http://127.0.0.1:1", data));
        assert!(code == Some(1) && text.contains("train.txt: expected stories, found a git-LFS pointer"), "{text}");
    }
}
