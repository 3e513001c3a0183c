//! What a line means.

use std::path::PathBuf;

use flashlm_host::Seed;

use crate::settings::{self, Settings};

#[derive(Clone, Debug, PartialEq)]
pub enum Command<'a> {
    /// Begin a story with this text.
    Story(&'a str),
    /// Go on with the current story, after adding this text.
    Continue(&'a str),
    Set(Change),
    Show,
    Stats,
    Load(PathBuf),
    Reset,
    Help,
    Quit,
}

/// A new value of one setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Temperature(f32),
    TopP(f32),
    TopK(u32),
    MinP(f32),
    Repeat(f32),
    Seed(Seed),
    Depth(flashlm_core::config::Depth),
    Length(usize),
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
            Self::Trace(on) => settings.trace = on,
        }
    }
}

impl<'a> Command<'a> {
    /// The meaning of `line`, or what is wrong with it.
    pub fn parse(line: &'a str) -> Result<Self, String> {
        let Some(command) = line.strip_prefix('/') else {
            return Ok(if line.trim().is_empty() { Self::Continue("") } else { Self::Story(line) });
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
            "trace" => set(settings::switch(trimmed).map(Change::Trace)),
            "load" if trimmed.is_empty() => Err("/load: expected a model file (.flm)".into()),
            "load" => Ok(Self::Load(trimmed.into())),
            // the text's own spaces count: "/continue  and" adds " and"
            "continue" => Ok(Self::Continue(value)),
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
        assert_eq!(Command::parse("Once upon"), Ok(Command::Story("Once upon")));
        assert_eq!(Command::parse("  "), Ok(Command::Continue("")));
        assert_eq!(Command::parse("/continue  and then"), Ok(Command::Continue(" and then")));
        assert_eq!(Command::parse("/temp 0.5"), Ok(Command::Set(Change::Temperature(0.5))));
        assert_eq!(Command::parse("/depth auto"), Ok(Command::Set(Change::Depth(Depth::Adaptive))));
        assert_eq!(Command::parse("/seed 7"), Ok(Command::Set(Change::Seed(7.into()))));
        assert!(matches!(Command::parse("/seed random"), Ok(Command::Set(Change::Seed(seed))) if seed.drawn));
        assert_eq!(Command::parse("/trace on"), Ok(Command::Set(Change::Trace(true))));
        assert_eq!(Command::parse("/load  a b.flm "), Ok(Command::Load("a b.flm".into())));
        assert_eq!(Command::parse("/quit "), Ok(Command::Quit));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_commands_name() {
        assert!(Command::parse("/temp 99").unwrap_err().starts_with("/temp: expected a number from 0 to 10"));
        assert!(Command::parse("/temp").unwrap_err().starts_with("/temp: "));
        assert!(Command::parse("/trace").unwrap_err().starts_with("/trace: expected on or off"));
        assert!(Command::parse("/sing").unwrap_err().contains("/help"));
        assert!(Command::parse("/reset now").unwrap_err().contains("takes no value"));
        assert!(Command::parse("/load").is_err());
    }
}
