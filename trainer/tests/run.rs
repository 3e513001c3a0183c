//! Whole runs of the `trainer` program on a tiny model: resume, interruption, and what is said about bad input.
#![cfg(unix)]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use flashlm_host::Blob;

use self::common::{TINY, Work, has_checkpoint, stderr, wait_for};

#[test]
fn a_killed_run_resumes_with_bit_identical_losses_and_ends_in_the_same_model() {
    killed_and_resumed("--data stories.txt --steps 400");
}

/// What attention carries from chunk to chunk is part of a checkpoint too, and so are the routers.
#[test]
fn a_killed_run_with_attention_and_routing_resumes_as_exactly() {
    let model = "--preset nova-ignition --heads 2 --d-head 16 --window 40 --mod-from 0";
    killed_and_resumed(&format!("{model} --data stories.txt --steps 400"));
}

/// Levels of questions, the reasoning story being told and the fitted choice of depth too.
#[test]
fn a_killed_run_with_reasoning_stories_resumes_as_exactly() {
    killed_and_resumed("--data stories.txt --mix reasoning=0.5 --families tracking --steps 400");
}

#[test]
fn reasoning_stories_and_marked_answers_are_counted_by_facts_and_depth() {
    let work = Work::new();
    let marked = fs::read_to_string(work.path("stories.txt")).unwrap();
    let marked = marked.replace(" lost ", " <|answer:3|>lost<|/answer|> ");
    fs::write(work.path("marked.txt"), marked).unwrap();
    let counted = |out: &str, arguments: &str| {
        let output = work.run(out, arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        let text = fs::read_to_string(work.path(out).join("metrics.jsonl")).unwrap();
        let mut total = [[0; 3]; 4];
        for line in text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()) {
            for (facts, depth) in (0..4).flat_map(|facts| (0..3).map(move |depth| (facts, depth))) {
                total[facts][depth] += line["answers"]["total"][facts][depth].as_u64().unwrap_or(0);
            }
        }
        let results = fs::read(work.path(out).join("results.json")).unwrap();
        (total, serde_json::from_slice::<serde_json::Value>(&results).unwrap())
    };
    let (plain, results) = counted("plain", "--data stories.txt --steps 40 --no-calibrate");
    assert_eq!(plain, [[0; 3]; 4]);
    assert!(results["calibration"].is_null());
    let (marked, results) =
        counted("marked", "--data marked.txt --steps 40 --reasoning-depths 0,1,0 --answer-weight 10");
    assert!(marked[2][1] > 100 && marked.iter().flatten().sum::<u64>() == marked[2][1], "{marked:?}");
    assert!(results["calibration"]["tokens"].as_u64().unwrap() > 1000);
    assert_eq!(results["settings"]["answer_weight"], 10.0);
    let (mixed, results) = counted("mixed", "--data stories.txt --steps 120 --mix reasoning=0.5 --no-curriculum");
    assert!(mixed[..3].iter().all(|depths| depths.iter().any(|&answers| answers > 0)), "{mixed:?}");
    assert!((0..3).all(|depth| mixed.iter().any(|depths| depths[depth] > 0)), "{mixed:?}");
    assert_eq!(results["level"], 10);
}

fn killed_and_resumed(arguments: &str) {
    let work = Work::new();
    let whole = work.run("whole", arguments);
    assert!(whole.status.success(), "{}", stderr(&whole));

    let mut child = work.start("cut", &format!("{arguments} --checkpoint-every 0.01"));
    wait_for(|| has_checkpoint(&work.path("cut")));
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = work.run("cut", arguments);
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("going on from cut/step-"), "{}", stderr(&resumed));

    let (whole, cut) = (work.losses("whole"), work.losses("cut"));
    assert_eq!(whole.len(), 400);
    assert_eq!(whole, cut);
    let model = |out| {
        let bytes = fs::read(work.path(out).join("model.flm")).unwrap();
        let blob = Blob::copy("model.flm", &bytes).unwrap();
        let facts = *blob.model().unwrap().facts();
        (bytes, facts.held_out_bpc)
    };
    assert_eq!(model("whole"), model("cut"));
    assert!(model("whole").1.unwrap() < 3.0, "the model learned nothing");
}

#[test]
fn an_interrupted_run_saves_exports_and_exits_with_success() {
    let work = Work::new();
    let mut child = work.start("out", "--hours 1 --checkpoint-every 60");
    // lines come with the first evaluation: some steps are taken then
    let lines = || fs::metadata(work.path("out").join("metrics.jsonl")).is_ok_and(|about| about.len() > 0);
    wait_for(lines);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert!(has_checkpoint(&work.path("out")));
    for file in ["model.flm", "model.safetensors", "results.json"] {
        assert!(work.path("out").join(file).exists(), "{file} is missing");
    }
    let packed = trainer::run::packed::load(&work.path("out").join("model.safetensors")).unwrap();
    let exported = trainer::run::packed::load(&work.path("out").join("model.flm")).unwrap();
    let config = |blob: &Blob| *blob.model().unwrap().config();
    assert_eq!(config(&packed), config(&exported));
}

