#!/usr/bin/env bash
# Ten stories of each built-in model, seeds 1 to 10, none picked, as Markdown; how much they repeat themselves stands
# above each model's. A minute.
#
# bash docs/stories.sh >docs/STORIES.md
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --quiet --release -p runtime-desktop
flashlm=target/release/flashlm

variety() { # of words on standard input: different ones of a hundred, singly, in pairs, in fours
  tr -cs "A-Za-z'" '\n' | tr A-Z a-z | awk '
    NF {
      words++
      if (!one[$1]++) ones++
      if (words > 1 && !two[last1, $1]++) twos++
      if (words > 3 && !four[last3, last2, last1, $1]++) fours++
      last3 = last2; last2 = last1; last1 = $1
    }
    END {
      printf "%d words; different of a hundred: %.1f words, %.1f pairs, %.1f runs of four\n",
        words, 100 * ones / words, 100 * twos / (words - 1), 100 * fours / (words - 3)
    }'
}

printf '# Ten stories of each model\n\n'
cat <<'EOF'
Printed by `bash docs/stories.sh`: seeds 1 to 10, nothing picked, no prompt, at most 300 tokens, temperature 0.7
(`flashlm -m NAME generate -p "" -n 300 --temperature 0.7 --seed N`). The same seed tells the same on every machine.
EOF
"$flashlm" models | while read -r name _; do
  stories=()
  for seed in {1..10}; do
    stories+=("$("$flashlm" -m "$name" generate -p "" -n 300 --temperature 0.7 --seed "$seed")")
  done
  printf '\n## %s\n\n%s\n' "$name" "$(printf '%s\n' "${stories[@]}" | variety)"
  for i in "${!stories[@]}"; do
    printf '\n**%d.** %s\n' $((i + 1)) "$(sed '/^$/d; s/$/\n/' <<<"${stories[i]}" | fmt -s -w 118)"
  done
done
