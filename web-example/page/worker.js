// The page's worker: it has the models, so that the page never waits. `FlashLM` stands before this in the same script.

const LONGEST = 400; // tokens told after a prompt, as many as the desktop program tells
const AT_A_TIME = 12; // milliseconds between two looks for what the page wants

let module = null;
let lm = null;
/** The story being told: a newer one, or a stop, ends it. */
let telling = 0;

const say = (type, rest) => postMessage({ type, ...rest });

// A pause in which messages of the page come in; a timer would wait longer.
const channel = new MessageChannel();
const pause = () => new Promise((go) => {
  channel.port1.onmessage = go;
  channel.port2.postMessage(0);
});

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Takes a model, or keeps the one before where it is none. */
function take(blob, name) {
  lm = new FlashLM(module, blob);
  say("model", { about: lm.about, level: lm.level, bytes: blob.length, name });
}

const calls = {
  async open({ module: packed, model }) {
    module = await WebAssembly.compile(await unpacked(packed));
    take(await unpacked(model), "");
  },

  model({ bytes, name }) {
    telling = 0;
    try {
      take(bytes, name);
    } catch (error) {
      throw new Error(`${name}: this is no model that can be used here: ${error.message}`);
    }
  },

  async tell({ id, prompt, seed, temperature, depth }) {
    telling = id;
    const own = lm;
    const options = { seed, temperature, depth };
    own.begin(prompt, options);
    const begun = performance.now();
    const given = own.tokens;
    let sent = 0;
    const send = () => {
      const tokens = [];
      for (; sent < own.tokens; sent++) tokens.push(own.token(sent));
      say("tokens", { id, tokens });
    };
    say("begun", { id, given, link: own.link(prompt, options) });
    send();
    let ended = "length";
    for (let told = 0, sentAt = performance.now(); told < LONGEST; told++) {
      const text = own.next();
      if (text === null) {
        ended = "story";
        break;
      }
      if (performance.now() - sentAt > AT_A_TIME) {
        send();
        await pause();
        if (telling !== id) return;
        sentAt = performance.now();
      }
    }
    send();
    say("ended", { id, ended, tokens: own.tokens - given, seconds: (performance.now() - begun) / 1000 });
  },

  stop() {
    telling = 0;
  },

  look({ id, at }) {
    say("look", { id, at, ...lm.look(at) });
  },
};

onmessage = async ({ data }) => {
  try {
    await calls[data.call](data);
  } catch (error) {
    say("failed", { call: data.call, id: data.id, error: error.message });
  }
};
