//! Runs of the real program in several processes, started by `mpirun`: the same bits as in one, decisions and files of
//! the first rank alone, and nothing lost when a rank is killed.
//!
//! `cargo test -p trainer --features mpi --test mpi`, where there is an MPI. `FAULT_TRIES` is how often a rank is
//! killed (3, unless given): `FAULT_TRIES=20 cargo test --release -p trainer --features mpi --test mpi killed --
//! --nocapture`.
#![cfg(all(target_os = "linux", feature = "mpi"))]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use trainer::run::checkpoint::{self, Checkpoint};

use self::common::{TINY, Work, has_checkpoint, stderr, wait_for};

const RUN: &str = "--data stories.txt --mix reasoning=0.3 --families tracking --generated 20";

/// Ranks keep processors busy: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program on `ranks` ranks of `threads` threads, in `work`'s directory.
fn ranks(work: &Work, ranks: usize, threads: usize, out: &str, more: &str) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_trainer")]);
    arguments(&mut command, threads, out, more);
    command.current_dir(work.dir.path());
    // Open MPI's: in containers everybody is root, and there may be fewer processors than ranks
    for (name, value) in [
        ("OMPI_ALLOW_RUN_AS_ROOT", "1"),
        ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"),
        ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
        ("OMPI_MCA_hwloc_base_binding_policy", "none"),
        ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"),
        ("PRTE_MCA_hwloc_default_binding_policy", "none"),
    ] {
        command.env(name, value);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn arguments(command: &mut Command, threads: usize, out: &str, more: &str) {
    let tiny = TINY.replace("--threads 2", &format!("--threads {threads}"));
    command.args(tiny.split_whitespace()).args(["--out", out]).args(more.split_whitespace());
}

fn one(work: &Work, threads: usize, out: &str, more: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
    arguments(&mut command, threads, out, more);
    command.current_dir(work.dir.path()).stdout(Stdio::null()).stderr(Stdio::piped()).output().unwrap()
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    stderr(output)
}

fn newest(out: &Path) -> (Checkpoint, PathBuf) {
    let (_, path) = checkpoint::list(out).into_iter().next().expect("a checkpoint");
    (checkpoint::read(&path).unwrap(), path)
}

/// What of two runs has to be the same to the last bit.
fn assert_alike(work: &Work, a: &str, b: &str, what: &str) {
    assert_eq!(work.losses(a), work.losses(b), "{what}");
    let [(a, _), (b, _)] = [a, b].map(|out| newest(&work.path(out)));
    assert!(a.params.data == b.params.data, "{what}: the parameters");
    assert!(a.lanes == b.lanes, "{what}: what the lanes carry");
    let [a, b] = [a, b].map(|checkpoint| checkpoint.state.unwrap());
    assert_eq!((a.cursor, a.levels, a.tokens), (b.cursor, b.levels, b.tokens), "{what}");
}

#[test]
fn ranks_have_the_bits_of_one_process_with_all_their_threads() {
    let _turn = alone();
    let work = Work::new();
    let nova = "--preset nova-ignition --heads 2 --d-head 16 --window 40 --mod-from 0";
    for (count, threads, more) in [
        (2, 1, format!("{RUN} --steps 120 --no-calibrate")),
        (2, 1, format!("{RUN} --steps 60 --no-calibrate --generated-tolerance=-5")),
        (3, 1, "--data stories.txt --steps 20 --no-calibrate --accumulate 2 --depth-training blend".to_owned()),
        (2, 2, format!("--data stories.txt {nova} --steps 12 --no-calibrate")),
    ] {
        let name = |what: &str| format!("{what}-{count}-{threads}-{}", more.len());
        ok(&one(&work, count * threads, &name("one"), &more));
        let message = ok(&ranks(&work, count, threads, &name("ranks"), &more).output().unwrap());
        assert!(message.contains(&format!("{count} ranks x {threads} threads")), "{message}");
        assert_eq!(message.matches("to train on: ").count(), 1, "one rank speaks: {message}");
        assert_alike(&work, &name("one"), &name("ranks"), &format!("{count} ranks of {threads} threads"));
        let rolls_back = more.contains("tolerance");
        assert_eq!(message.contains("rolled back to step"), rolls_back, "{message}");
        for file in ["model.flm", "model.safetensors", "results.json", "report.html"] {
            assert!(work.path(&name("ranks")).join(file).exists(), "{file}");
        }
    }
}

#[test]
fn rounded_gradients_train_as_well() {
    let _turn = alone();
    let work = Work::new();
    let last = |out: &str| {
        let losses = work.losses(out);
        let loss = |(_, line): &(u64, String)| line.split(' ').next().unwrap().parse::<f64>().unwrap();
        let end = &losses[losses.len() - 20..];
        (loss(&losses[0]), end.iter().map(loss).sum::<f64>() / end.len() as f64)
    };
    for reduce in ["f32", "bf16", "int8"] {
        let more = format!("{RUN} --steps 150 --reduce {reduce}");
        ok(&ranks(&work, 2, 1, reduce, &more).output().unwrap());
    }
    let (first, exact) = last("f32");
    for reduce in ["bf16", "int8"] {
        let (begin, end) = last(reduce);
        assert_eq!(begin, first, "{reduce}: the first loss is of the same weights");
        assert!((end - exact).abs() < 0.05 * exact, "{reduce}: {end} for {exact}");
    }
    let (checkpoint, _) = newest(&work.path("int8"));
    assert_eq!(serde_json::to_value(checkpoint.state.unwrap().settings).unwrap()["reduce"], "int8");
}

#[test]
fn a_run_goes_on_with_other_ranks() {
    let _turn = alone();
    let work = Work::new();
    let more = |steps: u64| format!("{RUN} --steps {steps} --extend --no-calibrate --no-curriculum");
    ok(&one(&work, 2, "whole", &more(60)));
    ok(&one(&work, 2, "whole", &more(90)));
    ok(&ranks(&work, 2, 1, "parts", &more(60)).output().unwrap());
    // as many replicas in one process: to the bit
    let message = ok(&one(&work, 2, "parts", &more(90)));
    assert!(message.contains("changed: ranks: 2 -> 1") && message.contains("changed: --threads: 1 -> 2"), "{message}");
    assert!(!message.contains("new stories"), "{message}");
    assert_alike(&work, "whole", "parts", "two ranks, then one");
    // another number of replicas: weights, optimiser and clock, and about the same place in the stories
    let message = ok(&ranks(&work, 3, 1, "parts", &more(100)).output().unwrap());
    let said = "the lanes go on about where those before stood, from new stories: ranks changed";
    assert!(message.contains(said), "{message}");
    let (checkpoint, _) = newest(&work.path("parts"));
    assert_eq!(checkpoint.state.unwrap().step, 100);
    assert_eq!(work.losses("parts").len(), 100);
}

/// Processes of this program that train in `out`, an absolute path.
fn processes(out: &Path) -> Vec<u32> {
    let program = fs::canonicalize(env!("CARGO_BIN_EXE_trainer")).unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let ours = |id: &u32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let of_out = line.split(|&byte| byte == 0).any(|word| word == out.as_os_str().as_encoded_bytes());
        of_out && fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == program)
    };
    ids.filter(ours).collect()
}

