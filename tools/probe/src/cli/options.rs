//! The command line that `trainer probe` and `flashlm probe` share.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flashlm_core::config::Depth;

use crate::ask;
use crate::reasoning::{ALL_WORDINGS, Family, Split};
use crate::tasks::{babi, hops};

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Reasoning in stories: patterns, if-then rules, tracking, new words; names and templates not trained on
    #[default]
    Stories,
    /// Chains of one to three facts
    Hops,
    /// Multi-query associative recall
    Mqar,
    /// The bAbI tasks, from the text files in a folder
    Babi,
}

impl Task {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        ["stories", "hops", "mqar", "babi"][self as usize]
    }
}

/// What to ask, at which depths, and where results go.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// What is asked
    #[arg(long, value_enum, default_value = "stories", conflicts_with = "file")]
    pub task: Task,
    /// Ask the items of a file instead: tab-separated family, prompt, answer and wrong answers (joined by |), or
    /// columns named in a header
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Items of every family, or of every kind of question
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub items: u32,
    /// Seed of the items
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Depths to ask at: passes, and chosen for the model's own choice [default: all the model has, and chosen]
    #[arg(long, value_name = "N|chosen,...", value_delimiter = ',', value_parser = ask::depth)]
    pub depth: Vec<Depth>,
    /// Threads [default: all cores]; results do not depend on them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,

    /// stories: families to ask [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = family)]
    pub family: Vec<Family>,
    /// stories: facts a question needs
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "1,2,3")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=4))]
    pub facts: Vec<u8>,
    /// Ordinary text between facts and question. stories: the most sentences [default: 3]; hops: fewest and most words
    /// [default: 0]
    #[arg(long, value_name = "N|LOW..HIGH", value_parser = filler)]
    pub filler: Option<(u16, u16)>,
    /// stories: persons and things that the question is not about
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub distractors: u8,
    /// stories: whose words and sentences they are told in
    #[arg(long, value_enum, default_value = "test")]
    pub split: Split,
    /// stories: sentences to choose from for every thing that is said or asked, the plainest first [default: all]
    #[arg(long, value_name = "N", default_value_t = ALL_WORDINGS, hide_default_value = true)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..))]
    pub wordings: u8,
    /// hops: containers too, and questions that need up to three facts
    #[arg(long)]
    pub chains: bool,
    /// hops: which way round facts are told
    #[arg(long, value_enum, default_value = "mixed")]
    pub telling: hops::Telling,
    /// mqar: pairs to recall from
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_value = "4,8,16,32")]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub pairs: Vec<u16>,
    /// babi: which files to ask [default: test, or else valid]
    #[arg(long, value_enum)]
    pub part: Option<babi::Part>,
    /// babi: whether a prompt has the questions before, with their right answers
    #[arg(long, value_enum, default_value = "drop")]
    pub earlier: babi::Earlier,

    /// What the n-gram model learns from: stories separated by <|endoftext|> [default: training text of the task]
    #[arg(long, value_name = "FILE")]
    pub ngram_data: Option<PathBuf>,
    /// Write the report as JSON; - prints it in place of the tables
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the items, and how each was answered, for others to score; without a model the items alone
    #[arg(long, value_name = "FILE")]
    pub tsv: Option<PathBuf>,

    /// Write text to train on instead, train.txt and test.txt with answers marked; for babi train.txt of the train
    /// files, and in held-out/ what --hold-out takes from them
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "tsv", "json"])]
    pub write: Option<PathBuf>,
    /// Stories written for training; a hundredth of it for testing
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub stories: u32,
    /// babi: tell the stories of tasks that ask little several times in train.txt, so that every task counts
    #[arg(long)]
    pub balance: bool,
    /// babi: share of every task's stories that is held out
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    pub hold_out: f64,
}

impl Options {
    /// The families asked for.
    pub fn families(&self) -> &[Family] {
        if self.family.is_empty() { &Family::ALL } else { &self.family }
    }

    /// The number of threads, all cores unless given.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or_else(all, usize::from)
    }
}

fn family(name: &str) -> Result<Family, String> {
    Family::ALL.into_iter().find(|family| family.name() == name).ok_or_else(|| {
        let names = Family::ALL.map(Family::name).join(", ");
        format!("expected one of {names}, found {name:?}")
    })
}

/// `HIGH`, or `LOW..HIGH`.
fn filler(text: &str) -> Result<(u16, u16), String> {
    let (low, high) = text.split_once("..").unwrap_or(("0", text));
    match (low.parse(), high.parse()) {
        (Ok(low), Ok(high)) if low <= high && high <= 1000 => Ok((low, high)),
        _ => Err(format!("expected a number from 0 to 1000, or two as in 20..100, found {text:?}")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err(format!("expected a share from 0 to below 1, found {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    fn parse(line: &str) -> Result<Options, String> {
        Cli::try_parse_from(["probe"].into_iter().chain(line.split_whitespace()))
            .map(|c| c.options)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn lists_and_ranges_are_read() {
        let options =
            parse("--depth 1,3,8,chosen --facts 2,3 --filler 20..100 --pairs 4,64 --task hops --chains").unwrap();
        let depths = [1, 3, 8].map(Depth::Fixed).into_iter().chain([Depth::Adaptive]).collect::<Vec<_>>();
        assert_eq!((options.depth, options.facts, options.filler), (depths, vec![2, 3], Some((20, 100))));
        assert_eq!((options.pairs, options.task, options.chains), (vec![4, 64], Task::Hops, true));
        assert_eq!(parse("--family tracking,pattern").unwrap().families(), [Family::Tracking, Family::Pattern]);
        assert_eq!(parse("").unwrap().families(), Family::ALL);
        assert_eq!(parse("--filler 7").unwrap().filler, Some((0, 7)));
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        for (line, want) in [
            ("--filler 9..3", "from 0 to 1000"),
            ("--filler long", "from 0 to 1000"),
            ("--facts 5", "1..=4"),
            ("--family sums", "expected one of pattern, if-then, tracking, in-context"),
            ("--depth 0", "or chosen"),
            ("--hold-out 1", "below 1"),
            ("--items 0", "1..=1000000"),
            ("--task sums", "stories, hops, mqar, babi"),
            ("--task hops --file x.tsv", "cannot be used with"),
            ("--write d --tsv x.tsv", "cannot be used with"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(want), "{line}: {error}");
        }
    }
}
