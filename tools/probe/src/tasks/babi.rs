//! The bAbI tasks (Weston et al., 2015), from their usual text files.
//!
//! A file `qaN_name_part.txt` (the name may be missing; part is train, valid or test) has a sentence a line, numbered
//! from 1 in every story; a question's line has its answer and its supporting facts behind tabs. Supporting facts
//! are not used. Several words joined by commas are one answer.
//!
//! A story becomes one line of text, the answer right behind its question:
//! ```text
//! Story: Mary went to the kitchen. John took the milk. Where is Mary? kitchen.
//! ```
//! One line, and the same words before every story, so that a name is the same token wherever it stands: behind a
//! space. An answer of several words reads "milk, apple", and every answer ends in a full stop, which must be generated
//! too: "milk." is not the beginning of "milk, apple.".

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;

use crate::error::ProbeError;
use crate::file;
use crate::item::Item;
use crate::marked::Told;
use crate::rng::Rng;

/// Which of a task's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Part {
    Train,
    Valid,
    Test,
}

impl Part {
    /// As files are called.
    pub fn name(self) -> &'static str {
        ["train", "valid", "test"][self as usize]
    }
}

/// Whether the questions before the one asked, with their right answers, are part of its prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Earlier {
    /// Only what was stated, as is usual.
    #[default]
    Drop,
    /// Everything.
    Keep,
}

/// A line of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Statement(String),
    Question { text: String, answer: String },
}

/// A story: its lines in order.
pub type Story = Vec<Line>;

/// One task's stories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// N of `qaN`.
    pub number: u32,
    /// The file's name without its part: `qa1_single-supporting-fact`.
    pub name: String,
    pub stories: Vec<Story>,
}

/// Reads the tasks of a folder, by number. Without a part: test, or else valid.
pub fn read(folder: &Path, part: Option<Part>) -> Result<(Part, Vec<Task>), ProbeError> {
    let found = files(folder)?;
    let has = |part: Part| found.iter().any(|f| f.1 == part);
    let part = match part {
        Some(part) => part,
        None => [Part::Test, Part::Valid].into_iter().find(|&p| has(p)).unwrap_or(Part::Test),
    };
    if !has(part) {
        let there: Vec<&str> =
            [Part::Train, Part::Valid, Part::Test].into_iter().filter(|&p| has(p)).map(Part::name).collect();
        let there =
            if there.is_empty() { "none of any part".into() } else { format!("those of --part {}", there.join(", ")) };
        return Err(ProbeError::file(folder, format!("expected files qaN_name_{}.txt, found {there}", part.name())));
    }
    let mut tasks = Vec::new();
    for (number, _, name, path) in found.into_iter().filter(|f| f.1 == part) {
        let bytes = file::read(&path, file::QUESTIONS)?;
        let text = String::from_utf8(bytes).map_err(|_| ProbeError::file(&path, "expected UTF-8 text"))?;
        let stories = parse(&text).map_err(|(line, message)| ProbeError::line(&path, line, message))?;
        tasks.push(Task { number, name, stories });
    }
    Ok((part, tasks))
}

fn files(folder: &Path) -> Result<Vec<(u32, Part, String, PathBuf)>, ProbeError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(ProbeError::io(folder))? {
        let path = entry.map_err(ProbeError::io(folder))?.path();
        let Some(stem) = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".txt")) else {
            continue;
        };
        let Some((name, part)) = stem.rsplit_once('_') else { continue };
        let Some(part) = [Part::Train, Part::Valid, Part::Test].into_iter().find(|p| p.name() == part) else {
            continue;
        };
        let digits = name.strip_prefix("qa").map(|n| n.split('_').next().unwrap_or_default());
        let Some(number) = digits.and_then(|n| n.parse().ok()) else { continue };
        found.push((number, part, name.to_string(), path));
    }
    found.sort();
    Ok(found)
}

