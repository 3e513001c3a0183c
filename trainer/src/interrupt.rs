//! Ctrl-C and its kin: the first finishes the step, saves and exports; the second stops at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flashlm_host::signals;

use crate::terminal;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);
/// Whether another process decides when this one stops.
static FOLLOWS: AtomicBool = AtomicBool::new(false);

/// Takes the signals over, once, however often it is called.
pub fn install() -> io::Result<()> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    signals::on_signal(|signal| {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) > 0 {
            // a terminal that is held (Ctrl-S) does not hold this up
            terminal::clear_if_idle();
            signals::end(signal);
        }
        if !FOLLOWS.load(Ordering::SeqCst) {
            terminal::note("stopping: saving a checkpoint and the model (Ctrl-C again: stop at once)");
        }
    })
}

/// Has the first signal say nothing: another process, which gets it too, decides what comes of it.
#[cfg_attr(not(feature = "mpi"), expect(dead_code, reason = "only ranks follow others"))]
pub fn follow() {
    FOLLOWS.store(true, Ordering::SeqCst);
}

/// Whether a signal came.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}
