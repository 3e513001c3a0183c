//! The grid: what is varied, and every combination of it as a training of its own.

use anyhow::{Context, bail, ensure};
use clap::{ArgAction, Command};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::args::given::{Given, contradict, find};
use super::super::config;

/// Flags that the grid itself sets, that say how it is done, or that are the same for all so that runs compare.
const NOT_VARIED: [&str; 8] = ["seed", "out", "resume", "extend", "config", "print-config", "hours", "steps"];
/// What a cell is called where nothing is varied.
const BASE: &str = "base";
/// What may stand in the name of a directory.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'=').remove(b',').remove(b'+');

/// What a value does: flags given with their words, or (`None`) not given.
type Settings = Vec<(String, Option<Vec<String>>)>;

/// Something that is varied.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// As the user calls it.
    pub key: String,
    /// Whether it is on or off, and has no values of its own.
    switch: bool,
    values: Vec<(String, Settings)>,
}

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// `KEY=V,KEY=V`.
    pub name: String,
    /// The same in pairs; a key that means nothing in this combination is missing.
    pub values: Vec<(String, String)>,
    pub given: Given,
}

impl Cell {
    /// Its name as a directory's.
    pub fn directory(&self) -> String {
        utf8_percent_encode(&self.name, PLAIN).to_string()
    }
}

impl Axis {
    /// Reads `KEY=V,V`: a long flag or the end of one, and its values, between commas or, where there is one,
    /// semicolons.
    ///
    /// # Errors
    /// There is no such flag or it cannot be varied, or there are no values.
    pub fn parse(argument: &str) -> anyhow::Result<Self> {
        let wrong = || format!("--vary {argument}");
        let (key, values) = argument.split_once('=').with_context(|| format!("{}: expected KEY=V,V", wrong()))?;
        let separator = if values.contains(';') { ';' } else { ',' };
        let values: Vec<&str> = values.split(separator).map(str::trim).collect();
        for (index, value) in values.iter().enumerate() {
            ensure!(!value.is_empty(), "{}: expected a value at every place", wrong());
            ensure!(!values[..index].contains(value), "{}: {value} is given twice", wrong());
        }
        Self::new(key.trim(), &values).with_context(wrong)
    }

    /// The flag `key`, or the only one that ends so, over `values`.
    pub fn new(key: &str, values: &[&str]) -> anyhow::Result<Self> {
        let command = config::training();
        let key = key.trim_start_matches("--");
        let (long, negated) = flag(&command, key)?;
        ensure!(!NOT_VARIED.contains(&&*long), "{long} cannot be varied");
        let arg = find(&command, &long).context("the flag")?;
        let switch = matches!(arg.get_action(), ArgAction::SetTrue);
        let opposite = find(&command, &format!("no-{long}")).and_then(|arg| arg.get_long()).filter(|_| switch);
        let settings = |value: &&str| -> anyhow::Result<(String, Settings)> {
            let settings = match (switch, *value) {
                (false, word) => vec![(long.clone(), Some(vec![word.to_owned()]))],
                (true, "on" | "off") if (*value == "on") != negated => {
                    let off = opposite.map(|off| (off.to_owned(), None));
                    off.into_iter().chain([(long.clone(), Some(Vec::new()))]).collect()
                }
                (true, "on" | "off") => {
                    let off = opposite.map(|off| (off.to_owned(), Some(Vec::new())));
                    [(long.clone(), None)].into_iter().chain(off).collect()
                }
                (true, _) => bail!("expected on or off, found {value}"),
            };
            Ok((value.to_string(), settings))
        };
        let values = values.iter().map(settings).collect::<anyhow::Result<_>>()?;
        Ok(Self { key: key.to_owned(), switch, values })
    }
}

