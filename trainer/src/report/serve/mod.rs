//! The report of a run, live on 127.0.0.1, with a box to talk to the newest weights.
//!
//! All of it happens on threads of its own: the trainer only hands over its weights now and then. What is asked is
//! answered one request a connection, within sizes and times; only pages of the server's own name may ask, so that no
//! site that the user visits can make the browser do it.

mod http;

use std::io::{self, Read};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use flashlm_host::Blob;
use serde::Deserialize;
use serde_json::json;

use self::http::{Answer, Request};
use super::{RunData, Shown, page};
use crate::run::generate;
use crate::run::origin::Underway;

/// Connections served at a time.
const CONNECTIONS: usize = 8;
/// Longest wait for a client to take a part of its answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a client to end after its answer, and what it may still send.
const LINGER: Duration = Duration::from_millis(500);
const LEFT_OVER: u64 = 64 << 10;
/// Longest beginning of a story, characters; and the longest story, tokens.
const LONGEST_PROMPT: usize = 1000;
const TOKENS: usize = 200;
/// Stack of a thread that serves.
const STACK: usize = 1 << 20;

/// The server; it ends when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Names that requests may use for the server.
    names: [String; 2],
    underway: Mutex<Option<Underway>>,
    page: Mutex<Page>,
    weights: Mutex<Option<Arc<Weights>>>,
    /// Held while a story is told: one at a time is what training can spare.
    telling: Mutex<()>,
    open: AtomicUsize,
    stop: AtomicBool,
}

/// The run as the server read it, and the page made of that.
struct Page {
    data: RunData,
    made: Option<(u64, Arc<str>)>,
}

/// A model of so many steps.
struct Weights {
    step: u64,
    blob: Blob,
}

#[derive(Deserialize)]
struct Talk {
    prompt: String,
    #[serde(default)]
    seed: u64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shared({})", self.names[0])
    }
}

