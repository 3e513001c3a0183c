//! The hub's client against a hub that behaves, and against those that do not.

mod cached;
mod downloads;
mod refused;
mod server;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};

use self::server::{Reply, Request, Server};
use super::settings::{Patience, Token};
use super::*;

const TEXT: &str = "One.\n<|endoftext|>\nTwo.\n<|endoftext|>\n";
const LIST_PATH: &str = "/revision/main?blobs=true";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The etag that the hub gives large files.
fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// The etag that the hub gives others.
fn git_hash(bytes: &[u8]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, &[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()).as_ref())
}

/// A data set as a hub has it.
#[derive(Clone)]
struct Files {
    commit: &'static str,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Files {
    fn new(commit: &'static str, files: &[(&'static str, &[u8])]) -> Self {
        Self { commit, files: files.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect() }
    }

    fn usual() -> Self {
        let valid: &[u8] = b"Three.\n";
        Self::new("c1", &[("README.md", b"# Stories"), ("s-train.txt", TEXT.as_bytes()), ("s-valid.txt", valid)])
    }

    fn list(&self) -> Reply {
        let entry = |(name, bytes): &(&str, Vec<u8>)| {
            let (size, blob) = (bytes.len(), git_hash(bytes));
            serde_json::json!({ "rfilename": name, "size": size, "blobId": blob })
        };
        let siblings: Vec<_> = self.files.iter().map(entry).collect();
        Reply::new(200, serde_json::json!({ "sha": self.commit, "siblings": siblings }).to_string())
            .with("Content-Type", "application/json")
    }

    /// What a hub that is well answers.
    fn answer(&self, request: &Request) -> Reply {
        if request.path.ends_with(LIST_PATH) {
            return self.list();
        }
        let file = self.files.iter().find(|(name, _)| request.path.ends_with(&download::encoded(name)));
        let Some((_, bytes)) = file else {
            return Reply::new(404, "Entry not found").with("X-Error-Code", "EntryNotFound");
        };
        let from = request.from();
        let (status, body) = if from > 0 { (206, &bytes[from..]) } else { (200, &bytes[..]) };
        Reply::new(status, body)
            .with("X-Repo-Commit", self.commit)
            .with("ETag", format!("\"{}\"", git_hash(bytes)))
            .with("Content-Range", format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
    }

    fn serve(self) -> Server {
        Server::new(move |request| self.answer(request))
    }
}

/// A user of a hub, with a cache of his own.
struct User {
    _dir: Option<tempfile::TempDir>,
    settings: Settings,
    lines: RefCell<Vec<String>>,
}

impl User {
    fn new(endpoint: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let cache = dir.path().join("hub");
        Self { _dir: Some(dir), ..Self::sharing(endpoint, cache) }
    }

    fn sharing(endpoint: &str, cache: PathBuf) -> Self {
        let patience = Patience {
            answer: Duration::from_millis(400),
            download: Duration::from_millis(400),
            attempts: 4,
            pause: Duration::from_millis(10),
        };
        let settings =
            Settings { endpoint: endpoint.to_owned(), cache, token: None, offline: false, bars: false, patience };
        Self { _dir: None, settings, lines: RefCell::default() }
    }

    fn with_token(mut self) -> Self {
        self.settings.token = Some(Token { secret: "hf_secret".into(), found_in: "HF_TOKEN".into() });
        self
    }

    fn get_part(&self, name: &str, part: Part) -> Result<Vec<PathBuf>, String> {
        let dataset: Dataset = name.parse().map_err(|error: DataError| error.to_string())?;
        let note = |line: &str| self.lines.borrow_mut().push(line.to_owned());
        dataset.download_with(&self.settings, part, &|| false, &note).map_err(|error| error.to_string())
    }

    fn get(&self, name: &str) -> Result<Vec<PathBuf>, String> {
        self.get_part(name, Part::Train)
    }

    fn said(&self) -> String {
        self.lines.borrow().join("\n")
    }

    fn folder(&self) -> PathBuf {
        self.settings.cache.join("datasets--someone--stories")
    }

    /// Files that a client would take for whole.
    fn snapshots(&self) -> usize {
        Repository::new(&self.settings.cache, "someone/stories").present("c1").len()
    }

    /// That the only file of the part is there and says what it should.
    fn assert_has(&self, name: &str, text: &[u8]) -> PathBuf {
        let files = self.get(name).unwrap();
        assert_eq!(files.len(), 1, "{files:?}");
        assert_eq!(fs::read(&files[0]).unwrap(), text);
        files[0].clone()
    }
}

const STORIES: &str = "someone/stories";

/// A refusal that says all of `words`.
fn assert_refused(result: Result<Vec<PathBuf>, String>, words: &[&str]) -> String {
    let error = result.unwrap_err();
    assert!(error.starts_with("hf:someone/stories: "), "{error}");
    for word in words {
        assert!(error.contains(word), "no {word:?} in {error:?}");
    }
    error
}

/// A hub that is well but for what `odd` answers.
fn odd(files: Files, odd: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Server {
    Server::new(move |request| odd(request).unwrap_or_else(|| files.answer(request)))
}

/// The first `n` requests that `which` picks are answered by `reply`.
fn first(n: usize, which: impl Fn(&Request) -> bool + Send + Sync + 'static, reply: Reply) -> Server {
    let left = AtomicUsize::new(n);
    odd(Files::usual(), move |request| {
        let mine = which(request) && left.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
        mine.then(|| reply.clone())
    })
}

fn is_download(request: &Request) -> bool {
    request.method == "GET" && request.path.ends_with(".txt")
}

#[test]
fn training_files_are_chosen_by_name_and_validation_files_never_train() {
    let files = || ["V2-valid.txt", "b-train.txt", "a-train.txt", "x.csv", "notes.txt"].map(String::from).to_vec();
    assert_eq!(choose(files(), Part::Train), ["a-train.txt", "b-train.txt"]);
    assert_eq!(choose(files(), Part::Valid), ["V2-valid.txt"]);
    assert_eq!(choose(vec!["stories.txt".into(), "test.txt".into()], Part::Train), ["stories.txt"]);
}

#[test]
fn names_are_checked() {
    let bad = ["", "a", "a/", "/b", "a/b/", "../b", "a/..", "a/b/../c", "a/b//c", "a b/c", "a/b\\c/d", "a--b/c"];
    for name in bad {
        assert!(name.parse::<Dataset>().is_err(), "{name:?}");
    }
    assert_eq!("a/b/c/d.txt".parse::<Dataset>().unwrap().to_string(), "hf:a/b/c/d.txt");
}
