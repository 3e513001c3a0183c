//! `flashlm serve`: completions over HTTP, in the form of OpenAI's servers.
//!
//! One thread speaks HTTP (`connections`, `routes`). A request (`request`) becomes tasks, one for every choice, that
//! wait in a `queue` for a `worker`, a thread that takes all its streams a token on at a time. What a stream tells goes
//! to an output (`task`), from which its connection takes it as fast as its client reads: no worker waits for a client.
//! Whoever goes, or takes too long, gives up his stories with his connection.

mod answer;
mod connections;
mod error;
mod limits;
mod metrics;
mod queue;
mod request;
mod routes;
mod task;
mod text;
mod worker;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use std::{process, thread};

use anyhow::{Context, Result, ensure};
use flashlm_core::config::Depth;
use flashlm_host::{Blob, room_for_threads, shown_bytes, signals};
use tokio::sync::Notify;

pub use self::limits::Limits;
use self::metrics::Metrics;
use self::queue::Queue;
use self::request::Subject;
use self::routes::Server;
use self::worker::Worker;

/// Stack of a thread that tells stories.
const STACK: usize = 2 << 20;

/// What is to be served, where, and to whom.
#[derive(Clone, Debug)]
pub struct Options {
    pub address: SocketAddr,
    pub api_key: Option<String>,
    /// What the model is called.
    pub name: String,
    /// Where a request asks for none; `None`: as the model's file says.
    pub depth: Option<Depth>,
    pub limits: Limits,
}

/// Serves until a signal comes: the first lets answers that were begun be told to their end, a second ends the program.
pub fn run(blob: Blob, options: Options) -> Result<()> {
    let Options { address, api_key, name, depth, limits } = options;
    // the program has no other purpose than to serve it
    let (blob, name): (&'static Blob, &'static str) = (Box::leak(Box::new(blob)), name.leak());
    let (model, tokenizer, depth) = (blob.model()?, blob.tokenizer()?, blob.depth(depth)?);
    ensure!(model.config().eot.is_some(), "{}: expected a model with an end-of-story token", blob.name());
    blob.check_sessions(limits.threads * limits.streams)?;
    ensure!(room_for_threads(limits.threads, STACK), "there is no room for {} threads: expected fewer", limits.threads);

    let queue = Arc::new(Queue::new(limits.threads, limits.stories()));
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let subject = Subject { model, tokenizer, name, depth };
    let (metrics, loopback) = (Metrics::new(), address.ip().is_loopback());
    let server = Arc::new(Server { subject, limits, queue, metrics, api_key, loopback, created });

    let stop = Arc::new(Notify::new());
    on_signal(&stop)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the system has nothing to wait for connections with")?;
    let listener = {
        let _inside = runtime.enter();
        connections::listen(address).with_context(|| format!("{address}: expected an address to listen at"))?
    };
    let bound = listener.local_addr()?;
    announce(&server, bound)?;

    let workers: Vec<_> = (0..limits.threads)
        .map(|_| {
            let server = Arc::clone(&server);
            let worker = Worker::new(model, tokenizer, limits.streams);
            let thread = thread::Builder::new().name("worker".into()).stack_size(STACK);
            let work = move || {
                let _needed = Needed;
                worker.run(&server.queue, &server.metrics);
            };
            thread.spawn(work).context("no thread can be started")
        })
        .collect::<Result<_>>()?;
    runtime.block_on(connections::serve(listener, routes::router(Arc::clone(&server)), Arc::clone(&server), &stop));
    // with it go the connections that are left, and with them their stories
    drop(runtime);
    server.queue.close();
    workers.into_iter().for_each(|worker| drop(worker.join()));
    Ok(())
}

/// A thread that the server cannot do without: stories that it had would be waited for in vain.
struct Needed;

impl Drop for Needed {
    fn drop(&mut self) {
        if thread::panicking() {
            process::exit(1);
        }
    }
}

/// Ends the server by a signal, the program by another.
fn on_signal(stop: &Arc<Notify>) -> Result<()> {
    static STOPPING: AtomicBool = AtomicBool::new(false);
    let stop = Arc::clone(stop);
    let handler = move |signal| {
        if STOPPING.swap(true, Ordering::Relaxed) {
            signals::end(signal);
        }
        stop.notify_one();
    };
    signals::on_signal(handler).context("Ctrl-C cannot be handled")
}

/// Says where the server is and what it takes.
fn announce(server: &Server, address: SocketAddr) -> Result<()> {
    let Server { subject, limits, api_key, loopback, .. } = server;
    let &Limits { threads, streams, queue, .. } = limits;
    let memory = limits.memory(&subject.model, &subject.tokenizer);
    let mut out = io::stdout().lock();
    writeln!(out, "listening at http://{address}/v1 as {:?} ({})", subject.name, answer::fingerprint(subject))?;
    let stories = format!("{threads} x {streams} stories at a time, {queue} waiting");
    writeln!(out, "{stories}; at most {} of memory beside the model", shown_bytes(memory))?;
    if !loopback && api_key.is_none() {
        let warning = "can use it: --api-key asks for a key. Nothing is encrypted";
        // that nobody listens is no failure
        let _ = writeln!(io::stderr(), "warning: everyone who can reach {address} {warning}");
    }
    Ok(out.flush()?)
}
