//! Runs of the real program on a tiny model and made-up stories.
#![allow(dead_code, reason = "each test program uses some of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const TINY: &str = "--d-model 32 --layers 1 --d-ffn 48 --vocab 400 --rcsm-width 16 --rcsm-ops 4 --rcsm-slots 4 \
                    --threads 2 --sequences 4 --tokens 32 --eval-every 0.02";

pub struct Work {
    pub dir: tempfile::TempDir,
}

impl Work {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let story = |i: usize| {
            let (who, what) = (["Tom", "Sue", "Max", "Lily"][i % 4], ["ball", "cat", "hat"][i % 3]);
            format!("Once there was {who} who had {i} red {what}s.\n{who} lost {} of them.\n<|endoftext|>\n", i / 2)
        };
        fs::write(dir.path().join("stories.txt"), (0..600).map(story).collect::<String>()).unwrap();
        Self { dir }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn command(&self, out: &str, more: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.dir.path()).args(TINY.split_whitespace()).args(["--out", out]);
        command.args(more.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, out: &str, more: &str) -> Output {
        self.command(out, more).output().unwrap()
    }

    pub fn start(&self, out: &str, more: &str) -> Child {
        self.command(out, more).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Step -> (loss, gradient norm), to the last digit.
    pub fn losses(&self, out: &str) -> Vec<(u64, String)> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines
            .filter(|line| line["kind"] == "step")
            .map(|line| (line["step"].as_u64().unwrap(), format!("{} {}", line["loss"], line["grad_norm"])))
            .collect()
    }
}

pub fn wait_for(mut what: impl FnMut() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn has_checkpoint(out: &Path) -> bool {
    let Ok(entries) = fs::read_dir(out) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("step-"))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
