// The page in Chromium, as its users have it: node --test browser.test.mjs. CHROMIUM names the browser; screenshots go to SCREENSHOTS, if that is set.

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const path = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));
const skip = path ? false : "there is no Chromium: set CHROMIUM";
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const duck = here("../../examples/pictures/duck.jpg");
let site, browser, work;

before(async () => {
  if (skip) return;
  work = mkdtempSync(join(tmpdir(), "deepcut-page-"));
  site = await serve(here("../../target/web"));
  browser = await chromium.launch({ executablePath: path, args: ["--no-sandbox", "--disable-dev-shm-usage", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"] });
});
after(async () => {
  await browser?.close();
  site?.close();
  if (work) rmSync(work, { recursive: true });
});

async function open(options = {}) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => message.type() === "error" && wrong.push(message.text()));
  await page.goto(site.address);
  return { page, context, wrong };
}
const state = (page, name) => page.waitForSelector(`body[data-state=${name}]`, { timeout: 120_000 });
const shot = async (page, name) => {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
};
/** Clicks something that changes the cut, and waits for the result. */
async function changed(page, act) {
  const busy = state(page, "busy");
  await act();
  await busy;
  await state(page, "done");
}

test("an example is cut, again by other options, and downloaded in each format", { skip }, async (t) => {
  const { page, context, wrong } = await open();
  const begin = Date.now();
  await page.click("[data-example='examples/duck.jpg']");
  await state(page, "done");
  t.diagnostic(`first mask ${Date.now() - begin} ms after the click; ${await page.textContent("#status")}`);
  assert.match(await page.textContent("#found"), /^The object, confidence 0\.\d\d\.$/);
  assert.match(await page.textContent("#status"), /^Picture \d+\.\d\d s, cut \d+\.\d\d s\.$/);
  await shot(page, "object");

  await changed(page, () => page.check("[name=mode][value=parts]"));
  assert.match(await page.textContent("#found"), /^[2-4] parts\.$/);
  await shot(page, "parts");
  const again = Date.now();
  await changed(page, () => page.fill("#k", "2"));
  t.diagnostic(`another k: ${Date.now() - again} ms; ${await page.textContent("#status")}`);
  assert.match(await page.textContent("#found"), /^[12] parts?\.$/);
  await changed(page, () => page.check("[name=mode][value=objects]"));
  await changed(page, () => page.fill("#confidence", "1"));
  assert.match(await page.textContent("#found"), /No objects was found|No object/);
  await changed(page, () => page.fill("#confidence", "0"));
  await changed(page, () => page.check("[name=mode][value=object]"));

  const download = async (format) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(`[data-format=${format}]`)]);
    const file = join(work, download.suggestedFilename());
    await download.saveAs(file);
    return file;
  };
  await page.fill("#label", "duck");
  for (const format of ["cutout", "mask", "labels", "overlay"]) {
    const bytes = readFileSync(await download(format));
    assert.equal(bytes.toString("latin1", 1, 4), "PNG", format);
    assert.deepEqual([bytes.readUInt32BE(16), bytes.readUInt32BE(20)], await page.evaluate(() => [picture.width, picture.height]), format);
  }
  const coco = JSON.parse(readFileSync(await download("coco"), "utf8"));
  assert.equal(coco.categories[0].name, "duck");
  const report = JSON.parse(readFileSync(await download("json"), "utf8"));
  assert.equal(coco.annotations[0].area, report.area);
  const geo = JSON.parse(readFileSync(await download("geojson"), "utf8"));
  assert.equal(geo.features[0].properties.name ?? geo.features[0].properties.class ?? "duck", "duck");
  const labelme = JSON.parse(readFileSync(await download("labelme"), "utf8"));
  assert.equal(labelme.shapes[0].label, "duck");
  const yolo = await download("yolo");
  if (yolo.endsWith(".zip")) execFileSync("python3", ["-m", "zipfile", "-t", yolo]);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("a second visit loads the network from the cache", { skip }, async () => {
  const { page, context } = await open();
  await state(page, "ready");
  const before = site.requests["/deepcut/weights.safetensors"];
  await page.reload();
  await state(page, "ready");
  assert.equal(site.requests["/deepcut/weights.safetensors"], before);
  await context.close();
});

