#!/usr/bin/env bash
# Builds the firmware of the boards one can buy, checks that it fits beside its model, and makes what is written to
# them: pico2.uf2 to drag over, nucleo-h743.bin for a probe, and a model for each. Nothing was ever run on hardware.
#
# bash firmware-boards/images.sh [FOLDER]     default: target/boards
set -euo pipefail
out=$(realpath -m "${1:-$(dirname "$0")/../target/boards}")
cd "$(dirname "$0")/.."
mkdir -p "$out"
# the console's stack takes 10 KB on the emulated boards; embassy's interrupts take some more
least_stack=32768

fail() {
  echo "FAILED: $*"
  exit 1
}

image() { # board, target, ending of its image
  local board=$1 target=$2 to=$out/$1.$3 elf size stack
  elf=firmware-boards/target/$target/release/flashlm-$board
  rustup target list --installed | grep -qx "$target" || rustup target add "$target"
  # in its folder, whose configuration names the chip; what does not fit its memories does not link
  (cd "firmware-boards/$board" && cargo build --release --locked)
  size=$(target/release/pack size "$elf")
  printf -- '--- %s\n%s\n' "$board" "$size"
  ! grep -q '^  model ' <<<"$size" || fail "$board: a model is linked into the firmware"
  stack=$(sed -nE 's/^stack +([0-9]+)$/\1/p' <<<"$size")
  ((stack >= least_stack)) || fail "$board: expected $least_stack bytes for the stack, found $stack"
  target/release/pack flash "$elf" --board "$board" -o "$to"
}

cargo build --quiet --release -p pack
image pico2 thumbv8m.main-none-eabihf uf2
image nucleo-h743 thumbv7em-none-eabihf bin
# the model built into flashlm; and a small one for the Nucleo, which has no room for it
target/release/pack flash models/supernova.flm --board pico2 -o "$out/pico2-model.uf2"
target/release/pack flash results/babi.flm --board nucleo-h743 -o "$out/nucleo-h743-model.bin"
ls -l "$out"
