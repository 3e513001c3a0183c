// The page: loads module and model, and streams a story into it for each prompt.
import { FlashLM } from "./flashlm.js";

const LONGEST = 400; // tokens
const element = (id) => document.getElementById(id);
const [form, button] = [document.querySelector("form"), document.querySelector("button")];
const nextFrame = () => new Promise(requestAnimationFrame);

async function fetched(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** The build with vectors, or the one without where the browser refuses it. */
async function build() {
  const simd128 = await fetched("simd128.wasm");
  return WebAssembly.compile(WebAssembly.validate(simd128) ? simd128 : await fetched("scalar.wasm"));
}

/** Rises with every story; the one being told stops when it is no longer the last. */
let told = 0;

async function tell(lm) {
  const own = ++told;
  const begun = performance.now();
  element("story").textContent = lm.begin(element("prompt").value, { seed: BigInt(element("seed").value) });
  let tokens = 0;
  for (let drawn = performance.now(); tokens < LONGEST; tokens++) {
    const text = lm.next();
    if (text === null) break;
    element("story").append(text);
    if (performance.now() - drawn > 12) {
      await nextFrame();
      if (own !== told) return;
      drawn = performance.now();
    }
  }
  const seconds = (performance.now() - begun) / 1000;
  element("status").textContent = `${tokens} tokens in ${seconds.toFixed(2)} s on ${lm.level}`;
}

const report = (error) => {
  element("status").textContent = `failed: ${error.message}`;
};

try {
  const [module, blob] = await Promise.all([build(), fetched("model.flm")]);
  const lm = new FlashLM(module, blob);
  element("status").textContent = `a model of ${(blob.length / 1e6).toFixed(2)} MB on ${lm.level}`;
  button.disabled = false;
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tell(lm).catch(report);
  });
  // a link to a story, ?prompt=The+cat&seed=7, tells everyone the same one
  const link = new URLSearchParams(location.search);
  if (link.has("seed")) element("seed").value = link.get("seed");
  if (link.has("prompt")) {
    element("prompt").value = link.get("prompt");
    form.requestSubmit();
  }
} catch (error) {
  report(error);
}
