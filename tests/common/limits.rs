//! Programs under the limits that a shell or a container sets: shared by the tests of every program.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// The longest that a program may take to say that it cannot.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// `None` for a signal.
    pub code: Option<i32>,
    pub stderr: String,
}

impl Ended {
    /// That it did its work, or said in a line why not: no abort (134), no panic (101), no signal.
    pub fn assert_orderly(&self, what: &str) {
        let said = self.stderr.lines().any(|line| line.starts_with("error: "));
        assert!(self.code == Some(0) || (self.code == Some(1) && said), "{what}: {self:?}");
        assert!(!self.stderr.contains("panicked at"), "{what}: {self:?}");
    }
}

/// Runs a program in `folder` under a limit as `ulimit` takes it: `-v` KIB, or `-u` PROCESSES.
///
/// No limit on processes binds root, who is made someone else for it, with a copy of the program to call his own.
pub fn run(limit: &str, program: &str, args: &[&str], folder: &Path) -> Ended {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    let as_other = limit.starts_with("-u") && id.stdout.trim_ascii() == b"0";
    let own = folder.join("program");
    let mut command = if as_other {
        if !own.exists() {
            fs::copy(program, &own).expect("a copy");
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).expect("a folder for all");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "54242", "--clear-groups", "bash"]);
        command
    } else {
        Command::new("bash")
    };
    let program = if as_other { own.to_str().expect("a name") } else { program };
    // the first of the arguments behind the script is its $0
    let script = format!("ulimit {limit} && exec \"$0\" \"$@\"");
    command.args(["-c", &script, program]).args(args).current_dir(folder);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell");
    let mut pipe = child.stderr.take().expect("a pipe");
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let begun = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if begun.elapsed() > PATIENCE => {
                child.kill().expect("a child to end");
                panic!("ulimit {limit}: {args:?} hangs");
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    Ended { code: status.code(), stderr: reader.join().expect("what it said") }
}

/// Runs a program under limits on its addresses from what it barely loads with to plenty, each time to an orderly end;
/// returns how many of these were refusals.
pub fn with_little_memory(program: &str, args: &[&str], folder: &Path) -> usize {
    let enough = |kib: u64| run(&format!("-v {kib}"), program, &["--version"], folder).code == Some(0);
    // what the loader itself needs is no program's to answer for
    let least = (4..).map(|step| step * 512).find(|&kib| enough(kib)).expect("some memory");
    let mut refused = 0;
    let mut kib = least;
    while kib < least + (1 << 20) {
        let ended = run(&format!("-v {kib}"), program, args, folder);
        ended.assert_orderly(&format!("ulimit -v {kib}: {args:?}"));
        refused += usize::from(ended.code == Some(1));
        kib += (kib - least) / 4 + 512;
    }
    refused
}
