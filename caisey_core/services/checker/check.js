"use strict";
// Checks a bundle of Caisey: the record of one session, with all that is needed to prove it. No library, no network.
// Read it from the top: bytes and hashes, zip, MessagePack, trees, signatures, then what the events mean, then the page.
// The format is described in docs/record-format.md; docs/verify.py checks the same in Python.

const MIB = 1 << 20, FILE = 1024 * MIB, BUNDLE = 2047 * MIB;
const MOST_EVENTS = 500000, MOST_STEPS = 64, MOST_AT_ONCE = 10000, LARGEST_RECORD = 8 * MIB, LONGEST_PIECE = 4096;
const LIMITS = { "manifest.json": MIB, "checkpoint": MIB, "keys.json": MIB, "proofs.json": 16 * MIB, "leaves": 32 * MOST_EVENTS,
  "events": FILE, "disclosures": FILE, "edits.json": 8 * MIB, "index.html": FILE, "events.jsonl": FILE, "terminal.cast": FILE,
  "check.html": 4 * MIB };
const READABLE = ["index.html", "events.jsonl", "terminal.cast", "edits.json", "check.html"];

// The file is no bundle that can be checked.
class NotABundle extends Error {}
// Something does not hold, at this event where one can be named.
class Broken extends Error {
  constructor(what, stream = "", event = null) {
    super(stream ? `${stream}${event === null ? "" : `, event ${event}`}: ${what}` : what);
    this.stream = stream;
    this.event = event;
  }
}
// What this event must be compared with is withheld as a whole.
class Unjudged extends Error {}
const refuse = (condition, why) => { if (condition) throw new NotABundle(why); };

// --- bytes and hashes -------------------------------------------------------------------------------------------------

const ascii = (text) => new TextEncoder().encode(text);
const utf8 = (bytes) => new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const same = (a, b) => a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length && a.every((byte, i) => byte === b[i]);
const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

function unhex(text, length) {
  refuse(typeof text !== "string" || !/^([0-9a-f]{2})*$/i.test(text), "proofs.json: this is no hex");
  const bytes = Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  refuse(length !== undefined && bytes.length !== length, "proofs.json: this is no SHA-256 in hex");
  return bytes;
}

function unbase64(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  if (base64(bytes) !== text) throw new Error("not canonical base64");
  return bytes;
}

function join(...parts) {
  const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) { whole.set(part, at); at += part.length; }
  return whole;
}

const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", parts.length === 1 ? parts[0] : join(...parts)));
const ZERO = Uint8Array.of(0), ONE = Uint8Array.of(1);
const leafHash = (...data) => sha256(ZERO, ...data); // RFC 6962
const nodeHash = (left, right) => sha256(ONE, left, right);

async function signed(key, signature, message) {
  try {
    const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
    return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
  } catch (error) {
    if (error.name === "NotSupportedError") throw new NotABundle("this browser cannot check Ed25519 signatures; use a newer one, or “caisey verify”");
    return false;
  }
}

// A SHA-256 that grows with its data. WebCrypto has none, so what is to be hashed is kept; it is a command's output at most.
class Growing {
  constructor(first = new Uint8Array(0)) { this.parts = [first]; this.size = first.length; }
  update(part) { this.parts.push(part); this.size += part.length; }
  digest() { return sha256(join(...this.parts)); }
}

// SHAKE-256 (FIPS 202), which WebCrypto does not have: 25 lanes of 64 bits, each as two halves of 32.
const ROUNDS = (() => {
  const constants = [];
  let bits = 1;
  for (let round = 0; round < 24; round++) {
    const pair = [0, 0];
    for (let j = 0; j < 7; j++) {
      const at = (1 << j) - 1;
      if (bits & 1) pair[at >> 5] ^= 1 << (at & 31);
      bits = bits & 0x80 ? ((bits << 1) ^ 0x71) & 0xff : bits << 1;
    }
    constants.push(pair);
  }
  return constants;
})();

function keccak(s) {
  const c = new Int32Array(10);
  for (const [low, high] of ROUNDS) {
    for (let x = 0; x < 10; x++) c[x] = s[x] ^ s[x + 10] ^ s[x + 20] ^ s[x + 30] ^ s[x + 40];
    for (let x = 0; x < 5; x++) {
      const left = 2 * ((x + 4) % 5), right = 2 * ((x + 1) % 5);
      const lo = c[left] ^ ((c[right] << 1) | (c[right + 1] >>> 31)), hi = c[left + 1] ^ ((c[right + 1] << 1) | (c[right] >>> 31));
      for (let y = 0; y < 50; y += 10) { s[y + 2 * x] ^= lo; s[y + 2 * x + 1] ^= hi; }
    }
    let x = 1, y = 0, lo = s[2], hi = s[3];
    for (let t = 0; t < 24; t++) {
      [x, y] = [y, (2 * x + 3 * y) % 5];
      const by = (((t + 1) * (t + 2)) / 2) % 64, lane = 2 * (x + 5 * y);
      if (by >= 32) [lo, hi] = [hi, lo];
      const n = by & 31;
      const turned = n ? [(lo << n) | (hi >>> (32 - n)), (hi << n) | (lo >>> (32 - n))] : [lo, hi];
      [lo, hi] = [s[lane], s[lane + 1]];
      [s[lane], s[lane + 1]] = turned;
    }
    for (let row = 0; row < 50; row += 10) {
      const r = s.slice(row, row + 10);
      for (let i = 0; i < 10; i++) s[row + i] = r[i] ^ (~r[(i + 2) % 10] & r[(i + 4) % 10]);
    }
    s[0] ^= low;
    s[1] ^= high;
  }
}

function shake256(data, length) {
  const rate = 136, state = new Int32Array(50), bytes = new Uint8Array(state.buffer); // little-endian, as all browsers' machines are
  const padded = new Uint8Array(Math.ceil((data.length + 1) / rate) * rate);
  padded.set(data);
  padded[data.length] = 0x1f;
  padded[padded.length - 1] |= 0x80;
  for (let at = 0; at < padded.length; at += rate) {
    for (let i = 0; i < rate; i++) bytes[i] ^= padded[at + i];
    keccak(state);
  }
  const out = new Uint8Array(length);
  for (let at = 0; at < length; at += rate) {
    if (at) keccak(state);
    out.set(bytes.subarray(0, Math.min(rate, length - at)), at);
  }
  return out;
}