#[test]
fn a_checkpoint_of_another_model_is_not_overwritten() {
    let work = Work::new();
    assert!(work.run("out", "--data stories.txt --steps 2").status.success());
    let other = work.run("out", "--data stories.txt --steps 2 --no-curriculum --optimizer adamw");
    assert!(!other.status.success());
    assert!(stderr(&other).contains("--optimizer muon"), "{}", stderr(&other));
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    let other = command.current_dir(work.dir.path()).args("--data stories.txt --steps 2 --out out".split(' ')).output();
    let message = stderr(&other.unwrap());
    assert!(message.contains("another model") && message.contains("--resume never"), "{message}");
}

#[test]
fn a_disk_that_fills_up_costs_no_earlier_checkpoint() {
    let work = Work::new();
    assert!(work.run("out", "--data stories.txt --steps 2").status.success());
    let kept = work.path("out").join("step-00000002.safetensors");
    let before = fs::read(&kept).unwrap();

    // files may grow to 32 blocks of 512 bytes: the kernel refuses the rest of a checkpoint as a full disk would
    let full = Command::new("sh")
        .current_dir(work.dir.path())
        .args(["-c", "ulimit -f 32; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_trainer")])
        .args(TINY.split_whitespace())
        .args("--out out --data stories.txt --steps 4 --extend".split(' '))
        .output()
        .unwrap();
    assert!(!full.status.success());
    assert!(stderr(&full).contains("the disk is full"), "{}", stderr(&full));
    assert_eq!(fs::read(&kept).unwrap(), before);
    let left = fs::read_dir(work.path("out")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.contains("tmp")).count(), 0);

    let resumed = work.run("out", "--data stories.txt --steps 4 --extend");
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("step-00000002"), "{}", stderr(&resumed));
    assert_eq!(work.losses("out").len(), 4);
}

#[test]
fn bad_data_is_named_in_one_line() {
    let work = Work::new();
    fs::write(work.path("empty.txt"), "").unwrap();
    fs::write(work.path("bad.txt"), b"A story.\n<|endoftext|>\nBroken \xff\xfe story.\n<|endoftext|>\n").unwrap();
    for (data, want) in [("absent.txt", "no such file"), ("empty.txt", "empty"), ("bad.txt", "story 2 is not UTF-8")] {
        let output = work.run("out", &format!("--data {data} --steps 2"));
        let message = stderr(&output);
        assert!(!output.status.success());
        let last = message.lines().last().unwrap();
        assert!(last.starts_with("error: ") && last.contains(data) && last.contains(want), "{message}");
    }
}

#[test]
fn presets_are_compared_in_a_table_as_json_and_as_a_plot() {
    let work = Work::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    command.current_dir(work.dir.path()).args(["compare", "--steps", "4", "--data", "stories.txt", "--out", "all"]);
    let tiny = "--d-model 32 --layers 3 --d-ffn 48 --vocab 300 --heads 2 --d-head 16 --window 24 --threads 1 \
                --sequences 2 --tokens 32 --eval-every 0.01";
    let output = command.args(tiny.split_whitespace()).output().unwrap();
    let (text, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{error}");
    let names = ["supernova", "thunderbolt", "nova-ignition", "bolt", "transformer"];
    for name in names {
        assert!(text.lines().any(|l| l.starts_with(&format!("| {name} |"))), "{text}");
    }
    let rows: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(work.path("all/compare.json")).unwrap()).unwrap();
    assert_eq!(rows.iter().map(|r| r["preset"].as_str().unwrap()).collect::<Vec<_>>(), names);
    for row in &rows {
        assert_eq!(row["tokens"], 4 * 64);
        let packed = fs::metadata(work.path(&format!("all/{}/model.flm", row["preset"].as_str().unwrap()))).unwrap();
        assert_eq!(row["packed_bytes"], packed.len());
        assert!(row["bpc"].as_f64().unwrap() > 0.5 && row["decode_tokens_per_second"].as_f64().unwrap() > 0.0);
        assert!(row["state_bytes"].as_u64().unwrap() >= 64 && !row["curve"].as_array().unwrap().is_empty());
    }
    // keys and values take more than a recurrent state
    assert!(rows[4]["state_bytes"].as_u64() > rows[3]["state_bytes"].as_u64());
    let plot = fs::read_to_string(work.path("all/compare.svg")).unwrap();
    assert_eq!(plot.matches("<polyline").count(), names.len());

    // given again, it trains and scores nothing anew
    assert!(command.output().unwrap().status.success());
    let again: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(work.path("all/compare.json")).unwrap()).unwrap();
    for (again, row) in again.iter().zip(&rows) {
        for fact in ["steps", "seconds", "bpc", "curve", "packed_bytes"] {
            assert_eq!(again[fact], row[fact], "{fact} of {}", row["preset"]);
        }
    }
}

#[test]
fn a_closed_pipe_ends_a_program_quietly() {
    let work = Work::new();
    fs::write(work.path("one.txt"), "Tom ran.\n").unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/supernova.flm");
    let small = "bench --d-model 32 --layers 1 --d-ffn 48 --vocab 300 --no-rcsm --sequences 1 --tokens 8 --threads 1";
    for args in [vec!["eval", "--model", model, "--data", "one.txt"], small.split(' ').collect()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(work.dir.path()).args(&args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    }
}
