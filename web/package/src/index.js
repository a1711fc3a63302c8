// Unsupervised segmentation in the browser or in Node: await Segmenter.load(), then segment(image).

/** A network, ready to use. In a browser it works in a worker, so that the page never waits. */
export class Segmenter {
  #call;
  #close;
  /** Name, checksum and precision of the network; the instructions and version in use. */
  identity;
  /** The labels' colors in pictures, [256 * 3]. */
  palette;

  /**
   * Loads the program and the network: 8 MB, kept in the browser's cache.
   * @param {import("./index.js").LoadOptions} [options]
   */
  static async load({ base, worker = typeof Worker !== "undefined", onProgress = () => {}, ...options } = {}) {
    const segmenter = new Segmenter();
    const loaded = { ...options, base: base && String(base) };
    if (worker) {
      const thread = new Worker(new URL("./worker.js", import.meta.url), { type: "module", name: "deepcut" });
      segmenter.#call = callsOf(thread);
      segmenter.#close = () => thread.terminate();
    } else {
      const { calls } = await import("./calls.js");
      const call = calls();
      segmenter.#call = async (method, args, progress = () => {}) => call(method, args, progress);
      segmenter.#close = () => {};
    }
    try {
      const { palette, ...identity } = await segmenter.#call("load", { options: loaded }, onProgress);
      segmenter.palette = palette;
      segmenter.identity = identity;
    } catch (error) {
      segmenter.#close();
      throw error;
    }
    return segmenter;
  }

  /** Computes an image's features, which can be cut many times. */
  async features(image, { resolution, maxPixels, onProgress } = {}) {
    const moved = typeof ImageBitmap !== "undefined" && image instanceof ImageBitmap ? [image] : [];
    return new Features(this.#call, await this.#call("features", { image, resolution, maxPixels }, onProgress, moved));
  }

  /** Cuts an image by its features. */
  async cluster(features, { simplify, onProgress, ...options } = {}) {
    const result = await this.#call("cluster", { features: features.number, options, simplify }, onProgress);
    return new Result(this.#call, features, result);
  }

  /** Features and cut in one. The features are kept as long as the result, and disposed of with it. */
  async segment(image, { resolution, maxPixels, ...options } = {}) {
    const features = await this.features(image, { resolution, maxPixels, onProgress: options.onProgress });
    try {
      const result = await this.cluster(features, options);
      result.ownsFeatures = true;
      return result;
    } catch (error) {
      await features.dispose();
      throw error;
    }
  }

  /** Ends the worker. */
  close() {
    this.#close();
  }
}

/** Features of an image, kept where they were computed. */
export class Features {
  #call;

  constructor(call, { number, width, height, scale, grid, seconds }) {
    this.#call = call;
    Object.assign(this, { number, width, height, scale, grid, seconds });
  }

  /** Frees them. */
  dispose() {
    return this.#call("dispose", { number: this.number });
  }
}

/** A segmentation: a label for each pixel, and what the labels mean. */
export class Result {
  #call;
  #features;
  #number;
  ownsFeatures = false;

  constructor(call, features, { number, ...rest }) {
    this.#call = call;
    this.#features = features;
    this.#number = number;
    Object.assign(this, rest);
  }

  /** 255 in the foreground, 0 elsewhere, [height * width]. */
  mask() {
    const inside = new Uint8Array(256);
    for (const region of this.regions) inside[region.label] = 255;
    return this.labels.map((label) => inside[label]);
  }

  /** A file: labels, mask, overlay, cutout or json. */
  file(format, name = "image.png") {
    return this.#call("file", { found: this.#number, features: this.#features.number, format, name });
  }

  /** Annotation files: coco, yolo, voc, labelme, x-anylabeling, cvat, label-studio, geojson, npy or npz. */
  annotations(format, name = "image.png", options = {}) {
    return this.#call("annotations", { found: this.#number, format, name, options });
  }

  /** Frees what the worker keeps of it. */
  async dispose() {
    await this.#call("dispose", { number: this.#number });
    if (this.ownsFeatures) await this.#features.dispose();
  }
}

/** Calls to a worker. */
function callsOf(thread) {
  const waiting = new Map();
  let next = 1;
  let dead = null;
  const fail = (message) => {
    dead = new Error(message);
    for (const { reject } of waiting.values()) reject(dead);
    waiting.clear();
  };
  thread.onmessage = ({ data: { id, result, error, progress } }) => {
    const call = waiting.get(id);
    if (!call) return;
    if (progress) return call.onProgress?.(progress);
    waiting.delete(id);
    if (error) call.reject(Object.assign(new Error(error.message), { name: error.name }));
    else call.resolve(result);
  };
  thread.onerror = (event) => fail(`the worker does not start: ${event.message ?? "its script cannot be loaded"}`);
  return (method, args, onProgress, moved = []) =>
    new Promise((resolve, reject) => {
      if (dead) return reject(dead);
      waiting.set(next, { resolve, reject, onProgress });
      thread.postMessage({ id: next++, method, args }, moved);
    });
}
