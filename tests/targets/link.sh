#!/usr/bin/env bash
# One link, one story: a chip's console (under QEMU) prints the link to what it told; the page of the same model, opened
# by it in headless Chromium, tells the same, and so does the desktop program. Needs qemu-system-arm,
# qemu-system-misc, Chromium and Node.js.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
model=models/supernova.flm
prompt="Tom's dog & the 2 cats " seed=11

fail() {
  echo "FAILED: $*"
  exit 1
}

cargo run --quiet -p pack -- page "$model" -o "$work/story.html"
(cd firmware-example && cargo build --quiet --release && cargo build-riscv --quiet --release)
cargo run --quiet --release -p runtime-desktop -- generate -m "$model" -p "$prompt" --seed "$seed" --temp 0.8 \
  --depth 3 --link >"$work/desktop"
wanted=$(tail -n 1 "$work/desktop")
head -n -2 "$work/desktop" >"$work/wanted"

chip() { # ELF, QEMU and its machine
  printf '%s\r' "/temp 0.8" "/seed $seed" "/depth 3" "$prompt" /quit |
    timeout 400 "${@:2}" -display none -serial stdio -monitor none -kernel "$1" | tr -d '\r' >"$work/console"
  # between the echo of the prompt and the next one
  sed -n "/^> $prompt\$/,/^> /p" "$work/console" | sed '1d;$d' >"$work/answer"
  link=$(tail -n 1 "$work/answer")
  head -n -1 "$work/answer" >"$work/told"
  echo "$link"
  [[ $link == "story.html$wanted" ]] || fail "another link than the desktop's, $wanted"
  diff "$work/wanted" "$work/told" || fail "another story than the desktop's"
}
built=firmware-example/target
chip "$built/riscv32imac-unknown-none-elf/release/firmware-example" qemu-system-riscv32 -bios none -machine virt
chip "$built/thumbv7em-none-eabihf/release/firmware-example" \
  qemu-system-arm -semihosting-config enable=on,target=native -machine mps2-an500
# what the chip printed, followed
node web-example/test/open.mjs "$work/story.html" "${link#story.html}" >"$work/found"
diff "$work/wanted" "$work/found" || fail "another story in the page"
echo "the same link and the same story on the chips, in the page and on the desktop: $(wc -w <"$work/wanted") words"
