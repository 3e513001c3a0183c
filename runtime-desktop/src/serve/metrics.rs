//! What the server counts, in the text form of Prometheus.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Upper bounds of the histogram of times, seconds.
const BOUNDS: [f64; 10] = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// Seconds that the tokens per second are of.
const WINDOW: usize = 10;

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    begun: Instant,
    /// Answers by their status.
    answers: Mutex<BTreeMap<u16, u64>>,
    /// Times from a completion's request to the end of its answer.
    times: Mutex<Times>,
    recent: Mutex<Recent>,
    prompt_tokens: AtomicU64,
    tokens: AtomicU64,
    cancelled: AtomicU64,
    timed_out: AtomicU64,
    active: AtomicUsize,
    connections: AtomicUsize,
}

#[derive(Debug, Default)]
struct Times {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum: f64,
}

/// Tokens of the last seconds, in a ring.
#[derive(Debug, Default)]
struct Recent {
    counts: [u64; WINDOW],
    /// The second that was counted for last.
    second: u64,
}

impl Recent {
    /// Forgets what is too long ago.
    fn go_to(&mut self, second: u64) {
        for passed in (self.second + 1..=second).take(WINDOW) {
            self.counts[passed as usize % WINDOW] = 0;
        }
        self.second = self.second.max(second);
    }
}

/// What only others know at the time: limits and what they hold.
#[derive(Clone, Copy, Debug)]
pub struct Gauges {
    pub streams: usize,
    pub queued: usize,
    pub queue: usize,
    pub connections: usize,
    /// Bytes that all limits come to.
    pub memory: u64,
}

impl Metrics {
    pub fn new() -> Self {
        Self {
            begun: Instant::now(),
            answers: Mutex::default(),
            times: Mutex::default(),
            recent: Mutex::default(),
            prompt_tokens: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            active: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        }
    }

    /// An answer with this status began.
    pub fn answered(&self, status: u16) {
        *lock(&self.answers).entry(status).or_default() += 1;
    }

    /// An answer to a completion's request ended, after `time`.
    pub fn completed(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let mut times = lock(&self.times);
        for (count, bound) in times.counts.iter_mut().zip(BOUNDS) {
            *count += u64::from(seconds <= bound);
        }
        times.count += 1;
        times.sum += seconds;
    }

    /// A client went before its answer ended.
    pub fn cancelled(&self) {
        self.cancelled.fetch_add(1, Relaxed);
    }

    /// An answer took too long and was cut off.
    pub fn timed_out(&self) {
        self.timed_out.fetch_add(1, Relaxed);
    }

    /// Tokens of a prompt were read.
    pub fn read(&self, tokens: usize) {
        self.prompt_tokens.fetch_add(tokens as u64, Relaxed);
    }

    /// A token was drawn.
    pub fn drew(&self) {
        self.tokens.fetch_add(1, Relaxed);
        let second = self.begun.elapsed().as_secs();
        let mut recent = lock(&self.recent);
        recent.go_to(second);
        recent.counts[second as usize % WINDOW] += 1;
    }

    /// Someone who had `counted` streams told has `now`.
    pub fn active_changed(&self, counted: &mut usize, now: usize) {
        self.active.fetch_add(now, Relaxed);
        self.active.fetch_sub(std::mem::replace(counted, now), Relaxed);
    }

