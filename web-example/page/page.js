"use strict";
// The page: what is asked for stands in its address, and a worker that has the model tells it.

const element = (id) => document.getElementById(id);
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const percent = (share) => {
  if (share > 0 && share < 0.0005) return "<0.1 %";
  return `${(100 * share).toFixed(Math.abs(share) < 0.1 ? 1 : 0)} %`;
};
const counted = (passes) => `${passes} pass${passes === 1 ? "" : "es"}`;
/** A text in words where it cannot be seen. */
const shown = (text) => text.replaceAll("\n", "\u21b5").replace(/^ +$/, "\u2423") || "(part of a character)";

/** A text without the space before it, unless it is nothing else. */
const bare = (text) => text.trim() || text;

/** The story on the page. `at` counts its tokens, the prompt's first. */
const story = { id: 0, telling: false, given: 0, tokens: [], words: [], link: "" };
let about = null;
/** The token that the panel shows. */
let looked = null;

function blobOf(id) {
  const text = element(id).textContent;
  element(id).remove();
  return text;
}

// a script without imports: a module from a blob is refused to a page that was opened from disk
const source = new Blob([blobOf("worker-source")], { type: "text/javascript" });
const worker = new Worker(URL.createObjectURL(source));
worker.onerror = (event) => complain(event.message || "the worker cannot be started in this browser");

function complain(text) {
  element("problem").textContent = text;
}

/** What the fields ask for, as the address has it. */
function asked() {
  const field = (id) => element(id).value;
  const values = { seed: field("seed"), prompt: field("prompt"), temperature: field("temperature") };
  if (about?.depths) values.depth = field("depth");
  return "#" + Object.entries(values).map(([key, value]) => `${key}=${encodeURIComponent(value)}`).join("&");
}

/** Fills the fields from the address; whether it asks for a story. */
function readAddress() {
  const link = new URLSearchParams(location.hash.slice(1));
  for (const key of ["seed", "prompt", "temperature"]) if (link.has(key)) element(key).value = link.get(key);
  const depth = link.get("depth") ?? about.depth;
  const list = element("depth");
  // one that the model does not have is asked for too: the model says what is wrong
  if (![...list.options].some((option) => option.value === depth)) list.add(new Option(depth, depth));
  list.value = depth;
  return link.has("seed") || link.has("prompt");
}

/** Says in the summary what the fields below it hold. */
function summarise() {
  for (const id of ["seed", "temperature", "depth"]) element(`${id}-now`).textContent = element(id).value || "?";
}

/** Tells what the address says. */
function tell() {
  summarise();
  closePanel();
  complain("");
  element("shared").hidden = true;
  Object.assign(story, { id: story.id + 1, telling: true, given: 0, tokens: [], words: [], link: "" });
  element("story").replaceChildren();
  element("story").setAttribute("aria-busy", "true");
  element("status").textContent = "telling";
  const field = (id) => element(id).value;
  const temperature = field("temperature").trim() === "" ? NaN : Number(field("temperature"));
  worker.postMessage({
    call: "tell", id: story.id, prompt: field("prompt"), seed: field("seed"), temperature, depth: field("depth"),
  });
  buttons();
}

/** Asks for a story by the address, so that the browser's way back leads to the one before. */
function go() {
  const hash = asked();
  complain("");
  element("status").textContent = "telling";
  if (hash === location.hash) tell();
  else location.hash = hash;
}

function finish(text) {
  story.telling = false;
  element("story").setAttribute("aria-busy", "false");
  element("status").textContent = text;
  buttons();
}

function buttons() {
  const ready = about !== null;
  element("tell").disabled = element("another").disabled = !ready;
  element("stop").disabled = !story.telling;
  element("share").disabled = story.link === "";
}

/** The word that a token is of. */
const wordAt = (at) => story.words.find((word) => at >= word.first && at <= word.last);

/** Whether a token goes on with the word before it. */
function goesOn(before, text) {
  return before !== undefined && (text === "" || (/[\p{L}\p{M}]$/u.test(before) && /^[\p{L}\p{M}]/u.test(text)));
}

function level(passes) {
  return about.depths.slice(0, 2).filter((depth) => passes > depth).length;
}

/** Adds tokens to the story, as words. */
function add(tokens) {
  for (const token of tokens) {
    const at = story.tokens.push(token) - 1;
    let word = story.words.at(-1);
    if (!goesOn(word?.text, token.text)) {
      const white = token.text.match(/^\s*/)[0];
      word = { first: at, text: "", passes: 0, operation: null, span: make("span", { className: "w" }) };
      word.span.setAttribute("role", "button");
      word.span.tabIndex = story.words.length ? -1 : 0;
      word.span.dataset.word = story.words.push(word) - 1;
      if (at < story.given) word.span.classList.add("given");
      word.text = token.text.slice(white.length);
      element("story").append(...(word.text ? [white, word.span] : [word.span, white]));
    } else {
      word.text += token.text;
    }
    if (token.passes > word.passes) Object.assign(word, { passes: token.passes, operation: token.operation });
    word.last = at;
    word.span.textContent = word.text;
    if (word.text === "") {
      // seen and named, and yet no part of the text
      word.span.dataset.mark = shown(token.text);
      word.span.setAttribute("aria-label", token.text.includes("\n") ? "line end" : "space");
    } else if (word.span.dataset.mark) {
      delete word.span.dataset.mark;
      word.span.removeAttribute("aria-label");
    }
    if (about.depths && word.passes) {
      word.span.dataset.level = level(word.passes);
      word.span.style.setProperty("--n", word.operation);
      word.span.title = `${counted(word.passes)}, operation ${word.operation}`;
    }
  }
}

