//! Puts the board's `memory.x` where the linker looks for it.

use std::env;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let boards = ["mps2-an500", "mps2-an386"];
    let chosen = |board: &&&str| {
        let feature = board.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
    };
    let [board] = boards.iter().filter(chosen).collect::<Vec<_>>()[..] else {
        println!("cargo::error=choose exactly one board as a feature: {}", boards.join(" or "));
        return Ok(());
    };
    let memory = format!("boards/{board}.x");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::copy(&memory, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={memory}");
    println!("cargo::rerun-if-changed=../runtime-desktop/models/default.flm");
    Ok(())
}
