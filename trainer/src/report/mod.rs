//! What a run did, to look at: a page that is one file, a table, TensorBoard's events, and a server that shows the run
//! while it trains.
//!
//! All of them are made from `metrics.jsonl` and `results.json` ([`data`]), so that they can be made anew at any time
//! and end where those end when a run goes on from an earlier checkpoint.

mod chart;
mod columns;
mod csv;
mod data;
mod figures;
mod page;
mod probe;
mod serve;
mod tensorboard;
#[cfg(test)]
mod testing;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context;
use flashlm_host::output;

pub use self::chart::Axis;
pub use self::data::RunData;
pub use self::page::{Shown, page};
pub use self::serve::Server;
use crate::run::directory::{REPORT, TABLE};
use crate::run::origin::Underway;

/// What is asked for beside the page and the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Port of the local server; 0 for any that is free.
    pub serve: Option<u16>,
    /// Directory of TensorBoard's runs.
    pub tensorboard: Option<PathBuf>,
}

impl Wanted {
    /// Makes TensorBoard's directory, where one is asked for: to refuse before the work is done.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn check(&self) -> anyhow::Result<()> {
        let Some(dir) = &self.tensorboard else { return Ok(()) };
        fs::create_dir_all(dir).with_context(|| format!("--tensorboard {}: cannot be made", dir.display()))
    }
}

/// Keeps the files about a run current.
#[derive(Debug)]
pub struct Reporter {
    out: PathBuf,
    data: RunData,
    table: csv::Table,
    board: Option<tensorboard::Writer>,
    underway: Underway,
    /// Whether a failure was told: it costs the report, not the run.
    told: bool,
}

impl Reporter {
    /// Of the run in `out`, which goes on after `step`. Nothing is written yet but the head of TensorBoard's file, in a
    /// directory of the run's name.
    ///
    /// # Errors
    /// That file cannot be made.
    pub fn new(out: &Path, tensorboard: Option<&Path>, step: u64, underway: Underway) -> anyhow::Result<Self> {
        let data = RunData::begun(out);
        let board = tensorboard.map(|dir| tensorboard::Writer::new(&dir.join(&data.name), step)).transpose()?;
        let table = csv::Table::new(out.join(TABLE));
        Ok(Self { out: out.into(), data, table, board, underway, told: false })
    }

    /// Writes what happened since: the run is `elapsed` seconds old. Returns what failed, the first time.
    pub fn write(&mut self, elapsed: f64) -> Option<String> {
        let failed = self.try_write(elapsed).err()?;
        let first = !std::mem::replace(&mut self.told, true);
        first.then(|| format!("report: {failed:#}; training goes on"))
    }

    fn try_write(&mut self, elapsed: f64) -> anyhow::Result<()> {
        let Self { data, table, board, .. } = self;
        let (now, mut events) = (SystemTime::now(), Ok(()));
        data.read_on(|record| {
            table.add(record);
            if let (Some(board), Ok(())) = (board.as_mut(), &events) {
                events = board.add(record, now, elapsed);
            }
        })?;
        // one that fails keeps none of the others from being written
        let events = events.and_then(|()| board.as_mut().map_or(Ok(()), tensorboard::Writer::flush));
        let page = page(std::slice::from_ref(data), Some(&self.underway), Shown::File)
            .and_then(|page| Ok(output::write(&self.out.join(REPORT), &[], |file| file.write_all(page.as_bytes()))?));
        table.write().and(events).and(page)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{evaluation, step, underway, write_run};
    use super::*;

    #[test]
    fn files_follow_the_run_and_a_failure_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        fs::create_dir(&out).unwrap();
        write_run(&out, &[step(1), evaluation(1)]);
        let mut reporter = Reporter::new(&out, Some(&dir.path().join("board")), 0, underway()).unwrap();
        assert_eq!(reporter.write(3.0), None);
        write_run(&out, &[step(1), evaluation(1), step(2), evaluation(2)]);
        assert_eq!(reporter.write(5.0), None);
        assert_eq!(fs::read_to_string(out.join(TABLE)).unwrap().lines().count(), 5);
        let page = fs::read_to_string(out.join(REPORT)).unwrap();
        assert!(
            page.contains("<svg") && page.contains("supernova") && page.contains("7\u{202f}694\u{202f}799"),
            "{page}"
        );
        assert_eq!(fs::read_dir(dir.path().join("board/out")).unwrap().count(), 1);

        fs::remove_file(out.join(REPORT)).unwrap();
        fs::create_dir(out.join(REPORT)).unwrap();
        let message = reporter.write(6.0).unwrap();
        assert!(message.contains("report.html: is a directory") && message.ends_with("training goes on"), "{message}");
        assert_eq!(reporter.write(7.0), None);
    }
}
