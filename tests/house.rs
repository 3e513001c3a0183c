//! What the house asks of its own text, where no tool asks it.

use std::fs;
use std::path::Path;

/// The tree's root.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder around the tests")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The lint tables of a manifest, comments apart.
fn lints(manifest: &str) -> Vec<String> {
    let text = read(manifest);
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
fn workspaces_apart_have_the_same_lints() {
    let all = lints("Cargo.toml");
    assert!(all.len() > 30, "{all:?}");
    for apart in ["firmware-example/Cargo.toml", "fuzz/Cargo.toml"] {
        assert_eq!(lints(apart), all, "{apart}");
    }
}
