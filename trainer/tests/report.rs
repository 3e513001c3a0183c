//! What a run shows of itself: the page, the table, TensorBoard's events, the live server.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use self::common::{Work, stderr};

/// The only event file in a directory.
fn events(dir: &std::path::Path) -> Vec<u8> {
    let files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read(&files[0]).unwrap()
}

fn count(bytes: &[u8], text: &str) -> usize {
    bytes.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

#[test]
fn a_run_leaves_a_page_a_table_and_events_that_agree_with_its_metrics() {
    let work = Work::new();
    // long enough for evaluations on the way
    let output = work.run("out", "--data stories.txt --mix reasoning=0.5 --steps 120 --tensorboard board");
    assert!(output.status.success(), "{}", stderr(&output));
    let out = work.path("out");
    let text = fs::read_to_string(out.join("metrics.jsonl")).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| records.iter().filter(|record| record["kind"] == kind).collect::<Vec<_>>();
    let (steps, evaluations, samples) = (of("step"), of("eval"), of("sample"));
    assert!(steps.len() == 120 && !evaluations.is_empty());
    // the last evaluation, on all of the text, has no stories
    assert_eq!(samples.len(), 2 * (evaluations.len() - 1));
    for evaluation in &evaluations {
        let reasoning = &evaluation["reasoning"];
        let by_passes: u64 = reasoning["by_passes"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
        assert!(by_passes > 50 && reasoning["tokens"] == by_passes, "{reasoning}");
        let used: f64 = reasoning["op_use"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum();
        assert!((used - 1.0).abs() < 1e-6, "{reasoning}");
        let entropy = reasoning["use_entropy"].as_f64().unwrap();
        assert!((0.0..=2.0).contains(&entropy), "of four operations: {reasoning}");
    }

    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for title in
        ["Loss", "Held-out text (BPC)", "Depth", "Operations", "Routing entropy", "Memory gates", "Learning rate"]
    {
        assert!(page.contains(&format!("<h3>{title}</h3>")), "{title}");
    }
    assert!(page.contains("class=\"band even\"") && page.len() < 500_000 && !page.contains("<script"));
    assert_eq!(page.matches("<article>").count(), samples.len().min(48));
    let bpc = evaluations.last().unwrap()["bpc"].as_f64().unwrap();
    assert!(page.contains(&format!("{bpc:.4}")));

    let table = fs::read_to_string(out.join("metrics.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + steps.len() + evaluations.len());
    let loss = steps[119]["loss"].as_f64().unwrap().to_string();
    assert!(table.lines().any(|line| line.starts_with("step,120,") && line.contains(&format!(",{loss},"))), "{loss}");

    let events = events(&work.path("board/out"));
    assert_eq!(count(&events, "training/loss"), steps.len());
    assert_eq!(count(&events, "held_out/bits_per_byte"), evaluations.len());

    let results: Value = serde_json::from_slice(&fs::read(out.join("results.json")).unwrap()).unwrap();
    assert_eq!((&results["version"], &results["threads"]), (&1.into(), &2.into()));
    let arguments = results["arguments"].as_array().unwrap();
    assert!(arguments.iter().any(|argument| argument == "--tensorboard"), "{arguments:?}");
    for fact in ["commit", "cpu", "date"] {
        assert!(!results[fact].as_str().unwrap().is_empty(), "{fact}");
    }
    assert!(results["date"].as_str().unwrap().ends_with('Z'));

    // a run that goes on has one table and one page of all its steps, and a second event file of the new ones
    let output = work.run("out", "--data stories.txt --mix reasoning=0.5 --steps 130 --extend --tensorboard board");
    assert!(output.status.success(), "{}", stderr(&output));
    let table = fs::read_to_string(out.join("metrics.csv")).unwrap();
    assert_eq!(table.lines().filter(|line| line.starts_with("step,")).count(), 130);
    assert_eq!(fs::read_dir(work.path("board/out")).unwrap().count(), 2);
}

#[test]
fn runs_are_drawn_over_one_another_and_what_is_no_run_is_refused() {
    let work = Work::new();
    for out in ["one", "two"] {
        assert!(work.run(out, "--data stories.txt --steps 4").status.success());
    }
    let report = |arguments: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trainer"));
        command.current_dir(work.dir.path()).arg("report").args(arguments.split(' ')).output().unwrap()
    };
    let output = report("one two");
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "report.html\n");
    let page = fs::read_to_string(work.path("report.html")).unwrap();
    assert!(page.contains("<title>one, two – training report</title>") && page.contains("line c1 k0"));
    assert!(report("one --out mine.html").status.success());
    assert!(fs::read_to_string(work.path("mine.html")).unwrap().contains("<title>one – "));

    let output = report("one absent");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("absent: expected the directory of a run"), "{}", stderr(&output));
}

/// A process that ends with the test, however that ends.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_run_is_shown_live_and_talks_while_it_trains() {
    let work = Work::new();
    let mut command = work.command("out", "--data stories.txt --hours 1 --serve 0");
    let mut child = Started(command.stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines();
    let url = lines.find_map(|line| line.unwrap().strip_prefix("report: http://").map(str::to_owned)).unwrap();
    // somebody has to read what it says
    let reader = std::thread::spawn(move || lines.for_each(drop));
    let host = url.trim_end_matches('/').to_owned();
    let ask = |request: String| {
        let mut stream = TcpStream::connect(&host).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let state = || {
        let answer = ask(format!("GET /state HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        serde_json::from_str::<Value>(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap()["step"].as_u64().unwrap()
    };
    common::wait_for(|| state() > 0);
    let page = ask(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("<h3>Loss</h3>"), "{page}");
    let body = r#"{"prompt": "Once there was Tom", "seed": 5}"#;
    let length = body.len();
    let head = format!("Content-Type: application/json\r\nContent-Length: {length}");
    let told = ask(format!("POST /talk HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n{body}"));
    assert!(told.starts_with("HTTP/1.1 200 ") && told.contains("\"story\":\"Once there was Tom"), "{told}");
    assert!(ask("no request\r\n\r\n".into()).starts_with("HTTP/1.1 400 "));

    let before = state();
    common::wait_for(|| state() > before);
    assert!(Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap().success());
    assert!(child.0.wait().unwrap().success());
    reader.join().unwrap();
    assert!(TcpStream::connect(&host).is_err(), "it ends with the run");
}
