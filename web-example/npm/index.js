// The package: FlashLM with its module inside.
import { FlashLM } from "./flashlm.js";
import module from "./module.js";

export { FlashLM };

let compiled;

/** Opens a model, the bytes of a .flm file. */
export async function open(model) {
  compiled ??= WebAssembly.compile(Uint8Array.from(atob(module), (c) => c.charCodeAt(0)));
  const bytes = model instanceof Uint8Array ? model : new Uint8Array(model);
  return new FlashLM(await compiled, bytes);
}
