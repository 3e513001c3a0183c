//! What is known of a run: read from its directory, and read on as the run writes on.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flashlm_host::read_file;

use super::probe::Probe;
use crate::run::answers::AnswerCounts;
use crate::run::metrics::{self, EvalRecord, Record, SampleRecord, StepRecord};
use crate::run::results::Results;

/// Longest `probe.json` that is read, bytes.
const LONGEST_PROBE: u64 = 16 << 20;

/// A run.
#[derive(Debug, Default)]
pub struct RunData {
    /// Its directory's name.
    pub name: String,
    dir: PathBuf,
    /// Bytes of `metrics.jsonl` that were read.
    read: u64,
    pub steps: Steps,
    pub evaluations: Vec<EvalRecord>,
    pub samples: Vec<SampleRecord>,
    /// What it came to, where that is written down and nothing was trained since.
    pub results: Option<Results>,
    pub probe: Option<Probe>,
}

/// Training steps, a vector a figure and an entry a step.
#[derive(Debug, Default)]
pub struct Steps {
    pub step: Vec<u64>,
    /// Wall-clock seconds over all sessions.
    pub elapsed: Vec<f64>,
    /// Tokens trained on so far.
    pub tokens: Vec<u64>,
    pub loss: Vec<f32>,
    /// Not a number where the step was skipped.
    pub grad_norm: Vec<f32>,
    pub lr: Vec<f32>,
    pub tokens_per_second: Vec<f32>,
    pub mean_passes: Vec<f32>,
    /// Shares of all operations at the first step, then at the next; `ops` a step.
    pub op_usage: Vec<f32>,
    pub ops: usize,
    /// Answers, with the index of their step.
    pub answers: Vec<(usize, AnswerCounts)>,
    /// Phases in their order, each with the index of its first step.
    pub phases: Vec<(usize, String)>,
}

impl RunData {
    /// Reads the run in `dir`.
    ///
    /// # Errors
    /// There is none, or its files cannot be read.
    pub fn read(dir: &Path) -> anyhow::Result<Self> {
        let mut data = Self::begun(dir);
        if !dir.join(metrics::FILE).is_file() {
            bail!("{}: expected the directory of a run, with its {}", dir.display(), metrics::FILE);
        }
        data.read_on(|_| ())?;
        if data.steps.step.is_empty() && data.evaluations.is_empty() {
            bail!("{}: expected a run of at least one step", dir.join(metrics::FILE).display());
        }
        Ok(data)
    }

    /// A run in `dir` of which nothing was read yet.
    pub fn begun(dir: &Path) -> Self {
        let whole = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
        let name = whole.components().next_back().map(|last| last.as_os_str().to_string_lossy().into_owned());
        Self { name: name.unwrap_or_default(), dir: dir.into(), ..Self::default() }
    }

    /// Reads what was written since, and hands every record to `each`. Lines that are no records, and a last one that
    /// is not whole yet, are left out.
    ///
    /// # Errors
    /// A file is there that cannot be read.
    pub fn read_on(&mut self, mut each: impl FnMut(&Record)) -> anyhow::Result<()> {
        let path = self.dir.join(metrics::FILE);
        let name = || path.display().to_string();
        let mut file = match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.with_context(name)?,
        };
        if file.metadata().with_context(name)?.len() < self.read {
            // another run has taken its place
            self.begin_anew();
        }
        file.seek(SeekFrom::Start(self.read)).with_context(name)?;
        let (mut reader, mut line) = (BufReader::with_capacity(1 << 18, file), Vec::new());
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line).with_context(name)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            self.read += length as u64;
            if let Ok(record) = serde_json::from_slice::<Record>(&line) {
                each(&record);
                self.add(record);
            }
        }
        self.read_results();
        Ok(())
    }

    /// Forgets what was read: another run may have taken its place.
    pub fn begin_anew(&mut self) {
        *self = Self { name: std::mem::take(&mut self.name), ..Self::begun(&self.dir) };
    }

    /// Bytes read of the records so far: whether there is news.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// The last step, wall-clock seconds and tokens so far.
    pub fn standing(&self) -> (u64, f64, u64) {
        let Steps { step, elapsed, tokens, .. } = &self.steps;
        let steps = (*step.last().unwrap_or(&0), *elapsed.last().unwrap_or(&0.0), *tokens.last().unwrap_or(&0));
        let evaluated = self.evaluations.last().map_or((0, 0.0, 0), |e| (e.step, e.elapsed, e.tokens));
        if evaluated.0 >= steps.0 { evaluated } else { steps }
    }

    fn add(&mut self, record: Record) {
        match record {
            Record::Step(step) => self.steps.add(&step),
            Record::Eval(evaluation) => self.evaluations.push(evaluation),
            Record::Sample(sample) => self.samples.push(sample),
        }
    }

    /// Results of before the last steps are not this run's any more; damaged ones and probes of another form are none.
    fn read_results(&mut self) {
        let last = self.standing().0;
        self.results = Results::read(&self.dir.join(Results::FILE)).ok().filter(|results| results.steps >= last);
        let probe = read_file(&self.dir.join(Probe::FILE), LONGEST_PROBE).ok();
        self.probe = probe.and_then(|text| serde_json::from_slice(&text).ok());
    }
}

