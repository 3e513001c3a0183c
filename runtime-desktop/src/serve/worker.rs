//! A thread that tells several stories together.

use flashlm_core::score::LogSumExp;
use flashlm_core::{Generation, Kernels, Line, Model, Sampler, Session, SessionError, Tokenizer};

use super::metrics::Metrics;
use super::queue::{Idle, Queue};
use super::streams::Batch;
use super::task::{End, Scored, Task};
use super::telling::{Telling, Told};

/// Tokens of a prompt that are read before the other stories go on.
const READ: usize = 64;

/// One story of a batch.
struct Stream {
    task: Task,
    /// Tokens of the prompt that were read.
    read: usize,
    /// The last token, which the batch has not processed yet.
    pending: Option<u16>,
    drawn: usize,
    /// Whether the next token is to begin with a space.
    owes_space: bool,
    sampler: Sampler,
    telling: Telling,
}

impl Stream {
    fn has_read(&self) -> bool {
        self.read == self.task.prompt.len()
    }

    /// Whether it can draw a token.
    fn draws(&self) -> bool {
        self.has_read() && self.pending.is_none()
    }
}

/// Tells what a queue has, as many stories at a time as its batch has streams.
pub struct Worker<'m> {
    batch: Batch<'m, Vec<Line>>,
    /// Draws the words that begin with a space, which a batch does not.
    spare: Session<'m, Vec<Line>>,
    kernels: Kernels,
    tokenizer: Tokenizer<'m>,
    eot: u16,
    streams: Vec<Option<Stream>>,
}

