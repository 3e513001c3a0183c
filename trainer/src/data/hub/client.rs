//! Questions to a hub, and patience with it.
//!
//! The network is another thread's affair: this one waits for pieces of what comes, so that it sees Ctrl-C at once,
//! whatever the network is doing, a name being looked up included.

use std::io::Read;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ureq::http::{HeaderMap, Method, Request, header};

use super::HubError;
use super::address::{join, origin};
use super::settings::Settings;

/// How often Ctrl-C is looked for.
const GLANCE: Duration = Duration::from_millis(100);
/// The longest that a hub may ask us to wait; whoever is to wait longer is better told.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Hops from one address to another.
const REDIRECTS: usize = 10;
/// Bytes read at a time.
const PIECE: usize = 64 << 10;
/// The longest list of files, and the longest start of a page that is looked at for its title.
const LONGEST_LIST: usize = 64 << 20;
const LONGEST_GLIMPSE: usize = 64 << 10;

/// Asks one hub.
pub struct Client<'a> {
    pub settings: &'a Settings,
    agent: ureq::Agent,
    /// Whether the user has had enough.
    stop: &'a dyn Fn() -> bool,
    note: &'a dyn Fn(&str),
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question<'q> {
    pub method: Method,
    pub address: &'q str,
    /// The first byte wanted.
    pub from: u64,
    /// What the answer should be, for messages.
    pub expected: &'static str,
}

/// The head of an answer, and its body to come.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Where it came from in the end.
    pub address: String,
    pieces: Receiver<Piece>,
    silence: Silence,
}

/// How long nothing may be heard, and the variable that says so.
#[derive(Clone, Copy)]
struct Silence {
    longest: Duration,
    variable: &'static str,
}

enum Piece {
    Head(u16, HeaderMap),
    Bytes(Vec<u8>),
    End,
    /// Before the head, and after it.
    Failed(ureq::Error),
    Broken(std::io::Error),
}

