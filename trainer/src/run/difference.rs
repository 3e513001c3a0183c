//! What is not as it was when a run goes on: every difference is told, with both values, or refused.

use std::time::Duration;

use flashlm_core::config::ModelConfig;
use serde::Serialize;
use serde_json::Value;

use crate::data::Fingerprints;
use crate::run::checkpoint::State;
use crate::run::clock::Clock;
use crate::run::schedule::Budget;
use crate::run::settings::Settings;

/// Settings by their flags, where those are not called as they are stored.
const FLAGS: [(&str, &str); 25] = [
    ("answer_smoothing", "--answer-smoothing"),
    ("answer_weight", "--answer-weight"),
    ("batch.accumulate", "--accumulate"),
    ("batch.ranks", "ranks"),
    ("batch.sequences", "--sequences"),
    ("batch.threads", "--threads"),
    ("batch.tokens", "--tokens"),
    ("optimizer.clip", "--clip"),
    ("optimizer.lr.embedding", "--embedding-lr"),
    ("optimizer.lr.float", "--float-lr"),
    ("optimizer.moments", "--moments"),
    ("optimizer.momentum", "--momentum"),
    ("optimizer.weight_decay.ternary", "--weight-decay"),
    ("reduce", "--reduce"),
    ("schedule.cooldown", "--cooldown"),
    ("schedule.lr", "--lr"),
    ("schedule.lr_floor", "--lr-floor"),
    ("schedule.shape", "--schedule"),
    ("schedule.warmup", "--warmup"),
    ("source.mix.share", "--mix reasoning"),
    ("source.reading.form.field", "--field"),
    ("source.reading.form.separator", "--separator"),
    ("source.reading.split", "--split"),
    ("source.train", "--data"),
    ("source.valid", "--valid"),
];

/// How a run that goes on differs from what it was.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Difference {
    /// What changed, a line each, as `name: before -> now`.
    pub changes: Vec<String>,
    /// What of that keeps the data stream and the lanes' state from being carried on, so that they start anew.
    pub restarts: Vec<&'static str>,
    /// What of that makes it another number of lanes: they go on about where those before stood, without their state.
    pub regroups: Vec<&'static str>,
}

/// Compares what is asked for now, and the data there is, with what a checkpoint was trained with. All but the
/// optimiser's rule, the seed and the length may change; the length where `extends` says so.
///
/// # Errors
/// What must not change did; the message has both values and what to do.
pub fn difference(before: &State, now: &Settings, data: &Fingerprints, extends: bool) -> Result<Difference, String> {
    let old = &before.settings;
    let kinds = (now.optimizer.kind, old.optimizer.kind);
    if kinds.0 != kinds.1 {
        return Err(format!("it was trained with --optimizer {:?}, not {:?}", kinds.1, kinds.0).to_lowercase());
    }
    if now.seed != old.seed {
        return Err(format!(
            "its seed is {}, not {}: the order of the stories and which of them are held out depend on it; expected \
             --seed {}",
            old.seed, now.seed, old.seed
        ));
    }
    if now.budget != old.budget && !extends {
        return Err(format!(
            "the run was to take {}, not {}: expected {} to go on as it was planned, or --extend to make it another \
             length ({})",
            length(old.budget),
            length(now.budget),
            flag(old.budget),
            extension(before, now)
        ));
    }
    let mut changes = Vec::new();
    if now.budget != old.budget {
        let extension = extension(before, now);
        changes.push(format!("length: {} -> {} ({extension})", length(old.budget), length(now.budget)));
    }
    let same_length = Settings { budget: old.budget, ..now.clone() };
    changes.extend(changed(old, &same_length));
    let mut restarts = Vec::new();
    let mut restart = |differs: bool, what| restarts.extend(differs.then_some(what));
    // accumulation only says how often the optimiser steps, and threads may be in whatever ranks: the lanes are the
    // same
    restart(now.batch.tokens != old.batch.tokens, "--tokens");
    restart(now.source.mix != old.source.mix || now.source.texts != old.source.texts, "--mix");
    if let Some(was) = &before.fingerprints {
        restart(was.stories != data.stories, "the training stories");
        let prints = |a: u64, b: u64| format!("fingerprint {a:016x} -> {b:016x}");
        if was.stories != data.stories {
            changes.push(format!("the training stories are others: {}", prints(was.stories, data.stories)));
        }
        if was.held_out != data.held_out {
            changes.push(format!(
                "the held-out text is another, so figures before and after do not compare, and some of it may have \
                 been trained on: {}",
                prints(was.held_out, data.held_out)
            ));
        }
    } else {
        restart(now.source != old.source, "the data");
    }
    let mut regroups = Vec::new();
    if now.batch.replicas() != old.batch.replicas() {
        regroups.push(if now.batch.ranks == old.batch.ranks { "--threads" } else { "ranks" });
    }
    if now.batch.sequences != old.batch.sequences {
        regroups.push("--sequences");
    }
    Ok(Difference { changes, restarts, regroups })
}

