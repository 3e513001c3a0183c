//! What a line means.

use std::path::PathBuf;

use flashlm_host::Seed;

use crate::screen::Pace;
use crate::settings::{self, Settings};

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Begin a story with this text.
    Story(String),
    /// Go on with the current story, after adding this text.
    Continue(String),
    Retry,
    Undo,
    Save(PathBuf),
    Why,
    Set(Change),
    Show,
    Stats,
    Load(PathBuf),
    Learn(PathBuf),
    Reset,
    Help,
    Quit,
}

/// A new value of one setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Temperature(f32),
    TopP(f32),
    TopK(u32),
    MinP(f32),
    Repeat(f32),
    Seed(Seed),
    Depth(flashlm_core::config::Depth),
    Length(usize),
    /// One more text to stop at, or none any more.
    Stop(Option<String>),
    Pace(Pace),
    Trace(bool),
}

impl Change {
    pub fn apply(self, settings: &mut Settings) {
        match self {
            Self::Temperature(x) => settings.temperature = x,
            Self::TopP(x) => settings.top_p = x,
            Self::TopK(n) => settings.top_k = n,
            Self::MinP(x) => settings.min_p = x,
            Self::Repeat(x) => settings.repeat = x,
            Self::Seed(seed) => settings.seed = seed.value,
            Self::Depth(depth) => settings.depth = Some(depth),
            Self::Length(n) => settings.length = n,
            Self::Stop(Some(word)) => settings.stop.push(word),
            Self::Stop(None) => settings.stop.clear(),
            Self::Pace(pace) => settings.pace = pace,
            Self::Trace(on) => settings.trace = on,
        }
    }
}

/// What stands behind a command's name, for those who complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A text or a number.
    Text,
    /// One of these, or else a number.
    Values(&'static [&'static str]),
    File,
}

/// A command: its name, what stands behind it, as it is known and as it is shown, and what it does.
pub struct About {
    pub name: &'static str,
    pub takes: Takes,
    pub value: &'static str,
    pub does: &'static str,
}

const fn about(name: &'static str, takes: Takes, value: &'static str, does: &'static str) -> About {
    About { name, takes, value, does }
}

/// All commands, as `/help` lists them.
pub const COMMANDS: &[About] = &[
    about("continue", Takes::Text, " TEXT", "add TEXT to the current story and go on"),
    about("retry", Takes::Nothing, "", "tell the last part again, with the next seed"),
    about("undo", Takes::Nothing, "", "forget the last part, yours and the model's, as if it had not been"),
    about("save", Takes::File, " FILE", "write what was told to FILE, each story ended by <|endoftext|>"),
    about(
        "why",
        Takes::Nothing,
        "",
        "the last sentence's words with their passes; for words that went deeper, their\n\
        operations and which earlier tokens the memory gave",
    ),
    about("temp", Takes::Text, " X", "temperature, 0 to 10; 0 always takes the likeliest token"),
    about("top-p", Takes::Text, " X", "keep the likeliest tokens that together have this probability, above 0 to 1"),
    about("top-k", Takes::Text, " N", "keep the N likeliest tokens, 1 to 64; 0 is 64"),
    about("min-p", Takes::Text, " X", "drop tokens less likely than this share of the likeliest, 0 to 1"),
    about("repeat", Takes::Text, " X", "repetition penalty on recent tokens, 0.1 to 10; 1 is none"),
    about(
        "seed",
        Takes::Values(&["random"]),
        " N|random",
        "the same seed and settings give the same text; any new setting \
        begins the random\nnumbers anew",
    ),
    about(
        "depth",
        Takes::Values(&["auto"]),
        " N|auto",
        "passes of the reasoning loop per token: 1 to the model's most, or \
        the model's choice",
    ),
    about("length", Takes::Text, " N", "the most tokens generated at a time"),
    about("stop", Takes::Text, " TEXT", "end stories before TEXT too; without TEXT, stop at nothing"),
    about(
        "pace",
        Takes::Values(&["reading", "off"]),
        " N|reading|off",
        "show at most N words a minute; reading is 238",
    ),
    about(
        "trace",
        Takes::Values(&["on", "off"]),
        " on|off",
        "after every story, show for each of its tokens the passes, \
        their operations and gates,\nand which earlier tokens the memory gave",
    ),
    about("set", Takes::Nothing, "", "show these settings"),
    about("stats", Takes::Nothing, "", "tokens/s and passes per token by setting, operations used, memory"),
    about("load", Takes::File, " FILE", "change to another model"),
    about(
        "learn",
        Takes::File,
        " FILE",
        "let the model go on with a text of yours for a minute, in the background; `trainer tune`\n\
        has more to choose from",
    ),
    about("reset", Takes::Nothing, "", "forget all that was told, the statistics and where the random numbers stand"),
    about("help", Takes::Nothing, "", "this"),
    about("quit", Takes::Nothing, "", "leave (so does Ctrl-D)"),
];

/// What `/help` says.
pub fn help() -> String {
    let mut text = String::from(
        "A line of text begins a new story with it; the model goes on.\n\
         An empty line, or /continue, goes on with the current story, also where it had ended.\n",
    );
    for About { name, value, does, .. } in COMMANDS {
        let mut head = format!("/{name}{value}");
        for line in does.lines() {
            text += &format!("{head:22}{line}\n");
            head.clear();
        }
    }
    text + "Tab completes commands, their values and files. Ctrl-C stops a generation."
}