/// The long name of the flag that `key` means, and whether it is one that switches `key` off.
fn flag(command: &Command, key: &str) -> anyhow::Result<(String, bool)> {
    if let Some(long) = find(command, key).and_then(|arg| arg.get_long()) {
        return Ok((long.to_owned(), false));
    }
    let off = format!("no-{key}");
    if find(command, &off).is_some_and(|arg| matches!(arg.get_action(), ArgAction::SetTrue)) {
        return Ok((off, true));
    }
    let longs = command.get_arguments().filter_map(|arg| arg.get_long());
    let ends: Vec<&str> = longs.filter(|long| long.ends_with(&format!("-{key}"))).collect();
    match ends[..] {
        [only] => Ok((only.to_owned(), false)),
        [] => bail!("there is no flag --{key}, nor one that ends in it; trainer --help lists them"),
        _ => bail!("{key} may be any of {}", ends.join(", ")),
    }
}

/// All combinations, the last axis fastest. Where a switch contradicts another axis (an engine that is off has no
/// slots), the latter means nothing: the combination goes without it, and once.
pub fn cells(base: &Given, axes: &[Axis]) -> anyhow::Result<Vec<Cell>> {
    let command = config::training();
    for (index, axis) in axes.iter().enumerate() {
        let twice = axes[..index].iter().any(|other| axis.longs().any(|long| other.longs().any(|own| own == long)));
        ensure!(!twice, "--vary {}: is varied twice", axis.key);
    }
    let count = axes.iter().map(|axis| axis.values.len()).product();
    let mut cells: Vec<Cell> = Vec::new();
    for number in 0..count {
        let mut chosen = combination(axes, number);
        let switches = chosen.iter().filter(|(axis, _)| axis.switch);
        let switched: Vec<&str> = switches.flat_map(|(_, (_, settings))| given(settings)).collect();
        let means = |settings| !given(settings).any(|long| switched.iter().any(|s| contradict(&command, long, s)));
        chosen.retain(|(axis, (_, settings))| axis.switch || means(settings));
        let values: Vec<_> = chosen.iter().map(|(axis, (value, _))| (axis.key.clone(), value.clone())).collect();
        let name = values.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
        let name = if name.is_empty() { BASE.to_owned() } else { name };
        if cells.iter().any(|cell| cell.name == name) {
            continue;
        }
        let mut all = base.clone();
        for (long, words) in chosen.iter().flat_map(|(_, (_, settings))| settings) {
            match words {
                Some(words) => all.set(&command, long, words.clone()),
                None => all.remove(long),
            }
        }
        cells.push(Cell { name, values, given: all });
    }
    Ok(cells)
}

/// The combination of that number: a value of each axis.
fn combination(axes: &[Axis], number: usize) -> Vec<(&Axis, &(String, Settings))> {
    let mut rest = number;
    let mut chosen = Vec::with_capacity(axes.len());
    for axis in axes.iter().rev() {
        chosen.push((axis, &axis.values[rest % axis.values.len()]));
        rest /= axis.values.len();
    }
    chosen.reverse();
    chosen
}

/// The flags that settings give.
fn given(settings: &Settings) -> impl Iterator<Item = &str> {
    settings.iter().filter(|(_, words)| words.is_some()).map(|(long, _)| long.as_str())
}

