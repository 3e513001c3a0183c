//! The program as a server, and a client of a few lines that sends what it is told to, sense or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest that anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server, which ends with it.
pub struct Server {
    pub child: Child,
    pub address: SocketAddr,
    /// Where it says what it says, which stays open.
    _said: BufReader<ChildStdout>,
}

impl Server {
    /// Starts one with the built-in model, or with what `args` say.
    pub fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flashlm"));
        command.args(["serve", "--address", "127.0.0.1:0", "--threads", "2"]).args(args);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("a server");
        let mut said = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address, _said: said }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream.set_write_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// Sends bytes and returns the answer to them.
    pub fn send(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("sent");
        Answer::read(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
    }

    /// Asks for completions.
    pub fn complete(&self, body: &Value) -> Answer {
        self.send(&post(&body.to_string()))
    }

    /// The text, and how it ended, of a request that is answered.
    pub fn text(&self, body: &Value) -> (String, String) {
        let answer = self.complete(body);
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        let choice = &answer.json()["choices"][0];
        let text = |name: &str| choice[name].as_str().expect("a text").to_owned();
        (text("text"), text("finish_reason"))
    }

    /// One of the numbers that the server counts.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}: {text}"))
    }

    /// Waits until a number is this.
    pub fn wait_for(&self, name: &str, value: f64) {
        let begun = Instant::now();
        while self.metric(name) != value {
            assert!(begun.elapsed() < PATIENCE, "{name} stays at {}, expected {value}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    /// The status that it ends with.
    pub fn ended(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request for completions, byte for byte.
pub fn post(body: &str) -> Vec<u8> {
    let head =
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json";
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// What a server says to a request.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// All that comes until the connection is closed.
    pub fn read(stream: &mut TcpStream) -> Self {
        let mut bytes = Vec::new();
        // what came before a reset counts
        let _ = stream.read_to_end(&mut bytes);
        Self::parse(&bytes)
    }

    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else { panic!("no head in {:?}", String::from_utf8_lossy(bytes)) };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let rest = &bytes[end + 4..];
        let body = if head.contains("transfer-encoding: chunked") { joined(rest) } else { rest.to_vec() };
        Self { status, head, body: String::from_utf8(body).expect("a body in UTF-8") }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The message of an error in OpenAI's form.
    pub fn error(&self) -> String {
        let error = &self.json()["error"];
        for name in ["message", "type", "param", "code"] {
            assert!(error.get(name).is_some(), "no {name} in {error}");
        }
        error["message"].as_str().expect("a message").to_owned()
    }

    /// The events of a stream that came to its end.
    pub fn events(&self) -> Vec<Value> {
        assert!(self.head.contains("content-type: text/event-stream"), "{self:?}");
        let events: Vec<&str> = self.body.split_terminator("\n\n").collect();
        let (last, events) = events.split_last().expect("events");
        assert_eq!(*last, "data: [DONE]");
        let event = |text: &&str| serde_json::from_str(text.strip_prefix("data: ").expect("data")).expect("JSON");
        events.iter().map(event).collect()
    }

    /// What a stream told of one choice.
    pub fn streamed(&self, index: usize) -> String {
        let events = self.events();
        let choices = events.iter().flat_map(|event| event["choices"].as_array().expect("choices"));
        choices
            .filter(|choice| choice["index"] == index)
            .map(|choice| choice["text"].as_str().expect("a text"))
            .collect()
    }
}

/// A body that comes in chunks.
fn joined(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(str::from_utf8(&rest[..line]).expect("ASCII"), 16).expect("a number");
        if length == 0 {
            return body;
        }
        body.extend(&rest[line + 2..][..length]);
        rest = &rest[line + 2 + length + 2..];
    }
}

/// What `flashlm` prints.
pub fn flashlm(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flashlm")).args(args).output().expect("flashlm starts")
}

/// What `flashlm generate` tells, as JSON.
pub fn generate(args: &[&str]) -> Value {
    let output = flashlm(&[&["generate", "--json"], args].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A model that never ends a story, as a file that goes with the folder.
pub fn endless() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("endless.flm");
    std::fs::write(&path, super::endless::model()).expect("a model");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}
