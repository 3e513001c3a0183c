use std::fs;

use super::*;
use crate::run::request::Request;

/// A directory with a file in it to read.
struct Work(tempfile::TempDir);

impl Work {
    fn new(text: &str) -> Self {
        let work = Self(tempfile::tempdir().unwrap());
        fs::write(work.path(), text).unwrap();
        work
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("run.toml")
    }

    /// The command line with `--config` behind its subcommand, if it has one.
    fn parse(&self, line: &str) -> anyhow::Result<Cli> {
        parse(line.split_whitespace().map(OsString::from).chain(["--config".into(), self.path().into()]))
    }

    fn request(&self, line: &str) -> Request {
        self.parse(line).unwrap().train.request().unwrap()
    }

    /// The error, and that it names the file.
    fn refused(&self, line: &str) -> String {
        let message = format!("{:#}", self.parse(line).map(|cli| cli.train.written).unwrap_err());
        assert!(message.starts_with(&self.path().display().to_string()), "{message}");
        message
    }
}

fn refused(text: &str) -> String {
    let message = Work::new(text).refused("trainer");
    message.split_once("run.toml").unwrap().1.to_owned()
}

const PHASES: &str = "
[[phases]]
name = \"short\"
until = 0.25
levels = [1, 2]
mix = 2
depths = [1, 0, 0]
[[phases]]
name = \"all\"
until = 1
";

#[test]
fn what_is_printed_asks_for_the_same_again() {
    let lines = [
        "trainer",
        "trainer --preset bolt --size full --lr 0.0035 --steps 20 --no-curriculum --threads 2",
        "trainer --no-rcsm --no-calibrate --hours 0.5 --clip 0 --seed 18446744073709551615",
        "trainer --depths 1,0,0 --reasoning-depths .5,.25,.25 --rcsm-depths 1,2,7 --rcsm-writes both --z-loss 1e-7",
        "trainer --data a\"b.txt --mix reasoning=0.25 --families tracking,if-then --separator \\n --split lines",
        "trainer --out 5 --valid 1e5 --resume never --extend --eval-every 1e1 --optimiser adamw --no-phase-4",
    ];
    for line in lines {
        let once = parse(line.split_whitespace()).unwrap().train;
        let again = Work::new(&once.written).parse("trainer").unwrap().train;
        assert_eq!(format!("{:?}", again.request().unwrap()), format!("{:?}", once.request().unwrap()), "{line}");
        assert_eq!(again.written, once.written, "{line}");
        assert_eq!(read(&Work::new(&once.written).path()).unwrap().written, once.written, "{line}");
    }
    // and with a table of phases
    let once = Work::new(PHASES).parse("trainer --depths .2,.2,.6").unwrap().train;
    let again = Work::new(&once.written).parse("trainer").unwrap().train;
    assert_eq!(format!("{:?}", again.request().unwrap()), format!("{:?}", once.request().unwrap()));
}

#[test]
fn every_flag_is_in_what_is_printed() {
    let written = parse(["trainer"]).unwrap().train.written;
    let (flags, _) = written.split_once("[[phases]]").unwrap();
    for arg in training().get_arguments().filter_map(long).filter(|long| !OWN.contains(long)) {
        let given = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{arg} ="));
        assert_eq!(flags.lines().filter(|line| given(line)).count(), 1, "{arg}: {written}");
    }
    for line in ["lr = 0.006", "hours = 2", "depths = [0.7, 0.2, 0.1]", "name = \"amplification\"", "# d-model = 256"] {
        assert!(written.lines().any(|own| own == line), "{line}: {written}");
    }
}

