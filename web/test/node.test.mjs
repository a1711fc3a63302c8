// The package in Node, against the command: node --test node.test.mjs, with DEEPCUT naming the program `deepcut`.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { Segmenter } from "deepcut-vision";
import { hasRelaxed } from "deepcut-vision/dist/engine.js";
import jpeg from "jpeg-js";
import { zip } from "../page/zip.js";

const PICTURES = new URL("../../examples/pictures/", import.meta.url);
const program = process.env.DEEPCUT;
let work;
before(() => (work = mkdtempSync(join(tmpdir(), "deepcut-web-"))));
after(() => rmSync(work, { recursive: true }));

/** RGBA pixels of an example. */
function picture(name) {
  const { data, width, height } = jpeg.decode(readFileSync(new URL(name, PICTURES)), { useTArray: true });
  return { data, width, height };
}

/** What the command makes of the same pixels. */
function native(image, ...options) {
  const file = join(work, "picture.ppm");
  const colors = Buffer.from(image.data.filter((_, i) => i % 4 !== 3));
  writeFileSync(file, Buffer.concat([Buffer.from(`P6 ${image.width} ${image.height} 255\n`), colors]));
  execFileSync(program, ["segment", file, "-o", work, "-f", "npy", "--overwrite", "--quiet", "--no-progress", ...options]);
  const npy = readFileSync(join(work, "picture.npy"));
  return npy.subarray(10 + npy.readUInt16LE(8));
}

/** The least IoU of any label that either has. */
function agreement(a, b) {
  assert.equal(a.length, b.length);
  const [both, either] = [new Float64Array(256), new Float64Array(256)];
  for (let i = 0; i < a.length; i++) {
    if (a[i] === b[i]) both[a[i]] += 1;
    else either[a[i]] += 1;
    either[b[i]] += 1;
  }
  return Math.min(...[...either.keys()].filter((label) => either[label]).map((label) => both[label] / either[label]));
}

const cuts = [
  ["object", {}, []],
  ["parts", { mode: "parts", k: 3 }, ["--mode", "parts", "-k", "3"]],
  ["objects", { mode: "objects" }, ["--mode", "objects"]],
  ["scene", { mode: "scene", k: 4, refine: "none" }, ["--mode", "scene", "-k", "4", "--refine", "none"]],
];
for (const instructions of ["simd128", "relaxed"]) {
  const skip = program ? instructions === "relaxed" && !hasRelaxed() && "this Node has no relaxed instructions" : "DEEPCUT names no program";
  test(`labels are the command's: ${instructions}`, { skip }, async (t) => {
    for (const precision of ["f32", "int8"]) {
      const segmenter = await Segmenter.load({ worker: false, instructions, precision });
      assert.equal(segmenter.identity.instructions, instructions === "relaxed" ? "relaxed_simd" : "simd128");
      for (const name of ["duck.jpg", "hare.jpg", "mug.jpg"]) {
        const image = picture(name);
        const features = await segmenter.features(image);
        for (const [mode, options, flags] of cuts) {
          const result = await segmenter.cluster(features, options);
          const share = agreement(result.labels, native(image, "--precision", precision, ...flags));
          t.diagnostic(`${name}, ${mode}, ${precision}: IoU ${share.toFixed(5)}`);
          // Rounded to 8 bits, the range of the left side depends on the instructions.
          if (precision === "f32") assert.ok(share >= 0.999, `${name}, ${mode}: ${share}`);
          else if (mode === "object") assert.ok(share >= 0.97, `${name}, ${mode}: ${share}`);
          await result.dispose();
        }
        await features.dispose();
      }
    }
  });
}

test("features are cut many times, and the same cut is the same", async () => {
  const segmenter = await Segmenter.load({ worker: false });
  const image = picture("duck.jpg");
  const features = await segmenter.features(image);
  assert.deepEqual([features.width, features.height, features.scale], [image.width, image.height, 1]);
  const [a, b] = [await segmenter.cluster(features), await segmenter.cluster(features)];
  assert.deepEqual(a.labels, b.labels);
  const parts = await segmenter.cluster(features, { mode: "parts", k: 4 });
  assert.ok(parts.regions.length > 1 && parts.regions.every((region) => region.kind === "part"));
  const area = (result) => result.labels.reduce((sum, label) => sum + (label > 0), 0);
  assert.equal(a.regions.reduce((sum, region) => sum + region.area, 0), area(a));
  const again = await segmenter.segment(image, { mode: "parts", k: 4 });
  assert.deepEqual(again.labels, parts.labels);
  await again.dispose();
});

