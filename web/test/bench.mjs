// Speed in Chromium, one thread: this package against onnxruntime-web on the embedded network, and against the command: node bench.mjs ONNX [DEEPCUT]
//
// ONNX is what bench/embedded_onnx.py writes. Engines take turns; times are medians, in milliseconds. Prints a table and the processor's name.

import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const [onnx, program] = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "deepcut-bench-"));
cpSync(here("../../target/web"), work, { recursive: true });
mkdirSync(join(work, "ort"));
for (const name of ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"]) {
  copyFileSync(here(`node_modules/onnxruntime-web/dist/${name}`), join(work, "ort", name));
}
copyFileSync(onnx, join(work, "embedded.onnx"));
const site = await serve(work);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
const page = await browser.newPage();
page.on("pageerror", (error) => console.error(String(error)));
await page.goto(site.address);
await page.waitForSelector("body[data-state=ready]");

const found = await page.evaluate(async () => {
  const ort = await import(new URL("ort/ort.wasm.min.mjs", location).href);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = new URL("ort/", location).href;
  const session = await ort.InferenceSession.create("embedded.onnx", { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  const side = session.inputMetadata?.[0]?.shape?.[2] ?? 352;
  const pixels = new ort.Tensor("float32", new Float32Array(3 * side * side).map((_, i) => ((i * 37) % 101) / 50 - 1), [1, 3, side, side]);
  const { Segmenter } = await import(new URL("deepcut/index.js", location).href);
  const blob = await (await fetch("examples/duck.jpg")).blob();
  const engines = { "onnxruntime-web": { features: () => session.run({ [session.inputNames[0]]: pixels }) } };
  for (const instructions of ["simd128", "relaxed"]) {
    for (const precision of ["f32", "int8"]) {
      const segmenter = await Segmenter.load({ instructions, precision });
      let kept;
      engines[`${instructions} ${precision}`] = {
        features: async () => {
          await kept?.dispose();
          kept = await segmenter.features(blob, { resolution: side });
          return 1000 * kept.seconds.network;
        },
        cluster: async () => {
          const result = await segmenter.cluster(kept, {});
          await result.dispose();
          return 1000 * Object.values(result.seconds).reduce((a, b) => a + b, 0);
        },
      };
    }
  }
  const times = {};
  for (let round = 0; round < 9; round++) {
    for (const [name, engine] of Object.entries(engines)) {
      for (const [what, run] of Object.entries(engine)) {
        const begin = performance.now();
        const own = await run();
        ((times[name] ??= {})[what] ??= []).push(typeof own === "number" ? own : performance.now() - begin);
      }
    }
  }
  return { side, times, memory: performance.memory?.usedJSHeapSize };
});
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
console.log(`${cpus()[0].model}, ${browser.version()}, one thread, ${found.side} pixels, medians of 9 in turns, milliseconds`);
console.log("| engine | features | cut |\n|---|---|---|");
for (const [name, { features, cluster }] of Object.entries(found.times)) {
  console.log(`| ${name} | ${median(features).toFixed(0)} | ${cluster ? median(cluster).toFixed(0) : ""} |`);
}
if (program) {
  for (const precision of ["f32", "int8"]) {
    const run = () => {
      const flags = ["segment", here("../../examples/pictures/duck.jpg"), "-o", work, "-f", "json", "--overwrite", "--quiet", "--no-progress", "--threads", "1", "-r", String(found.side)];
      execFileSync(program, [...flags, "--precision", precision]);
      return JSON.parse(readFileSync(join(work, "duck.json"), "utf8")).seconds;
    };
    const runs = Array.from({ length: 9 }, run);
    const sum = (names) => median(runs.map((seconds) => names.reduce((total, name) => total + 1000 * (seconds[name] ?? 0), 0)));
    console.log(`| the command, ${precision} | ${sum(["resize", "backbone"]).toFixed(0)} | ${sum(["graph", "train", "upsample", "refine"]).toFixed(0)} |`);
  }
}
await browser.close();
site.close();
rmSync(work, { recursive: true });
