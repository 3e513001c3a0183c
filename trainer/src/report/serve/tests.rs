use std::io::Write;

use super::*;
use crate::report::testing::{evaluation, step, underway, write_run};

struct Site {
    _dir: tempfile::TempDir,
    server: Server,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        write_run(dir.path(), &[step(1), evaluation(1)]);
        let server = Server::start(0, dir.path()).unwrap();
        Self { _dir: dir, server }
    }

    /// Status and body of the answer to these bytes.
    fn ask(&self, bytes: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(self.server.address).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        let host = &self.server.shared.names[0];
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes())
    }

    fn post(&self, body: &str, headers: &str) -> (u16, String) {
        let (host, length) = (&self.server.shared.names[1], body.len());
        let head = format!("POST /talk HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n");
        self.ask(format!("{head}{body}").as_bytes())
    }

    fn publish(&self) {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/supernova.flm");
        self.server.publish(7, Blob::open(Path::new(path)).unwrap());
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn the_page_and_the_state_follow_the_run() {
    let site = Site::new();
    let (status, page) = site.get("/", "");
    assert_eq!(status, 200);
    assert!(page.contains("<svg") && page.contains("<textarea"));
    assert!(site.get("/state", "").1.contains("\"step\":1"));
    let first = page;
    write_run(site._dir.path(), &[step(1), evaluation(1), step(2), evaluation(2)]);
    assert!(site.get("/state", "").1.contains("\"step\":2"));
    let page = site.get("/", "").1;
    assert!(page != first && !page.contains("supernova"));
    site.server.introduce(underway());
    assert!(site.get("/", "").1.contains("supernova"));
    assert_eq!(site.get("/elsewhere", "").0, 404);
    assert_eq!(site.get("/talk", "").0, 405);
}

#[test]
fn a_story_is_told_by_the_newest_weights_and_repeats_with_its_seed() {
    let site = Site::new();
    let body = r#"{"prompt": "Once upon a time", "seed": 3}"#;
    assert_eq!(site.post(body, JSON).0, 503, "there are no weights yet");
    site.publish();
    let (status, answer) = site.post(body, JSON);
    assert_eq!(status, 200, "{answer}");
    let told: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert!(told["story"].as_str().unwrap().len() > "Once upon a time".len() + 20, "{told}");
    assert!(told["story"].as_str().unwrap().starts_with("Once upon a time") && told["step"] == 7, "{told}");
    assert_eq!(site.post(body, JSON).1, answer);
    assert_ne!(site.post(&body.replace('3', "4"), JSON).1, answer);
}

#[test]
fn other_names_and_other_pages_are_refused() {
    let site = Site::new();
    site.publish();
    let body = r#"{"prompt": "x"}"#;
    let port = site.server.address.port();
    let rebound = format!("GET / HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
    assert_eq!(site.ask(rebound.as_bytes()).0, 403);
    assert_eq!(site.ask(b"GET / HTTP/1.1\r\n\r\n").0, 403);
    assert_eq!(site.ask(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", port ^ 1).as_bytes()).0, 403);
    assert_eq!(site.post(body, &format!("{JSON}Origin: http://evil.example\r\n")).0, 403);
    assert_eq!(site.post(body, &format!("{JSON}Origin: null\r\n")).0, 403);
    assert_eq!(site.post(body, "Content-Type: text/plain\r\n").0, 415);
    assert_eq!(site.post(body, &format!("{JSON}Origin: http://localhost:{port}\r\n")).0, 200);
}

#[test]
fn bad_requests_are_refused_and_the_server_goes_on() {
    let site = Site::new();
    site.publish();
    assert_eq!(site.ask(b"\x16\x03\x01 no HTTP at all\r\n\r\n").0, 400);
    assert_eq!(site.post("not JSON", JSON).0, 400);
    assert_eq!(site.post(r#"{"seed": 1}"#, JSON).0, 400);
    assert_eq!(site.post(&format!(r#"{{"prompt": "{}"}}"#, "x".repeat(1001)), JSON).0, 413);
    assert_eq!(site.post(&"x".repeat(20_000), JSON).0, 413);
    assert_eq!(site.get("/", &format!("X: {}\r\n", "x".repeat(30_000))).0, 431);
    // whoever says nothing, or half of it, goes away again
    drop(TcpStream::connect(site.server.address).unwrap());
    TcpStream::connect(site.server.address).unwrap().write_all(b"GET / HT").unwrap();
    assert_eq!(site.get("/state", "").0, 200);
}

#[test]
fn more_connections_than_places_are_closed_and_places_come_free_again() {
    let site = Site::new();
    let mut waiting: Vec<_> = (0..CONNECTIONS).map(|_| TcpStream::connect(site.server.address).unwrap()).collect();
    let places = || site.server.shared.open.load(Ordering::Relaxed);
    let until = |wanted: usize| {
        let begun = std::time::Instant::now();
        while places() != wanted {
            assert!(begun.elapsed() < Duration::from_secs(30), "{} places are taken", places());
            thread::sleep(Duration::from_millis(5));
        }
    };
    until(CONNECTIONS);
    let mut one_more = TcpStream::connect(site.server.address).unwrap();
    assert!(matches!(one_more.read(&mut [0]), Ok(0) | Err(_)));
    waiting.clear();
    until(0);
    assert_eq!(site.get("/state", "").0, 200);
}

#[test]
fn a_port_that_is_taken_is_named_and_comes_free_with_the_server() {
    let site = Site::new();
    let port = site.server.address.port();
    let error = format!("{:#}", Server::start(port, site._dir.path()).unwrap_err());
    assert!(error.contains(&format!("--serve {port}: cannot listen on 127.0.0.1:{port}")), "{error}");
    drop(site.server);
    Server::start(port, site._dir.path()).unwrap();
}