// --- zip: the plainest form only, read as a stream, with limits ---------------------------------------------------------

const CRC = Int32Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1; return n; });

class Zip {
  static async open(blob) {
    refuse(blob.size > BUNDLE, "the file is larger than a bundle may be");
    refuse(blob.size < 22, "the file is no zip, or its end is missing");
    const view = async (from, to) => new DataView(await blob.slice(from, to).arrayBuffer());
    const end = await view(blob.size - 22, blob.size);
    refuse(end.getUint32(0, true) !== 0x06054b50, "the file is no zip, or its end is missing");
    const count = end.getUint16(10, true), size = end.getUint32(12, true), start = end.getUint32(16, true);
    refuse(end.getUint32(4, true) || end.getUint16(8, true) !== count || end.getUint16(20, true) || start + size + 22 !== blob.size, "the file's directory is not where a bundle has it");
    refuse(count > Object.keys(LIMITS).length || size > 65536, `there are ${count} files in it, more than a bundle has`);
    const zip = new Zip(blob, new Map()), directory = await view(start, start + size);
    let at = 0, total = 0;
    for (let n = 0; n < count; n++) {
      refuse(at + 46 > size || directory.getUint32(at, true) !== 0x02014b50, "the file's directory is damaged");
      const u16 = (offset) => directory.getUint16(at + offset, true), u32 = (offset) => directory.getUint32(at + offset, true);
      const next = at + 46 + u16(28) + u16(30) + u16(32);
      refuse(next > size, "the file's directory is damaged");
      const name = new TextDecoder().decode(new Uint8Array(directory.buffer, at + 46, u16(28)));
      refuse(!Object.hasOwn(LIMITS, name), `the file ${JSON.stringify(name.slice(0, 100))} does not belong into a bundle`);
      refuse(zip.entries.has(name), `the file ${name} is in it twice`);
      refuse((u16(8) & ~0x0806) || ![0, 8].includes(u16(10)), `the file ${name} is packed in a way that a bundle does not use`);
      refuse(u32(24) > LIMITS[name], `the file ${name} unpacks to ${u32(24)} bytes, more than it may`);
      zip.entries.set(name, { method: u16(10), crc: u32(16) | 0, packed: u32(20), size: u32(24), offset: u32(42) });
      total += u32(24);
      at = next;
    }
    refuse(at !== size, "the file's directory is damaged");
    for (const name in LIMITS) refuse(name !== "terminal.cast" && !zip.entries.has(name), `the file ${name} is missing in it`);
    refuse(total > BUNDLE, "it unpacks to more than a bundle may hold");
    return zip;
  }

  constructor(blob, entries) { this.blob = blob; this.entries = entries; }

  async *pieces(name) {
    const { method, crc, packed, size, offset } = this.entries.get(name);
    const header = new DataView(await this.blob.slice(offset, offset + 30).arrayBuffer());
    refuse(header.byteLength < 30 || header.getUint32(0, true) !== 0x04034b50, `the file ${name} is not where the directory has it`);
    const start = offset + 30 + header.getUint16(26, true) + header.getUint16(28, true);
    const inner = new Uint8Array(await this.blob.slice(offset + 30, offset + 30 + header.getUint16(26, true)).arrayBuffer());
    refuse(!same(inner, ascii(name)), `the file ${name} has another name in its own header`);
    refuse(start + packed > this.blob.size, `the file ${name} is cut off`);
    let stream = this.blob.slice(start, start + packed).stream();
    if (method === 8) stream = stream.pipeThrough(new DecompressionStream("deflate-raw"));
    const reader = stream.getReader();
    let seen = 0, sum = -1;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        seen += value.length;
        refuse(seen > size, `the file ${name} unpacks to more than it declares`);
        for (let i = 0; i < value.length; i++) sum = CRC[(sum ^ value[i]) & 255] ^ (sum >>> 8);
        yield value;
      }
    } catch (error) {
      if (error instanceof NotABundle) throw error;
      throw new NotABundle(`the file ${name} cannot be unpacked`);
    } finally {
      reader.cancel().catch(() => {});
    }
    refuse(seen !== size || ~sum !== crc, `the file ${name} does not unpack to what it declares`);
  }

  async read(name) {
    const parts = [];
    for await (const piece of this.pieces(name)) parts.push(piece);
    return join(...parts);
  }

  async json(name) {
    try {
      return JSON.parse(utf8(await this.read(name)));
    } catch (error) {
      if (error instanceof NotABundle) throw error;
      throw new NotABundle(`${name}: this is no JSON`);
    }
  }

  // Each record has its length before it, 4 bytes, big-endian.
  async *records(name) {
    let kept = new Uint8Array(0);
    for await (const piece of this.pieces(name)) {
      kept = kept.length ? join(kept, piece) : piece;
      const view = new DataView(kept.buffer, kept.byteOffset, kept.length);
      let at = 0;
      while (kept.length - at >= 4) {
        const size = view.getUint32(at);
        refuse(size > LARGEST_RECORD, `a record of the file ${name} is larger than it may be`);
        if (kept.length - at - 4 < size) break;
        yield kept.slice(at + 4, at + 4 + size);
        at += 4 + size;
      }
      kept = kept.subarray(at);
    }
    refuse(kept.length, `the file ${name} ends within a record`);
  }
}

