//! Several texts as one set of stories, each as often as its share of the tokens asks for.

use super::DataError;
use super::cache::TokenCache;
use super::curriculum::Curriculum;
use super::lanes::{StoryTokens, Told};
use super::pieces::Pieces;

/// The most entries of a pool. Where shares would take more, not all of the longest text is read.
const LONGEST_POOL: f64 = (1 << 24) as f64;

/// The stories of several texts: those of the first have the first numbers, and so on.
pub struct Texts {
    texts: Vec<Text>,
}

struct Text {
    pieces: Pieces,
    /// The number of its first piece.
    first: u32,
    curriculum: Curriculum,
    /// Share of all tokens.
    share: f64,
}

impl Texts {
    /// One text after another, with the shares of all tokens that they are read with; the shares need not add up to
    /// one. `lanes` is how many rows are to read different text.
    pub fn new(texts: Vec<(TokenCache, f32)>, lanes: usize) -> Self {
        let mut first = 0;
        let texts = texts.into_iter().map(|(stories, share)| {
            let pieces = Pieces::new(stories, lanes);
            let curriculum = Curriculum::new(&pieces.difficulties());
            let text = Text { first, curriculum, share: share.into(), pieces };
            first += text.pieces.len() as u32;
            text
        });
        Self { texts: texts.collect() }
    }

