//! Scoring stories with the model in training, as inference would score them.

use std::sync::Mutex;

use flashlm_core::config::Depth;
use rayon::prelude::*;

use super::engine::Engine;
use super::head::IGNORE;
use super::rcsm::Passes;
use super::replica::ForwardOptions;
use super::routing::Routing;

/// What an evaluation measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Negative log2-likelihood of all scored tokens.
    pub bits: f64,
    pub tokens: u64,
    /// Passes per token.
    pub mean_passes: f64,
}

/// A story to score: its tokens, and whether the end-of-story token that follows is scored too.
pub type Story<'a> = (&'a [u16], bool);

impl Engine {
    /// Bits of the stories at a hard depth, each from the reset state; a story's first token is predicted from the
    /// end-of-story token before it. Training's state is kept.
    pub fn evaluate(&mut self, stories: &[Story<'_>], depth: Depth) -> Evaluation {
        self.evaluate_with(stories, depth, |_, _, _| {})
    }

    /// [`Self::evaluate`], which shows `visit` (story, position, logits) of every scored token, in no certain order of
    /// stories. Runs on one thread if `visit` is to be called in order within a story.
    pub fn evaluate_with(
        &mut self,
        stories: &[Story<'_>],
        depth: Depth,
        mut visit: impl FnMut(usize, usize, &[f32]) + Send,
    ) -> Evaluation {
        let kept = self.states();
        self.packed.embed.pack_exact();
        let options = ForwardOptions {
            passes: match depth {
                Depth::Fixed(n) => Passes::Fixed(n as usize),
                Depth::Adaptive => Passes::Hard,
            },
            routing: Routing::PositiveLogit,
        };
        let eot = self.packed.config.eot.unwrap_or(0) as u16;
        for replica in &mut self.replicas {
            replica.start_afresh();
        }
        let (b, t) = (self.shape.sequences, self.shape.tokens);
        // per sequence: the story it reads and the position in it
        let mut queue = 0..stories.len();
        let mut cursors: Vec<Option<(usize, usize)>> =
            (0..b * self.replicas.len()).map(|_| queue.next().map(|s| (s, 0))).collect();
        let mut sources = vec![None; t * cursors.len()];
        let mut total = Evaluation::default();
        let mut passes = 0;
        let visit = Mutex::new(&mut visit);
        while cursors.iter().any(Option::is_some) {
            sources.fill(None);
            for (r, replica) in self.replicas.iter_mut().enumerate() {
                for lane in 0..b {
                    let cursor = &mut cursors[r * b + lane];
                    for step in 0..t {
                        let at = step * b + lane;
                        (replica.ids[at], replica.targets[at]) = (eot, IGNORE);
                        let Some((story, position)) = *cursor else { continue };
                        let (tokens, terminated) = stories[story];
                        let target =
                            if position < tokens.len() { Some(tokens[position]) } else { terminated.then_some(eot) };
                        if position > 0 {
                            replica.ids[at] = tokens[position - 1];
                        }
                        if let Some(target) = target {
                            replica.targets[at] = target;
                            sources[r * b * t + at] = Some((story, position));
                        }
                        *cursor = if position < tokens.len() {
                            Some((story, position + 1))
                        } else {
                            queue.next().map(|s| (s, 0))
                        };
                    }
                }
            }
            let (packed, params) = (&self.packed, &self.params.data[..]);
            let (replicas, visit, sources) = (&mut self.replicas, &visit, &sources);
            self.pool.install(|| {
                replicas.par_iter_mut().with_max_len(1).enumerate().for_each(|(r, replica)| {
                    replica.score(packed, params, options, |row, logits| {
                        if let (Some((story, position)), Ok(mut visit)) = (sources[r * b * t + row], visit.lock()) {
                            visit(story, position, logits);
                        }
                    });
                });
            });
            for replica in &self.replicas {
                total.bits += replica.nats * std::f64::consts::LOG2_E;
                total.tokens += replica.scored as u64;
                passes += replica.passes;
            }
        }
        total.mean_passes = passes as f64 / total.tokens.max(1) as f64;
        // the lengths are our own
        let restored = self.set_states(&kept);
        debug_assert!(restored.is_ok());
        total
    }
}
