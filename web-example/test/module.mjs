// Holds builds of the module to each other, story by story, bit by bit: node module.mjs MODEL MODULE MODULE...
// The first is the one that lies in the tree, which `pack page` and the npm package have inside.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { FlashLM } from "../flashlm.js";

const [model, ...modules] = process.argv.slice(2);
const blob = readFileSync(model);
const stories = [
  ["Once upon a time", { seed: 1 }],
  ["Tom saw a ", { seed: "18446744073709551615", temperature: 1.3, depth: 1 }],
  ["\u00c9t\u00e9, said Lily.\n", { seed: 7n, temperature: 0, topP: 0.5, depth: 3 }],
  ["", { seed: 4, temperature: 2, topP: 1, depth: "auto" }],
];

/** All that a module says of a few stories; what cannot differ by the instructions that it runs on. */
function told(path) {
  const module = new WebAssembly.Module(readFileSync(path));
  const calls = WebAssembly.Module.exports(module).map(({ name }) => name).sort();
  const lm = new FlashLM(module, blob);
  const told = stories.map(([prompt, options]) => {
    const text = [...lm.tell(prompt, { ...options, tokens: 60 })];
    const tokens = Array.from({ length: lm.tokens }, (_, at) => lm.token(at));
    const looks = [0, 5, lm.tokens - 1, lm.tokens].map((at) => lm.look(at));
    return { text, link: lm.link(prompt, options), tokens, looks };
  });
  assert.throws(() => lm.begin("a", { seed: -1 }), RangeError);
  assert.throws(() => lm.begin("a", { depth: 0 }), RangeError);
  assert.throws(() => lm.begin("a", { depth: 200 }), /200 passes/);
  assert.throws(() => new FlashLM(module, blob.subarray(0, 5000)), Error);
  return { calls, about: lm.about, told, fingerprint: lm.fingerprint("The cat", 40, 5) };
}

const [first, ...others] = modules.map(told);
assert.ok(first.told.every(({ text }) => text.join("").length > 100));
others.forEach((other, n) => {
  const stale = `${modules[n + 1]} does not do what ${modules[0]} does; bash web-example/build.sh commit renews that`;
  assert.deepEqual(other, first, stale);
});
console.log(`${modules.length} modules do the same: ${first.told[0].text.join("").slice(0, 70)}`);