test("the keyboard alone does it", { skip }, async () => {
  const { page, context, wrong } = await open();
  await state(page, "ready");
  const focused = () => page.evaluate(() => document.activeElement.dataset.example ?? document.activeElement.id ?? "");
  for (let i = 0; i < 30 && !(await focused()).startsWith("examples/"); i++) await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await state(page, "done");
  for (let i = 0; i < 30 && (await focused()) !== "picture"; i++) await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector("#tip:not([hidden])");
  assert.match(await page.textContent("#tip"), /score \d\.\d\d, \d+\.\d % of the picture/);
  const radio = () => page.evaluate(() => document.activeElement.name);
  for (let i = 0; i < 10 && (await radio()) !== "mode"; i++) await page.keyboard.press("Tab");
  await changed(page, () => page.keyboard.press("ArrowDown"));
  assert.match(await page.textContent("#found"), /parts?\.$/);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("every control has a name, and every picture a text", { skip }, async () => {
  const { page, context } = await open();
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, input, select, a, img, canvas, progress")]
      .filter((element) => !(element.textContent.trim() || element.getAttribute("aria-label") || element.alt || element.labels?.length || element.querySelector?.("img[alt]")))
      .map((element) => element.outerHTML),
  );
  assert.deepEqual(nameless, []);
  assert.equal(await page.getAttribute("html", "lang"), "en");
  await context.close();
});

test("dark, and as wide as a phone", { skip }, async () => {
  const { page, context, wrong } = await open({ colorScheme: "dark", viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true });
  const color = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await color(), "rgb(20, 24, 26)");
  await page.tap("[data-example='examples/hare.jpg']");
  await state(page, "done");
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= 390, `the page is ${wide} pixels wide`);
  await page.tap("#picture");
  await shot(page, "phone-dark");
  assert.deepEqual(wrong, []);
  await context.close();
});

test("pictures come by choosing, dropping, pasting and the camera", { skip }, async () => {
  const { page, context, wrong } = await open({ permissions: ["camera"] });
  await page.setInputFiles("#file", duck);
  await state(page, "done");
  const bytes = readFileSync(duck).toString("base64");
  for (const kind of ["drop", "paste"]) {
    await changed(page, () =>
      page.evaluate(
        async ([kind, bytes]) => {
          const blob = await (await fetch(`data:image/jpeg;base64,${bytes}`)).blob();
          const data = new DataTransfer();
          data.items.add(new File([blob], `${kind}.jpg`, { type: "image/jpeg" }));
          const event = kind === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }) : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
          document.body.dispatchEvent(event);
        },
        [kind, bytes],
      ),
    );
    assert.match(await page.getAttribute("#picture", "aria-label"), new RegExp(`^${kind}.jpg`));
  }
  await page.click("#camera");
  await page.waitForFunction(() => document.getElementById("video").videoWidth > 0);
  await changed(page, () => page.click("#shutter"));
  assert.match(await page.getAttribute("#picture", "aria-label"), /^camera.png/);
  assert.deepEqual(wrong, []);
  await context.close();
});

test("what is no picture is refused in a sentence, and the page goes on", { skip }, async () => {
  const { page, context } = await open();
  await state(page, "ready");
  writeFileSync(join(work, "broken.jpg"), "not a picture");
  await page.setInputFiles("#file", join(work, "broken.jpg"));
  await state(page, "failed");
  assert.match(await page.textContent("#error"), /^this browser cannot read the picture: it is damaged/i);
  await page.setInputFiles("#file", { name: "a.txt", mimeType: "text/plain", buffer: Buffer.from("x") });
  assert.equal(await page.textContent("#error"), "a.txt is not a picture that this browser knows.");
  await page.setInputFiles("#file", duck);
  await state(page, "done");
  assert.ok(await page.isHidden("#error"));
  await context.close();
});

