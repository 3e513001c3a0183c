//! Phase 4, self-amplification: the model tells stories, the best join those it trains on, and where that does harm the
//! run goes back to where the phase began.
//!
//! [`generate`] tells stories from beginnings of training stories, through core; [`score`] says what they are worth;
//! [`select`] keeps the best; [`stories`] puts them behind the training stories; [`guard`] watches the held-out text.
//! Here is what happens when. Of several ranks the first tells and chooses, and gives the others what it kept; all go
//! back together. All of it is a function of the run's seed and steps where the run is as long as its steps; kept
//! stories and what was done so far are part of every checkpoint.

pub mod generate;
pub mod guard;
pub mod score;
pub mod select;
pub mod settings;
pub mod stories;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, Instant};

use flashlm_core::Tokenizer;
use flashlm_core::text::SEPARATOR;
use flashlm_core::tokenizer::EOT;
use flashlm_host::output;

use self::generate::Drawing;
use self::select::{Judged, Means};
use self::settings::{CHECKS, ROUND_TIME, ROUNDS, Settings};
use crate::data::hash::mix;
use crate::data::split::fingerprint;
use crate::data::{EvaluationSet, StoryTokens, Told};
use crate::interrupt;
use crate::run::log::{Amplification, Check, End, Round};
use crate::run::progress::Progress;
use crate::run::schedule::{Budget, Schedule};
use crate::run::standing::held_out_bpc;
use crate::run::training::Run;

/// Candidates told between two looks at Ctrl-C and the clock.
const AT_A_TIME: u64 = 32;

/// Does what is due before a step at `share` of the run, whose phase was entered: looks at the held-out text, rolls
/// back, tells stories. When the user interrupts, it returns early and what is due stays due.
pub fn turn(run: &mut Run, share: f64, progress: &Progress) -> anyhow::Result<()> {
    let within = within(&run.settings.schedule, run.phase, share);
    let (Some(settings), Some(within)) = (run.settings.amplify, within) else {
        run.streams.stories_mut().unmix();
        // where a longer run was asked for after the end, phase 4 comes anew
        if run.phases.amplification.begin.is_some() {
            run.phases.amplification = Amplification::default();
        }
        return Ok(());
    };
    if run.phases.amplification.begin.is_none() {
        begin(run, progress);
    }
    if passed(&CHECKS, within) > run.phases.amplification.checks_due {
        check(run, &settings, progress);
        run.phases.amplification.checks_due = passed(&CHECKS, within);
    }
    if run.phases.amplification.ended.is_some() {
        return Ok(());
    }
    let rounds = passed(&ROUNDS, within);
    if rounds > run.phases.amplification.rounds_due {
        let round = if run.ranks.leads() { tell(run, &settings, rounds as u64, progress)? } else { None };
        if !run.ranks.agree_whether(round.is_some()) {
            return Ok(());
        }
        let (round, kept) = round.unzip();
        let kept = run.ranks.share(bytemuck::cast_slice(&kept.unwrap_or_default()).to_vec());
        run.streams.stories_mut().add_tokens(&bytemuck::pod_collect_to_vec(&kept));
        let state = &mut run.phases.amplification;
        state.rounds_due = rounds;
        if let Some(round) = round {
            progress.line(&round.to_string());
            state.rounds.push(round);
        }
        run.streams.mix(settings.share);
    } else {
        mix_again(run);
    }
    Ok(())
}

/// Mixes in the stories told so far, in a run that goes on from a checkpoint of a phase that reads them.
pub fn mix_again(run: &mut Run) {
    if let Some(settings) = run.settings.amplify
        && run.settings.schedule.phases[run.phase].amplify
        && run.phases.amplification.ended.is_none()
        && !run.streams.stories().is_mixed()
    {
        run.streams.mix(settings.share);
    }
}

/// The last look at the held-out text, when the run is complete.
pub fn last_check(run: &mut Run, progress: &Progress) {
    let state = &run.phases.amplification;
    if let Some(settings) = run.settings.amplify
        && state.begin.is_some()
        && state.ended.is_none()
        && run.settings.schedule.phases[run.phase].amplify
    {
        check(run, &settings, progress);
    }
}

/// The share of the phase that has passed; `None` where its row does not amplify.
fn within(schedule: &Schedule, phase: usize, share: f64) -> Option<f64> {
    let row = &schedule.phases[phase];
    let from = phase.checked_sub(1).map_or(0.0, |before| schedule.phases[before].until);
    row.amplify.then(|| (share - from) / (row.until - from).max(f64::EPSILON))
}

/// Rows of a table that are at or behind `within`, give or take rounding.
fn passed(rows: &[f64], within: f64) -> usize {
    rows.iter().filter(|&&row| row <= within + 1e-9).count()
}

fn begin(run: &mut Run, progress: &Progress) {
    let step = run.step;
    let known = run.phases.segments.last().filter(|s| s.begin.step == step).map(|s| s.begin.bpc);
    let bpc = known.unwrap_or_else(|| held_out_bpc(run, progress));
    // before the copy, so that a run that goes back to it knows
    run.phases.amplification.begin = Some(Check { step, bpc });
    if let Err(e) = guard::keep_copy(run) {
        progress.line(&format!("phase 4: no copy to go back to, so no stories are generated: {e}"));
        run.phases.amplification.ended = Some(End::WithoutCopy(e));
    }
}

