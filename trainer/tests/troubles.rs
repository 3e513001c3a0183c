//! What failed when the program was tried against public reports, and what is right.
#![cfg(unix)]

mod common;

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use trainer::run::checkpoint;

use self::common::{TINY, Work, stderr, wait_for};

fn trainer(work: &Work, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trainer")).current_dir(work.dir.path()).args(arguments).output().unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn ok(output: &Output) -> String {
    let text = stderr(output);
    assert!(output.status.success(), "{text}");
    text
}

fn failed(output: &Output) -> String {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

#[test]
fn a_new_run_moves_the_old_one_aside_and_mixes_nothing() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 40"));
    let (old, old_model) = (work.losses("o"), fs::read(work.path("o/model.flm")).unwrap());
    // two checkpoints with the highest numbers
    fs::copy(work.path("o/step-00000040.safetensors"), work.path("o/step-00000039.safetensors")).unwrap();
    let message = ok(&work.run("o", "--data stories.txt --steps 10 --resume never --seed 5"));
    assert!(message.contains("o: the run that is there was moved to o.1"), "{message}");
    assert_eq!(work.losses("o").len(), 10);
    assert!(names(&work.path("o")).contains(&"step-00000010.safetensors".into()));
    assert!(!names(&work.path("o")).iter().any(|name| name.contains("000040")));
    assert_eq!((work.losses("o.1"), fs::read(work.path("o.1/model.flm")).unwrap()), (old, old_model));
    // the plain command goes on with the new one, which is finished
    let message = ok(&work.run("o", "--data stories.txt --steps 10 --seed 5"));
    assert!(message.contains("finished earlier, after 10 steps"), "{message}");
    ok(&work.run("o", "--data stories.txt --steps 3 --resume never"));
    assert!(work.path("o.2/step-00000010.safetensors").exists());
}

#[test]
fn a_checkpoint_that_others_may_not_read_stops_the_run() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 5"));
    let path = work.path("o/step-00000005.safetensors");
    fs::remove_file(work.path("o/model.safetensors")).unwrap();
    fs::remove_file(&path).unwrap();
    // what no user can read, root neither
    fs::create_dir(&path).unwrap();
    let before = fs::read(work.path("o/model.flm")).unwrap();
    let message = failed(&work.run("o", "--data stories.txt --steps 5"));
    assert!(message.contains("step-00000005") && message.contains("--resume never"), "{message}");
    assert_eq!(fs::read(work.path("o/model.flm")).unwrap(), before);
}

#[test]
fn going_back_to_an_earlier_checkpoint_keeps_the_later_ones_beside() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 4"));
    let whole = work.losses("o");
    fs::copy(work.path("o/step-00000004.safetensors"), work.path("early.safetensors")).unwrap();
    ok(&work.run("o", "--data stories.txt --steps 8 --extend"));
    fs::copy(work.path("early.safetensors"), work.path("o/step-00000004.safetensors")).unwrap();
    let back = "--data stories.txt --steps 6 --extend --resume o/step-00000004.safetensors";
    let message = ok(&work.run("o", back));
    assert!(message.contains("what came after that checkpoint was moved to o.1"), "{message}");
    assert!(work.path("o.1/step-00000008.safetensors").exists() && work.path("o/step-00000006.safetensors").exists());
    assert_eq!(work.losses("o")[..4], whole);
    assert_eq!((work.losses("o").len(), work.losses("o.1").len()), (6, 8));
}

#[test]
fn a_checkpoint_of_another_directory_is_gone_on_from_and_exported() {
    let work = Work::new();
    ok(&work.run("a", "--data stories.txt --steps 5"));
    // nothing left to do
    ok(&work.run("b", "--data stories.txt --steps 5 --resume a/model.safetensors"));
    for name in ["model.flm", "model.safetensors", "step-00000005.safetensors"] {
        assert!(work.path("b").join(name).exists(), "{name}");
    }
    assert!(work.path("a/step-00000005.safetensors").exists());
    // a run of its own from there on; going on in a run's directory is the same run
    ok(&work.run("b", "--data stories.txt --steps 6 --extend"));
    let number = |name: &str| checkpoint::read(&work.path(name)).unwrap().state.unwrap().run;
    let [a, b, later] =
        ["a/step-00000005", "b/step-00000005", "b/step-00000006"].map(|n| number(&format!("{n}.safetensors")));
    assert!(a != b && b == later, "{a} {b} {later}");
}

