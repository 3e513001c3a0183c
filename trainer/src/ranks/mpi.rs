//! MPI as a [`Link`], by the crate `mpi`, which builds against whatever MPI's compiler wrapper `mpicc` belongs to.
//!
//! Waiting is done by testing, with sleeps that grow: MPI's own waiting keeps a processor busy, one that replicas, or
//! other ranks of the machine, have a use for.

use std::env;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use flashlm_host::output;
use mpi::Threading;
use mpi::request::{Request, Scope, scope};
use mpi::topology::{Rank, SimpleCommunicator};
use mpi::traits::{Communicator, CommunicatorCollectives, Destination, Root, Source};

use super::{Followed, Link, Ranks};
use crate::interrupt;

/// What those who start ranks put into their environment: Open MPI and its kin; what speaks PMIx or PMI, as Slurm's
/// `srun` and MPICH's and Intel's `mpirun` do; Cray's. The last one is the user's, where it is none of them. Without
/// any the program is by itself, and MPI is not started: by itself it wants shared memory and files that a run can do
/// without.
const STARTED: [&str; 7] =
    ["OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS", "PALS_RANKID", "FLASHLM_MPI"];

/// How long a call waits with a processor to itself, and the longest it sleeps between two looks.
const BUSY: Duration = Duration::from_micros(50);
const LONGEST: Duration = Duration::from_millis(1);

/// All processes that were started together.
struct World {
    rank: usize,
    count: usize,
    /// Calls come from the thread that drives the run and from the one that exchanges gradients.
    turn: Mutex<()>,
}

/// As [`super::with`].
pub fn with(program: impl FnOnce(Ranks) -> anyhow::Result<()>) -> anyhow::Result<()> {
    if STARTED.iter().all(|name| env::var_os(name).is_none()) {
        return program(Ranks::alone());
    }
    let started = mpi::initialize_with_threading(Threading::Serialized);
    let (universe, threading) = started.context("MPI was started before: this is a bug")?;
    ensure!(
        threading >= Threading::Serialized,
        "this MPI lets {threading:?} threads call it: expected one that was built with MPI_THREAD_SERIALIZED"
    );
    let world = universe.world();
    let (rank, count) = (world.rank() as usize, world.size() as usize);
    let ranks = Ranks::new(Arc::new(World { rank, count, turn: Mutex::new(()) }));
    if !ranks.leads() {
        interrupt::follow();
    }
    let _watch = Watch;
    match program(ranks) {
        Err(error) if count > 1 && !error.is::<Followed>() => {
            let _ = writeln!(io::stderr(), "error: rank {rank} of {count}: {error:#}");
            output::remove_temporaries();
            world.abort(1)
        }
        // the universe ends here: after a `Followed` it waits until the first rank ends all
        result => result,
    }
}

/// Ends all ranks where this one panics: the others would wait for it, and so would the end of its universe.
struct Watch;

impl Drop for Watch {
    fn drop(&mut self) {
        if thread::panicking() {
            SimpleCommunicator::world().abort(1)
        }
    }
}

impl World {
    fn process<R>(&self, f: impl FnOnce(&SimpleCommunicator) -> R) -> R {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        f(&SimpleCommunicator::world())
    }
}

/// Waits for a request.
fn finish<'a>(mut request: Request<'a, [u8], impl Scope<'a>>) {
    let started = Instant::now();
    loop {
        match request.test() {
            Ok(_) => return,
            Err(unfinished) => request = unfinished,
        }
        let waited = started.elapsed();
        if waited < BUSY {
            thread::yield_now();
        } else {
            // all in all at most as long again as it takes
            thread::sleep(waited.min(LONGEST));
        }
    }
}

impl Link for World {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.count
    }

    fn pass(&self, out: Option<(usize, &[u8])>, into: Option<(usize, &mut [u8])>) {
        self.process(|world| {
            scope(|scope| {
                let coming =
                    into.map(|(rank, bytes)| world.process_at_rank(rank as Rank).immediate_receive_into(scope, bytes));
                let leaving = out.map(|(rank, bytes)| world.process_at_rank(rank as Rank).immediate_send(scope, bytes));
                coming.into_iter().for_each(finish);
                leaving.into_iter().for_each(finish);
            });
        });
    }

    fn broadcast(&self, bytes: &mut [u8]) {
        self.process(|world| {
            scope(|scope| finish(world.process_at_rank(0).immediate_broadcast_into(scope, bytes)));
        });
    }

    fn gather(&self, own: &[u8], all: &mut [u8]) {
        self.process(|world| {
            let root = world.process_at_rank(0);
            scope(|scope| {
                finish(match self.rank {
                    0 => root.immediate_gather_into_root(scope, own, all),
                    _ => root.immediate_gather_into(scope, own),
                });
            });
        });
    }

    fn all_gather(&self, own: &[u8], all: &mut [u8]) {
        self.process(|world| scope(|scope| finish(world.immediate_all_gather_into(scope, own, all))));
    }
}
