#!/usr/bin/env bash
# The same text everywhere: builds for six targets, lets each tell the same story of 200 tokens on the model built
# into flashlm, and compares the hashes of all their logits and tokens. Needs the Debian packages qemu-user,
# gcc-aarch64-linux-gnu, qemu-system-arm and qemu-system-misc, Node.js from version 18 on, and the targets of
# rust-toolchain.toml.
#
# bash tests/targets/run.sh [TARGET...]     all, or some of: x86-64 aarch64 wasm32 cortex-m7 cortex-m4 riscv32
set -euo pipefail
cd "$(dirname "$0")/../.."
tokens=200 seed=1 prompt="Once upon a time"
out=target/targets
mkdir -p "$out"
targets=("$@")
((${#targets[@]})) || targets=(x86-64 aarch64 wasm32 cortex-m7 cortex-m4 riscv32)

# Each function prints a line "level fingerprint" for every level that it ran.

x86-64() {
  cargo build --quiet --release -p runtime-desktop
  target/release/flashlm fingerprint -n "$tokens" --seed "$seed" -p "$prompt"
}

aarch64() { # -cpu max has the dot-product extension
  local triple=aarch64-unknown-linux-gnu
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    cargo build --quiet --release -p runtime-desktop --target "$triple"
  qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu "target/$triple/release/flashlm" \
    fingerprint -n "$tokens" --seed "$seed" -p "$prompt"
}

wasm32() { # the level is the module's: one is built without vectors, one with
  bash web-example/build.sh
  local level
  for level in scalar simd128; do
    node tests/targets/wasm.mjs "target/web/$level.wasm" target/web/model.flm "$tokens" "$seed" "$prompt"
  done
}

firmware() { # level, ELF, QEMU and its machine: what its console says to /checksum
  printf '/checksum %s %s %s\n/quit\n' "$tokens" "$seed" "$prompt" |
    timeout 200 "${@:3}" -display none -serial stdio -monitor none -kernel "$2" | tr -d '\r' |
    sed -n "s/.*checksum \([0-9a-f]\{16\}\).*/$1 \1/p"
}
arm=(qemu-system-arm -semihosting-config enable=on,target=native -machine)

cortex-m7() {
  (cd firmware-example && cargo build --quiet --release)
  firmware dsp firmware-example/target/thumbv7em-none-eabihf/release/firmware-example "${arm[@]}" mps2-an500
}

cortex-m4() {
  (cd firmware-example && cargo build-m4 --quiet --release)
  firmware dsp firmware-example/target/m4/thumbv7em-none-eabihf/release/firmware-example "${arm[@]}" mps2-an386
}

riscv32() {
  (cd firmware-example && cargo build-riscv --quiet --release)
  firmware scalar firmware-example/target/riscv32imac-unknown-none-elf/release/firmware-example \
    qemu-system-riscv32 -bios none -machine virt
}

# What must have run; an x86-64 processor may lack the levels above the first.
declare -A expected=(
  [x86-64]="scalar" [aarch64]="scalar neon neondot" [wasm32]="scalar simd128" [cortex-m7]="dsp" [cortex-m4]="dsp"
  [riscv32]="scalar"
)

failed=()
reference=""
printf '%-10s %-8s %-16s %s\n' target level fingerprint seconds
for target in "${targets[@]}"; do
  if [[ ! ${expected[$target]-} ]]; then
    printf 'expected targets of: %s, found %s\n' "${!expected[*]}" "$target" >&2
    exit 2
  fi
  begun=$SECONDS
  # not in a condition, where bash would run on after a command that failed
  status=0
  "$target" >"$out/$target" & wait $! || status=$?
  ((status == 0)) || failed+=("$target: ended with status $status")
  while read -r level hash; do
    printf '%-10s %-8s %-16s %s\n' "$target" "$level" "$hash" $((SECONDS - begun))
    # the first is the specification: x86-64's scalar level, unless left out
    reference=${reference:-$hash}
    [[ $hash == "$reference" ]] || failed+=("$target $level: another fingerprint")
  done <"$out/$target"
  for level in ${expected[$target]}; do
    grep -q "^$level [0-9a-f]\{16\}$" "$out/$target" || failed+=("$target $level: no fingerprint")
  done
done

if ((${#failed[@]})); then
  printf 'FAILED: %s\n' "${failed[@]}"
  exit 1
fi
printf 'the same %s tokens and the same bits of every logit on all of them, in %s s\n' "$tokens" "$SECONDS"