// --- MessagePack -------------------------------------------------------------------------------------------------------

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let at = 0;
  const number = (size, read) => { at += size; return read(at - size); };
  const big = (value) => (value >= -(2n ** 53n) && value <= 2n ** 53n ? Number(value) : value);
  const take = (size) => {
    if (at + size > bytes.length) throw new Error("MessagePack ends too early");
    at += size;
    return bytes.slice(at - size, at);
  };
  const u8 = () => number(1, (i) => view.getUint8(i)), u16 = () => number(2, (i) => view.getUint16(i)), u32 = () => number(4, (i) => view.getUint32(i));
  const array = (size, depth) => { const made = []; for (let i = 0; i < size; i++) made.push(value(depth + 1)); return made; };
  const map = (size, depth) => {
    const made = Object.create(null);
    for (let i = 0; i < size; i++) {
      const key = value(depth + 1);
      if (typeof key !== "string") throw new Error("a key is no text");
      made[key] = value(depth + 1);
    }
    return made;
  };
  function value(depth) {
    if (depth > 64) throw new Error("too deep");
    const type = u8();
    if (type < 0x80) return type;
    if (type < 0x90) return map(type & 15, depth);
    if (type < 0xa0) return array(type & 15, depth);
    if (type < 0xc0) return utf8(take(type & 31));
    if (type >= 0xe0) return type - 256;
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return take(u8());
      case 0xc5: return take(u16());
      case 0xc6: return take(u32());
      case 0xca: return number(4, (i) => view.getFloat32(i));
      case 0xcb: return number(8, (i) => view.getFloat64(i));
      case 0xcc: return u8();
      case 0xcd: return u16();
      case 0xce: return u32();
      case 0xcf: return big(number(8, (i) => view.getBigUint64(i)));
      case 0xd0: return number(1, (i) => view.getInt8(i));
      case 0xd1: return number(2, (i) => view.getInt16(i));
      case 0xd2: return number(4, (i) => view.getInt32(i));
      case 0xd3: return big(number(8, (i) => view.getBigInt64(i)));
      case 0xd9: return utf8(take(u8()));
      case 0xda: return utf8(take(u16()));
      case 0xdb: return utf8(take(u32()));
      case 0xdc: return array(u16(), depth);
      case 0xdd: return array(u32(), depth);
      case 0xde: return map(u16(), depth);
      case 0xdf: return map(u32(), depth);
      case 0xc7: case 0xc8: case 0xc9: return { extension: [take(type === 0xc7 ? u8() : type === 0xc8 ? u16() : u32()), u8()] };
      case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: return { extension: take(1 + (1 << (type - 0xd4))) };
    }
    throw new Error("this is no MessagePack");
  }
  const found = value(0);
  if (at !== bytes.length) throw new Error("MessagePack goes on after its end");
  return found;
}

// --- trees (RFC 6962, RFC 9162) and the signed checkpoint (C2SP tlog-checkpoint, signed-note) ---------------------------

// A growing tree: the roots of its complete subtrees, largest first.
class Frontier {
  constructor() { this.size = 0; this.peaks = []; }
  async append(leaf) {
    let node = leaf;
    for (let size = this.size; size & 1; size >>= 1) node = await nodeHash(this.peaks.pop(), node);
    this.peaks.push(node);
    this.size++;
  }
  async root() {
    if (!this.size) return sha256(new Uint8Array(0));
    let root = this.peaks.at(-1);
    for (const peak of this.peaks.slice(0, -1).reverse()) root = await nodeHash(peak, root);
    return root;
  }
}

// The root over leaf hashes, level by level.
async function rootOf(level) {
  while (level.length > 1) {
    const above = [];
    for (let i = 0; i + 1 < level.length; i += 2) above.push(nodeHash(level[i], level[i + 1]));
    if (level.length & 1) above.push(level.at(-1));
    level = await Promise.all(above);
  }
  return level.length ? level[0] : sha256(new Uint8Array(0));
}

async function included(leaf, index, size, path, root) {
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) return false;
  let [fn, sn, node] = [BigInt(index), BigInt(size) - 1n, leaf];
  for (const sibling of path) {
    if (sn === 0n) return false;
    if (fn & 1n || fn === sn) {
      node = await nodeHash(sibling, node);
      while (!(fn & 1n) && fn) { fn >>= 1n; sn >>= 1n; }
    } else node = await nodeHash(node, sibling);
    fn >>= 1n;
    sn >>= 1n;
  }
  return sn === 0n && same(node, root);
}

const keyId = async (name, key) => (await sha256(ascii(`${name}\n`), ONE, key)).slice(0, 4);

async function parseKey(text) {
  try {
    const [, name, id, encoded] = /^([^+]*)\+([^+]*)\+(.*)$/s.exec(text.trim());
    const data = Uint8Array.from(atob(encoded), (letter) => letter.charCodeAt(0));
    if (data[0] !== 1 || data.length !== 33 || hex(await keyId(name, data.slice(1))) !== id) throw new Error();
    return { name, key: data.slice(1) };
  } catch {
    throw new Broken("the checkpoint does not hold: this is no Ed25519 verifier key");
  }
}

async function checkCheckpoint(note, { name, key }) {
  const no = (why) => { throw new Broken(`the checkpoint does not hold: ${why}`); };
  const cut = note.indexOf("\n\n");
  if (cut < 0 || !note.endsWith("\n")) no("the note has no signature");
  const body = note.slice(0, cut + 1), id = await keyId(name, key);
  const [origin, size, encoded, ...rest] = body.split("\n");
  let root;
  try { root = unbase64(encoded); } catch { no("the body is no checkpoint"); }
  if (rest.length !== 1 || rest[0] || !/^(0|[1-9]\d{0,14})$/.test(size) || root.length !== 32) no("the body is no canonical checkpoint");
  for (const line of note.slice(cut + 2, -1).split("\n")) {
    if (!line.startsWith("— ")) no("a signature line is malformed");
    const space = line.lastIndexOf(" ");
    let data;
    try { data = unbase64(line.slice(space + 1)); } catch { no("a signature is not canonical base64"); }
    if (line.slice(2, space) !== name || !same(data.slice(0, 4), id)) continue;
    if (!(await signed(key, data.slice(4), ascii(body)))) no("the signature does not hold");
    return { origin, size: Number(size), root };
  }
  return no("the note is not signed by this key");
}

// What stands for a file for reading: the root over its pieces of 1 MiB.
async function fileRoot(pieces) {
  const tree = new Frontier();
  let kept = [], size = 0;
  for await (let piece of pieces) {
    while (size + piece.length >= MIB) {
      await tree.append(await leafHash(...kept, piece.subarray(0, MIB - size)));
      piece = piece.subarray(MIB - size);
      [kept, size] = [[], 0];
    }
    if (piece.length) kept.push(piece);
    size += piece.length;
  }
  if (size) await tree.append(await leafHash(...kept));
  return hex(await tree.root());
}

// --- texts: salted commitments, line by line ---------------------------------------------------------------------------

