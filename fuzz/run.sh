#!/usr/bin/env bash
# Runs every fuzz target in turn under AddressSanitizer:
#   cargo install cargo-fuzz && bash fuzz/run.sh [SECONDS for each target, 150 unless given] [TARGET...]
# Corpora grow in fuzz/corpus; a finding stops the run and lies in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-150}
targets=("${@:2}")
((${#targets[@]})) || targets=(blob products state tokenizer text)
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }

# cargo-fuzz passes flags of the nightly compiler; the stable one takes them so
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
  printf '\n=== %s: %s s\n' "$target" "$seconds"
  # Inputs of 20 kB hold the largest blobs the mutator starts from. One takes milliseconds, so a minute is a hang, and
  # not merely a busy machine: the limit is wall-clock time.
  cargo fuzz run --sanitizer address "$target" -- \
    -max_total_time="$seconds" -max_len=20000 -len_control=0 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
    grep -v -E '^#[0-9]+\s+(NEW|REDUCE|RELOAD|pulse)|NEW_FUNC|^"|^###'
done
