//! `/why`: what the reasoning loop did for the last sentence.

use std::io;

use anstyle::{AnsiColor, Style};
use anyhow::Result;

use crate::engine::Engine;
use crate::interrupt::Generating;
use crate::screen::{Pace, Screen};
use crate::trace::{counted, last_sentence};

/// Shows the words of the last sentence with their passes, then what was done for those that went deeper than others.
pub fn why(engine: &Engine, screen: Screen) -> Result<()> {
    let (mut text, mut starts) = (Vec::new(), Vec::new());
    for (_, piece) in engine.pieces() {
        starts.push(text.len());
        text.extend(piece);
    }
    let sentence = last_sentence(&text);
    // a word begins with the space before it
    let first = sentence - usize::from(text[..sentence].ends_with(b" "));
    let from = starts.partition_point(|&start| start <= first).saturating_sub(1);
    let generating = Generating::begin();
    let Some(trace) = engine.trace(from, &generating)? else {
        screen.complain("interrupted")?;
        return Ok(());
    };
    let mut words = trace.words(engine.tokenizer());
    words.retain(|word| !word.text.trim().is_empty());
    let passes = words.iter().map(|word| word.passes);
    let (Some(fewest), Some(most)) = (passes.clone().min(), passes.max()) else {
        screen.complain("there is no word to explain yet: type how a story begins")?;
        return Ok(());
    };
    shown(screen, words.iter().map(|word| (&word.text[..], word.passes, trace.level(word.passes))))?;
    let deeper: Vec<_> = words.iter().filter(|word| most == fewest || word.passes > fewest).collect();
    screen.say(&match most == fewest {
        true => format!("Every word took {} (depth {}).", counted(most), engine.depth()),
        false => format!("Words took from {fewest} to {most} passes (depth {}); those that took more:", engine.depth()),
    })?;
    let lines: String = deeper.iter().map(|word| trace.lines_of_word(engine.tokenizer(), word)).collect();
    screen.print(&lines)?;
    Ok(())
}

/// A sentence whose words bear their passes, and a colour.
fn shown<'w>(screen: Screen, words: impl Iterator<Item = (&'w str, usize, usize)>) -> io::Result<()> {
    let mut out = screen.text(Pace::Off);
    for (i, (text, passes, level)) in words.enumerate() {
        let text = if i == 0 { text.trim_start() } else { text };
        out.show(&format!("{text}({passes})"), style(level))?;
    }
    out.finish("\n")
}

/// The deeper, the warmer.
fn style(level: usize) -> Style {
    match level {
        0 => AnsiColor::Blue.on_default(),
        1 => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Red.on_default().bold(),
    }
}