function summary({ ended, tokens, seconds }) {
  const end = ended === "story" ? "the story has ended" : "told as far as a story is told here";
  return `${tokens} tokens in ${seconds.toFixed(1)} s; ${end}.`;
}

// What the worker says.
const heard = {
  model({ about: known, level: isa, bytes, name }) {
    const first = about === null;
    about = known;
    story.link = "";
    const size = `${(bytes / 1e6).toFixed(1)} MB`;
    element("model").textContent = `${known.name || name || "a model without a name"} · ${size} · runs on ${isa}`;
    for (const id of ["depth-field", "depth-note", "depth-summary", "legend"]) element(id).hidden = !known.depths;
    const depths = known.depths ? ["auto", ...Array(known.depths[2]).keys()] : [known.depth];
    const options = depths.map((depth) => (typeof depth === "number" ? depth + 1 : depth));
    element("depth").replaceChildren(...options.map((depth) => new Option(depth, depth)));
    element("depth").value = known.depth;
    legend();
    if (first) {
      readAddress();
      tell();
    } else {
      // another model tells what is asked for at the depth it was trained for
      complain("");
      if (location.hash === asked()) tell();
      else go();
    }
  },

  begun({ id, given, link }) {
    if (id !== story.id) return;
    Object.assign(story, { given, link });
    // the address as every program of the house prints it
    if (location.hash !== link) history.replaceState(null, "", link);
    buttons();
  },

  tokens({ id, tokens }) {
    if (id === story.id && story.telling) add(tokens);
  },

  ended(data) {
    if (data.id === story.id && story.telling) finish(summary(data));
  },

  look(data) {
    if (data.id === story.id && looked === data.at) showLook(data);
  },

  failed({ call, id, error }) {
    if (id !== undefined && id !== story.id) return;
    // a file's name stays as it is
    complain(call === "model" ? error : error.charAt(0).toUpperCase() + error.slice(1));
    if (call === "tell") finish("");
    if (call === "open") element("model").textContent = "the model could not be opened";
  },
};
worker.onmessage = ({ data }) => heard[data.type](data);

function legend() {
  if (!about.depths) return;
  const [few, some, most] = about.depths;
  const range = (from, to) => (from >= to ? counted(to) : `${from} to ${counted(to)}`);
  const texts = [range(1, few), range(few + 1, some), range(some + 1, most)];
  element("levels").replaceChildren(...texts.map((text, at) => {
    const key = make("span", { className: "key" }, text);
    key.dataset.level = at;
    return make("li", {}, key);
  }));
  element("operations").replaceChildren(...Array.from({ length: about.operations }, (_, n) => {
    const key = make("span", { className: "key" }, String(n));
    key.style.setProperty("--n", n);
    return make("li", {}, key);
  }));
}

// The panel: what a word could have been, and what was remembered.

function look(at) {
  const word = wordAt(at);
  looked = at;
  for (const { span } of story.words) span.classList.remove("open", "read");
  word.span.classList.add("open");
  element("panel-title").textContent = `\u201c${shown(word.text || story.tokens[at].text)}\u201d`;
  const tokens = Array.from({ length: word.last - word.first + 1 }, (_, n) => word.first + n);
  element("pieces").hidden = tokens.length < 2;
  element("pieces").replaceChildren(...tokens.map((token) => {
    const text = shown(bare(story.tokens[token].text));
    const piece = make("button", { type: "button", textContent: text, onclick: () => look(token) });
    piece.setAttribute("aria-pressed", String(token === at));
    return piece;
  }));
  const { passes, operation } = story.tokens[at];
  const given = at < story.given ? " You wrote it; this is what the model expected." : "";
  const thought = `${counted(passes)} of the reasoning loop led here, operation ${operation} the most.`;
  element("panel-passes").textContent = (about.depths ? thought : "This model has no reasoning loop.") + given;
  element("candidates").replaceChildren();
  element("reads").replaceChildren();
  element("panel").hidden = false;
  document.body.classList.add("looking");
  element("panel").scrollTop = 0;
  worker.postMessage({ call: "look", id: story.id, at });
}

