//! Tells the crate about Arm's DSP extension, which stable Rust shows in no `cfg(target_feature)`, and whether it is
//! optimised.
//!
//! Armv7E-M (`thumbv7em-*`: Cortex-M4, M7) always has it. In Armv8-M Mainline (`thumbv8m.main-*`: Cortex-M33, M35P,
//! M55, M85) it is the chip maker's choice, which the target's name does not tell. There it is looked for in rustc's
//! flags, where it counts for the compiler's own code, too, and then the cargo feature `dsp` promises it or `no-dsp`
//! does without; with none of these the build fails, for plain Rust would be many times slower and nobody would know.
//! On every other target the features change nothing.

use std::env;

/// What `-C target-cpu` and `-C target-feature` say of the extension; the later flag counts, and nothing is `None`.
fn flags_say(flags: &str) -> Option<bool> {
    // they are separated by 0x1F; a flag's value may stand in the next one or, without a blank, in the same
    let words: Vec<&str> = flags.split('\x1f').collect();
    let mut cpu = None;
    let mut feature = None;
    for (i, word) in words.iter().enumerate() {
        let codegen = match word.strip_prefix("-C").or_else(|| word.strip_prefix("--codegen=")) {
            Some("") => words.get(i + 1).copied().unwrap_or_default(),
            Some(value) => value,
            None if *word == "--codegen" => words.get(i + 1).copied().unwrap_or_default(),
            None => continue,
        };
        if let Some(name) = codegen.strip_prefix("target-cpu=") {
            // LLVM's models of these have it unless told otherwise, and then use it
            cpu = matches!(name, "cortex-m33" | "cortex-m35p" | "cortex-m52" | "cortex-m55" | "cortex-m85")
                .then_some(true);
        } else if let Some(list) = codegen.strip_prefix("target-feature=") {
            for one in list.split(',') {
                feature = match one {
                    "+dsp" => Some(true),
                    "-dsp" => Some(false),
                    _ => feature,
                };
            }
        }
    }
    feature.or(cpu)
}

fn main() {
    println!("cargo::rustc-check-cfg=cfg(arm_dsp, arm_v8m, unoptimized)");
    // given by `.ci/run doc`, for `design`
    println!("cargo::rustc-check-cfg=cfg(flashlm_design)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    let variable = |name| env::var(name).unwrap_or_default();
    let target = variable("TARGET");
    let feature = |name| env::var_os(name).is_some();
    // Inlined without being optimised, each call of a function takes memory of its own on the caller's stack: a debug
    // build would need a half more of it, and most chips have no guard below.
    if variable("OPT_LEVEL") == "0" {
        println!("cargo::rustc-cfg=unoptimized");
    }
    let armv8m = target.starts_with("thumbv8m.main-");
    if armv8m {
        println!("cargo::rustc-cfg=arm_v8m");
    }
    let has_dsp = if target.starts_with("thumbv7em-") {
        true
    } else if armv8m {
        let said = flags_say(&variable("CARGO_ENCODED_RUSTFLAGS"));
        if said.is_none() && !feature("CARGO_FEATURE_DSP") && !feature("CARGO_FEATURE_NO_DSP") {
            println!(
                "cargo::error=flashlm-core cannot tell whether this {target} chip has Arm's DSP extension. If it has \
                 (RP2350, STM32H5, nRF5340, nRF9160 and most others), use the feature `dsp` of flashlm-core or \
                 rustflags with `-C target-cpu=cortex-m33`; if not, the feature `no-dsp`, which is many times slower"
            );
        }
        said.unwrap_or(feature("CARGO_FEATURE_DSP"))
    } else {
        false
    };
    if has_dsp {
        println!("cargo::rustc-cfg=arm_dsp");
    }
}
