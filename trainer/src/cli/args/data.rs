//! Where stories come from.

use std::path::PathBuf;

use clap::Args;

use crate::data::{Mix, mix, reasoning::Family};

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Data")]
pub struct DataArgs {
    /// Stories separated by <|endoftext|>, answers in them marked or not (<|answer|>barn<|/answer|>, <|answer:2|> where
    /// it takes two facts): a file, a directory of .txt files, or hf:OWNER/NAME [default: builtin]
    #[arg(long, value_name = "FILE|DIR")]
    pub data: Option<String>,
    /// Held-out stories [default: a share of the training stories]
    #[arg(long, value_name = "FILE")]
    pub valid: Option<PathBuf>,
    /// Stories to mix in: reasoning=SHARE of the tokens; three times as many in the first phase, at most 0.9, and 0.6
    /// times as many in the last two [default: reasoning=0.3 with the built-in stories, else none]
    #[arg(long, value_name = "NAME=SHARE", value_parser = |s: &str| mix::parse_share(s).map_err(|e| e.to_string()))]
    pub mix: Option<f32>,
    /// Kinds of reasoning stories [default: all]
    #[arg(long, value_delimiter = ',', value_name = "KIND,...", value_parser = family)]
    pub families: Vec<String>,
    /// Where tokenizers and tokens are kept between runs [default: .flashlm-cache]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
}

impl DataArgs {
    /// What `--data` names.
    pub fn source(&self) -> String {
        self.data.clone().unwrap_or_else(|| "builtin".into())
    }

    /// Reasoning stories to mix in.
    pub fn mix(&self) -> Mix {
        let usual = if self.source() == "builtin" { mix::BUILTIN_SHARE } else { 0.0 };
        let share = self.mix.unwrap_or(usual);
        // kinds of nothing are no setting
        let families = if share > 0.0 { self.families.clone() } else { Vec::new() };
        Mix { share, families }
    }
}

/// The name of a kind of reasoning stories.
fn family(name: &str) -> Result<String, String> {
    match Family::from_name(name) {
        Some(family) => Ok(family.name().into()),
        None => Err(format!("expected some of {}", Family::ALL.map(Family::name).join(", "))),
    }
}