impl Axis {
    /// The flags it sets.
    fn longs(&self) -> impl Iterator<Item = &String> {
        self.values.iter().flat_map(|(_, settings)| settings.iter().map(|(long, _)| long))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(all: &[&str]) -> Vec<Axis> {
        all.iter().map(|one| Axis::parse(one).unwrap()).collect()
    }

    fn base(flags: &[(&str, &[&str])]) -> Given {
        let flags =
            flags.iter().map(|(long, words)| (long.to_string(), words.iter().map(|word| word.to_string()).collect()));
        Given { flags: flags.collect(), phases: None }
    }

    /// Each cell's name and arguments.
    fn all(base: &Given, vary: &[&str]) -> Vec<(String, String)> {
        let cells = cells(base, &axes(vary)).unwrap();
        let line = |cell: &Cell| cell.given.arguments().map(|a| a.into_string().unwrap()).collect::<Vec<_>>().join(" ");
        cells.iter().map(|cell| (cell.name.clone(), line(cell))).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
    }

    #[test]
    fn every_combination_is_a_cell() {
        assert_eq!(
            all(&base(&[("steps", &["4"])]), &["slots=16,64", "lr=0.1,0.2"]),
            pairs(&[
                ("slots=16,lr=0.1", "--lr=0.1 --rcsm-slots=16 --steps=4"),
                ("slots=16,lr=0.2", "--lr=0.2 --rcsm-slots=16 --steps=4"),
                ("slots=64,lr=0.1", "--lr=0.1 --rcsm-slots=64 --steps=4"),
                ("slots=64,lr=0.2", "--lr=0.2 --rcsm-slots=64 --steps=4"),
            ])
        );
        assert_eq!(all(&Given::default(), &[]), pairs(&[("base", "")]));
    }

    #[test]
    fn what_a_switch_turns_off_is_not_varied_and_what_the_base_says_of_it_goes() {
        assert_eq!(
            all(&base(&[("rcsm-ops", &["4"])]), &["slots=16,64", "rcsm=on,off"]),
            pairs(&[
                ("slots=16,rcsm=on", "--rcsm --rcsm-ops=4 --rcsm-slots=16"),
                ("rcsm=off", "--no-rcsm"),
                ("slots=64,rcsm=on", "--rcsm --rcsm-ops=4 --rcsm-slots=64"),
            ])
        );
    }

    #[test]
    fn a_switch_is_called_by_what_it_switches_off_too() {
        let off = base(&[("no-curriculum", &[])]);
        assert_eq!(
            all(&off, &["curriculum=on,off"]),
            pairs(&[("curriculum=on", ""), ("curriculum=off", "--no-curriculum")])
        );
        assert_eq!(
            all(&off, &["no-curriculum=on,off"]),
            pairs(&[("no-curriculum=on", "--no-curriculum"), ("no-curriculum=off", "")])
        );
        assert_eq!(all(&off, &["phase-4=off"])[0].1, "--no-curriculum --no-phase-4");
    }

    #[test]
    fn values_with_commas_stand_between_semicolons() {
        let cells = cells(&Given::default(), &axes(&["rcsm-depths=1,2,4;1,3,8"])).unwrap();
        assert_eq!(cells[1].given.flags["rcsm-depths"], ["1,3,8"]);
        assert_eq!(cells[1].directory(), "rcsm-depths=1,3,8");
        let data = cells_of_data("a/b.txt");
        assert_eq!((data.name.as_str(), data.directory().as_str()), ("data=a/b.txt", "data=a%2Fb.txt"));
    }

    fn cells_of_data(data: &str) -> Cell {
        cells(&Given::default(), &axes(&[&format!("data={data}")])).unwrap().remove(0)
    }

    #[test]
    fn what_cannot_be_varied_is_refused_with_the_reason() {
        for (vary, want) in [
            ("slots", "expected KEY=V,V"),
            ("slots=16,", "expected a value at every place"),
            ("slots=16,16", "16 is given twice"),
            ("seed=1,2", "seed cannot be varied"),
            ("steps=1,2", "steps cannot be varied"),
            ("rcsm=yes", "expected on or off, found yes"),
            ("magic=1,2", "there is no flag --magic"),
            ("every=1,2", "every may be any of checkpoint-every, eval-every"),
        ] {
            let message = format!("{:#}", Axis::parse(vary).unwrap_err());
            assert!(message.contains(want) && message.contains(vary), "{message}");
        }
        let twice = cells(&Given::default(), &axes(&["slots=16", "rcsm-slots=64"])).unwrap_err().to_string();
        assert!(twice.contains("rcsm-slots: is varied twice"), "{twice}");
    }
}
