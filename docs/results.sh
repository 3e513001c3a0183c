#!/usr/bin/env bash
# The figures of the built-in and the committed models, printed anew without any training, in under ten minutes on two
# cores: bits per byte, questions by family, hop and depth, endings of stories, size and memory, speed.
#
# bash docs/results.sh [TINYSTORIES [BABI]]
#   TINYSTORIES: a folder with valid.txt, for bits per byte; BABI: one of bAbI's questions, for their errors
# Run it on an idle machine: speeds are of one sitting.
set -euo pipefail
cd "$(dirname "$0")/.."
valid=${1:+$1/valid.txt} babi=${2-}
cargo build --quiet --release -p trainer -p runtime-desktop -p pack
T=target/release/trainer F=target/release/flashlm P=target/release/pack
names=$("$F" models | cut -d' ' -f1)

show() { # prints a command, then what it prints; how far it is, and errors, are not among the figures
  printf '\n$ %s\n' "${*//target\/release\//}"
  "$@"
}

printf '# on %s, %s cores\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1)" "$(nproc)"
show "$F" models
for name in $names; do
  printf '\n== %s\n' "$name"
  show "$P" inspect "$name" | grep -E '^[$]|parameters|held out|session|total|trained'
  if [[ $valid ]]; then
    show "$F" eval -m "$name" --data "$valid"
  else
    echo "(no folder of TinyStories was given: no bits per byte)"
  fi
  show "$F" bench -m "$name" --repeats 3
done

# as many items as the cards and RESULTS have
printf '\n== questions\n'
show "$T" probe supernova --items 300 --depth 1,8
show "$T" probe reasoning --items 500 --depth 1,3,8,chosen
show "$T" probe reasoning --split train --items 300 --depth 1,8
show "$T" probe reasoning --split train --items 300 --depth 1,8 --wordings 2 --filler 0 --distractors 0
show "$T" probe reasoning --file results/two-facts.tsv --depth 1,3,8,chosen
show "$T" probe reasoning --file results/tellings.tsv --depth 1,3

if [[ $valid ]]; then
  printf '\n== endings\n'
  endings=$(mktemp)
  trap 'rm -f "$endings"' EXIT
  python3 docs/endings.py "$valid" >"$endings"
  for name in $names; do
    show "$T" probe "$name" --file "$endings" --depth 1
  done
fi

printf '\n== results/babi.flm\n'
if [[ $babi ]]; then
  show "$T" probe results/babi.flm --task babi "$babi" --depth 1,3,8,chosen
else
  echo "(no folder of bAbI's questions was given: trainer probe --task babi DIR --write out --hold-out 0.1 makes one)"
fi
