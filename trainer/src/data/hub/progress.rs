//! How far a download is: a bar on a terminal, plain lines elsewhere.

use std::cell::{Cell, RefCell};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use flashlm_host::shown_bytes;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::client::Client;

/// Time between lines where standard error is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows the progress of one file.
pub struct Meter<'c> {
    client: &'c Client<'c>,
    file: String,
    size: Option<u64>,
    bar: Option<ProgressBar>,
    shown: RefCell<Instant>,
    last: Cell<u64>,
}

impl<'c> Meter<'c> {
    pub fn new(client: &'c Client<'c>, file: &str, size: Option<u64>) -> Self {
        let bar = (client.settings.bars && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
            let known = "{msg} {bar:24} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
            let style = ProgressStyle::with_template(if size.is_some() { known } else { "{msg} {bytes}" });
            // the templates are ours; a bar without a style is a bar, too
            if let Ok(style) = style {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(file.to_owned());
            bar
        });
        if bar.is_none() {
            let of = size.map_or(String::new(), |size| format!(" ({})", shown_bytes(size)));
            client.note(&format!("downloading {file}{of}"));
        }
        Self { client, file: file.to_owned(), size, bar, shown: RefCell::new(Instant::now()), last: Cell::new(0) }
    }

    /// So many bytes are here.
    pub fn at(&self, have: u64) {
        self.last.set(have);
        if let Some(bar) = &self.bar {
            bar.set_position(have);
        } else if self.shown.borrow().elapsed() >= LINE_EVERY {
            self.shown.replace(Instant::now());
            let of = self.size.map_or(String::new(), |size| format!(" of {}", shown_bytes(size)));
            self.client.note(&format!("{}: {}{of}", self.file, shown_bytes(have)));
        }
    }

    /// Leaves the bar behind.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            self.client.note(&format!("downloaded {} ({})", self.file, shown_bytes(self.last.get())));
        }
    }
}
