// The page: pictures in, regions and files out. All computing is in the worker of deepcut/.

import { Segmenter } from "./deepcut/index.js";
import { zip } from "./zip.js";

const at = (id) => document.getElementById(id);
const STAGES = {
  decode: "Reading the picture", network: "Looking at the picture", graph: "Comparing patches", train: "Cutting", upsample: "Drawing edges", refine: "Drawing edges",
};
const TYPES = { png: "image/png", json: "application/json", geojson: "application/geo+json", zip: "application/zip", txt: "text/plain" };

/** The picture on show: its features, and what was found. */
let shown = null;
let folder = [];
let stopped = false;
// The newest wish of the controls; older ones that wait are dropped.
let wish = 0;

const loaded = Segmenter.load({ onProgress: loading }).then(
  (segmenter) => {
    const { backbone, instructions, version } = segmenter.identity;
    at("engine").textContent = `Version ${version}, ${backbone.precision ?? ""} ${instructions}.`;
    say("Ready.");
    document.body.dataset.state = "ready";
    return segmenter;
  },
  (error) => {
    fail(`The program cannot be loaded: ${error.message}`);
    document.body.dataset.state = "failed";
    throw error;
  },
);
loaded.catch(() => {});

const bytes = {};
function loading({ stage, loaded, total }) {
  if (loaded) bytes[stage] = [loaded, total];
  const [sum, of] = Object.values(bytes).reduce(([a, b], [loaded, total]) => [a + loaded, b + (total ?? NaN)], [0, 0]);
  say(stage === "start" ? "Starting …" : `Loading the program: ${mega(sum)}${of > sum ? ` of ${mega(of)}` : ""} …`, of ? sum / of : null);
}
const mega = (count) => `${(count / 1e6).toFixed(1)} MB`;

/** Says what goes on; `share` is done of it, null if that is not known, undefined if nothing is going on. */
function say(text, share) {
  at("status").textContent = text;
  at("progress").classList.toggle("busy", share !== undefined);
  if (share === null || share === undefined || Number.isNaN(share)) at("progress").removeAttribute("value");
  else at("progress").value = share;
}

function fail(text) {
  at("error").textContent = text;
  at("error").hidden = !text;
  if (text) say("");
}

/** Says the name of each stage as it begins, with the time so far. */
function telling() {
  const begin = performance.now();
  return ({ stage }) => say(`${STAGES[stage] ?? stage} … ${((performance.now() - begin) / 1000).toFixed(1)} s`, null);
}

/** Shows a picture: a file, or a canvas' blob. */
async function show(blob, name) {
  fail("");
  const mine = ++wish;
  document.body.dataset.state = "busy";
  try {
    say("Reading the picture …", null);
    const segmenter = await loaded;
    const onProgress = telling();
    const features = await segmenter.features(blob, { onProgress });
    // The same scale as what is segmented.
    const bitmap = await createImageBitmap(blob, { resizeWidth: features.width, resizeHeight: features.height, resizeQuality: "high" });
    if (mine !== wish) return features.dispose();
    shown?.result?.dispose();
    shown?.features.dispose();
    shown = { name, features, bitmap, result: null };
    at("output").hidden = false;
    at("batch").hidden = true;
    await cut();
  } catch (error) {
    if (mine === wish) {
      fail(error.message);
      document.body.dataset.state = "failed";
    }
  }
}

function options() {
  const mode = at("controls").elements.mode.value;
  const chosen = { mode, refine: at("refine").value, minConfidence: Number(at("confidence").value) };
  if (mode === "parts" || mode === "scene") chosen.k = Number(at("k").value);
  return chosen;
}

/** Cuts the picture on show as the controls say. */
async function cut() {
  const mine = ++wish;
  const { features } = shown;
  const chosen = options();
  at("k-row").hidden = chosen.k === undefined;
  document.body.dataset.state = "busy";
  try {
    const segmenter = await loaded;
    if (mine !== wish) return;
    const result = await segmenter.cluster(features, { ...chosen, onProgress: telling() });
    if (mine !== wish) return result.dispose();
    fail("");
    shown.result?.dispose();
    shown.result = result;
    shown.mode = chosen.mode;
    draw(0);
    tell();
    document.body.dataset.state = "done";
  } catch (error) {
    if (mine !== wish) return;
    fail(error.message);
    document.body.dataset.state = "failed";
  }
}