fn signal(id: u32, name: &str) {
    assert!(Command::new("kill").args([name, &id.to_string()]).status().unwrap().success());
}

#[test]
fn killed_ranks_cost_no_checkpoint_and_the_run_ends_in_the_same_losses() {
    let _turn = alone();
    let work = Work::new();
    let tries: u32 = std::env::var("FAULT_TRIES").map_or(3, |tries| tries.parse().expect("a number"));
    let more = format!("{RUN} --steps 600 --checkpoint-every 0.01 --no-calibrate");
    let started = Instant::now();
    ok(&ranks(&work, 2, 1, "whole", &more).output().unwrap());
    let took = started.elapsed();
    let mut random = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut below = |most: u64| {
        // xorshift (Marsaglia, 2003)
        for shift in [13u32, 7, 17] {
            random ^= if shift == 7 { random >> shift } else { random << shift };
        }
        random % most.max(1)
    };
    let (mut kills, mut done) = (0, 0);
    while kills < tries {
        let name = format!("cut-{done}");
        let out = work.path(&name);
        let path = out.display().to_string();
        loop {
            let mut running = ranks(&work, 2, 1, &path, &more).stderr(Stdio::null()).spawn().unwrap();
            // mostly after a first checkpoint
            let moment = took.mul_f64(0.2 + below(800) as f64 / 1000.0);
            let began = Instant::now();
            while began.elapsed() < moment && running.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(2));
            }
            let victims = processes(&out);
            if kills < tries && running.try_wait().unwrap().is_none() && victims.len() == 2 {
                let (kept, victim) = (checkpoint::list(&out), below(2) as usize);
                signal(victims[victim], "-KILL");
                assert!(!running.wait().unwrap().success(), "{name}: mpirun says so");
                wait_for(|| processes(&out).is_empty());
                kills += 1;
                let steps: Vec<u64> = checkpoint::list(&out).iter().map(|(step, _)| *step).collect();
                for (step, path) in checkpoint::list(&out) {
                    checkpoint::read(&path).unwrap_or_else(|e| panic!("{name}, step {step}: {e}"));
                }
                assert!(steps.first() >= kept.first().map(|(step, _)| step), "{name}: {kept:?} became {steps:?}");
                println!("kill {kills} of {tries}: {name}, rank {victim}, checkpoints of steps {steps:?}");
            } else if running.wait().unwrap().success() {
                break;
            } else {
                panic!("{name}: a run that nobody killed failed");
            }
        }
        assert_alike(&work, "whole", &name, &name);
        done += 1;
    }
    println!("{kills} kills in {done} runs of 600 steps: no checkpoint lost, the losses of a run without any");
}

