// A FlashLM model in a WebAssembly module, for a page or for Node.

export class FlashLM {
  #calls;

  /** The instruction set it runs on: "simd128" or "scalar". */
  level;

  /** What is to be known of the model: its name, data, vocabulary, depths. */
  about;

  /** `module`: a compiled WebAssembly.Module of this crate. `blob`: the bytes of a model (.flm). */
  constructor(module, blob) {
    this.#calls = new WebAssembly.Instance(module).exports;
    this.level = this.#text(this.#calls.load(this.#put(blob)));
    this.about = JSON.parse(this.#text(this.#calls.about()));
  }

  /**
   * Begins a story. The same seed tells the same story, on every machine. Returns the prompt as it is to be shown:
   * without white space at its end, as words carry the space before them.
   */
  begin(prompt, { seed = 1n, temperature = 0.7, topP = 0.95, depth } = {}) {
    const bytes = new TextEncoder().encode(prompt);
    const [number, passes] = [wholeSeed(seed), passesOf(depth)];
    return this.#text(this.#calls.begin(this.#put(bytes), number, temperature, topP, passes));
  }

  /** The next characters of the story (perhaps none yet), or null when it has ended. */
  next() {
    const text = this.#text(this.#calls.next());
    return text === "" && this.#calls.ended() ? null : text;
  }

  /** Begins a story and tells it, piece after piece: the prompt first, then at most `tokens` tokens. */
  *tell(prompt = "", { tokens = 400, ...options } = {}) {
    yield this.begin(prompt, options);
    for (let told = 0; told < tokens; told++) {
      const text = this.next();
      if (text === null) return;
      if (text !== "") yield text;
    }
  }

  /** The fragment of a page's address that tells the story which `begin` begins with the same (and the usual topP). */
  link(prompt, { seed = 1n, temperature = 0.7, depth } = {}) {
    const bytes = new TextEncoder().encode(prompt);
    return this.#text(this.#calls.link(this.#put(bytes), wholeSeed(seed), temperature, passesOf(depth)));
  }

  /** Tokens of the story so far, the prompt's among them. */
  get tokens() {
    return this.#calls.tokens();
  }

  /** The story's token `at`: its characters, and the passes and main operation (or null) that led to it. */
  token(at) {
    const operation = this.#calls.operation(at);
    return {
      text: this.#text(this.#calls.text(at)),
      passes: this.#calls.passes(at),
      operation: operation < 0 ? null : operation,
    };
  }

  /** What led to the story's token `at`, or will lead to its next one: candidates, passes, what they read. */
  look(at) {
    return JSON.parse(this.#text(this.#calls.look(at)));
  }

  /** The number, in hexadecimal digits, that `flashlm fingerprint` prints for the same prompt, tokens and seed. */
  fingerprint(prompt, tokens, seed) {
    return this.#text(this.#calls.fingerprint(this.#put(new TextEncoder().encode(prompt)), tokens, wholeSeed(seed)));
  }

  // The memory's buffer is another after each call that made it grow, so views are made anew.
  #put(bytes) {
    const at = this.#calls.room(bytes.length) >>> 0;
    new Uint8Array(this.#calls.memory.buffer, at, bytes.length).set(bytes);
    return bytes.length;
  }

  #text(answer) {
    const length = answer < 0 ? -1 - answer : answer;
    const bytes = new Uint8Array(this.#calls.memory.buffer, this.#calls.room(0) >>> 0, length);
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    if (answer < 0) throw new Error(text);
    return text;
  }
}

/** A seed as the module takes it. */
function wholeSeed(seed) {
  const text = String(seed).trim();
  const number = /^\d+$/.test(text) ? BigInt(text) : -1n;
  if (number < 0n || number >= 1n << 64n) {
    const found = JSON.stringify(text);
    throw new RangeError(`expected a seed from 0 to ${(1n << 64n) - 1n}, a whole number, found ${found}`);
  }
  return number;
}

/** A depth ("auto", passes, or nothing for what the model was trained for) as the module takes it. */
function passesOf(depth) {
  if (depth === undefined || depth === null) return -1;
  if (depth === "auto") return 0;
  if (!/^[1-9]\d{0,2}$/.test(String(depth))) {
    throw new RangeError(`expected a depth of auto or a number of passes, found ${JSON.stringify(depth)}`);
  }
  return Number(depth);
}
