//! Showing bytes as text while they arrive.

/// Turns a stream of bytes, which may stop in the middle of a character (tokens do), into valid `&str`s.
/// Bytes that can never become a character are shown as U+FFFD, once for each longest invalid run that
/// [`core::str::from_utf8`] reports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Stream {
    pending: [u8; 4],
    length: usize,
}

impl Utf8Stream {
    /// A stream that has seen nothing.
    pub const fn new() -> Self {
        Self { pending: [0; 4], length: 0 }
    }

    /// Takes `bytes` in and calls `sink` with each complete character.
    pub fn push(&mut self, bytes: &[u8], mut sink: impl FnMut(&str)) {
        for &byte in bytes {
            // At most three bytes were pending: four are never an incomplete character.
            if let Some(place) = self.pending.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
            self.drain(&mut sink);
        }
    }

    /// Ends the stream: an incomplete character left over is shown as U+FFFD.
    pub fn finish(&mut self, mut sink: impl FnMut(&str)) {
        if self.length > 0 {
            self.length = 0;
            sink("\u{fffd}");
        }
    }

    fn drain(&mut self, sink: &mut impl FnMut(&str)) {
        while let Some(pending) = self.pending.get(..self.length)
            && !pending.is_empty()
        {
            let done = match core::str::from_utf8(pending) {
                Ok(text) => {
                    sink(text);
                    self.length
                }
                Err(error) => match error.error_len() {
                    None => return,
                    // The invalid run stands first: what came before was shown when it became complete.
                    Some(invalid) => {
                        sink("\u{fffd}");
                        invalid
                    }
                },
            };
            self.pending.rotate_left(done.min(4));
            self.length = self.length.saturating_sub(done);
        }
    }
}
