//! The ways to ask for a story and what becomes of it, where no terminal is: a prompt alone, stop words, paces,
//! traces, conversations that are taken back and saved.

use std::fs;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn run(args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flashlm"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("flashlm starts");
    // a program that refuses its arguments reads nothing
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("ends")
}

/// Standard output and standard error of a run that succeeds.
fn told(args: &[&str], input: &str) -> (String, String) {
    let output = run(args, input);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    (out, err)
}

fn printed(args: &[&str]) -> String {
    told(args, "").0
}

fn refused(args: &[&str]) -> String {
    let output = run(args, "");
    assert!(!output.status.success(), "{args:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn a_prompt_alone_is_told_as_generate_tells_it() {
    let want = printed(&["generate", "-n", "20", "--seed", "3", "-p", "Once upon"]);
    assert!(want.starts_with("Once upon "));
    assert_eq!(printed(&["Once upon", "-n", "20", "--seed", "3"]), want);
    assert_eq!(printed(&["-n", "20", "-p", "Once upon", "--seed", "3"]), want);
    assert!(printed(&["-p", "eval", "-n", "2"]).starts_with("eval"), "a command's name can be a prompt");
    let (_, err) = told(&["Once upon", "-n", "2", "--seed", "random"], "");
    assert!(err.trim().strip_prefix("seed ").is_some_and(|seed| seed.parse::<u64>().is_ok()), "{err}");
}

#[test]
fn a_command_line_that_could_be_read_in_two_ways_is_refused() {
    assert!(refused(&["--temp", "1", "generate"]).contains("flashlm generate --temperature"));
    assert!(refused(&["Once upon", "generate"]).contains("found both"));
    assert!(refused(&["Once", "upon"]).contains("unexpected argument 'upon'"));
    assert!(refused(&["Once", "-p", "upon"]).contains("cannot be used with"));
    assert!(refused(&["Once", "--stop", ""]).contains("expected a text to stop at"));
    assert!(refused(&["Once", "--pace", "quick"]).contains("reading or off"));
}

#[test]
fn a_story_ends_before_its_first_stop_word() {
    let args = ["One day, a girl", "-n", "60", "--temp", "0"];
    let whole = printed(&args);
    let story = whole.strip_prefix("One day, a girl").expect("the prompt").trim_end();
    // letters within words, and words of several tokens
    let words: Vec<&str> = story.split_inclusive(' ').collect();
    let phrase = words[6..9].concat();
    for stop in [phrase.trim(), &words[4][1..], "girl"] {
        let stopped = printed(&[&args[..], &["--stop", stop]].concat());
        let want = story.find(stop).map_or(story, |at| &story[..at]);
        assert_eq!(stopped, format!("One day, a girl{want}\n"), "{stop:?}");
    }
    let both = printed(&[&args[..], &["--stop", phrase.trim(), "--stop", words[2].trim()]].concat());
    let first = story.find(phrase.trim()).min(story.find(words[2].trim())).expect("a word of it");
    assert_eq!(both, format!("One day, a girl{}\n", &story[..first]));
    let report = printed(&["generate", "-p", args[0], "-n", "60", "--temp", "0", "--json", "--stop", phrase.trim()]);
    assert_eq!(serde_json::from_str::<Value>(&report).expect("JSON")["ended"], "stop word");
    // what goes on goes on with the stop word
    let (parts, err) =
        told(&["--temp", "0", "-n", "30"], &format!("/stop {}\nOne day, a girl\n/stop\n/continue\n", phrase.trim()));
    let joined = parts.replace('\n', "");
    assert!(joined.starts_with(&whole.replace('\n', "")[..joined.len().min(80)]) && err.is_empty(), "{parts} {err}");
    assert!(parts.lines().nth(1).is_some_and(|part| part.starts_with(phrase.trim())), "{parts}");
}

#[test]
fn a_pace_and_a_pipe_change_nothing_of_the_text_and_colours_only_their_codes() {
    let args = ["The cat", "-n", "15", "--temp", "0"];
    let plain = printed(&args);
    assert!(!plain.contains('\u{1b}'));
    assert_eq!(printed(&[&args[..], &["--pace", "10000"]].concat()), plain);
    let coloured = printed(&[&args[..], &["--color", "always"]].concat());
    assert_eq!(coloured, plain.replacen("The cat", "\u{1b}[1m\u{1b}[32mThe cat\u{1b}[0m", 1));
}

#[test]
fn what_is_undone_has_not_been() {
    let chat = |lines: &str| told(&["--temp", "1", "-n", "15"], lines);
    let (plain, _) = chat("A dog\n/continue\n");
    let (undone, err) = chat("A dog\nThe bird\n/undo\n/continue\n/undo\n/continue\n");
    let lines = |text: &str| text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    let (plain, undone) = (lines(&plain), lines(&undone));
    assert_eq!(plain.len(), 2, "{plain:?}");
    assert_eq!([&undone[0], &undone[2], &undone[3]], [&plain[0], &plain[1], &plain[1]], "{undone:?}");
    assert_eq!(err.matches("forgotten: ").count(), 2, "{err}");
    assert!(chat("/undo\n/retry\n").1.matches("nothing was told yet").count() == 2);
}

#[test]
fn a_retry_has_the_next_seed_and_the_same_past() {
    let (out, err) = told(&["--temp", "1", "-n", "15"], "A dog\n/retry\n/set\n/continue\n/retry\n");
    let lines: Vec<&str> = out.lines().filter(|line| !line.is_empty()).collect();
    let want = printed(&["A dog", "--temp", "1", "-n", "15", "--seed", "2"]);
    assert_eq!(lines[1], want.trim_end());
    assert!(lines[0] != lines[1] && lines[2].contains("seed 2,") && lines[3] != lines[4], "{out}");
    assert_eq!(err, "seed 2\nseed 3\n");
    assert!(told(&["--temp", "0", "-n", "2"], "A dog\n/retry\n").1.contains("always takes the likeliest"));
}

#[test]
fn a_story_goes_on_after_its_end() {
    let report = printed(&["generate", "-p", "Once upon a time", "--temp", "0", "-n", "2000", "--json"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["ended"], "end of story");
    let (out, err) = told(&["--temp", "0", "-n", "2000"], "Once upon a time\n/length 5\n/continue\n/continue\n");
    let story = format!("Once upon a time{}\n\n", report["text"].as_str().expect("a text"));
    let more = out.strip_prefix(&story).expect("the story first");
    assert!(more.split_whitespace().count() > 2 && err.is_empty(), "{more:?} {err}");
}

#[test]
fn a_chat_is_saved_as_a_file_of_stories_and_nothing_else_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("told.txt").to_str().expect("UTF-8").to_owned();
    let other = folder.path().join("other.txt").to_str().expect("UTF-8").to_owned();
    fs::write(&other, "precious").expect("written");
    let lines = format!("/save {path}\nA dog\n/continue\n/save {path}\nThe cat\n/save {path}\n/save {other}\n");
    let (out, err) = told(&["-n", "8"], &lines);
    let lines: Vec<&str> = out.lines().filter(|line| !line.is_empty()).collect();
    let want = format!("{}{}\n<|endoftext|>\n{}\n<|endoftext|>\n", lines[0], lines[1], lines[2]);
    assert_eq!(fs::read_to_string(&path).expect("saved"), want);
    assert_eq!(fs::read_to_string(&other).expect("kept"), "precious");
    assert!(err.contains("nothing was told yet") && err.contains("other.txt: is there already"), "{err}");
    let report = printed(&["eval", "--data", &path, "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&report).expect("JSON")["stories"], 2);
}

#[test]
fn statistics_tell_settings_apart() {
    let (out, _) = told(&["-n", "5"], "A dog\n/depth 1\nA dog\n/seed 9\nA dog\n/stats\n");
    let rows: Vec<&str> = out.lines().filter(|line| line.contains(", temp 0.7, top-k 0")).collect();
    assert_eq!(rows.len(), 2, "{out}");
    let columns: Vec<&str> = rows[1].split_whitespace().collect();
    assert!(columns[0] == "10" && columns[2] == "1.00" && rows[1].contains("  depth 1, temp"), "{out}");
}

const TRACED: [&str; 7] = ["-n", "20", "--depth", "auto", "--temp", "0", "-p"];

fn traced(more: &[&str]) -> String {
    printed(&[&["trace"], &TRACED[..], &["Tom & \"Lily\" saw"], more].concat())
}

#[test]
fn a_trace_as_json_has_every_word_of_the_prompt_and_of_the_story() {
    let trace: Value = serde_json::from_str(&traced(&[])).expect("JSON");
    let all = |name: &str| trace[name].as_array().expect("a list").clone();
    let (words, tokens) = (all("words"), all("tokens"));
    let spelt = |list: &[Value], name: &str| list.iter().map(|w| w[name].as_str().expect("text")).collect::<String>();
    let text = format!("Tom & \"Lily\" saw{}", trace["text"].as_str().expect("a text"));
    assert_eq!(spelt(&words, "word"), text);
    assert_eq!(spelt(&tokens, "token").trim_end_matches("<|endoftext|>"), text);
    for word in &words {
        let first = word["position"].as_u64().expect("a place") as usize - 1;
        let own = &tokens[first..][..word["tokens"].as_u64().expect("a number") as usize];
        let passes = own.iter().map(|token| token["passes"].as_array().expect("passes").len() as u64);
        assert_eq!(word["passes"].as_u64(), passes.max(), "{word}");
        assert_eq!(spelt(own, "token"), word["word"].as_str().expect("a word"));
    }
    let own: Vec<Value> = words.iter().filter(|word| word["writer"] == "reader").cloned().collect();
    assert_eq!(spelt(&own, "word"), "Tom & \"Lily\" saw");
    // what generate shows of the tokens that it draws is the same
    let drawn = printed(&[&["generate", "--trace", "--json"], &TRACED[..], &["Tom & \"Lily\" saw"]].concat());
    let drawn: Value = serde_json::from_str(&drawn).expect("JSON");
    let drawn = drawn["trace"].as_array().expect("steps");
    assert_eq!(tokens[tokens.len() - drawn.len()..], drawn[..]);
}

#[test]
fn a_trace_as_csv_has_a_row_for_every_pass() {
    let trace: Value = serde_json::from_str(&traced(&[])).expect("JSON");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.csv");
    assert_eq!(traced(&["--format", "csv", "--out", path.to_str().expect("UTF-8")]), "");
    let mut reader = csv::Reader::from_path(&path).expect("a table");
    let columns = reader.headers().expect("a heading").clone();
    let column = |name: &str| columns.iter().position(|column| column == name).expect("a column");
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let mut row = rows.iter();
    for token in trace["tokens"].as_array().expect("tokens") {
        for (i, pass) in token["passes"].as_array().expect("passes").iter().enumerate() {
            let row = row.next().expect("a row for it");
            assert_eq!(row[column("token")], *token["token"].as_str().expect("text"));
            assert_eq!(row[column("pass")], (i + 1).to_string());
            assert_eq!(row[column("operation_1")], pass["operations"][0].to_string());
            let read = pass["reads"].get(0).map_or("", |read| read["token"].as_str().expect("text"));
            assert_eq!(row[column("read_1_token")], *read);
        }
    }
    assert!(row.next().is_none());
    assert!(rows.iter().any(|row| !row[column("read_1_token")].is_empty()), "something was read");
}

/// Checks that tags are closed in their order, and returns the text between them.
fn text_of(html: &str) -> String {
    let (mut open, mut text) = (Vec::new(), String::new());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text += before;
        let (tag, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "closed in {text}"),
            None if tag.starts_with('!') || tag.starts_with("meta ") => {}
            None => open.push(tag.split(' ').next().expect("a name")),
        }
    }
    assert_eq!(open, [""; 0]);
    (text + rest).replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[test]
fn a_trace_as_html_is_one_page_with_the_text_and_a_row_for_every_word() {
    let trace: Value = serde_json::from_str(&traced(&[])).expect("JSON");
    let html = traced(&["--format", "html"]);
    text_of(&html);
    assert!(!html.contains("http") && !html.contains("src=") && html.starts_with("<!DOCTYPE html>"));
    let from = html.find("<p class=\"text\">").expect("the text");
    let text = &html[from..from + html[from..].find("</p>").expect("its end") + 4];
    let want = format!("Tom & \"Lily\" saw{}", trace["text"].as_str().expect("a text"));
    assert_eq!(text_of(text), want);
    let words = trace["words"].as_array().expect("words");
    let visible = words.iter().filter(|word| !word["word"].as_str().expect("text").trim().is_empty());
    assert_eq!(html.matches("<tr id=").count(), visible.count());
    assert!(html.contains("title=\"") && html.contains(": operations "));
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let script = printed(&["completions", shell]);
        for name in ["generate", "trace", "fingerprint", "completions", "stop"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
    assert!(refused(&["completions", "cmd"]).contains("possible values"));
    assert!(printed(&["man"]).contains(".TH flashlm 1"));
    let folder = tempfile::tempdir().expect("a folder");
    let pages = folder.path().join("man1");
    printed(&["man", pages.to_str().expect("UTF-8")]);
    for page in ["flashlm.1", "flashlm-generate.1", "flashlm-trace.1"] {
        assert!(fs::read_to_string(pages.join(page)).expect("a page").contains(".TH flashlm"), "{page}");
    }
}
