//! `pack size`: what a linked firmware takes, section by section.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

use crate::elf::{Embedded, Firmware, Section};

#[derive(clap::Args)]
pub struct Args {
    /// Linked firmware (ELF)
    firmware: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let firmware = Firmware::read(&args.firmware)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{:#}", report(args, &firmware))?;
        return Ok(());
    }
    let width = firmware.sections.iter().map(|s| s.name.len()).max().unwrap_or(0).max(20);
    writeln!(out, "{:width$} {:>10} {:>10} {:>10}", "section", "address", "flash", "RAM")?;
    for section in &firmware.sections {
        let [flash, ram] = [section.flash, section.ram].map(|takes| if takes { section.bytes } else { 0 });
        writeln!(out, "{:width$} {:>10} {flash:>10} {ram:>10}", section.name, hex(section.address))?;
        for model in firmware.models.iter().filter(|m| section.holds(m.address)) {
            let name = format!("  model {}", model.name);
            writeln!(out, "{name:width$} {:>10} {:>10}", hex(model.address), model.bytes)?;
        }
        if let Some(arena) = firmware.arena.filter(|arena| section.holds(arena.address)) {
            writeln!(out, "{:width$} {:>10} {:>10} {:>10}", "  arena", hex(arena.address), "", arena.bytes)?;
        }
    }
    if let Some(stack) = firmware.stack {
        writeln!(out, "{:width$} {:>10} {:>10} {:>10}", "stack", "", "", stack.bytes)?;
    }
    let ram = firmware.statics() + firmware.stack.map_or(0, |s| s.bytes);
    writeln!(out, "{:width$} {:>10} {:>10} {ram:>10}", "total", "", firmware.flash())?;
    match firmware.stack {
        Some(stack) => writeln!(out, "\nThe stack is {}.", stack.source.name())?,
        None => writeln!(out, "\nThe ELF does not tell its stack: it is not counted.")?,
    }
    Ok(())
}

fn hex(address: u64) -> String {
    format!("{address:#x}")
}

fn report(args: &Args, firmware: &Firmware) -> serde_json::Value {
    let section = |s: &Section| {
        json!({
            "name": s.name,
            "address": s.address,
            "flash": if s.flash { s.bytes } else { 0 },
            "ram": if s.ram { s.bytes } else { 0 },
        })
    };
    let model = |m: &Embedded| json!({ "name": m.name, "address": m.address, "bytes": m.bytes });
    json!({
        "elf": args.firmware.display().to_string(),
        "sections": firmware.sections.iter().map(section).collect::<Vec<_>>(),
        "models": firmware.models.iter().map(model).collect::<Vec<_>>(),
        "arena": firmware.arena.map(|a| json!({ "address": a.address, "bytes": a.bytes })),
        "stack": firmware.stack.map(|s| json!({ "bytes": s.bytes, "source": s.source.name() })),
        "flash": firmware.flash(),
        "code": firmware.code(),
        "ram": firmware.statics() + firmware.stack.map_or(0, |s| s.bytes),
        "statics": firmware.other_statics(),
    })
}
