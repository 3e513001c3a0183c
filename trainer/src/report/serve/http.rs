//! As much of HTTP/1.1 as one local page needs: a request of bounded size within a bounded time, and one answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest head and body of a request, bytes.
const HEAD: usize = 16 << 10;
const BODY: usize = 8 << 10;
/// Most header lines.
const HEADERS: usize = 64;
/// Time that a request may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(5);

/// What the server looks at of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without what follows a question mark.
    pub path: String,
    /// `None` where there are several or none.
    pub host: Option<String>,
    pub origin: Option<String>,
    /// Content type, in lower case and without parameters.
    pub kind: Option<String>,
    pub body: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub enum Failure {
    /// It is answered with an error.
    Refused(Answer),
    /// There is nobody to answer.
    Gone,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    kind: &'static str,
    pub body: Vec<u8>,
}

/// Reads a request.
///
/// # Errors
/// It is malformed, too long or too slow, or the client went away.
pub fn read(stream: &mut TcpStream) -> Result<Request, Failure> {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break end + 4;
        }
        if bytes.len() > HEAD {
            return Err(refused(431, "the head of the request is too long"));
        }
        more(stream, &mut bytes, begun)?;
    };
    let (mut request, length) = parse(&bytes[..head]).map_err(Failure::Refused)?;
    while bytes.len() < head + length {
        more(stream, &mut bytes, begun)?;
    }
    request.body = bytes[head..head + length].to_vec();
    Ok(request)
}

/// Reads some bytes more.
fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>, begun: Instant) -> Result<(), Failure> {
    let late = || refused(408, "the request took too long");
    let left = ARRIVES_WITHIN.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()).ok_or_else(late)?;
    stream.set_read_timeout(Some(left)).map_err(|_| Failure::Gone)?;
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => Err(Failure::Gone),
        Ok(count) => {
            bytes.extend(&buffer[..count]);
            Ok(())
        }
        Err(e) if e.kind() == ErrorKind::Interrupted => Ok(()),
        // a browser opens connections that it never uses
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && bytes.is_empty() => {
            Err(Failure::Gone)
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err(late()),
        Err(_) => Err(Failure::Gone),
    }
}

fn refused(status: u16, why: &str) -> Failure {
    Failure::Refused(Answer::error(status, why))
}

/// A request's head, and how long its body is.
fn parse(head: &[u8]) -> Result<(Request, usize), Answer> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        _ => return Err(Answer::error(400, "expected a request of HTTP/1.1")),
    }
    // one value, as text, or none
    let header = |name: &str| -> Result<Option<String>, Answer> {
        let mut values = parsed.headers.iter().filter(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value);
        let Some(value) = values.next() else { return Ok(None) };
        let text = std::str::from_utf8(value).ok().filter(|_| values.next().is_none());
        let refused = || Answer::error(400, &format!("expected one {name}"));
        text.map(|text| Some(text.trim().to_owned())).ok_or_else(refused)
    };
    if header("Transfer-Encoding")?.is_some() {
        return Err(Answer::error(411, "expected a Content-Length"));
    }
    let length = match header("Content-Length")? {
        None => 0,
        Some(text) => {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let length = text.parse::<usize>().ok().filter(|_| digits);
            length.ok_or_else(|| Answer::error(400, "expected a Content-Length in bytes"))?
        }
    };
    if length > BODY {
        return Err(Answer::error(413, &format!("expected at most {BODY} bytes")));
    }
    let path = parsed.path.unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    let kind = header("Content-Type")?.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_lowercase());
    let method = parsed.method.unwrap_or_default().to_owned();
    let request = Request { method, path, host: header("Host")?, origin: header("Origin")?, kind, body: Vec::new() };
    Ok((request, length))
}

impl Answer {
    /// A page.
    pub fn html(body: Vec<u8>) -> Self {
        Self { status: 200, kind: "text/html; charset=utf-8", body }
    }

    /// A value.
    pub fn json(status: u16, value: &Value) -> Self {
        Self { status, kind: "application/json", body: value.to_string().into_bytes() }
    }

    /// Why something was not done, as `{"error": "..."}`.
    pub fn error(status: u16, why: &str) -> Self {
        Self::json(status, &json!({ "error": why }))
    }

    /// Sends it. No other page may show or read it, no script but the page's own runs in it, and nothing is kept.
    pub fn send(&self, stream: &mut impl Write) -> io::Result<()> {
        let Self { status, kind, body } = self;
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            411 => "Length Required",
            413 => "Content Too Large",
            415 => "Unsupported Media Type",
            431 => "Request Header Fields Too Large",
            503 => "Service Unavailable",
            _ => "Internal Server Error",
        };
        write!(
            stream,
            "HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\
             Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nReferrer-Policy: no-referrer\r\n\
             Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'\r\n\r\n",
            body.len()
        )?;
        stream.write_all(body)?;
        stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_with_what_the_server_looks_at() {
        let head =
            b"POST /talk?x=1 HTTP/1.1\r\nhost: localhost:80\r\nContent-Type: Application/JSON; charset=utf-8\r\n\
                     content-length: 12\r\n\r\n";
        let (request, length) = parse(head).unwrap();
        let want = Request {
            method: "POST".into(),
            path: "/talk".into(),
            host: Some("localhost:80".into()),
            origin: None,
            kind: Some("application/json".into()),
            body: Vec::new(),
        };
        assert_eq!((request, length), (want, 12));
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        let status =
            |headers: &str| parse(format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n").as_bytes()).unwrap_err().status;
        assert_eq!(status("Host: a\r\nHost: b"), 400);
        assert_eq!(status("Content-Length: 1\r\nContent-Length: 2"), 400);
        assert_eq!(status("Content-Length: +1"), 400);
        assert_eq!(status("Content-Length: 8193"), 413);
        assert_eq!(status("Transfer-Encoding: chunked"), 411);
        assert_eq!(status("no header"), 400);
        assert_eq!(parse(b"nonsense\r\n\r\n").unwrap_err().status, 400);
    }
}
