//! The command line that `trainer probe` and `flashlm probe` share: its flags, and doing what they ask for.

mod options;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use flashlm_core::text;

use crate::ask::{Subject, depth_name};
use crate::baselines::Guesses;
use crate::error::ProbeError;
use crate::file;
use crate::item::{self, Item};
use crate::marked::{self, Told};
use crate::ngram::Ngram;
use crate::reasoning::{self, Difficulty, Family, OPEN, Split};
use crate::report::Report;
use crate::tasks::mqar::Words;
use crate::tasks::{Part, babi, hops, mqar};
pub use options::{Options, Task};

/// Stories of a task that the n-gram model learns from.
const NGRAM_STORIES: usize = 4_000;

impl Options {
    /// Asks the model and reports on standard output, or writes items or training text. `folder` is where the text
    /// files of `--task babi` are.
    pub fn run(&self, subject: Option<Subject>, folder: Option<&Path>) -> Result<(), ProbeError> {
        if self.task != Task::Babi && folder.is_some() {
            let folder = folder.unwrap_or(Path::new(""));
            return Err(ProbeError::file(folder, "expected a folder only with --task babi"));
        }
        if let Some(to) = &self.write {
            return self.write_training(to, subject.as_ref(), folder);
        }
        let items = self.items(subject.as_ref(), folder)?;
        let Some(subject) = subject else {
            let Some(path) = &self.tsv else {
                return Err(ProbeError::Usage(
                    "expected a model to ask, or --tsv or --write to write without one".into(),
                ));
            };
            return write_items(path, &items, None);
        };
        self.ask(&subject, &items, folder)
    }

    fn ask(&self, subject: &Subject, items: &[Item], folder: Option<&Path>) -> Result<(), ProbeError> {
        let (ngram_stories, mut ngram) = match items.iter().any(|item| !item.wrong.is_empty()) {
            true => self.ngram(subject, folder)?,
            false => (0, None),
        };
        let guesses: Vec<_> = items.iter().map(|item| Guesses::of(item, ngram.as_mut())).collect();
        let asked = if self.depth.is_empty() { subject.depths() } else { self.depth.clone() };
        let mut depths = Vec::new();
        for depth in asked {
            if depths.iter().any(|(d, _)| *d == depth) {
                continue;
            }
            eprintln!("asking {} items at depth {}", items.len(), depth_name(depth));
            depths.push((depth, subject.ask(items, depth, self.threads())?));
        }
        let (model, state_bytes) = (subject.name, subject.state_bytes());
        let task = self.file.as_ref().map_or(self.task.name().into(), |file| file.display().to_string());
        let report =
            Report { task: &task, model, state_bytes, items, guesses: &guesses, ngram_stories, depths: &depths };

        if let Some(path) = &self.tsv {
            write_items(path, items, Some(&report))?;
        }
        let stdout = Path::new("standard output");
        let mut out = io::stdout().lock();
        if let Some(path) = self.json.as_deref().filter(|path| *path != Path::new("-")) {
            fs::write(path, format!("{:#}\n", report.json())).map_err(ProbeError::io(path))?;
        } else if self.json.is_some() {
            return writeln!(out, "{:#}", report.json()).map_err(ProbeError::io(stdout));
        }
        report.print(&mut out).map_err(ProbeError::io(stdout))
    }

    /// The items asked for.
    fn items(&self, subject: Option<&Subject>, folder: Option<&Path>) -> Result<Vec<Item>, ProbeError> {
        if let Some(file) = &self.file {
            return item::read(file);
        }
        let count = self.items as usize;
        match self.task {
            Task::Stories => Ok(self.families().iter().flat_map(|&family| self.stories_of(family)).collect()),
            Task::Hops => Ok(hops::items(&self.hops(), Part::Test, self.seed, count)),
            Task::Mqar => {
                let (words, pairs) = self.mqar(subject)?;
                Ok(pairs.into_iter().flat_map(|n| mqar::items(&words, n, Part::Test, self.seed, count)).collect())
            }
            Task::Babi => {
                let (part, tasks) = babi::read(needed(folder)?, self.part)?;
                eprintln!("asking the {} files of {} tasks", part.name(), tasks.len());
                Ok(babi::items(&tasks, self.earlier))
            }
        }
    }

    fn difficulty(&self, facts: u8) -> Difficulty {
        Difficulty {
            facts,
            filler: self.filler.map_or(3, |(_, high)| high),
            distractors: self.distractors,
            wordings: self.wordings,
            open: OPEN,
            loose: false,
        }
    }

    /// A family's items, as many of every number of facts as there can be.
    fn stories_of(&self, family: Family) -> Vec<Item> {
        let (count, kinds) = (self.items as usize, self.facts.len());
        let mut all = Vec::new();
        for (i, &facts) in self.facts.iter().enumerate() {
            let wanted = count * (i + 1) / kinds - count * i / kinds;
            let mut found = Vec::new();
            // not every question of a story needs as many facts as the hardest
            for tries in [2, 8, 32].map(|factor| wanted * factor) {
                found = reasoning::items(self.split, family, self.difficulty(facts), self.seed, tries);
                found.retain(|item| item.facts == facts);
                if found.is_empty() || found.len() >= wanted {
                    break;
                }
            }
            all.extend(found.into_iter().take(wanted).map(Item::from));
        }
        all
    }

