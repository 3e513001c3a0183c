//! `pack fit`: which chips have room for which models.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use flashlm_core::MAX_CHUNK;
use flashlm_host::Blob;
use serde_json::json;

use crate::chips::{CHIPS, Chip};
use crate::elf::{Firmware, Stack, StackSource, arena_bytes};

#[derive(clap::Args)]
pub struct Args {
    /// Models to weigh (.flm)
    #[arg(required = true, value_name = "MODEL")]
    models: Vec<PathBuf>,
    /// Linked firmware (ELF) to count code, statics and stack of; a model it holds is replaced by each of the MODELs
    #[arg(long, value_name = "FIRMWARE")]
    elf: Option<PathBuf>,
    #[expect(rustdoc::broken_intra_doc_links, reason = "help texts name units in brackets")]
    /// RAM the stack needs, as measured [bytes] [default: what the ELF sets aside]
    #[arg(long, value_name = "BYTES", requires = "elf")]
    stack: Option<u64>,
    /// Tokens prefilled together [1 decodes only]
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=MAX_CHUNK as i64))]
    prefill: u8,
    /// Print a table in Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What one model needs, bytes.
#[derive(Clone, Debug, PartialEq)]
struct Needs {
    name: String,
    file: PathBuf,
    model: u64,
    arena: u64,
    /// Code and constants.
    code: u64,
    statics: u64,
    stack: u64,
}

impl Needs {
    fn flash(&self) -> u64 {
        self.model + self.code
    }

    fn ram(&self) -> u64 {
        self.arena + self.statics + self.stack
    }

    /// Bytes of flash and of RAM that `chip` lacks.
    fn short(&self, chip: &Chip) -> (u64, u64) {
        let lack = |needed: u64, kib: u64| needed.saturating_sub(kib * 1024);
        (lack(self.flash(), chip.flash), lack(self.ram(), chip.ram))
    }

    fn verdict(&self, chip: &Chip) -> String {
        match self.short(chip) {
            (0, 0) => "fits".into(),
            (flash, 0) => format!("no: {} short of flash", kib(flash)),
            (0, ram) => format!("no: {} short of RAM", kib(ram)),
            (flash, ram) => format!("no: {} short of flash, {} of RAM", kib(flash), kib(ram)),
        }
    }
}

/// Bytes in KiB, rounded up so that what is said to fit does.
fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}

pub fn run(args: &Args) -> Result<()> {
    let mut firmware = args.elf.as_deref().map(Firmware::read).transpose()?;
    if let (Some(firmware), Some(bytes)) = (&mut firmware, args.stack) {
        firmware.give_stack(bytes);
    }
    let mut needs = Vec::new();
    for path in &args.models {
        let blob = Blob::open(path)?;
        let name = blob.model()?.facts().name;
        let (name, arena) = (if name.is_empty() { stem(path) } else { name.into() }, blob_arena(&blob, args.prefill));
        needs.push(Needs {
            name,
            file: path.clone(),
            model: blob.bytes().len() as u64,
            arena,
            code: firmware.as_ref().map_or(0, Firmware::code),
            statics: firmware.as_ref().map_or(0, Firmware::other_statics),
            stack: firmware.as_ref().and_then(|f| f.stack).map_or(0, |s| s.bytes),
        });
    }
    tell_apart(&mut needs);
    let mut out = io::stdout().lock();
    let notes = notes(args, firmware.as_ref());
    if args.json {
        writeln!(out, "{:#}", report(args, firmware.as_ref(), &needs, &notes))?;
    } else if args.markdown {
        markdown(&mut out, &needs, &notes)?;
    } else {
        plain(&mut out, &needs, &notes)?;
    }
    Ok(())
}

fn blob_arena(blob: &Blob, prefill: u8) -> u64 {
    arena_bytes(blob.bytes(), prefill.into())
}