#[test]
fn a_file_says_what_flags_say_and_flags_win() {
    let work =
        Work::new("lr = 0.25\nsteps = 7\npreset = 'bolt'\nfamilies = ['tracking', 'pattern']\noptimiser = 'adamw'\n");
    let file = work.request("trainer");
    let flags =
        parse("trainer --lr 0.25 --steps 7 --preset bolt --families tracking,pattern --optimizer adamw".split(' '));
    assert_eq!(format!("{file:?}"), format!("{:?}", flags.unwrap().train.request().unwrap()));
    let both = work.parse("trainer --lr 0.5 --families if-then").unwrap().train;
    assert_eq!((both.lr, both.steps, both.data.families), (0.5, Some(7), vec!["if-then".to_owned()]));
}

#[test]
fn a_flag_drops_what_it_contradicts_in_the_file() {
    let hours = Work::new("hours = 3.5\n");
    assert_eq!(hours.parse("trainer").unwrap().train.hours, 3.5);
    let steps = hours.parse("trainer --steps 9").unwrap().train;
    assert_eq!((steps.steps, steps.given.flags.keys().collect::<Vec<_>>()), (Some(9), vec![&"steps".to_owned()]));
    let back = Work::new("steps = 9\n").parse("trainer --hours 1").unwrap().train;
    assert_eq!((back.steps, back.hours), (None, 1.0));
    let slots = Work::new("rcsm-slots = 64\nrcsm = true\n");
    assert_eq!(slots.request("trainer").config.rcsm.unwrap().slots, 64);
    assert_eq!(slots.request("trainer --no-rcsm").config.rcsm, None);
    assert!(Work::new("no-rcsm = true\n").request("trainer --rcsm").config.rcsm.is_some());
    let phases = Work::new(PHASES).request("trainer --no-curriculum").settings.schedule.phases;
    assert_eq!(phases.iter().map(|phase| &*phase.name).collect::<Vec<_>>(), ["everything"]);
}

#[test]
fn a_table_of_phases_is_the_schedule() {
    let phases = Work::new(PHASES).request("trainer --depths .5,.25,.25").settings.schedule.phases;
    let rows: Vec<_> = phases.iter().map(|p| (&*p.name, p.until, p.levels, p.mix, p.shares.plain)).collect();
    let want = [("short", 0.25, (1, 2), 2.0, [1.0, 0.0, 0.0]), ("all", 1.0, (10, 10), 1.0, [0.5, 0.25, 0.25])];
    assert_eq!(rows, want);
}

#[test]
fn switches_and_help_headings_are_understood() {
    let text = "top-k = 2\nno-calibrate = false\nno-phase-4 = true\n[model]\nd-model = 64\n[optimiser]\nlr = 0.125\n";
    let train = Work::new(text).parse("trainer").unwrap().train;
    assert_eq!((train.reasoning.no_calibrate, train.amplify.off), (false, true));
    assert_eq!((train.model.d_model, train.lr), (Some(64), 0.125));
}

#[test]
fn subcommands_that_train_take_a_file_too_and_others_do_not() {
    let work = Work::new("lr = 0.25\n");
    let Some(Command::Compare(compare)) = work.parse("trainer compare --steps 3").unwrap().command else { panic!() };
    assert_eq!((compare.train.lr, compare.train.steps), (0.25, Some(3)));
    let work = Work::new("vary = ['slots=16,64', 'rcsm=on,off']\nseeds = 2\nhours = 1\n");
    let Some(Command::Ablate(ablate)) = work.parse("trainer ablate --steps 3").unwrap().command else { panic!() };
    assert_eq!((ablate.vary.len(), ablate.seeds, ablate.train.steps), (2, 2, Some(3)));
    assert!(work.parse("trainer smoke").unwrap_err().downcast_ref::<clap::Error>().is_some());
}