/// The stories of a file; an error is its line (from 1) and what is wrong.
pub fn parse(text: &str) -> Result<Vec<Story>, (usize, String)> {
    let mut stories: Vec<Story> = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |message: String| (i + 1, message);
        let (number, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let number: u32 =
            number.parse().map_err(|_| wrong(format!("expected a line number and a sentence, found {line:?}")))?;
        let mut fields = rest.split('\t').map(str::trim);
        let sentence = fields.next().unwrap_or_default().to_string();
        if sentence.is_empty() {
            return Err(wrong("expected a sentence after the line number, found none".into()));
        }
        let line = match fields.next() {
            None => Line::Statement(sentence),
            Some("") => return Err(wrong(format!("expected an answer to {sentence:?} after a tab, found none"))),
            Some(answer) => {
                let words: Vec<&str> = answer.split(',').map(str::trim).collect();
                Line::Question { text: sentence, answer: words.join(", ") }
            }
        };
        match stories.last_mut() {
            Some(story) if number != 1 => story.push(line),
            None if number != 1 => return Err(wrong(format!("expected a story's first line, 1, found {number}"))),
            _ => stories.push(vec![line]),
        }
    }
    if stories.is_empty() {
        return Err((1, "expected lines of stories, found none".into()));
    }
    Ok(stories)
}

/// A story as text, with those of its questions that `kept` wants by their number.
pub fn render(story: &[Line], kept: impl Fn(usize) -> bool) -> Told {
    let mut told = Told { text: "Story:".into(), answers: vec![] };
    let mut question = 0;
    for line in story {
        match line {
            Line::Statement(text) => told.say(text),
            Line::Question { text, answer } => {
                if kept(question) {
                    told.say(text);
                    told.answer(answer);
                    told.text.push('.');
                }
                question += 1;
            }
        }
    }
    told
}

fn questions(story: &[Line]) -> usize {
    story.iter().filter(|line| matches!(line, Line::Question { .. })).count()
}

/// Every question of the tasks as an item.
pub fn items(tasks: &[Task], earlier: Earlier) -> Vec<Item> {
    let mut items = Vec::new();
    for task in tasks {
        for story in &task.stories {
            for question in 0..questions(story) {
                let told = match earlier {
                    Earlier::Drop => render(story, |q| q == question),
                    Earlier::Keep => render(story, |_| true),
                };
                let index = if earlier == Earlier::Drop { 0 } else { question };
                let span = told.answers[index].clone();
                items.push(Item {
                    family: task.name.clone(),
                    prompt: told.text[..span.start].trim_end().to_string(),
                    answer: told.text[span].to_string(),
                    end: ".".into(),
                    ..Item::default()
                });
            }
        }
    }
    items
}

/// The most times that stories of a small task are told.
const MOST_TIMES: usize = 8;

/// Text to train on, of all tasks in random order: every story with all its questions, and once more up to one
/// question of it, that alone, as it is asked in a probe. With `balance` the stories of tasks that ask little are told
/// several times, so that no task drowns among the others; the second is "Story 2:" and so on, for a trainer leaves
/// out copies.
pub fn training(tasks: &[Task], balance: bool, seed: u64) -> Vec<Told> {
    let mut rng = Rng::new(seed);
    let mut all = Vec::new();
    let asked = |task: &Task| task.stories.iter().map(|story| questions(story)).sum::<usize>();
    let mut sizes: Vec<usize> = tasks.iter().map(asked).collect();
    sizes.sort_unstable();
    let usual = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    for task in tasks {
        let times = if balance { (usual / asked(task).max(1)).clamp(1, MOST_TIMES) } else { 1 };
        for (time, story) in (1..=times).flat_map(|time| task.stories.iter().map(move |story| (time, story))) {
            all.push(numbered(render(story, |_| true), time));
            if let n @ 2.. = questions(story) {
                let asked = rng.below(n);
                let mut told = render(story, |q| q == asked);
                told.text.truncate(told.answers[0].end + 1);
                all.push(numbered(told, time));
            }
        }
    }
    // Fisher and Yates
    for i in (1..all.len()).rev() {
        all.swap(i, rng.below(i + 1));
    }
    all
}

