//! The figures on display, and how they are laid out on a terminal of any width.

use std::fmt;
use std::time::Duration;

use console::{Style, measure_text_width, truncate_str};

use crate::run::answers::AnswerRates;
use crate::terminal;

/// Columns of the bar: at least, where it is drawn at all, and at most, both with its brackets.
const BAR: (usize, usize) = (12, 32);
/// What stands between two figures.
const BETWEEN: &str = " | ";

/// The figures.
#[derive(Clone, Debug)]
pub struct Status<'a> {
    /// Share of the run, 0 ..= 1.
    pub progress: f64,
    pub phase: &'a str,
    pub step: u64,
    /// Smoothed loss [nats per token].
    pub loss: f64,
    /// Last held-out bits per character, and those of the evaluation before it.
    pub bpc: Option<f64>,
    pub bpc_before: Option<f64>,
    pub tokens_per_second: f64,
    /// Passes a token; `None` for a model without a reasoning loop.
    pub mean_passes: Option<f64>,
    /// Answers in training of late.
    pub answers: &'a AnswerRates,
    pub left: Option<Duration>,
}

/// All figures in one plain line, the time left first.
impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<_> = fields(self).into_iter().map(|field| field.long).collect();
        f.write_str(&fields.join(BETWEEN))
    }
}

/// A figure with its unit.
struct Field {
    long: String,
    /// The same in fewer columns.
    short: String,
    style: Style,
}

impl Field {
    fn new(long: String, short: String) -> Self {
        Self { long, short, style: Style::new() }
    }
}

/// The figures, the most wanted first.
fn fields(status: &Status) -> Vec<Field> {
    let &Status { progress, phase, step, loss, bpc, tokens_per_second, mean_passes, answers, left, .. } = status;
    let left = left.map_or("?".to_owned(), clock_time);
    let percent = 100.0 * progress.clamp(0.0, 1.0);
    let bold = Style::new().force_styling(true).for_stderr().bold();
    let mut fields = vec![
        Field { style: bold.clone(), ..Field::new(format!("{left} left"), left) },
        Field::new(format!("{percent:.1} %"), format!("{percent:.0} %")),
        Field { style: bold.cyan(), ..Field::new(phase.to_owned(), truncate_str(phase, 12, "..").into_owned()) },
    ];
    fields.push(match bpc {
        Some(bpc) => {
            let style = trend(bpc, status.bpc_before);
            Field { style, ..Field::new(format!("held-out {bpc:.4} bpc"), format!("{bpc:.3} bpc")) }
        }
        None => Field::new("held-out - bpc".into(), "- bpc".into()),
    });
    fields.push(Field::new(format!("loss {loss:.3}"), format!("loss {loss:.2}")));
    let rate = format!("{tokens_per_second:.0} tok");
    fields.push(Field::new(format!("{rate}ens/s"), format!("{rate}/s")));
    fields.push(Field::new(format!("step {step}"), format!("step {step}")));
    fields.extend(mean_passes.map(|n| Field::new(format!("{n:.2} passes"), format!("{n:.1} passes"))));
    let long = answers.to_string();
    if !long.is_empty() {
        fields.push(Field::new(long, answers_at_the_deepest(answers)));
    }
    fields
}

/// Green where the figure fell, red where it rose.
fn trend(bpc: f64, before: Option<f64>) -> Style {
    let style = Style::new().for_stderr().force_styling(true);
    match before {
        Some(before) if bpc < before => style.green(),
        Some(before) if bpc > before => style.red(),
        _ => Style::new(),
    }
}

/// `answers 98 91 - 70 %`: right ones by facts, at the greatest depth there were any at.
fn answers_at_the_deepest(answers: &AnswerRates) -> String {
    let deepest = answers.shares().map(|shares| shares.into_iter().rev().flatten().next());
    let count = deepest.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let shares = deepest[..count].iter().map(|share| share.map_or("-".into(), |share| format!("{:.0}", 100.0 * share)));
    format!("answers {} %", shares.collect::<Vec<_>>().join(" "))
}

/// `1:02:03` or `2:03`.
pub fn clock_time(t: Duration) -> String {
    let s = t.as_secs();
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

/// The figures in one line, or two where one is not enough, for a terminal of `width`. What does not fit is shortened,
/// then left out, the least wanted first; the bar goes before any figure.
pub fn lines(status: &Status, width: usize, color: bool) -> Vec<String> {
    let room = terminal::drawable(width);
    let fields = fields(status);
    let count = fields.len();
    let all = || (0..=count).map(|short| (count, short));
    let fewer = || (1..count).rev().flat_map(|shown| (0..=shown).map(move |short| (shown, short)));
    let mut layouts = all().map(|l| (l, BAR.0)).chain(all().map(|l| (l, 0))).chain(fewer().map(|l| (l, 0)));
    let found = layouts.find_map(|((shown, short), bar)| arrange(&fields[..shown], short, bar, room));
    let Some(Layout { rows, bar }) = found else {
        // not even the time
        return vec![truncate_str(&fields[0].short, room, "").into_owned()];
    };
    let mut drawn = rows.into_iter().map(|row| {
        let texts = row.into_iter().map(|(text, style)| match color {
            true => style.apply_to(text).to_string(),
            false => text.to_owned(),
        });
        texts.collect::<Vec<_>>()
    });
    let first = drawn.next().map(|mut texts| {
        if bar > 0 {
            texts[1] += &format!(" {}", self::bar(status.progress, bar));
        }
        texts.join(BETWEEN)
    });
    first.into_iter().chain(drawn.map(|texts| texts.join(BETWEEN))).collect()
}

/// Rows of figures, and how wide the bar in the first of them may be; 0: none.
struct Layout<'a> {
    rows: Vec<Vec<(&'a str, &'a Style)>>,
    bar: usize,
}

/// The figures, the last `short` of them shortened, on at most two rows of `room` columns, with a bar of at least `bar`
/// behind the second; `None` where they do not fit.
fn arrange(fields: &[Field], short: usize, bar: usize, room: usize) -> Option<Layout<'_>> {
    let mut rows: Vec<Vec<(&str, &Style)>> = vec![Vec::new()];
    let space = if bar > 0 { 1 + bar } else { 0 };
    let mut taken = vec![space];
    for (i, field) in fields.iter().enumerate() {
        let text = if i + short >= fields.len() { &field.short } else { &field.long };
        let columns = measure_text_width(text);
        let row = rows.len() - 1;
        let between = if rows[row].is_empty() { 0 } else { BETWEEN.len() };
        if taken[row] + between + columns <= room {
            taken[row] += between + columns;
            rows[row].push((text, &field.style));
        } else if row == 0 && i > 1 && columns <= room {
            taken.push(columns);
            rows.push(vec![(text, &field.style)]);
        } else {
            return None;
        }
    }
    let spare = room - taken[0];
    let bar = if bar > 0 { (bar + spare).min(BAR.1) } else { 0 };
    Some(Layout { rows, bar })
}

/// `[=====>    ]` in `columns`, of which there are at least two.
fn bar(progress: f64, columns: usize) -> String {
    let inside = columns.saturating_sub(2);
    let done = (progress.clamp(0.0, 1.0) * inside as f64) as usize;
    let head = if done < inside { ">" } else { "" };
    format!("[{}{head}{}]", "=".repeat(done), " ".repeat(inside - done - head.len()))
}

#[cfg(test)]
mod tests;
