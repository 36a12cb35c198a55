// A viewer store: Sv at several resolutions, fetched a chunk at a time (tests/viewer_contract.py).

import { FetchStore, get, open, root } from "../vendor/zarrita.js";
import { Channel } from "./channel.js";

const CACHED_CHUNKS = 96; // of 2 MB
const PARALLEL = 8;
const MOST_VALUES = 8e6; // in view, of 2 bytes before compression
const FLOAT16 = "float16";

/** The value of each of the 65,536 float16, in dB; NaN for NaN, infinities and the store's no data. */
export const DECIBELS = Float32Array.from({ length: 65536 }, (_, bits) => {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  const value = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return exponent === 31 || sign * value < -9000 ? NaN : sign * value;
});
/** The same values, linear. */
export const LINEAR = DECIBELS.map((decibels) => 10 ** (decibels / 10));
const NO_DATA_BITS = 0xf0e2; // -9999 as float16

/** Answers metadata from the root's consolidated metadata, and has float16 read as plain bits. */
class Files {
  constructor(address) {
    this.files = new FetchStore(address);
    this.known = new Map();
  }

  async get(key, options) {
    if (this.known.has(key)) return this.known.get(key);
    const bytes = await this.files.get(key, options);
    if (!bytes || !key.endsWith("/zarr.json")) return bytes;
    const document = JSON.parse(new TextDecoder().decode(bytes));
    for (const [path, node] of Object.entries(document.consolidated_metadata?.metadata ?? {}))
      this.known.set(`/${path}/zarr.json`, this.encoded(node));
    delete document.consolidated_metadata;
    return this.encoded(document);
  }

  /** Not all browsers have Float16Array, and the bits are all that colours need. */
  encoded(node) {
    const plain = node.data_type === FLOAT16 ? { ...node, data_type: "uint16", fill_value: NO_DATA_BITS } : node;
    return new TextEncoder().encode(JSON.stringify(plain));
  }

  /** Whether the store may have an array; without consolidated metadata any is possible. */
  mayHave(path) {
    return this.known.size === 0 || this.known.has(`/${path}/zarr.json`);
  }
}

const isKnown = ({ latitude, longitude }) => Number.isFinite(latitude) && Number.isFinite(longitude);

export class ViewerStore {
  /** Open the store at an address. Throws an error that says what is wrong with it. */
  static async open(address) {
    const files = new Files(address);
    const group = await open.v3(root(files), { kind: "group" }).catch((error) => {
      throw new Error(`There is no viewer store at ${address.split("?")[0]}: ${error.message}`);
    });
    const contract = group.attrs.multiscales?.[0];
    if (!contract) throw new Error(`${address.split("?")[0]} is not a viewer store: its attributes have no 'multiscales'.`);
    const store = new ViewerStore(files, group.attrs, contract);
    await Promise.all([store.coarsest.open(), store.readTrack()]);
    return store;
  }

  constructor(files, attributes, contract) {
    this.files = files;
    this.about = attributes.echodrop ?? {};
    this.vertical = contract.verticalRef === "depth" ? "Depth" : "Range";
    this.dataType = contract.dataType;
    this.quantity = this.about.quantity ?? contract.dataType;
    this.units = this.about.units ?? "dB";
    this.levels = contract.datasets.map((dataset) => new Level(this, dataset));
    this.coarsest = this.levels.at(-1);
    this.chunks = new Map();
    this.waiting = [];
    this.running = 0;
    this.onChunk = this.onError = () => {};
  }

  /** The channels' labels. */
  get channels() {
    return Array.from({ length: this.coarsest.channelCount }, (_, at) => ({
      label: `Channel ${at + 1}`,
      ...this.about.channels?.[at],
    }));
  }

  /** A whole array as plain numbers, or null where the store has none. */
  async numbers(path) {
    if (!this.files.mayHave(path)) return null;
    const array = await open.v3(root(this.files).resolve(path), { kind: "array" });
    const { data, shape } = await get(array);
    return { data: data instanceof BigInt64Array ? Float64Array.from(data, Number) : data, shape };
  }

  /** Positions with their times, of the coarsest level. */
  async readTrack() {
    const paths = ["latitude", "longitude"].map((name) => `${this.coarsest.path}/${name}`);
    const [latitude, longitude] = await Promise.all(paths.map((path) => this.numbers(path).catch(() => null)));
    await this.coarsest.open();
    // The rows without a position stay: the ship was somewhere else than between its neighbours.
    this.fixes = [];
    if (latitude && longitude)
      this.coarsest.times.forEach((time, at) => this.fixes.push({ time, latitude: latitude.data[at], longitude: longitude.data[at] }));
    this.fixes.sort((one, other) => one.time - other.time);
    this.track = this.fixes.filter(isKnown);
  }

