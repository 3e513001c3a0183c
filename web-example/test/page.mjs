// Uses a page of `pack page` as a person does, by clicks and taps, in a headless Chromium without a network, and
// compares what it tells with the desktop program: node page.mjs STORY.html FLASHLM SHOTS AXE.js OTHER.flm
// STORY.html has the model that is built into FLASHLM; SHOTS is a folder for screenshots; AXE.js is axe-core's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Chromium } from "./chromium.mjs";

const [story, flashlm, shots, axe, other] = process.argv.slice(2).map((path) => resolve(path));
const file = pathToFileURL(story).href;
mkdirSync(shots, { recursive: true });
const rules = readFileSync(axe, "utf8");

/** What the desktop program prints; its remarks are for people. */
function run(flags) {
  return execFileSync(flashlm, flags.map(String), { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
}

/** What the desktop program tells, and its link. */
function desktop({ prompt, seed, temperature = 0.7, depth, model }) {
  const flags = ["generate", "--json", "--link", `--prompt=${prompt}`, "--seed", seed, "--temperature", temperature];
  if (depth) flags.push("--depth", depth);
  if (model) flags.push("-m", model);
  const told = JSON.parse(run(flags));
  return { text: told.prompt + told.text, link: told.link };
}

const text = (id) => `document.getElementById(${JSON.stringify(id)}).textContent`;
const field = (id) => `document.getElementById(${JSON.stringify(id)}).value`;
const told = `/ tokens in /.test(${text("status")})`;

/** A tab with the page, its story told. */
async function opened(browser, screen, link = "") {
  const page = await browser.page(screen);
  await page.open(file + link);
  await page.until(`${told} || ${text("problem")}`);
  return page;
}

async function is(page, asked) {
  await page.until(`${told} || ${text("problem")}`);
  const want = desktop(asked);
  assert.equal(await page.value(text("problem")), "");
  assert.equal(await page.value(text("story")), want.text);
  assert.equal(await page.value("location.hash"), want.link);
  return want;
}

/** Nothing was asked of any network, and nothing went wrong. */
function quiet(page) {
  for (const url of page.requests) assert.match(url, /^(file|blob|data|about):/);
  assert.deepEqual(page.errors, []);
}

async function accessible(page, what) {
  if (!(await page.value("typeof axe === 'object'"))) await page.value(`${rules}; true`);
  const found = await page.value(`axe.run({ resultTypes: ["violations"] }).then(({ violations, passes }) => ({
    passes: passes.length,
    violations: violations.map(({ id, help, nodes }) => [id, help, ...nodes.map((n) => n.html.slice(0, 99))]),
  }))`);
  assert.deepEqual(found.violations, [], what);
  assert.ok(found.passes > 15, `${what}: axe looked at ${found.passes} rules alone`);
}

const desk = { width: 1280, height: 900 };
const phone = { width: 390, height: 844, phone: true };

const tests = {
  async "opens from disk, offline, and tells the desktop's story, large and small, by day and by night"(browser) {
    const grounds = new Set();
    for (const [name, screen] of Object.entries({ desk, phone })) {
      for (const scheme of ["light", "dark"]) {
        const page = await opened(browser, { ...screen, scheme });
        await is(page, { prompt: "Once upon a time", seed: 1 });
        assert.ok(await page.value("document.documentElement.scrollWidth <= innerWidth"), `${name} is too wide`);
        grounds.add(await page.value("getComputedStyle(document.body).backgroundColor"));
        writeFileSync(join(shots, `${name}-${scheme}.png`), await page.screenshot());
        await accessible(page, `${name}, ${scheme}`);
        await page.click("summary");
        await page.click("#story .w", 20);
        await page.until(`document.querySelectorAll("#candidates li").length >= 8`);
        assert.ok(await page.value(`document.querySelector(".w.open").getBoundingClientRect().bottom <
          document.getElementById("panel").getBoundingClientRect().top`), "the panel lies on its word");
        assert.ok(await page.value("document.documentElement.scrollWidth <= innerWidth"), `${name} is too wide`);
        writeFileSync(join(shots, `${name}-${scheme}-word.png`), await page.screenshot());
        await accessible(page, `${name}, ${scheme}, a word open`);
        quiet(page);
        // what axe is to find it finds
        await page.value(`document.querySelector("main").append(document.createElement("img")); true`);
        await assert.rejects(accessible(page, "an image without a text"), /image-alt/);
      }
    }
    assert.equal(grounds.size, 2, "day and night look alike");
  },

  async "a link tells that very story, whatever its prompt"(browser) {
    for (const asked of [
      { prompt: "The dog ", seed: 7, temperature: 0.5, depth: 3 },
      { prompt: "Été & \"50 %\" + #1?\nTom", seed: "18446744073709551615", temperature: 1.25, depth: "auto" },
      { prompt: "", seed: 0, temperature: 0, depth: 1 },
    ]) {
      await is(await opened(browser, phone, desktop(asked).link), asked);
    }
    // keys may be missing and in any order, as a person types them
    const page = await opened(browser, desk, "#prompt=Tom+and%20Sue&seed=3");
    await is(page, { prompt: "Tom and Sue", seed: 3 });
    quiet(page);
  },

  async "what is typed is told, and the way back leads to the story before"(browser) {
    const page = await opened(browser, desk);
    await page.fill("#prompt", "Tom had a red boat");
    await page.click("summary");
    await page.fill("#seed", "12");
    await page.fill("#temperature", "0.3");
    await page.value(`document.getElementById("depth").value = "2"`);
    await page.click("#tell");
    await page.until(`${text("story")}.startsWith("Tom had")`);
    await is(page, { prompt: "Tom had a red boat", seed: 12, temperature: 0.3, depth: 2 });
    await page.value("history.back()");
    await page.until(`${field("seed")} === "1" && ${text("story")}.startsWith("Once")`);
    await is(page, { prompt: "Once upon a time", seed: 1 });
    quiet(page);
  },

  async "another tells another, and its link is the one that is shared"(browser) {
    const page = await opened(browser, phone);
    const first = await page.value(text("story"));
    await page.click("#another");
    await page.until(`${told} && ${field("seed")} !== "1"`);
    const want = await is(page, { prompt: "Once upon a time", seed: await page.value(field("seed")) });
    assert.notEqual(want.text, first);
    await page.click("#share");
    await page.until(`!document.getElementById("shared").hidden`);
    assert.equal(await page.value(field("link")), file + want.link);
    await page.until(`/link/.test(${text("status")})`);
    const shared = await opened(browser, desk, want.link);
    assert.equal(await shared.value(text("story")), want.text);
    quiet(page);
  },

  async "stop stops at once, and the page can go on"(browser) {
    const page = await opened(browser, desk, "#seed=5&prompt=Tom&temperature=1.5&depth=8");
    const all = await page.value(text("story"));
    await page.value(`new MutationObserver((_, watcher) => {
      watcher.disconnect();
      document.getElementById("stop").click();
    }).observe(document.getElementById("story"), { childList: true, subtree: true }); true`);
    await page.click("#tell");
    await page.until(`${text("status")} === "stopped."`);
    const part = await page.value(text("story"));
    await new Promise((go) => setTimeout(go, 500));
    assert.equal(await page.value(text("story")), part, "it went on");
    assert.ok(all.startsWith(part) && part.length < all.length, `${part.length} of ${all.length}`);
    assert.ok(await page.value(`document.getElementById("stop").disabled`));
    await page.click("#tell");
    await page.until(told);
    assert.equal(await page.value(text("story")), all);
    quiet(page);
  },

  async "a word shows what could have come and what was read, and leads another way"(browser) {
    const asked = { prompt: "Once upon a time", seed: 1, depth: 3 };
    const page = await opened(browser, phone, desktop(asked).link);
    assert.equal(await page.value(`document.querySelectorAll("#story .given").length`), 4);
    assert.ok(await page.value(`[...document.querySelectorAll("#story .w")].every((w) =>
      w.dataset.level === "1" && /^3 passes, operation \\d+$/.test(w.title))`));
    await page.click("#story .w", 30);
    await page.until(`document.querySelectorAll("#candidates li").length >= 8`);
    const texts = (selector) => `[...document.querySelectorAll("${selector}")].map((found) => found.textContent)`;
    const shares = await page.value(texts("#candidates .share"));
    const numbers = shares.map((share) => Number(share.replace(/[< %]/g, "")));
    assert.ok(numbers.every((share, n) => share <= 100 && (n === 0 || share <= numbers[n - 1])), `${shares}`);
    assert.match(await page.value(text("panel-passes")), /^3 passes of the reasoning loop led here, operation \d+/);
    assert.equal(await page.value(`document.querySelectorAll("#reads p").length`), 3);
    assert.match(await page.value(text("reads")), /operations \d+ .*read .*(after|before)/);
    assert.ok(await page.value(`document.querySelectorAll(".w.read").length > 0`), "nothing read is marked");
    // the memory read what the desktop's trace says
    const flags = ["generate", "--json", "--trace", "-p", asked.prompt, "--seed", 1, "--depth", 3];
    const { trace } = JSON.parse(run(flags));
    const looked = await page.value("looked");
    const step = trace.find(({ position }) => position === looked + 1);
    for (const { reads: [first] } of step.passes.filter(({ reads }) => reads.length)) {
      assert.ok((await page.value(text("reads"))).includes(first.token.trim()), first.token);
    }

    const [choice, chosen] = await page.value(`(() => {
      const all = [...document.querySelectorAll("#candidates button")];
      const at = all.findIndex((button) => !button.classList.contains("drawn"));
      return [at, all[at].querySelector(".text").textContent];
    })()`);
    const before = await page.value(`story.tokens.slice(0, looked).map((token) => token.text).join("")`);
    await page.click("#candidates button", choice);
    await page.until(`document.getElementById("panel").hidden && ${told}`);
    const prompt = await page.value(field("prompt"));
    assert.equal(prompt, before + chosen);
    await is(page, { ...asked, prompt });
    quiet(page);
  },

  async "keys do all that a mouse does"(browser) {
    const page = await opened(browser, desk);
    await page.value(`document.querySelector("#story .w").focus()`);
    await page.press("ArrowRight", 39);
    await page.press("ArrowRight", 39);
    await page.press("ArrowLeft", 37);
    assert.equal(await page.value("document.activeElement.dataset.word"), "1");
    await page.press("Enter", 13);
    await page.until(`document.querySelectorAll("#candidates li").length >= 8`);
    assert.equal(await page.value("document.activeElement.id"), "panel");
    await page.press("Escape", 27);
    assert.ok(await page.value(`document.getElementById("panel").hidden`));
    assert.equal(await page.value("document.activeElement.dataset.word"), "1");
    await page.click("#colours");
    assert.equal(await page.value(`getComputedStyle(document.querySelector(".w")).borderBottomWidth`), "0px");
    quiet(page);
  },

  async "what cannot be told is refused in words"(browser) {
    const page = await opened(browser, desk);
    await page.click("summary");
    for (const [id, bad, why] of [
      ["seed", "-1", /seed from 0 to 18446744073709551615.*"-1"/],
      ["seed", "18446744073709551616", /seed from 0/],
      ["temperature", "-2", /emperature must be a finite number/],
    ]) {
      const good = await page.value(field(id));
      await page.fill(`#${id}`, bad);
      await page.click("#tell");
      await page.until(`${text("problem")} !== ""`);
      assert.match(await page.value(text("problem")), why);
      await page.fill(`#${id}`, good);
      await page.click("#tell");
      await is(page, { prompt: "Once upon a time", seed: 1 });
    }
    const deep = await opened(browser, desk, "#seed=1&prompt=Tom&temperature=0.7&depth=99");
    assert.match(await deep.value(text("problem")), /99 passes/);
    quiet(page);
  },

  async "a model of one's own is taken, and what is none is refused while the one before goes on"(browser) {
    const page = await opened(browser, desk);
    const { root } = await page.send("DOM.getDocument");
    const { nodeId } = await page.send("DOM.querySelector", { nodeId: root.nodeId, selector: "#file" });
    await page.send("DOM.setFileInputFiles", { nodeId, files: [axe] });
    await page.until(`${text("problem")} !== ""`);
    assert.match(await page.value(text("problem")), /axe.*: this is no model that can be used here: .+/);
    await page.click("#tell");
    await is(page, { prompt: "Once upon a time", seed: 1 });

    const name = await page.value(text("model"));
    const data = { items: [], files: [other], dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"]) {
      await page.send("Input.dispatchDragEvent", { type, x: 300, y: 300, data });
    }
    await page.until(`${text("model")} !== ${JSON.stringify(name)} && (${told} || ${text("problem")})`);
    await is(page, { prompt: "Once upon a time", seed: 1, model: other });
    quiet(page);
  },
};

const browser = new Chromium();
let failed = 0;
try {
  for (const [promise, test] of Object.entries(tests)) {
    // ONLY="stop stops" runs what has that in its name
    if (process.env.ONLY && !promise.includes(process.env.ONLY)) continue;
    try {
      await test(browser);
      console.log(`ok: ${promise}`);
    } catch (error) {
      failed++;
      console.log(`FAILED: ${promise}\n${error.stack}`);
    }
  }
} finally {
  await browser.close();
}
process.exit(failed ? 1 : 0);
