// Prints the level and the fingerprint of a WebAssembly build: node wasm.mjs MODULE MODEL TOKENS SEED PROMPT
import { readFileSync } from "node:fs";
import { FlashLM } from "../../web-example/flashlm.js";

const [module, model, tokens, seed, prompt] = process.argv.slice(2);
const lm = new FlashLM(new WebAssembly.Module(readFileSync(module)), readFileSync(model));
console.log(lm.level, lm.fingerprint(prompt, Number(tokens), BigInt(seed)));
