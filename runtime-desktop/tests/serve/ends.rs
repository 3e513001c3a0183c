//! How a server begins and ends, and how requests do that are given up.

use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::json;

use super::client::{Answer, Server, endless, flashlm, post};

fn long(stream: bool) -> Vec<u8> {
    post(&json!({ "prompt": "abc", "temperature": 0, "max_tokens": 1_000_000, "stream": stream }).to_string())
}

#[test]
fn a_request_that_is_given_up_frees_its_stream_at_once() {
    let (_folder, model) = endless();
    let server = Server::start(&["-m", &model, "--max-tokens", "1000000", "--streams", "1", "--queue", "2"]);
    for (count, stream) in [(1.0, true), (2.0, false)] {
        let mut connections: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
        connections.iter_mut().for_each(|connection| connection.write_all(&long(stream)).unwrap());
        server.wait_for("flashlm_streams_active", 2.0);
        server.wait_for("flashlm_queue_length", 2.0);
        let full = server.complete(&json!({ "prompt": "abc" }));
        assert!(full.status == 429 && full.head.contains("retry-after: 1"), "{full:?}");
        drop(connections);
        server.wait_for("flashlm_streams_active", 0.0);
        server.wait_for("flashlm_queue_length", 0.0);
        server.wait_for("flashlm_cancelled_total", 4.0 * count);
    }
    assert!(server.metric("flashlm_completion_tokens_total") < 4e6, "they were told to their ends");
    let (text, reason) = server.text(&json!({ "prompt": "abc", "max_tokens": 9 }));
    assert!(!text.is_empty() && reason == "length");
}

#[test]
fn an_answer_that_takes_too_long_is_cut_off_and_says_so() {
    let (_folder, model) = endless();
    let server = Server::start(&["-m", &model, "--max-tokens", "1000000", "--request-timeout", "0.3"]);
    let whole = server.send(&long(false));
    assert_eq!(whole.status, 504);
    assert!(whole.error().contains("more than 0.3 seconds"));
    let streamed = server.send(&long(true));
    assert_eq!(streamed.status, 200);
    let last = streamed.body.trim_end().rsplit("\n\n").next().unwrap();
    assert!(last.starts_with("data: {\"error\":") && last.contains("\"timeout\""), "{last}");
    server.wait_for("flashlm_streams_active", 0.0);
    assert_eq!(server.metric("flashlm_timed_out_total"), 2.0);
}

#[test]
fn a_signal_lets_answers_be_told_to_their_end() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start(&[]);
        let body = json!({ "prompt": "Once", "max_tokens": 300, "n": 12, "seed": 1, "stream": true });
        let mut connection = server.connect();
        connection.write_all(&post(&body.to_string())).unwrap();
        let mut bytes = vec![0; 2000];
        connection.read_exact(&mut bytes).unwrap();
        server.signal(signal);
        connection.read_to_end(&mut bytes).unwrap();
        let answer = Answer::parse(&bytes);
        assert!(!answer.events().is_empty(), "with its [DONE]");
        assert_eq!(server.ended(), Some(0));
        assert!(TcpStream::connect(server.address).is_err());
    }
}

#[test]
fn a_second_signal_or_the_end_of_grace_ends_what_is_under_way() {
    let (_folder, model) = endless();
    for grace in ["60", "0.2"] {
        let args = ["-m", &model, "--max-tokens", "1000000", "--grace", grace];
        let mut server = Server::start(&args);
        let mut connections: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
        // nobody reads them, so that they cannot end
        connections.iter_mut().for_each(|connection| connection.write_all(&long(true)).unwrap());
        server.wait_for("flashlm_requests_total{status=\"200\"}", 3.0);
        server.signal("-TERM");
        if grace == "60" {
            std::thread::sleep(std::time::Duration::from_millis(200));
            server.signal("-TERM");
            assert_eq!(server.ended(), Some(143));
        } else {
            assert_eq!(server.ended(), Some(0));
        }
    }
}

#[test]
fn other_machines_are_served_only_where_that_is_said() {
    let refused = flashlm(&["serve", "--address", "0.0.0.0:0"]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && error.contains("--allow-remote"), "{error}");
    for (key, warns) in [(&[][..], true), (&["--api-key", "k"], false)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
        command.args(["serve", "--address", "0.0.0.0:0", "--threads", "1", "--allow-remote"]).args(key);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        said.read_line(&mut first).unwrap();
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        let error = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert_eq!(error.contains("warning: everyone who can reach"), warns, "{first} {rest} {error}");
    }
}

#[test]
fn an_address_that_is_taken_and_a_damaged_model_are_named() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    let taken = flashlm(&["serve", "--address", &address]);
    let error = String::from_utf8(taken.stderr).unwrap();
    assert!(taken.status.code() == Some(1) && error.contains(&address), "{error}");
    let missing = flashlm(&["serve", "-m", "/nowhere.flm"]);
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/nowhere.flm"));
    let depth = flashlm(&["serve", "--depth", "99"]);
    assert!(String::from_utf8(depth.stderr).unwrap().contains("depths are"));
}
