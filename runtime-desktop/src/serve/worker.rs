//! A thread that tells several stories together.

use flashlm_core::score::LogSumExp;
use flashlm_core::{Batch, Generation, Kernels, Line, Model, Sampler, SessionError, Tokenizer, Turn};

use super::metrics::Metrics;
use super::queue::{Idle, Queue};
use super::task::{End, Scored, Task};
use super::text::{Text, Told};

/// Tokens of a prompt that are read before the other stories go on.
const READ: usize = 64;

/// One story of a batch.
struct Telling {
    task: Task,
    generation: Generation,
    sampler: Sampler,
    text: Text,
    /// Tokens of the prompt that were read.
    read: usize,
    drawn: usize,
}

impl Telling {
    fn has_read(&self) -> bool {
        self.read == self.task.prompt.len()
    }
}

/// Tells what a queue has, as many stories at a time as its batch has streams.
pub struct Worker<'m> {
    batch: Batch<'m, Vec<Line>>,
    tokenizer: Tokenizer<'m>,
    /// What is told in every stream.
    streams: Vec<Option<Telling>>,
}

impl<'m> Worker<'m> {
    /// For a model with this tokenizer.
    pub fn new(model: Model<'m>, tokenizer: Tokenizer<'m>, streams: usize) -> Self {
        let batch = Batch::on_heap(model, Kernels::detect(), streams);
        let streams = (0..batch.streams()).map(|_| None).collect();
        Self { batch, tokenizer, streams }
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self, queue: &Queue, metrics: &Metrics) {
        // how many of the streams that the metrics tell of are its own
        let mut counted = 0;
        loop {
            let active = self.streams.iter().flatten().count();
            metrics.active_changed(&mut counted, active);
            let idle = if active == 0 { Idle::Wait } else { Idle::GoOn };
            let Some(tasks) = queue.take(self.streams.len() - active, idle) else { return };
            metrics.active_changed(&mut counted, active + tasks.len());
            let mut begun = Ok(());
            for task in tasks {
                begun = begun.and(self.begin(task));
            }
            self.give_up_cancelled();
            if let Err(error) = begun.and_then(|()| self.read(metrics)).and_then(|()| self.draw(metrics)) {
                // no story is told by halves as if it were whole
                for telling in self.streams.iter_mut().filter_map(Option::take) {
                    telling.text.end(End::Failed(error.to_string()));
                }
            }
        }
    }

    /// Gives a story a stream, of which there is one.
    fn begin(&mut self, task: Task) -> Result<(), SessionError> {
        let mut text = Text::new(&task);
        let sampler = Sampler::new(task.sampler);
        let (Some(index), Ok(mut sampler)) = (self.streams.iter().position(Option::is_none), sampler) else {
            text.end(End::Failed("the request was not checked".into()));
            return Ok(());
        };
        let mut bytes = Vec::new();
        task.prompt.iter().for_each(|&token| self.tokenizer.for_each_byte(token, |byte| bytes.push(byte)));
        text.prompt(&bytes, &task);
        if task.length == 0 && !task.scores_prompt() {
            text.end(End::Length);
            return Ok(());
        }
        let begun = self.batch.set_depth(index, task.depth);
        let stream = &mut self.batch.stream(index)?;
        match begun.and_then(|()| Generation::begin(stream, &mut sampler, &[], &mut ())) {
            Ok(generation) => {
                self.streams[index] = Some(Telling { task, generation, sampler, text, read: 0, drawn: 0 });
            }
            Err(error) => text.end(End::Failed(error.to_string())),
        }
        Ok(())
    }

    fn give_up_cancelled(&mut self) {
        for place in &mut self.streams {
            place.take_if(|telling| telling.task.output.is_cancelled());
        }
    }

