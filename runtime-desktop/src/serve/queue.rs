//! What waits for a worker, and how much may.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::task::{Output, Task};

/// Tasks in the order in which they came.
#[derive(Debug)]
pub struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
    /// Who shares them.
    workers: usize,
    /// Choices of requests that are not done with.
    admitted: AtomicUsize,
    /// The most of them.
    limit: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    tasks: VecDeque<Task>,
    closed: bool,
}

/// What a worker without tasks does about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idle {
    Wait,
    GoOn,
}

impl Queue {
    /// For so many workers and at most `limit` choices of requests, told or waiting.
    pub fn new(workers: usize, limit: usize) -> Self {
        Self { waiting: Mutex::default(), more: Condvar::new(), workers, admitted: AtomicUsize::new(0), limit }
    }

    /// The most choices at a time.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes room for `count` choices; `None` where there is none.
    pub fn admit(self: &Arc<Self>, count: usize) -> Option<Admission> {
        let more = |admitted: usize| admitted.checked_add(count).filter(|&sum| sum <= self.limit);
        self.admitted.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Admission { queue: Arc::clone(self), count, outputs: Vec::new() })
    }

    /// Tasks that no worker has yet.
    pub fn waiting(&self) -> usize {
        self.lock().tasks.len()
    }

    /// A worker's share of what waits, at most `room`; `None` when there is nothing more to do.
    pub fn take(&self, room: usize, idle: Idle) -> Option<Vec<Task>> {
        let mut waiting = self.lock();
        while idle == Idle::Wait && waiting.tasks.is_empty() && !waiting.closed {
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if idle == Idle::Wait && waiting.tasks.is_empty() {
            return None;
        }
        let share = waiting.tasks.len().div_ceil(self.workers).min(room);
        Some(waiting.tasks.drain(..share).collect())
    }

    /// Lets the workers go when nothing waits.
    pub fn close(&self) {
        self.lock().closed = true;
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // whole at any time
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Room for the choices of one request. Dropped, whatever of them is not told yet is given up at once.
#[derive(Debug)]
pub struct Admission {
    queue: Arc<Queue>,
    count: usize,
    outputs: Vec<Arc<Output>>,
}

impl Admission {
    /// Hands the tasks, as many as were admitted, to the workers.
    pub fn start(&mut self, tasks: Vec<Task>) {
        debug_assert_eq!(tasks.len(), self.count);
        self.outputs = tasks.iter().map(|task| Arc::clone(&task.output)).collect();
        self.queue.lock().tasks.extend(tasks);
        self.queue.more.notify_all();
    }

    /// Where the choices are told.
    pub fn outputs(&self) -> &[Arc<Output>] {
        &self.outputs
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.outputs.iter().for_each(|output| output.cancel());
        self.queue.lock().tasks.retain(|task| !task.output.is_cancelled());
        self.queue.admitted.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use flashlm_core::SamplerConfig;
    use flashlm_core::config::Depth;
    use tokio::sync::Notify;

    use super::super::task::Notice;
    use super::*;

    fn tasks(count: usize) -> Vec<Task> {
        let task = |_| Task {
            prompt: Vec::new(),
            owes_space: false,
            sampler: SamplerConfig::default(),
            depth: Depth::Fixed(1),
            length: 1,
            stop: Vec::new(),
            echo: false,
            logprobs: None,
            output: Arc::new(Output::new(Arc::new(Notify::new()), Notice::TheEnd)),
        };
        (0..count).map(task).collect()
    }

    #[test]
    fn what_is_given_up_leaves_its_place_at_once() {
        let queue = Arc::new(Queue::new(1, 4));
        let mut first = queue.admit(3).unwrap();
        assert!(queue.admit(2).is_none(), "3 of 4 are taken");
        assert!(queue.admit(usize::MAX).is_none());
        let mut second = queue.admit(1).unwrap();
        first.start(tasks(3));
        second.start(tasks(1));
        let told = queue.take(1, Idle::GoOn).unwrap();
        drop(first);
        assert!(told[0].output.is_cancelled());
        assert_eq!(queue.waiting(), 1, "the other request's");
        assert!(queue.admit(4).is_none() && queue.admit(3).is_some());
    }

    #[test]
    fn workers_share_what_waits_and_go_when_it_is_done() {
        let queue = Arc::new(Queue::new(2, 9));
        let mut admission = queue.admit(5).unwrap();
        admission.start(tasks(5));
        assert_eq!(queue.take(9, Idle::Wait).unwrap().len(), 3);
        queue.close();
        assert_eq!(queue.take(9, Idle::Wait).unwrap().len(), 1);
        assert_eq!(queue.take(0, Idle::GoOn).unwrap().len(), 0);
        assert_eq!(queue.take(9, Idle::Wait).unwrap().len(), 1);
        assert!(queue.take(9, Idle::Wait).is_none());
    }
}