    fn hops(&self) -> hops::Task {
        hops::Task { chains: self.chains, telling: self.telling, filler: self.filler.unwrap_or((0, 0)) }
    }

    /// The words of a recall task, the model's own where there is one, and the numbers of pairs.
    fn mqar(&self, subject: Option<&Subject>) -> Result<(Words, Vec<usize>), ProbeError> {
        let words = match subject {
            Some(subject) => Words::of(&subject.tokenizer()?),
            None => Words::made_up(),
        };
        let most = words.most_pairs();
        match self.pairs.iter().find(|&&n| usize::from(n) > most) {
            Some(n) => Err(ProbeError::Usage(format!(
                "--pairs {n}: the model has words (whole tokens of small letters) for {most} pairs at most"
            ))),
            None => Ok((words, self.pairs.iter().map(|&n| n.into()).collect())),
        }
    }

    /// An n-gram model of the task's training text, or of the file given, and how many stories it has read.
    fn ngram(&self, subject: &Subject, folder: Option<&Path>) -> Result<(usize, Option<Ngram>), ProbeError> {
        let texts: Vec<String> = if let Some(path) = &self.ngram_data {
            let bytes = file::read(path, file::TEXT)?;
            let stories = text::stories(&bytes).filter(|story| !story.is_blank());
            stories.map(|story| marked::plain(&String::from_utf8_lossy(story.text))).collect()
        } else {
            let stories = self.training(Some(subject), folder, Part::Train, NGRAM_STORIES)?;
            stories.map(|told| told.text).collect()
        };
        let mut ngram = Ngram::default();
        texts.iter().for_each(|text| ngram.learn(text));
        Ok((texts.len(), (!texts.is_empty()).then_some(ngram)))
    }

    /// `count` stories of a generated task.
    fn training<'a>(
        &'a self,
        subject: Option<&Subject>,
        folder: Option<&Path>,
        part: Part,
        count: usize,
    ) -> Result<Box<dyn Iterator<Item = Told> + 'a>, ProbeError> {
        let numbers = 0..count as u64;
        Ok(match self.task {
            Task::Stories => {
                let split = if part == Part::Train { Split::Train } else { Split::Test };
                Box::new(numbers.map(move |index| {
                    let facts = self.facts[index as usize % self.facts.len()];
                    let story = reasoning::story(split, self.families(), self.difficulty(facts), self.seed, index);
                    let answers = story.answers.into_iter().map(|answer| answer.span).collect();
                    Told { text: story.text, answers }
                }))
            }
            Task::Hops => Box::new(numbers.map(move |index| hops::story(&self.hops(), part, self.seed, index).0)),
            Task::Mqar => {
                let (words, pairs) = self.mqar(subject)?;
                let pairs_of = move |index: u64| pairs[index as usize % pairs.len()];
                Box::new(numbers.map(move |index| mqar::story(&words, pairs_of(index), part, self.seed, index).0))
            }
            Task::Babi => {
                let (_, tasks) = babi::read(needed(folder)?, Some(babi::Part::Train))?;
                Box::new(babi::training(&tasks, false, self.seed).into_iter().take(count))
            }
        })
    }

    fn write_training(&self, to: &Path, subject: Option<&Subject>, folder: Option<&Path>) -> Result<(), ProbeError> {
        let (train, test) = (to.join("train.txt"), to.join("test.txt"));
        if self.task == Task::Babi {
            let (_, mut tasks) = babi::read(needed(folder)?, Some(self.part.unwrap_or(babi::Part::Train)))?;
            let held = babi::hold_out(&mut tasks, self.hold_out, self.seed);
            marked::write(&train, babi::training(&tasks, self.balance, self.seed))?;
            marked::write(&test, babi::training(&held, false, self.seed))?;
            return babi::write(&to.join("held-out"), &held, babi::Part::Valid);
        }
        let count = self.stories as usize;
        marked::write(&train, self.training(subject, folder, Part::Train, count)?)?;
        marked::write(&test, self.training(subject, folder, Part::Test, count.div_ceil(100))?)
    }
}

fn needed(folder: Option<&Path>) -> Result<&Path, ProbeError> {
    folder.ok_or_else(|| {
        ProbeError::Usage("--task babi: expected the folder of its text files, qaN_name_test.txt".into())
    })
}

fn write_items(path: &Path, items: &[Item], report: Option<&Report>) -> Result<(), ProbeError> {
    let mut file = BufWriter::new(File::create(path).map_err(ProbeError::io(path))?);
    let columns = report.map(Report::columns).unwrap_or_default();
    let fields = |index| report.map(|r| r.fields(index)).unwrap_or_default();
    item::write(&mut file, items, &columns, fields).and_then(|()| file.flush()).map_err(ProbeError::io(path))
}

impl From<reasoning::Item> for Item {
    fn from(item: reasoning::Item) -> Self {
        let reasoning::Item { family, facts, distance, prompt, answer, wrong } = item;
        let (family, facts, distance) = (family.name().into(), Some(facts), Some(distance.into()));
        Self { family, facts, distance, prompt, answer, wrong, end: String::new() }
    }
}
