//! The chat on a terminal: what is typed or pasted ahead, what Tab, Ctrl-C and the commands do, how it looks, and the
//! history.
#![cfg(unix)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flashlm_core::blob::{Role, layout::Contents, write};
use flashlm_core::config::ModelConfig;
use flashlm_core::testing::{SMALL, random_sections};
use flashlm_core::{Facts, tokenizer};
use rexpect::session::{PtySession, spawn_command};
use serde_json::Value;

/// A random model of byte tokens that, always taking the likeliest, ends no story: the logit of that is 0, and of the
/// many tokens that may follow one has a larger one.
fn endless_model() -> Vec<u8> {
    let config = ModelConfig { vocab: 257, ..SMALL };
    let mut sections = random_sections(&config, 9);
    // magic, version 1, no merges
    sections[Role::Tokenizer as usize] = [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat();
    let Contents::Embedding(shape) = Contents::of(Role::Embedding, &config) else { panic!("an embedding") };
    (0..shape.columns).for_each(|column| sections[Role::Embedding as usize][shape.value_at(0, column)] = 0);
    write(&config, &Facts { name: "endless", ..Facts::default() }, &sections).expect("a model")
}

/// A chat in a terminal of its own, without colours, at its first prompt, that remembers its lines in `history`.
fn chat(history: &Path, args: &[&str]) -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
    command
        .args(["chat", "--temp", "0", "--history"])
        .arg(history)
        .args(args)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1");
    let mut session = spawn_command(command, Some(60_000)).expect("a terminal");
    session.exp_string("> ").expect("a prompt");
    session
}

/// Types `keys`, which need not be text.
fn type_in(session: &PtySession, keys: &[u8]) {
    session.process().get_file_handle().expect("the terminal").write_all(keys).expect("typed");
}

/// What the chat shows until it leaves, without the codes that move the cursor.
fn rest(session: &mut PtySession) -> String {
    let shown = session.exp_eof().expect("the chat leaves");
    let status = format!("{:?}", session.process().wait());
    assert!(status.starts_with("Ok(Exited(") && status.ends_with(", 0))"), "{status}: {shown}");
    plain(&shown)
}

/// `shown` without the codes that move the cursor or colour it.
fn plain(shown: &str) -> String {
    let mut text = String::new();
    let mut codes = shown.split('\u{1b}');
    text.push_str(codes.next().unwrap_or_default());
    for code in codes {
        text.push_str(code.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, after)| after));
    }
    text.replace('\r', "")
}

fn generated(prompt: &str, tokens: &str) -> String {
    printed(&["generate", "--temp", "0", "-n", tokens, "-p", prompt])
}

/// What the program prints into a pipe.
fn printed(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_flashlm")).args(args).output().expect("flashlm starts");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn remembered(history: &Path) -> Vec<String> {
    let text = fs::read_to_string(history).expect("a history");
    text.lines().skip(1).map(str::to_owned).collect()
}

/// A folder, and a place for a history in it.
fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("history");
    (folder, path)
}

#[test]
fn lines_that_are_pasted_at_once_are_all_told_in_their_order() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["-n", "6"]);
    let lines = ["Once upon a time", "The cat", "A dog and a bird", "/quit"];
    type_in(&session, (lines.join("\r") + "\r").as_bytes());
    let shown = rest(&mut session);
    let mut at = 0;
    for line in &lines[..3] {
        let story = generated(line, "6");
        at += shown[at..].find(&story).unwrap_or_else(|| panic!("{story:?} is missing behind {at}: {shown}"));
    }
    assert_eq!(remembered(&history), lines);
}

#[test]
fn far_more_lines_than_a_buffer_holds_are_all_told() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["-n", "1"]);
    // with the names of the lines, more than terminals keep of what nobody has read yet
    let mut lines: Vec<String> = (0..80).map(|i| format!("{i} {}", "cats ".repeat(20).trim_end())).collect();
    lines.push("/quit".into());
    type_in(&session, (lines.join("\n") + "\n").as_bytes());
    let shown = rest(&mut session);
    for line in &lines[..80] {
        // the editor shows it behind its prompt; a story begins on a line of its own
        assert!(shown.contains(&format!("\n{line}")), "{line:?} is missing: {shown}");
    }
    assert_eq!(remembered(&history), lines);
}

