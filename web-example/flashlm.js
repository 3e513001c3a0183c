// A FlashLM model in a WebAssembly module, for a page or for Node.

export class FlashLM {
  #calls;

  /** The instruction set it runs on: "simd128" or "scalar". */
  level;

  /** `module`: a compiled WebAssembly.Module of this crate. `blob`: the bytes of a model (.flm). */
  constructor(module, blob) {
    this.#calls = new WebAssembly.Instance(module).exports;
    this.level = this.#text(this.#calls.load(this.#put(blob)));
  }

  /**
   * Begins a story. The same seed tells the same story, on every machine. Returns the prompt as it is to be shown:
   * without white space at its end, as words carry the space before them.
   */
  begin(prompt, { seed = 1n, temperature = 0.7, topP = 0.95 } = {}) {
    return this.#text(this.#calls.begin(this.#put(new TextEncoder().encode(prompt)), seed, temperature, topP));
  }

  /** The next characters of the story (perhaps none yet), or null when it has ended. */
  next() {
    const text = this.#text(this.#calls.next());
    return text === "" && this.#calls.ended() ? null : text;
  }

  /** The number, in hexadecimal digits, that `flashlm fingerprint` prints for the same prompt, tokens and seed. */
  fingerprint(prompt, tokens, seed) {
    return this.#text(this.#calls.fingerprint(this.#put(new TextEncoder().encode(prompt)), tokens, seed));
  }

  // The memory's buffer is another after each call that made it grow, so views are made anew.
  #put(bytes) {
    const at = this.#calls.room(bytes.length);
    new Uint8Array(this.#calls.memory.buffer, at, bytes.length).set(bytes);
    return bytes.length;
  }

  #text(answer) {
    const length = answer < 0 ? -1 - answer : answer;
    const text = new TextDecoder().decode(new Uint8Array(this.#calls.memory.buffer, this.#calls.room(0), length));
    if (answer < 0) throw new Error(text);
    return text;
  }
}