impl<'m> Worker<'m> {
    /// For a model with this tokenizer and end-of-story token.
    pub fn new(model: Model<'m>, tokenizer: Tokenizer<'m>, eot: u16, streams: usize) -> Self {
        let kernels = Kernels::detect();
        let batch = Batch::on_heap(model, kernels, streams);
        let streams = (0..batch.streams()).map(|_| None).collect();
        Self { batch, spare: Session::on_heap(model, kernels), kernels, tokenizer, eot, streams }
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
            let result = tasks.into_iter().try_for_each(|task| self.begin(task)).and_then(|()| {
                self.give_up_cancelled();
                self.advance(metrics)
            });
            if let Err(error) = result {
                // no story is told by halves as if it were whole
                for stream in self.streams.iter_mut().filter_map(Option::take) {
                    stream.telling.end(End::Failed(error.to_string()));
                }
            }
        }
    }

    /// Gives a story a stream, of which there is one.
    fn begin(&mut self, task: Task) -> Result<(), SessionError> {
        let mut telling = Telling::new(&task);
        let sampler = Sampler::new(task.sampler);
        let (Some(index), Ok(mut sampler)) = (self.streams.iter().position(Option::is_none), sampler) else {
            telling.end(End::Failed("the request was not checked".into()));
            return Ok(());
        };
        let mut bytes = Vec::new();
        for &token in &task.prompt {
            self.tokenizer.for_each_byte(token, |byte| bytes.push(byte));
            sampler.observe(token);
        }
        telling.prompt(&bytes, task.echo);
        if !task.scores_prompt() {
            telling.offset(if task.echo { &bytes } else { &[] });
            if task.length == 0 {
                telling.end(End::Length);
                return Ok(());
            }
        }
        self.batch.reset(index);
        self.batch.set_depth(index, task.depth)?;
        // as input, the end of a story begins the next
        let (pending, owes_space) = (Some(self.eot), task.owes_space);
        self.streams[index] = Some(Stream { task, read: 0, pending, drawn: 0, owes_space, sampler, telling });
        Ok(())
    }

    fn give_up_cancelled(&mut self) {
        for stream in &mut self.streams {
            if stream.as_ref().is_some_and(|stream| stream.task.output.is_cancelled()) {
                *stream = None;
            }
        }
    }

    /// Takes every stream a token on, or a piece of its prompt.
    fn advance(&mut self, metrics: &Metrics) -> Result<(), SessionError> {
        let Self { batch, streams, .. } = self;
        let indexed = streams.iter_mut().enumerate();
        let steps: Vec<(usize, u16)> =
            indexed.filter_map(|(i, stream)| Some((i, stream.as_mut()?.pending.take()?))).collect();
        batch.step(&steps)?;
        self.read(metrics)?;
        self.draw(metrics)
    }

    /// Reads on in prompts.
    fn read(&mut self, metrics: &Metrics) -> Result<(), SessionError> {
        for index in 0..self.streams.len() {
            let Some(stream) = self.streams[index].as_mut().filter(|stream| !stream.has_read()) else { continue };
            let rest = &stream.task.prompt[stream.read..];
            let Some(top) = stream.task.logprobs.filter(|_| stream.task.scores_prompt()) else {
                let piece = &rest[..rest.len().min(READ)];
                self.batch.prefill(index, piece)?;
                stream.read += piece.len();
                metrics.read(piece.len());
                continue;
            };
            let token = rest[0];
            let offset = stream.telling.offset(&self.tokenizer.piece(token));
            let scored = score(&self.batch, index, self.kernels, token, top, offset)?;
            stream.telling.score(scored);
            stream.pending = Some(token);
            stream.read += 1;
            metrics.read(1);
        }
        Ok(())
    }

    /// Draws the next tokens of all stories that are that far.
    fn draw(&mut self, metrics: &Metrics) -> Result<(), SessionError> {
        let Self { batch, spare, streams, .. } = self;
        let (mut told, mut draws) = (Vec::new(), Vec::new());
        for (i, stream) in streams.iter_mut().enumerate() {
            let Some(stream) = stream.as_mut().filter(|stream| stream.draws()) else { continue };
            if !std::mem::take(&mut stream.owes_space) {
                draws.push((i, &mut stream.sampler));
                continue;
            }
            spare.restore(batch.state(i))?;
            let mut generation = Generation::default();
            generation.owe_space();
            let token = generation.next(spare, &mut stream.sampler, &mut ())?;
            told.push((i, token.unwrap_or(self.eot)));
        }
        let mut tokens = vec![0; draws.len()];
        batch.sample(&mut draws, &mut tokens)?;
        told.extend(draws.into_iter().map(|(stream, _)| stream).zip(tokens));
        told.into_iter().try_for_each(|(stream, token)| self.tell(stream, token, metrics))
    }

    /// Tells the token that a stream's story drew, and ends the story where it ends.
    fn tell(&mut self, index: usize, token: u16, metrics: &Metrics) -> Result<(), SessionError> {
        let Some(mut stream) = self.streams[index].take() else { return Ok(()) };
        // of no length is a story whose prompt was to be scored
        if stream.drawn == stream.task.length {
            stream.telling.end(End::Length);
            return Ok(());
        }
        if token == self.eot {
            stream.telling.finish();
            return Ok(());
        }
        let piece = self.tokenizer.piece(token);
        let offset = stream.telling.offset(&piece);
        let top = stream.task.logprobs;
        let scored = top.map(|top| score(&self.batch, index, self.kernels, token, top, offset)).transpose()?;
        stream.drawn += 1;
        metrics.drew();
        if stream.telling.draw(&piece, scored) == Told::Stopped {
            return Ok(());
        }
        if stream.drawn == stream.task.length {
            stream.telling.end(End::Length);
            return Ok(());
        }
        stream.pending = Some(token);
        self.streams[index] = Some(stream);
        Ok(())
    }
}

/// How likely `token` is after what a stream has processed, by the model alone, and which `top` tokens are likeliest.
fn score(
    batch: &Batch<'_, Vec<Line>>,
    stream: usize,
    kernels: Kernels,
    token: u16,
    top: usize,
    offset: usize,
) -> Result<Scored, SessionError> {
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