/** Says what was found, and how long it took. */
function tell() {
  const { features, result, mode } = shown;
  const count = result.regions.length;
  const things = { object: "object", parts: "part", objects: "object", scene: "region" }[mode];
  const found = count === 0 ? `No ${things} was found.` : mode === "object" ? `The object, confidence ${result.confidence.toFixed(2)}.` : `${count} ${things}${count === 1 ? "" : "s"}.`;
  const scaled = features.scale < 1 ? ` Scaled down to ${features.width} × ${features.height} pixels.` : "";
  at("found").textContent = found + scaled;
  const total = (seconds) => Object.values(seconds).reduce((a, b) => a + b, 0);
  say(`Picture ${total(features.seconds).toFixed(2)} s, cut ${total(result.seconds).toFixed(2)} s.`);
}

/** Draws the picture under its regions' colors; the region `lit` stands out, and label 0 stands for none. */
async function draw(lit) {
  const { bitmap, result } = shown;
  const { palette } = await loaded;
  const canvas = at("picture");
  canvas.width = result.width;
  canvas.height = result.height;
  canvas.style.setProperty("--aspect", result.width / result.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = image;
  const inside = new Uint8Array(256);
  for (const region of result.regions) inside[region.label] = 1;
  const { labels, width } = result;
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i];
    if (!inside[label]) {
      // The background is dimmed.
      for (let c = 0; c < 3; c++) data[4 * i + c] = data[4 * i + c] * 0.55;
      continue;
    }
    const edge = labels[i + 1] !== label || labels[i + width] !== label || labels[i - 1] !== label || labels[i - width] !== label;
    const share = edge ? 0.9 : lit === label ? 0.6 : 0.3;
    for (let c = 0; c < 3; c++) data[4 * i + c] = data[4 * i + c] * (1 - share) + palette[3 * label + c] * share;
  }
  context.putImageData(image, 0, 0);
  canvas.setAttribute("aria-label", `${shown.name}: ${result.regions.length} regions`);
}

let lit = 0;
function light(label) {
  if (!shown?.result || label === lit) return;
  lit = label;
  draw(label);
  const region = shown.result.regions.find((region) => region.label === label);
  at("tip").hidden = !region;
  if (region) {
    const share = (100 * region.area) / (shown.result.width * shown.result.height);
    at("tip").textContent = `${region.name} ${region.label}: score ${region.score.toFixed(2)}, ${share.toFixed(1)} % of the picture`;
  }
}

at("picture").addEventListener("pointermove", pointed);
at("picture").addEventListener("pointerdown", pointed);
at("picture").addEventListener("pointerleave", () => light(0));
function pointed(event) {
  if (!shown?.result) return;
  const { left, top, width, height } = at("picture").getBoundingClientRect();
  const x = Math.floor(((event.clientX - left) / width) * shown.result.width);
  const y = Math.floor(((event.clientY - top) / height) * shown.result.height);
  const label = shown.result.labels[y * shown.result.width + x];
  light(shown.result.regions.some((region) => region.label === label) ? label : 0);
}
// Regions in turn.
at("picture").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || !shown?.result?.regions.length) return;
  event.preventDefault();
  const labels = [0, ...shown.result.regions.map((region) => region.label)];
  light(labels[(labels.indexOf(lit) + step + labels.length) % labels.length]);
});

let timer = 0;
at("controls").addEventListener("input", (event) => {
  at("k-value").textContent = at("k").value;
  at("confidence-value").textContent = at("confidence").value;
  if (event.target.id === "label" || !shown) return;
  lit = 0;
  at("tip").hidden = true;
  clearTimeout(timer);
  timer = setTimeout(cut, 30);
});
at("controls").addEventListener("submit", (event) => event.preventDefault());

/** The files of a format for a result. */
async function files(result, format, name) {
  if (["cutout", "mask", "labels", "overlay", "json"].includes(format)) return [await result.file(format, name)];
  const label = at("label").value.trim();
  return result.annotations(format, name, label ? { label } : {});
}

