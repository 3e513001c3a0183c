#!/usr/bin/env bash
# Builds the firmware, runs it on an emulated Cortex-M7 and compares its story with the desktop's: they must be the same.
set -euo pipefail
cd "$(dirname "$0")"
rustup target list --installed | grep -qx thumbv7em-none-eabihf || rustup target add thumbv7em-none-eabihf
cargo build --release
elf=target/thumbv7em-none-eabihf/release/firmware-example
on_chip=$(timeout 300 qemu-system-arm -machine mps2-an500 -display none -serial stdio -monitor none \
  -semihosting-config enable=on,target=native -kernel "$elf" | tr -d '\r')
echo "firmware: $on_chip"
# from the root: the configuration here would build it for the chip
on_desktop=$(cd .. && cargo run --quiet --release -p runtime-desktop -- generate -p "Once upon a time" -n 40 --temp 0 --seed 1)
echo "desktop:  $on_desktop"
[[ $on_chip == "$on_desktop" ]] || { echo "FAILED: the firmware tells another story than the desktop"; exit 1; }
echo "the same story on both"
