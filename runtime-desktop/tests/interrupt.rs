//! Ctrl-C, with a model that never ends a story by itself.
#![cfg(unix)]

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use flashlm_core::blob::{Role, layout::Contents, write};
use flashlm_core::config::{Depth, ModelConfig, RcsmConfig, Writes};
use flashlm_core::{Facts, tokenizer};

/// A small model of byte tokens. Token 0, the end of a story, has the logit 0, and every other token's logit is
/// either above 0 or the negative of another's: greedy choice never ends a story.
fn endless_model() -> Vec<u8> {
    let rcsm = RcsmConfig {
        width: 16,
        ops: 2,
        slots: 1,
        depths: [1, 2, 3],
        default_depth: Depth::Fixed(1),
        taps: 1,
        after: 1,
        writes: Writes::None,
    };
    let small =
        ModelConfig { vocab: 257, d_model: 16, layers: 1, d_ffn: 16, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA };
    let sections = Role::ALL.map(|role| match Contents::of(role, &small) {
        // magic, version 1, no merges
        Contents::Bytes => [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat(),
        Contents::Embedding(shape) => {
            let mut bytes = vec![0; shape.value_bytes()];
            for row in 1..257 {
                // rows in pairs of opposite sign
                let sign = if row % 2 == 1 { 1i8 } else { -1 };
                for column in 0..16 {
                    bytes[shape.value_at(row, column)] = (sign * (1 + column as i8 * (row as i8 / 4 % 7 + 1))) as u8;
                }
            }
            (0..shape.rows).for_each(|_| bytes.extend(0.1f32.to_le_bytes()));
            bytes
        }
        Contents::Ternary(shape, count) => {
            let mut matrix = vec![0b0101_0101; shape.code_bytes()];
            (0..shape.rows).for_each(|_| matrix.extend(1f32.to_le_bytes()));
            matrix.repeat(count)
        }
        Contents::Floats(n) => 0.5f32.to_le_bytes().repeat(n),
    });
    write(&small, &Facts { name: "endless", ..Facts::default() }, &sections).expect("a model")
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(status.success());
}

#[test]
fn ctrl_c_stops_a_generation_and_not_the_chat() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("endless.flm");
    std::fs::write(&path, endless_model()).unwrap();
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
