// The module in a worker: a message for each call, answered by number; progress has the call's number too.

import { calls } from "./calls.js";

const call = calls();
let last = Promise.resolve();

self.onmessage = ({ data: { id, method, args } }) => {
  // One at a time, in order.
  last = last.then(async () => {
    try {
      const result = await call(method, args, (progress) => self.postMessage({ id, progress }));
      self.postMessage({ id, result }, buffers(result));
    } catch (error) {
      const broken = error instanceof WebAssembly.RuntimeError;
      const message = broken ? `the program stopped (${error.message}); load it again` : String(error?.message ?? error);
      self.postMessage({ id, error: { name: error?.name ?? "Error", message } });
    }
  });
};

/** What is moved to the other side instead of copied. */
function buffers(result) {
  const bytes = [result?.labels, result?.bytes, ...(Array.isArray(result) ? result.map((file) => file.bytes) : [])];
  return bytes.filter((array) => array instanceof Uint8Array).map((array) => array.buffer);
}
