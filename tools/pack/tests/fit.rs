//! Chips, models and a small firmware made here: `pack fit` and `pack size`.

use std::path::PathBuf;
use std::process::{Command, Output};

use flashlm_core::config::ModelConfig;
use flashlm_core::testing::{Numbers, SMALL, hostile};
use flashlm_core::{Line, arena_lines};
use object::build::elf::{Builder, SectionData, SectionId};
use object::elf::{self, SectionFlags};
use serde_json::Value;
use tempfile::TempDir;

/// Where the made firmware's memories begin.
const FLASH: u64 = 0x0800_0000;
const RAM: u64 = 0x2000_0000;
const VECTORS: u64 = 0x40;
const TEXT: u64 = 1000;
const DATA: u64 = 24;
const UNINIT: u64 = 8;
/// Statics beside the arena.
const COUNTERS: u64 = 100;
const STACK: u64 = 4096;

fn blob(config: &ModelConfig) -> Vec<u8> {
    hostile::blob(config, &mut Numbers(1))
}

fn arena(blob: &[u8]) -> u64 {
    (arena_lines(blob, 1) * size_of::<Line>()) as u64
}

/// Sections of an ELF file laid out as a linker would, in one load segment each; and where in the file the next goes.
struct Image(Builder<'static>, u64);

impl Image {
    fn new() -> Self {
        let mut builder = Builder::new(object::Endianness::Little, false);
        builder.header.e_type = elf::ET_EXEC;
        builder.header.e_machine = elf::EM_ARM;
        builder.header.e_phoff = 0x34;
        for (name, kind, data) in [
            (&b".shstrtab"[..], elf::SHT_STRTAB, SectionData::SectionString),
            (b".strtab", elf::SHT_STRTAB, SectionData::String),
            (b".symtab", elf::SHT_SYMTAB, SectionData::Symbol),
        ] {
            let section = builder.sections.add();
            (section.name, section.sh_type, section.sh_addralign, section.data) = (name.into(), kind, 4, data);
        }
        // behind the headers of a dozen segments
        Self(builder, 0x200)
    }

    /// A section at `at`, stored at `stored_at`; one without contents is `bytes` of zeros that nothing stores.
    fn section(
        &mut self,
        name: &'static str,
        flags: SectionFlags,
        (at, stored_at): (u64, u64),
        contents: Result<Vec<u8>, u64>,
    ) -> SectionId {
        let section = self.0.sections.add();
        section.name = name.as_bytes().into();
        section.sh_flags = elf::SHF_ALLOC | flags;
        section.sh_addr = at;
        section.sh_addralign = 4;
        section.sh_offset = self.1;
        let bytes = match contents {
            Ok(contents) => {
                section.sh_type = elf::SHT_PROGBITS;
                let bytes = contents.len() as u64;
                section.data = SectionData::Data(contents.into());
                bytes
            }
            Err(bytes) => {
                section.sh_type = elf::SHT_NOBITS;
                section.data = SectionData::UninitializedData(bytes);
                bytes
            }
        };
        section.sh_size = bytes;
        let (id, stored) = (section.id(), if section.sh_type == elf::SHT_NOBITS { 0 } else { bytes });
        let segment = self.0.segments.add();
        (segment.p_type, segment.p_flags, segment.p_align) = (elf::PT_LOAD, elf::PF_R, 4);
        (segment.p_offset, segment.p_filesz) = (self.1, stored);
        (segment.p_vaddr, segment.p_paddr, segment.p_memsz) = (at, stored_at, bytes);
        segment.sections.push(id);
        self.1 = (self.1 + stored).next_multiple_of(4);
        id
    }

    fn symbol(&mut self, name: &'static str, section: Option<SectionId>, at: u64, bytes: u64) {
        let symbol = self.0.symbols.add();
        symbol.name = name.as_bytes().into();
        symbol.section = section;
        symbol.st_shndx = if section.is_none() { elf::SHN_ABS } else { elf::SHN_UNDEF };
        symbol.set_st_info(elf::STB_GLOBAL, if section.is_none() { elf::STT_NOTYPE } else { elf::STT_OBJECT });
        (symbol.st_value, symbol.st_size) = (at, bytes);
    }

    fn write(mut self) -> Vec<u8> {
        self.0.set_section_sizes();
        let mut bytes = Vec::new();
        self.0.write(&mut bytes).unwrap();
        bytes
    }
}

/// A firmware around `blob`: vector table, code, constants with the model among them, statics, an arena and a stack.
fn firmware(blob: &[u8]) -> Vec<u8> {
    let mut image = Image::new();
    image.section(".vector_table", SectionFlags(0), (FLASH, FLASH), Ok(vec![0xAA; VECTORS as usize]));
    let text = FLASH + VECTORS;
    image.section(".text", elf::SHF_EXECINSTR, (text, text), Ok(vec![0xBE; TEXT as usize]));
    let rodata = (text + TEXT).next_multiple_of(64);
    // the first bytes of a model that is none, as a program that looks for models has them
    let mut constants = b"FLM1".to_vec();
    constants.resize(64, 7);
    constants.extend(blob);
    let loaded = rodata + constants.len() as u64;
    image.section(".rodata", SectionFlags(0), (rodata, rodata), Ok(constants));
    image.section(".data", elf::SHF_WRITE, (RAM, loaded), Ok(vec![1; DATA as usize]));
    let bss = (RAM + DATA).next_multiple_of(64);
    let cell = arena(blob) + 64;
    let section = image.section(".bss", elf::SHF_WRITE, (bss, bss), Err(cell + COUNTERS));
    image.section(".uninit", elf::SHF_WRITE, (bss + cell + COUNTERS, 0), Err(UNINIT));
    // session, and one byte that says whether it was handed out
    image.symbol("_ZN8firmware4main3VAR17h0E", Some(section), bss, cell);
    image.symbol("COUNTERS", Some(section), bss + cell, COUNTERS);
    image.symbol("_stack_start", None, RAM + 0x1_0000, 0);
    image.symbol("_stack_end", None, RAM + 0x1_0000 - STACK, 0);
    image.write()
}

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn add(&self, name: &str, bytes: &[u8]) -> String {
        let path: PathBuf = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    }
}

