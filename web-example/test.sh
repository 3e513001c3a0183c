#!/usr/bin/env bash
# The module, built anew, against the one in the tree; then the page as a person uses it, in a headless Chromium without
# a network, held to the desktop program's stories and to axe's rules. Needs node, npm and chromium.
# Screenshots lie in target/web/shots.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
web=$target/web
model=models/supernova.flm
bash web-example/build.sh
node web-example/test/module.mjs "$model" web-example/module/flashlm.wasm "$web/simd128.wasm" "$web/scalar.wasm"
cargo build --quiet --release -p runtime-desktop
cargo run --quiet -p pack -- page "$model" -o "$web/story.html"
npm install --silent --no-audit --no-fund --prefix "$web/dev" axe-core@4.14.1
node web-example/test/page.mjs "$web/story.html" "$target/release/flashlm" "$web/shots" \
  "$web/dev/node_modules/axe-core/axe.min.js" tests/golden/version-4.flm