    /// A connection is open until the result is dropped.
    pub fn connection(&self) -> Open<'_> {
        self.connections.fetch_add(1, Relaxed);
        Open(&self.connections)
    }

    /// Tokens a second, mean over the last ten seconds, or as many as there were.
    fn tokens_per_second(&self) -> f64 {
        let elapsed = self.begun.elapsed();
        let mut recent = lock(&self.recent);
        recent.go_to(elapsed.as_secs());
        // the present second is part of the ring
        let whole = (WINDOW - 1) as f64 + elapsed.as_secs_f64().fract();
        recent.counts.iter().sum::<u64>() as f64 / whole.min(elapsed.as_secs_f64()).max(1e-3)
    }

    /// All of it as Prometheus reads it.
    pub fn text(&self, gauges: &Gauges) -> String {
        let mut out = String::new();
        // a string takes all that is written
        let _ = self.write(&mut out, gauges);
        out
    }

    fn write(&self, out: &mut String, gauges: &Gauges) -> fmt::Result {
        let name = "flashlm_requests_total";
        writeln!(out, "# HELP {name} Answers by status.\n# TYPE {name} counter")?;
        for (status, count) in &*lock(&self.answers) {
            writeln!(out, "{name}{{status=\"{status}\"}} {count}")?;
        }
        let load = |counter: &AtomicU64| counter.load(Relaxed);
        for (name, help, value) in [
            ("prompt_tokens", "Tokens of prompts that were read.", load(&self.prompt_tokens)),
            ("completion_tokens", "Tokens drawn.", load(&self.tokens)),
            ("cancelled", "Completions whose client went before their end.", load(&self.cancelled)),
            ("timed_out", "Completions cut off because they took too long.", load(&self.timed_out)),
        ] {
            let name = format!("flashlm_{name}_total");
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter\n{name} {value}")?;
        }
        let resident = flashlm_host::resident_memory();
        for (name, help, value) in [
            ("flashlm_streams_active", "Stories being told.", self.active.load(Relaxed) as f64),
            ("flashlm_streams_limit", "Stories that can be told at a time.", gauges.streams as f64),
            ("flashlm_queue_length", "Stories that wait for a stream.", gauges.queued as f64),
            ("flashlm_queue_limit", "Stories that may wait.", gauges.queue as f64),
            ("flashlm_connections", "Open connections.", self.connections.load(Relaxed) as f64),
            ("flashlm_connections_limit", "Connections served at a time.", gauges.connections as f64),
            ("flashlm_tokens_per_second", "Tokens drawn a second, over ten seconds.", self.tokens_per_second()),
            ("flashlm_memory_limit_bytes", "Memory beside the model at the limits.", gauges.memory as f64),
            ("process_resident_memory_bytes", "Memory in use.", resident.map_or(f64::NAN, |bytes| bytes as f64)),
        ] {
            writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}")?;
        }
        let name = "flashlm_request_duration_seconds";
        writeln!(out, "# HELP {name} Time of a completion, to the end of its answer.\n# TYPE {name} histogram")?;
        let times = lock(&self.times);
        for (count, bound) in times.counts.iter().zip(BOUNDS) {
            writeln!(out, "{name}_bucket{{le=\"{bound}\"}} {count}")?;
        }
        let Times { count, sum, .. } = &*times;
        writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}")
    }
}

/// An open connection.
pub struct Open<'m>(&'m AtomicUsize);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What a lock guards is whole at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_in_every_bucket_that_holds_them() {
        let metrics = Metrics::new();
        metrics.completed(Duration::from_millis(60));
        metrics.completed(Duration::from_secs(100));
        metrics.answered(200);
        metrics.answered(429);
        metrics.answered(200);
        let text = metrics.text(&Gauges { streams: 4, queued: 2, queue: 8, connections: 16, memory: 32 });
        for line in [
            "flashlm_request_duration_seconds_bucket{le=\"0.05\"} 0",
            "flashlm_request_duration_seconds_bucket{le=\"0.1\"} 1",
            "flashlm_request_duration_seconds_bucket{le=\"60\"} 1",
            "flashlm_request_duration_seconds_bucket{le=\"+Inf\"} 2",
            "flashlm_requests_total{status=\"200\"} 2",
            "flashlm_requests_total{status=\"429\"} 1",
            "flashlm_queue_length 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn tokens_of_long_ago_are_forgotten() {
        let mut recent = Recent::default();
        recent.counts[0] = 5;
        recent.go_to(9);
        recent.counts[9] = 7;
        assert_eq!(recent.counts.iter().sum::<u64>(), 12);
        recent.go_to(10);
        assert_eq!(recent.counts.iter().sum::<u64>(), 7);
        recent.go_to(1_000_000);
        assert_eq!(recent.counts, [0; WINDOW]);
    }
}
