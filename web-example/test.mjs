// Opens the page of target/web in a headless Chromium and compares the story in it with that of the desktop program.
// Needs web-example/build.sh to have run, and chromium: node web-example/test.mjs
import { execFileSync, execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { promisify } from "node:util";

const root = new URL("../target/web/", import.meta.url).pathname;
const types = { ".html": "text/html", ".js": "text/javascript", ".wasm": "application/wasm" };
const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname.replace(/\/$/, "/index.html");
  try {
    const body = await readFile(join(root, path));
    response.writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

const [prompt, seed] = ["Once upon a time", "7"];
const profile = mkdtempSync(join(tmpdir(), "flashlm-page-"));
const url = `http://127.0.0.1:${server.address().port}/?${new URLSearchParams({ prompt, seed })}`;
const flags =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking " +
  "--disable-component-update --disable-sync --virtual-time-budget=60000 --dump-dom";
const { stdout: page } = await promisify(execFile)(
  "chromium", [...flags.split(" "), `--user-data-dir=${profile}`, url], { timeout: 120_000, maxBuffer: 1 << 24 },
);
server.close();
rmSync(profile, { recursive: true, force: true });

const text = (id) => {
  const inner = page.match(new RegExp(`id="${id}"[^>]*>([^<]*)<`))?.[1] ?? "";
  return inner.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
};
console.log(`browser (${text("status")}): ${text("story")}`);
const cargo = "run --quiet --release -p runtime-desktop -- generate -n 400 --temp 0.7 --seed".split(" ");
const story = execFileSync("cargo", [...cargo, seed, "-p", prompt], { encoding: "utf8" });
if (text("story").trim() !== story.trim()) {
  console.log(`desktop: ${story}`);
  console.log("FAILED: the browser tells another story than the desktop");
  process.exit(1);
}
console.log("the same story in the browser and on the desktop");
