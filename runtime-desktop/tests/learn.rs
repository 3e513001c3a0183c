//! `/learn`, with a script in the trainer's place.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Held while a program is written and started: a test that starts another meanwhile hands the open file down to it,
/// and no system runs a file that is open for writing ("text file busy").
static STARTING: Mutex<()> = Mutex::new(());

/// A copy of the program in a folder of its own, with a trainer beside it that is this script.
fn program(dir: &Path, trainer: Option<&str>) -> Child {
    let _alone = STARTING.lock().unwrap();
    let flashlm = dir.join("flashlm");
    fs::copy(env!("CARGO_BIN_EXE_flashlm"), &flashlm).unwrap();
    if let Some(script) = trainer {
        fs::write(dir.join("trainer"), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(dir.join("trainer"), fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::write(dir.join("notes.txt"), "Some notes.").unwrap();
    let mut command = Command::new(flashlm);
    command.current_dir(dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// All that the program says to these lines, the later ones written once `ready` exists.
fn said(mut child: Child, first: &str, ready: Option<&Path>, then: &str) -> String {
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(first.as_bytes()).unwrap();
    let begun = Instant::now();
    while ready.is_some_and(|ready| !ready.exists()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
    // the script is gone a moment after its last line
    std::thread::sleep(Duration::from_millis(300));
    stdin.write_all(then.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

#[test]
fn a_text_is_learnt_in_the_background_and_what_came_of_it_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let script = "echo \"$@\" > arguments\n\
                  echo 'new text: 3.0000 -> 2.0000 bits per character (-33.3 %)' >&2\n\
                  touch done";
    let child = program(dir.path(), Some(script));
    let said = said(child, "/learn notes.txt\n", Some(&dir.path().join("done")), "/set\n/set\n");
    assert!(said.contains("learning notes.txt for a minute, in out/learned"), "{said}");
    let learnt = "learnt notes.txt: new text: 3.0000 -> 2.0000 bits per character (-33.3 %)";
    assert_eq!(said.matches(learnt).count(), 1, "{said}");
    assert!(said.contains("/load out/learned/model.flm talks to it"), "{said}");
    let arguments = fs::read_to_string(dir.path().join("arguments")).unwrap();
    assert_eq!(arguments.trim(), "tune notes.txt --out out/learned --from default");
}

#[test]
fn what_keeps_a_text_from_being_learnt_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let without = said(program(dir.path(), None), "/learn notes.txt\n/learn no.txt\n", None, "/quit\n");
    assert!(without.contains("expected the trainer at ") && without.contains("cargo build --release"), "{without}");
    assert!(without.contains("/learn: no.txt: expected a text to learn"), "{without}");
    let script = "echo 'notes.txt: no stories: it is empty' >&2; touch done; exit 1";
    let child = program(dir.path(), Some(script));
    let failed = said(child, "/learn notes.txt\n", Some(&dir.path().join("done")), "/set\n");
    assert!(failed.contains("notes.txt was not learnt: notes.txt: no stories: it is empty"), "{failed}");
}

#[test]
fn one_text_is_learnt_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let child = program(dir.path(), Some("touch begun; sleep 5"));
    let said = said(child, "/learn notes.txt\n", Some(&dir.path().join("begun")), "/learn notes.txt\n/quit\n");
    assert!(said.contains("/learn: notes.txt is still being learnt"), "{said}");
}
