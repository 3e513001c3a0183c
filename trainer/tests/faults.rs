//! What can go wrong under a run, done to the real program on purpose: after each fault the last checkpoint is whole,
//! the message says what happened, and a run that goes on ends in the same losses, to the last digit, as one that
//! nothing happened to. Prints a table: fault, tries, losses.
//!
//! `FAULT_TRIES` is how often each random fault is tried (4, unless given): `FAULT_TRIES=40 cargo test -p trainer
//! --test faults -- --ignored --nocapture`.
#![cfg(unix)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use trainer::run::checkpoint;

use self::common::{TINY, Work, has_checkpoint, stderr, wait_for};

const RUN: &str = "--data stories.txt --mix reasoning=0.3 --families tracking --steps 300";

/// What a fault cost.
struct Row {
    fault: &'static str,
    tries: u32,
    /// Tries after which something was lost, and what.
    lost: Vec<String>,
}

/// A run that nothing happened to, and the place for those that something does.
struct Bench {
    work: Work,
    losses: Vec<(u64, String)>,
    model: Vec<u8>,
    took: Duration,
    rows: Vec<Row>,
    random: u64,
}

fn tries() -> u32 {
    std::env::var("FAULT_TRIES").map_or(4, |tries| tries.parse().expect("FAULT_TRIES is a number"))
}

impl Bench {
    fn new() -> Self {
        let work = Work::new();
        // once for the cache, then as all others are
        assert!(work.run("first", RUN).status.success());
        let started = Instant::now();
        let whole = work.run("whole", RUN);
        let took = started.elapsed();
        assert!(whole.status.success(), "{}", stderr(&whole));
        let (losses, model) = (work.losses("whole"), fs::read(work.path("whole/model.flm")).unwrap());
        assert_eq!(losses.len(), 300);
        Self { work, losses, model, took, rows: Vec::new(), random: 0x5eed }
    }

    /// Does `fault` so often, each time for a run of its own, and keeps what it says was lost.
    fn row(&mut self, fault: &'static str, tries: u32, once: impl Fn(&mut Self, &str) -> Result<(), String>) {
        let mut lost = Vec::new();
        for number in 0..tries {
            let out = format!("out-{}-{number}", self.rows.len());
            if let Err(what) = once(self, &out) {
                lost.push(format!("{out}: {what}"));
            }
            let _ = fs::remove_dir_all(self.work.path(&out));
        }
        self.rows.push(Row { fault, tries, lost });
    }

    /// A share of the time that a whole run takes.
    fn moment(&mut self) -> Duration {
        // SplitMix64
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        self.took.mul_f64((z >> 11) as f64 / (1u64 << 53) as f64)
    }

    fn start(&self, out: &str, more: &str) -> Child {
        self.work.start(out, &format!("{RUN} --checkpoint-every 0.01 {more}"))
    }

