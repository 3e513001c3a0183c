//! No circles among the modules of a crate: whoever reads one finds all that it stands on below it.
//!
//! Modules are files, and what a file uses is in its `use` lines (tests' apart). A module may use its own ancestors: a
//! folder's `mod.rs` often says what its files have in common. `cargo modules dependencies --lib` draws the same graph;
//! its `--acyclic` also takes a type and its own methods for a circle, so that no crate with methods passes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// Files of a folder and below, with their modules' paths, `a::b` for `a/b.rs` and `a/b/mod.rs`; the root is "".
fn modules(dir: &Path, path: &str, found: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(dir).expect("a folder of sources") {
        let file = entry.expect("an entry").path();
        let name = file.file_stem().and_then(|n| n.to_str()).expect("a name").to_owned();
        let child = if path.is_empty() { name.clone() } else { format!("{path}::{name}") };
        if file.is_dir() {
            modules(&file, &child, found);
        } else if file.extension().is_some_and(|e| e == "rs") && !matches!(&*name, "tests" | "main") {
            let module = if matches!(&*name, "mod" | "lib") { path.to_owned() } else { child };
            found.insert(module, file);
        }
    }
}

/// Paths that a file's `use` items name, braces written out, without what follows its tests' module.
fn uses(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut all = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let begins_a_line = rest[..at].rsplit('\n').next().is_some_and(|l| {
            l.trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ")
                .trim()
                .is_empty()
        });
        let end = rest[at..].find(';').map_or(rest.len(), |end| at + end);
        if begins_a_line {
            expand("", &rest[at + 4..end].split_whitespace().collect::<Vec<_>>().join(" "), &mut all);
            rest = &rest[end..];
        } else {
            rest = &rest[at + 4..];
        }
    }
    all
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expand(prefix: &str, tree: &str, all: &mut Vec<String>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let name = tree.split(" as ").next().unwrap_or_default().trim();
        if !name.is_empty() {
            all.push(format!("{prefix}{name}"));
        }
        return;
    };
    let inner = &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())];
    let prefix = format!("{prefix}{}", &tree[..open]);
    let (mut depth, mut start) = (0, 0);
    for (i, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..i], all);
                start = i + 1;
            }
            _ => {}
        }
    }
}

/// The module that a path of `from` leads to, if into this crate.
fn resolve(from: &str, path: &str, known: &BTreeMap<String, PathBuf>) -> Option<String> {
    let mut at: Vec<&str> = from.split("::").filter(|p| !p.is_empty()).collect();
    let mut parts = path.split("::").map(str::trim).peekable();
    match *parts.peek()? {
        "crate" => at.clear(),
        "self" | "super" => {}
        first => {
            at.push(first);
            let child = at.join("::");
            known.contains_key(&child).then_some(())?;
            at.pop();
        }
    }
    let mut best = None;
    for part in parts {
        match part {
            "crate" | "self" => {}
            "super" => {
                at.pop();
            }
            name => at.push(name),
        }
        if let Some((module, _)) = known.get_key_value(&at.join("::")) {
            best = Some(module.clone());
        }
    }
    best
}

fn graph(src: &Path) -> Graph {
    let mut known = BTreeMap::new();
    modules(src, "", &mut known);
    let edges = known.iter().map(|(module, file)| {
        let text = fs::read_to_string(file).expect("a source");
        let to = uses(&text).into_iter().filter_map(|path| resolve(module, &path, &known));
        let ancestor = |to: &String| to.is_empty() || module == to || module.starts_with(&format!("{to}::"));
        (module.clone(), to.filter(|to| !ancestor(to)).collect())
    });
    edges.collect()
}

/// A circle, if there is one: what remains when modules that use nothing that remains are taken away, and those that
/// nothing uses that remains.
fn circle(graph: &Graph) -> Graph {
    let mut left = graph.clone();
    loop {
        let used: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        left.retain(|module, to| !to.is_empty() && used.contains(module));
        let modules: BTreeSet<String> = left.keys().cloned().collect();
        left.values_mut().for_each(|to| to.retain(|m| modules.contains(m)));
        if left.len() == before {
            return left;
        }
    }
}

#[test]
fn modules_of_core_host_and_trainer_have_no_circles() {
    for (name, at_least) in [("core", 40), ("tools/host", 4), ("trainer", 100)] {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        let graph = graph(&src);
        assert!(graph.len() >= at_least && graph.values().flatten().count() > graph.len() / 2, "{name}: {graph:?}");
        let circle = circle(&graph);
        assert!(circle.is_empty(), "{name}: these use one another, or what does: {circle:#?}");
    }
}

#[test]
fn a_circle_is_found_and_paths_are_read_as_the_compiler_does() {
    let dir = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    };
    write("lib.rs", "mod a;\nmod b;\npub use a::{self, x::Thing};\n");
    write("a/mod.rs", "mod x;\nuse x::Thing;\n");
    write("a/x.rs", "use super::Common;\npub(crate) use crate::b::{Other as O,\n    deep::{One, Two}};\n");
    write("b.rs", "#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n");
    let found = graph(dir.path());
    let edges = |module: &str| found[module].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(
        (edges(""), edges("a"), edges("a::x"), edges("b")),
        (vec!["a", "a::x"], vec!["a::x"], vec!["b"], vec![])
    );
    assert!(circle(&found).is_empty());
    write("b.rs", "use super::a::x::Thing;\n");
    assert_eq!(circle(&graph(dir.path())).keys().collect::<Vec<_>>(), ["a::x", "b"]);
}