#[test]
fn lines_that_are_typed_while_a_story_is_told_come_after_it_and_ctrl_c_ends_one_story_alone() {
    let (folder, history) = place();
    let model = folder.path().join("endless.flm");
    fs::write(&model, endless_model()).expect("written");
    let mut session = chat(&history, &["-n", "1000000", "-m", model.to_str().expect("UTF-8")]);
    // the second and third are read ahead with the first, whose story does not end
    type_in(&session, b"abc\rdef\r/length 9\r");
    session.exp_string("\nabc").expect("the first story");
    type_in(&session, b"\x03");
    session.exp_string("\ndef").expect("the second story");
    type_in(&session, b"\x03");
    // the setting does what it says
    session.exp_string("> ").expect("a prompt");
    type_in(&session, b"/set\r");
    session.exp_string("length 9").expect("the settings");
    type_in(&session, b"/length 60000\rghi\r");
    session.exp_string("\nghi").expect("a story that goes on for a while");
    type_in(&session, b"/length 5\n/set\njkl\n/quit\n");
    let shown = rest(&mut session);
    assert!(shown.contains("length 5") && shown.contains("\njkl"), "{}", &shown[shown.len().saturating_sub(500)..]);
    let lines = ["abc", "def", "/length 9", "/set", "/length 60000", "ghi", "/length 5", "/set", "jkl", "/quit"];
    assert_eq!(remembered(&history), lines);
}

#[test]
fn bytes_that_are_no_text_do_not_end_the_chat() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["-n", "2"]);
    type_in(&session, b"caf\xe9 au lait\r");
    session.exp_string("not UTF-8").expect("a complaint");
    session.exp_string("> ").expect("a prompt");
    type_in(&session, "Été\r/quit\r".as_bytes());
    rest(&mut session);
    assert_eq!(remembered(&history), ["Été", "/quit"]);
}

#[test]
fn two_chats_at_once_remember_the_lines_of_both_and_keep_what_they_cannot_read() {
    let (_folder, history) = place();
    let before = b"#V2\nan old line\ncaf\xe9\xff\n";
    fs::write(&history, before).expect("written");
    let (mut one, mut two) = (chat(&history, &["-n", "1"]), chat(&history, &["-n", "1"]));
    for i in 0..5 {
        for (name, session) in [("one", &mut one), ("two", &mut two)] {
            type_in(session, format!("{name} {i}\r").as_bytes());
            session.exp_string(&format!("\n{name} {i}")).expect("a story");
            session.exp_string("> ").expect("a prompt");
        }
    }
    // the up arrow, three times: past "two 4" and "two 3", which are its own
    type_in(&two, b"\x1b[A\x1b[A\x1b[A\r/quit\r");
    type_in(&one, b"/quit\r");
    assert!(rest(&mut two).contains("two 2"));
    rest(&mut one);
    let after = fs::read(&history).expect("a history");
    let added = after.strip_prefix(before).expect("nothing of it was rewritten");
    let mut added: Vec<&str> = str::from_utf8(added).expect("text").lines().collect();
    added.sort_unstable();
    let mut want: Vec<String> = (0..5).flat_map(|i| [format!("one {i}"), format!("two {i}")]).collect();
    want.extend(["/quit".to_owned(), "/quit".to_owned(), "two 2".to_owned()]);
    want.sort_unstable();
    assert_eq!(added, want);
    // the next chat goes back to the line of before
    let mut third = chat(&history, &["-n", "1"]);
    type_in(&third, &[&b"\x1b[A".repeat(15)[..], b"\r/quit\r"].concat());
    assert!(rest(&mut third).contains("an old line"));
}