#[test]
fn the_rows_of_a_batch_are_different_text_however_few_the_stories() {
    let work = Work::new();
    let play: String = (0..60_000).map(|i| format!("word{} goes {i} on. ", i % 977)).collect();
    fs::write(work.path("play.txt"), &play).unwrap();
    fs::create_dir(work.path("books")).unwrap();
    for (name, part) in ["a.txt", "b.txt", "c.txt"].iter().zip(play.as_bytes().chunks(play.len() / 3 + 1)) {
        fs::write(work.path("books").join(name), part).unwrap();
    }
    for data in ["play.txt", "books"] {
        let message =
            ok(&work.run(data.split('.').next().unwrap(), &format!("--data {data} --valid stories.txt --steps 4")));
        assert!(!message.contains("little text"), "{message}");
    }
    // and where there is too little it is said
    fs::write(work.path("short.txt"), "Once there was a very short story about a dog.").unwrap();
    let message = ok(&work.run("short", "--data short.txt --valid stories.txt --steps 2"));
    assert!(message.contains("little text") && message.contains("8 rows"), "{message}");
}

#[test]
fn data_that_changed_between_two_sessions_is_announced() {
    let work = Work::new();
    fs::write(work.path("stories2.txt"), "Held out.\n<|endoftext|>\n").unwrap();
    ok(&work.run("o", "--data stories.txt --valid stories2.txt --steps 2"));
    let text = fs::read_to_string(work.path("stories.txt")).unwrap();
    fs::write(work.path("stories.txt"), text.replace("Tom", "Ann")).unwrap();
    let message = ok(&work.run("o", "--data stories.txt --valid stories2.txt --steps 4 --extend"));
    assert!(message.contains("the training stories are others: fingerprint "), "{message}");
    assert!(message.contains("the data stream starts anew, as what it depends on changed: the training stories"));
    fs::write(work.path("stories2.txt"), "Something else.\n<|endoftext|>\n").unwrap();
    let message = ok(&work.run("o", "--data stories.txt --valid stories2.txt --steps 6 --extend"));
    assert!(message.contains("figures before and after do not compare"), "{message}");
}

#[test]
fn another_length_is_refused_or_asked_for() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 6"));
    let message = failed(&work.run("o", "--data stories.txt --steps 100 --lr 0.001"));
    assert!(message.contains("6 steps, not 100 steps: expected --steps 6"), "{message}");
    assert!(message.contains("phase 4 of 4 (amplification) -> phase 1 of 4 (foundation)"), "{message}");
    let message = ok(&work.run("o", "--data stories.txt --steps 8 --extend --lr 0.001"));
    assert!(message.contains("length: 6 steps -> 8 steps") && message.contains("--lr: 0.006 -> 0.001"), "{message}");
    let message = failed(&work.run("o", "--data stories.txt --steps 8 --seed 3"));
    assert!(message.contains("seed is 1, not 3"), "{message}");
}

#[test]
fn one_text_scores_the_same_in_whatever_dress() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 30"));
    let text: String =
        fs::read_to_string(work.path("stories.txt")).unwrap().lines().take(60).map(|l| format!("{l}\n")).collect();
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let json: String = text
        .split_terminator("\n<|endoftext|>\n")
        .map(|story| serde_json::json!({ "id": 1, "text": story }).to_string() + "\n")
        .collect();
    let dresses: [(&str, Vec<u8>); 6] = [
        ("lines.jsonl", json.into_bytes()),
        ("plain.txt", text.clone().into_bytes()),
        ("crlf.txt", text.replace('\n', "\r\n").into_bytes()),
        ("marked.txt", format!("\u{feff}{text}").into_bytes()),
        ("utf16.txt", utf16),
        ("packed.txt.gz", gz.finish().unwrap()),
    ];
    let scores: Vec<String> = dresses
        .iter()
        .map(|(name, bytes)| {
            fs::write(work.path(name), bytes).unwrap();
            let output = trainer(&work, &["eval", "--model", "o/model.flm", "--data", name]);
            ok(&output);
            String::from_utf8(output.stdout).unwrap().lines().next().unwrap().to_owned()
        })
        .collect();
    assert!(scores.iter().all(|score| *score == scores[0]), "{scores:?}");
    for (name, bytes, want) in [
        ("empty.txt", &b""[..], "it is empty"),
        ("nul.txt", b"o\0n\0c\0e\0", "NUL byte at offset 1"),
        ("list.json", b"[{\"text\": \"Once\"}]\n", "a JSON list: saved as JSON lines"),
        ("lines.jsonl", b"{\"text\": \"Once\"}\n{\"story\": 1}", "line 2: expected a field \"text\""),
        ("table.csv", b"text\nOnce\n", "a table (CSV)"),
        ("data.parquet", b"PAR1\x15\x04\x15", "Parquet"),
    ] {
        fs::write(work.path(name), bytes).unwrap();
        let message = failed(&trainer(&work, &["eval", "--model", "o/model.flm", "--data", name]));
        assert!(message.contains(name) && message.contains(want), "{message}");
        // for training too, and nothing is left of the attempt
        let message = failed(&work.run("bad/run", &format!("--data {name} --valid stories.txt --steps 2")));
        assert!(message.contains(name) && message.contains(want), "{message}");
        assert!(!work.path("bad").exists(), "a failed start left its directory");
    }
}

