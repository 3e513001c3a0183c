#!/usr/bin/env bash
# flashlm-core as somebody else's dependency: copied out of this repository, it builds and passes its tests and
# examples; built for chips, it finds Arm's DSP extension or asks for it; and cargo would publish it as it is. Needs the
# registry that dependencies come from, and the targets of rust-toolchain.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/package
away=$(mktemp -d)
trap 'rm -rf "$away"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

cp -r core "$away/core"
# in the repository it is rustup that reads this
cp rust-toolchain.toml "$away"
cd "$away/core"
echo "--- built, tested and documented elsewhere"
cargo build --quiet
# as the workspace builds for tests, which run real products
export CARGO_PROFILE_DEV_OPT_LEVEL=2
cargo test --quiet
cargo test --quiet --features std --doc
unset CARGO_PROFILE_DEV_OPT_LEVEL
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps --features std

echo "--- for chips"
cargo build --quiet --target thumbv7em-none-eabihf --features defmt
# what the build script decided, by the conditions it sets
decided() { # rustc's flags, features
  touch build.rs
  RUSTFLAGS=$1 cargo build --verbose --target thumbv8m.main-none-eabihf --features "$2" 2>&1 |
    sed -nE 's/.*--crate-name flashlm_core .*/&/p' | grep -o -- '--cfg arm_dsp' || true
}
[[ $(decided '' dsp) ]] || fail "the feature dsp is without effect"
[[ $(decided '-C target-cpu=cortex-m33' '') ]] || fail "a Cortex-M33 has no DSP extension"
[[ ! $(decided '' no-dsp) ]] || fail "the feature no-dsp is without effect"
[[ ! $(decided '-C target-cpu=cortex-m33 -C target-feature=-dsp' '') ]] || fail "-dsp is without effect"
if said=$(cargo build --target thumbv8m.main-none-eabihf 2>&1); then
  fail "built for Armv8-M without a word about DSP"
fi
grep -q 'use the feature `dsp`' <<<"$said" || fail "no word about DSP, but: $said"

echo "--- published, but for the upload"
cd "$root"
cargo publish --quiet --dry-run --allow-dirty -p flashlm-core
cargo package --list --allow-dirty -p flashlm-core | grep -qx LICENSE-APACHE || fail "the package has no licence"
echo "ok"