function linesOf(text) {
  const lines = [];
  for (let start = 0; start < text.length;) {
    const feed = text.subarray(start, start + LONGEST_PIECE).indexOf(10);
    const end = feed < 0 ? Math.min(start + LONGEST_PIECE, text.length) : start + feed + 1;
    lines.push(text.subarray(start, end));
    start = end;
  }
  return lines;
}

// An event's contents are the fields that have exactly a root, a number of lines and a size.
const contentsOf = (event) => Object.values(event).filter((field) => field && typeof field === "object" && Object.keys(field).sort().join() === "lines,root,size" && field.root instanceof Uint8Array && field.root.length);

// Returns each text's lines (null: withheld), or throws in words.
async function checkShown(shown, contents) {
  const wrong = () => { throw new Error("its text is not what was committed to"); };
  if (!Array.isArray(shown)) throw new Error("what is shown of this event cannot be read");
  let texts; // for each text its lines, each as [salt, line] or as a bare leaf
  if (shown[0] === "all" && shown.length === 3 && Array.isArray(shown[2])) {
    if (shown[1].length !== 32 || !shown[2].every((text) => text instanceof Uint8Array)) wrong();
    const split = shown[2].map(linesOf), salts = shake256(shown[1], 16 * split.reduce((sum, lines) => sum + lines.length, 0));
    let n = 0;
    texts = split.map((lines) => lines.map((line) => [salts.subarray(16 * n, 16 * ++n), line]));
  } else if (shown[0] === "some" && shown.length === 2 && Array.isArray(shown[1])) texts = shown[1];
  else throw new Error("what is shown of this event cannot be read");
  if (texts.length !== contents.length) wrong();
  const found = [];
  for (const [n, lines] of texts.entries()) {
    const { root, lines: count, size } = contents[n], leaves = [], said = [];
    let left = size, withheld = 0;
    if (!Array.isArray(lines) || lines.length !== count) wrong();
    for (const [i, line] of lines.entries()) {
      if (line instanceof Uint8Array) {
        if (line.length !== 32) wrong();
        leaves.push(line);
        withheld++;
        said.push(null);
        continue;
      }
      const [salt, text] = line;
      const whole = text.at(-1) === 10 || text.length === LONGEST_PIECE || i === count - 1;
      if (salt.length !== 16 || !text.length || text.length > LONGEST_PIECE || text.subarray(0, -1).includes(10) || !whole) wrong();
      left -= text.length;
      leaves.push(leafHash(salt, text)); // many at once: WebCrypto answers later, waiting for each would take most of the time
      said.push(text);
    }
    if (withheld ? left < withheld || left > withheld * LONGEST_PIECE : left !== 0) wrong();
    if (!same(await rootOf(await Promise.all(leaves)), root)) wrong();
    found.push(said);
  }
  return found;
}

// --- what the events of a session mean ---------------------------------------------------------------------------------

const FROM_DEVICE = new Set(["prompt-shown", "consent-granted", "consent-denied", "consent-postponed", "consent-withdrawn", "shell-started",
  "shell-ended", "command-started", "output-received", "output-cut", "command-finished", "not-run", "transfer-finished", "transfer-failed"]);
const KINDS = new Set([...FROM_DEVICE, "session-requested", "consent-asked", "nudged", "request-expired", "request-cancelled", "consent-ended",
  "command-accepted", "command-interrupted", "terminal-typed", "terminal-resized", "transfer-accepted", "transfer-cancelled", "reassigned",
  "session-interrupted", "session-resumed", "session-completed", "sealed"]);
const WORDS = { run: "run commands", files: "transfer files" };

class Session {
  constructor(stream, keys) {
    Object.assign(this, { stream, keys, ask: null, consent: null, over: false, connected: true, ended: false, sealed: false, started: null, frame: 0, mono: 0 });
    Object.assign(this, { events: 0, consentAt: null, firstWork: null, receipts: 0, commands: 0, uncompared: 0, unknown: 0, technician: null });
    Object.assign(this, { running: new Set(), begun: new Set(), transfers: new Set(), unreceipted: new Set(), nonces: new Set() });
    Object.assign(this, { lines: new Map(), outputs: new Map(), paths: new Map(), previous: new Uint8Array(32) });
    Object.assign(this, { gaps: 0, unjudged: 0, unsigned: false }); // what is withheld as a whole, and what depends on it
  }

  // An event that is withheld as a whole: what it said is not known, so nothing is concluded from it.
  skip() {
    if (this.sealed) throw new Error("an event follows the seal");
    this.events++;
    this.gaps++;
    this.previous = null;
  }

  // `text` is the event's first text as a whole; undefined where there is none, or something of it is withheld. `seed` is
  // that of its salts, and undefined unless all of the event's texts are shown: the device's receipts begin their hashes with it.
  async follow(event, text, seed) {
    this.events++;
    const mono = event.mono ?? 0;
    if (mono < this.mono) throw new Error("the clock that never goes back went back");
    this.mono = mono;
    if (!KINDS.has(event.kind)) {
      if (this.sealed) throw new Error("an event follows the seal");
      this.unknown++;
      return;
    }
    try {
      await this.meaning(event, text, seed);
    } catch (error) {
      if (!(error instanceof Unjudged)) throw error; // what nobody can check here changes nothing: it must not widen what was agreed
      this.unjudged++;
      return;
    }
    const refused = this.refusal(event);
    if (refused && this.gaps && !this.sealed) {
      this.unjudged++;
      if (!["consent-asked", "sealed"].includes(event.kind)) return; // those two count whatever came before
    } else if (refused) throw new Error(`${event.kind} at ${timeOf(event.at)} cannot follow here: ${refused}`);
    this.evolve(event);
    if (this.running.size + this.begun.size + this.transfers.size > MOST_AT_ONCE) throw new Error(`more than ${MOST_AT_ONCE} commands at one time`);
  }

