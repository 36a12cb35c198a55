// The viewer: an echogram that one can move, zoom, scale and read.

import { readState, stateAddress, writeState } from "./address.js";
import { NAMES, colourTable } from "./colours.js";
import { clamp, element, make, onceAFrame, plural, positionText, say, timeText } from "./dom.js";
import { valueAt } from "./echogram.js";
import { listen } from "./gestures.js";
import { TrackMap, trackOf, unwrapped } from "./map.js";
import { LEFT, Panels, RIGHT, TITLE } from "./panels.js";
import { ViewerStore } from "./store.js";

const ALL = -1;
const NARROW = 700;
const SHORTEST_MS = 200;
const SHORTEST_M = 0.2;

export class Viewer {
  constructor(root) {
    this.root = root;
    this.canvas = element("echogram");
    this.drawing = new Panels(this.canvas);
    this.redraw = onceAFrame(() => this.draw());
    this.map = new TrackMap(element("viewer-map"));
    new ResizeObserver(() => this.store && this.redraw()).observe(this.canvas);
    listen(this.canvas, {
      move: (dx, dy) => this.move(dx, dy),
      zoom: (x, y, fx, fy) => this.zoom(x, y, fx, fy),
      reset: () => this.reset(),
      point: (x, y) => this.point(x, y),
      tap: (x, y) => this.point(x, y),
      middle: () => this.middle(),
      keyed: () => this.store && this.point(...this.middle()),
    }, (event) => (event.ctrlKey ? [1, 1] : event.shiftKey ? [0, 1] : [1, 0]));
    this.canvas.addEventListener("keydown", (event) => this.channelKey(event));
    this.bindControls();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.store && this.redraw());
  }

  /** Open the store that the address names, with the view that it names. */
  async open() {
    const state = readState();
    this.close();
    this.path = state.view;
    this.state = state;
    element("title").textContent = this.path.split("/").at(-1).replace(/\.echogram\.zarr$/, "");
    element("loading").hidden = false;
    const opening = (this.opening = ViewerStore.open(this.root.address(this.path)));
    try {
      const store = await opening;
      if (this.opening !== opening) return;
      this.store = store;
      store.onChunk = () => this.redraw();
      store.onError = (error) => say(`A part of the echogram could not be read: ${error.message}`);
      this.findExtent();
      this.restore(state);
      this.describe();
      this.redraw();
    } catch (error) {
      if (this.opening === opening) say(error.message);
      element("loading").hidden = true;
    }
  }

  close() {
    this.store?.want([]);
    this.store = this.opening = null;
    this.cursor = null;
    say();
  }

  findExtent() {
    const { coarsest, channels } = this.store;
    const of = channels.map((_, at) => coarsest.channel(at)).filter((channel) => channel.times.length);
    if (!of.length) throw new Error("The viewer store has no pings.");
    this.extent = {
      from: Math.floor(Math.min(...of.map((channel) => channel.from))),
      to: Math.ceil(Math.max(...of.map((channel) => channel.to))),
      first: Math.min(...of.map(({ times }) => times[0])),
      last: Math.max(...of.map(({ times }) => times.at(-1))),
      top: round(Math.min(0, ...of.map((channel) => channel.top))),
      bottom: round(Math.max(...of.map((channel) => channel.bottom))),
    };
  }

  // ---- state -------------------------------------------------------------------------------

  restore(state) {
    const count = this.store.channels.length;
    const byDefault = count === 1 || this.canvas.clientWidth < NARROW || count > 6 ? 0 : ALL;
    const numbers = (text) => (text ?? "").split(",").map(parseFloat);
    const [low, high] = numbers(state.db);
    const [standardLow, standardHigh] = this.store.about.limits ?? [-90, -30];
    this.channel = state.channel === "all" ? ALL : state.channel ? clamp(Number(state.channel) - 1 || 0, 0, count - 1) : byDefault;
    this.scale = { name: NAMES.includes(state.colours) ? state.colours : NAMES[0] };
    this.view = { ...this.extent };
    const [from, to] = (state.time ?? "").split("/").map(Date.parse);
    const [top, bottom] = numbers(state.depth);
    if (to > from) Object.assign(this.view, { from, to });
    if (bottom > top) Object.assign(this.view, { top, bottom });
    this.fillControls();
    this.setScale(high > low ? low : standardLow, high > low ? high : standardHigh);
  }

  save() {
    const { from, to, top, bottom } = this.view;
    const isWhole = (low, high) => this.view[low] === this.extent[low] && this.view[high] === this.extent[high];
    this.state = {
      view: this.path,
      channel: this.channel === ALL ? "all" : String(this.channel + 1),
      colours: this.scale.name,
      db: `${this.scale.low},${this.scale.high}`,
      time: isWhole("from", "to") ? "" : `${new Date(from).toISOString()}/${new Date(to).toISOString()}`,
      depth: isWhole("top", "bottom") ? "" : `${top},${bottom}`,
    };
    writeState(this.state);
  }

  changed() {
    this.save();
    this.redraw();
  }

  // ---- controls ----------------------------------------------------------------------------

  bindControls() {
    element("colours").append(...NAMES.map((name) => make("option", { value: name }, name)));
    element("controls").addEventListener("submit", (event) => event.preventDefault());
    element("channel").addEventListener("change", (event) => this.setChannel(Number(event.target.value)));
    element("colours").addEventListener("change", (event) => {
      this.scale.name = event.target.value;
      this.setScale(this.scale.low, this.scale.high);
      this.changed();
    });
    for (const [id, which] of [["low", "low"], ["low-slider", "low"], ["high", "high"], ["high-slider", "high"]])
      element(id).addEventListener("input", (event) => {
        const value = event.target.valueAsNumber;
        if (!Number.isFinite(value)) return;
        if (which === "low") this.setScale(value, Math.max(this.scale.high, value + 1), event.target);
        else this.setScale(Math.min(this.scale.low, value - 1), value, event.target);
        this.changed();
      });
    const press = (id, act) => element(id).addEventListener("click", () => this.store && act());
    press("zoom-in", () => this.zoom(...this.middle(), 1.6, 1));
    press("zoom-out", () => this.zoom(...this.middle(), 1 / 1.6, 1));
    press("zoom-depth-in", () => this.zoom(...this.middle(), 1, 1.6));
    press("zoom-depth-out", () => this.zoom(...this.middle(), 1, 1 / 1.6));
    press("zoom-reset", () => this.reset());
  }

  fillControls() {
    const { channels, units, quantity, vertical } = this.store;
    const option = (value, text) => make("option", { value }, text);
    element("channel").replaceChildren(
      ...(channels.length > 1 ? [option(ALL, `All ${channels.length}`)] : []),
      ...channels.map(({ label }, at) => option(at, label)),
    );
    element("channel").value = this.channel;
    element("colours").value = this.scale.name;
    element("units").textContent = units.split(" ")[0];
    element("units").title = units;
    element("read-value-name").textContent = quantity;
    element("read-vertical-name").textContent = vertical;
  }

  setScale(low, high, editing) {
    Object.assign(this.scale, { low, high, table: colourTable(this.scale.name) });
    const [least, most] = [Math.min(-120, low), Math.max(0, high)];
    for (const [id, value] of [["low", low], ["high", high], ["low-slider", low], ["high-slider", high]]) {
      Object.assign(element(id), id.endsWith("slider") ? { min: least, max: most } : {});
      if (element(id) !== editing) element(id).value = value;
    }
    const context = element("strip").getContext("2d");
    const image = context.createImageData(256, 1);
    new Uint32Array(image.data.buffer).set(Array.from({ length: 256 }, (_, at) => {
      const value = least + ((at + 0.5) / 256) * (most - least);
      return this.scale.table[clamp(Math.floor(((value - low) / (high - low)) * 255.999), 0, 255)];
    }));
    context.putImageData(image, 0, 0);
  }

  setChannel(channel) {
    this.channel = channel;
    element("channel").value = channel;
    this.changed();
  }

  channelKey({ key, ctrlKey, metaKey, altKey }) {
    if (!this.store || ctrlKey || metaKey || altKey) return;
    const count = this.store.channels.length;
    if (key >= "1" && key <= "9" && Number(key) <= count) this.setChannel(Number(key) - 1);
    if (key.toLowerCase() === "a" && count > 1) this.setChannel(ALL);
  }

  // ---- moving ------------------------------------------------------------------------------

  get plotWidth() {
    return this.canvas.clientWidth - LEFT - RIGHT;
  }

  middle() {
    const [{ y, height }] = this.panels;
    return [LEFT + this.plotWidth / 2, y + height / 2];
  }

  move(dx, dy) {
    if (!this.store) return;
    const { from, to, top, bottom } = this.view;
    this.setView(
      shifted(from, to, (-dx / this.plotWidth) * (to - from), this.extent.from, this.extent.to),
      shifted(top, bottom, (-dy / this.panels[0].height) * (bottom - top), this.extent.top, this.extent.bottom),
    );
  }

  zoom(x, y, factorX, factorY) {
    if (!this.store) return;
    const panel = this.panelAt(y);
    const { from, to, top, bottom } = this.view;
    this.setView(
      zoomed(from, to, (x - LEFT) / this.plotWidth, factorX, SHORTEST_MS, this.extent.from, this.extent.to),
      zoomed(top, bottom, (y - panel.y) / panel.height, factorY, SHORTEST_M, this.extent.top, this.extent.bottom),
    );
  }

  reset() {
    this.setView([this.extent.from, this.extent.to], [this.extent.top, this.extent.bottom]);
  }

  setView([from, to], [top, bottom]) {
    // As exact as the address, so that it restores the very same picture.
    this.view = { from: Math.round(from), to: Math.round(to), top: round(top), bottom: round(bottom) };
    this.changed();
    if (this.cursor) this.point(this.cursor.x, this.cursor.y);
  }

  panelAt(y) {
    return this.panels.find((panel) => y < panel.y + panel.height + TITLE / 2) ?? this.panels.at(-1);
  }

  // ---- drawing -----------------------------------------------------------------------------

  /** Levels that can be drawn, the one wanted first; the others stand in for it. */
  levels() {
    const { ratio } = this.drawing;
    const wanted = this.store.levelFor(this.view, this.shown, this.plotWidth * ratio, this.panels[0].height * ratio);
    if (!wanted.isOpen) {
      const { store } = this;
      wanted.open().then(() => store.onChunk(), (error) => store.onError(error));
    }
    const coarser = this.store.levels.slice(this.store.levels.indexOf(wanted));
    return { wanted, open: coarser.filter((level) => level.isOpen) };
  }

  draw() {
    if (!this.store || !this.canvas.clientWidth) return;
    this.shown = this.channel === ALL ? this.store.channels.map((_, at) => at) : [this.channel];
    this.panels = this.drawing.arrange(this.shown);
    const { wanted, open } = this.levels();
    const { coarsest } = this.store;
    this.store.want([
      ...this.shown.flatMap((channel) => coarsest.channel(channel).chunksOf(this.view)),
      ...(wanted.isOpen && wanted !== coarsest ? this.shown.flatMap((channel) => wanted.channel(channel).chunksOf(this.view)) : []),
    ]);
    this.drawing.draw(this.store, open, this.view, this.scale, this.cursor);
    const isLoading = this.store.pending > 0 || !wanted.isOpen;
    element("loading").hidden = !isLoading;
    this.canvas.dataset.level = wanted.path;
    const isCoarse = [...this.store.chunks.values()].some(({ bits }) => bits);
    this.canvas.dataset.state = !isLoading ? "complete" : isCoarse ? "coarse" : "empty";
    this.readOut();
  }

  // ---- reading -----------------------------------------------------------------------------

  point(x, y) {
    if (!this.store || !this.panels) return;
    const panel = x === null ? null : this.panels.find((each) => y >= each.y && y <= each.y + each.height);
    this.cursor = panel && x >= LEFT && x <= LEFT + this.plotWidth ? { x, y, panel } : null;
    this.redraw();
  }

  readOut() {
    const show = (id, text) => (element(id).textContent = text);
    const readout = element("readout");
    if (!this.cursor) {
      for (const id of ["read-time", "read-vertical", "read-value", "read-position", "read-channel"]) show(id, "–");
      delete readout.dataset.ping;
      return this.mark(null);
    }
    const { x, y, panel: { channel } } = this.cursor;
    const panel = this.panels.find((each) => each.channel === channel) ?? this.panels[0];
    const { from, to, top, bottom } = this.view;
    const time = from + ((x - LEFT) / this.plotWidth) * (to - from);
    const vertical = top + ((y - panel.y) / panel.height) * (bottom - top);
    const margin = (to - from) / this.plotWidth;
    const found = valueAt(this.levels().open, panel.channel, time, vertical, margin);
    const position = this.store.track.length ? this.store.positionAt(found?.time ?? time) : null;
    show("read-time", `${timeText(found?.time ?? time, 0, 21)} UTC`);
    show("read-vertical", `${(found?.vertical ?? vertical).toFixed(2)} m`);
    show("read-value", !found ? "no ping" : Number.isNaN(found.decibels) ? "no data" : `${found.decibels.toFixed(2)} dB`);
    show("read-position", position ? positionText(position.latitude, position.longitude) : "not known");
    show("read-channel", this.store.channels[panel.channel].label);
    if (found) Object.assign(readout.dataset, { level: found.level.path, channel: panel.channel, ping: found.ping, sample: found.sample });
    else delete readout.dataset.ping;
    const [pings, samples] = found?.level.factors ?? [1, 1];
    readout.title = pings * samples > 1 ? `Mean of ${plural(pings, "ping")} by ${plural(samples, "sample")}; zoom in for single ones` : "";
    this.mark(position);
  }

  mark(position) {
    this.map.marker = position && [position.longitude, position.latitude];
    this.map.redraw();
  }

  // ---- caption -----------------------------------------------------------------------------

  describe() {
    const { about, track, channels, quantity, units } = this.store;
    const title = about.title ?? element("title").textContent;
    element("title").textContent = title;
    document.title = `${title} · echodrop`;
    const output = this.path.replace(/\.echogram\.zarr\/?$/, "");
    const facts = [
      ["From", `${timeText(this.extent.first)} UTC`],
      ["To", `${timeText(this.extent.last)} UTC`],
      ["Quantity", `${quantity}, ${units}`],
      ["Channels", channels.map(({ label }) => label).join(", ")],
      ...(track.length ? [["Start", positionText(track[0].latitude, track[0].longitude)], ["End", positionText(track.at(-1).latitude, track.at(-1).longitude)]] : [["Position", "not known"]]),
    ];
    element("facts").replaceChildren(...facts.map(([name, text]) => make("div", {}, make("dt", {}, name), make("dd", {}, text))));
    element("notes").replaceChildren(...(about.notes ?? []).map((note) => make("li", {}, note)));
    const link = (text, path) => make("a", { href: this.root.address(path) }, text);
    element("links").replaceChildren(link("Picture", `${output}.echogram.png`), link("Manifest", `${output}.manifest.json`));
    element("viewer-map").hidden = !track.length;
    this.map.tracks = track.length ? [trackOf(unwrapped(track.map(({ longitude, latitude }) => [longitude, latitude])))] : [];
    this.map.scale = null;
    this.map.redraw();
  }

  /** What the gallery knows about this file: its neighbours, and what is missing. */
  addEntry(entry, earlier, later) {
    const set = (id, other) => {
      element(id).hidden = !other?.viewer;
      if (other?.viewer) element(id).href = stateAddress({ ...this.state, view: other.viewer, time: "", depth: "" });
    };
    set("previous", earlier);
    set("next", later);
    const sentences = [entry.missing, ...entry.quality].filter(Boolean);
    element("notes").append(...sentences.map((text) => make("li", { className: "warn" }, text)));
  }
}

/** To millimetres. */
const round = (metres) => Math.round(metres * 1000) / 1000;

/** An interval moved within limits. */
function shifted(from, to, by, least, most) {
  const kept = clamp(by, Math.min(least - from, 0), Math.max(most - to, 0));
  return [from + kept, to + kept];
}

/** An interval zoomed about a place in it (0 to 1), within limits. */
function zoomed(from, to, place, factor, shortest, least, most) {
  const length = clamp((to - from) / factor, Math.min(shortest, to - from), most - least);
  const start = from + (to - from - length) * clamp(place, 0, 1);
  return shifted(start, start + length, 0, least, most).map((value) => clamp(value, least, most));
}
