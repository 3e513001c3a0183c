//! Downloads that are whole, whatever happens on the way.

use super::*;

#[test]
fn a_file_that_is_named_is_the_only_one_and_may_lie_deep() {
    let files = Files::new("c1", &[("a b/ü #1?.txt", b"deep"), ("other.txt", b"not this")]);
    let server = files.serve();
    let user = User::new(&server.address);
    let path = user.assert_has("someone/stories/a b/ü #1?.txt", b"deep");
    assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../../blobs").join(git_hash(b"deep")));
    assert_eq!(server.count("GET", LIST_PATH), 0);
    let gone = User::sharing("http://127.0.0.1:1", user.settings.cache.clone());
    gone.assert_has("someone/stories/a b/ü #1?.txt", b"deep");
    assert!(gone.said().contains("cannot be reached"), "{}", gone.said());
}

#[test]
fn a_slow_hub_is_no_silent_one() {
    let text = b"Slowly. ".repeat(40);
    let files = Files::new("c1", &[("s.txt", &text)]);
    let slowly = files.clone();
    let server = odd(files, move |request| {
        is_download(request).then(|| Reply { slow: Some((40, Duration::from_millis(120))), ..slowly.answer(request) })
    });
    let user = User::new(&server.address);
    let begun = Instant::now();
    user.assert_has(STORIES, &text);
    assert!(begun.elapsed() > user.settings.patience.download, "longer than silence is borne");
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let text: Vec<u8> = (0..200_000u32).flat_map(|i| format!("{i} ").into_bytes()).collect();
    let files = Files::new("c1", &[("s.txt", &text)]);
    let whole = files.clone();
    let server =
        odd(files, move |request| is_download(request).then(|| Reply { cut: Some(300_000), ..whole.answer(request) }));
    let user = User::new(&server.address);
    user.assert_has(STORIES, &text);
    let starts: Vec<usize> = server.requests().iter().filter(|r| is_download(r)).map(Request::from).collect();
    assert!(starts.len() > 4 && starts.is_sorted_by(|a, b| a < b), "{starts:?}");
}

#[test]
fn a_download_cut_off_by_a_kill_goes_on_and_one_of_other_bytes_starts_anew() {
    for (left, from) in [(&TEXT.as_bytes()[..20], 20), (b"Others.", 7), (&[b'x'; 100], 0)] {
        let server = Files::usual().serve();
        let user = User::new(&server.address);
        let part = user.folder().join("blobs").join(format!("{}.incomplete", git_hash(TEXT.as_bytes())));
        fs::create_dir_all(part.parent().unwrap()).unwrap();
        fs::write(&part, left).unwrap();
        user.assert_has(STORIES, TEXT.as_bytes());
        let starts: Vec<usize> = server.requests().iter().filter(|r| is_download(r)).map(Request::from).collect();
        assert_eq!(starts[0], from);
        assert!(!part.exists());
    }
}

#[test]
fn half_a_file_is_never_taken_for_a_whole_one() {
    // a hub that always breaks off at the same place and knows no ranges; one whose bytes differ; one that sends more
    let half = |request: &Request| {
        let mut reply = Files::usual().answer(&Request { headers: Vec::new(), ..request.clone() });
        reply.cut = Some(20);
        reply
    };
    let other = |request: &Request| {
        let mut reply = Files::usual().answer(request);
        reply.body = reply.body.to_ascii_uppercase();
        reply
    };
    let more = |request: &Request| Reply {
        body: TEXT.repeat(2).into_bytes(),
        headers: Vec::new(),
        ..Files::usual().answer(request)
    };
    type Hub = fn(&Request) -> Reply;
    let hubs: [(Hub, &str); 3] =
        [(half, "the connection broke off"), (other, "its git hash differs"), (more, "more than the 38 bytes")];
    for (reply, words) in hubs {
        let server = odd(Files::usual(), move |request| is_download(request).then(|| reply(request)));
        let user = User::new(&server.address);
        assert_refused(user.get(STORIES), &[words]);
        assert_eq!(user.snapshots(), 0);
        assert_eq!(
            fs::read_dir(user.folder().join("blobs")).unwrap().count(),
            usize::from(words != "its git hash differs")
        );
    }
}

#[test]
fn a_large_files_digest_is_checked_too() {
    for (etag, good) in [(sha256(TEXT.as_bytes()), true), (sha256(b"something else"), false)] {
        let server = odd(Files::usual(), move |request| {
            (request.method == "HEAD").then(|| {
                Reply::new(302, "")
                    .with("Location", "http://127.0.0.1:1/elsewhere")
                    .with("X-Repo-Commit", "c1")
                    .with("X-Linked-Etag", format!("\"{etag}\""))
                    .with("X-Linked-Size", TEXT.len())
            })
        });
        let user = User::new(&server.address);
        if good {
            user.assert_has(STORIES, TEXT.as_bytes());
        } else {
            assert_refused(user.get(STORIES), &["SHA-256 differs"]);
        }
    }
}

#[test]
fn a_hub_must_say_what_makes_a_file_whole() {
    let head = |name: &'static str, value: &'static str| {
        let server = odd(Files::usual(), move |request| {
            (request.method == "HEAD").then(|| {
                let mut reply = Files::usual().answer(request);
                reply.headers.retain(|(n, _)| n != name && n != "Content-Length");
                reply.headers.push((name.to_owned(), value.to_owned()));
                reply
            })
        });
        let user = User::new(&server.address);
        user.get(STORIES).map(|_| user.snapshots())
    };
    assert_eq!(head("ETag", "W/\"e-1.x\""), Ok(1));
    assert_refused(head("ETag", "\"../../x\"").map(|_| Vec::new()), &["ETag \"../../x\" is no name for a file"]);
    assert_refused(head("X-Repo-Commit", "..").map(|_| Vec::new()), &["X-Repo-Commit \"..\""]);
    assert_refused(head("X-Linked-Size", "many").map(|_| Vec::new()), &["its length is no number"]);
}

#[test]
fn a_compressed_answer_is_read_as_what_it_stands_for() {
    // of TEXT, by gzip -9n
    let zipped: Vec<u8> = GZIPPED.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let server = odd(Files::usual(), move |request| {
        request.path.ends_with("s-train.txt").then(|| {
            let mut reply = Files::usual().answer(&Request { headers: Vec::new(), ..request.clone() });
            reply.headers.retain(|(name, _)| name != "Content-Range");
            reply.body.clone_from(&zipped);
            reply.with("Content-Encoding", "gzip")
        })
    });
    User::new(&server.address).assert_has(STORIES, TEXT.as_bytes());
}

const GZIPPED: &str = "
    1f 8b 08 00 00 00 00 00 02 ff f3 cf 4b d5 e3 b2 a9 49 cd 4b c9 4f 2b 49 ad 28 a9 b1 e3 0a 29 cf 47
    17 02 00 2b b9 cd 6f 26 00 00 00";
