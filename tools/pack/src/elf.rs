//! What a linked firmware takes of a chip's memories, read from its ELF file.

use std::path::Path;

use anyhow::{Context, Result, bail};
use flashlm_core::blob::MAGIC;
use flashlm_core::{Line, MAX_CHUNK, arena_lines};
use flashlm_host::{Blob, read_file};
use object::elf::{FileHeader32, FileHeader64, PT_LOAD, SHF_ALLOC, SHF_WRITE};
use object::read::elf::{ElfFile, FileHeader, ProgramHeader};
use object::{Endianness, FileKind, Object, ObjectKind, ObjectSection, ObjectSymbol, SectionFlags};

/// No firmware is longer, symbols and all.
const LONGEST: u64 = 1 << 30;

/// A linked program's share of flash and RAM, bytes.
#[derive(Debug, PartialEq)]
pub struct Firmware {
    /// What its code is for, as `object` calls it.
    pub architecture: String,
    /// Sections that take memory, by address.
    pub sections: Vec<Section>,
    /// The models compiled in.
    pub models: Vec<Embedded>,
    /// A static of the size that a session over one of them needs.
    pub arena: Option<Arena>,
    pub stack: Option<Stack>,
}

/// One section that takes memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub name: String,
    pub address: u64,
    pub bytes: u64,
    /// Whether it is stored in flash: code, constants and the initial values of statics.
    pub flash: bool,
    /// Whether it takes RAM while the program runs.
    pub ram: bool,
}

impl Section {
    /// Whether `address` lies in it.
    pub fn holds(&self, address: u64) -> bool {
        address.checked_sub(self.address).is_some_and(|at| at < self.bytes)
    }
}

/// A model that lies in a section.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    pub name: String,
    pub address: u64,
    pub bytes: u64,
    /// Bytes of arena for 1 to [`MAX_CHUNK`] tokens prefilled together.
    arenas: Vec<u64>,
}

/// The static that a session lives in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arena {
    pub address: u64,
    pub bytes: u64,
}

/// RAM set aside for the stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stack {
    pub bytes: u64,
    pub source: StackSource,
}

/// How the size of a stack is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackSource {
    /// A section `.stack`, which the sections' RAM already counts.
    Section,
    /// A symbol `_stack_size`.
    Symbol,
    /// From `_stack_start` down to `_stack_end`, as cortex-m-rt has them: all RAM that statics leave.
    Rest,
    /// Told on the command line.
    Given,
}

impl StackSource {
    /// A few words to print.
    pub fn name(self) -> &'static str {
        match self {
            Self::Section => "section .stack",
            Self::Symbol => "symbol _stack_size",
            Self::Rest => "all RAM that statics leave",
            Self::Given => "--stack",
        }
    }
}

impl Firmware {
    /// Reads a linked firmware.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display();
        let data = read_file(path, LONGEST).with_context(|| format!("{name}: expected a readable ELF file"))?;
        Self::parse(&data).with_context(|| name.to_string())
    }

    fn parse(data: &[u8]) -> Result<Self> {
        match FileKind::parse(data) {
            Ok(FileKind::Elf32) => read_elf::<FileHeader32<Endianness>>(data),
            Ok(FileKind::Elf64) => read_elf::<FileHeader64<Endianness>>(data),
            Ok(other) => bail!("expected an ELF file, found {other:?}"),
            Err(_) => bail!("expected an ELF file, found something else"),
        }
    }

    /// Bytes of flash: code, constants and initial values, models included.
    pub fn flash(&self) -> u64 {
        self.sections.iter().filter(|s| s.flash).map(|s| s.bytes).sum()
    }

    /// Bytes of RAM of all statics, the arena included; without the stack.
    pub fn statics(&self) -> u64 {
        let all: u64 = self.sections.iter().filter(|s| s.ram).map(|s| s.bytes).sum();
        match self.stack {
            Some(Stack { bytes, source: StackSource::Section }) => all - bytes,
            _ => all,
        }
    }

    /// Bytes of flash without the models.
    pub fn code(&self) -> u64 {
        self.flash() - self.models.iter().map(|m| m.bytes).sum::<u64>()
    }

    /// Bytes of RAM of statics without the arena.
    pub fn other_statics(&self) -> u64 {
        self.statics() - self.arena.map_or(0, |a| a.bytes)
    }
}

fn read_elf<Elf: FileHeader<Endian = Endianness>>(data: &[u8]) -> Result<Firmware> {
    let damaged = "damaged or truncated ELF file";
    let file: ElfFile<'_, Elf> = ElfFile::parse(data).context(damaged)?;
    if !matches!(file.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
        bail!("expected a linked program, found an ELF file of kind {:?}", file.kind());
    }
    let segments: Vec<Load> = file.elf_program_headers().iter().filter_map(|h| Load::read(h, file.endian())).collect();
    let (mut sections, mut models) = (Vec::new(), Vec::new());
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if sh_flags.0 & SHF_ALLOC.0 == 0 || section.size() == 0 {
            continue;
        }
        let (address, bytes) = (section.address(), section.size());
        let stored = section.file_range().is_some();
        // started from where it is stored, or copied to where it runs
        let moved = segments.iter().any(|s| s.holds(address) && s.physical != s.virtual_);
        let written = sh_flags.0 & SHF_WRITE.0 != 0;
        let name = section.name().context(damaged)?.to_owned();
        if stored {
            let contents = section.data().with_context(|| format!("{damaged}: section {name}"))?;
            find_models(contents, address, &mut models);
        }
        sections.push(Section { name, address, bytes, flash: stored, ram: !stored || written || moved });
    }
    if sections.is_empty() {
        bail!("expected a linked program, found no section that takes memory");
    }
    sections.sort_by_key(|s| s.address);
    let arena = find_arena(&file, &sections, &models);
    let stack = find_stack(&file, &sections);
    let architecture = format!("{:?}", file.architecture());
    Ok(Firmware { architecture, sections, models, arena, stack })
}

