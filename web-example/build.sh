#!/usr/bin/env bash
# Lays the page out in target/web, for any server of files: bash web-example/build.sh [MODEL]
set -euo pipefail
model=$(realpath "${1:-"$(dirname "$0")/../runtime-desktop/models/default.flm"}")
cd "$(dirname "$0")/.."
mkdir -p target/web
for level in scalar simd128; do
  case $level in scalar) features=-simd128 ;; simd128) features=+simd128 ;; esac
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=$features" \
    cargo build --quiet --profile web -p flashlm-web --target wasm32-unknown-unknown
  cp target/wasm32-unknown-unknown/web/flashlm_web.wasm "target/web/$level.wasm"
done
cp web-example/{index.html,page.js,flashlm.js} target/web/
cp "$model" target/web/model.flm