#[test]
fn a_history_that_cannot_be_kept_is_said_once_and_does_no_harm() {
    let (folder, _) = place();
    // a folder is no file, and none can be made below a file
    let below = folder.path().join("file").join("history");
    fs::write(folder.path().join("file"), "").expect("written");
    for history in [folder.path(), &below] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
        command.args(["chat", "-n", "1", "--history"]).arg(history).env("TERM", "xterm");
        let mut session = spawn_command(command, Some(60_000)).expect("a terminal");
        type_in(&session, b"Once upon\rThe cat\r/quit\r");
        let shown = rest(&mut session);
        assert_eq!(shown.matches("lines are not remembered").count(), 1, "{shown}");
        assert!(shown.contains(history.to_str().expect("UTF-8")) && shown.matches("The cat").count() > 1, "{shown}");
    }
}

#[test]
fn a_seed_that_is_drawn_is_shown_at_the_start_and_by_its_command() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["--seed", "random", "-n", "2"]);
    type_in(&session, b"/set\r/seed random\r/set\r/quit\r");
    let shown = rest(&mut session);
    let set: Vec<&str> = shown.split(", seed ").skip(1).filter_map(|rest| rest.split(',').next()).collect();
    assert_eq!(set.len(), 2, "{shown}");
    assert!(set[0] != set[1] && shown.contains(&format!("\nseed {}\n", set[1])), "{shown}");
}

#[test]
fn lines_pasted_in_one_piece_are_one_prompt() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["-n", "6"]);
    // as terminals mark what is pasted
    type_in(&session, b"\x1b[200~Tom ran home.\rLily sat\x1b[201~\r/quit\r");
    let shown = rest(&mut session);
    let story = generated("Tom ran home.\nLily sat", "6");
    assert!(shown.contains(&format!("\n{story}")), "{story:?} is missing: {shown}");
    assert_eq!(remembered(&history), ["Tom ran home.\\nLily sat", "/quit"]);
}

#[test]
fn tab_completes_commands_values_and_files() {
    let (folder, history) = place();
    fs::write(folder.path().join("my model.flm"), endless_model()).expect("written");
    let mut session = chat(&history, &["-n", "2"]);
    type_in(&session, b"/sta\t\r");
    session.exp_string("generated 0 tokens").expect("the statistics");
    type_in(&session, b"/pace re\t\r/set\r");
    session.exp_string("pace 238").expect("the settings");
    type_in(&session, format!("/load {}/my\t\r", folder.path().display()).as_bytes());
    session.exp_string("my model.flm (endless). Begin").expect("the model");
    type_in(&session, b"/quit\r");
    rest(&mut session);
}

#[test]
fn why_shows_the_last_sentences_words_with_the_passes_that_a_trace_has() {
    let (_folder, history) = place();
    let mut session = chat(&history, &["-n", "22", "--depth", "auto"]);
    type_in(&session, b"/why\rTom had a dog. Lily had\r/why\r/quit\r");
    let shown = rest(&mut session);
    assert!(shown.contains("there is no word to explain yet"), "{shown}");
    let prompt = "Tom had a dog. Lily had";
    let trace = printed(&["trace", "--temp", "0", "-n", "22", "--depth", "auto", "-p", prompt]);
    let trace: Value = serde_json::from_str(&trace).expect("JSON");
    let words = trace["words"].as_array().expect("words").iter();
    let all: String = words.map(|w| format!("{}({})", w["word"].as_str().expect("a word"), w["passes"])).collect();
    let line = shown.lines().rfind(|line| line.ends_with(')') && line.contains(") ")).expect("the sentence");
    assert!(all.replace('\n', " ").trim_end().ends_with(line.trim()), "{line:?} ends no {all:?}");
    let before = all[..all.len() - line.len()].trim_end();
    assert!(before.ends_with(')') && before.contains("dog("), "a sentence, not all: {line:?}");
    assert!(shown.contains("(depth auto)") && shown.contains("  1: operations "), "{shown}");
}