#[test]
fn keys_that_are_no_flags_are_refused_with_the_nearest_and_the_line() {
    for (text, want) in [
        ("lr = 1e-3\nslots = 64\n", ":2: there is no key slots: did you mean rcsm-slots?"),
        ("\n# x\nweight_decay = 0.1\n", ":3: there is no key weight_decay: did you mean weight-decay?"),
        ("[model]\nd-modle = 64\n", ":2: there is no key d-modle: did you mean d-model?"),
        ("xyzzy = 1\n", ":1: there is no key xyzzy: expected a long flag"),
        ("config = 'a.toml'\n", ":1: there is no key config"),
        ("top-k = 3\n", ":1: top-k = 3: packed models take 2 operations a pass"),
        ("[model]\nlr = 1\n", ":2: lr stands under [model]: expected [optimiser]"),
        ("[engine]\nlr = 1\n", ":1: there is no key engine"),
    ] {
        let message = refused(text);
        assert!(message.starts_with(want), "{text}: {message}");
    }
}

#[test]
fn values_of_the_wrong_kind_or_range_are_refused_with_what_was_expected() {
    for (text, want) in [
        ("lr = true\n", ":1: lr = true: expected a number"),
        ("lr = 'fast'\n", ":1: lr = 'fast': must be a number in 0.0000001 ..= 1 (rate)"),
        ("\nlr = 7.5\n", ":2: lr = 7.5: must be a number in"),
        ("lr = [0.1, 0.2]\n", ":1: lr = [0.1, 0.2]: expected a number, not a list"),
        ("steps = 1.5\n", ":1: steps = 1.5: invalid digit"),
        ("no-rcsm = 1\n", ":1: no-rcsm = 1: expected true or false"),
        ("data = 5\n", ":1: data = 5: expected a string"),
        ("preset = 'blot'\n", ":1: preset = 'blot': expected one of supernova, thunderbolt"),
        ("rcsm-depths = [3, 2, 1]\n", ":1: rcsm-depths = [3, 2, 1]: must be three rising numbers"),
        ("families = ['magic']\n", ":1: families = ['magic']: expected some of pattern"),
        ("d-model = {}\n", ":1: d-model = {}: expected a number"),
    ] {
        let message = refused(text);
        assert!(message.starts_with(want), "{text}: {message}");
    }
}

#[test]
fn what_contradicts_itself_is_refused_with_both_lines() {
    for (text, want) in [
        ("hours = 2\n\nsteps = 5\n", ":3: steps cannot stand beside hours of line 1"),
        ("rcsm-slots = 4\nno-rcsm = true\n", ":2: no-rcsm cannot stand beside rcsm-slots of line 1"),
        ("optimizer = 'muon'\noptimiser = 'muon'\n", ":2: optimiser is --optimizer, which line 1 gives already"),
        ("lr = 1\nlr = 2\n", ":2: duplicate key"),
        ("lr = \n", ":1: "),
    ] {
        let message = refused(text);
        assert!(message.starts_with(want), "{text}: {message}");
    }
    let both = refused(&format!("no-curriculum = true\n{PHASES}"));
    assert!(both.starts_with(":1: no-curriculum cannot stand beside [[phases]], line 3"), "{both}");
}

#[test]
fn a_wrong_phase_is_refused_with_its_line() {
    for (second, want) in [
        ("name = 'b'\nuntil = 0.1\n", ":4: phase 2 (\"b\"): until must be a share above 0.2"),
        ("name = 'b'\nuntil = 'late'\n", ":6: invalid type"),
        ("name = 'b'\nuntil = 1\ntau = 1\n", ":7: unknown field `tau`"),
        ("name = 'b'\n", ":4: missing field `until`"),
    ] {
        let message = refused(&format!("[[phases]]\nname = 'a'\nuntil = 0.2\n[[phases]]\n{second}"));
        assert!(message.starts_with(want), "{second}: {message}");
    }
    assert!(refused("phases = []\n").starts_with(":1: phase 1"), "{}", refused("phases = []\n"));
    assert!(refused("phases = 3\n").contains("expected tables, each under [[phases]]"));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let message = format!("{:#}", parse(["trainer", "--config", "absent.toml"]).unwrap_err());
    assert!(message.starts_with("absent.toml: "), "{message}");
}
