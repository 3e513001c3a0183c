//! What the house asks of its own text, where no tool asks it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The tree's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder around the tests")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lint tables of a manifest, comments apart, as a workspace's.
fn lints(manifest: &str) -> Vec<String> {
    let text = read(manifest).replace("\n[lints.", "\n[workspace.lints.");
    let table = |line: &&str| line.starts_with("[workspace.lints.");
    let mut inside = false;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let kept = lines.filter(|line| {
        if line.starts_with('[') {
            inside = table(line);
        }
        inside
    });
    kept.map(str::to_owned).collect()
}

#[test]
fn workspaces_apart_and_core_have_the_same_lints() {
    let all = lints("Cargo.toml");
    assert!(all.len() > 30, "{all:?}");
    let apart = ["bindings/python", "core", "firmware-boards", "firmware-example", "fuzz", "tests/firsthour/embedded"];
    for apart in apart.map(|folder| format!("{folder}/Cargo.toml")) {
        assert_eq!(lints(&apart), all, "{apart}");
    }
}

/// Keys and values of a table of a manifest.
fn table(manifest: &str, name: &str) -> BTreeMap<String, String> {
    let text = read(manifest);
    let lines = text.lines().skip_while(|line| *line != format!("[{name}]")).skip(1);
    let pairs = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn core_stands_alone_and_says_what_the_workspace_says() {
    let inherits = |line: &&str| line.contains("workspace = true");
    assert_eq!(read("core/Cargo.toml").lines().find(inherits), None, "core/Cargo.toml leans on the workspace");
    let (own, all) = (table("core/Cargo.toml", "package"), table("Cargo.toml", "workspace.package"));
    assert!(all.len() >= 4, "{all:?}");
    for (key, value) in &all {
        assert_eq!(own.get(key), Some(value), "core/Cargo.toml: {key}");
    }
    let all = table("Cargo.toml", "workspace.dependencies");
    assert!(all["flashlm-core"].contains(&format!("version = {}", own["version"])), "{}", all["flashlm-core"]);
    for name in ["dependencies", "dev-dependencies"] {
        // what is optional is core's alone
        for (key, value) in table("core/Cargo.toml", name).iter().filter(|(_, value)| !value.contains("optional")) {
            assert_eq!(Some(value), all.get(key), "core/Cargo.toml: {key}");
        }
    }
    for file in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert_eq!(read(&format!("core/{file}")), read(file), "core/{file}");
    }
    let golden = format!("tests/golden/version-{}.flm", flashlm_core::blob::VERSION);
    let bytes = |path: &str| fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(bytes("core/tiny.flm") == bytes(&golden), "core/tiny.flm is another model than {golden}");
}

#[test]
fn the_readme_shows_lines_of_a_program_that_is_run() {
    let (page, program) = (read("README.md"), read("tests/firsthour/embedded/src/main.rs"));
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from:?}"));
        rest.split_once(to).unwrap_or_else(|| panic!("no {to:?} after {from:?}")).0.to_owned()
    };
    assert_eq!(between(&page, "```rust\n", "```\n"), between(&program, "\n// README {\n", "// }\n"));
}

/// Files of a folder and below whose names end in one of `ends`, but for what is built or cached.
fn files(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the tree") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if path.is_dir() {
            if !matches!(name, "target" | "out" | "venv" | "corpus" | "artifacts")
                && (name == ".ci" || !name.starts_with('.'))
            {
                files(&path, ends, found);
            }
        } else if ends.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

/// The design's sections in their order: the number and title, and the name they have in `flashlm_core::design`.
fn sections() -> Vec<(String, String)> {
    let text = read("core/src/design.rs");
    let lines: Vec<&str> = text.lines().collect();
    let sections = lines.windows(2).filter_map(|pair| {
        let name = pair[1].strip_prefix("pub mod ")?.strip_suffix(" {}")?;
        Some((pair[0].strip_prefix("/// ")?.to_owned(), name.to_owned()))
    });
    sections.collect()
}