/// Looks at the held-out text and goes back where it got worse. After a rollback it only looks.
fn check(run: &mut Run, settings: &Settings, progress: &Progress) {
    let now = Check { step: run.step, bpc: held_out_bpc(run, progress) };
    let state = &mut run.phases.amplification;
    state.checks.push(now);
    let (Some(begin), None) = (state.begin, &state.ended) else { return };
    if !guard::has_worsened(begin.bpc, now.bpc, settings.tolerance) {
        return;
    }
    let worse = format!("phase 4: {:.4} bpc held out, {:.4} at the begin", now.bpc, begin.bpc);
    let end = match guard::restore(run, begin.step) {
        Ok(()) => {
            progress.line(&format!("{worse}: rolled back to step {}, on without generated stories", begin.step));
            End::RolledBack(now)
        }
        Err(e) => {
            progress.line(&format!("{worse}: cannot be rolled back ({e}); on without generated stories"));
            End::WithoutCopy(e.to_string())
        }
    };
    // the added stories keep their numbers: a lane may be reading one
    run.streams.stories_mut().unmix();
    run.phases.amplification.ended = Some(end);
}

/// Tells and chooses the stories of `round` (from 1), and returns their tokens, an end-of-story token after each;
/// `None` where the user interrupted it.
fn tell(run: &Run, settings: &Settings, round: u64, progress: &Progress) -> anyhow::Result<Option<(Round, Vec<u16>)>> {
    let started = Instant::now();
    let limit = time_limit(run);
    let tokenizer = Tokenizer::from_bytes(&run.tokenizer)?;
    let (blob, stories) = (run.pack()?, run.streams.stories());
    let (base, count) = stories.base();
    let mut taken = held_out(&run.held_out, &tokenizer);
    taken.extend(stories.added().iter().map(|story| fingerprint(&select::text(&tokenizer, story))));

    let drawing = Drawing { seed: mix(run.settings.seed ^ mix(round)), temperature: settings.temperature };
    let all = u64::from(settings.candidates);
    let mut judged: Vec<Judged> = Vec::with_capacity(all as usize);
    let mut source = Told::default();
    while (judged.len() as u64) < all && limit.is_none_or(|limit| started.elapsed() < limit) {
        if interrupt::requested() {
            return Ok(None);
        }
        let first = judged.len() as u64;
        let told = generate::generate(&blob, base, count, drawing, first..all.min(first + AT_A_TIME))?;
        for candidate in &told {
            base.read(candidate.source, &mut source)?;
            let source = select::text(&tokenizer, &source.tokens);
            judged.push(Judged::of(candidate, &String::from_utf8_lossy(&source), &tokenizer, &mut taken));
        }
    }
    let best = select::best(&judged, settings.keep);
    let kept: Vec<_> = best.iter().map(|&i| tokenizer.encoded(judged[i].text.as_bytes())).collect();
    write_kept(run, round, &best, &judged, progress);
    let round = Round {
        step: run.step,
        generated: judged.len(),
        sane: judged.iter().filter(|j| j.sane).count(),
        kept: kept.len(),
        kept_tokens: kept.iter().map(Vec::len).sum(),
        seconds: started.elapsed().as_secs_f64(),
        all: Means::of(judged.iter()),
        best: Means::of(best.iter().map(|&i| &judged[i])),
    };
    let ended = |story: Vec<u16>| story.into_iter().chain([EOT]);
    Ok(Some((round, kept.into_iter().flat_map(ended).collect())))
}

/// How long a round may take; `None` where the run is as long as its steps.
fn time_limit(run: &Run) -> Option<Duration> {
    let Budget::Hours(hours) = run.settings.budget else { return None };
    let phases = &run.settings.schedule.phases;
    let from = run.phase.checked_sub(1).map_or(0.0, |before| phases[before].until);
    let share = (phases[run.phase].until - from).max(0.0) * ROUND_TIME;
    Some(Duration::from_secs_f64(hours * 3600.0 * share))
}

/// Fingerprints of the held-out stories: none of them may come to be trained on.
fn held_out(set: &EvaluationSet, tokenizer: &Tokenizer) -> HashSet<u64> {
    set.stories.iter().map(|story| fingerprint(&select::text(tokenizer, &story.tokens))).collect()
}

/// Leaves the kept stories in the run's directory, for people: the run itself reads them from its checkpoints.
fn write_kept(run: &Run, round: u64, best: &[usize], judged: &[Judged], progress: &Progress) {
    let path = run.out.join(format!("phase-4-round-{round}.txt"));
    let written = output::write(&path, &[], |file| {
        best.iter().try_for_each(|&i| {
            file.write_all(judged[i].text.as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(SEPARATOR)?;
            file.write_all(b"\n")
        })
    });
    if let Err(e) = written {
        progress.line(&e.to_string());
    }
}
