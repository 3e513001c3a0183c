//! Long stories in pieces, so that the rows of a batch are different text however few stories there are.

use super::DataError;
use super::cache::TokenCache;
use super::encoder::AnswerTokens;
use super::lanes::{StoryTokens, Told};

/// The most tokens of a piece: a story seldom has more, a book has.
const LONGEST: usize = 2048;
/// The fewest tokens that a story is cut into pieces of.
const SHORTEST: usize = 64;
/// Pieces for each lane, if there is text for them: phases begin with three tenths of all text.
const FOR_A_LANE: u64 = 4;

/// The stories of a cache, those with many tokens cut into pieces. Pieces that begin stories have the stories' numbers;
/// the others follow. The first row of a piece is as that of a story, an end-of-story token; after the last row of one
/// whose story goes on comes the story's next token.
pub struct Pieces {
    stories: TokenCache,
    longest: usize,
    /// Pieces that do not begin a story: whose they are, and at which token they begin.
    later: Vec<(u32, u32)>,
}

impl Pieces {
    /// Cuts what is too long for `lanes` lanes to read different text.
    pub fn new(stories: TokenCache, lanes: usize) -> Self {
        let fair = stories.tokens() / (FOR_A_LANE * lanes.max(1) as u64);
        let longest = usize::try_from(fair).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
        let mut later = Vec::new();
        for story in 0..stories.len() as u32 {
            let starts = (0..stories.length(story)).step_by(longest).skip(1);
            later.extend(starts.map(|start| (story, start as u32)));
        }
        Self { stories, longest, later }
    }

    /// Number of pieces.
    pub fn len(&self) -> usize {
        self.stories.len() + self.later.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens of a piece.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// How hard each piece is: as its story.
    pub fn difficulties(&self) -> Vec<f32> {
        let all = self.stories.difficulties();
        all.iter().copied().chain(self.later.iter().map(|&(story, _)| all[story as usize])).collect()
    }

    /// Tokens of a piece.
    pub fn length(&self, index: u32) -> usize {
        self.place(index).1.len()
    }

    /// A piece's story and its tokens there.
    fn place(&self, index: u32) -> (u32, std::ops::Range<usize>) {
        let (story, start) = match (index as usize).checked_sub(self.stories.len()) {
            Some(later) => self.later[later],
            None => (index, 0),
        };
        let start = start as usize;
        (story, start..self.stories.length(story).min(start + self.longest))
    }
}

impl StoryTokens for Pieces {
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
        let (story, place) = self.place(index);
        told.clear();
        let goes_on = place.end < self.stories.length(story);
        self.stories.read_tokens(story, place.start, place.end + usize::from(goes_on), &mut told.tokens)?;
        if goes_on {
            told.next = told.tokens.pop();
        }
        // an answer that a cut goes through belongs to the piece it begins in
        let (start, end) = (place.start as u32, place.end as u32);
        let own = self.stories.answers(story).iter().filter(|answer| (start..end).contains(&answer.start));
        told.answers.extend(own.map(|answer| AnswerTokens { start: answer.start - start, ..*answer }));
        Ok(())
    }
}
