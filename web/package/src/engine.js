// The WebAssembly module and its network, loaded once: in a worker, or in Node's own thread.

import init, { Segmenter, palette } from "./glue.js";

export const VERSION = "development";

const CACHE = "deepcut-vision-";
// Written out, so that bundlers find them.
const FILES = {
  simd128: new URL("./deepcut-simd128.wasm", import.meta.url),
  relaxed: new URL("./deepcut-relaxed.wasm", import.meta.url),
  weights: new URL("./weights.safetensors", import.meta.url),
};
// A function that returns one relaxed swizzle: valid only where relaxed instructions are known.
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];

/** Whether the engine knows relaxed vector instructions, which are faster. */
export function hasRelaxed() {
  return WebAssembly.validate(new Uint8Array(RELAXED));
}

const isNode = typeof process !== "undefined" && !!process.versions?.node;

/**
 * Loads module and network.
 * @param {{base?: string, precision?: string, instructions?: string, weights?: Uint8Array}} options
 * @param {(stage: string, loaded: number, total: number | null) => void} progress Called with bytes.
 */
export async function load({ base, precision = "int8", instructions = "auto", weights }, progress = () => {}) {
  const set = instructions === "auto" ? (hasRelaxed() ? "relaxed" : "simd128") : instructions;
  if (!["relaxed", "simd128"].includes(set)) throw new TypeError(`instructions is ${JSON.stringify(instructions)}; expected "auto", "simd128" or "relaxed"`);
  const wasm = base ? new URL(`deepcut-${set}.wasm`, base) : FILES[set];
  const file = base ? new URL("weights.safetensors", base) : FILES.weights;
  const network = weights ?? read(file.href, (loaded, total) => progress("network", loaded, total));
  const [bytes] = await Promise.all([
    network,
    isNode
      ? readFile(wasm).then((bytes) => init({ module_or_path: bytes }))
      : counted(wasm.href, (loaded, total) => progress("program", loaded, total)).then((response) => init({ module_or_path: response })),
  ]);
  progress("start", 0, null);
  return new Segmenter("embedded", bytes, precision);
}

export { palette };

async function readFile(url) {
  // Not written out, so that bundlers for browsers leave it alone.
  const name = "node:fs/promises";
  const { readFile } = await import(/* @vite-ignore */ /* webpackIgnore: true */ name);
  return new Uint8Array(await readFile(new URL(url)));
}

async function found(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`cannot load ${url}: ${response.status} ${response.statusText}`);
  return response;
}

/** A response whose bytes are counted as they come, so that it can still be compiled while it loads. */
async function counted(url, progress) {
  const response = await found(url);
  if (!response.body) return response;
  const total = lengthOf(response);
  let loaded = 0;
  const count = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.byteLength;
      progress(loaded, total);
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(count), { headers: { "content-type": "application/wasm" } });
}

/** A body's length, if it is sent as it is: of a compressed one the header tells another length than that of what is read. */
function lengthOf(response) {
  const length = Number(response.headers.get("content-length"));
  return length > 0 && !response.headers.get("content-encoding") ? length : null;
}

/** A file's bytes: from the browser's cache of this version, else loaded, and kept there. */
async function read(url, progress) {
  if (isNode) return readFile(url);
  const store = await cache();
  const kept = await store?.match(url);
  if (kept) {
    const bytes = new Uint8Array(await kept.arrayBuffer());
    progress(bytes.length, bytes.length);
    return bytes;
  }
  const response = await found(url);
  const total = lengthOf(response);
  const chunks = [];
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    progress((loaded += value.length), total);
  }
  const bytes = new Uint8Array(loaded);
  chunks.reduce((at, chunk) => (bytes.set(chunk, at), at + chunk.length), 0);
  // Without room to keep it, it is loaded again next time.
  await store?.put(url, new Response(bytes)).catch(() => {});
  return bytes;
}

/** The cache of this version; those of others are dropped. None where the page is not secure or storage is forbidden. */
async function cache() {
  if (typeof caches === "undefined") return null;
  try {
    for (const name of await caches.keys()) {
      if (name.startsWith(CACHE) && name !== CACHE + VERSION) await caches.delete(name);
    }
    return await caches.open(CACHE + VERSION);
  } catch {
    return null;
  }
}