#[test]
fn the_first_ranks_interrupt_stops_all_and_saves() {
    let _turn = alone();
    let work = Work::new();
    let out = work.path("out");
    let path = out.display().to_string();
    let mut running = ranks(&work, 2, 1, &path, "--data stories.txt --hours 1 --checkpoint-every 60");
    let mut running = running.stderr(Stdio::null()).spawn().unwrap();
    wait_for(|| fs::metadata(out.join("metrics.jsonl")).is_ok_and(|about| about.len() > 0));
    processes(&out).into_iter().for_each(|id| signal(id, "-INT"));
    assert!(running.wait().unwrap().success());
    assert!(has_checkpoint(&out) && out.join("model.flm").exists());
    let (checkpoint, _) = newest(&out);
    let state = checkpoint.state.unwrap();
    assert_eq!((state.settings.batch.ranks, state.settings.batch.threads), (2, 1));
}

#[test]
fn a_run_by_the_clock_takes_its_decisions_together() {
    let _turn = alone();
    let work = Work::new();
    // evaluations, checkpoints and the fitting of depth are due every second or so, in all four phases
    let more = format!("{RUN} --minutes 0.2 --checkpoint-every 0.01");
    let message = ok(&ranks(&work, 2, 1, "out", &more).output().unwrap());
    assert!(message.matches("choice of depth fitted").count() > 1, "{message}");
    let text = fs::read(work.path("out").join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((&results["complete"], &results["settings"]["batch"]["ranks"]), (&true.into(), &2.into()));
    assert_eq!(results["phases"]["segments"].as_array().unwrap().len(), 4, "{message}");
    assert!(!results["phases"]["amplification"]["rounds"].as_array().unwrap().is_empty(), "{message}");
    assert!(results["held_out"]["bpc"].as_f64().unwrap() > 0.1);
    let steps = results["steps"].as_u64().unwrap();
    assert_eq!(work.losses("out").len() as u64, steps, "one rank writes");
}

#[test]
fn ranks_that_were_asked_for_different_things_end_with_the_difference() {
    let _turn = alone();
    let work = Work::new();
    let mut both = ranks(&work, 1, 1, "out", "--data stories.txt --steps 5");
    both.args([":", "-n", "1", env!("CARGO_BIN_EXE_trainer")]);
    arguments(&mut both, 1, "out", "--data stories.txt --steps 5 --lr 0.001");
    let output = both.output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert!(message.contains("error: rank 1 of 2: differs from rank 0 (--lr: 0.006 -> 0.001)"), "{message}");
    assert!(!has_checkpoint(&work.path("out")));
}

#[test]
fn a_rank_that_fails_ends_all_and_says_why() {
    let _turn = alone();
    let work = Work::new();
    let output = ranks(&work, 2, 1, "out", "--data absent.txt --steps 5").output().unwrap();
    assert!(!output.status.success());
    let message = stderr(&output);
    assert!(message.contains("error: rank 0 of 2: ") && message.contains("absent.txt"), "{message}");
}