impl Command {
    /// The meaning of `line`, or what is wrong with it.
    pub fn parse(line: &str) -> Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok(if line.trim().is_empty() { Self::Continue(String::new()) } else { Self::Story(line.into()) });
        };
        let (name, value) = command.split_once(' ').unwrap_or((command, ""));
        let trimmed = value.trim();
        let set = |change: Result<Change, String>| change.map(Self::Set).map_err(|e| format!("/{name}: {e}"));
        let alone = |command: Self| match trimmed {
            "" => Ok(command),
            _ => Err(format!("/{name} takes no value, found {trimmed:?}")),
        };
        match name.trim_end() {
            "temp" | "temperature" => set(settings::temperature(trimmed).map(Change::Temperature)),
            "top-p" => set(settings::top_p(trimmed).map(Change::TopP)),
            "top-k" => set(settings::top_k(trimmed).map(Change::TopK)),
            "min-p" => set(settings::min_p(trimmed).map(Change::MinP)),
            "repeat" => set(settings::repeat(trimmed).map(Change::Repeat)),
            "seed" => set(trimmed.parse().map(Change::Seed)),
            "depth" => set(settings::depth(trimmed).map(Change::Depth)),
            "length" | "tokens" => set(settings::length(trimmed).map(Change::Length)),
            "stop" => set(Ok(Change::Stop(Some(trimmed.to_owned()).filter(|word| !word.is_empty())))),
            "pace" => set(trimmed.parse().map(Change::Pace)),
            "trace" => set(settings::switch(trimmed).map(Change::Trace)),
            "load" if trimmed.is_empty() => Err("/load: expected a model file (.flm)".into()),
            "load" => Ok(Self::Load(trimmed.into())),
            "learn" if trimmed.is_empty() => Err("/learn: expected a text to learn".into()),
            "learn" => Ok(Self::Learn(trimmed.into())),
            "save" if trimmed.is_empty() => Err("/save: expected the name of a file to write".into()),
            "save" => Ok(Self::Save(trimmed.into())),
            // the text's own spaces count: "/continue  and" adds " and"
            "continue" => Ok(Self::Continue(value.into())),
            "retry" => alone(Self::Retry),
            "undo" => alone(Self::Undo),
            "why" => alone(Self::Why),
            "set" => alone(Self::Show),
            "stats" => alone(Self::Stats),
            "reset" => alone(Self::Reset),
            "help" => alone(Self::Help),
            "quit" | "exit" => alone(Self::Quit),
            _ => Err(format!("there is no command /{name}: /help lists them")),
        }
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::config::Depth;

    use super::*;

    #[test]
    fn a_line_is_a_story_unless_it_is_empty_or_begins_with_a_slash() {
        assert_eq!(Command::parse("Once upon"), Ok(Command::Story("Once upon".into())));
        assert_eq!(Command::parse("  "), Ok(Command::Continue(String::new())));
        assert_eq!(Command::parse("/continue  and then"), Ok(Command::Continue(" and then".into())));
        assert_eq!(Command::parse("/temp 0.5"), Ok(Command::Set(Change::Temperature(0.5))));
        assert_eq!(Command::parse("/depth auto"), Ok(Command::Set(Change::Depth(Depth::Adaptive))));
        assert_eq!(Command::parse("/seed 7"), Ok(Command::Set(Change::Seed(7.into()))));
        assert!(matches!(Command::parse("/seed random"), Ok(Command::Set(Change::Seed(seed))) if seed.drawn));
        assert_eq!(Command::parse("/trace on"), Ok(Command::Set(Change::Trace(true))));
        assert_eq!(Command::parse("/stop The end"), Ok(Command::Set(Change::Stop(Some("The end".into())))));
        assert_eq!(Command::parse("/stop"), Ok(Command::Set(Change::Stop(None))));
        assert_eq!(Command::parse("/load  a b.flm "), Ok(Command::Load("a b.flm".into())));
        assert_eq!(Command::parse("/save a b.txt"), Ok(Command::Save("a b.txt".into())));
        assert_eq!(Command::parse("/quit "), Ok(Command::Quit));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_commands_name() {
        assert!(Command::parse("/temp 99").unwrap_err().starts_with("/temp: expected a number from 0 to 10"));
        assert!(Command::parse("/temp").unwrap_err().starts_with("/temp: "));
        assert!(Command::parse("/trace").unwrap_err().starts_with("/trace: expected on or off"));
        assert!(Command::parse("/pace fast").unwrap_err().starts_with("/pace: expected words a minute"));
        assert!(Command::parse("/sing").unwrap_err().contains("/help"));
        assert!(Command::parse("/reset now").unwrap_err().contains("takes no value"));
        assert!(
            Command::parse("/load").is_err() && Command::parse("/learn").is_err() && Command::parse("/save ").is_err()
        );
    }

    #[test]
    fn every_command_that_is_listed_is_known_with_the_values_it_lists() {
        for About { name, takes, .. } in COMMANDS {
            let values: &[&str] = match takes {
                Takes::Nothing => &[""],
                Takes::Text => &["1"],
                Takes::File => &["file"],
                Takes::Values(values) => values,
            };
            for value in values {
                let line = format!("/{name} {value}");
                assert!(Command::parse(&line).is_ok(), "{line}");
            }
            assert!(help().contains(&format!("\n/{name}")), "{name}");
        }
        assert!(help().lines().all(|line| line.len() <= 120), "{}", help());
    }
}
