//! Texts at which a story is to end.

/// Holds back of a text what may be the begin of a stop.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    stops: Vec<String>,
    held: String,
}

impl Stops {
    /// For any of `stops`; empty ones stop nothing.
    pub fn new(stops: Vec<String>) -> Self {
        let stops = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { stops, held: String::new() }
    }

    /// Takes in more of the text and adds to `ready` what certainly comes before any stop; whether one was found.
    pub fn push(&mut self, text: &str, ready: &mut String) -> bool {
        self.held.push_str(text);
        if let Some(at) = self.stops.iter().filter_map(|stop| self.held.find(&**stop)).min() {
            self.held.truncate(at);
            self.finish(ready);
            return true;
        }
        let keep = self.stops.iter().map(|stop| begun(&self.held, stop)).max().unwrap_or(0);
        ready.extend(self.held.drain(..self.held.len() - keep));
        false
    }

    /// Gives out what was held back: the text ends.
    pub fn finish(&mut self, ready: &mut String) {
        ready.push_str(&std::mem::take(&mut self.held));
    }
}

/// Bytes at the end of `text` that `stop` begins with.
fn begun(text: &str, stop: &str) -> usize {
    let lengths = stop.char_indices().map(|(at, _)| at);
    lengths.filter(|&length| text.as_bytes().ends_with(&stop.as_bytes()[..length])).max().unwrap_or(0)
}