/// How the settings of two runs differ, as `flag: one -> other`.
pub fn settings(one: &Settings, other: &Settings) -> Vec<String> {
    changed(one, other)
}

/// How two models' dimensions differ, as `name: before -> now`.
pub fn dimensions(before: &ModelConfig, now: &ModelConfig) -> Vec<String> {
    changed(before, now)
}

/// What another length does to the run at the moment.
fn extension(before: &State, now: &Settings) -> String {
    let at = |settings: &Settings| {
        let clock = Clock::start(settings.budget, Duration::from_secs_f64(before.elapsed));
        let point = settings.schedule.at(clock.progress(before.step));
        let phase = &settings.schedule.phases[point.phase];
        (format!("phase {} of {} ({})", point.phase + 1, settings.schedule.phases.len(), phase.name), point.lr)
    };
    let ((phase_was, lr_was), (phase, lr)) = (at(&before.settings), at(now));
    let phases = if phase == phase_was { format!("still {phase}") } else { format!("{phase_was} -> {phase}") };
    format!("{phases}, learning rate {} -> {}", significant(lr_was), significant(lr))
}

/// Three digits, which is what a learning rate is known to.
fn significant(value: f32) -> String {
    format!("{value:.2e}").parse::<f32>().map_or_else(|_| value.to_string(), |rounded| rounded.to_string())
}

fn length(budget: Budget) -> String {
    match budget {
        Budget::Hours(hours) => format!("{hours} hours"),
        Budget::Steps(steps) => format!("{steps} steps"),
    }
}

fn flag(budget: Budget) -> String {
    match budget {
        Budget::Hours(hours) => format!("--hours {hours}"),
        Budget::Steps(steps) => format!("--steps {steps}"),
    }
}

/// The leaves that differ, as `name: before -> now`.
fn changed<T: Serialize>(before: &T, now: &T) -> Vec<String> {
    // plain values: cannot fail
    let flat = |value: &T| serde_json::to_value(value).unwrap_or_default();
    let mut changes = Vec::new();
    compare("", &flat(before), &flat(now), &mut changes);
    changes
}

fn compare(path: &str, before: &Value, now: &Value, changes: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let null = Value::Null;
                compare(&path, a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null), changes);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}.{}", index + 1), a, b, changes);
            }
        }
        _ if before != now => {
            let name = FLAGS.iter().find(|(stored, _)| *stored == path).map_or(path, |(_, flag)| flag);
            changes.push(format!("{name}: {} -> {}", shown(before), shown(now)));
        }
        _ => {}
    }
}

