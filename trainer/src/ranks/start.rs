//! The program as one of the ranks that were started together, or by itself.

use super::Ranks;

/// Runs `program` as one of the ranks that `mpirun`, or whatever started it, has made of it: by itself where nothing
/// did, and always without the cargo feature `mpi`.
///
/// # Errors
/// Those of `program` where it runs by itself. Where it does not, an error on one rank is said there and ends all of
/// them.
#[cfg(not(feature = "mpi"))]
pub fn with(program: impl FnOnce(Ranks) -> anyhow::Result<()>) -> anyhow::Result<()> {
    program(Ranks::alone())
}

/// Runs `program` as one of the ranks that `mpirun`, or whatever started it, has made of it: by itself where nothing
/// did, and always without the cargo feature `mpi`.
///
/// # Errors
/// MPI cannot be used, or those of `program` where it runs by itself. Where it does not, an error on one rank is said
/// there and ends all of them.
#[cfg(feature = "mpi")]
pub fn with(program: impl FnOnce(Ranks) -> anyhow::Result<()>) -> anyhow::Result<()> {
    super::mpi::with(program)
}