  // Is it what the device signed?
  async meaning(event, text, seed) {
    switch (event.kind) {
      case "session-requested":
        if (`session/${event.session}` !== this.stream) throw new Error("this event is of another session");
        break;
      case "consent-asked": {
        const request = unpack(event.request);
        if (request.type !== "consent-request" || `session/${request.session}` !== this.stream) throw new Error("the request for consent is for another session");
        if (this.nonces.has(hex(request.nonce))) throw new Error("the request for consent repeats a nonce");
        this.nonces.add(hex(request.nonce));
        if (text && seed && !same(await sha256(seed, text), request.reason)) throw new Error("the reason is not the one that was asked with");
        break;
      }
      case "consent-granted": {
        const answer = await this.answer(event, "granted"), asked = unpack(this.ask.request);
        if (String(answer.scopes) !== String(event.scopes) || answer.who !== event.who || answer.how !== event.how || answer.at !== event.device_at) throw new Error("the consent is not what the device signed");
        if (!answer.scopes.every((scope) => asked.scopes.includes(scope)) || answer.duration_seconds > asked.duration_seconds) throw new Error("the consent grants more than was asked");
        if (BigInt(event.until) !== BigInt(event.at) + BigInt(answer.duration_seconds) * 1000000n || BigInt(event.skew_us) !== BigInt(event.device_at) - BigInt(event.at)) throw new Error("the consent's time is not what the device signed");
        this.consentAt ??= event.at;
        break;
      }
      case "consent-denied": await this.answer(event, "denied"); break;
      case "consent-postponed": await this.answer(event, "later"); break;
      case "consent-withdrawn": {
        if (!this.consent || !(await this.consentHolds(this.consent.request, event.withdrawal, event.signature))) {
          if (this.gaps) { this.unjudged++; break; } // a consent that was given later may be withheld
          throw new Error("the withdrawal is not signed by the device's key");
        }
        const said = unpack(event.withdrawal);
        if (said.type !== "consent-withdrawal" || said.who !== event.who || said.how !== event.how || said.at !== event.device_at) throw new Error("the device signed another withdrawal");
        break;
      }
      case "command-accepted":
        this.firstWork ??= event.at;
        this.commands++;
        this.unreceipted.add(event.command);
        this.lines.set(event.command, text && seed && (await sha256(seed, text)));
        this.outputs.set(event.command, { growing: seed ? new Growing(seed) : null, size: 0, gaps: this.gaps });
        break;
      case "terminal-typed": this.firstWork ??= event.at; break;
      case "transfer-accepted":
        this.firstWork ??= event.at;
        this.paths.set(event.transfer, text && seed && (await sha256(seed, text)));
        break;
      case "output-received": {
        const output = this.outputs.get(event.command);
        if (!output) break;
        output.size += event.output.size;
        if (text) output.growing?.update(text);
        else output.growing = null;
        break;
      }
      case "command-finished": {
        const said = await this.receipt(event), output = this.outputs.get(event.command) ?? { growing: new Growing(), size: 0, gaps: 0 };
        const line = this.lines.has(event.command) ? this.lines.get(event.command) : this.gaps ? undefined : new Uint8Array(0);
        const complete = output.gaps === this.gaps; // else some of its output may be withheld
        if (!complete) output.growing = null;
        this.outputs.delete(event.command);
        if (said.type !== "command" || said.command !== event.command) throw new Error("the receipt is for something else");
        if (line && !same(said.line, line)) throw new Error("the device ran another command than the one that is recorded");
        if ((complete && said.output_size !== output.size) || (output.growing && !same(said.output, await output.growing.digest()))) throw new Error("the recorded output is not what the device sent");
        if (said.exit_code !== event.exit_code || said.duration_ns !== event.duration_ns) throw new Error("the recorded end is not what the device signed");
        if (!line || !output.growing) this.uncompared++;
        this.unreceipted.delete(event.command);
        break;
      }
      case "transfer-finished": {
        const said = await this.receipt(event), path = this.paths.has(event.transfer) ? this.paths.get(event.transfer) : this.gaps ? undefined : new Uint8Array(0);
        if (said.type !== "transfer" || said.transfer !== event.transfer) throw new Error("the receipt is for something else");
        if ((path && !same(said.path, path)) || !same(said.content, event.content) || said.size !== event.size) throw new Error("the file is not what the device signed for");
        if (!path) this.uncompared++;
        break;
      }
      case "sealed":
        if (event.events !== this.events - 1) throw new Error(`the seal counts ${event.events} events, ${this.events - 1} came before it`);
    }
  }

  key() {
    const only = this.gaps && !this.started && this.keys.size === 1; // the session is named in all that is signed
    const key = only ? [...this.keys.values()][0] : this.keys.get(this.started?.device);
    if (!key) throw new Error("the audit log does not say that this device enrolled");
    return key;
  }

  async consentHolds(request, statement, signature) {
    if (this.unsigned) return true;
    const length = new Uint8Array(8);
    new DataView(length.buffer).setUint32(4, request.length);
    return signed(this.key(), signature, join(ascii("caisey consent v1\n"), length, request, statement));
  }

  async answer(event, decision) {
    const answer = unpack(event.answer);
    if (this.gaps && !(this.ask && same(answer.request, await sha256(this.ask.request)))) throw new Unjudged();
    if (!this.ask) throw new Error("an answer without a question");
    if (!(await this.consentHolds(this.ask.request, event.answer, event.signature))) throw new Error("the answer is not signed by the device's key over what was asked");
    if (answer.type !== "consent-answer" || answer.decision !== decision || `session/${answer.session}` !== this.stream || !same(answer.request, await sha256(this.ask.request))) throw new Error("the device signed another answer");
    return { scopes: [], duration_seconds: 0, ...answer };
  }

  async receipt(event) {
    if (!this.unsigned && !(await signed(this.key(), event.signature, join(ascii("caisey receipt v1\n"), event.receipt)))) throw new Error("the receipt is not signed by the device's key");
    const said = unpack(event.receipt);
    if (`session/${said.session}` !== this.stream || (this.previous && !same(said.previous, this.previous))) throw new Error("the receipt does not follow the one before it");
    this.previous = await sha256(event.receipt);
    this.receipts++;
    return said;
  }