test("a large picture is scaled down, and the page answers meanwhile", { skip }, async (t) => {
  const { page, context } = await open();
  await state(page, "ready");
  await page.evaluate(async () => {
    const canvas = new OffscreenCanvas(8000, 6000);
    const context = canvas.getContext("2d");
    context.fillStyle = "#356";
    context.fillRect(0, 0, 8000, 6000);
    context.fillStyle = "#fb3";
    context.beginPath();
    context.arc(4200, 3100, 1500, 0, 7);
    context.fill();
    const data = new DataTransfer();
    data.items.add(new File([await canvas.convertToBlob({ type: "image/jpeg" })], "large.jpg", { type: "image/jpeg" }));
    window.gaps = [];
    let last = performance.now();
    const beat = () => {
      const now = performance.now();
      window.gaps.push(now - last);
      last = now;
      if (document.body.dataset.state !== "done") setTimeout(beat, 10);
    };
    beat();
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await state(page, "done");
  assert.match(await page.textContent("#found"), /Scaled down to 2309 × 1732 pixels\./);
  const longest = await page.evaluate(() => Math.max(...window.gaps));
  t.diagnostic(`the page's longest pause: ${longest.toFixed(0)} ms`);
  await context.close();
});

test("a folder becomes a zip file; one bad picture does not stop the others", { skip }, async () => {
  const { page, context } = await open();
  const folder = join(work, "photos");
  mkdirSync(join(folder, "more"), { recursive: true });
  for (const name of ["duck.jpg", "hare.jpg"]) writeFileSync(join(folder, name), readFileSync(here(`../../examples/pictures/${name}`)));
  writeFileSync(join(folder, "more", "broken.jpg"), "no");
  await page.setInputFiles("#folder", folder);
  await page.click("#batch-start");
  await page.waitForSelector("#batch-zip:not([hidden])", { timeout: 120_000 });
  assert.match(await page.textContent("#batch-status"), /^3 of 3 pictures, 1 failed\. Done\.$/);
  assert.match(await page.textContent("#batch-failures"), /^photos\/more\/broken\.jpg: /);
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#batch-zip")]);
  const file = join(work, "masks.zip");
  await download.saveAs(file);
  const list = execFileSync("python3", ["-m", "zipfile", "-l", file], { encoding: "utf8" });
  assert.match(list, /photos\/duck\.mask\.png[^]*photos\/hare\.mask\.png/);
  await context.close();
});

test("masks in the browser are those of Node", { skip }, async () => {
  const { page, context } = await open();
  await state(page, "ready");
  const counts = await page.evaluate(async () => {
    const { Segmenter } = await import("./deepcut/index.js");
    const segmenter = await Segmenter.load({ precision: "f32", instructions: "simd128" });
    const blob = await (await fetch("examples/duck.jpg")).blob();
    const bitmap = await createImageBitmap(blob);
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    const image = canvas.getContext("2d").getImageData(0, 0, bitmap.width, bitmap.height);
    const result = await segmenter.segment(image);
    const of = { pixels: Array.from(image.data), width: image.width, height: image.height, labels: Array.from(result.labels) };
    segmenter.close();
    return of;
  });
  const { Segmenter } = await import("deepcut-vision");
  const segmenter = await Segmenter.load({ worker: false, precision: "f32", instructions: "simd128" });
  const result = await segmenter.segment({ data: Uint8Array.from(counts.pixels), width: counts.width, height: counts.height });
  assert.deepEqual(Array.from(result.labels), counts.labels);
  await context.close();
});

test("a bundler builds it", { skip }, async (t) => {
  const { build } = await import("vite");
  const root = join(work, "bundled");
  mkdirSync(root);
  writeFileSync(join(root, "index.html"), '<!doctype html><title>x</title><script type="module" src="./main.js"></script>');
  const source = `import { Segmenter } from "deepcut-vision";
    const data = new ImageData(96, 64);
    data.data.fill(255);
    for (let y = 16; y < 48; y++) for (let x = 30; x < 70; x++) data.data.set([200, 40, 40, 255], 4 * (96 * y + x));
    const segmenter = await Segmenter.load();
    const result = await segmenter.segment(data);
    document.title = "labels " + result.labels.length;`;
  writeFileSync(join(root, "main.js"), source);
  await build({ root, logLevel: "error", resolve: { alias: { "deepcut-vision": here("../package/dist/index.js") } }, build: { target: "esnext", outDir: join(root, "out") } });
  const bundled = await serve(join(root, "out"));
  const page = await browser.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  await page.goto(bundled.address);
  await page.waitForFunction(() => document.title !== "x", null, { timeout: 120_000 }).catch(() => {});
  assert.deepEqual([await page.title(), wrong], [`labels ${96 * 64}`, []]);
  await page.close();
  bundled.close();
});
