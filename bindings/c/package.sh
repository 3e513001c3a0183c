#!/usr/bin/env bash
# Packages of the library, in target/package: for CMake's find_package on this machine, and as an Arduino library,
# precompiled for Cortex-M4, M7 and M33. What can be checked without a board is: a CMake project finds, builds and runs
# it; the archives have every function of the header and the right kind of float arguments; the sketch compiles and
# links.
set -euo pipefail
cd "$(dirname "$0")"
out=$PWD/target/package
model=$(realpath ../../models/supernova.flm)
rm -rf "$out"
mkdir -p "$out"
target=$(cargo metadata --format-version 1 --no-deps | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')

fail() {
  echo "FAILED: $*"
  exit 1
}

echo "--- CMake"
cmake -S . -B "$target/cmake" -DCMAKE_INSTALL_PREFIX="$out/flashlm" -DCMAKE_INSTALL_LIBDIR=lib >/dev/null
cmake --build "$target/cmake"
cmake --install "$target/cmake" >/dev/null
user=$(mktemp -d)
trap 'rm -rf "$user"' EXIT
cp examples/story.c "$user"
consumer() { # how it comes by the library, further arguments
  printf '%s\n' 'cmake_minimum_required(VERSION 3.16)' 'project(user C)' "$1" 'add_executable(story story.c)' \
    'set_property(TARGET story PROPERTY C_STANDARD 11)' 'target_link_libraries(story flashlm::flashlm)' \
    >"$user/CMakeLists.txt"
  rm -rf "$user/build"
  cmake -S "$user" -B "$user/build" "${@:2}" >/dev/null
  cmake --build "$user/build" >/dev/null
  "$user/build/story" "$model" "Once upon a time" 7 0.8 20
}
packaged=$(consumer 'find_package(flashlm 0.1 REQUIRED)' -DCMAKE_PREFIX_PATH="$out/flashlm")
inside=$(consumer "add_subdirectory($PWD flashlm)")
[[ $packaged == "Once upon a time"?* && $packaged == "$inside" ]] || fail "not the same story: $packaged | $inside"
echo "found by find_package and by add_subdirectory: $packaged"

echo "--- Arduino"
arduino=$out/FlashLM
mkdir -p "$arduino/src"
cp -r arduino/. "$arduino"
cp include/flashlm.h "$arduino/src"
functions=$(grep -oE 'flashlm_[a-z_]+\(' include/flashlm.h | tr -d '(' | sort -u)
archive() { # Arduino's build.mcu, its unit for floats, Rust's target, further arguments of cargo
  local folder=$arduino/src/$1/$2-hard symbols
  rustup target list --installed | grep -qx "$3" || rustup target add "$3"
  RUSTFLAGS="-C target-cpu=$1" cargo build --quiet --release --target "$3" "${@:4}"
  mkdir -p "$folder"
  cp "$target/$3/release/libflashlm.a" "$folder"
  # without what only Rust's own link-time optimiser reads
  arm-none-eabi-objcopy --strip-debug -R .llvmbc -R .llvmcmd "$folder/libflashlm.a"
  symbols=$(arm-none-eabi-readelf -sW "$folder/libflashlm.a" 2>/dev/null |
    awk '$4 == "FUNC" && $5 == "GLOBAL" && $7 != "UND" { print $8 }' | sort -u)
  [[ -z $(comm -23 <(echo "$functions") <(echo "$symbols")) ]] || fail "$1 lacks functions of the header"
  [[ $(arm-none-eabi-readelf -A "$folder/libflashlm.a") == *"Tag_ABI_VFP_args: VFP registers"* ]] ||
    fail "$1: floats are not passed in registers"
  echo "$1: $(stat -c %s "$folder/libflashlm.a") bytes"
}
archive cortex-m4 fpv4-sp-d16 thumbv7em-none-eabihf
archive cortex-m7 fpv5-d16 thumbv7em-none-eabihf
archive cortex-m33 fpv5-sp-d16 thumbv8m.main-none-eabihf --features dsp

# the sketch, with what Arduino would bring along made up
cat >"$user/sketch.cpp" <<'CPP'
#include <stdint.h>
#include <string.h>
struct { void begin(long) {} explicit operator bool() { return true; }
  int available() { return 0; } int read() { return 0; }
  template <class T> void print(T) {} template <class T> void println(T) {} } Serial;
CPP
cat "$arduino/examples/Story/Story.ino" >>"$user/sketch.cpp"
printf 'int main() { setup(); loop(); }\nextern "C" { void _init() {} void _fini() {} }\n' >>"$user/sketch.cpp"
(echo 'alignas(64) const unsigned char model[] = {' && od -An -v -tu1 ../../tests/golden/version-4.flm |
  sed -E 's/ +/,/g; s/^,//; s/$/,/' && echo '};') >"$user/model.h"
for kind in cortex-m4:fpv4-sp-d16 cortex-m7:fpv5-d16 cortex-m33:fpv5-sp-d16; do
  arm-none-eabi-g++ -mcpu="${kind%:*}" -mthumb -mfloat-abi=hard -mfpu="${kind#*:}" -std=c++17 -Os -Wall -Wextra \
    -I"$arduino/src" -I"$user" "$user/sketch.cpp" -L"$arduino/src/${kind%:*}/${kind#*:}-hard" -lflashlm \
    --specs=nosys.specs -Wl,--gc-sections,--no-warn-execstack,--no-warnings -o "$user/sketch.elf"
  arm-none-eabi-size "$user/sketch.elf" | tail -1
done
echo "packages: $out/flashlm, $arduino"
