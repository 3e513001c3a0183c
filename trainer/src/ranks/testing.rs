//! Ranks that are threads of one process.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{Link, Ranks};

/// Messages under way, by sender and receiver.
struct Post {
    count: usize,
    boxes: Mutex<Vec<VecDeque<Vec<u8>>>>,
    more: Condvar,
}

struct Thread {
    rank: usize,
    post: Arc<Post>,
}

/// What `f` gives on each of `count` ranks, in their order.
pub fn together<T: Send>(count: usize, f: impl Fn(Ranks) -> T + Sync) -> Vec<T> {
    let boxes = Mutex::new(vec![VecDeque::new(); count * count]);
    let post = Arc::new(Post { count, boxes, more: Condvar::new() });
    thread::scope(|scope| {
        let start = |rank| {
            let (post, f) = (Arc::clone(&post), &f);
            scope.spawn(move || f(Ranks::new(Arc::new(Thread { rank, post }))))
        };
        let all: Vec<_> = (0..count).map(start).collect();
        all.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

impl Thread {
    fn send(&self, to: usize, bytes: &[u8]) {
        self.post.boxes.lock().unwrap()[self.rank * self.post.count + to].push_back(bytes.to_vec());
        self.post.more.notify_all();
    }

    fn receive(&self, from: usize, bytes: &mut [u8]) {
        let at = from * self.post.count + self.rank;
        let mut boxes = self.post.boxes.lock().unwrap();
        while boxes[at].is_empty() {
            boxes = self.post.more.wait(boxes).unwrap();
        }
        // as MPI: a message of another length is a fault of the program
        bytes.copy_from_slice(&boxes[at].pop_front().unwrap());
    }
}

impl Link for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.post.count
    }

    fn pass(&self, out: Option<(usize, &[u8])>, into: Option<(usize, &mut [u8])>) {
        if let Some((to, bytes)) = out {
            self.send(to, bytes);
        }
        if let Some((from, bytes)) = into {
            self.receive(from, bytes);
        }
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        match self.rank {
            0 => (1..self.count()).for_each(|rank| self.send(rank, bytes)),
            _ => self.receive(0, bytes),
        }
    }

    fn gather(&self, own: &[u8], all: &mut [u8]) {
        self.send(0, own);
        if self.rank == 0 {
            all.chunks_exact_mut(own.len()).enumerate().for_each(|(rank, part)| self.receive(rank, part));
        }
    }

    fn all_gather(&self, own: &[u8], all: &mut [u8]) {
        (0..self.count()).for_each(|rank| self.send(rank, own));
        all.chunks_exact_mut(own.len()).enumerate().for_each(|(rank, part)| self.receive(rank, part));
    }
}