impl Server {
    /// Serves the run that is to be in `out` on 127.0.0.1, at `port` or, where that is 0, at any that is free.
    ///
    /// # Errors
    /// The port is taken, or there can be no thread.
    pub fn start(port: u16, out: &Path) -> anyhow::Result<Self> {
        let name = || format!("--serve {port}: cannot listen on 127.0.0.1:{port}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).with_context(name)?;
        let address = listener.local_addr().with_context(name)?;
        let shared = Arc::new(Shared {
            names: ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", address.port())),
            underway: Mutex::new(None),
            page: Mutex::new(Page { data: RunData::begun(out), made: None }),
            weights: Mutex::new(None),
            telling: Mutex::new(()),
            open: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("report".into()).stack_size(STACK);
        let thread = thread.spawn(move || listen(&listener, &theirs)).with_context(name)?;
        Ok(Self { address, shared, thread: Some(thread) })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Says on the page what run this is.
    pub fn introduce(&self, underway: Underway) {
        *lock(&self.shared.underway) = Some(underway);
        lock(&self.shared.page).made = None;
    }

    /// Lets people talk to these weights, of so many steps, from now on. With the first of them the run has begun: what
    /// the directory held before is not its own.
    pub fn publish(&self, step: u64, blob: Blob) {
        let before = lock(&self.shared.weights).replace(Arc::new(Weights { step, blob }));
        if before.is_none() {
            let mut page = lock(&self.shared.page);
            page.data.begin_anew();
            page.made = None;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // wakes it from waiting; if that fails, it is left to end with the process
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

/// What a lock guards is whole at any time: a thread that died with it did no harm.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn listen(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        let connection = listener.accept();
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let Ok((stream, _)) = connection else {
            // too many open files, say
            thread::sleep(Duration::from_millis(100));
            continue;
        };
        let place = Place::take(shared);
        let Some(place) = place else { continue };
        let thread = thread::Builder::new().name("report".into()).stack_size(STACK);
        // one that cannot be served is closed
        let _ = thread.spawn(move || serve(stream, &place.0));
    }
}

/// One of the connections served at a time.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Option<Self> {
        // counted before it is looked at, and given back with the place
        let place = Self(Arc::clone(shared));
        (shared.open.fetch_add(1, Ordering::Relaxed) < CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Reads one request and answers it; whoever goes away meanwhile is no trouble.
fn serve(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_write_timeout(Some(WRITE_TIMEOUT));
    let answer = match http::read(&mut stream) {
        Ok(request) => shared.answer(&request),
        Err(http::Failure::Refused(answer)) => answer,
        Err(http::Failure::Gone) => return,
    };
    let _ = answer.send(&mut stream).and_then(|()| linger(&mut stream));
}

/// Lets the client take its answer before the connection is closed: what it still sends would have it thrown away.
fn linger(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    stream.set_read_timeout(Some(LINGER))?;
    io::copy(&mut stream.take(LEFT_OVER), &mut io::sink()).map(drop)
}

impl Shared {
    fn answer(&self, request: &Request) -> Answer {
        // a name that an attacker's server gave this address (DNS rebinding) is not ours, nor is another page's origin
        let ours = |name: &str| self.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        if !request.host.as_deref().is_some_and(ours) {
            return Answer::error(403, &format!("expected the host {} or {}", self.names[0], self.names[1]));
        }
        let foreign = |origin: &str| !origin.strip_prefix("http://").is_some_and(ours);
        if request.origin.as_deref().is_some_and(foreign) {
            return Answer::error(403, "expected a request of this server's own page");
        }
        match (&request.method[..], &request.path[..]) {
            ("GET" | "HEAD", "/") => self.page().unwrap_or_else(|e| Answer::error(500, &format!("{e:#}"))),
            ("GET" | "HEAD", "/state") => self.state().unwrap_or_else(|e| Answer::error(500, &format!("{e:#}"))),
            ("POST", "/talk") => self.talk(request),
            (_, "/" | "/state") => Answer::error(405, "expected GET"),
            (_, "/talk") => Answer::error(405, "expected POST"),
            _ => Answer::error(404, "expected /, /state or /talk"),
        }
    }

    /// How far the run is, for the page to see whether there is news.
    fn state(&self) -> anyhow::Result<Answer> {
        let mut page = lock(&self.page);
        page.data.read_on(|_| ())?;
        let (step, seconds, tokens) = page.data.standing();
        let position = page.data.position();
        Ok(Answer::json(200, &json!({ "position": position, "step": step, "seconds": seconds, "tokens": tokens })))
    }

    fn page(&self) -> anyhow::Result<Answer> {
        let mut guard = lock(&self.page);
        let Page { data, made } = &mut *guard;
        data.read_on(|_| ())?;
        let position = data.position();
        let text = match made {
            Some((of, text)) if *of == position => Arc::clone(text),
            _ => {
                let underway = lock(&self.underway);
                let text: Arc<str> = page(std::slice::from_ref(data), underway.as_ref(), Shown::Live)?.into();
                *made = Some((position, Arc::clone(&text)));
                text
            }
        };
        Ok(Answer::html(text.as_bytes().into()))
    }

    /// A story from a beginning, as `{"prompt": "...", "seed": 1}`, by the newest weights.
    fn talk(&self, request: &Request) -> Answer {
        // what a form of another site can send without asking first is no JSON
        if request.kind.as_deref() != Some("application/json") {
            return Answer::error(415, "expected the content type application/json");
        }
        let Ok(Talk { prompt, seed }) = serde_json::from_slice(&request.body) else {
            return Answer::error(400, r#"expected {"prompt": "TEXT", "seed": NUMBER}"#);
        };
        if prompt.chars().count() > LONGEST_PROMPT {
            return Answer::error(413, &format!("expected a prompt of at most {LONGEST_PROMPT} characters"));
        }
        let Some(weights) = lock(&self.weights).clone() else {
            return Answer::error(503, "there are no weights yet: expected to be asked after the first evaluation");
        };
        let Ok(_one) = self.telling.try_lock().or_else(|e| match e {
            std::sync::TryLockError::Poisoned(poisoned) => Ok(poisoned.into_inner()),
            busy => Err(busy),
        }) else {
            return Answer::error(503, "another story is being told: expected one at a time");
        };
        match generate::sample(&weights.blob, &prompt, TOKENS, seed) {
            Ok(story) => Answer::json(200, &json!({ "story": story, "step": weights.step, "seed": seed })),
            Err(e) => Answer::error(500, &format!("{e:#}")),
        }
    }
}

#[cfg(test)]
mod tests;
