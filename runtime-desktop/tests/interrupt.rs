//! Ctrl-C, with a model that never ends a story by itself.
#![cfg(unix)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

#[path = "common/endless.rs"]
mod endless;

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

#[test]
fn ctrl_c_stops_a_generation_and_not_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.flm");
    std::fs::write(&path, endless::model()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashlm"))
        .args(["chat", "--temp", "0", "--length", "1000000", "-m"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut first = [0; 200];
    for _ in 0..2 {
        input.write_all(b"abc\n").unwrap();
        // it is generating now, and far more than the pipe can hold
        output.read_exact(&mut first).unwrap();
        interrupt(&child);
        input.write_all(b"/set\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"length 1000000\n") {
            let mut byte = [0];
            output.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }
    // a story that was stopped can go on
    input.write_all(b"/continue\n").unwrap();
    output.read_exact(&mut first).unwrap();
    interrupt(&child);
    input.write_all(b"/quit\n").unwrap();
    output.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn ctrl_c_with_nothing_going_on_leaves() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashlm"))
        .args(["chat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // kept open: at the end of its input, which waiting for the child would bring about, it leaves by itself
    let mut input = child.stdin.take().unwrap();
    // an answer shows that the handler is in place
    input.write_all(b"/set\n").unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0; 10]).unwrap();
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}
