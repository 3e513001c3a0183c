#!/usr/bin/env bash
# Lays the npm package out in a folder: bash web-example/npm/build.sh MODULE FOLDER
# The module is web-example/module/flashlm.wasm, or a build of one's own.
set -euo pipefail
module=$(realpath "$1")
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")"
cp package.json index.js flashlm.d.ts README.md ../flashlm.js ../../LICENSE-MIT ../../LICENSE-APACHE "$folder/"
# inside a script: found wherever that is, by Node, bundlers and browsers alike
{
  printf '// The WebAssembly module, in base64.\nexport default "'
  base64 <"$module" | tr -d '\n'
  printf '";\n'
} >"$folder/module.js"
