#!/usr/bin/env bash
# Core's own tests, and those of the trainer's products, on AArch64, on processors with and without the dot-product
# extension; core's on WebAssembly with and without vectors. Needs what run.sh needs, and the target wasm32-wasip1.
set -euo pipefail
cd "$(dirname "$0")/../.."
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_WASM32_WASIP1_RUNNER="node --no-warnings $PWD/tests/targets/wasi.mjs"
for cpu in cortex-a53 max; do
  printf 'aarch64, %s\n' "$cpu"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $cpu -L /usr/aarch64-linux-gnu"
  cargo test --quiet -p flashlm-core --lib --target aarch64-unknown-linux-gnu
  cargo test --quiet -p trainer --lib --target aarch64-unknown-linux-gnu kernels::
done
for features in -simd128 +simd128; do
  printf 'wasm32, %s\n' "$features"
  CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="-C target-feature=$features" \
    cargo test --quiet -p flashlm-core --lib --target wasm32-wasip1
done