function save(bytes, name) {
  const link = document.createElement("a");
  const url = URL.createObjectURL(new Blob([bytes], { type: TYPES[name.split(".").pop()] ?? "application/octet-stream" }));
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

at("downloads").addEventListener("click", async (event) => {
  const format = event.target.dataset?.format;
  if (!format || !shown?.result) return;
  try {
    const made = await files(shown.result, format, shown.name);
    // Of COCO's two files, results.json is for programs that compare.
    if (format === "coco") save(made[0].bytes, `${stem(shown.name)}.coco.json`);
    else if (made.length === 1) save(made[0].bytes, made[0].name.split("/").pop());
    else save(zip(made), `${stem(shown.name)}.${format}.zip`);
  } catch (error) {
    fail(error.message);
  }
});
const stem = (name) => name.replace(/\.[^./]*$/, "");

// Ways in.
at("file").addEventListener("change", () => at("file").files[0] && take([...at("file").files]));
at("folder").addEventListener("change", () => take([...at("folder").files], true));
at("another").addEventListener("click", () => at("file").click());
for (const button of document.querySelectorAll("[data-example]")) {
  button.addEventListener("click", async () => {
    const response = await fetch(button.dataset.example);
    show(await response.blob(), button.dataset.example.split("/").pop());
  });
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
addEventListener("dragleave", (event) => event.relatedTarget || at("drop").classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.some((entry) => entry.isDirectory)) take((await Promise.all(entries.map(walk))).flat(), true);
  else take([...event.dataTransfer.files]);
});
addEventListener("paste", (event) => event.clipboardData.files.length && take([...event.clipboardData.files]));

/** The files below a dropped folder. */
async function walk(entry) {
  if (entry.isFile) return new Promise((resolve) => entry.file((file) => resolve([Object.assign(file, { below: entry.fullPath.slice(1) })]), () => resolve([])));
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    found.push(...some);
  }
  return (await Promise.all(found.map(walk))).flat();
}

/** One picture is shown; of several, or a folder, files are made. */
function take(given, isFolder = false) {
  const pictures = given.filter((file) => file.type.startsWith("image/"));
  if (!pictures.length) return fail(given.length === 1 ? `${given[0].name} is not a picture that this browser knows.` : "There are no pictures in it.");
  if (pictures.length === 1 && !isFolder) return show(pictures[0], pictures[0].name);
  fail("");
  const path = (file) => file.below ?? (file.webkitRelativePath || file.name);
  folder = pictures.sort((a, b) => (path(a) < path(b) ? -1 : 1)).map((file) => ({ file, path: path(file) }));
  at("batch").hidden = false;
  at("batch-zip").hidden = true;
  at("batch-failures").replaceChildren();
  at("batch-status").textContent = `${folder.length} pictures. The options above count for all of them.`;
  at("batch").scrollIntoView({ block: "nearest" });
}

at("batch-stop").addEventListener("click", () => (stopped = true));
at("batch-start").addEventListener("click", async () => {
  const [start, stop] = [at("batch-start"), at("batch-stop")];
  [start.disabled, stop.disabled, stopped] = [true, false, false];
  at("batch-zip").hidden = true;
  at("batch-failures").replaceChildren();
  const format = at("batch-format").value;
  const chosen = options();
  const made = [];
  let done = 0, failed = 0;
  try {
    const segmenter = await loaded;
    for (const { file, path } of folder) {
      if (stopped) break;
      try {
        const result = await segmenter.segment(file, chosen);
        try {
          made.push(...(await files(result, format, path)));
        } finally {
          await result.dispose();
        }
      } catch (error) {
        failed += 1;
        const line = document.createElement("li");
        line.textContent = `${path}: ${error.message}`;
        at("batch-failures").append(line);
      }
      done += 1;
      at("batch-status").textContent = `${done} of ${folder.length} pictures${failed ? `, ${failed} failed` : ""}.`;
    }
    if (made.length) {
      const link = at("batch-zip");
      URL.revokeObjectURL(link.href);
      link.href = URL.createObjectURL(new Blob([zip(made)], { type: TYPES.zip }));
      link.download = `${format}.zip`;
      link.hidden = false;
    }
    at("batch-status").textContent += stopped ? " Stopped." : " Done.";
  } catch (error) {
    fail(error.message);
  } finally {
    [start.disabled, stop.disabled] = [false, true];
  }
});

// Camera.
let stream = null;
at("camera").addEventListener("click", async () => {
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  } catch (error) {
    return fail(`The camera cannot be used: ${error.message}`);
  }
  at("video").srcObject = stream;
  at("shoot").showModal();
});
at("shoot").addEventListener("close", () => {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
});
at("shoot-close").addEventListener("click", () => at("shoot").close());
at("shutter").addEventListener("click", async () => {
  const video = at("video");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/png" });
  at("shoot").close();
  show(blob, "camera.png");
});
