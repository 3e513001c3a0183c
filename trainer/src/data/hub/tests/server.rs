//! A hub in this process that answers as it is told to, well or badly.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came, names of headers in lower case.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first byte wanted.
    pub fn from(&self) -> usize {
        let range = self.header("range").and_then(|range| range.strip_prefix("bytes="));
        range.and_then(|range| range.split('-').next()?.parse().ok()).unwrap_or(0)
    }
}

/// An answer; its length is announced unless a header says another.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is closed.
    pub cut: Option<usize>,
    /// Bytes sent at a time, and the time between them.
    pub slow: Option<(usize, Duration)>,
    /// Nothing is sent, and the connection stays open.
    pub silent: bool,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), cut: None, slow: None, silent: false }
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn page(title: &str) -> Self {
        let page = format!("<!doctype html><html><head><title>{title}</title></head><body>...</body></html>");
        Self::new(200, page).with("Content-Type", "text/html; charset=utf-8")
    }

    pub fn silent() -> Self {
        Self { silent: true, ..Self::new(200, "") }
    }
}

/// Runs until the process ends.
pub struct Server {
    pub address: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers every request as `answer` says, each on its own thread.
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&seen));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    log.lock().unwrap().push(request.clone());
                    let reply = answer(&request);
                    // whoever hangs up has seen enough
                    let _ = write(stream, &request, &reply);
                });
            }
        });
        Self { address, seen }
    }

    /// Requests so far of a method whose path ends so.
    pub fn count(&self, method: &str, end: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.method == method && request.path.ends_with(end)).count()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines().map_while(Result::ok);
    let first = lines.next()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    Some(Request { method, path, headers: headers.collect() })
}

fn write(mut stream: TcpStream, request: &Request, reply: &Reply) -> std::io::Result<()> {
    if reply.silent {
        thread::sleep(Duration::from_secs(600));
        return Ok(());
    }
    let mut head = format!("HTTP/1.1 {} Status\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !reply.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head += &format!("Content-Length: {}\r\n", reply.body.len());
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    let (piece, pause) = reply.slow.unwrap_or((body.len().max(1), Duration::ZERO));
    for bytes in body.chunks(piece) {
        stream.write_all(bytes)?;
        stream.flush()?;
        thread::sleep(pause);
    }
    Ok(())
}
