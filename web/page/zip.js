// A zip file of stored files. Pictures are compressed already.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

/** CRC-32 of bytes. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/** The bytes of a zip file of files, each `{ name, bytes }`. A name that is there already gets a number. */
export function zip(files) {
  const taken = new Set();
  const entries = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const path = new TextEncoder().encode(free(name, taken));
    const crc = crc32(bytes);
    const local = record(30, path, 0x04034b50, (view) => fields(view, 4, crc, bytes.length, path.length));
    entries.push({ path, crc, size: bytes.length, offset, parts: [local, bytes] });
    offset += local.length + bytes.length;
  }
  const central = entries.map(({ path, crc, size, offset }) =>
    record(46, path, 0x02014b50, (view) => {
      view.setUint16(4, 20, true);
      fields(view, 6, crc, size, path.length);
      view.setUint32(42, offset, true);
    }),
  );
  const size = central.reduce((sum, entry) => sum + entry.length, 0);
  if (offset + size > 0xffffffff || entries.length > 0xffff) throw new Error("the zip file would be too large: choose fewer pictures");
  const end = record(22, new Uint8Array(), 0x06054b50, (view) => {
    view.setUint16(8, entries.length, true);
    view.setUint16(10, entries.length, true);
    view.setUint32(12, size, true);
    view.setUint32(16, offset, true);
  });
  const all = [...entries.flatMap(({ parts }) => parts), ...central, end];
  const out = new Uint8Array(offset + size + end.length);
  all.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
}

/** Version, flag of UTF-8 names, method, time, checksum and sizes. */
function fields(view, at, crc, size, nameLength) {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, 0x0800, true);
  // 1980-01-01: the same files make the same bytes.
  view.setUint16(at + 8, 0x21, true);
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, size, true);
  view.setUint32(at + 18, size, true);
  view.setUint16(at + 22, nameLength, true);
}

function record(length, path, signature, fill) {
  const bytes = new Uint8Array(length + path.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  fill(view);
  bytes.set(path, length);
  return bytes;
}

function free(name, taken) {
  let free = name;
  for (let n = 2; taken.has(free); n++) free = name.replace(/(\.[^/]*)?$/, (extension) => `-${n}${extension}`);
  taken.add(free);
  return free;
}