  // May it happen here? Returns why not.
  refusal(event) {
    const { ended, ask, consent } = this, over = "This session is over", before = "it happened before";
    if (this.sealed) return "This session is over";
    const uncovered = (scope) => {
      if (ended) return over;
      if (!consent) return "Nobody at the device has agreed yet";
      if (this.over || event.at >= consent.until) return "The agreed time is over";
      if (!consent.scopes.includes(scope)) return `The person at the device did not agree to “${WORDS[scope]}”`;
      return this.connected ? "" : "The device is not connected now";
    };
    if (FROM_DEVICE.has(event.kind)) {
      if (event.frame <= this.frame) return before;
      if (["consent-granted", "consent-denied", "consent-postponed"].includes(event.kind)) return ended || !ask ? "Nobody was being asked" : "";
      if (event.kind === "prompt-shown") return ended || !ask ? before : "";
      return event.kind === "consent-withdrawn" && ended ? before : "";
    }
    switch (event.kind) {
      case "session-requested": return this.started ? "This session was asked for already" : "";
      case "consent-asked": return ended ? over : ask ? "The person at the device is being asked already" : "";
      case "nudged": return ended || !ask ? "Nobody is being asked now" : "";
      case "request-cancelled": return ended || consent ? "This request was answered already" : "";
      case "request-expired": return ended || !ask || event.at < ask.expires ? before : "";
      case "consent-ended": return ended || !consent || this.over || event.at < consent.until ? before : "";
      case "command-accepted": case "terminal-typed": case "terminal-resized": return uncovered("run");
      case "transfer-accepted": return uncovered("files");
      case "command-interrupted": return ended || (event.command !== null && !this.running.has(event.command)) ? "This command has ended already" : "";
      case "transfer-cancelled": return this.transfers.has(event.transfer) ? "" : "This transfer has ended already";
      case "reassigned": return ended ? over : event.to_technician === this.technician ? "It is theirs already" : "";
      case "session-interrupted": return ended || !this.connected ? before : "";
      case "session-resumed": return ended || this.connected ? before : "";
      case "session-completed": return ended ? over : consent ? "" : "Nobody at the device has agreed yet";
      case "sealed": return ended ? "" : "The session is not over";
    }
    return "";
  }

  // What is so after it happened.
  evolve(event) {
    if (FROM_DEVICE.has(event.kind)) this.frame = event.frame;
    const end = () => { this.ended = true; this.ask = null; };
    const no = () => { if (this.consent) this.ask = null; else end(); };
    switch (event.kind) {
      case "session-requested": this.started = event; this.technician = event.technician; break;
      case "consent-asked": this.ask = { request: event.request, expires: event.expires_at }; break;
      case "consent-granted":
        this.consent = { request: this.ask.request, until: event.until, scopes: event.scopes };
        Object.assign(this, { ask: null, over: false, connected: true });
        break;
      case "consent-postponed": this.ask.expires = event.expires_at; break;
      case "consent-denied": case "request-expired": case "request-cancelled": no(); break;
      case "consent-withdrawn": case "session-completed": end(); break;
      case "consent-ended": this.over = true; break;
      case "command-accepted": this.running.add(event.command); break;
      case "command-started": this.begun.add(event.command); break;
      case "command-finished": this.running.delete(event.command); this.begun.delete(event.command); break;
      case "not-run": for (const set of [this.running, this.begun, this.transfers]) set.delete(event.subject); break;
      case "transfer-accepted": this.transfers.add(event.transfer); break;
      case "transfer-finished": case "transfer-failed": case "transfer-cancelled": this.transfers.delete(event.transfer); break;
      case "reassigned": this.technician = event.to_technician; break;
      case "session-interrupted": this.connected = false; break;
      case "session-resumed": this.connected = true; break;
      case "sealed": this.sealed = true;
    }
  }
}