#[test]
fn a_folder_is_read_with_its_subfolders_and_says_what_it_left_out() {
    let work = Work::new();
    let text = fs::read_to_string(work.path("stories.txt")).unwrap();
    let parts: Vec<&str> = text.split_inclusive("<|endoftext|>\n").collect();
    fs::create_dir_all(work.path("set/sub")).unwrap();
    for (name, part) in ["set/a.TXT", "set/sub/b.md", "set/.hidden.txt", "set/notes.rtf"].iter().zip(parts.chunks(150))
    {
        fs::write(work.path(name), part.concat()).unwrap();
    }
    let message = ok(&work.run("o", "--data set --steps 2"));
    assert!(message.contains("set: 2 files: a.TXT, sub/b.md"), "{message}");
    assert!(message.contains("left out: .hidden.txt (hidden), notes.rtf (not .txt, .md or .jsonl)"), "{message}");
    assert!(message.contains("encoding 297 stories"), "{message}");
    assert!(message.contains("read: 300 documents, ") && message.contains("to train on: 297 documents, "), "{message}");
}

#[test]
fn json_lines_from_standard_input_and_text_without_separators_train_as_stories_do() {
    let work = Work::new();
    let text = fs::read_to_string(work.path("stories.txt")).unwrap();
    let stories: Vec<&str> = text.split_terminator("\n<|endoftext|>\n").collect();
    let json = stories.iter().map(|story| serde_json::json!({ "story": story }).to_string() + "\n");
    fs::write(work.path("stories.jsonl"), json.collect::<String>()).unwrap();
    ok(&work.run("plain", "--data stories.txt --steps 3"));
    let piped = |from: &str, more: &str, out: &str| {
        let program = env!("CARGO_BIN_EXE_trainer");
        let command = format!("cat {from} | {program} {TINY} --data - --steps 3 --out {out} {more}");
        ok(&Command::new("sh").current_dir(work.dir.path()).args(["-c", &command]).output().unwrap())
    };
    let message = piped("stories.jsonl", "--field story", "json");
    assert!(message.contains("read: 600 documents, "), "{message}");
    assert_eq!(work.losses("json"), work.losses("plain"));
    // one long text has documents to hold out
    fs::write(work.path("book.md"), stories.join("\n\n")).unwrap();
    let message = piped("book.md", "", "book");
    assert!(message.contains("to train on: ") && message.contains("held out: "), "{message}");
    let lines = piped("book.md", "--split lines", "lines");
    assert!(!lines.contains("read: 1 documents"), "{lines}");
}

#[test]
fn what_comes_through_a_pipe_trains() {
    let work = Work::new();
    let command = format!(
        "{} {TINY} --data <(cat stories.txt) --valid <(cat stories.txt | tail -40) --steps 3 --out o",
        env!("CARGO_BIN_EXE_trainer")
    );
    let output = Command::new("bash").current_dir(work.dir.path()).args(["-c", &command]).output().unwrap();
    ok(&output);
    assert!(work.path("o/model.flm").exists());
}

#[test]
fn a_full_standard_output_is_an_error_with_a_message() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 3"));
    let eval = format!("{} eval --model o/model.flm --data stories.txt > /dev/full", env!("CARGO_BIN_EXE_trainer"));
    let output = Command::new("sh").current_dir(work.dir.path()).args(["-c", &eval]).output().unwrap();
    let message = failed(&output);
    assert!(message.contains("standard output cannot be written: No space left"), "{message}");
}