impl<'a> Client<'a> {
    pub fn new(settings: &'a Settings, stop: &'a dyn Fn() -> bool, note: &'a dyn Fn(&str)) -> Self {
        let patience = settings.patience;
        // the thread's own limits; they end it after this side has given up
        let limit = Some(patience.answer.max(patience.download) + Duration::from_secs(1));
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            // each hop is ours to check
            .max_redirects(0)
            .max_redirects_will_error(false)
            // lengths and ranges are those of the files
            .accept_encoding("identity")
            .user_agent(concat!("flashlm/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(limit)
            .timeout_connect(limit)
            .timeout_per_read(limit)
            .timeout_per_write(limit)
            .build();
        Self { settings, agent: config.into(), stop, note }
    }

    pub fn note(&self, line: &str) {
        (self.note)(line);
    }

    pub fn check_stop(&self) -> Result<(), HubError> {
        if (self.stop)() { Err(HubError::Interrupted) } else { Ok(()) }
    }

    /// Waits, Ctrl-C permitting.
    pub fn pause(&self, time: Duration) -> Result<(), HubError> {
        let end = Instant::now() + time;
        loop {
            self.check_stop()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(GLANCE));
        }
    }

    /// Does `attempt` again while it fails in a way that may pass, with longer and longer pauses, or as long as the hub
    /// asks for. An attempt that got further than all before, as the number it is asked for says, counts as the first.
    pub fn patiently<T>(
        &self,
        attempts: u32,
        mut attempt: impl FnMut() -> Result<T, HubError>,
        mut got: impl FnMut() -> u64,
    ) -> Result<T, HubError> {
        let (mut failed, mut furthest) = (0, got());
        loop {
            let error = match attempt() {
                Err(error) if error.may_pass() => error,
                done => return done,
            };
            let now = got();
            failed = if now > furthest { 1 } else { failed + 1 };
            furthest = furthest.max(now);
            let usual = self.settings.patience.pause * 2u32.pow(failed.min(10) - 1);
            let pause = error.after().unwrap_or(usual);
            if failed >= attempts || pause > LONGEST_WAIT {
                return Err(error);
            }
            self.note(&format!("{error}: trying again in {} s", pause.as_secs_f64()));
            self.pause(pause)?;
        }
    }

    /// Asks once and follows where the answer leads; an answer that says no is an error. The token goes to the
    /// endpoint and nowhere else. A question for the head alone ends where the hub itself says what the file is, before
    /// it sends us to where its bytes are stored.
    pub fn ask(&self, question: &Question) -> Result<Answer, HubError> {
        let mut address = question.address.to_owned();
        for _ in 0..=REDIRECTS {
            let answer = self.hop(question, &address)?;
            let known = question.method == Method::HEAD && answer.header("x-repo-commit").is_some();
            match (answer.status, answer.header("location")) {
                (301 | 302 | 303 | 307 | 308, Some(location)) if !known => address = join(&address, location)?,
                (300..=399, _) if known => return Ok(answer),
                (200..=299, _) => return Ok(answer),
                _ => return Err(self.refusal(answer, question)),
            }
        }
        Err(HubError::Answer { address, reason: format!("sent from address to address more than {REDIRECTS} times") })
    }

    fn hop(&self, question: &Question, address: &str) -> Result<Answer, HubError> {
        self.check_stop()?;
        let silence = match question.method {
            Method::HEAD => Silence { longest: self.settings.patience.answer, variable: "HF_HUB_ETAG_TIMEOUT" },
            _ => Silence { longest: self.settings.patience.download, variable: "HF_HUB_DOWNLOAD_TIMEOUT" },
        };
        let wrong = |reason: String| HubError::Answer { address: address.to_owned(), reason };
        let mut request = Request::builder().method(question.method.clone()).uri(address);
        if question.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", question.from));
        }
        let trusted = origin(address).is_some() && origin(address) == origin(&self.settings.endpoint);
        if let Some(token) = self.settings.token.as_ref().filter(|_| trusted) {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret));
        }
        let request = request.body(()).map_err(|error| wrong(format!("no address to ask: {error}")))?;
        let agent = self.agent.clone();
        let (send, pieces) = mpsc::sync_channel(4);
        let speak = move || {
            let response = match agent.run(request) {
                Ok(response) => response,
                Err(error) => return drop(send.send(Piece::Failed(error))),
            };
            let (head, body) = response.into_parts();
            // whoever does not listen any more has given up
            if send.send(Piece::Head(head.status.as_u16(), head.headers)).is_err() {
                return;
            }
            let mut body = body.into_reader();
            loop {
                let mut bytes = vec![0; PIECE];
                let piece = match body.read(&mut bytes) {
                    Ok(0) => Piece::End,
                    Ok(n) => {
                        bytes.truncate(n);
                        Piece::Bytes(bytes)
                    }
                    Err(error) => Piece::Broken(error),
                };
                let last = !matches!(piece, Piece::Bytes(_));
                if send.send(piece).is_err() || last {
                    return;
                }
            }
        };
        thread::Builder::new().name("hub".to_owned()).spawn(speak).map_err(HubError::Thread)?;
        let mut answer = Answer { status: 0, headers: HeaderMap::new(), address: address.to_owned(), pieces, silence };
        match answer.wait(self.stop)? {
            Piece::Head(status, headers) => (answer.status, answer.headers) = (status, headers),
            Piece::Failed(error) => return Err(failure(error, address, silence)),
            _ => return Err(wrong("no answer to read".to_owned())),
        }
        Ok(answer)
    }

    /// The rest of an answer; `None` at its end.
    pub fn next(&self, answer: &mut Answer) -> Result<Option<Vec<u8>>, HubError> {
        match answer.wait(self.stop)? {
            Piece::Bytes(bytes) => Ok(Some(bytes)),
            Piece::End => Ok(None),
            Piece::Broken(error) => Err(answer.broken(&error.to_string())),
            Piece::Failed(error) => Err(failure(error, &answer.address, answer.silence)),
            Piece::Head(..) => Err(answer.broken("a second answer")),
        }
    }

    /// All of an answer, as a list of files is wanted.
    pub fn whole(&self, answer: &mut Answer) -> Result<Vec<u8>, HubError> {
        let mut all = Vec::new();
        while let Some(piece) = self.next(answer)? {
            if all.len() + piece.len() > LONGEST_LIST {
                let reason = format!("an answer of more than {} MB", LONGEST_LIST >> 20);
                return Err(HubError::Answer { address: answer.address.clone(), reason });
            }
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// The error for a page where something else was expected.
    pub fn page(&self, answer: &mut Answer, begun: &[u8], expected: &'static str) -> HubError {
        let mut start = begun.to_vec();
        while start.len() < LONGEST_GLIMPSE {
            match self.next(answer) {
                Ok(Some(piece)) => start.extend_from_slice(&piece),
                _ => break,
            }
        }
        HubError::Page { address: answer.address.clone(), title: title(&start), expected }
    }

    /// What a status means that is no success.
    fn refusal(&self, mut answer: Answer, question: &Question) -> HubError {
        let address = answer.address.clone();
        let code = answer.header("x-error-code").unwrap_or_default().to_owned();
        let message = answer.header("x-error-message").map(|text| text.chars().take(200).collect()).unwrap_or_default();
        let after = answer.header("retry-after").and_then(retry_after);
        match (answer.status, code.as_str()) {
            (401 | 403, "GatedRepo") if self.settings.token.is_some() => HubError::Gated { address, message },
            (401, _) => match &self.settings.token {
                None => HubError::NeedsToken { address },
                Some(token) => HubError::TokenRefused { address, source_of_token: token.found_in.clone() },
            },
            (404, "RepoNotFound") => HubError::NoDataset { address, message },
            (404, _) if question.expected == super::LIST && !answer.is_page() => {
                HubError::NoDataset { address, message }
            }
            // who knows the hub's codes is a hub: all else may stand in between
            (407 | 511, _) => self.page(&mut answer, b"", question.expected),
            (403 | 404, "") if answer.is_page() => self.page(&mut answer, b"", question.expected),
            (403, _) => HubError::Forbidden { address, message },
            (429, _) => HubError::RateLimited { address, after },
            (status @ (408 | 500..=599), _) => HubError::Unwell { address, status, after },
            (status, _) => HubError::Status { address, status, message },
        }
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it says that it is a page for people.
    pub fn is_page(&self) -> bool {
        let kind = self.header("content-type").unwrap_or_default().trim_start().to_ascii_lowercase();
        kind.starts_with("text/html") || kind.starts_with("application/xhtml")
    }

    fn broken(&self, cause: &str) -> HubError {
        HubError::Broken { address: self.address.clone(), cause: cause.to_owned() }
    }

    /// The next piece, unless the user or our patience comes first.
    fn wait(&self, stop: &dyn Fn() -> bool) -> Result<Piece, HubError> {
        let Silence { longest, variable } = self.silence;
        let begun = Instant::now();
        loop {
            if stop() {
                return Err(HubError::Interrupted);
            }
            match self.pieces.recv_timeout(GLANCE.min(longest)) {
                Ok(piece) => return Ok(piece),
                Err(RecvTimeoutError::Disconnected) => return Err(self.broken("its thread ended")),
                Err(RecvTimeoutError::Timeout) if begun.elapsed() < longest => {}
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = longest.as_secs_f64();
                    return Err(HubError::Silent { address: self.address.clone(), seconds, variable });
                }
            }
        }
    }
}

/// What kept an answer from coming.
fn failure(error: ureq::Error, address: &str, silence: Silence) -> HubError {
    let address = address.to_owned();
    match error {
        ureq::Error::Timeout(_) => {
            HubError::Silent { address, seconds: silence.longest.as_secs_f64(), variable: silence.variable }
        }
        ureq::Error::Protocol(error) => HubError::Answer { address, reason: format!("no answer of a hub: {error}") },
        ureq::Error::Http(error) => HubError::Answer { address, reason: format!("no address to ask: {error}") },
        ureq::Error::BadUri(error) => HubError::Answer { address, reason: format!("no address to ask: {error}") },
        ureq::Error::LargeResponseHeader(..) => {
            HubError::Answer { address, reason: "no answer of a hub: its head does not end".to_owned() }
        }
        error @ (ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_)) => {
            HubError::Insecure { address, cause: error.to_string() }
        }
        other => HubError::Unreachable { address, cause: other.to_string() },
    }
}

/// How long `Retry-After` asks to wait: a number of seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value.trim()).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// A page's title in brackets, behind a space; empty if it has none.
fn title(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    // of ASCII alone, so that places in it are places in the page
    let lower = page.to_ascii_lowercase();
    let title = lower.find("<title").and_then(|open| {
        let start = open + lower[open..].find('>')? + 1;
        let end = start + lower[start..].find("</title")?;
        Some(page[start..end].split_whitespace().collect::<Vec<_>>().join(" "))
    });
    match title {
        Some(title) if !title.is_empty() => format!(" ({:?})", title.chars().take(100).collect::<String>()),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_number_or_a_date() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!((90..=100).contains(&retry_after(&soon).unwrap().as_secs()));
        assert_eq!(retry_after("soon"), None);
    }

    #[test]
    fn a_pages_title_is_found() {
        assert_eq!(title(b"<html><head><TITLE lang=en>\n Sign  in </title>"), " (\"Sign in\")");
        assert_eq!(title("<title>\u{130}é</title>".as_bytes()), " (\"\u{130}é\")");
        assert_eq!(title(b"<html>no title"), "");
        assert_eq!(title(b"<title>never closed"), "");
    }
}
