//! The hand-written header against the declarations that cbindgen makes of the Rust code: a C compiler sees both.

use std::fmt::Write;
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use cbindgen::{Builder, Config, ExportConfig, ItemType, Language, Style};
use flashlm::{Flashlm, MAX_PIECE, Options, Stats, Status, VERSION};

/// Prototypes of all exported functions, with the header's names of the types.
fn prototypes() -> String {
    let names = [("Flashlm", "flashlm"), ("Options", "flashlm_options"), ("Stats", "flashlm_statistics")];
    let rename = names.iter().map(|(rust, c)| (rust.to_string(), c.to_string())).collect();
    let config = Config {
        language: Language::C,
        style: Style::Type,
        no_includes: true,
        export: ExportConfig { item_types: vec![ItemType::Functions], rename, ..ExportConfig::default() },
        ..Config::default()
    };
    let mut text = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    Builder::new().with_crate(root).with_config(config).generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

fn compile(folder: &Path, name: &str, text: &str) -> (bool, String) {
    let file = folder.join(name);
    fs::write(&file, text).unwrap();
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wredundant-decls", "-fsyntax-only", "-I"];
    let warned = flags.into_iter().filter(|&flag| flag != "-Wredundant-decls");
    let output = Command::new("cc").args(warned).arg(include).arg(&file).output().expect("a C compiler");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_header_declares_what_the_library_has() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let prototypes = prototypes();
    let functions = prototypes.matches("flashlm_").count()
        - prototypes.matches("flashlm_options").count()
        - prototypes.matches("flashlm_statistics").count();
    let header = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/flashlm.h")).unwrap();
    let declared = header
        .lines()
        .filter(|line| line.ends_with(");") && line.contains(" flashlm_") || line.contains(" *flashlm_message("))
        .count();
    assert_eq!(declared, functions, "functions of the header and of the library:\n{prototypes}");

    // a function declared twice, in other ways, is an error
    let both = format!("#include \"flashlm.h\"\n{prototypes}");
    let (fine, errors) = compile(folder, "both.c", &both);
    assert!(fine, "{errors}\n{prototypes}");
    let (fine, _) = compile(folder, "other.c", &both.replacen("uint32_t passes", "uint64_t passes", 1));
    assert!(!fine, "another type goes unnoticed");
}

#[test]
fn the_header_says_sizes_places_and_numbers_as_they_are() {
    let mut c = String::from("#include \"flashlm.h\"\n");
    let mut hold = |claim: String| writeln!(c, "_Static_assert({claim}, \"{claim}\");").unwrap();
    hold(format!("FLASHLM_VERSION == {VERSION}"));
    hold(format!("FLASHLM_PIECE == {}", MAX_PIECE + 1));
    hold(format!("FLASHLM_ALIGNMENT == {}", align_of::<Flashlm>()));
    hold(format!("sizeof(flashlm_options) == {}", size_of::<Options>()));
    hold(format!("sizeof(flashlm_statistics) == {}", size_of::<Stats>()));
    macro_rules! places {
        ($c:literal, $rust:ty, $($field:ident),+) => {
            $(hold(format!("offsetof({}, {}) == {}", $c, stringify!($field), offset_of!($rust, $field)));)+
        };
    }
    places!("flashlm_options", Options, seed, temperature, top_p, min_p, repetition_penalty, top_k);
    places!("flashlm_statistics", Stats, prompt_tokens, tokens, passes);
    let statuses = [
        ("OK", Status::Ok),
        ("END", Status::End),
        ("NULL", Status::Null),
        ("MISALIGNED", Status::Alignment),
        ("MEMORY", Status::Memory),
        ("MODEL", Status::Model),
        ("TEXT", Status::Text),
        ("HANDLE", Status::Handle),
        ("DEPTH", Status::Depth),
        ("OPTION", Status::Option),
        ("CAPACITY", Status::Capacity),
        ("NOT_BEGUN", Status::NotBegun),
    ];
    let unknown = Status::message(99);
    for (name, status) in statuses {
        hold(format!("FLASHLM_{name} == {}", status.code()));
        assert_ne!(Status::message(status.code()), unknown, "{status:?} has a message");
    }
    let (fine, errors) = compile(Path::new(env!("CARGO_TARGET_TMPDIR")), "numbers.c", &c);
    assert!(fine, "{errors}");
}
