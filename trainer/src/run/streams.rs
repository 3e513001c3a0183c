//! The data stream of a run: one lane for every sequence of every replica.

use serde_json::Value;

use crate::data::{Curriculum, Lane, TokenCache, lanes};
use crate::run::amplify::stories::Amplified;

/// All lanes and the stories they read.
pub struct Streams {
    stories: Amplified<TokenCache>,
    curriculum: Curriculum,
    /// Lane `replica * sequences + b`.
    lanes: Vec<Lane>,
    sequences: usize,
    /// Share of the stories in use, easiest first.
    pool: f32,
}

impl Streams {
    /// Lanes at their start, for `replicas` of `sequences` each.
    pub fn new(stories: TokenCache, curriculum: Curriculum, replicas: usize, sequences: usize, seed: u64) -> Self {
        let count = stories.len();
        let stories = Amplified::new(stories, count);
        Self { stories, curriculum, lanes: lanes(replicas * sequences, seed), sequences, pool: 1.0 }
    }

    /// The share of the stories, easiest first, from each lane's next story on.
    pub fn set_pool(&mut self, share: f32) {
        self.pool = share;
    }

    /// The next chunk of every sequence of `replica`, time-major: row `t * sequences + b`.
    pub fn fill(&mut self, replica: usize, ids: &mut [u16], targets: &mut [u16]) {
        let pool = self.stories.pool(self.curriculum.pool(self.pool));
        let lanes = &mut self.lanes[replica * self.sequences..][..self.sequences];
        for (b, lane) in lanes.iter_mut().enumerate() {
            lane.fill(&self.stories, pool, &mut ids[b..], &mut targets[b..], self.sequences);
        }
    }

    /// What lanes read: the given stories, and the model's own behind them.
    pub fn stories(&self) -> &Amplified<TokenCache> {
        &self.stories
    }

    /// Adds stories of the model's own. They are read after the next [`mix`](Self::mix).
    pub fn add(&mut self, stories: Vec<Vec<u16>>) {
        self.stories.add(stories);
    }

    /// Adds stories of the model's own from a checkpoint.
    pub fn add_tokens(&mut self, tokens: &[u16]) {
        self.stories.add_tokens(tokens);
    }

    /// Makes stories of the model's own this share of all that lanes begin.
    pub fn mix(&mut self, share: f32) {
        self.stories.mix(self.curriculum.pool(self.pool), share);
    }

    /// Lanes begin none of the model's own stories any more.
    pub fn unmix(&mut self) {
        self.stories.unmix();
    }

    /// Whether lanes begin stories of the model's own.
    pub fn is_mixed(&self) -> bool {
        self.stories.is_mixed()
    }

    /// Where all lanes stand, for a checkpoint.
    pub fn cursor(&self) -> Value {
        // plain numbers: cannot fail
        serde_json::to_value(&self.lanes).unwrap_or_default()
    }

    /// Goes back to where [`cursor`](Self::cursor) was taken; `false`, and nothing changed, where it is of
    /// another number of lanes.
    pub fn restore(&mut self, cursor: &Value) -> bool {
        match serde_json::from_value::<Vec<Lane>>(cursor.clone()) {
            Ok(lanes) if lanes.len() == self.lanes.len() => {
                self.lanes = lanes;
                true
            }
            _ => false,
        }
    }
}