/// A loaded segment's addresses.
struct Load {
    virtual_: u64,
    physical: u64,
    bytes: u64,
}

impl Load {
    fn read<H: ProgramHeader<Endian = Endianness>>(header: &H, endian: Endianness) -> Option<Self> {
        (header.p_type(endian) == PT_LOAD).then(|| Self {
            virtual_: header.p_vaddr(endian).into(),
            physical: header.p_paddr(endian).into(),
            bytes: header.p_memsz(endian).into(),
        })
    }

    fn holds(&self, address: u64) -> bool {
        address.checked_sub(self.virtual_).is_some_and(|at| at < self.bytes)
    }
}

/// Models that lie in `contents`, found by their first bytes and checked whole.
fn find_models(contents: &[u8], address: u64, models: &mut Vec<Embedded>) {
    let word = |at: usize| contents.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes) as usize);
    let mut at = (address.next_multiple_of(4) - address) as usize;
    while let Some(first) = word(at) {
        let candidate = word(at + 8).and_then(|length| contents.get(at..at.checked_add(length)?));
        if first == u32::from_le_bytes(MAGIC) as usize
            && let Some(bytes) = candidate
        {
            // in memory of its own, where it is aligned as it is in the firmware
            let copy = Blob::copy("in the firmware", bytes).ok();
            if let Some(model) = copy.as_ref().and_then(|blob| blob.model().ok()) {
                let arenas = (1..=MAX_CHUNK).map(|chunk| arena_bytes(bytes, chunk)).collect();
                let name = model.facts().name.to_owned();
                models.push(Embedded { name, address: address + at as u64, bytes: bytes.len() as u64, arenas });
                at += bytes.len().next_multiple_of(4);
                continue;
            }
        }
        at += 4;
    }
}

/// What a firmware for a chip of 32 bits stores in flash from `start` on: at most `most` bytes, those between its
/// segments zero.
///
/// # Errors
/// The file is none, or stores something elsewhere.
pub fn image(path: &Path, start: u64, most: usize) -> Result<Vec<u8>> {
    let name = path.display();
    let data = read_file(path, LONGEST).with_context(|| format!("{name}: expected a readable ELF file"))?;
    let file = ElfFile::<FileHeader32<Endianness>>::parse(&*data)
        .with_context(|| format!("{name}: expected an ELF file of 32 bits"))?;
    let endian = file.endian();
    let mut image = Vec::new();
    for segment in file.elf_program_headers().iter().filter(|s| s.p_type(endian) == PT_LOAD) {
        let stored = segment.data(endian, &*data).ok().with_context(|| format!("{name}: a segment is cut off"))?;
        if stored.is_empty() {
            continue;
        }
        let address = u64::from(segment.p_paddr(endian));
        let at = address.checked_sub(start).map(|at| at as usize).filter(|at| at.saturating_add(stored.len()) <= most);
        let Some(at) = at else {
            bail!("{name}: stores {} bytes at {address:#010x}; expected {most} bytes from {start:#010x}", stored.len());
        };
        let end = at + stored.len();
        image.resize(image.len().max(end), 0);
        image[at..end].copy_from_slice(stored);
    }
    if image.is_empty() {
        bail!("{name}: expected code at {start:#010x}, found none at all");
    }
    Ok(image)
}

/// Bytes of arena that a session over `blob` needs to prefill `chunk` tokens together.
pub fn arena_bytes(blob: &[u8], chunk: usize) -> u64 {
    (arena_lines(blob, chunk) * size_of::<Line>()) as u64
}

/// The largest static in RAM that is as large as a session over one of `models`, give or take the flag and padding
/// that a cell around it adds.
fn find_arena<'d, Elf: FileHeader>(
    file: &ElfFile<'d, Elf>,
    sections: &[Section],
    models: &[Embedded],
) -> Option<Arena> {
    let in_ram = |at: u64| sections.iter().any(|s| s.ram && s.holds(at));
    let fits = |bytes: u64| {
        let mut arenas = models.iter().flat_map(|m| &m.arenas);
        arenas.any(|&arena| (arena..=arena + size_of::<Line>() as u64).contains(&bytes))
    };
    file.symbols()
        .filter(|s| s.size() > 0 && in_ram(s.address()) && fits(s.size()))
        .map(|s| Arena { address: s.address(), bytes: s.size() })
        .max_by_key(|arena| arena.bytes)
}

fn find_stack<'d, Elf: FileHeader>(file: &ElfFile<'d, Elf>, sections: &[Section]) -> Option<Stack> {
    let symbol = |name: &str| file.symbols().find(|s| s.name() == Ok(name)).map(|s| s.address());
    let stack = |bytes, source| Stack { bytes, source };
    let section = sections.iter().find(|s| s.name == ".stack" && s.ram);
    section
        .map(|s| stack(s.bytes, StackSource::Section))
        .or_else(|| symbol("_stack_size").map(|bytes| stack(bytes, StackSource::Symbol)))
        .or_else(|| {
            let rest = symbol("_stack_start")?.checked_sub(symbol("_stack_end")?)?;
            Some(stack(rest, StackSource::Rest))
        })
}