function timeOf(at) {
  const time = new Date(Math.floor(Number(at) / 1000));
  return Number.isNaN(time.getTime()) ? "a time that cannot be" : `${time.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

// --- the check: every promise in order; `proved` gets a line for each, `event` each event that holds ---------------------

async function check(blob, givenKey, proved, seen) {
  refuse(!globalThis.crypto?.subtle, "this browser calculates only on pages that it trusts; open the check.html of the bundle instead");
  const zip = await Zip.open(blob);
  const manifest = await zip.json("manifest.json"), keys = await zip.json("keys.json"), proofs = await zip.json("proofs.json"), edits = await zip.json("edits.json");
  const text = (value) => typeof value === "string", whole = (value) => Number.isSafeInteger(value) && value >= 0, list = Array.isArray;
  const step = (one) => one && whole(one.size) && text(one.root) && whole(one.leaf) && list(one.path) && one.path.every(text);
  refuse(!manifest || ![manifest.format, manifest.origin, manifest.tenant, manifest.session].every(text) || !whole(manifest.events) || typeof manifest.sealed !== "boolean" || !manifest.files || typeof manifest.files !== "object" || !Object.values(manifest.files).every(text), "manifest.json: a field has the wrong type");
  refuse(!keys || !list(keys.tenant) || !keys.tenant.length || !keys.tenant.every(text) || !text(keys.device), "keys.json: a field has the wrong type");
  refuse(!proofs || !list(proofs.session) || !proofs.session.every(step) || !step(proofs.audit) || !list(proofs.told) || !proofs.told.every((one) => one && whole(one.position) && text(one.event) && list(one.path) && one.path.every(text)), "proofs.json: a field has the wrong type");
  refuse(!list(edits) || !edits.every((one) => one && whole(one.event) && whole(one.line) && text(one.text)), "edits.json: a field has the wrong type");
  refuse(manifest.format !== "caisey bundle", "its manifest is not that of a bundle");
  refuse(manifest.version !== 1, `it has the format version ${manifest.version}; this page knows 1`);
  refuse(manifest.events < 1 || manifest.events > MOST_EVENTS, `it tells of ${manifest.events} events; a bundle has 1 to ${MOST_EVENTS}`);
  refuse(Object.keys(manifest.files).sort().join() !== READABLE.filter((name) => zip.entries.has(name)).sort().join(), "its manifest does not name the files for reading that are there");
  const sizes = proofs.session.map((one) => one.size);
  refuse(!sizes.length || sizes.length > MOST_STEPS || sizes[0] < 1 || sizes.some((size, i) => i && size <= sizes[i - 1]) || sizes.at(-1) !== manifest.events, "its proofs are not for the number of events that its manifest tells");
  const stream = `session/${manifest.session}`;

  // the tenant's key signed the root of its log
  const own = keys.tenant.at(-1), key = await parseKey(own);
  if (givenKey) {
    const given = await parseKey(givenKey);
    if (given.name !== key.name || !same(given.key, key.key)) throw new Broken("the key of this bundle is not the one that was given");
  }
  let note;
  try { note = utf8(await zip.read("checkpoint")); } catch (error) { throw error instanceof NotABundle ? error : new Broken("the checkpoint does not hold"); }
  const log = await checkCheckpoint(note, key);
  if (log.origin !== key.name || manifest.origin !== key.name) throw new Broken("the checkpoint is for another log than the manifest tells");
  proved(givenKey ? "The key is the one that you gave." : `The key was taken from the bundle itself. Compare it with the one that you have from ${manifest.tenant}: ${own}`);

  // both streams are in that log
  for (const [name, one] of [...proofs.session.map((one) => [stream, one]), ["audit", proofs.audit]]) {
    const leaf = await leafHash(ascii(`caisey log leaf v1\n${name}\n${one.size}\n${hex(unhex(one.root, 32))}\n`));
    if (!(await included(leaf, one.leaf, log.size, one.path.map((node) => unhex(node, 32)), log.root))) throw new Broken(`the root of its first ${one.size} events is not in the tenant's log`, name);
  }
  proved(`The tenant's key signed the root of its log of ${log.size} leaves; the session and the audit log are in it.`);

  // what the audit log tells: the tenant's key, the device's key, this export
  const devices = new Map();
  let began = false, exported = null;
  for (const one of proofs.told) {
    const data = unhex(one.event), no = (what) => { throw new Broken(what, "audit", one.position); };
    if (!(await included(await leafHash(data), one.position, proofs.audit.size, one.path.map((node) => unhex(node, 32)), unhex(proofs.audit.root, 32)))) no("this event is not in the audit log");
    const event = unpack(data);
    if (event.kind === "tenant-created") {
      if (event.key !== keys.tenant[0] || event.name !== manifest.tenant) no("the tenant began with another key or name than the bundle has");
      began = true;
    } else if (event.kind === "device-enrolled") {
      if (hex(event.key) !== keys.device) no("the device enrolled with another key than the bundle has");
      devices.set(event.device, event.key);
      proved(`The key of the device ${event.name} is in the audit log, enrolled ${timeOf(event.at)}: ${keys.device}`);
    } else if (event.kind === "content-erased") {
      if (event.session === manifest.session) proved(`Its texts were erased by ${event.actor.name}, ${timeOf(event.at)}: ${event.reason}`);
    } else if (event.kind === "session-exported") {
      if (event.session !== manifest.session || event.events !== manifest.events) no("this export is of another session or length");
      exported = event;
    }
  }
  if (!began) throw new Broken("the bundle does not prove how the tenant's key came to be", "audit");
  if (keys.tenant.length !== 1) throw new Broken("the bundle does not prove how the tenant's key was replaced", "audit");
  if (!exported) throw new Broken("the bundle does not prove that it was exported", "audit");

  // the events, one by one
  const leaves = await zip.read("leaves");
  refuse(leaves.length !== 32 * manifest.events, "the file leaves does not have one hash for each event");
  let doubt = null;
  const tree = new Frontier();
  for (let i = 0, n = 0, before = 0; i < manifest.events && !doubt; i++) {
    await tree.append(leaves.subarray(32 * i, 32 * i + 32));
    if (tree.size !== sizes[n]) continue;
    if (hex(await tree.root()) !== proofs.session[n].root) doubt = [before, tree.size - 1];
    before = sizes[n++];
  }
  const instead = new Map();
  for (const edit of edits) instead.set(edit.event, (instead.get(edit.event) ?? new Map()).set(edit.line, edit.text));
  const session = new Session(stream, devices);
  session.unsigned = !keys.device && !devices.size;
  const disclosures = zip.records("disclosures");
  let count = 0, shownLines = 0, withheldLines = 0;
  for await (const data of zip.records("events")) {
    const no = (what) => { throw new Broken(what, stream, count); };
    if (count === manifest.events) no(`there are more events than the ${count} that were signed`);
    if (data.length && !same(await leafHash(data), leaves.slice(32 * count, 32 * count + 32))) no("this event is not what was signed");
    const { value: packed, done } = await disclosures.next();
    if (done) no("the file disclosures ends before this event");
    if (!data.length) { // withheld as a whole: its leaf is in the tree, and nothing else of it is here
      if (packed.length) no("a text lies beside an event that is withheld");
      if (instead.has(count)) no("a reviewer's text stands in the place of an event");
      try { session.skip(); } catch (error) { no(error.message); }
      seen(count, null);
      count++;
      continue;
    }
    let event, lines = null, seed;
    try {
      event = unpack(data);
      if (typeof event.kind !== "string") throw new Error("it has no kind");
    } catch (error) { no(`this is no event (${error.message})`); }
    try {
      const contents = contentsOf(event);
      if (packed.length) {
        if (!contents.length) throw new Error("a text lies beside an event that has none");
        const shown = unpack(packed);
        lines = await checkShown(shown, contents);
        if (shown[0] === "all") seed = shown[1];
        for (const line of lines.flat()) line ? shownLines++ : withheldLines++;
      } else for (const content of contents) withheldLines += Number(content.lines);
      const written = instead.get(count) ?? new Map(), flat = lines?.flat(), all = contents.reduce((sum, content) => sum + Number(content.lines), 0);
      for (const at of written.keys()) if (flat ? flat[at] !== null : at >= all) throw new Error("a reviewer's text stands in the place of a line that is shown");
      instead.delete(count);
      const first = lines?.[0];
      await session.follow(event, first && !first.includes(null) ? join(...first) : undefined, seed);
      seen(count, event, contents, lines, written);
    } catch (error) {
      if (error instanceof NotABundle) throw error;
      seen(count, event, [], null, new Map(), true);
      no(error.message);
    }
    count++;
  }
  if (count < manifest.events) throw new Broken(`events are missing: ${manifest.events} were signed, ${count} are here`, stream, count);
  if (!(await disclosures.next()).done) throw new Broken("the file disclosures goes on after the last event", stream, count - 1);
  if (doubt) throw new Broken(`one of the events ${doubt[0]} to ${doubt[1]} is not what was signed`, stream, doubt[0]);
  if (instead.size) throw new Broken("a reviewer's text stands in the place of a line that is not there", stream, Math.min(...instead.keys()));
  if (session.sealed !== manifest.sealed) throw new Broken("the manifest does not tell whether the record is sealed", stream);

  proved(`Every one of ${count} events is where it was written, under roots that the tenant's key signed.`);
  const { gaps, unsigned } = session;
  if (gaps) proved(`${gaps} of them are withheld as a whole: that they are there is proven, what they say is not shown. ${session.unjudged} events that are shown depend on them and were not judged.`);
  if (unsigned) proved("The enrolment of the device is withheld: nothing that the device signed could be checked.");
  if (session.consentAt !== null) {
    const before = session.firstWork === null ? "" : `, before the first work, ${timeOf(session.firstWork)}`;
    proved(`${unsigned ? "The record tells the consent" : "The device signed the consent"}, ${timeOf(session.consentAt)}${before}; every act${gaps ? " that could be judged" : ""} lies within its scope and time.`);
  } else if (gaps) proved("That there was consent before the work cannot be seen here: it, or what was asked, is withheld.");
  if (session.commands) proved(`${session.receipts} receipts of the device, ${unsigned ? "unchecked" : "chained and signed"}, for ${session.commands} commands and files${session.unreceipted.size ? `; ${session.unreceipted.size} ${gaps ? "withheld or " : ""}without a receipt` : ""}.`);
  proved(session.sealed ? "The record is sealed: nothing can follow." : "The record is still open.");
  proved(`${shownLines} lines are shown exactly as they were recorded${withheldLines ? `; ${withheldLines} are withheld or erased, each in its place` : ""}${session.uncompared ? `; ${session.uncompared} receipts are for texts of which something is withheld, so those were not compared` : ""}.`);
  if (session.unknown) proved(`${session.unknown} events are of kinds that this page does not know: in place, not understood.`);

  // the files for reading are those that were exported
  for (const [name, told] of Object.entries(manifest.files)) {
    if (await fileRoot(zip.pieces(name)) !== told) throw new Broken(`the file ${name} is not the one that was exported`);
  }
  const listing = Object.keys(manifest.files).sort().map((name) => `${name} ${manifest.files[name]}\n`).join("");
  if (!same(await sha256(ascii(listing)), exported.files)) throw new Broken("the files for reading are not those that were exported");
  proved(`The files for reading are as ${exported.actor.name} exported them, ${timeOf(exported.at)}${edits.length ? `; ${edits.length} texts in them are a reviewer's, not the record's` : ""}.`);
}