/// A value as a user would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            // stored with 32 bits, and as short as those say it
            Some(double) if f64::from(double as f32) == double => (double as f32).to_string(),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim;
    use crate::run::checkpoint;
    use crate::run::settings::Batch;

    const DATA: Fingerprints = Fingerprints { stories: 1, held_out: 2, tokenizer: 3 };

    fn before() -> State {
        let settings = checkpoint::tests::settings();
        let state = State::new(50, 50, 100.0, 4096, Value::Null, settings);
        State { fingerprints: Some(DATA), ..state }
    }

    #[test]
    fn the_same_again_is_no_difference() {
        let before = before();
        assert_eq!(difference(&before, &before.settings, &DATA, false), Ok(Difference::default()));
    }

    #[test]
    fn what_changes_is_told_as_the_user_writes_it() {
        let before = before();
        let mut now = before.settings.clone();
        now.schedule.lr = 1e-3;
        now.batch.threads = 3;
        now.source.valid = Some("v.txt".into());
        let data = Fingerprints { stories: 9, ..DATA };
        let d = difference(&before, &now, &data, false).unwrap();
        assert_eq!(
            d.changes,
            [
                "--threads: 2 -> 3",
                "--lr: 0.003 -> 0.001",
                "--valid: none -> v.txt",
                "the training stories are others: fingerprint 0000000000000001 -> 0000000000000009"
            ]
        );
        assert_eq!((d.restarts, d.regroups), (vec!["the training stories"], vec!["--threads"]));
        let held_out = difference(&before, &before.settings, &Fingerprints { held_out: 9, ..DATA }, false).unwrap();
        assert!(held_out.restarts.is_empty() && held_out.changes[0].contains("do not compare"), "{held_out:?}");
    }

    #[test]
    fn as_many_replicas_in_other_processes_are_the_same_lanes() {
        let mut before = before();
        let mut now = before.settings.clone();
        now.batch = Batch { threads: 1, ranks: 2, ..now.batch };
        let d = difference(&before, &now, &DATA, false).unwrap();
        assert_eq!(d.changes, ["ranks: 1 -> 2", "--threads: 2 -> 1"]);
        assert!(d.restarts.is_empty() && d.regroups.is_empty(), "{d:?}");
        before.settings.batch = Batch { threads: 1, ranks: 4, ..now.batch };
        assert_eq!(difference(&before, &now, &DATA, false).unwrap().regroups, ["ranks"]);
    }

    #[test]
    fn rule_seed_and_length_are_refused_with_both_values() {
        let before = before();
        let refused = |change: fn(&mut Settings)| {
            let mut now = before.settings.clone();
            change(&mut now);
            difference(&before, &now, &DATA, false).unwrap_err()
        };
        let kind = refused(|s| s.optimizer.kind = optim::Kind::Muon);
        assert!(kind.contains("--optimizer adamw, not muon"), "{kind}");
        let seed = refused(|s| s.seed = 8);
        assert!(seed.contains("seed is 7, not 8") && seed.contains("expected --seed 7"), "{seed}");
        let length = refused(|s| s.budget = Budget::Steps(1000));
        assert!(length.contains("100 steps, not 1000 steps: expected --steps 100"), "{length}");
        assert!(length.contains("phase 3 of 4 (reasoning) -> phase 1 of 4 (foundation), learning rate"), "{length}");
        let hours = refused(|s| s.budget = Budget::Hours(2.0));
        assert!(hours.contains("100 steps, not 2 hours"), "{hours}");
    }

    #[test]
    fn an_extension_says_what_it_does() {
        let before = before();
        let now = Settings { budget: Budget::Steps(1000), ..before.settings.clone() };
        let d = difference(&before, &now, &DATA, true).unwrap();
        assert_eq!(d.changes.len(), 1);
        assert!(d.changes[0].starts_with("length: 100 steps -> 1000 steps (phase 3 of 4"), "{d:?}");
        assert!(d.restarts.is_empty());
    }

    #[test]
    fn other_dimensions_are_listed() {
        let now = ModelConfig { d_model: 128, rcsm: None, ..ModelConfig::SUPERNOVA };
        let all = dimensions(&ModelConfig::SUPERNOVA, &now);
        assert!(all.contains(&"d_model: 256 -> 128".into()), "{all:?}");
        assert!(all.iter().any(|line| line.starts_with("rcsm: {")), "{all:?}");
    }
}
