#!/usr/bin/env bash
# The first ten minutes of somebody with a chip. Makes a new crate outside this repository, with `flashlm-core` as a
# dependency and the README's lines pasted into it; builds it as cargo does without a word, for debugging and for
# release; runs both on an emulated Cortex-M7 with 64 KB of RAM; and holds the story against the one that `flashlm`
# tells on this machine. Then takes half of the stack away, which has to be noticed. Needs qemu-system-arm.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD target=thumbv7em-none-eabihf
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

echo "--- the story on this machine"
told=$(cargo run --quiet --release -p runtime-desktop -- generate -p '' --temp 0.8 --seed 1 -n 1000)
echo "$told"
rustup target list --installed | grep -qx "$target" || rustup target add "$target"

echo "--- a new crate"
# what was built before is of use, where the caller has a place for it
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}/firsthour-embedded
cargo new --quiet --vcs none --name storyteller "$new/storyteller"
cd "$new/storyteller"
cargo add --quiet --path "$root/core"
cargo add --quiet static_cell cortex-m-semihosting
cargo add --quiet cortex-m --features critical-section-single-core
cargo add --quiet cortex-m-rt --features paint-stack
mkdir .cargo
# the chip: its memories, and how to build for it and run on it
cp "$root/tests/firsthour/embedded/memory.x" .
cp "$root/tests/firsthour/embedded/.cargo/config.toml" .cargo/
cp "$root/models/supernova.flm" model.flm
# The README's lines, word for word, between what makes them a program; the latter is that of the crate in the tree.
program=$root/tests/firsthour/embedded/src/main.rs
{
  sed '/^\/\/ README {$/,$d' "$program"
  sed -n '/^## Embedding a model in firmware$/,/^## /p' "$root/README.md" |
    sed -n '/^```rust$/,/^```$/p' | sed '/^```/d'
  sed '1,/^\/\/ }$/d' "$program"
} >src/main.rs
grep -q '^fn tell' src/main.rs || fail "found no function tell in the README's lines"

for profile in dev release; do
  echo "--- $profile, on the chip"
  cargo build --quiet --profile "$profile"
  found=$(timeout 240 cargo run --quiet --profile "$profile" </dev/null) || fail "$profile: ended with $? after: $found"
  [[ $found == "$told" ]] || fail "$profile: another story: $found"
  echo "the same story"
done

echo "--- a debug build with half of the stack"
sed -i 's/LENGTH = 20K/LENGTH = 10K/; s/ORIGIN = 0x20000000,/ORIGIN = 0x20002800,/' memory.x
grep -q 'STACK : ORIGIN = 0x20002800, LENGTH = 10K' memory.x || fail "memory.x has another stack than expected"
# the linker's script is none of the files that cargo looks at
touch src/main.rs
cargo build --quiet
if found=$(timeout 240 cargo run --quiet </dev/null 2>&1); then
  fail "a stack of 10 KB was too small and nobody noticed: $found"
fi
echo "noticed"
