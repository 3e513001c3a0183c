//! Finished gradients on their way from the replicas to the thread that exchanges them with other processes.

use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::kernels::zeros;

/// Takes over each replica's gradients stage by stage while its backward pass goes on with those before.
///
/// A replica copies what is finished into a place of its own, so that nobody waits for anybody: the places are as large
/// as one more buffer of gradients for every replica.
pub struct Relay {
    stages: Vec<Range<usize>>,
    /// By stage and replica.
    places: Vec<Vec<Mutex<Vec<f32>>>>,
    arrived: Mutex<Arrived>,
    more: Condvar,
}

struct Arrived {
    /// Replicas that have handed over a stage, by stage.
    counts: Vec<usize>,
    /// Whether a replica has failed, so that no more will come.
    given_up: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// For so many replicas; `stages` as [`stages`](super::stages::stages) has them.
    pub fn new(stages: Vec<Range<usize>>, replicas: usize) -> Self {
        let place = |stage: &Range<usize>| Mutex::new(zeros(stage.len()));
        let places = stages.iter().map(|stage| (0..replicas).map(|_| place(stage)).collect());
        let arrived = Mutex::new(Arrived { counts: vec![0; stages.len()], given_up: false });
        Self { places: places.collect(), arrived, more: Condvar::new(), stages }
    }

    /// Stretches of the gradients in the order in which they are handed over.
    pub fn stages(&self) -> &[Range<usize>] {
        &self.stages
    }

    /// Begins a step.
    pub fn begin(&self) {
        locked(&self.arrived).counts.fill(0);
    }

    /// Takes stage `stage` of a replica's `grads`, which are zero there afterwards.
    pub fn hand_over(&self, replica: usize, stage: usize, grads: &mut [f32]) {
        let part = &mut grads[self.stages[stage].clone()];
        locked(&self.places[stage][replica]).copy_from_slice(part);
        part.fill(0.0);
        locked(&self.arrived).counts[stage] += 1;
        self.more.notify_all();
    }

    /// Waits until every replica has handed over `stage`: their gradients in the replicas' order, `None` where that
    /// will not happen.
    pub fn wait(&self, stage: usize) -> Option<Vec<MutexGuard<'_, Vec<f32>>>> {
        let places = &self.places[stage];
        let mut arrived = locked(&self.arrived);
        while arrived.counts[stage] < places.len() && !arrived.given_up {
            arrived = self.more.wait(arrived).unwrap_or_else(PoisonError::into_inner);
        }
        (!arrived.given_up).then(|| places.iter().map(locked).collect())
    }

    /// Lets go of whoever waits.
    pub fn give_up(&self) {
        locked(&self.arrived).given_up = true;
        self.more.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_there_once_every_replica_has_handed_it_over_in_the_replicas_order() {
        let relay = Relay::new(vec![2..4, 0..2], 3);
        for _ in 0..2 {
            relay.begin();
            std::thread::scope(|scope| {
                for replica in [2, 0, 1] {
                    let relay = &relay;
                    scope.spawn(move || {
                        let mut grads = [1.0, 2.0, 3.0, 4.0].map(|v| v + 10.0 * replica as f32);
                        (0..2).for_each(|stage| relay.hand_over(replica, stage, &mut grads));
                        assert_eq!(grads, [0.0; 4], "what is handed over is cleared");
                    });
                }
                let stage = |stage| relay.wait(stage).unwrap().iter().map(|part| part.to_vec()).collect::<Vec<_>>();
                assert_eq!(stage(0), [[3.0, 4.0], [13.0, 14.0], [23.0, 24.0]]);
                assert_eq!(stage(1), [[1.0, 2.0], [11.0, 12.0], [21.0, 22.0]]);
            });
        }
    }

    #[test]
    fn nobody_waits_for_a_replica_that_failed() {
        let relay = Relay::new(vec![0..1, 1..2], 2);
        relay.hand_over(0, 0, &mut [1.0, 2.0]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| relay.wait(0).is_none());
            relay.give_up();
            assert!(waiting.join().unwrap());
        });
    }
}
