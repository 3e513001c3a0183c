#!/usr/bin/env bash
# docs/ADDING-A-LAYER.md is a real diff: takes its ```diff blocks out, applies them to a copy of this tree, counts the
# files they touch, and runs clippy and the tests that cover the layer. Needs git, awk, sed and cargo. The copy lies in
# the folder of what is built, and goes when the script ends; dependencies are not built anew.
#
# bash tests/adding-a-layer.sh [--keep]     --keep leaves the copy, target/adding-a-layer/tree, to be looked at
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD page=docs/ADDING-A-LAYER.md most=6
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
work=$root/target/adding-a-layer
copy=$work/tree

fail() {
  printf '%s: %s\n' "$page" "$1" >&2
  exit 1
}

pass() { # command...
  "$@" || fail "with its diffs applied, this fails: $*"
}

[[ $# == 0 || $* == --keep ]] || { printf 'expected nothing or --keep, found %s\n' "$*" >&2; exit 2; }
# always at the same place, so that cargo replaces what it built of the last copy
rm -rf "$work"
mkdir -p "$copy"
[[ $* == --keep ]] || trap 'rm -rf "$work"' EXIT

# the tree as it is now, changes that are not committed included, what git ignores left out
(
  export GIT_INDEX_FILE=$work/index
  git read-tree HEAD
  git add --all
  git checkout-index --all --prefix="$copy/"
)

# one file a block: what stands between ```diff and ```
awk -v work="$work" '
  /^```diff$/ { block++; inside = 1; next }
  /^```$/ { inside = 0; next }
  inside { print > (sprintf("%s/%02d.diff", work, block)) }
' "$page"

# `git apply` is to see a folder of its own, not a part of this repository
export GIT_CEILING_DIRECTORIES=$work
new=() old=()
for diff in "$work"/*.diff; do
  [[ -e $diff ]] || fail "expected \`\`\`diff blocks, found none"
  file=$(sed -n 's,^+++ b/,,p' "$diff")
  [[ $file && $file != *$'\n'* ]] || fail "expected one file in block $(basename "$diff" .diff), found ${file:-none}"
  why=$(cd "$copy" && git apply "$diff" 2>&1) || fail "the diff of $file does not apply to this tree: $why"
  [[ " ${new[*]-} ${old[*]-} " != *" $file "* ]] || fail "$file has two blocks, expected one"
  if grep -q '^--- /dev/null$' "$diff"; then new+=("$file"); else old+=("$file"); fi
done
printf '%s: the layer is %s files of its own:\n' "$page" "${#new[@]}"
printf '  %s\n' "${new[@]}"
printf 'and touches %s others, of %s allowed:\n' "${#old[@]}" "$most"
printf '  %s\n' "${old[@]}"
layer=$(basename "${new[0]-}" .rs)
[[ ${new[*]-} == "core/src/layers/$layer.rs trainer/src/nn/$layer.rs" ]] ||
  fail "expected new files core/src/layers/NAME.rs and trainer/src/nn/NAME.rs, found ${new[*]-none}"
((${#old[@]} <= most)) || fail "expected at most $most other files, found ${#old[@]}"

unset GIT_CEILING_DIRECTORIES
cd "$copy"
grep -q '#\[test\]' "trainer/src/nn/$layer.rs" || fail "expected a test of its own in trainer/src/nn/$layer.rs"
pass cargo fmt --all --check
# always the same packages, so that their dependencies have the same features
packages=(-p flashlm-core -p trainer -p flashlm-tests)
pass cargo clippy --quiet "${packages[@]}" --all-targets -- -D warnings
# the layer's own test, and what goes through the line-up
pass cargo test --quiet "${packages[@]}" --lib -- "nn::$layer::" schema:: blob:: session::
pass cargo test --quiet "${packages[@]}" --test combinations --test parity --test state --test allocation
printf 'the layer of %s applies, compiles, and passes, in %s s\n' "$page" "$SECONDS"
