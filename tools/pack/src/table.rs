//! The table of a blob's sections.

use std::io::{self, Write};

use flashlm_core::Model;

/// Prints sections, bytes and bits per weight, and the totals; `length` is that of the whole blob.
pub fn print(out: &mut impl Write, model: &Model, length: usize) -> io::Result<()> {
    writeln!(out, "{:14} {:>12} {:>12} {:>16}", "section", "weights", "bytes", "bits per weight")?;
    let (mut weights, mut bytes) = (0, 0);
    for section in model.sections().filter(|s| s.len > 0) {
        let bits = section.bits_per_weight().map_or("-".into(), |b| format!("{b:.3}"));
        writeln!(out, "{:14} {:>12} {:>12} {bits:>16}", section.role.name(), section.weights, section.len)?;
        weights += section.weights;
        bytes += section.len;
    }
    writeln!(out, "{:14} {:>12} {:>12} {:>16}", "header, gaps", 0, length - bytes, "-")?;
    let bits = length as f64 * 8.0 / weights as f64;
    writeln!(out, "{:14} {weights:>12} {length:>12} {bits:>16.3}", "total")
}