function showLook({ at, candidates, passes }) {
  element("candidates").replaceChildren(...candidates.map((candidate) => {
    const bar = make("i");
    bar.style.setProperty("--p", candidate.probability);
    const parts = [
      make("span", { className: "text" }, candidate.end ? "the end" : shown(candidate.text)),
      make("span", { className: "bar", ariaHidden: "true" }, bar),
      make("span", { className: "share" }, percent(candidate.probability)),
    ];
    const drawn = candidate.drawn ? " drawn" : "";
    if (candidate.drawn) parts[0].append(make("span", { className: "small" }, " \u2014 told"));
    if (!candidate.whole) return make("li", {}, make("div", { className: `end${drawn}` }, ...parts));
    const onclick = () => branch(at, candidate.text);
    return make("li", {}, make("button", { type: "button", className: drawn.trim(), onclick }, ...parts));
  }));
  if (passes) {
    const title = make("h3", {}, "What it read from its memory");
    element("reads").replaceChildren(title, ...passes.map((pass, n) => make("p", {}, ...describe(pass, n))));
  }
  uncover(wordAt(at));
}

/** One pass in words; the words it read are marked in the story. */
function describe({ operations, weights, hop, reads }, n) {
  const ops = operations.map((op, i) => `${op} (${percent(weights[i])})`).join(" and ");
  const text = [`Pass ${n + 1}: operations ${ops}`];
  if (n > 0) text.push(`, ${percent(hop)} of the way on from what the pass before read`);
  text.push(reads.length ? "; read " : "; read nothing");
  reads.forEach((read, i) => {
    wordAt(read.at)?.span.classList.add("read");
    const name = read.at < 0 ? "the story\u2019s begin" : shown(bare(story.tokens[read.at].text));
    const before = read.at < 0 ? "" : story.tokens.slice(Math.max(0, read.at - 3), read.at).map((t) => t.text).join("");
    const what = make("q", {}, name);
    const context = make("q", {}, shown(before.trim()));
    const pair = read.direction === "after" ? [what, " after ", context] : [context, " before ", what];
    text.push(i ? ", " : "", ...pair, ` ${percent(read.share)}`);
  });
  return [...text, "."];
}

function closePanel() {
  looked = null;
  element("panel").hidden = true;
  document.body.classList.remove("looking");
  for (const { span } of story.words) span.classList.remove("open", "read");
}

/** Goes on from the story's first `at` tokens and another text: a story of its own, with a link of its own. */
function branch(at, text) {
  element("prompt").value = story.tokens.slice(0, at).map((token) => token.text).join("") + text;
  closePanel();
  go();
  element("story").scrollIntoView({ block: "start" });
}

function wordOf(event) {
  const span = event.target.closest?.(".w");
  return span && story.words[span.dataset.word];
}

function open(word) {
  stop();
  look(word.first);
  element("panel").focus({ preventScroll: true });
}

/** Scrolls so far that the panel does not lie on the word it is about. */
function uncover(word) {
  const covered = word.span.getBoundingClientRect().bottom - element("panel").getBoundingClientRect().top;
  if (covered > -24) scrollBy({ top: covered + 48 });
}

function stop() {
  if (!story.telling) return;
  worker.postMessage({ call: "stop" });
  finish("stopped.");
}

element("story").addEventListener("click", (event) => {
  const word = wordOf(event);
  if (word) open(word);
});
element("story").addEventListener("keydown", (event) => {
  const word = wordOf(event);
  if (!word) return;
  const index = Number(word.span.dataset.word);
  const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: story.words.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") open(word);
  else if (story.words[to]) {
    word.span.tabIndex = -1;
    story.words[to].span.tabIndex = 0;
    story.words[to].span.focus();
  } else return;
  event.preventDefault();
});
element("close").addEventListener("click", () => {
  const word = wordAt(looked);
  closePanel();
  word?.span.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !element("panel").hidden) element("close").click();
});

element("settings").addEventListener("input", summarise);
element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  go();
});
element("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go();
});
element("another").addEventListener("click", () => {
  element("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  go();
});
element("stop").addEventListener("click", stop);
element("share").addEventListener("click", async () => {
  const link = location.href.split("#")[0] + story.link;
  element("link").value = link;
  element("shared").hidden = false;
  element("link").select();
  try {
    await navigator.clipboard.writeText(link);
    element("status").textContent = "The link is copied: it tells this very story to everyone who has the page.";
  } catch {
    element("status").textContent = "Copy the link below: it tells this very story to everyone who has the page.";
  }
});
element("colours").addEventListener("change", () => {
  element("story").classList.toggle("coloured", element("colours").checked);
});
element("story").classList.add("coloured");
addEventListener("hashchange", () => {
  if (about === null) return;
  readAddress();
  tell();
});

// Another model, chosen or dropped.

async function takeFile(file) {
  if (!file) return;
  stop();
  complain("");
  const bytes = new Uint8Array(await file.arrayBuffer());
  worker.postMessage({ call: "model", name: file.name, bytes }, [bytes.buffer]);
}

element("file").addEventListener("change", (event) => {
  takeFile(event.target.files[0]).catch((error) => complain(error.message));
  event.target.value = "";
});
for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    event.preventDefault();
    element("drop").hidden = false;
  });
}
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) element("drop").hidden = true;
});
addEventListener("drop", (event) => {
  event.preventDefault();
  element("drop").hidden = true;
  takeFile(event.dataTransfer.files[0]).catch((error) => complain(error.message));
});

worker.postMessage({ call: "open", module: blobOf("module-data"), model: blobOf("model-data") });