  /** The position at a time, between the two nearest; null outside of the track, and where the file has none. */
  positionAt(time) {
    const after = this.fixes.findIndex((point) => point.time >= time);
    const [one, other] = [this.fixes[after - 1], this.fixes[after]];
    if (!other || !isKnown(other)) return null;
    if (other.time === time) return other;
    if (!one || !isKnown(one)) return null;
    if (Math.abs(one.longitude - other.longitude) > 180) return other;
    const part = (time - one.time) / (other.time - one.time);
    const between = (name) => one[name] + part * (other[name] - one[name]);
    return { latitude: between("latitude"), longitude: between("longitude") };
  }

  /** The coarsest level that still has about a ping and a sample for each pixel, where there are so many. */
  levelFor({ from, to, top, bottom }, shown, width, height) {
    const { factors } = this.coarsest;
    const channels = shown.map((at) => this.coarsest.channel(at));
    const pings = Math.max(...channels.map((channel) => channel.countBetween(from, to))) * factors[0];
    const samples = ((bottom - top) / channels[0].middleStep) * factors[1];
    const isEnough = ({ factors: [ofPings, ofSamples] }) =>
      (pings / ofPings >= 0.75 * width || ofPings === 1) && (samples / ofSamples >= height || ofSamples === 1);
    const isTooMuch = ({ factors: [ofPings, ofSamples] }) =>
      (pings / ofPings) * (samples / ofSamples) * shown.length > MOST_VALUES;
    const enough = this.levels.findLastIndex(isEnough);
    return this.levels.slice(Math.max(enough, 0)).find((level) => !isTooMuch(level)) ?? this.coarsest;
  }

  /** The bits of a chunk, or undefined while it is not here. */
  chunk(key) {
    return this.chunks.get(key)?.bits;
  }

  /** Fetch these chunks, in this order, and no other that is still under way. */
  want(keys) {
    const wanted = new Map(keys.map((each) => [each.key, each]));
    for (const [key, chunk] of this.chunks)
      if (!chunk.bits && !wanted.has(key)) {
        chunk.abort.abort();
        this.chunks.delete(key);
      }
    this.waiting = keys.filter(({ key }) => !this.chunks.has(key));
    for (const key of wanted.keys()) {
      const chunk = this.chunks.get(key);
      if (!chunk) continue;
      this.chunks.delete(key); // the last one is the one used last
      this.chunks.set(key, chunk);
    }
    this.fetchNext();
  }

  get pending() {
    return this.waiting.length + this.running;
  }

  fetchNext() {
    while (this.running < PARALLEL && this.waiting.length) {
      const { key, level, at } = this.waiting.shift();
      const chunk = { abort: new AbortController() };
      this.chunks.set(key, chunk);
      this.running += 1;
      level.values
        .getChunk(at, { signal: chunk.abort.signal })
        .then(({ data }) => (chunk.bits = data))
        .catch((error) => {
          // A failed chunk stays, so that it is not requested again and again.
          if (!chunk.abort.signal.aborted) this.onError(error);
        })
        .finally(() => {
          this.running -= 1;
          for (const [old, { bits }] of this.chunks) {
            if (this.chunks.size <= CACHED_CHUNKS) break;
            if (bits) this.chunks.delete(old);
          }
          this.fetchNext();
          this.onChunk();
        });
    }
  }
}

/** One resolution of a store. */
class Level {
  constructor(store, { path, factors }) {
    this.store = store;
    this.path = path;
    this.factors = factors;
    this.byChannel = new Map();
  }

  /** Read what places the values: times, ranges, shape. Once. */
  open() {
    this.opening ??= this.read();
    return this.opening;
  }

  async read() {
    const at = (name) => `${this.path}/${name}`;
    const [values, times, starts, steps, floor] = await Promise.all([
      open.v3(root(this.store.files).resolve(at(this.store.dataType)), { kind: "array" }),
      this.store.numbers(at("ping_time")),
      this.store.numbers(at("range_start")),
      this.store.numbers(at("range_step")),
      this.store.files.known.size ? this.store.numbers(at("bottom")) : null,
    ]);
    if (values.dtype !== "uint16") throw new Error(`${this.store.dataType} of level ${this.path} is ${values.dtype}, not float16.`);
    [this.channelCount, this.pingCount, this.sampleCount] = values.shape;
    [, this.chunkPings, this.chunkSamples] = values.chunks;
    this.times = times.data.map((nanoseconds) => nanoseconds / 1e6);
    Object.assign(this, { starts: starts.data, steps: steps.data, floor: floor?.data });
    this.values = values;
  }

  get isOpen() {
    return this.values !== undefined;
  }

  channel(at) {
    if (!this.byChannel.has(at)) this.byChannel.set(at, new Channel(this, at));
    return this.byChannel.get(at);
  }
}
