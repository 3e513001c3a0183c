//! `/stats`: what was measured since the chat began.

use flashlm_host::{Blob, peak_memory};

use crate::engine::Engine;
use crate::stats::Count;

pub fn report(engine: &Engine, blob: &Blob) -> String {
    let stats = engine.stats();
    let mut text = format!(
        "generated {} tokens, {:.1} tokens/s; read {} prompt tokens, {:.1} tokens/s\n",
        stats.all.tokens,
        stats.all.tokens_per_second(),
        stats.prompt_tokens,
        stats.prompt_tokens_per_second()
    );
    let depth = engine.depth();
    match stats.all.mean_passes() {
        Some(passes) => text += &format!("passes per token {passes:.2} (depth {depth})\n"),
        None => text += &format!("passes per token: none counted yet (depth {depth})\n"),
    }
    if stats.by_setting.len() > 1 {
        text += "tokens tokens/s passes per token, with\n";
        stats.by_setting.iter().for_each(|(setting, count)| text += &row(setting, count));
    }
    let total: u64 = stats.operations.iter().sum();
    if total > 0 {
        text += "operations used:\n";
        for (i, &n) in stats.operations.iter().enumerate() {
            let share = n as f64 / total as f64;
            let bar = "#".repeat((share * 50.0).round() as usize);
            text += &format!("{i:4} {:5.1} % {bar}", 100.0 * share);
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
    }
    let peak = peak_memory().map_or("unknown".into(), |b| format!("{:.1} MB", b as f64 / 1e6));
    let (arena, blob) = (blob.arena_bytes() as f64 / 1e3, blob.bytes().len() as f64 / 1e6);
    text + &format!("memory: session {arena:.1} KB, model {blob:.2} MB, peak of the program {peak}")
}

fn row(setting: &str, count: &Count) -> String {
    let passes = count.mean_passes().map_or("none".into(), |passes| format!("{passes:.2}"));
    format!("{:6} {:8.1} {passes:>16}  {setting}\n", count.tokens, count.tokens_per_second())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_row_stands_under_its_heading() {
        let count = Count { tokens: 400, time: Duration::from_secs(2), passes: 9, steps: 4 };
        assert_eq!(row("depth 2", &count), "   400    200.0             2.25  depth 2\n");
        assert_eq!(row("depth 1", &Count::default()), "     0      0.0             none  depth 1\n");
    }
}
