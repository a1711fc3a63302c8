// What can be asked of the module: the same in a worker and in Node's own thread. Images, features and results stay here; callers hold their numbers.

import { load, palette } from "./engine.js";

/** Pixels above which a picture is scaled down before it is segmented, unless the caller sets another limit. */
export const MAX_PIXELS = 4_000_000;

// Options of the library that have a shorter name here.
const NAMES = { k: "n_clusters" };

/** Makes a function that carries out calls by name. */
export function calls() {
  let segmenter = null;
  let next = 1;
  const kept = new Map();
  const keep = (value) => (kept.set(next, value), next++);
  const held = (number) => {
    const value = kept.get(number);
    if (!value) throw new Error("these features or this result were disposed of");
    return value;
  };

  const methods = {
    async load({ options }, progress) {
      segmenter = await load(options, (stage, loaded, total) => progress({ stage, loaded, total }));
      return { ...JSON.parse(segmenter.identity()), palette: palette() };
    },

    async features({ image, resolution, maxPixels = MAX_PIXELS }, progress) {
      progress({ stage: "decode" });
      const begin = performance.now();
      const pixels = await pixelsOf(image, maxPixels);
      progress({ stage: "network" });
      const decoded = performance.now();
      const { data, width, height } = pixels;
      const features = segmenter.features(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), width, height, resolution);
      const seconds = { decode: (decoded - begin) / 1000, network: (performance.now() - decoded) / 1000 };
      const [rows, columns] = features.grid();
      return { number: keep(features), width, height, scale: pixels.scale, grid: [rows, columns], seconds };
    },

    async cluster({ features, options, simplify = 0 }, progress) {
      const stages = [];
      const step = (stage) => {
        stages.push([stage, performance.now()]);
        progress({ stage });
      };
      const found = segmenter.cluster(held(features), JSON.stringify(named(options)), step);
      const end = performance.now();
      const seconds = {};
      stages.forEach(([stage, begin], i) => (seconds[stage] = (seconds[stage] ?? 0) + ((stages[i + 1]?.[1] ?? end) - begin) / 1000));
      return { number: keep(found), labels: found.labels(), ...JSON.parse(found.report(simplify)), seconds };
    },

    async file({ found, features, format, name }) {
      const output = held(found).file(format, name, held(features));
      return taken(output);
    },

    async annotations({ found, format, name, options }) {
      return held(found).annotations(format, name, JSON.stringify(options ?? {})).map(taken);
    },

    async dispose({ number }) {
      kept.get(number)?.free();
      kept.delete(number);
    },
  };
  return (method, args, progress) => {
    if (method !== "load" && !segmenter) throw new Error("the network is not loaded");
    return methods[method](args, progress);
  };
}

function taken(output) {
  const { name, bytes } = output;
  output.free();
  return { name, bytes };
}

/** The library's names: minConfidence is min_confidence there. */
function named(options = {}) {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined && value !== null);
  return Object.fromEntries(entries.map(([name, value]) => [NAMES[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), value]));
}

/** RGBA pixels of an image, scaled down to at most `maxPixels`. */
async function pixelsOf(image, maxPixels) {
  const isPixels = image && typeof image === "object" && "data" in image && "width" in image && "height" in image;
  const small = (width, height) => Math.min(1, Math.sqrt(maxPixels / (width * height)));
  if (isPixels) {
    const { data, width, height } = image;
    if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
      throw new TypeError("the image's data is no Uint8Array or Uint8ClampedArray of RGBA pixels");
    }
    if (small(width, height) === 1) return { data, width, height, scale: 1 };
    if (typeof OffscreenCanvas === "undefined") return { data, width, height, scale: 1 };
    image = new ImageData(data instanceof Uint8ClampedArray ? data : new Uint8ClampedArray(data.buffer, data.byteOffset, data.byteLength), width, height);
  }
  if (typeof createImageBitmap === "undefined") throw new TypeError("here an image is { data, width, height } with RGBA pixels: decode files before");
  let bitmap;
  try {
    bitmap = await createImageBitmap(image);
  } catch {
    throw new Error("this browser cannot read the picture: it is damaged, or of a format that the browser does not know");
  }
  const scale = small(bitmap.width, bitmap.height);
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { data: context.getImageData(0, 0, width, height).data, width, height, scale };
}
