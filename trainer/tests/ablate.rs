//! Configurations in files and grids of them, by the real program on a tiny model.
#![cfg(unix)]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use self::common::{TINY, Work, has_checkpoint, stderr, wait_for};

fn ablate(work: &Work, more: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(work.dir.path()).arg("ablate").args(TINY.split_whitespace()).args(more.split_whitespace());
    command
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Of two values: their mean and sample standard deviation.
fn spread(a: f64, b: f64) -> [f64; 2] {
    [(a + b) / 2.0, (a - b).abs() / 2f64.sqrt()]
}

fn is_near(found: &Value, want: [f64; 2]) {
    let found = [found["mean"].as_f64().unwrap(), found["sd"].as_f64().unwrap()];
    assert!(found.iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1.0)), "{found:?} {want:?}");
}

#[test]
fn a_grid_is_trained_once_and_its_table_is_what_the_runs_came_to() {
    let work = Work::new();
    let line = "--vary slots=2,4 --vary lr=0.002,0.006 --seeds 2 --steps 12 --no-calibrate --no-phase-4 \
                --data stories.txt --out all";
    let output = ablate(&work, line).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let names = ["slots=2,lr=0.002", "slots=2,lr=0.006", "slots=4,lr=0.002", "slots=4,lr=0.006"];
    let dir = |name: &str, seed: u32| work.path("all").join(name).join(format!("seed-{seed}"));
    let results = |name: &str, seed| json(&dir(name, seed).join("results.json"));
    let bpc = |name: &str, seed| results(name, seed)["held_out"]["packed_bpc"].as_f64().unwrap();
    // they are what they are called
    assert_eq!(results(names[1], 2)["settings"]["seed"], 2);
    assert_eq!(results(names[1], 2)["settings"]["schedule"]["lr"].as_f64().map(|lr| lr as f32), Some(0.006));
    let written = fs::read_to_string(dir(names[2], 1).join("run.toml")).unwrap();
    assert!(written.contains("\nrcsm-slots = 4\n") && written.contains("\nlr = 0.002\n"), "{written}");

    let report = json(&work.path("all/ablation.json"));
    assert_eq!(report["runs"].as_array().unwrap().len(), 8);
    // seed by seed, so that a noisy hour strikes all cells
    let seeds: Vec<u64> = report["runs"].as_array().unwrap().iter().map(|r| r["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [1, 1, 1, 1, 2, 2, 2, 2]);
    for (row, name) in report["cells"].as_array().unwrap().iter().zip(names) {
        let (one, two) = (bpc(name, 1), bpc(name, 2));
        assert_eq!((row["cell"].as_str(), row["complete"].as_u64()), (Some(name), Some(2)));
        is_near(&row["bpc"], spread(one, two));
        is_near(&row["difference"], spread(one - bpc(names[0], 1), two - bpc(names[0], 2)));
        let loss = |seed| {
            let text = fs::read_to_string(dir(name, seed).join("metrics.jsonl")).unwrap();
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines.rfind(|line| line["kind"] == "step").unwrap()["loss"].as_f64().unwrap()
        };
        is_near(&row["loss"], spread(loss(1), loss(2)));
        let [mean, sd] = spread(one, two);
        let cell = format!("| {name} | 2 of 2 | {mean:.4} ± {sd:.4} |");
        assert!(stdout(&output).lines().any(|line| line.starts_with(&cell)), "{cell}\n{}", stdout(&output));
    }
    let table = fs::read_to_string(work.path("all/ablation.md")).unwrap();
    assert!(stdout(&output).starts_with(&table), "{table}");
    let csv = fs::read_to_string(work.path("all/ablation.csv")).unwrap();
    let row = format!("\"{}\",2,complete,{},", names[3], bpc(names[3], 2));
    assert!(csv.lines().count() == 9 && csv.lines().any(|line| line.starts_with(&row)), "{row}\n{csv}");
    let curves = fs::read_to_string(work.path("all/curves.svg")).unwrap();
    assert_eq!((curves.matches("<polyline").count(), curves.matches("<polygon").count()), (4, 4));
    assert!(curves.contains(">slots=2,lr=0.002</text>") && curves.contains(">training, steps</text>"));

    // one is gone: given again, that one alone is trained, to the same figure
    let before = bpc(names[1], 2);
    fs::remove_dir_all(dir(names[1], 2)).unwrap();
    let logs = || [(0, 1), (1, 1), (3, 2)].map(|(i, seed)| fs::read(dir(names[i], seed).join("log.txt")).unwrap());
    let said = logs();
    let again = ablate(&work, line).output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(stderr(&again).matches("(from before)").count(), 7, "{}", stderr(&again));
    assert_eq!(stderr(&again).matches("training, see").count(), 1, "{}", stderr(&again));
    assert_eq!((logs(), bpc(names[1], 2)), (said, before));

    // another length would be another experiment
    let other = ablate(&work, &line.replace("12", "13")).output().unwrap();
    let message = stderr(&other);
    assert!(!other.status.success() && message.contains("steps = 12, not steps = 13"), "{message}");
    assert!(message.contains("expected another --out"), "{message}");
}

#[test]
fn a_run_that_fails_is_told_and_stops_no_other() {
    let work = Work::new();
    let line = "--vary data=absent.txt,stories.txt --seeds 1 --steps 2 --no-calibrate --no-phase-4 --out all";
    let output = ablate(&work, line).output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("1 of 2 runs failed"), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(table.contains("| data=absent.txt | 0 of 1 | - |"), "{table}");
    assert!(table.contains("| data=stories.txt | 1 of 1 |"), "{table}");
    assert!(table.contains("- data=absent.txt, seed 1: ") && table.contains("no such file"), "{table}");
    let report = json(&work.path("all/ablation.json"));
    assert_eq!((&report["runs"][0]["state"], &report["runs"][1]["state"]), (&"failed".into(), &"complete".into()));
    // it can be mended
    fs::copy(work.path("stories.txt"), work.path("absent.txt")).unwrap();
    let output = ablate(&work, line).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_trained() {
    let work = Work::new();
    for (vary, want) in
        [("slots=4,200", "slots=200: "), ("preset=bolt,blot", "preset=blot: "), ("magic=1", "there is no flag --magic")]
    {
        let output = ablate(&work, &format!("--vary {vary} --seeds 1 --steps 2 --no-calibrate --no-phase-4 --out all"))
            .output()
            .unwrap();
        assert!(!output.status.success() && stderr(&output).contains(want), "{}", stderr(&output));
        assert!(!work.path("all").exists());
    }
}

#[test]
fn an_interrupted_grid_goes_on_where_it_was() {
    let work = Work::new();
    let line = "--vary rcsm=on,off --seeds 1 --steps 400 --no-calibrate --no-phase-4 --data stories.txt \
                --checkpoint-every 0.01 --out all";
    let child = ablate(&work, line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(|| has_checkpoint(&work.path("all/rcsm=on/seed-1")));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success() && stderr(&output).contains("0 of 2 runs complete"), "{}", stderr(&output));
    // the run saved and ended by itself, and no other was begun
    let results = json(&work.path("all/rcsm=on/seed-1/results.json"));
    assert_eq!(results["complete"], false);
    assert!(!work.path("all/rcsm=off").exists());

    let output = ablate(&work, line).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let log = fs::read_to_string(work.path("all/rcsm=on/seed-1/log.txt")).unwrap();
    assert!(log.contains(&format!("step {}", results["steps"])) && log.contains("going on from"), "{log}");
    assert_eq!(json(&work.path("all/ablation.json"))["cells"][1]["complete"], 1);
}

#[test]
fn a_run_keeps_its_configuration_which_asks_for_it_again() {
    let work = Work::new();
    let phases = "[[phases]]\nname = 'few'\nuntil = 0.5\npool = 0.5\n[[phases]]\nname = 'all'\nuntil = 1\n";
    fs::write(work.path("base.toml"), format!("steps = 8\ndata = 'stories.txt'\nseed = 5\n{phases}")).unwrap();
    let run = work.run("out", "--config base.toml --lr 0.003");
    assert!(run.status.success(), "{}", stderr(&run));
    let results = json(&work.path("out/results.json"));
    let segments = results["phases"]["segments"].as_array().unwrap();
    let told: Vec<_> = segments.iter().map(|s| (s["name"].as_str().unwrap(), s["end"]["step"].as_u64())).collect();
    assert_eq!(told, [("few", Some(4)), ("all", Some(8))]);
    assert_eq!(results["settings"]["schedule"]["phases"][0]["pool"], 0.5);

    let written = fs::read_to_string(work.path("out/run.toml")).unwrap();
    let program = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(work.dir.path()).args(line.split_whitespace()).output().unwrap()
    };
    let printed = program("--config out/run.toml --print-config");
    assert_eq!((stdout(&printed), stderr(&printed)), (written, String::new()));
    let again = program("--config out/run.toml --out again");
    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(work.losses("again"), work.losses("out"));
    assert_eq!(work.losses("again").len(), 8);
    // nothing is trained where it is only printed, and what is wrong is said with its place
    assert!(program("--print-config --out none").status.success() && !work.path("none").exists());
    fs::write(work.path("bad.toml"), "steps = 8\nlr = 'fast'\n").unwrap();
    let bad = program("--config bad.toml");
    assert!(!bad.status.success() && stderr(&bad).starts_with("error: bad.toml:2: lr = "), "{}", stderr(&bad));
}
