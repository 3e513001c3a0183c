//! Ctrl-C: the first finishes the step, saves and exports; the second stops at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Installs the handler for Ctrl-C and for a request to terminate; once, however often it is called.
pub fn install() -> Result<(), ctrlc::Error> {
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if INSTALLED.swap(true, Ordering::SeqCst) {
        return Ok(());
    }
    ctrlc::set_handler(|| {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) == 0 {
            let text = "stopping: saving a checkpoint and the model (Ctrl-C again: stop at once)";
            let _ = writeln!(std::io::stderr(), "\n{text}");
        } else {
            // 128 + SIGINT, as a shell expects; the checkpoint being written has a temporary name
            std::process::exit(130);
        }
    })
}

/// Whether a signal came.
pub fn requested() -> bool {
    SIGNALS.load(Ordering::SeqCst) > 0
}
