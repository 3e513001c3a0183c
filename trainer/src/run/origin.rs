//! Where results come from: program, machine, time and arguments.

use std::process::Command;
use std::time::SystemTime;
use std::{env, fs};

use serde::{Deserialize, Serialize};

/// What trained, on what, when and as was asked. Files of before it was written down have none of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Commit that the program was built from; `unknown` for one built outside a checkout.
    pub commit: String,
    /// The processor's own name.
    pub cpu: String,
    /// Threads that trained.
    pub threads: usize,
    /// When it ended, in UTC, by RFC 3339.
    pub date: String,
    /// The program and its arguments.
    pub arguments: Vec<String>,
}

/// What is known of a run before it has results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Underway {
    pub preset: String,
    pub parameters: usize,
    pub origin: Origin,
}

impl Origin {
    /// This program, here and now.
    pub fn now(threads: usize) -> Self {
        Self {
            commit: env!("FLASHLM_COMMIT").into(),
            cpu: cpu(),
            threads,
            date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            arguments: env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        }
    }
}

/// The processor's name as the system gives it, its architecture where it gives none.
fn cpu() -> String {
    let linux = || named(&fs::read_to_string("/proc/cpuinfo").ok()?);
    let apple = || {
        let output = Command::new("sysctl").args(["-n", "machdep.cpu.brand_string"]).output().ok()?;
        let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (!name.is_empty()).then_some(name)
    };
    let windows = || env::var("PROCESSOR_IDENTIFIER").ok();
    let found = match env::consts::OS {
        "macos" => apple(),
        "windows" => windows(),
        _ => linux(),
    };
    found.unwrap_or_else(|| env::consts::ARCH.into())
}

/// The name in a text like Linux's `/proc/cpuinfo`: x86 and some others have a model's name, small boards a machine's.
fn named(about: &str) -> Option<String> {
    let value = |key: &str| {
        let mut fields = about.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(name, value)| name.trim() == key && !value.trim().is_empty())?;
        Some(value.trim().to_owned())
    };
    ["model name", "Model", "Hardware"].into_iter().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_named_by_the_first_field_that_names_it() {
        let x86 = "processor\t: 0\nmodel\t\t: 143\nmodel name\t: Some CPU @ 2 GHz\n\nprocessor\t: 1\nmodel name\t: B\n";
        assert_eq!(named(x86).as_deref(), Some("Some CPU @ 2 GHz"));
        assert_eq!(named("processor\t: 0\nModel\t\t: Some Board 4\n").as_deref(), Some("Some Board 4"));
        assert_eq!(named("model name\t:\nprocessor\t: 0\n"), None);
    }

    #[test]
    fn an_origin_says_when_in_utc_and_what_was_asked() {
        let origin = Origin::now(3);
        assert_eq!(origin.threads, 3);
        assert!(humantime::parse_rfc3339(&origin.date).unwrap().elapsed().unwrap().as_secs() < 60, "{}", origin.date);
        assert!(!origin.cpu.is_empty() && !origin.arguments.is_empty());
        let hex = origin.commit.bytes().all(|b| b.is_ascii_hexdigit()) && origin.commit.len() >= 40;
        assert!(hex || origin.commit == "unknown", "{}", origin.commit);
    }
}
