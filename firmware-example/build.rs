//! Puts the board's `memory.x` where the linker looks for it, and finds the model: the file that the variable
//! FLASHLM_MODEL names or, as `flashlm -m` takes it, the one in `models` of that name; `supernova` without it.

use std::env;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let boards = ["mps2-an500", "mps2-an386", "virt"];
    let chosen = |board: &&&str| {
        let feature = board.to_uppercase().replace('-', "_");
        env::var_os(format!("CARGO_FEATURE_{feature}")).is_some()
    };
    let [board] = boards.iter().filter(chosen).collect::<Vec<_>>()[..] else {
        println!("cargo::error=choose exactly one board as a feature: {}", boards.join(", "));
        return Ok(());
    };
    let memory = format!("boards/{board}.x");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    std::fs::copy(&memory, out.join("memory.x"))?;
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed={memory}");

    let asked = env::var_os("FLASHLM_MODEL").map_or("supernova".into(), PathBuf::from);
    let named = PathBuf::from(format!("../models/{}.flm", asked.display()));
    let Ok(model) = named.canonicalize().or_else(|_| asked.canonicalize()) else {
        println!("cargo::error=expected a model file (.flm) or a name in models/, found none at {}", asked.display());
        return Ok(());
    };
    println!("cargo::rustc-env=FLASHLM_MODEL={}", model.display());
    println!("cargo::rerun-if-changed={}", model.display());
    println!("cargo::rerun-if-env-changed=FLASHLM_MODEL");
    Ok(())
}
