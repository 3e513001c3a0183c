//! Promises of phase 4 on a run that is driven by hand, at shares of the run chosen here.

use std::fs;

use clap::Parser;

use super::*;
use crate::cli::Cli;
use crate::run::phases;
use crate::run::prepare;

/// A run of a tiny model before its first step.
fn run(dir: &std::path::Path, more: &str) -> Run {
    let story = |i: usize| format!("Tom had {i} hats. He lost {} of them.\n<|endoftext|>\n", i / 2);
    fs::write(dir.join("stories.txt"), (0..100).map(story).collect::<String>()).unwrap();
    let line = format!(
        "trainer --d-model 32 --layers 1 --d-ffn 48 --vocab 300 --rcsm-width 16 --rcsm-ops 4 --rcsm-slots 4 \
         --threads 2 --sequences 2 --tokens 16 --steps 100 --generated 40 --data {0}/stories.txt --cache {0}/cache \
         --out {0}/out {more}",
        dir.display()
    );
    let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
    prepare::prepare(&cli.train.request().unwrap(), &Progress::new()).unwrap()
}

/// What a step at `share` of the run begins with.
fn enter(run: &mut Run, share: f64) {
    run.step = (share * 100.0).round() as u64;
    let point = run.settings.schedule.at(share);
    phases::enter(run, &point, share, &Progress::new()).unwrap();
}

/// All that a rollback gives back.
#[derive(Debug, PartialEq)]
struct Everything {
    params: Vec<f32>,
    moments: Vec<(String, Vec<f32>)>,
    updates: u64,
    lanes: Vec<f32>,
    cursor: serde_json::Value,
}

fn everything(run: &Run) -> Everything {
    let mut moments = Vec::new();
    let keep = |name: &str, _: &[usize], values: &[f32]| {
        moments.push((name.to_owned(), values.to_vec()));
        Ok::<(), ()>(())
    };
    run.optimizer.each_state(keep).unwrap();
    Everything {
        params: run.engine.params().data.clone(),
        moments,
        updates: run.optimizer.updates(),
        lanes: run.engine.states(),
        cursor: run.streams.cursor(),
    }
}

/// Changes everything, and the parameters so that the model predicts worse.
fn spoil(run: &mut Run) {
    let Run { engine, optimizer, .. } = run;
    engine.update(|params, _, _| {
        for update in 0..3 {
            // the embedding is the head too: an untrained model that is sure of itself is worse than one that is not
            let grads: Vec<f32> =
                params.iter().enumerate().map(|(i, p)| p * ((i % (7 + update)) as f32 - 3.0)).collect();
            optimizer.update(params, &grads, 0.3);
        }
    });
    let states = engine.states().iter().map(|v| v + 0.5).collect::<Vec<_>>();
    engine.set_states(&states).unwrap();
    let mut cursor = run.streams.cursor();
    cursor[0]["seed"] = serde_json::json!(12345);
    assert!(run.streams.restore(&cursor));
}

#[test]
fn a_worse_held_out_text_takes_everything_back_to_the_begin_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path(), "");
    enter(&mut run, 0.85);
    let begin = everything(&run);
    let bpc = run.phases.amplification.begin.unwrap().bpc;

    spoil(&mut run);
    assert_ne!(everything(&run), begin);
    enter(&mut run, 0.86);
    assert_ne!(everything(&run), begin, "no look is due yet");
    enter(&mut run, 0.90);
    assert_eq!(everything(&run), begin);
    let state = run.phases.amplification.clone();
    let Some(End::RolledBack(at)) = state.ended else { panic!("{state:?}") };
    assert!(at.step == 90 && at.bpc > bpc + 0.01, "{state:?}");
    assert_eq!(held_out_bpc(&mut run, &Progress::new()), bpc, "the packed weights are those of the begin too");
    assert!(!run.streams.stories().is_mixed());
    assert_eq!(state.rounds.len(), 1, "no stories are told after it");

    spoil(&mut run);
    let spoilt = everything(&run);
    enter(&mut run, 0.99);
    assert_eq!(everything(&run), spoilt, "there is one rollback");
    assert_eq!((run.phases.amplification.checks.len(), run.phases.amplification.rounds.len()), (2, 1));
}

#[test]
fn a_model_that_does_not_get_worse_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path(), "");
    enter(&mut run, 0.85);
    let begin = everything(&run);
    for share in [0.88, 0.90, 0.93, 0.97] {
        enter(&mut run, share);
    }
    last_check(&mut run, &Progress::new());
    let state = &run.phases.amplification;
    assert_eq!((state.rounds.len(), state.checks.len(), &state.ended), (3, 4, &None));
    assert_eq!(state.rounds.iter().map(|r| r.generated).sum::<usize>(), 120);
    assert!(run.phases.amplification.checks.iter().all(|c| Some(c.bpc) == state.begin.map(|b| b.bpc)));
    assert_eq!(everything(&run), begin);
}

#[test]
fn without_the_copy_nothing_is_taken_back_and_no_more_stories_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path(), "");
    enter(&mut run, 0.85);
    spoil(&mut run);
    let spoilt = everything(&run);
    fs::remove_file(dir.path().join("out").join(guard::COPY)).unwrap();
    enter(&mut run, 0.95);
    assert_eq!(everything(&run), spoilt);
    let Some(End::WithoutCopy(why)) = &run.phases.amplification.ended else { panic!("no end") };
    assert!(why.contains(guard::COPY), "{why}");
    assert_eq!(run.phases.amplification.rounds.len(), 1);
}

#[test]
fn switched_off_or_in_other_phases_it_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for (more, share) in [("--no-phase-4", 0.9), ("", 0.84), ("--no-curriculum", 0.9)] {
        let mut run = run(dir.path(), more);
        enter(&mut run, share);
        assert_eq!(run.phases.amplification, Amplification::default(), "{more} {share}");
        assert!(!dir.path().join("out").join(guard::COPY).exists());
    }
}

#[test]
fn a_longer_run_after_the_end_has_its_phase_4_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut run = run(dir.path(), "");
    enter(&mut run, 0.9);
    assert_eq!(run.phases.amplification.rounds.len(), 1);
    run.streams.stories_mut().add(vec![vec![1, 2, 3]]);
    enter(&mut run, 0.95);
    assert!(run.streams.stories().is_mixed());
    enter(&mut run, 0.6);
    assert!(!run.streams.stories().is_mixed());
    assert_eq!(run.phases.amplification, Amplification::default());
    enter(&mut run, 0.85);
    assert_eq!(run.phases.amplification.begin.map(|b| b.step), Some(85));
    let names: Vec<&str> = run.phases.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["amplification", "reasoning", "amplification"]);
}

#[test]
fn rows_are_due_at_their_share_of_the_phase() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(dir.path(), "");
    let schedule = &run.settings.schedule;
    let at = |share| within(schedule, 3, share).unwrap();
    assert!(at(0.85).abs() < 1e-9 && (at(0.925) - 0.5).abs() < 1e-9 && (at(1.0) - 1.0).abs() < 1e-9);
    assert_eq!(within(schedule, 2, 0.8), None);
    assert_eq!([0.0, 0.3, 0.34, 0.9].map(|w| passed(&ROUNDS, w)), [1, 1, 2, 3]);
}
