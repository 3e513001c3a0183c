//! Tells the crate about Arm's DSP extension, which stable Rust shows in no `cfg(target_feature)`.
//!
//! Armv7E-M (`thumbv7em-*`: Cortex-M4, M7) always has it. In Armv8-M Mainline (`thumbv8m.main-*`: Cortex-M33, M35P,
//! M55, M85) it is the chip maker's choice, which the target's name does not tell: there the cargo feature `dsp`
//! promises it. On every other target the feature changes nothing.

use std::env;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(arm_dsp)");
    // given by `.ci/run doc`, for `design`
    println!("cargo::rustc-check-cfg=cfg(flashlm_design)");
    println!("cargo::rerun-if-changed=build.rs");
    let target = env::var("TARGET").unwrap_or_default();
    let promised = env::var_os("CARGO_FEATURE_DSP").is_some();
    if target.starts_with("thumbv7em-") || (target.starts_with("thumbv8m.main-") && promised) {
        println!("cargo::rustc-cfg=arm_dsp");
    }
}
