//! One file from the hub into the cache: whole, checked, and going on where an earlier attempt was cut off.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use flashlm_host::{LONGEST_LFS_POINTER, is_lfs_pointer};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::digest::{self, Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use ureq::http::Method;

use super::HubError;
use super::cache::Repository;
use super::client::{Answer, Client, Question};
use super::names;
use super::progress::Meter;

/// What a path may have in an address as it is.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// What a text file should be, for messages.
const TEXT: &str = "a text file";

/// What the hub says of a file before it is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub commit: String,
    /// The blob's name: of most files a digest of their bytes.
    pub etag: String,
    pub size: Option<u64>,
}

impl Facts {
    /// Asks what the file at `address` is.
    pub fn ask(client: &Client, address: &str, file: &str) -> Result<Self, HubError> {
        let question = Question { method: Method::HEAD, address, from: 0, expected: TEXT };
        let mut answer = client.ask(&question).map_err(|error| no_file(error, file))?;
        let own = |answer: &Answer, name: &str| answer.header(name).map(str::to_owned);
        let wrong = |reason: String| HubError::Answer { address: address.to_owned(), reason };
        let Some(commit) = own(&answer, "x-repo-commit") else {
            if answer.is_page() && !names_a_page(file) {
                // a head has no body to find a title in
                return Err(client.page(&mut answer, b"", TEXT));
            }
            return Err(wrong("no answer of a hub: it has no X-Repo-Commit".to_owned()));
        };
        let etag = own(&answer, "x-linked-etag").or_else(|| own(&answer, "etag"));
        let etag = etag.ok_or_else(|| wrong("no answer of a hub: it has no ETag".to_owned()))?;
        let etag = etag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
        for (name, value) in [("X-Repo-Commit", &commit), ("ETag", &etag)] {
            if !names::is_component(value) {
                return Err(wrong(format!("its {name} {value:?} is no name for a file")));
            }
        }
        // of a redirect the length is its own page's, of a compressed body that of what is sent
        let plain = answer.status < 300 && answer.header("content-encoding").is_none_or(|e| e == "identity");
        let size = own(&answer, "x-linked-size").or_else(|| own(&answer, "content-length").filter(|_| plain));
        let size = match size.map(|text| text.trim().parse()) {
            None => None,
            Some(Ok(size)) => Some(size),
            Some(Err(_)) => return Err(wrong("its length is no number".to_owned())),
        };
        let facts = Self { commit, etag, size };
        if facts.size.is_none() && facts.digest().is_none() {
            let reason = "it says neither how long the file is nor its digest, so that half of it could not be told";
            return Err(wrong(reason.to_owned()));
        }
        Ok(facts)
    }

    /// The digest that the etag is, by its length: SHA-256 of large files, git's of others; `None`: another server's.
    fn digest(&self) -> Option<(&'static digest::Algorithm, &'static str)> {
        match (self.etag.len(), self.etag.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            (64, true) => Some((&SHA256, "SHA-256")),
            (40, true) => Some((&SHA1_FOR_LEGACY_USE_ONLY, "git hash")),
            _ => None,
        }
    }

    /// Whether the file at `path` is there and as long as it should be.
    fn is_whole(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|about| about.is_file() && self.size.is_none_or(|size| size == about.len()))
    }

    /// Checks bytes that are all there.
    fn verify(&self, client: &Client, part: &Path, file: &str) -> Result<(), HubError> {
        let io = |error| HubError::io(part)(error);
        let mut input = File::open(part).map_err(io)?;
        let length = input.metadata().map_err(io)?.len();
        if let Some(expected) = self.size.filter(|size| *size != length) {
            return Err(HubError::Truncated { file: file.to_owned(), got: length, expected });
        }
        let mut first = Vec::new();
        (&mut input).take(LONGEST_LFS_POINTER as u64).read_to_end(&mut first).map_err(io)?;
        if length == first.len() as u64 && is_lfs_pointer(&first) {
            return Err(HubError::Pointer { file: file.to_owned() });
        }
        let Some((algorithm, name)) = self.digest() else { return Ok(()) };
        let mut context = Context::new(algorithm);
        if *algorithm == SHA1_FOR_LEGACY_USE_ONLY {
            context.update(format!("blob {length}\0").as_bytes());
        }
        context.update(&first);
        let mut bytes = vec![0; 1 << 20];
        loop {
            client.check_stop()?;
            match input.read(&mut bytes).map_err(io)? {
                0 => break,
                n => context.update(&bytes[..n]),
            }
        }
        let found: String = context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if found.eq_ignore_ascii_case(&self.etag) {
            Ok(())
        } else {
            Err(HubError::Differs { file: file.to_owned(), digest: name })
        }
    }
}