    /// Pieces of text in all.
    pub fn len(&self) -> usize {
        self.texts.iter().map(|text| text.pieces.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most tokens of a piece.
    pub fn longest(&self) -> usize {
        self.texts.iter().map(|text| text.pieces.longest()).max().unwrap_or_default()
    }

    /// Pieces that are read where the easiest `share` of every text is.
    pub fn beginnings(&self, share: f32) -> usize {
        self.texts.iter().map(|text| text.curriculum.pool(share).len()).sum()
    }

    /// The easiest `share` of every text, pieces of the others named more than once, so that each text has its share of
    /// all tokens and none is left out.
    pub fn pool(&self, share: f32) -> Vec<u32> {
        let pools: Vec<&[u32]> = self.texts.iter().map(|text| text.curriculum.pool(share)).collect();
        if let ([text], [pool]) = (&self.texts[..], &pools[..]) {
            return pool.iter().map(|index| text.first + index).collect();
        }
        let tokens = |(text, pool): (&Text, &&[u32])| {
            pool.iter().map(|&index| text.pieces.length(index) as f64 + 1.0).sum::<f64>()
        };
        let tokens: Vec<f64> = self.texts.iter().zip(&pools).map(tokens).collect();
        // an epoch is as long as the text takes that needs the longest for its share
        let mut epoch = self.texts.iter().zip(&tokens).map(|(text, tokens)| tokens / text.share).fold(0.0, f64::max);
        let times = |epoch: f64, at: usize| epoch * self.texts[at].share / tokens[at];
        let entries: f64 = (0..pools.len()).map(|at| times(epoch, at) * pools[at].len() as f64).sum();
        epoch *= (LONGEST_POOL / entries).min(1.0);
        let mut all = Vec::new();
        for (at, (text, pool)) in self.texts.iter().zip(&pools).enumerate() {
            let count = (times(epoch, at) * pool.len() as f64).round().max(1.0) as usize;
            let whole = pool.iter().cycle().take(count / pool.len() * pool.len());
            let rest = count % pool.len();
            let spread = (0..rest).map(|i| &pool[i * pool.len() / rest]);
            all.extend(whole.chain(spread).map(|index| text.first + index));
        }
        all
    }

    fn place(&self, index: u32) -> (&Text, u32) {
        let after = self.texts.partition_point(|text| text.first <= index);
        let text = &self.texts[after - 1];
        (text, index - text.first)
    }
}

impl StoryTokens for Texts {
    fn read(&self, index: u32, told: &mut Told) -> Result<(), DataError> {
        let (text, index) = self.place(index);
        text.pieces.read(index, told)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;
    use std::path::Path;

    use super::super::cut::{Reading, Split};
    use super::super::{Mix, Mixed, Options, Source, bpe, with_shares};
    use super::*;

    /// `count` stories of about `words` words, all of them about `who`.
    fn file(dir: &Path, who: &str, count: usize, words: usize) -> Source {
        let story = |i: usize| format!("{who} {i} {}\n<|endoftext|>\n", "went on ".repeat(words / 2));
        let path = dir.join(format!("{who}.txt"));
        fs::write(&path, (0..count).map(story).collect::<String>()).unwrap();
        Source::Path(path)
    }

    /// Texts of `a` and others, each with its share.
    fn texts(dir: &Path, a: Source, others: Vec<(Source, f32)>) -> Texts {
        fs::write(dir.join("valid.txt"), "Held out.").unwrap();
        let options = Options {
            data: a,
            valid: Some(Source::Path(dir.join("valid.txt"))),
            reading: Reading { split: Split::None, ..Reading::default() },
            vocab: 300,
            tokenizer: Some(bpe::table(&[])),
            texts: others.into_iter().map(|(source, share)| Mixed { source, share }).collect(),
            mix: Mix::NONE,
            sample: u64::MAX,
            cache_dir: dir.join("cache"),
            seed: 1,
        };
        let prepared = options.prepare(|_| {}).unwrap();
        Texts::new(with_shares(prepared.train, prepared.mixed), 1)
    }

    /// For each first letter, the share of the pool's tokens in stories that begin with it, and how many there are.
    fn shares(texts: &Texts, pool: &[u32]) -> HashMap<u8, (f64, usize)> {
        let mut found: HashMap<u8, (f64, usize)> = HashMap::new();
        let (mut told, mut all) = (Told::default(), 0.0);
        for &index in pool {
            texts.read(index, &mut told).unwrap();
            // without merges a token is a byte and one
            let of = found.entry((told.tokens[0] - 1) as u8).or_default();
            let tokens = told.tokens.len() as f64 + 1.0;
            (of.0, of.1, all) = (of.0 + tokens, of.1 + 1, all + tokens);
        }
        found.values_mut().for_each(|(tokens, _)| *tokens /= all);
        found
    }

    #[test]
    fn each_text_has_its_share_of_the_tokens_and_all_of_its_stories() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b, c) =
            (file(dir.path(), "Ann", 40, 20), file(dir.path(), "Bob", 500, 6), file(dir.path(), "Cy", 30, 60));
        let texts = texts(dir.path(), a, vec![(b, 0.3), (c, 0.2)]);
        // one in a hundred stories of what is mixed in is held out, at least one
        assert_eq!(texts.len(), 40 + 495 + 29);
        let pool = texts.pool(1.0);
        let found = shares(&texts, &pool);
        for (who, share) in [(b'A', 0.5), (b'B', 0.3), (b'C', 0.2)] {
            assert!((found[&who].0 - share).abs() < 0.01, "{}: {found:?}", who as char);
        }
        let distinct: std::collections::HashSet<u32> = pool.iter().copied().collect();
        assert_eq!(distinct.len(), texts.len(), "no story is left out");
        // the easiest three tenths of each
        let easy = texts.pool(0.3);
        let found = shares(&texts, &easy);
        assert!((found[&b'B'].0 - 0.3).abs() < 0.02 && (found[&b'A'].0 - 0.5).abs() < 0.02, "{found:?}");
        assert_eq!(texts.beginnings(0.3), 12 + 149 + 9);
    }

    #[test]
    fn one_text_is_its_own_curriculum() {
        let dir = tempfile::tempdir().unwrap();
        let texts = texts(dir.path(), file(dir.path(), "Ann", 30, 20), Vec::new());
        assert_eq!((texts.pool(1.0).len(), texts.pool(0.5).len()), (30, 15));
    }
}
