//! Signals that ask a program to end: Ctrl-C, a request to terminate, a terminal that hangs up.
//!
//! A signal that was ignored when the program began (`nohup`, a shell's background jobs) stays ignored. A file that
//! grows over its limit is an error of the write, as a full disk is, not the end of the program.

use std::io;
use std::process;
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::output;

/// How a program is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// `kill`, a system that shuts down, a batch system whose time is up.
    Terminate,
    /// The terminal or the connection is gone.
    Hangup,
}

impl Signal {
    /// What a program that ends because of it returns: 128 and the signal's number, as shells say it.
    pub fn status(self) -> i32 {
        128 + match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
            Self::Hangup => 1,
        }
    }
}

type Handler = Box<dyn FnMut(Signal) + Send>;

/// What the program wants done; nothing: that it ends.
static HANDLER: Mutex<Option<Handler>> = Mutex::new(None);

/// Takes signals over, once however often it is called: from now on one ends the program without leaving temporary
/// files, unless [`on_signal`] says otherwise. Where the system has no thread left for that, signals stay as they are.
///
/// # Errors
/// The system does not let them be taken over.
pub fn install() -> io::Result<()> {
    static INSTALLED: OnceLock<io::Result<()>> = OnceLock::new();
    match INSTALLED.get_or_init(listen) {
        Ok(()) => Ok(()),
        Err(e) => Err(io::Error::new(e.kind(), e.to_string())),
    }
}

/// Has `handler` called for every signal from now on, on a thread of its own.
///
/// # Errors
/// As [`install`]'s.
pub fn on_signal(handler: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
    *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(handler));
    install()
}

/// Ends the program at once, without temporary files left behind.
pub fn end(signal: Signal) -> ! {
    output::remove_temporaries();
    process::exit(signal.status())
}

#[cfg(any(unix, windows))]
fn handle(signal: Signal) {
    match &mut *HANDLER.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(handler) => handler(signal),
        None => end(signal),
    }
}

#[cfg(unix)]
fn listen() -> io::Result<()> {
    use std::sync::{Arc, Barrier};
    use std::thread;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::iterator::Signals;

    use crate::memory::room_for_threads;

    const STACK: usize = 2 << 20;

    // with any handler in place the write itself fails
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    // before anything is taken over: without a thread to answer them, signals had better do what they always do
    if !room_for_threads(1, STACK) {
        return Ok(());
    }
    let given = Arc::new((Mutex::new(None::<Signals>), Barrier::new(2)));
    let taken = Arc::clone(&given);
    let wait = move || {
        let (signals, both) = &*taken;
        both.wait();
        both.wait();
        let Some(mut signals) = signals.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        signals.forever().for_each(|signal| {
            handle(match signal {
                SIGINT => Signal::Interrupt,
                SIGTERM => Signal::Terminate,
                _ => Signal::Hangup,
            });
        });
    };
    if thread::Builder::new().name("signals".into()).stack_size(STACK).spawn(wait).is_err() {
        return Ok(());
    }
    let (signals, both) = &*given;
    // it has started, and with all it needs: where memory is short, others ask for the rest from here on
    both.wait();
    let heeded = [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| !is_ignored(signal));
    let heeded = Signals::new(heeded);
    let result = heeded.map(|heeded| *signals.lock().unwrap_or_else(PoisonError::into_inner) = Some(heeded));
    both.wait();
    result
}

/// Whether whoever started this program had it ignore `signal`.
#[cfg(unix)]
fn is_ignored(signal: libc::c_int) -> bool {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one to `now`, which is large enough, and zeros are
    // a valid value of it where the call fails.
    #[expect(unsafe_code, reason = "no safe function asks what is done with a signal")]
    let now = unsafe {
        libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr());
        now.assume_init()
    };
    now.sa_sigaction == libc::SIG_IGN
}

#[cfg(windows)]
fn listen() -> io::Result<()> {
    ctrlc::set_handler(|| handle(Signal::Interrupt)).map_err(io::Error::other)
}

/// Nobody sends any: a module in a browser.
#[cfg(not(any(unix, windows)))]
fn listen() -> io::Result<()> {
    Ok(())
}