#[test]
fn ctrl_c_ends_preparation_within_a_second_and_exports_nothing() {
    let work = Work::new();
    // enough that preparing takes longer than the test waits
    let file = fs::File::create(work.path("big.txt")).unwrap();
    let mut big = std::io::BufWriter::new(file);
    for i in 0..1_500_000u64 {
        let key = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(big, "Story {i} is of {key:x} and {:x}.\n<|endoftext|>", key >> 7).unwrap();
    }
    big.into_inner().unwrap();
    for wait in [300, 1500] {
        let mut child = work.command("o", "--data big.txt --steps 2").spawn().unwrap();
        wait_for(|| work.path("o/run.lock").exists());
        std::thread::sleep(Duration::from_millis(wait));
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let stopped = Instant::now();
        let status = child.wait().unwrap();
        // one second of an idle machine
        assert!(stopped.elapsed() < Duration::from_secs(5), "{:?} after {wait} ms", stopped.elapsed());
        assert!(!status.success() && !work.path("o").exists(), "after {wait} ms: {status:?}");
    }
}

#[test]
fn a_long_text_without_spaces_is_prepared_in_linear_time() {
    let work = Work::new();
    let line: String = (0..250_000u32).map(|i| char::from_u32(0x4e00 + i * 7 % 5000).unwrap()).collect();
    fs::write(work.path("line.txt"), line).unwrap();
    let started = Instant::now();
    ok(&work.run("o", "--data line.txt --valid stories.txt --steps 2"));
    // 750 KB took minutes
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[test]
fn other_dimensions_are_named_and_not_dumped() {
    let work = Work::new();
    ok(&work.run("o", "--data stories.txt --steps 2"));
    let message = failed(&work.run("o", "--data stories.txt --steps 2 --resume auto --rcsm-taps 4"));
    assert!(message.contains("rcsm.taps: 8 -> 4") && !message.contains("ModelConfig {"), "{message}");
}

#[test]
fn stories_of_a_pool_are_dealt_once_an_epoch_in_pieces_too() {
    // through the library: what lanes read of one long text
    use trainer::data::cut::{Reading, Split};
    use trainer::data::{Mix, Options, Source, StoryTokens, Told};
    let work = Work::new();
    let play: String = (0..4000).map(|i| format!("w{i} ")).collect();
    fs::write(work.path("play.txt"), &play).unwrap();
    let options = Options {
        data: Source::Path(work.path("play.txt")),
        valid: Some(Source::Path(work.path("stories.txt"))),
        reading: Reading { split: Split::None, ..Reading::default() },
        vocab: 300,
        tokenizer: None,
        texts: Vec::new(),
        mix: Mix::NONE,
        sample: u64::MAX,
        cache_dir: work.path("cache"),
        seed: 1,
    };
    let train = options.prepare(|_| {}).unwrap().train;
    let (whole, tokens) = {
        let mut told = Told::default();
        train.read(0, &mut told).unwrap();
        (told.tokens, train.tokens() as usize)
    };
    let pieces = trainer::data::Pieces::new(train, 16);
    assert!(pieces.len() >= 64, "{} pieces of {tokens} tokens", pieces.len());
    let (mut joined, mut starts) = (Vec::new(), HashSet::new());
    for index in 0..pieces.len() as u32 {
        let mut told = Told::default();
        pieces.read(index, &mut told).unwrap();
        starts.insert(told.tokens[..8].to_vec());
        joined.extend_from_slice(&told.tokens);
        assert_eq!(told.next, whole.get(joined.len()).copied(), "piece {index}");
    }
    assert_eq!(joined, whole);
    assert_eq!(starts.len(), pieces.len(), "every row begins with other text");
}

#[test]
fn a_failed_start_leaves_nothing_and_names_the_reason_once() {
    let work = Work::new();
    for arguments in
        ["--data absent.txt", "--data stories.txt --valid absent.txt", "--data stories.txt --resume absent"]
    {
        let output = work.command("a/b", &format!("{arguments} --steps 2")).stdout(Stdio::null()).output().unwrap();
        let message = failed(&output);
        assert!(message.matches("absent").count() >= 1 && !work.path("a").exists(), "{message}");
    }
}
