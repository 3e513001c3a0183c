//! Requests that are malformed, oversized, slow or cut off, and clients that do not read.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Answer, Server, endless, post};

/// That the server is as good as new.
fn assert_well(server: &Server) {
    server.wait_for("flashlm_streams_active", 0.0);
    // the one that asks
    server.wait_for("flashlm_connections", 1.0);
    let (text, reason) = server.text(&json!({ "prompt": "abc", "max_tokens": 3, "temperature": 0 }));
    assert!(!text.is_empty() && reason == "length", "{text}");
}

/// The bytes that come until the connection ends, and how long that takes.
fn rest(connection: &mut TcpStream) -> (Vec<u8>, Duration) {
    let (begun, mut bytes) = (Instant::now(), Vec::new());
    let _ = connection.read_to_end(&mut bytes);
    (bytes, begun.elapsed())
}

#[test]
fn what_is_no_http_is_refused() {
    let server = Server::start(&[]);
    for nonsense in [
        &b"\r\n\r\n\0\0\0"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n",
        b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
          Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    ] {
        let mut connection = server.connect();
        connection.write_all(nonsense).unwrap();
        let (bytes, _) = rest(&mut connection);
        assert!(bytes.is_empty() || Answer::parse(&bytes).status == 400, "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert_well(&server);
}

#[test]
fn what_is_too_long_is_refused_however_it_comes() {
    let server = Server::start(&["--max-body", "4000"]);
    let mut connection = server.connect();
    let header = format!("X-Long: {}\r\n", "a".repeat(8000));
    let _ =
        connection.write_all(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{}\r\n", header.repeat(9)).as_bytes());
    let (bytes, _) = rest(&mut connection);
    assert!(bytes.is_empty() || Answer::parse(&bytes).status == 431, "{:?}", String::from_utf8_lossy(&bytes));
    let many = "X-Many: 1\r\n".repeat(200);
    let many = server.send(format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes());
    assert_eq!(many.status, 431);

    let body = json!({ "prompt": "a".repeat(20_000) }).to_string();
    let refused = server.send(&post(&body));
    assert!(refused.status == 413 && refused.error().contains("at most 4000 bytes"));
    // a length that is said and not sent
    let said = String::from_utf8(post("{}")).unwrap().replace("Content-Length: 2", "Content-Length: 99999999999");
    let refused = server.send(said.as_bytes());
    assert_eq!(refused.status, 413);
    // none is said
    let chunked = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                   Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks = format!("1f4\r\n{}\r\n", "a".repeat(500)).repeat(20);
    let refused = server.send(format!("{chunked}{chunks}0\r\n\r\n").as_bytes());
    assert_eq!(refused.status, 413);
    // without end: the sender is dropped, whether or not he hears why
    let mut connection = server.connect();
    connection.write_all(chunked.as_bytes()).unwrap();
    let endless = (0..100_000).take_while(|_| connection.write_all(chunks.as_bytes()).is_ok()).count();
    assert!(endless < 100_000, "a gigabyte was taken");
    assert_well(&server);
}

#[test]
fn deep_and_strange_json_is_refused() {
    let server = Server::start(&[]);
    for body in [
        "[".repeat(100_000),
        "{\"prompt\":".repeat(10_000),
        format!("{{\"prompt\": {}}}", "[".repeat(120) + &"]".repeat(120)),
        "{\"max_tokens\": 1e400}".into(),
        "{\"max_tokens\": 1e3}".into(),
        "{\"temperature\": NaN}".into(),
        "{\"prompt\": \"\\ud800\"}".into(),
        "{\"seed\": 340282366920938463463374607431768211456}".into(),
        format!("{{\"stop\": [{}]}}", "\"a\",".repeat(1000) + "\"a\""),
        format!("{{\"{}\": 1}}", "x".repeat(100_000)),
    ] {
        let answer = server.send(&post(&body));
        assert!(answer.status == 400 && answer.error().len() < 400, "{answer:?}");
    }
    let zeros = server.text(&json!({ "prompt": "a\u{0}b", "max_tokens": 3, "echo": true }));
    assert!(zeros.0.starts_with("a\u{0}b"));
    server.wait_for("flashlm_connections", 1.0);
}

#[test]
fn whoever_takes_his_time_to_ask_is_dropped() {
    let server = Server::start(&["--receive-timeout", "0.5"]);
    let head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n";
    // nothing at all, half a head, a head and half a body
    let half = [&head[..], b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"].concat();
    for (sent, status) in [(&b""[..], None), (head, None), (&half, Some(408))] {
        let mut connection = server.connect();
        connection.write_all(sent).unwrap();
        let (bytes, time) = rest(&mut connection);
        assert!(time < Duration::from_secs(20), "{time:?}");
        match status {
            Some(status) => assert_eq!(Answer::parse(&bytes).status, status),
            None => assert!(bytes.is_empty() || Answer::parse(&bytes).status == 408, "{bytes:?}"),
        }
    }
    // a byte at a time, each well in time
    let mut connection = server.connect();
    let begun = Instant::now();
    for byte in head.iter().cycle() {
        if connection.write_all(&[*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        assert!(begun.elapsed() < Duration::from_secs(20), "a slow head is never given up");
    }
    // a connection that is kept and not used
    let mut connection = server.connect();
    connection.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let (bytes, time) = rest(&mut connection);
    assert!(Answer::parse(&bytes).status == 200 && time < Duration::from_secs(20));
    assert_well(&server);
}

#[test]
fn slow_clients_keep_no_one_out_for_long() {
    let server = Server::start(&["--connections", "8", "--receive-timeout", "0.5"]);
    let idle: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    // it waits for its turn
    assert_eq!(server.get("/health").status, 200);
    drop(idle);
    assert_well(&server);
}

#[test]
fn connections_that_are_cut_anywhere_leave_nothing_behind() {
    let server = Server::start(&[]);
    let request = post(&json!({ "prompt": "Once", "max_tokens": 1000, "n": 4, "stream": true }).to_string());
    for cut in (0..request.len()).step_by(7) {
        let mut connection = server.connect();
        connection.write_all(&request[..cut]).unwrap();
    }
    for read in [0, 1, 100, 1000] {
        let mut connection = server.connect();
        connection.write_all(&request).unwrap();
        let _ = connection.read_exact(&mut vec![0; read]);
    }
    assert_well(&server);
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_its_streams_freed() {
    let (_folder, model) = endless();
    let args = ["-m", &model, "--max-tokens", "20000", "--write-timeout", "0.5", "--streams", "4", "--queue", "8"];
    let server = Server::start(&args);
    let (before, limit) = (server.metric("process_resident_memory_bytes"), server.metric("flashlm_memory_limit_bytes"));
    // megabytes each: more than systems keep for who does not read
    let body = |stream: bool| {
        let body =
            json!({ "prompt": "a", "temperature": 0, "max_tokens": 20_000, "n": 4, "logprobs": 5, "stream": stream });
        post(&body.to_string())
    };
    let mut connections: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for (connection, stream) in connections.iter_mut().zip([true, true, false, false]) {
        connection.write_all(&body(stream)).unwrap();
    }
    let mut most = before;
    while server.metric("flashlm_connections") > 1.0 {
        most = most.max(server.metric("process_resident_memory_bytes"));
    }
    println!("{before} bytes resident before, {most} at the most, {limit} more allowed");
    // not a number where the system does not tell
    assert!(most.is_nan() || (before < most && most - before < limit), "{before} {most}, at most {limit} more");
    server.wait_for("flashlm_streams_active", 0.0);
    // what they had room for is free again
    let all = json!({ "prompt": "a", "temperature": 0, "max_tokens": 3, "n": 16 });
    assert_eq!(server.complete(&all).status, 200);
    assert_well(&server);
}

#[test]
fn a_client_that_reads_a_byte_at_a_time_is_dropped_too() {
    let (_folder, model) = endless();
    let timeouts = ["--write-timeout", "1", "--request-timeout", "1"];
    let server = Server::start(&[&["-m", &model, "--max-tokens", "20000"], &timeouts[..]].concat());
    for stream in [true, false] {
        let body = json!({ "prompt": "a", "temperature": 0, "max_tokens": 20_000, "logprobs": 5, "stream": stream });
        let mut connection = server.connect();
        connection.write_all(&post(&body.to_string())).unwrap();
        let begun = Instant::now();
        while server.metric("flashlm_connections") > 1.0 {
            // long enough for the system to tell the server of room
            let _ = connection.read(&mut [0; 9000]);
            std::thread::sleep(Duration::from_millis(300));
            assert!(begun.elapsed() < Duration::from_secs(20), "it is never given up");
        }
    }
    assert_well(&server);
}