fn stem(path: &Path) -> String {
    path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Models that have one name between them go by their files.
fn tell_apart(needs: &mut [Needs]) {
    let names: Vec<String> = needs.iter().map(|n| n.name.clone()).collect();
    for needs in needs {
        if names.iter().filter(|name| **name == needs.name).count() > 1 {
            needs.name = stem(&needs.file);
        }
    }
}

/// What the numbers leave out, or where they come from.
fn notes(args: &Args, firmware: Option<&Firmware>) -> Vec<String> {
    let (Some(firmware), Some(path)) = (firmware, &args.elf) else {
        return vec!["Code, statics and stack are not counted: --elf FIRMWARE counts them.".into()];
    };
    let path = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let architecture = &firmware.architecture;
    let mut notes = vec![format!(
        "Code and statics are those of {path}, built for {architecture}, its own model and arena left out; on other \
         cores code has another size."
    )];
    match firmware.stack {
        Some(Stack { bytes, source }) => notes.push(format!("Stack: {bytes} bytes ({}).", source.name())),
        None => notes.push(format!("{path} does not tell its stack: it is not counted; --stack BYTES counts it.")),
    }
    if firmware.models.is_empty() {
        notes.push(format!("{path} holds no model: all its flash is counted beside each of these."));
    } else if firmware.arena.is_none() {
        notes.push(format!("No static of {path} is as large as its model's session: all are counted, and an arena."));
    }
    notes
}

fn plain(out: &mut impl Write, needs: &[Needs], notes: &[String]) -> io::Result<()> {
    let width = needs.iter().map(|n| n.name.len()).max().unwrap_or(0).max(5);
    writeln!(out, "{:width$} {:>10} {:>10} {:>10}   of which", "model", "bytes", "flash", "RAM")?;
    for n in needs {
        let (flash, ram) = (kib(n.flash()), kib(n.ram()));
        write!(out, "{:width$} {:>10} {flash:>10} {ram:>10}   ", n.name, n.model)?;
        writeln!(out, "code {}; arena {}, statics {}, stack {}", kib(n.code), n.arena, n.statics, n.stack)?;
    }
    for n in needs {
        writeln!(out, "\n{:20} {:11} {:>10} {:>10}   {}", "chip", "core", "flash", "RAM", n.name)?;
        for chip in &CHIPS {
            let (flash, ram) = (kib(chip.flash * 1024), kib(chip.ram * 1024));
            writeln!(out, "{:20} {:11} {flash:>10} {ram:>10}   {}", chip.name, chip.core, n.verdict(chip))?;
        }
    }
    writeln!(out)?;
    notes.iter().try_for_each(|note| writeln!(out, "{note}"))
}

fn markdown(out: &mut impl Write, needs: &[Needs], notes: &[String]) -> io::Result<()> {
    write!(out, "| chip | core | flash | RAM |")?;
    needs.iter().try_for_each(|n| write!(out, " {} |", n.name))?;
    writeln!(out, "\n|---|---|---|---|{}", "---|".repeat(needs.len()))?;
    write!(out, "| *flash needed* | | | |")?;
    needs.iter().try_for_each(|n| write!(out, " {} |", kib(n.flash())))?;
    write!(out, "\n| *RAM needed* | | | |")?;
    needs.iter().try_for_each(|n| write!(out, " {} |", kib(n.ram())))?;
    writeln!(out)?;
    for chip in &CHIPS {
        write!(out, "| {} | {} | {} KiB | {} KiB |", chip.name, chip.core, chip.flash, chip.ram)?;
        needs.iter().try_for_each(|n| write!(out, " {} |", n.verdict(chip)))?;
        writeln!(out)?;
    }
    writeln!(out, "\n{}", notes.join(" "))
}

fn report(args: &Args, firmware: Option<&Firmware>, needs: &[Needs], notes: &[String]) -> serde_json::Value {
    let chips = |n: &Needs| -> Vec<_> {
        CHIPS
            .iter()
            .map(|chip| {
                let (flash, ram) = n.short(chip);
                json!({
                    "chip": chip.name,
                    "core": chip.core,
                    "source": chip.source,
                    "flash": chip.flash * 1024,
                    "ram": chip.ram * 1024,
                    "fits": flash == 0 && ram == 0,
                    "short_flash": flash,
                    "short_ram": ram,
                })
            })
            .collect()
    };
    let models: Vec<_> = needs
        .iter()
        .map(|n| {
            json!({
                "name": n.name,
                "file": n.file.display().to_string(),
                "flash": { "total": n.flash(), "model": n.model, "code": n.code },
                "ram": { "total": n.ram(), "arena": n.arena, "statics": n.statics, "stack": n.stack },
                "chips": chips(n),
            })
        })
        .collect();
    json!({
        "elf": args.elf.as_ref().map(|path| path.display().to_string()),
        "stack_source": firmware.and_then(|f| f.stack).map(|s| s.source.name()),
        "prefill": args.prefill,
        "models": models,
        "notes": notes,
    })
}

impl Firmware {
    /// Takes the stack to be `bytes`, whatever the ELF says.
    fn give_stack(&mut self, bytes: u64) {
        if self.stack.is_some_and(|s| s.source == StackSource::Section) {
            self.sections.retain(|s| s.name != ".stack");
        }
        self.stack = Some(Stack { bytes, source: StackSource::Given });
    }
}
