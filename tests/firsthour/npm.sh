#!/usr/bin/env bash
# The first ten minutes of somebody who wants a model in a program of Node's: makes the package, installs its tarball
# into a fresh folder, tells a story there, and holds it against the desktop program's. Checks the types with tsc.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
export LC_ALL=C
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

echo "-- the package, with the module that lies in the tree"
bash web-example/npm/build.sh web-example/module/flashlm.wasm "$work/package"
(cd "$work/package" && npm pack --silent --pack-destination "$work")
tar -tzf "$work"/flashlm-*.tgz | sort | tee "$work/files"
wanted=(LICENSE-APACHE LICENSE-MIT README.md flashlm.d.ts flashlm.js index.js module.js package.json)
if ! diff <(printf 'package/%s\n' "${wanted[@]}" | sort) "$work/files"; then
  echo "FAILED: expected the files marked with < alone"
  exit 1
fi

echo "-- a fresh folder that installs it"
mkdir "$work/app"
cd "$work/app"
npm init --yes >/dev/null
npm pkg set type=module >/dev/null
npm install --silent --no-audit --no-fund "$work"/flashlm-*.tgz
cat >story.ts <<'END'
import { readFile } from "node:fs/promises";
import { open, type FlashLM, type Look } from "flashlm";

const lm: FlashLM = await open(await readFile(process.argv[2] ?? "model.flm"));
const options = { seed: 7n, temperature: 0.6, depth: 3 } as const;
let text = "";
for (const piece of lm.tell("The little dog ", options)) text += piece;
const look: Look = lm.look(lm.tokens - 1);
if (!look.candidates.some((candidate) => candidate.drawn)) throw new Error("the last token is no candidate");
if (lm.token(lm.tokens - 1).passes !== 3) throw new Error("expected 3 passes");
console.log(JSON.stringify({ text, link: lm.link("The little dog ", options) }));
END

echo "-- types"
npm install --silent --no-audit --no-fund --save-dev typescript@7.0 @types/node
npx tsc --strict --target es2022 --module nodenext --types node --outDir . story.ts
for wrong in 'lm.tell(7)' 'lm.begin("a", { heat: 1 })' 'lm.look(0).candidates[0].likely'; do
  printf 'import { open } from "flashlm";\nconst lm = await open(new Uint8Array());\n%s;\n' "$wrong" >wrong.ts
  if npx tsc --strict --noEmit --target es2022 --module nodenext --types node wrong.ts >/dev/null; then
    echo "FAILED: the types let $wrong pass"
    exit 1
  fi
done

echo "-- the story, in Node and on the desktop"
told=$(node story.js "$root/models/supernova.flm")
flashlm=(cargo run --quiet --release -p runtime-desktop --)
cd "$root"
wanted=$("${flashlm[@]}" generate --json --link -p "The little dog " --seed 7 --temperature 0.6 --depth 3 |
  node -e 'const told = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(JSON.stringify({ text: told.prompt + told.text, link: told.link }))')
echo "$told"
if [[ $told != "$wanted" ]]; then
  echo "FAILED: the desktop tells $wanted"
  exit 1
fi

echo "-- what is no model is refused in words"
cd "$work/app"
if error=$(node --input-type=module -e 'import { open } from "flashlm"; await open(new Uint8Array(99));' 2>&1); then
  echo "FAILED: 99 bytes of nothing were taken for a model"
  exit 1
fi
grep -o 'Error: .*' <<<"$error"
echo "the same story in Node and on the desktop"