fn pack(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pack")).args(args).output().expect("pack starts")
}

fn stdout(args: &[&str]) -> String {
    let output = pack(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(&[args, &["--json"]].concat())).unwrap()
}

fn failure(args: &[&str]) -> String {
    let output = pack(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    error
}

#[test]
fn sections_of_a_firmware_are_told_with_model_arena_and_stack() {
    let (files, model) = (Files::new(), blob(&SMALL));
    let elf = files.add("firmware.elf", &firmware(&model));
    let report = json(&["size", &elf]);
    let (bytes, cell) = (model.len() as u64, arena(&model) + 64);
    let sections: Vec<_> = report["sections"].as_array().unwrap().iter().collect();
    let of = |name: &str| {
        let section = sections.iter().find(|s| s["name"] == name).unwrap();
        (section["flash"].as_u64().unwrap(), section["ram"].as_u64().unwrap())
    };
    assert_eq!(sections.len(), 6);
    assert_eq!(of(".vector_table"), (VECTORS, 0));
    assert_eq!(of(".text"), (TEXT, 0));
    assert_eq!(of(".rodata"), (64 + bytes, 0));
    assert_eq!(of(".data"), (DATA, DATA), "initial values lie in flash too");
    assert_eq!(of(".bss"), (0, cell + COUNTERS));
    assert_eq!(of(".uninit"), (0, UNINIT));
    assert_eq!(report["models"][0]["bytes"], bytes);
    assert_eq!(report["models"].as_array().unwrap().len(), 1);
    assert_eq!(report["arena"]["bytes"], cell);
    assert_eq!(report["stack"]["bytes"], STACK);
    assert_eq!(report["flash"], VECTORS + TEXT + 64 + bytes + DATA);
    assert_eq!(report["code"], VECTORS + TEXT + 64 + DATA);
    assert_eq!(report["ram"], DATA + cell + COUNTERS + UNINIT + STACK);
    assert_eq!(report["statics"], DATA + COUNTERS + UNINIT);
    let plain = stdout(&["size", &elf]);
    for word in [".vector_table", "  model random", "  arena", "all RAM that statics leave"] {
        assert!(plain.contains(word), "{word}: {plain}");
    }
    let total = format!("{} {:>10}", VECTORS + TEXT + 64 + bytes + DATA, DATA + cell + COUNTERS + UNINIT + STACK);
    assert!(plain.lines().any(|l| l.starts_with("total") && l.ends_with(&total)), "{plain}");
}

#[test]
fn every_model_is_weighed_with_the_firmwares_own_left_out() {
    let files = Files::new();
    let (own, other) = (blob(&SMALL), blob(&ModelConfig { layers: 9, d_ffn: 256, ..SMALL }));
    let elf = files.add("firmware.elf", &firmware(&own));
    let (a, b) = (files.add("a.flm", &own), files.add("b.flm", &other));
    let report = json(&["fit", &a, &b, "--elf", &elf]);
    for (i, (name, blob)) in [("a", &own), ("b", &other)].into_iter().enumerate() {
        let model = &report["models"][i];
        // both are called "random", so their files tell them apart
        assert_eq!(model["name"], name);
        assert_eq!(model["flash"]["model"], blob.len());
        assert_eq!(model["flash"]["total"], blob.len() as u64 + VECTORS + TEXT + 64 + DATA);
        assert_eq!(model["ram"]["arena"], arena(blob));
        assert_eq!(model["ram"]["total"], arena(blob) + DATA + COUNTERS + UNINIT + STACK);
        assert_eq!(model["chips"].as_array().unwrap().len(), 6);
    }
    // the model's own firmware needs what its ELF takes, but for the cell around the arena
    let ram = json(&["size", &elf])["ram"].as_u64().unwrap();
    assert_eq!(report["models"][0]["ram"]["total"], ram - 64);
    let given = json(&["fit", &a, "--elf", &elf, "--stack", "1234"]);
    assert_eq!(given["models"][0]["ram"]["stack"], 1234);
    assert!(given["notes"].to_string().contains("1234 bytes (--stack)"));
    let chunk = json(&["fit", &a, "--prefill", "16"]);
    assert_eq!(chunk["models"][0]["ram"]["arena"], arena_lines(&own, 16) * 64);
}

#[test]
fn what_is_short_is_told_for_each_chip() {
    let files = Files::new();
    // 2.8 MB, as the full supernova: too much for chips of 1 and 2 MB of flash
    let large = ModelConfig { d_model: 256, layers: 11, d_ffn: 704, ..SMALL };
    let model = blob(&large);
    assert!((2100 << 10..4000 << 10).contains(&model.len()), "{}", model.len());
    let path = files.add("large.flm", &model);
    let report = json(&["fit", &path]);
    let chips = report["models"][0]["chips"].as_array().unwrap();
    for chip in chips {
        let (flash, need) = (chip["flash"].as_u64().unwrap(), model.len() as u64);
        assert_eq!(chip["fits"], need <= flash, "{chip}");
        assert_eq!(chip["short_flash"], need.saturating_sub(flash));
        assert_eq!(chip["short_ram"], 0);
    }
    assert_eq!(chips.iter().filter(|c| c["fits"] == false).count(), 2);
    let markdown = stdout(&["fit", &path, "--markdown"]);
    let short = format!("no: {} KiB short of flash", (model.len() - (1 << 20)).div_ceil(1024));
    let row = markdown.lines().find(|l| l.starts_with("| nRF5340")).unwrap();
    assert!(row.ends_with(&format!("| {short} |")), "{row}");
    assert!(markdown.contains("Code, statics and stack are not counted"));
    let columns = |l: &str| l.matches('|').count();
    assert!(markdown.lines().take(10).all(|l| columns(l) == 6), "{markdown}");
    let plain = stdout(&["fit", &path]);
    assert!(plain.contains(&short) && plain.contains("Cortex-M55"), "{plain}");
}

#[test]
fn a_firmware_that_tells_less_is_counted_whole_and_says_so() {
    let (files, model) = (Files::new(), blob(&SMALL));
    let path = files.add("small.flm", &model);
    let mut image = Image::new();
    image.section(".text", elf::SHF_EXECINSTR, (FLASH, FLASH), Ok(vec![0; 100]));
    image.section(".bss", elf::SHF_WRITE, (RAM, RAM), Err(3000));
    // code that is copied to RAM takes both
    image.section(".ramfunc", elf::SHF_EXECINSTR, (RAM + 3000, FLASH + 100), Ok(vec![0; 40]));
    let elf = files.add("plain.elf", &image.write());
    let report = json(&["fit", &path, "--elf", &elf]);
    assert_eq!(report["models"][0]["flash"]["code"], 140);
    assert_eq!(report["models"][0]["ram"]["total"], arena(&model) + 3040);
    let notes = report["notes"].to_string();
    assert!(notes.contains("holds no model") && notes.contains("does not tell its stack"), "{notes}");
    assert!(stdout(&["size", &elf]).contains("does not tell its stack"));
}

#[test]
fn what_is_no_firmware_or_no_model_is_refused() {
    let (files, model) = (Files::new(), blob(&SMALL));
    let path = files.add("small.flm", &model);
    let whole = firmware(&model);
    let text = files.add("notes.txt", b"These are notes, not a program, whatever they are called.");
    assert!(failure(&["size", &text]).contains("notes.txt: expected an ELF file"));
    assert!(failure(&["size", &path]).contains("small.flm: expected an ELF file"));
    assert!(failure(&["size", "/nowhere.elf"]).contains("/nowhere.elf: expected a readable ELF file"));
    assert!(failure(&["fit", &path, "--elf", &text]).contains("expected an ELF file"));
    assert!(failure(&["fit", &text]).contains("notes.txt"));
    let empty = files.add("empty.elf", &Image::new().write());
    assert!(failure(&["size", &empty]).contains("no section that takes memory"));
    let mut object = Image::new();
    object.0.header.e_type = elf::ET_REL;
    assert!(failure(&["size", &files.add("a.o", &object.write())]).contains("expected a linked program"));
    for keep in (0..whole.len()).step_by(whole.len() / 37) {
        let error = failure(&["size", &files.add("cut.elf", &whole[..keep])]);
        assert!(error.contains("cut.elf: ") && !error.contains("panicked"), "{keep}: {error}");
    }
    assert_eq!(pack(&["fit"]).status.code(), Some(2), "a model is needed");
    assert_eq!(pack(&["fit", &path, "--stack", "9"]).status.code(), Some(2), "a stack is part of a firmware");
}
