#!/usr/bin/env bash
# Builds the module into target/web, without vectors and with, and the npm package beside them:
#   bash web-example/build.sh [MODEL]
# `bash web-example/build.sh commit` also renews module/flashlm.wasm, which `pack page` puts into pages.
set -euo pipefail
commit=false
[[ ${1:-} == commit ]] && commit=true && shift
model=$(realpath "${1:-"$(dirname "$0")/../models/supernova.flm"}")
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
web=$target/web
mkdir -p "$web"
# no path of this machine may stand in what is built
homes="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo --remap-path-prefix=$PWD=."
for level in scalar simd128; do
  case $level in scalar) features=-simd128 ;; simd128) features=+simd128 ;; esac
  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=$features $homes" \
    cargo build --quiet --profile web -p flashlm-web --target wasm32-unknown-unknown
  cp "$target/wasm32-unknown-unknown/web/flashlm_web.wasm" "$web/$level.wasm"
done
cp "$model" "$web/model.flm"
if $commit; then
  install -m 644 "$web/simd128.wasm" web-example/module/flashlm.wasm
fi
bash web-example/npm/build.sh "$web/simd128.wasm" "$web/npm"
