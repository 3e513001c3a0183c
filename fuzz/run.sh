#!/usr/bin/env bash
# Runs every fuzz target in turn under AddressSanitizer:
#   cargo install cargo-fuzz && bash fuzz/run.sh [SECONDS for each target, 200 unless given: half an hour] [TARGET...]
# Inputs to start from lie in fuzz/corpus, what is found on the way in fuzz/grown; a finding stops the run and lies in
# fuzz/artifacts. After a change to what a target reads: bash fuzz/run.sh seeds [TARGET...] makes fuzz/corpus anew.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-200}
targets=("${@:2}")
((${#targets[@]})) || targets=(blob checkpoint commands engine products state text texts tokenizer training)
command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }

# cargo-fuzz passes flags of the nightly compiler; the stable one takes them so
export RUSTC_BOOTSTRAP=1
# the trainer's checkpoints ask for threads and memory as any program does; a model takes little here
for target in "${targets[@]}"; do
  mkdir -p "fuzz/grown/$target" "fuzz/corpus/$target"
  if [[ $seconds == seeds ]]; then
    # the smallest inputs that between them reach all that was reached
    kept=$(mktemp -d)
    cargo fuzz run --sanitizer address "$target" "$kept" "fuzz/grown/$target" "fuzz/corpus/$target" -- \
      -set_cover_merge=1 -max_len=20000 -timeout=60 -rss_limit_mb=2048 2>&1 |
      grep -E '^MERGE-OUTER.*(new|set cover)' || true
    rm -f "fuzz/corpus/$target"/*
    # few and short ones: a start, not an archive
    find "$kept" -type f -size -2k -printf '%s %p\n' | sort -n | head -n 24 | cut -d' ' -f2- |
      xargs -r cp -t "fuzz/corpus/$target"
    rm -rf "$kept"
    du -sb "fuzz/corpus/$target"
    continue
  fi
  printf '\n=== %s: %s s\n' "$target" "$seconds"
  # Inputs of 20 kB hold the largest blobs the mutator starts from. One takes milliseconds, so a minute is a hang, and
  # not merely a busy machine: the limit is wall-clock time.
  cargo fuzz run --sanitizer address "$target" "fuzz/grown/$target" "fuzz/corpus/$target" -- \
    -max_total_time="$seconds" -max_len=20000 -len_control=0 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 2>&1 |
    grep -v -E '^#[0-9]+\s+(NEW|REDUCE|RELOAD|pulse)|NEW_FUNC|^"|^###'
done