test("what cannot be done is said", async () => {
  const segmenter = await Segmenter.load({ worker: false });
  const image = picture("duck.jpg");
  await assert.rejects(segmenter.features({ data: new Uint8Array(7), width: 2, height: 1 }), /7 bytes are no image of 2 x 1 RGBA pixels/);
  await assert.rejects(segmenter.features({ data: [1, 2, 3, 4], width: 1, height: 1 }), /no Uint8Array/);
  await assert.rejects(segmenter.features(new Blob(["x"])), /decode files before/);
  await assert.rejects(segmenter.features({ data: new Uint8Array(0), width: 0, height: 0 }), Error);
  const features = await segmenter.features(image);
  await assert.rejects(segmenter.cluster(features, { mood: "parts" }), /there is no option `mood`/);
  await assert.rejects(segmenter.cluster(features, { mode: "parts", k: 1000 }), /n_clusters|clusters/);
  const result = await segmenter.cluster(features, { tau: 0.3, method: "kmeans" });
  assert.deepEqual(result.ignored.map(({ option }) => option), ["tau"]);
  assert.deepEqual((await segmenter.cluster(features)).ignored, []);
  await assert.rejects(result.file("jpeg"), /there is no format jpeg/);
  await assert.rejects(result.annotations("coco", "a.png", { simplify: -1 }), /simplify/);
  await assert.rejects(result.annotations("coco", "a.png", { colour: 1 }), /there is no option "colour" of files/);
  await features.dispose();
  await assert.rejects(segmenter.cluster(features), /disposed of/);
  await assert.rejects(Segmenter.load({ worker: false, precision: "bf16" }), /precision is "bf16"/);
  await assert.rejects(Segmenter.load({ worker: false, weights: new Uint8Array(100) }), Error);
});

test("files are those of the command", { skip: !program && "DEEPCUT names no program" }, async () => {
  const segmenter = await Segmenter.load({ worker: false, precision: "f32" });
  const image = picture("ducks1.jpg");
  const file = join(work, "ducks.ppm");
  const colors = Buffer.from(image.data.filter((_, i) => i % 4 !== 3));
  writeFileSync(file, Buffer.concat([Buffer.from(`P6 ${image.width} ${image.height} 255\n`), colors]));
  const out = join(work, "files");
  const formats = ["labels", "mask", "cutout", "overlay", "coco", "yolo", "labelme", "geojson", "npy"];
  const flags = ["--mode", "objects", "--precision", "f32", "--label", "duck", "-f", formats.join(","), "--quiet", "--no-progress"];
  execFileSync(program, ["segment", file, "-o", out, ...flags]);
  const result = await segmenter.segment(image, { mode: "objects" });
  const labels = readFileSync(join(out, "ducks.npy"));
  const same = agreement(result.labels, labels.subarray(10 + labels.readUInt16LE(8)));
  assert.ok(same >= 0.999, String(same));
  for (const format of ["labels", "mask", "cutout", "overlay"]) {
    const { name, bytes } = await result.file(format, "ducks.ppm");
    assert.equal(name, `ducks.${format}.png`);
    assert.deepEqual([...bytes.subarray(0, 8)], [137, 80, 78, 71, 13, 10, 26, 10]);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    assert.deepEqual([view.getUint32(16), view.getUint32(20)], [image.width, image.height]);
  }
  const text = async (format) => (await result.annotations(format, "ducks.ppm", { label: "duck" })).map(({ name, bytes }) => [name, new TextDecoder().decode(bytes)]);
  const theirs = (name) => readFileSync(join(out, name), "utf8");
  const coco = JSON.parse(new Map(await text("coco")).get("annotations.json"));
  const expected = JSON.parse(theirs("annotations.json"));
  assert.deepEqual(coco.categories, expected.categories);
  assert.deepEqual(coco.annotations.map((a) => Object.keys(a).sort()), expected.annotations.map((a) => Object.keys(a).sort()));
  if (same === 1) {
    assert.deepEqual(coco.annotations, expected.annotations);
    assert.equal(new Map(await text("yolo")).get("labels/ducks.txt"), theirs("labels/ducks.txt"));
    assert.deepEqual(JSON.parse(new Map(await text("geojson")).get("ducks.geojson")), JSON.parse(theirs("ducks.geojson")));
  }
});

test("a zip file holds its files, twice the same name too", () => {
  const files = [["a.txt", "hello"], ["b/ü.txt", "x".repeat(1000)], ["a.txt", ""]].map(([name, text]) => ({ name, bytes: new TextEncoder().encode(text) }));
  const path = join(work, "files.zip");
  writeFileSync(path, zip(files));
  const list = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print([(i.filename, i.file_size) for i in z.infolist()])";
  const found = execFileSync("python3", ["-c", list, path], { encoding: "utf8", env: { ...process.env, PYTHONIOENCODING: "utf-8" } });
  assert.equal(found.trim(), "[('a.txt', 5), ('b/ü.txt', 1000), ('a-2.txt', 0)]");
});