/// Brings a file of a data set into the cache, unless it is there, and returns its path. `address` gives the address of
/// the file in a commit.
pub fn fetch(
    client: &Client,
    cache: &Repository,
    facts: &Facts,
    (file, address): (&str, &str),
) -> Result<PathBuf, HubError> {
    let path = cache.snapshot(&facts.commit, file);
    if facts.is_whole(&path) {
        return Ok(path);
    }
    let blob = cache.blob(&facts.etag);
    let folder = blob.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    let lock = cache.lock(&facts.etag, client, file)?;
    // by whoever had the lock before
    if !facts.is_whole(&blob) {
        let own = if lock.is_shared() { String::new() } else { format!(".{}", std::process::id()) };
        let part = cache.incomplete(&format!("{}{own}", facts.etag));
        let meter = Meter::new(client, file, facts.size);
        let length = || fs::metadata(&part).map_or(0, |about| about.len());
        let attempt = || {
            receive(client, facts, &part, (file, address), &meter)?;
            let checked = facts.verify(client, &part, file);
            if matches!(checked, Err(HubError::Differs { .. } | HubError::Pointer { .. })) {
                // nothing to go on from
                let _ = fs::remove_file(&part);
            }
            checked
        };
        client.patiently(client.settings.patience.attempts, attempt, length)?;
        meter.finish();
        File::open(&part).and_then(|part| part.sync_all()).map_err(HubError::io(&part))?;
        fs::rename(&part, &blob).map_err(HubError::io(&blob))?;
    }
    cache.link(&facts.etag, &facts.commit, file)
}

/// Adds to `part` what it lacks, as far as it comes.
fn receive(
    client: &Client,
    facts: &Facts,
    part: &Path,
    (file, address): (&str, &str),
    meter: &Meter,
) -> Result<(), HubError> {
    let io = |error| HubError::io(part)(error);
    let mut out = File::options().create(true).append(true).open(part).map_err(io)?;
    let mut have = out.metadata().map_err(io)?.len();
    if facts.size.is_some_and(|size| have > size) {
        out.set_len(0).map_err(io)?;
        have = 0;
    }
    if facts.size == Some(have) {
        return Ok(());
    }
    let question = Question { method: Method::GET, address, from: have, expected: TEXT };
    let mut answer = match client.ask(&question) {
        // asked for what is behind the end: what is there is of another file
        Err(HubError::Status { status: 416, .. }) if have > 0 => {
            out.set_len(0).map_err(io)?;
            return Err(HubError::Broken { address: address.to_owned(), cause: "what was there does not fit".into() });
        }
        answer => answer.map_err(|error| no_file(error, file))?,
    };
    if answer.is_page() && !names_a_page(file) {
        return Err(client.page(&mut answer, b"", TEXT));
    }
    // who knows no ranges sends all of it
    let goes_on = answer.status == 206 && answer.header("content-range").and_then(range_start) == Some(have);
    if have > 0 && !goes_on {
        out.set_len(0).map_err(io)?;
        have = 0;
    }
    meter.at(have);
    while let Some(piece) = client.next(&mut answer)? {
        have += piece.len() as u64;
        if let Some(expected) = facts.size.filter(|size| have > *size) {
            out.set_len(0).map_err(io)?;
            let reason = format!("more than the {expected} bytes of {file} that it announced");
            return Err(HubError::Answer { address: answer.address, reason });
        }
        out.write_all(&piece).map_err(io)?;
        meter.at(have);
    }
    Ok(())
}

/// `FIRST` of `bytes FIRST-LAST/TOTAL`.
fn range_start(value: &str) -> Option<u64> {
    value.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Whether a page is what is asked for.
fn names_a_page(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    file.ends_with(".html") || file.ends_with(".htm")
}

/// A refusal that is about one file names it.
fn no_file(error: HubError, file: &str) -> HubError {
    match error {
        HubError::Status { status: 404, address, .. } => HubError::NoFile { file: file.to_owned(), address },
        other => other,
    }
}

/// A file's name as a part of an address.
pub fn encoded(file: &str) -> String {
    utf8_percent_encode(file, IN_A_PATH).to_string()
}
