//! Ctrl-C and its kin: the first finishes the step, saves and exports; the second stops at once.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flashlm_host::signals;

use crate::terminal;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

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
        terminal::note("stopping: saving a checkpoint and the model (Ctrl-C again: stop at once)");
    })
}

/// Whether a signal came.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}
