#!/usr/bin/env bash
# The library from C: the header against the code, misuse under a sanitizer, and stories on the host and on an emulated
# Cortex-M4, word for word those of the desktop program. Needs cc, arm-none-eabi-gcc with newlib, qemu-system-arm.
set -euo pipefail
cd "$(dirname "$0")"
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
model=$(realpath "${FLASHLM_MODEL:-../../models/supernova.flm}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
strict=(-Wall -Wextra -Werror -pedantic -Iinclude)

fail() {
  echo "FAILED: $*"
  exit 1
}

echo "--- the header and the code"
cargo test --quiet --features std
echo "--- the host"
cargo build --quiet --release --features std
library=$target/release/libflashlm.a
cc -std=c11 "${strict[@]}" -g -fsanitize=address,undefined tests/misuse.c "$library" -lm -o "$work/misuse"
"$work/misuse" ../../tests/golden/version-4.flm
cc -std=c11 "${strict[@]}" examples/story.c "$library" -lm -o "$work/story"
c++ -x c++ -std=c++17 -Wall -Wextra -Werror -Iinclude -fsyntax-only include/flashlm.h
desktop=$(cd ../.. && cargo run --quiet --release -p runtime-desktop -- \
  generate -m "$model" -p "Once upon a time" -n 60 --temp 0.8 --seed 7)
host=$("$work/story" "$model" "Once upon a time" 7 0.8 60 2>"$work/took")
cat "$work/took"
[[ $host == "$desktop" ]] || fail "another story than the desktop's: $host"
if "$work/story" test.sh "Once" 2>"$work/refused"; then fail "a script passes for a model"; fi
grep -q "expected a packed model" "$work/refused" || fail "what is wrong is not said: $(<"$work/refused")"

echo "--- a Cortex-M4"
rustup target list --installed | grep -qx thumbv7em-none-eabihf || rustup target add thumbv7em-none-eabihf
RUSTFLAGS="-C target-cpu=cortex-m4" cargo build --quiet --release --target thumbv7em-none-eabihf
chip() { # where to put the program, further flags
  local elf=$1
  shift
  # what newlib's objects and its console lack is not ours to mend
  arm-none-eabi-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=hard -mfpu=fpv4-sp-d16 -std=c11 -O2 -Wall -Wextra -Werror \
    -ffunction-sections -fdata-sections -Iinclude "-DMODEL=\"$model\"" "$@" examples/chip/{main.c,startup.c,model.S} \
    "$target/thumbv7em-none-eabihf/release/libflashlm.a" -nostartfiles --specs=rdimon.specs \
    -T examples/chip/link.ld -Wl,--gc-sections,--no-warn-execstack -o "$elf"
}
run() {
  timeout 120 qemu-system-arm -machine mps2-an386 -nographic -semihosting-config enable=on,target=native \
    -icount shift=0 -kernel "$1"
}
chip "$work/chip.elf"
arm-none-eabi-size "$work/chip.elf"
if arm-none-eabi-nm "$work/chip.elf" | grep -E 'panicking|panic_fmt|unwrap_failed'; then fail "a panic is linked"; fi
told=$(run "$work/chip.elf")
echo "${told##*$'\n'}"
[[ ${told%$'\n'*} == "$desktop" ]] || fail "another story than the desktop's: $told"
chip "$work/small.elf" -DMEMORY=40000
if told=$(run "$work/small.elf"); then fail "40,000 bytes are enough: $told"; fi
grep -q "no story: too little memory" <<<"$told" || fail "what is wrong is not said: $told"
echo "the same story on the host, on the chip and by the desktop program"