/// A story told for the `time`th time.
fn numbered(mut told: Told, time: usize) -> Told {
    if time > 1 {
        let number = format!(" {time}");
        told.text.insert_str("Story".len(), &number);
        told.answers.iter_mut().for_each(|span| *span = span.start + number.len()..span.end + number.len());
    }
    told
}

/// Takes `share` of every task's stories, picked at random, out of `tasks` and returns them.
pub fn hold_out(tasks: &mut [Task], share: f64, seed: u64) -> Vec<Task> {
    let mut held = Vec::new();
    for task in tasks {
        let mut rng = Rng::new(seed).fork(task.number.into());
        let mut left = Vec::new();
        let mut out = Vec::new();
        let mut wanted = (task.stories.len() as f64 * share).round() as usize;
        let mut stories = std::mem::take(&mut task.stories);
        let total = stories.len();
        for (i, story) in stories.drain(..).enumerate() {
            // each with the chance that leaves exactly as many as wanted
            if rng.below(total - i) < wanted {
                wanted -= 1;
                out.push(story);
            } else {
                left.push(story);
            }
        }
        task.stories = left;
        held.push(Task { number: task.number, name: task.name.clone(), stories: out });
    }
    held
}

/// Writes tasks as bAbI files `name_part.txt`, without supporting facts.
pub fn write(folder: &Path, tasks: &[Task], part: Part) -> Result<(), ProbeError> {
    fs::create_dir_all(folder).map_err(ProbeError::io(folder))?;
    for task in tasks {
        let mut text = String::new();
        for story in &task.stories {
            for (line, n) in story.iter().zip(1..) {
                let _ = match line {
                    Line::Statement(text_) => writeln!(text, "{n} {text_}"),
                    Line::Question { text: q, answer } => writeln!(text, "{n} {q}\t{}\t", answer.replace(", ", ",")),
                };
            }
        }
        let path = folder.join(format!("{}_{}.txt", task.name, part.name()));
        fs::write(&path, text).map_err(ProbeError::io(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "1 Mary went to the kitchen.\n2 Mary took the milk.\n3 What has Mary? \tmilk,apple\t1 2\n\
                        4 John left.\n5 Where is Mary?\tkitchen\t1\n1 It rained.\n2 Why?\tclouds\t1\n";

    fn task() -> Task {
        Task { number: 8, name: "qa8_lists-sets".into(), stories: parse(FILE).unwrap() }
    }

    #[test]
    fn stories_begin_at_line_one_and_lists_are_one_answer() {
        let task = task();
        assert_eq!(task.stories.len(), 2);
        let answer = Line::Question { text: "What has Mary?".into(), answer: "milk, apple".into() };
        assert_eq!(task.stories[0][2], answer);
        let whole = "Story: Mary went to the kitchen. Mary took the milk. What has Mary? milk, apple. John left. \
                     Where is Mary? kitchen.";
        assert_eq!(render(&task.stories[0], |_| true).text, whole);
    }

    #[test]
    fn items_ask_after_the_story_so_far() {
        let dropped = items(&[task()], Earlier::Drop);
        assert_eq!(dropped.len(), 3);
        assert_eq!(dropped[0].answer, "milk, apple");
        assert_eq!(dropped[1].prompt, "Story: Mary went to the kitchen. Mary took the milk. John left. Where is Mary?");
        assert_eq!((dropped[1].answer.as_str(), dropped[1].end.as_str()), ("kitchen", "."));
        let kept = items(&[task()], Earlier::Keep);
        assert!(kept[1].prompt.ends_with("What has Mary? milk, apple. John left. Where is Mary?"));
        assert_eq!(kept[0], dropped[0]);
    }

    #[test]
    fn training_text_holds_every_prompt_with_its_answer_marked() {
        let texts: Vec<String> = training(&[task()], false, 1).iter().map(Told::marked).collect();
        assert_eq!(texts.len(), 3);
        assert!(texts.iter().any(|t| t == "Story: It rained. Why? <|answer|>clouds<|/answer|>."));
        let alone: Vec<String> = items(&[task()], Earlier::Drop)
            .iter()
            .map(|i| format!("{} <|answer|>{}<|/answer|>.", i.prompt, i.answer))
            .collect();
        assert_eq!(texts.iter().filter(|t| alone[..2].contains(t)).count(), 1, "{texts:?}");
    }

    #[test]
    fn small_tasks_are_told_again_by_other_numbers_until_they_ask_as_much() {
        let small =
            Task { number: 1, name: "small".into(), stories: parse("1 It rained.\n2 Why?\tclouds\t1\n").unwrap() };
        let large = |number| {
            let stories = (0..5).flat_map(|_| task().stories).collect();
            Task { number, name: "large".into(), stories }
        };
        // the two large ones ask 15 questions each
        let tasks = [small, large(2), large(3)];
        let count = |texts: &[Told], number: &str| texts.iter().filter(|t| t.text.starts_with(number)).count();
        let texts = training(&tasks, true, 1);
        for time in 2..=MOST_TIMES {
            assert_eq!(count(&texts, &format!("Story {time}: It rained. Why? clouds.")), 1, "{time}");
        }
        assert_eq!(count(&texts, "Story ") + count(&texts, "Story:"), texts.len());
        assert_eq!(count(&texts, "Story "), MOST_TIMES - 1, "large tasks are told once");
        let answers = texts.iter().flat_map(|t| t.answers.iter().map(|span| &t.text[span.clone()]));
        assert!(answers.into_iter().all(|a| ["clouds", "kitchen", "milk, apple"].contains(&a)));
        assert_eq!(count(&training(&tasks, false, 1), "Story "), 0);
    }

    #[test]
    fn a_share_is_held_out_of_every_task_and_reads_back() {
        let text: String = (0..40).map(|i| format!("1 Story number {i}.\n2 Which?\tn{i},x\t1\n")).collect();
        let stories = parse(&text).unwrap();
        let mut tasks = vec![Task { number: 3, name: "qa3".into(), stories: stories.clone() }];
        let held = hold_out(&mut tasks, 0.1, 7);
        assert_eq!((held[0].stories.len(), tasks[0].stories.len()), (4, 36));
        assert!(held[0].stories.iter().all(|s| !tasks[0].stories.contains(s) && stories.contains(s)));
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &held, Part::Valid).unwrap();
        assert_eq!(read(dir.path(), None).unwrap(), (Part::Valid, held));
        let error = read(dir.path(), Some(Part::Train)).unwrap_err().to_string();
        assert!(error.contains("qaN_name_train.txt") && error.contains("--part valid"), "{error}");
    }

    #[test]
    fn tasks_come_in_the_order_of_their_numbers() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["qa10_a_test.txt", "qa2_b-c_test.txt", "qa1_test.txt", "qa1_train.txt", "notes.txt", "qax_test.txt"]
        {
            fs::write(dir.path().join(name), FILE).unwrap();
        }
        let (part, tasks) = read(dir.path(), None).unwrap();
        assert_eq!(part, Part::Test);
        assert_eq!(tasks.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(), ["qa1", "qa2_b-c", "qa10_a"]);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, line, want) in [
            ("", 1, "found none"),
            ("1 A.\nB.\n", 2, "expected a line number"),
            ("1 A.\n2\n", 2, "expected a sentence"),
            ("1 A.\n2 B?\t\t1\n", 2, "expected an answer"),
            ("2 A.\n", 1, "first line, 1, found 2"),
        ] {
            let (at, message) = parse(text).unwrap_err();
            assert!(at == line && message.contains(want), "{text:?}: {at}: {message}");
        }
    }
}
