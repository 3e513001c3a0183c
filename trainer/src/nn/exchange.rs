//! One model trained by several processes: what an engine asks of whatever lies between them, and its work with it.

use std::ops::Range;
use std::thread;

use super::relay::Relay;

/// Adds up gradients, and brings together figures, of engines in several processes.
///
/// Every process has to call the same functions in the same order, with stretches of the same lengths.
pub trait Exchange: Send {
    /// This process's place among them, from 0, and how many there are.
    fn place(&self) -> (usize, usize);

    /// Takes the gradients of this process's replicas, in their order, for the stretch `range` of the parameters.
    /// What the processes come to is in `total`, as long as the stretch, after [`spread`](Self::spread); until then it
    /// is the exchange's own.
    fn add_up(&mut self, range: Range<usize>, parts: &[&[f32]], total: &mut [f32]);

    /// Ends what [`add_up`](Self::add_up) began: `total` has the same bits in every process.
    fn spread(&mut self, range: Range<usize>, total: &mut [f32]);

    /// The figures of all processes, of each as many as of this one, in the order of the processes.
    fn gather(&mut self, own: &[f64]) -> Vec<f64>;
}

/// An exchange with what an engine needs for it.
pub(super) struct Joined {
    exchange: Box<dyn Exchange>,
    relay: Relay,
}

impl Joined {
    /// For an engine of so many replicas.
    pub fn new(exchange: Box<dyn Exchange>, stages: Vec<Range<usize>>, replicas: usize) -> Self {
        Self { exchange, relay: Relay::new(stages, replicas) }
    }

    /// As [`Exchange::place`].
    pub fn place(&self) -> (usize, usize) {
        self.exchange.place()
    }

    /// As [`Exchange::gather`].
    pub fn gather(&mut self, own: &[f64]) -> Vec<f64> {
        self.exchange.gather(own)
    }

    /// Runs `replicas`, which hand over what their backward passes finish, and meanwhile exchanges it on a thread of
    /// its own: `total` are the gradients of all processes then.
    ///
    /// The results of one stage travel back behind the sums of the next: the last process, which has them first, then
    /// does not hold up the others.
    pub fn during(&mut self, total: &mut [f32], replicas: impl FnOnce(&Relay)) {
        let Self { exchange, relay } = self;
        let relay = &*relay;
        relay.begin();
        thread::scope(|scope| {
            scope.spawn(|| exchange_all(&mut **exchange, relay, total));
            let _watch = Watch(relay);
            replicas(relay);
        });
    }
}

fn exchange_all(exchange: &mut dyn Exchange, relay: &Relay, total: &mut [f32]) {
    let mut before: Option<Range<usize>> = None;
    for (stage, range) in relay.stages().iter().enumerate() {
        let Some(parts) = relay.wait(stage) else { return };
        let slices: Vec<&[f32]> = parts.iter().map(|part| &part[..]).collect();
        exchange.add_up(range.clone(), &slices, &mut total[range.clone()]);
        if let Some(before) = before.replace(range.clone()) {
            exchange.spread(before.clone(), &mut total[before]);
        }
    }
    if let Some(last) = before {
        exchange.spread(last.clone(), &mut total[last]);
    }
}

/// Has nobody wait for replicas that panicked.
struct Watch<'a>(&'a Relay);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.give_up();
        }
    }
}