// --- the page ------------------------------------------------------------------------------------------------------------

const MOST_SHOWN = 2000; // events
const byId = (id) => document.getElementById(id);
const add = (parent, tag, text, name) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (name) made.className = name;
  parent.append(made);
  return made;
};
// Control sequences steer terminals and hide text: what is shown is free of them.
const plain = (text) => text.replace(/\r\n/g, "\n").replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^]*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "");

function showEvent(number, event, contents, lines, written, broken = false) {
  if (number >= MOST_SHOWN && !broken) { byId("more").textContent = `The first ${MOST_SHOWN} events are shown; all of them are checked.`; return; }
  const row = add(byId("events"), "li", undefined, broken ? "broken" : "");
  if (!event) { add(row, "span", `${number} · withheld as a whole`, "hidden"); return; }
  add(row, "span", `${number} · ${timeOf(event.at)}`, "where");
  add(row, "b", event.kind);
  const more = ["who", "scopes", "exit_code", "reason", "direction", "to_name", "resolution", "device_name", "technician_name"].filter((name) => ["string", "number"].includes(typeof event[name]) || Array.isArray(event[name]));
  if (event.actor) add(row, "span", ` ${event.actor.name ?? ""} ${more.map((name) => `${name.replace("_", " ")}: ${event[name]}`).join(", ")}`);
  let at = 0;
  for (const [n, content] of contents.entries()) {
    const box = add(row, "pre");
    if (!lines) add(box, "span", `${content.lines} lines withheld or erased`, "hidden");
    let run = [];
    for (const line of [...(lines?.[n] ?? []), undefined]) {
      if (line) { run.push(line); at++; continue; }
      if (run.length) add(box, "span", plain(new TextDecoder().decode(join(...run))));
      run = [];
      if (line === null) add(box, "span", written.has(at) ? `a reviewer's words, no part of the proof: ${plain(written.get(at))}\n` : "withheld\n", "hidden"), at++;
    }
    if (!lines) for (const [, words] of n ? [] : written) add(box, "span", ` a reviewer's words, no part of the proof: ${plain(words)}`, "hidden");
  }
}

let turn = 0; // a second file ends the interest in the first

async function run(blob) {
  const mine = ++turn, verdict = byId("verdict");
  const only = (act) => (...values) => { if (mine === turn) act(...values); };
  byId("proved").replaceChildren();
  byId("events").replaceChildren();
  byId("more").textContent = "";
  byId("session").hidden = false;
  verdict.hidden = false;
  verdict.className = "";
  verdict.textContent = "Checking …";
  document.body.dataset.verdict = "checking";
  delete document.body.dataset.event;
  const end = only((state, words, event) => {
    document.body.dataset.verdict = state;
    if (Number.isInteger(event)) document.body.dataset.event = event;
    verdict.className = state === "good" ? "good" : "broken";
    verdict.textContent = words;
  });
  try {
    await check(blob, byId("key").value.trim(), only((line) => add(byId("proved"), "li", `✓ ${line}`, "good")), only(showEvent));
    end("good", "✓ Verified. Nothing was changed.");
  } catch (error) {
    const state = error instanceof Broken ? "broken" : "refused";
    end(state, error instanceof Broken ? `✗ Not verified: ${error.message}` : `✗ This is no bundle that can be checked: ${error.message}.`, error.event);
  }
}

const drop = byId("drop"), file = byId("file");
file.addEventListener("change", () => file.files[0] && run(file.files[0]));
byId("key").addEventListener("change", () => file.files[0] && run(file.files[0]));
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files[0]) {
      file.files = event.dataTransfer.files;
      run(file.files[0]);
    }
  });
}
