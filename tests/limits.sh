#!/usr/bin/env bash
# How large things may be, tried on the real programs:
#   bash tests/limits.sh [GB of text, 10 unless given] [folder for some three times as much, a new one unless given]
# Each line printed is a limit and what it took. It takes about an hour on two cores; nothing else runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
gigabytes=${1:-10}
work=${2:-$(mktemp -d)}
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT

cargo build --release -q -p trainer -p runtime-desktop
T=$PWD/target/release/trainer
F=$PWD/target/release/flashlm
small="--d-model 32 --layers 1 --d-ffn 48 --rcsm-width 16 --rcsm-ops 4 --rcsm-slots 4 --threads 2 --sequences 2
  --tokens 32 --steps 3"
cd "$work"

limit() { # name, most address space [KB], command...
  local name=$1 most=$2 start=$SECONDS
  shift 2
  if (ulimit -v "$most" && "$@") >log 2>&1; then
    printf '%-50s ok in %4d s within %5d MB of address space\n' "$name" $((SECONDS - start)) $((most / 1024))
  else
    printf '%-50s FAILED\n' "$name"
    tail -5 log
    failed=1
  fi
}
failed=

stories() { # how many bytes of stories of some 700 bytes, all different
  awk -v bytes="$1" 'BEGIN {
    split("Tom Sue Max Lily Ben Mia Sam Anna Leo Zoe", who)
    split("ball kite cat hat boat drum cake book lamp cup", what)
    split("found lost saw took hid gave made broke wanted liked", did)
    while (n < bytes) {
      line = "Story number " i++ ". "
      while (length(line) < 680)
        line = line who[int(rand() * 10) + 1] " " did[int(rand() * 10) + 1] " a " what[int(rand() * 10) + 1] ". "
      print line "\n<|endoftext|>"
      n += length(line) + 15
    }
  }'
}

stories 300000 >valid.txt
stories 50000000 | grep -v endoftext >long.txt
limit "one story of 50 MB, trained on" 2097152 "$T" $small --vocab 4096 --data long.txt --valid valid.txt --out long
limit "one story of 50 MB, scored (bits per byte)" 2097152 "$F" eval -m long/model.flm --depth 1 --data long.txt

mkdir many
stories 70000000 | awk '/endoftext/ { n++; next } { print > ("many/" n ".txt"); close("many/" n ".txt") }'
limit "$(find many -name '*.txt' | wc -l) files, trained on" 2097152 \
  "$T" $small --vocab 4096 --data many --valid valid.txt --out many.out

limit "a vocabulary of 257" 2097152 "$T" $small --vocab 257 --data valid.txt --out least
awk 'BEGIN { for (i = 0; i < 3000000; i++) { printf "%s", " " substr("bcdfghjklmnpqrst", rand() * 16 + 1, 1) \
  substr("aeiou", rand() * 5 + 1, 1) substr("bcdfghjklmnpqrst", rand() * 16 + 1, 1) substr("aeiou", rand() * 5 + 1, 1) \
  substr("bcdfghjklmnpqrst", rand() * 16 + 1, 1); if (i % 100 == 99) print "\n<|endoftext|>" } }' >words.txt
limit "a vocabulary of 65,535" 4194304 "$T" $small --vocab 65535 --data words.txt --out most
limit "a width of 2,048, feed-forward 8,192" 8388608 "$T" --d-model 2048 --d-ffn 8192 --layers 2 --vocab 512 \
  --threads 2 --sequences 1 --tokens 32 --data valid.txt --steps 3 --out wide
for out in least most wide; do
  limit "  its packed model, told from" 8388608 "$F" generate -m $out/model.flm -p "Tom found a" -n 50
done
stories $((gigabytes * 1000000000)) >big.txt
limit "a text of $gigabytes GB, trained on" 2097152 "$T" $small --vocab 4096 --data big.txt --valid valid.txt --out big
rm -rf big.txt .flashlm-cache

cd "$OLDPWD"
cargo test --release -q -p flashlm-tests --test long -- --ignored --nocapture
exit "${failed:-0}"
