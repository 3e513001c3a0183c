//! Where stories come from.

use std::path::PathBuf;

use anyhow::bail;
use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use flashlm_host::text::Form;

use crate::data::Mix;
use crate::data::cut::{Reading, Split};
use crate::data::mix::{self, Ingredient};
use crate::data::reasoning::Family;
use crate::run::settings::MixedText;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// A text (.txt, .md) or JSON lines, packed by gzip or not, a directory of them, - for standard input, or
    /// hf:OWNER/NAME. <|endoftext|> separates stories in a file; answers in them may be marked
    /// (<|answer|>barn<|/answer|>, <|answer:2|> where it takes two facts) [default: builtin]
    #[arg(long, value_name = "FILE|DIR")]
    pub data: Option<String>,
    /// Held-out stories, as one file [default: a share of the training stories]
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// What to mix in, as often as wanted. FILE=SHARE: another text, as --data takes them, and its share of the tokens
    /// of all texts. reasoning=SHARE of all tokens: stories that ask questions; three times as many in the first
    /// phase, at most 0.9, and 0.6 times as many in the last two [default: reasoning=0.3 with the built-in stories]
    #[arg(long, value_name = "NAME=SHARE", value_parser = |s: &str| Ingredient::parse(s).map_err(|e| e.to_string()))]
    pub mix: Vec<Ingredient>,
    /// Kinds of reasoning stories [default: all]
    #[arg(long, value_delimiter = ',', value_name = "KIND,...", value_parser = family)]
    pub families: Vec<String>,
    /// What becomes of the text between two separators
    #[arg(long, value_name = "HOW", default_value_t = Split::Paragraphs)]
    pub split: Split,
    #[command(flatten)]
    pub form: FormArgs,
    /// Where tokenizers and tokens are kept between runs [default: .flashlm-cache]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

/// Where documents begin and end in a file.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct FormArgs {
    /// The field of JSON lines that is the text
    #[arg(long, value_name = "NAME", default_value = "text")]
    pub field: String,
    /// What stands between documents beside <|endoftext|>; \n is the end of a line
    #[arg(long, value_name = "TEXT", value_parser = separator)]
    pub separator: Option<String>,
}

impl FormArgs {
    /// The same for the reader.
    pub fn form(&self) -> Form {
        Form { field: self.field.clone(), separator: self.separator.clone() }
    }
}

impl ValueEnum for Split {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Paragraphs => "Over 16 KB it is cut at ends of paragraphs into documents of at most 8 KB",
            Self::Lines => "Every line is a document",
            Self::None => "It is one document, however long",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

impl DataArgs {
    /// What `--data` names.
    pub fn source(&self) -> String {
        self.data.clone().unwrap_or_else(|| "builtin".into())
    }

    /// How it is read.
    pub fn reading(&self) -> Reading {
        Reading { form: self.form.form(), split: self.split }
    }

    /// Reasoning stories to mix in.
    pub fn mix(&self) -> Mix {
        let usual = if self.source() == "builtin" { mix::BUILTIN_SHARE } else { 0.0 };
        let asked = self.mix.iter().rev().find(|mixed| mixed.name == mix::REASONING);
        let share = asked.map_or(usual, |mixed| mixed.share);
        // kinds of nothing are no setting
        let families = if share > 0.0 { self.families.clone() } else { Vec::new() };
        Mix { share, families }
    }

    /// Other texts to mix in; an error where they leave nothing of the data.
    pub fn texts(&self) -> anyhow::Result<Vec<MixedText>> {
        let texts: Vec<MixedText> = self
            .mix
            .iter()
            .filter(|mixed| mixed.name != mix::REASONING)
            .map(|mixed| MixedText { data: mixed.name.clone(), share: mixed.share })
            .collect();
        let sum: f32 = texts.iter().map(|text| text.share).sum();
        if sum > mix::MAX_SHARE {
            bail!(
                "--mix: the texts' shares add up to {sum}, expected at most {}: the rest is --data's",
                mix::MAX_SHARE
            );
        }
        Ok(texts)
    }
}

/// The name of a kind of reasoning stories.
fn family(name: &str) -> Result<String, String> {
    match Family::from_name(name) {
        Some(family) => Ok(family.name().into()),
        None => Err(format!("expected some of {}", Family::ALL.map(Family::name).join(", "))),
    }
}

/// A separator, with \n and \t for the end of a line and a tab.
fn separator(text: &str) -> Result<String, String> {
    match text.replace("\\n", "\n").replace("\\t", "\t") {
        text if text.is_empty() => Err("expected at least one character".into()),
        text => Ok(text),
    }
}