#[test]
fn the_design_has_the_sections_that_documentation_cites() {
    let titles: Vec<String> = sections().into_iter().map(|(title, _)| title).collect();
    let page = read("docs/DESIGN.md");
    let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(titles, headings);
}

#[test]
fn a_cited_section_is_the_one_that_its_link_leads_to() {
    let mut sources = Vec::new();
    files(root(), &[".rs"], &mut sources);
    let mut cited = 0;
    for path in sources.iter().filter(|path| !path.ends_with("tests/house.rs")) {
        let text = fs::read_to_string(path).expect("a source");
        for (at, citation) in text.match_indices("DESIGN section ") {
            let rest = &text[at + citation.len()..];
            let number = &rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())];
            let section = sections().into_iter().find(|(title, _)| title.starts_with(&format!("{number}. ")));
            let Some((_, name)) = section else { panic!("{}: there is no section {number}", path.display()) };
            let link = rest[number.len()..].strip_prefix("](").and_then(|link| link.split(')').next());
            let leads = link.is_some_and(|link| link.ends_with(&format!("design::{name}")));
            assert!(leads, "{}: section {number} is cited without a link to design::{name}", path.display());
            cited += 1;
        }
    }
    assert!(cited >= 4, "only {cited} citations");
}

#[test]
fn lines_have_at_most_120_columns() {
    let mut sources = Vec::new();
    files(root(), &[".rs", ".sh"], &mut sources);
    sources.push(root().join(".ci/run"));
    assert!(sources.len() > 200, "only {} files", sources.len());
    let mut wide = Vec::new();
    for path in sources {
        let text = fs::read_to_string(&path).expect("a source");
        for (number, line) in text.lines().enumerate() {
            // a row of a table cannot be broken
            if line.chars().count() > 120 && !line.trim_start().starts_with("//! |") {
                wide.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "{wide:#?}");
}

/// Kinds of the first imports of a source in their order, with a blank where an empty line parts them: `s` for the
/// standard library's, `x` for other crates', `z` for this one's. Public ones and macros' names are not among them.
fn imports(text: &str) -> String {
    let mut kinds = String::new();
    let mut item = String::new();
    for line in text.lines() {
        if item.is_empty() && !line.starts_with("use ") {
            match line {
                "" if kinds.is_empty() || kinds.ends_with(' ') => {}
                "" => kinds.push(' '),
                _ if kinds.is_empty() || line.starts_with("#[") => {}
                _ => break,
            }
            continue;
        }
        item += line;
        if item.ends_with(';') {
            match item["use ".len()..].split("::").next() {
                Some("std" | "core" | "alloc") => kinds.push('s'),
                Some("crate" | "self" | "super") => kinds.push('z'),
                Some(name) if !name.ends_with(';') => kinds.push('x'),
                _ => {}
            }
            item.clear();
        }
    }
    kinds.trim_end().to_owned()
}

#[test]
fn imports_stand_in_three_groups() {
    assert_eq!(imports("use core::fmt;\n\nuse serde::{\n    A,\n};\nuse serde::B;\n\nuse super::*;\n"), "s xx z");
    let mut sources = Vec::new();
    files(root(), &[".rs"], &mut sources);
    let mut mixed = Vec::new();
    for path in sources {
        let kinds = imports(&fs::read_to_string(&path).expect("a source"));
        let groups: Vec<&str> = kinds.split(' ').filter(|group| !group.is_empty()).collect();
        let alike = groups.iter().all(|group| group.chars().all(|kind| group.starts_with(kind)));
        if !alike || !groups.is_sorted_by(|a, b| a.as_bytes()[0] < b.as_bytes()[0]) {
            mixed.push(format!("{}: {kinds}", path.display()));
        }
    }
    assert!(mixed.is_empty(), "{mixed:#?}");
}
