#!/usr/bin/env bash
# Builds the firmware for all boards, types on its console under QEMU, and fails if a story differs from the desktop's,
# a panic is linked, a token takes too many instructions or the program too much memory. The model is flashlm's default;
# FLASHLM_MODEL=FILE, or a built-in model's name, takes another.
set -euo pipefail
model=()
if [[ ${FLASHLM_MODEL-} ]]; then
  [[ -e $(dirname "$0")/../models/$FLASHLM_MODEL.flm ]] || FLASHLM_MODEL=$(realpath "$FLASHLM_MODEL")
  export FLASHLM_MODEL
  model=(-m "$FLASHLM_MODEL")
fi
cd "$(dirname "$0")"
prompt="Once upon a time"
length=100
# a token at depth 1: on the Cortex-M7, and on the Cortex-M4, whose floats take more
# on the RISC-V, which has no floats and no products of several weights at once
declare -A most=([mps2-an500]=6300000 [mps2-an386]=6600000 [virt]=110000000)
most_ram=65536

fail() {
  echo "FAILED: $*"
  exit 1
}

for target in thumbv7em-none-eabihf riscv32imac-unknown-none-elf; do
  rustup target list --installed | grep -qx "$target" || rustup target add "$target"
done
# from the root: the configuration here would build it for the chip
desktop() {
  (cd .. && cargo run --quiet --release -p runtime-desktop -- \
    generate "${model[@]}" -p "$prompt" -n "$length" --link "$@")
}
# a story and its link as the chips print them: the desktop has the address's part of the link alone, after a blank line
linked() { sed -z 's/\n*\n#/\nstory.html#/' <<<"$1"; }
greedy=$(linked "$(desktop --temp 0 --seed 1)")
seeded=$(linked "$(desktop --temp 0.8 --seed 7)")
[[ $greedy != "$seeded" ]] || fail "the desktop samples as it does greedily"

# Types the lines $3... on the console of ELF $2 on board $1 and prints what comes back.
session() {
  local board=$1 elf=$2 qemu=(qemu-system-arm -semihosting-config enable=on,target=native)
  shift 2
  [[ $board != virt ]] || qemu=(qemu-system-riscv32 -bios none)
  printf '%s\r' "$@" | timeout 240 "${qemu[@]}" -machine "$board" -display none -serial stdio -monitor none \
    -icount shift=0 -kernel "$elf" | tr -d '\r'
}
# What session $1 printed between the echo of line $2 and the next prompt.
answer() {
  local rest=${1#*"> $2"$'\n'}
  printf '%s' "${rest%%$'\n> '*}"
}
# The number in the line of $1 that begins with $2.
number() { sed -nE "s/^$2[^0-9]* ([0-9]+).*/\1/p" <<<"$1"; }

check() { # board, ELF
  local board=$1 elf=$2 most_instructions=${most[$1]} out stats instructions sampled static stack
  # linking fails already if a panic is reachable; this looks at the result
  if readelf -sW "$elf" | grep -E 'panicking|panic_fmt|slice_index|unwrap_failed|a_panic_is_reachable'; then
    fail "a panic is linked"
  fi
  echo "--- $board"
  readelf -SW "$elf" | sed -E 's/^ *\[ *[0-9]+\]//' | while read -r name _ address _ size _ flags _; do
    [[ $flags == *A* && $size != 000000 ]] && printf '%-14s %8d bytes at 0x%s\n' "$name" $((16#$size)) "$address"
  done || true

  out=$(session "$board" "$elf" "/temp 0" "/length $length" "$prompt" /quit) || fail "no good end: $out"
  [[ $(answer "$out" "$prompt") == "$greedy" ]] || fail "another greedy story than the desktop's: $out"
  out=$(session "$board" "$elf" "/temp 0.8" "/seed 7" "/length $length" "$prompt" "/depth 1" "/seed 7" "$prompt" \
    /stats /quit)
  [[ $(answer "$out" "$prompt") == "$seeded" ]] || fail "another sampled story than the desktop's: $out"
  sampled=$(number "$out" "instructions a token")

  # a line that is too long, a value out of range, a typing error taken back, and one token at depth 1
  out=$(session "$board" "$elf" "$(printf 'x%.0s' {1..300})" "/temp 11" "/depth 1" "/temp 0" "/length $length" \
    "Once upon a tim"$'\x7f\x7f'"ime" /stats /quit)
  grep -q "too long: at most" <<<"$out" || fail "a line of 300 bytes was not refused: $out"
  grep -q "expected a number from 0 to 10" <<<"$out" || fail "a temperature of 11 was not refused: $out"
  grep -q "^$prompt, " <<<"$out" || fail "backspace did not correct the prompt: $out"
  sed -n '/^prompt: /,/^stack: /p' <<<"$out"
  instructions=$(number "$out" "instructions a token")
  static=$(number "$out" "RAM")
  stack=$(number "$out" "stack")
  echo "at depth 1: $instructions instructions a token greedily, $sampled sampled;" \
    "RAM and stack $((static + stack)) bytes"
  ((instructions > 0 && instructions <= most_instructions)) || fail "more than $most_instructions instructions a token"
  ((sampled > 0 && sampled <= most_instructions)) || fail "more than $most_instructions instructions a sampled token"
  ((stack > 0 && static + stack <= most_ram)) || fail "more than $most_ram bytes of RAM"
}

# Checks the kernels of ELF $2 on board $1 and compares them with other ways to multiply.
kernels() {
  session "$1" "$2" || fail "a product differs from the plain loop's"
}

cargo build --release --features bench
cargo build-m4 --release --features mps2-an386,bench
cargo build-riscv --release
for board in mps2-an500:target/thumbv7em-none-eabihf mps2-an386:target/m4/thumbv7em-none-eabihf \
  virt:target/riscv32imac-unknown-none-elf; do
  release=${board#*:}/release
  board=${board%%:*}
  check "$board" "$release/firmware-example"
  # the other ways to multiply are Cortex-M's
  [[ $board == virt ]] || kernels "$board" "$release/kernels"
done
echo "the same stories and links on all boards and on the desktop"
