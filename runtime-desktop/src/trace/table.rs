//! A trace as a table, for spreadsheets and data frames.

use flashlm_core::tokenizer::Tokenizer;
use flashlm_host::Links;

use super::Trace;

/// A table as CSV (RFC 4180): a row for every pass of every token, the first `given` of which the reader wrote.
///
/// # Errors
/// None but memory's.
pub fn table(trace: &Trace, tokenizer: &Tokenizer, given: usize) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let columns = ["position", "token", "writer", "passes", "pass"];
    let of_pass = ["operation_1", "weight_1", "operation_2", "weight_2", "hop", "hold"];
    let of_read = ["token", "position", "direction", "context", "share", "similarity"];
    let reads = (1..=Links::LISTED).flat_map(|n| of_read.map(|column| format!("read_{n}_{column}")));
    writer.write_record(columns.into_iter().chain(of_pass).map(str::to_owned).chain(reads))?;
    for (i, step) in trace.steps.iter().enumerate() {
        for (pass, hop) in step.hops.iter().enumerate() {
            let mut row = vec![
                (step.input + 1).to_string(),
                trace.text(tokenizer, &[step.drawn]),
                if i < given { "reader" } else { "model" }.into(),
                step.hops.len().to_string(),
                (pass + 1).to_string(),
                hop.ops[0].to_string(),
                hop.weights[0].to_string(),
                hop.ops[1].to_string(),
                hop.weights[1].to_string(),
                hop.hop.to_string(),
                hop.hold.to_string(),
            ];
            for n in 0..Links::LISTED {
                row.extend(hop.reads.get(n).map_or_else(Default::default, |link| {
                    [
                        trace.text(tokenizer, &trace.tokens[link.writer..][..1]),
                        link.writer.to_string(),
                        link.direction.name().into(),
                        trace.text(tokenizer, trace.context(link.writer)),
                        link.share.to_string(),
                        link.similarity.to_string(),
                    ]
                }));
            }
            writer.write_record(row)?;
        }
    }
    writer.into_inner().map_err(|error| error.into_error().into())
}
