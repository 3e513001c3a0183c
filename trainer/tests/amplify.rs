//! Phase 4 in whole runs of the `trainer` program on a tiny model: what it does, that it resumes, and that it goes
//! back.
#![cfg(unix)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const TINY: &str = "--d-model 32 --layers 1 --d-ffn 48 --vocab 300 --rcsm-width 16 --rcsm-ops 4 --rcsm-slots 4 \
                    --threads 2 --sequences 4 --tokens 32 --eval-every 60 --data stories.txt --steps 400";
/// The steps at which phases begin, and the end.
const PHASES: [u64; 5] = [0, 60, 200, 340, 400];

struct Work {
    dir: tempfile::TempDir,
}

impl Work {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let story = |i: usize| {
            let (who, what) = (["Tom", "Sue", "Max", "Lily"][i % 4], ["ball", "cat", "hat"][i % 3]);
            format!("Once there was {who} who had {i} red {what}s.\n{who} lost {} of them.\n<|endoftext|>\n", i / 2)
        };
        fs::write(dir.path().join("stories.txt"), (0..600).map(story).collect::<String>()).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, out: &str, more: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(self.dir.path()).args(TINY.split_whitespace()).args(["--out", out]);
        command.args(more.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// A whole run that must succeed.
    fn run(&self, out: &str, more: &str) -> Output {
        let output = self.command(out, more).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    fn start(&self, out: &str, more: &str) -> Child {
        self.command(out, more).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Losses and gradient norms of all steps, to the last digit.
    fn losses(&self, out: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path(out).join("metrics.jsonl")).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|l| l["kind"] == "step").map(|l| format!("{} {}", l["loss"], l["grad_norm"])).collect()
    }

    /// The report on the phases, without the times.
    fn phases(&self, out: &str) -> Value {
        let results = fs::read(self.path(out).join("results.json")).unwrap();
        let mut phases = serde_json::from_slice::<Value>(&results).unwrap()["phases"].take();
        without_seconds(&mut phases);
        phases
    }

    fn model(&self, out: &str) -> Vec<u8> {
        fs::read(self.path(out).join("model.flm")).unwrap()
    }

    /// The newest checkpoint's step.
    fn newest(&self, out: &str) -> u64 {
        let names = fs::read_dir(self.path(out)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let steps = names.filter_map(|n| n.strip_prefix("step-")?.strip_suffix(".safetensors")?.parse().ok());
        steps.max().unwrap()
    }
}

fn without_seconds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("seconds");
            map.values_mut().for_each(without_seconds);
        }
        Value::Array(items) => items.iter_mut().for_each(without_seconds),
        _ => {}
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_for(what: impl Fn() -> bool) {
    let started = Instant::now();
    while !what() {
        assert!(started.elapsed() < Duration::from_secs(300), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn phase_4_tells_stories_keeps_the_best_and_reports_what_every_phase_bought() {
    let work = Work::new();
    // a model this small gets worse by chance; going back is another test's
    let output = work.run("with", "--generated 96 --generated-share 0.5 --generated-tolerance 9");
    let phases = work.phases("with");
    let segments = phases["segments"].as_array().unwrap();
    for (segment, steps) in segments.iter().zip(PHASES.windows(2)) {
        assert_eq!((&segment["begin"]["step"], &segment["end"]["step"]), (&steps[0].into(), &steps[1].into()));
        assert_eq!(segment["end"]["tokens"].as_u64(), Some(steps[1] * 256));
    }
    assert_eq!(segments.len(), 4);
    for pair in segments.windows(2) {
        assert_eq!(pair[0]["end"], pair[1]["begin"]);
    }
    let bpc = |mark: &Value| mark["bpc"].as_f64().unwrap();
    assert!(bpc(&segments[3]["end"]) < bpc(&segments[0]["begin"]) - 1.0, "{phases}");

    let amplification = &phases["amplification"];
    let rounds = amplification["rounds"].as_array().unwrap();
    assert_eq!(rounds.iter().map(|r| r["step"].as_u64().unwrap()).collect::<Vec<_>>(), [340, 360, 380]);
    for (number, round) in rounds.iter().enumerate() {
        assert_eq!(round["generated"], 96);
        let kept = round["kept"].as_u64().unwrap();
        assert!(0 < kept && kept <= 24 && kept <= round["sane"].as_u64().unwrap(), "{round}");
        let mean = |of: &str| round[of]["log_likelihood"].as_f64().unwrap();
        assert!(mean("best") > mean("all"), "{round}");
        let text = fs::read(work.path(&format!("with/phase-4-round-{}.txt", number + 1))).unwrap();
        let stories: Vec<_> = flashlm_core::text::stories(&text).collect();
        assert_eq!(stories.len() as u64, kept);
        assert!(stories.iter().all(|s| s.terminated && s.text.ends_with(b".")));
    }
    assert_eq!(amplification["checks"].as_array().unwrap().len(), 4);
    assert_eq!(amplification["ended"], Value::Null);
    assert!(!work.path("with/phase-4-begin.safetensors").exists(), "a complete run needs no copy");
    let text = stderr(&output);
    for want in ["foundation ", "amplification ", "phase 4: told 288 stories in 3 rounds, kept ", "; not rolled back"] {
        assert!(text.contains(want), "{want}: {text}");
    }

    work.run("without", "--no-phase-4");
    let without = work.phases("without");
    assert_eq!(without["amplification"]["rounds"], Value::Array(Vec::new()));
    assert_eq!(without["segments"].as_array().unwrap().len(), 4);
    let (with, without) = (work.losses("with"), work.losses("without"));
    assert_eq!(with[..340], without[..340], "it changes nothing before it begins");
    assert_ne!(with[340..], without[340..], "the stories are read");
}

#[test]
fn a_run_interrupted_and_killed_in_phase_4_ends_like_one_that_was_not() {
    let work = Work::new();
    let arguments = "--generated 200 --generated-share 0.5";
    work.run("whole", arguments);

    let round = |n: u64| work.path(&format!("cut/phase-4-round-{n}.txt")).exists();
    let mut child = work.start("cut", arguments);
    wait_for(|| round(1));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    let interrupted = work.newest("cut");
    assert!((340..400).contains(&interrupted), "stopped at step {interrupted}");

    let mut child = work.start("cut", arguments);
    wait_for(|| round(3));
    child.kill().unwrap();
    child.wait().unwrap();

    let resumed = work.run("cut", arguments);
    let going_on = format!("going on from cut/step-{interrupted:08}");
    assert!(stderr(&resumed).contains(&going_on), "{}", stderr(&resumed));
    assert_eq!(work.losses("whole").len(), 400);
    assert_eq!(work.losses("whole"), work.losses("cut"));
    assert_eq!(work.phases("whole"), work.phases("cut"));
    assert_eq!(work.model("whole"), work.model("cut"));
}

/// The choice of depth is fitted to what training would read next, stories of the model's own among it.
#[test]
fn a_run_cut_while_it_was_measured_is_measured_to_the_same_model() {
    let work = Work::new();
    work.run("out", "");
    let (model, report) = (work.model("out"), work.phases("out"));
    assert_ne!(report["amplification"]["rounds"], Value::Array(Vec::new()), "no story was told");
    fs::remove_file(work.path("out/results.json")).unwrap();
    fs::remove_file(work.path("out/model.flm")).unwrap();
    let again = work.run("out", "");
    assert!(stderr(&again).contains("choice of depth fitted"), "{}", stderr(&again));
    assert!(work.model("out") == model, "another model");
    assert_eq!(work.phases("out"), report);
}

#[test]
fn a_run_whose_held_out_text_does_not_do_as_demanded_is_rolled_back_and_resumes_so() {
    let work = Work::new();
    // a fall by nine bits per character in 60 steps cannot be: the first look goes back
    let arguments = "--generated 64 --generated-share 0.5 --generated-tolerance=-9";
    let output = work.run("whole", arguments);
    let text = stderr(&output);
    assert!(text.contains("rolled back to step 340, on without generated stories"), "{text}");
    let amplification = &work.phases("whole")["amplification"];
    assert_eq!(amplification["ended"]["rolled_back"]["step"], 355);
    assert_eq!(amplification["rounds"].as_array().unwrap().len(), 1);
    assert_eq!(amplification["checks"].as_array().unwrap().len(), 3, "it is still looked at");
    assert_eq!(work.losses("whole").len(), 400);

    // the same, stopped after the begin of the phase, so that another process goes back
    let mut child = work.start("cut", arguments);
    wait_for(|| work.path("cut/phase-4-round-1.txt").exists());
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    work.run("cut", arguments);
    assert_eq!(work.losses("whole"), work.losses("cut"));
    assert_eq!(work.phases("whole"), work.phases("cut"));
    assert_eq!(work.model("whole"), work.model("cut"));
}
