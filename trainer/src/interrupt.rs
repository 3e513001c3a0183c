//! Ctrl-C and its kin: the first finishes the step, saves and exports; the second stops at once.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use flashlm_host::signals;

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Takes the signals over, once, however often it is called.
pub fn install() -> io::Result<()> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    signals::on_signal(|signal| {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) > 0 {
            signals::end(signal);
        }
        let text = "stopping: saving a checkpoint and the model (Ctrl-C again: stop at once)";
        let _ = writeln!(io::stderr(), "\n{text}");
    })
}

/// Whether a signal came.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}
