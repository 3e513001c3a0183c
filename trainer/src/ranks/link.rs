//! What carries bytes between the ranks.

/// The ways between ranks. Calls return when their bytes have left or come; whoever is waiting leaves the processor to
/// others. An error ends all ranks, so none is returned.
///
/// Calls may come from any thread, one at a time.
pub trait Link: Send + Sync {
    /// Which rank this is, from 0.
    fn rank(&self) -> usize;

    /// How many there are.
    fn count(&self) -> usize;

    /// Sends bytes to one rank and takes bytes from another at the same time; either may be left out. Who receives
    /// knows how many come.
    fn pass(&self, out: Option<(usize, &[u8])>, into: Option<(usize, &mut [u8])>);

    /// Puts the first rank's bytes in place of the others', as many.
    fn broadcast(&self, bytes: &mut [u8]);

    /// Puts the bytes of all ranks, equally many, end to end into `all` on the first rank; on the others it is not
    /// looked at.
    fn gather(&self, own: &[u8], all: &mut [u8]);

    /// The same on every rank.
    fn all_gather(&self, own: &[u8], all: &mut [u8]);
}
