#!/usr/bin/env bash
# The first ten minutes of somebody who wants a page: makes one of a model, opens it from the disk in a browser without
# a network, by a link that the desktop program printed, and reads the same story there.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flashlm=(cargo run --quiet --release -p runtime-desktop --)
pack=(cargo run --quiet -p pack --)

for model in models/supernova.flm tests/golden/version-4.flm; do
  echo "-- a page of $model"
  "${pack[@]}" page "$model" -o "$work/story.html"

  echo "-- a story on the desktop, and its link"
  "${flashlm[@]}" generate -m "$model" -p "The cat & the dog " --seed 3 --link >"$work/told"
  link=$(tail -n 1 "$work/told")
  head -n -2 "$work/told" >"$work/wanted"
  echo "$link"

  echo "-- the same in the browser"
  node web-example/test/open.mjs "$work/story.html" "$link" >"$work/found"
  cat "$work/found"
  diff "$work/wanted" "$work/found" || { echo "FAILED: the browser tells another story than the desktop"; exit 1; }
done

echo "-- what is no model makes no page"
if "${pack[@]}" page README.md -o "$work/none.html"; then
  echo "FAILED: README.md was taken for a model"
  exit 1
fi
[[ ! -e $work/none.html ]]
echo "the same stories in the browser and on the desktop"
