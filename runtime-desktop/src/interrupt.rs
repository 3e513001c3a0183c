//! Ctrl-C: stops a generation; with none going on, leaves the program.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use anyhow::Context;
use flashlm_host::signals::{self, Signal};

static GENERATING: AtomicBool = AtomicBool::new(false);
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Takes the signal over; once per program. (While a line is being typed, the line editor sees Ctrl-C as a key.) A
/// request to terminate, or a terminal that hangs up, ends the program in any case.
pub fn install() -> anyhow::Result<()> {
    let handler = |signal| {
        let stops = signal == Signal::Interrupt && GENERATING.load(SeqCst);
        if !stops || INTERRUPTED.swap(true, SeqCst) {
            signals::end(signal);
        }
    };
    signals::on_signal(handler).context("Ctrl-C cannot be handled")
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
