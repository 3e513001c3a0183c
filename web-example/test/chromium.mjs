// A headless Chromium that is driven by the DevTools protocol over two pipes: no network, no package.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

// no name is found and no address answers: a page that needs anything from outside fails
const flags =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync --hide-scrollbars --remote-debugging-pipe " +
  "--proxy-server=127.0.0.1:9 --proxy-bypass-list=<-loopback> --host-resolver-rules=MAP\u00a0*\u00a0~NOTFOUND";

export class Chromium {
  #calls = new Map();
  #count = 0;
  #listeners = new Set();

  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), "flashlm-page-"));
    const all = [...flags.split(" ").map((flag) => flag.replaceAll("\u00a0", " ")), `--user-data-dir=${this.profile}`];
    const stdio = ["ignore", "ignore", "ignore", "pipe", "pipe"];
    this.process = spawn("chromium", [...all, "about:blank"], { stdio });
    let rest = "";
    this.process.stdio[4].setEncoding("utf8").on("data", (data) => {
      const messages = (rest + data).split("\0");
      rest = messages.pop();
      messages.forEach((message) => this.#hear(JSON.parse(message)));
    });
  }

  #hear({ id, sessionId, method, params, result, error }) {
    if (id === undefined) {
      for (const listener of this.#listeners) listener(sessionId, method, params);
      return;
    }
    const { done, failed } = this.#calls.get(id);
    this.#calls.delete(id);
    if (error) failed(new Error(error.message));
    else done(result);
  }

  send(method, params = {}, sessionId = undefined) {
    const id = ++this.#count;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((done, failed) => this.#calls.set(id, { done, failed }));
  }

  listen(listener) {
    this.#listeners.add(listener);
  }

  /** A new tab of `width` x `height`, by day or by night; by touch where it is a phone's. */
  async page({ width, height, phone = false, scheme = "light" }) {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId, targetId);
    await page.send("Page.enable");
    await page.send("Runtime.enable");
    await page.send("Log.enable");
    await page.send("Network.enable");
    const metrics = { width, height, deviceScaleFactor: phone ? 2 : 1, mobile: phone };
    await page.send("Emulation.setDeviceMetricsOverride", metrics);
    await page.send("Emulation.setTouchEmulationEnabled", { enabled: phone });
    page.phone = phone;
    await page.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await page.send("Network.emulateNetworkConditions", {
      offline: true, latency: 0, downloadThroughput: 0, uploadThroughput: 0,
    });
    return page;
  }

  async close() {
    const ended = new Promise((done) => this.process.once("exit", done));
    this.send("Browser.close").catch(() => {});
    await ended;
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

export class Page {
  /** What the page asked for and what went wrong in it. */
  requests = [];
  errors = [];

  constructor(browser, session, target) {
    Object.assign(this, { browser, session, target });
    browser.listen((from, method, params) => {
      if (from !== session) return;
      if (method === "Network.requestWillBeSent") this.requests.push(params.request.url.slice(0, 200));
      if (method === "Runtime.exceptionThrown") this.errors.push(params.exceptionDetails.exception?.description);
      if (method === "Log.entryAdded" && params.entry.level === "error") this.errors.push(params.entry.text);
    });
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression, awaitPromise: true, returnByValue: true,
    });
    if (exceptionDetails) throw new Error(`${expression.slice(0, 100)}: ${exceptionDetails.exception.description}`);
    return result.value;
  }

  /** Waits until an expression is true. */
  async until(expression, seconds = 60) {
    for (const end = Date.now() + 1000 * seconds; Date.now() < end; ) {
      if (await this.value(expression)) return;
      await new Promise((go) => setTimeout(go, 30));
    }
    throw new Error(`not so after ${seconds} s: ${expression}; errors: ${this.errors.join("; ")}`);
  }

  /** Goes to an address: the page is made anew. */
  async open(url) {
    await this.send("Page.navigate", { url: "about:blank" });
    await this.send("Page.navigate", { url });
    await this.until("document.readyState === 'complete' && location.protocol !== 'about:'");
  }

  /** Clicks, or taps, in the middle of the first element of a selector (and of an index). */
  async click(selector, index = 0) {
    const found = `document.querySelectorAll(${JSON.stringify(selector)})[${index}]`;
    const at = await this.value(`(() => {
      const element = ${found};
      const { top, bottom } = element.getBoundingClientRect();
      if (top < 0 || bottom > innerHeight) element.scrollIntoView({ block: "center" });
      const box = element.getClientRects()[0];
      const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
      const hit = document.elementFromPoint(at.x, at.y);
      return element.contains(hit) || hit?.contains(element) && element.disabled !== true ? at : null;
    })()`);
    if (!at) throw new Error(`${selector}: there is something before it`);
    if (this.phone) {
      await this.send("Input.dispatchTouchEvent", { type: "touchStart", touchPoints: [at] });
      await this.send("Input.dispatchTouchEvent", { type: "touchEnd", touchPoints: [] });
      return;
    }
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.send("Input.dispatchMouseEvent", { type, ...at, button: "left", clickCount: 1 });
    }
  }

  /** Presses a key. */
  async press(key, code = 0) {
    for (const type of ["keyDown", "keyUp"]) {
      await this.send("Input.dispatchKeyEvent", { type, key, windowsVirtualKeyCode: code });
    }
  }

  /** Puts a text into a field. */
  async fill(selector, text) {
    await this.value(`document.querySelector(${JSON.stringify(selector)}).select()`);
    await this.send("Input.insertText", { text });
  }

  async screenshot() {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }
}