#[test]
fn a_part_is_told_again_undone_and_saved() {
    let (folder, history) = place();
    let file = folder.path().join("told.txt");
    let mut session = chat(&history, &["-n", "20"]);
    let save = format!("/save {}", file.display());
    let lines = ["/temp 1", "Once upon", "/retry", "/undo", "/seed 1", "Once upon", &save, &save, "/quit"];
    type_in(&session, (lines.join("\r") + "\r").as_bytes());
    let shown = rest(&mut session);
    let told = |seed| printed(&["Once upon", "-n", "20", "--temp", "1", "--seed", seed]);
    let (first, second) = (told("1"), told("2"));
    assert_ne!(first, second);
    assert_eq!((shown.matches(&first).count(), shown.matches(&second).count()), (2, 1), "{first} {second} {shown}");
    assert!(shown.contains("\nseed 2\n") && shown.contains("forgotten: \"Once upon\""), "{shown}");
    let saved = fs::read_to_string(&file).expect("saved");
    assert_eq!(saved, format!("{}\n<|endoftext|>\n", first.trim_end()));
}

/// A chat in a terminal of 40 columns.
fn narrow(args: &[&str]) -> PtySession {
    let mut command = Command::new("sh");
    command.args(["-c", "stty cols 40 rows 24; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_flashlm")]).args(args);
    spawn_command(command, Some(60_000)).expect("a terminal")
}

#[test]
fn a_narrow_terminal_breaks_lines_at_words() {
    let args = ["Once upon a time", "--temp", "0", "-n", "80"];
    let mut session = narrow(&args);
    let shown = plain(&session.exp_eof().expect("the story"));
    let story = printed(&args);
    assert!(story.lines().any(|line| line.len() > 40), "{story}");
    assert!(shown.lines().all(|line| line.len() <= 40), "{shown}");
    assert!(shown.lines().filter(|line| line.len() > 30).count() > 3, "lines are filled: {shown}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&shown), words(&story));
}

#[test]
fn own_text_has_a_colour_on_a_terminal_unless_none_is_wanted() {
    let shown = |no_color: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
        command.args(["The cat", "-n", "5", "--temp", "0"]).args(more).env("TERM", "xterm").env("NO_COLOR", no_color);
        spawn_command(command, Some(60_000)).expect("a terminal").exp_eof().expect("the story").replace('\r', "")
    };
    let story = generated("The cat", "5");
    let coloured = shown("", &[]);
    assert!(coloured.starts_with("\u{1b}[1m\u{1b}[32mThe cat\u{1b}[0m"), "{coloured:?}");
    assert_eq!(plain(&coloured), story);
    assert_eq!(shown("1", &[]), story);
    assert_eq!(shown("", &["--color", "never"]), story);
    assert_eq!(shown("1", &["--color", "always"]), coloured);
}

#[test]
fn the_newest_model_of_the_runs_here_is_offered() {
    let (folder, history) = place();
    fs::create_dir_all(folder.path().join("out/tiny")).expect("a folder");
    fs::write(folder.path().join("out/tiny/model.flm"), endless_model()).expect("written");
    for (answer, model) in [("\r", "out/tiny/model.flm (endless)"), ("what\rn\r", "the built-in model supernova (")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
        command.args(["chat", "--history"]).arg(&history).env("TERM", "xterm").env("NO_COLOR", "1");
        command.current_dir(folder.path());
        let mut session = spawn_command(command, Some(60_000)).expect("a terminal");
        session.exp_string("newest model in out/: out/tiny/model.flm, of ").expect("an offer");
        session.exp_string(" ago; use it? [Y/n] ").expect("an offer");
        type_in(&session, answer.as_bytes());
        session.exp_string(model).expect("the model");
        type_in(&session, b"/quit\r");
        rest(&mut session);
    }
    assert_eq!(remembered(&history), ["/quit"], "answers are no prompts, and a line that comes again is kept once");
}

#[test]
fn a_story_at_a_slow_pace_is_stopped_at_once() {
    let (_folder, history) = place();
    // a word an hour would be no less at once
    let mut session = chat(&history, &["-n", "30", "--pace", "1"]);
    type_in(&session, b"Once\r");
    session.exp_string("\nOnce upon").expect("the first words");
    type_in(&session, b"\x03");
    session.exp_string("> ").expect("a prompt");
    type_in(&session, b"/pace off\r/continue\r/quit\r");
    assert!(rest(&mut session).split_whitespace().count() > 20);
}
