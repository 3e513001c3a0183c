// Opens a page from disk, offline, and prints the story it tells: node open.mjs STORY.html [LINK]
// LINK is what flashlm, a chip's console and the page itself give out: #seed=7&prompt=The%20cat&temperature=0.7&depth=1
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { Chromium } from "./chromium.mjs";

const [file, link = ""] = process.argv.slice(2);
const browser = new Chromium();
try {
  const page = await browser.page({ width: 1000, height: 800 });
  await page.open(pathToFileURL(resolve(file)) + link);
  await page.until(`document.getElementById("problem").textContent || / tokens in /.test(
    document.getElementById("status").textContent)`);
  const problem = await page.value(`document.getElementById("problem").textContent`);
  if (problem) throw new Error(problem);
  console.log(await page.value(`document.getElementById("story").textContent`));
} finally {
  await browser.close();
}