impl Steps {
    fn add(&mut self, record: &StepRecord) {
        let index = self.step.len();
        if self.phases.last().is_none_or(|(_, name)| *name != record.phase) {
            self.phases.push((index, record.phase.clone()));
        }
        self.step.push(record.step);
        self.elapsed.push(record.elapsed);
        self.tokens.push(record.tokens);
        self.loss.push(record.loss as f32);
        self.grad_norm.push(record.grad_norm.map_or(f32::NAN, |norm| norm as f32));
        self.lr.push(record.lr);
        self.tokens_per_second.push(record.tokens_per_second as f32);
        self.mean_passes.push(record.mean_passes as f32);
        if index == 0 {
            self.ops = record.op_usage.len();
        }
        // a run has one number of operations
        self.op_usage.extend(record.op_usage.iter().copied().chain(std::iter::repeat(0.0)).take(self.ops));
        self.answers.extend(record.answers.map(|answers| (index, answers)));
    }

    /// A figure over wall-clock seconds.
    pub fn over_time<'a>(&'a self, figure: &'a [f32]) -> impl Iterator<Item = [f64; 2]> + Clone + 'a {
        self.elapsed.iter().zip(figure).map(|(&x, &y)| [x, f64::from(y)])
    }

    /// Phases with the seconds at which they begin and end.
    pub fn phase_times(&self) -> Vec<(&str, [f64; 2])> {
        let begin = |index: usize| if index == 0 { 0.0 } else { self.elapsed[index - 1] };
        let ends = self.phases.iter().skip(1).map(|(index, _)| begin(*index));
        let ends = ends.chain(self.elapsed.last().copied());
        self.phases.iter().zip(ends).map(|((index, name), end)| (&name[..], [begin(*index), end])).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::*;
    use crate::report::testing::{evaluation, step, write_run};

    #[test]
    fn a_run_is_read_on_from_where_reading_ended_and_whole_lines_only() {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), &[step(1), step(2), evaluation(2)]);
        let mut data = RunData::read(dir.path()).unwrap();
        assert_eq!((data.steps.step.len(), data.evaluations.len(), data.standing().0), (2, 1, 2));
        let line = serde_json::to_string(&step(3)).unwrap();
        let mut file = OpenOptions::new().append(true).open(dir.path().join(metrics::FILE)).unwrap();
        file.write_all(&line.as_bytes()[..30]).unwrap();
        let mut seen = Vec::new();
        data.read_on(|record| seen.push(record.clone())).unwrap();
        assert_eq!(seen, []);
        file.write_all(&line.as_bytes()[30..]).unwrap();
        file.write_all(b"\nnot a record\n").unwrap();
        data.read_on(|record| seen.push(record.clone())).unwrap();
        assert_eq!(seen, [step(3)]);
        assert_eq!((data.steps.step[..].to_vec(), data.steps.op_usage.len()), (vec![1, 2, 3], 3 * data.steps.ops));
        // a new run in its place
        write_run(dir.path(), &[step(1)]);
        data.read_on(|_| ()).unwrap();
        assert_eq!((data.steps.step.len(), data.evaluations.len()), (1, 0));
    }

    #[test]
    fn a_directory_without_a_run_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = RunData::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("expected the directory of a run"), "{error}");
        fs::write(dir.path().join(metrics::FILE), "{}\n").unwrap();
        let error = RunData::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("at least one step"), "{error}");
    }

    #[test]
    fn a_phase_lasts_from_the_end_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let named = |at: u64, name: &str| match step(at) {
            Record::Step(record) => Record::Step(StepRecord { phase: name.into(), ..record }),
            other => other,
        };
        write_run(dir.path(), &[named(1, "a"), named(2, "a"), named(3, "b")]);
        let data = RunData::read(dir.path()).unwrap();
        let at = |step: usize| data.steps.elapsed[step - 1];
        assert_eq!(data.steps.phase_times(), [("a", [0.0, at(2)]), ("b", [at(2), at(3)])]);
    }
}