    /// Starts a run and kills it as soon as a checkpoint is there.
    fn killed_after_a_checkpoint(&self, out: &str) {
        let mut child = self.start(out, "");
        wait_for(|| has_checkpoint(&self.work.path(out)));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Whether every checkpoint can be read, and what a run that goes on comes to.
    fn goes_on(&self, out: &str, more: &str) -> Result<(), String> {
        let dir = self.work.path(out);
        for (step, path) in checkpoint::list(&dir) {
            let found = checkpoint::read_to_resume(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            if found.state.map(|state| state.step) != Some(step) {
                return Err(format!("{}: is of another step", path.display()));
            }
        }
        let output = self.work.run(out, &format!("{RUN} {more}"));
        if !output.status.success() {
            return Err(stderr(&output));
        }
        let left: Vec<String> = names(&dir).into_iter().filter(|name| name.contains("tmp")).collect();
        if !left.is_empty() && !left.iter().all(|name| is_young(&dir.join(name))) {
            return Err(format!("left behind: {left:?}"));
        }
        if self.work.losses(out) != self.losses {
            return Err("other losses".into());
        }
        if fs::read(dir.join("model.flm")).unwrap() != self.model {
            return Err("another model".into());
        }
        Ok(())
    }

    fn table(&self) -> String {
        let mut text = String::from("fault                                        tries  losses\n");
        for Row { fault, tries, lost } in &self.rows {
            text += &format!("{fault:44} {tries:5}  {:6}\n", lost.len());
            lost.iter().for_each(|what| text += &format!("    {what}\n"));
        }
        text
    }
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A killed process's temporary file is removed once it is sure that nobody writes it.
fn is_young(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.modified().unwrap().elapsed().is_ok_and(|age| age.as_secs() < 15))
}

/// All files of a directory but the lock, with their bytes.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let names = names(dir).into_iter().filter(|name| name != "run.lock");
    names.map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// Whether a run fails with a message that contains `want`, and changes nothing in its directory.
fn refused(bench: &Bench, out: &str, more: &str, want: &[&str]) -> Result<(), String> {
    let dir = bench.work.path(out);
    let before = contents(&dir);
    let output = bench.work.run(out, &format!("{RUN} {more}"));
    let message = stderr(&output);
    if output.status.code() != Some(1) || !want.iter().all(|want| message.contains(want)) {
        return Err(format!("{:?}: {message}", output.status));
    }
    if contents(&dir) != before { Err("its directory changed".into()) } else { Ok(()) }
}

#[test]
#[ignore = "takes minutes: bash .ci/run faults runs it"]
fn no_fault_costs_anything() {
    let mut bench = Bench::new();
    let few = tries().div_ceil(4);

    bench.row("kill -9 at a random moment", tries(), |bench, out| {
        let moment = bench.moment();
        let mut child = bench.start(out, "");
        std::thread::sleep(moment);
        let _ = child.kill();
        child.wait().unwrap();
        bench.goes_on(out, "")
    });
    bench.row("kill -9 while a checkpoint is written", tries(), |bench, out| {
        let mut child = bench.start(out, "");
        let dir = bench.work.path(out);
        let writing = || names(&dir).iter().any(|name| name.starts_with(".step-"));
        let started = Instant::now();
        while !writing() && started.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        let _ = child.kill();
        child.wait().unwrap();
        bench.goes_on(out, "")
    });
    bench.row("terminated at a random moment", tries(), |bench, out| {
        let moment = bench.moment();
        let mut child = bench.start(out, "");
        std::thread::sleep(moment);
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
        child.wait().unwrap();
        bench.goes_on(out, "")
    });
    bench.row("disk full (files may not grow), any size", tries(), |bench, out| {
        bench.killed_after_a_checkpoint(out);
        let blocks = 8 + bench.moment().as_micros() % 400;
        let limited = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
        let output = Command::new("sh")
            .current_dir(bench.work.dir.path())
            .args(["-c", &limited, env!("CARGO_BIN_EXE_trainer")])
            .args(TINY.split_whitespace())
            .args(["--out", out])
            .args(RUN.split_whitespace())
            .output()
            .unwrap();
        let message = stderr(&output);
        if !output.status.success() && (output.status.code() != Some(1) || !message.contains("full")) {
            return Err(format!("{:?}: {message}", output.status));
        }
        bench.goes_on(out, "")
    });
    bench.row("newest checkpoint cut, empty or spoilt", 4 * few, |bench, out| {
        bench.killed_after_a_checkpoint(out);
        let path = checkpoint::list(&bench.work.path(out)).remove(0).1;
        let mut bytes = fs::read(&path).unwrap();
        // an older one to go back to
        let before = path.with_file_name("step-00000000.safetensors");
        let whole = bytes.clone();
        match out.as_bytes()[out.len() - 1] % 4 {
            0 => bytes.truncate(bytes.len() / 2),
            1 => bytes.clear(),
            2 => bytes[..200].fill(0xff),
            _ => {
                // a weight that is no number, right behind the header
                let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
                bytes[8 + header..12 + header].copy_from_slice(&f32::NAN.to_le_bytes());
            }
        }
        fs::write(&path, &bytes).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        refused(bench, out, "", &[name, "nothing was changed", "--resume never"])?;
        // with one before it, that one is offered
        fs::write(&before, &whole).unwrap();
        refused(bench, out, "", &[name, "step-00000000.safetensors goes on from the one before"])?;
        fs::remove_file(&before).unwrap();
        fs::write(&path, &whole).unwrap();
        bench.goes_on(out, "")
    });
    bench.row("a second trainer in the same directory", few, |bench, out| {
        let mut first = bench.start(out, "");
        wait_for(|| bench.work.path(out).join("metrics.jsonl").exists());
        let second = bench.work.run(out, RUN);
        let message = stderr(&second);
        let running = first.try_wait().unwrap().is_none();
        let status = first.wait().unwrap();
        if running && (second.status.code() != Some(1) || !message.contains(&format!("process {}", first.id()))) {
            return Err(message);
        }
        if !status.success() {
            return Err("the first one failed".into());
        }
        bench.goes_on(out, "")
    });
    bench.row("output cannot be written", few, |bench, out| {
        fs::write(bench.work.path(out), "a file").unwrap();
        let output = bench.work.run(out, RUN);
        let message = stderr(&output);
        fs::remove_file(bench.work.path(out)).unwrap();
        match output.status.code() == Some(1) && message.contains(out) {
            true => Ok(()),
            false => Err(message),
        }
    });
    bench.row("clock set back: files of tomorrow", few, |bench, out| {
        bench.killed_after_a_checkpoint(out);
        let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
        for dir in [bench.work.path(out), bench.work.path(".flashlm-cache")] {
            for name in names(&dir) {
                fs::File::options().append(true).open(dir.join(name)).unwrap().set_modified(tomorrow).unwrap();
            }
        }
        bench.goes_on(out, "")
    });
    bench.row("token cache cut under the run", few, |bench, out| {
        let cache = format!("{out}-cache");
        let more = format!("--cache {cache}");
        let mut child = bench.work.command(out, &format!("{RUN} --checkpoint-every 0.01 {more}")).spawn().unwrap();
        wait_for(|| has_checkpoint(&bench.work.path(out)) || child.try_wait().unwrap().is_some());
        for name in names(&bench.work.path(&cache)).iter().filter(|name| name.starts_with("tokens-")) {
            let path = bench.work.path(&cache).join(name);
            fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        let message = stderr(&output);
        if !output.status.success() && (output.status.code() != Some(1) || !message.contains("made anew")) {
            return Err(format!("{:?}: {message}", output.status));
        }
        bench.goes_on(out, &more)
    });
    bench.row("training that diverges (NaN)", few, |bench, out| {
        bench.killed_after_a_checkpoint(out);
        let steps = |dir: &Path| checkpoint::list(dir).into_iter().map(|(step, _)| step).max();
        let before = steps(&bench.work.path(out));
        let output =
            bench.work.run(out, &format!("{RUN} --lr 1 --clip 0 --float-lr 100 --embedding-lr 100 --warmup 0"));
        let message = stderr(&output);
        if !output.status.success() && output.status.code() != Some(1) {
            return Err(format!("{:?}: {message}", output.status));
        }
        // whatever came of it: what was saved can be gone on from
        let dir = bench.work.path(out);
        let kept = checkpoint::list(&dir);
        if steps(&dir) < before {
            return Err("a checkpoint is gone".into());
        }
        kept.iter().try_for_each(|(_, path)| checkpoint::read_to_resume(path).map(drop)).map_err(|e| e.to_string())
    });
    bench.row("the terminal hangs up under nohup", few, |bench, out| {
        let mut command = Command::new("sh");
        let ignoring = "trap '' HUP; exec \"$0\" \"$@\"";
        command.current_dir(bench.work.dir.path()).args(["-c", ignoring, env!("CARGO_BIN_EXE_trainer")]);
        command.args(TINY.split_whitespace()).args(["--out", out]).args(RUN.split_whitespace());
        let mut child = command.stderr(Stdio::null()).stdout(Stdio::null()).process_group(0).spawn().unwrap();
        wait_for(|| bench.work.path(out).join("metrics.jsonl").exists() || child.try_wait().unwrap().is_some());
        let _ = Command::new("kill").args(["-HUP", &child.id().to_string()]).stderr(Stdio::null()).status();
        if !child.wait().unwrap().success() || bench.work.losses(out).len() != 300 {
            return Err("it was stopped".into());
        }
        bench.goes_on(out, "")
    });

    let table = bench.table();
    println!("{table}");
    assert!(bench.rows.iter().all(|row| row.lost.is_empty()), "{table}");
}