    /// Reads on in prompts.
    fn read(&mut self, metrics: &Metrics) -> Result<(), SessionError> {
        let Self { batch, tokenizer, streams } = self;
        for (index, place) in streams.iter_mut().enumerate() {
            let Some(telling) = place.as_mut().filter(|telling| !telling.has_read()) else { continue };
            let Telling { task, generation, sampler, text, read, .. } = telling;
            let rest = &task.prompt[*read..];
            let piece = match task.logprobs.filter(|_| task.scores_prompt()) {
                None => &rest[..rest.len().min(READ)],
                Some(top) => {
                    // what is before it has to be processed
                    generation.add(&mut batch.stream(index)?, sampler, &[], &mut ())?;
                    let offset = text.offset(&tokenizer.piece(rest[0]));
                    text.score(score(batch, index, rest[0], top, offset)?);
                    &rest[..1]
                }
            };
            generation.add(&mut batch.stream(index)?, sampler, piece, &mut ())?;
            *read += piece.len();
            metrics.read(piece.len());
        }
        for place in streams {
            if let Some(telling) = place.take_if(|telling| telling.has_read() && telling.task.length == 0) {
                telling.text.end(End::Length);
            }
        }
        Ok(())
    }

    /// Draws the next tokens of all stories whose prompts are read.
    fn draw(&mut self, metrics: &Metrics) -> Result<(), SessionError> {
        let Self { batch, streams, .. } = self;
        let mut turns = Vec::new();
        for (stream, place) in streams.iter_mut().enumerate() {
            let Some(telling) = place.as_mut().filter(|telling| telling.has_read()) else { continue };
            let Telling { task, generation: story, sampler, drawn, .. } = telling;
            if *drawn == 0 && task.owes_space {
                story.owe_space();
            }
            turns.push(Turn { stream, story, sampler, token: None });
        }
        if turns.is_empty() {
            return Ok(());
        }
        Generation::next_together(batch, &mut turns)?;
        let drawn: Vec<_> = turns.into_iter().map(|turn| (turn.stream, turn.token)).collect();
        drawn.into_iter().for_each(|(stream, token)| self.tell(stream, token, metrics));
        Ok(())
    }

    /// Tells the token that a stream's story drew, and ends the story where it ends.
    fn tell(&mut self, index: usize, token: Option<u16>, metrics: &Metrics) {
        let Some(mut telling) = self.streams[index].take() else { return };
        let Some(token) = token else { return telling.text.finish() };
        let piece = self.tokenizer.piece(token);
        let offset = telling.text.offset(&piece);
        let top = telling.task.logprobs;
        let scored = match top.map(|top| score(&self.batch, index, token, top, offset)).transpose() {
            Ok(scored) => scored,
            Err(error) => return telling.text.end(End::Failed(error.to_string())),
        };
        telling.drawn += 1;
        metrics.drew();
        if telling.text.draw(&piece, scored) == Told::Stopped {
            return;
        }
        if telling.drawn == telling.task.length {
            telling.text.end(End::Length);
        } else {
            self.streams[index] = Some(telling);
        }
    }
}

/// How likely `token` is after what a stream has processed, by the model alone, and which `top` tokens are likeliest.
fn score(
    batch: &Batch<'_, Vec<Line>>,
    stream: usize,
    token: u16,
    top: usize,
    offset: usize,
) -> Result<Scored, SessionError> {
    let kernels = batch.kernels();
    let (mut all, mut own, mut best) = (LogSumExp::default(), 0.0, Vec::<(u16, f32)>::new());
    batch.logits(stream, |first, rows| {
        all.push(kernels, rows);
        for (row, &logit) in (first..).zip(rows) {
            let row = row as u16;
            if row == token {
                own = logit;
            }
            if best.len() < top || best.last().is_some_and(|&(_, least)| logit > least) {
                // behind its equals, which are lower
                let at = best.partition_point(|&(_, other)| other >= logit);
                best.insert(at, (row, logit));
                best.truncate(top);
            }
        }
    })?;
    let logprob = |logit: f32| (f64::from(logit) - all.value()) as f32;
    best.iter_mut().for_each(|(_, logit)| *logit = logprob(*logit));
    Ok(Scored { token, logprob: logprob(own), top: best, offset })
}
