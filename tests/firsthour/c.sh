#!/usr/bin/env bash
# The first ten minutes of somebody who writes C: the README's commands for a host, then the example for a Cortex-M4 in
# an emulator; both stories are the desktop program's.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# a program of one's own outside the tree, by the commands that the README has
sed -n '/^On this machine/,/^For a chip/p' bindings/c/README.md | sed -n '/^```sh/,/^```/p' | grep -v '^```' |
  sed "s|-o story|-o $work/story|; s|^\./story|$work/story|" >"$work/commands"
grep -q 'cargo build' "$work/commands" && grep -q '^cc ' "$work/commands"
bash -euo pipefail "$work/commands" | tee "$work/story.txt"
grep -q '^Once upon a time, ' "$work/story.txt"
bash bindings/c/test.sh
