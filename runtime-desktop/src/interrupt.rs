//! Ctrl-C: stops a generation; with none going on, leaves the program.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use anyhow::Context;

static GENERATING: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes the signal over; once per program. (While a line is being typed, the line editor sees Ctrl-C as a key.)
pub fn install() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if !GENERATING.load(SeqCst) || INTERRUPTED.swap(true, SeqCst) {
            // 128 + SIGINT, as shells report it
            std::process::exit(130);
        }
    })
    .context("Ctrl-C cannot be handled")
}

/// Until it is dropped, Ctrl-C sets a flag instead of ending the program.
pub struct Generating(());

impl Generating {
    pub fn begin() -> Self {
        INTERRUPTED.store(false, SeqCst);
        GENERATING.store(true, SeqCst);
        Self(())
    }

    /// Whether Ctrl-C was pressed since [`Generating::begin`].
    pub fn interrupted(&self) -> bool {
        INTERRUPTED.load(SeqCst)
    }
}

impl Drop for Generating {
    fn drop(&mut self) {
        GENERATING.store(false, SeqCst);
    }
}
