/** Passes of the reasoning loop for each token: `"auto"` lets the model choose. */
export type Depth = "auto" | number;

/** What decides a story, besides its prompt and the model. */
export interface Options {
  /** A whole number from 0 to 2^64 - 1; numbers above 2^53 as bigint or text. 1 by default. */
  seed?: bigint | number | string;
  /** 0 always takes the likeliest token. 0.7 by default. */
  temperature?: number;
  /** Draws from the likeliest tokens that together have this probability, above 0 to 1. 0.95 by default. */
  topP?: number;
  /** By default what the model was trained for. */
  depth?: Depth;
}

/** What is to be known of a model. */
export interface About {
  name: string;
  /** Name of the training data. */
  data: string;
  /** Tokens it knows. */
  vocabulary: number;
  /** The depth it was trained for. */
  depth: "auto" | `${number}`;
  /** Passes it stops at, goes on to, and takes at the most; null without a reasoning loop. */
  depths: [number, number, number] | null;
  /** Operations of the reasoning loop. */
  operations: number;
}

/** A token of a story. */
export interface Token {
  /** The characters it completes; none where it ends within one. */
  text: string;
  /** Passes that led to it; 0 without a reasoning loop. */
  passes: number;
  /** The operation that weighed most in them. */
  operation: number | null;
}

/** A token that could have come. */
export interface Candidate {
  text: string;
  /** As the model gave it, before temperature and top-p. */
  probability: number;
  /** Whether it came. */
  drawn: boolean;
  /** Whether it is the end of the story. */
  end: boolean;
  /** Whether the story up to here and with it is whole text, to begin another story with. */
  whole: boolean;
}

/** A token of the story that the memory was read at. */
export interface Read {
  /** Which token of the story wrote what was read; -1 is the story's begin. */
  at: number;
  /** `"after"`: the token, which came after its context; `"before"`: the context, which came before it. */
  direction: "after" | "before";
  /** Its weight in what was read. */
  share: number;
  /** Cosine of its address and the read's. */
  similarity: number;
}

/** One pass of the reasoning loop. */
export interface Pass {
  operations: [number, number];
  /** Of the operations; they add up to 1. */
  weights: [number, number];
  /** How far the address is that of what the pass before read. */
  hop: number;
  /** How far what was read replaces what was read before. */
  hold: number;
  /** The three largest, largest first. */
  reads: Read[];
}

/** What led to a token. */
export interface Look {
  /** The eight likeliest, the likeliest first, and what came where it is none of them. */
  candidates: Candidate[];
  /** null without a reasoning loop. */
  passes: Pass[] | null;
}

/** A model. It tells one story at a time. */
export class FlashLM {
  /** `module`: a compiled module of flashlm-web; `open` brings its own. Throws where `blob` is no model. */
  constructor(module: WebAssembly.Module, blob: Uint8Array);
  /** The instruction set it runs on. */
  readonly level: "simd128" | "scalar";
  readonly about: About;
  /** Begins a story. Returns the prompt as it is to be shown: without white space at its end. */
  begin(prompt: string, options?: Options): string;
  /** The next characters of the story (perhaps none yet), or null when it has ended. */
  next(): string | null;
  /** Begins a story and tells it piece by piece, the prompt first; 400 tokens at the most by default. */
  tell(prompt?: string, options?: Options & { tokens?: number }): Generator<string, void, void>;
  /** The fragment of a page's address (`#seed=..`) that tells this story; pages are made by `pack page`. */
  link(prompt: string, options?: Omit<Options, "topP">): string;
  /** Tokens of the story so far, the prompt's among them. */
  readonly tokens: number;
  /** The story's token `at`, from 0. */
  token(at: number): Token;
  /** What led to the story's token `at`; at `tokens`, what will lead to its next. */
  look(at: number): Look;
  /** The number, in hexadecimal digits, that `flashlm fingerprint` prints for the same prompt, tokens and seed. */
  fingerprint(prompt: string, tokens: number, seed: bigint | number | string): string;
}

/** Opens a model, the bytes of a .flm file. Rejects where they are none, and says why. */
export function open(model: Uint8Array | ArrayBuffer): Promise<FlashLM>;
