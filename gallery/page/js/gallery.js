// The gallery: outputs by cruise and time, found by name, time and place, with a map of their tracks.

import { readState, stateAddress, writeState } from "./address.js";
import { element, make, plural, say, timeText } from "./dom.js";
import { VirtualList } from "./list.js";
import { TrackMap, trackOf } from "./map.js";
import { boxOf, matching, prepared } from "./search.js";

const POLL_MS = 4000;
const FIELDS = { find: "find-text", from: "find-from", to: "find-to", cruise: "find-cruise" };
const EDGES = ["west", "south", "east", "north"];
const NOTHING_YET =
  "There is no catalogue here yet (catalog/gallery.json). Type `echodrop gallery s3://output-bucket` to look at a bucket or folder from this machine, or `echodrop catalog s3://output-bucket` to write its catalogue.";

export class Gallery {
  constructor(root) {
    this.root = root;
    this.entries = null;
    this.failed = [];
    this.map = new TrackMap(element("gallery-map"), {
      choose: (track) => this.open(track.entry),
      name: (track) => (element("map-name").textContent = track ? `${track.entry.cruise} ${track.entry.name}` : ""),
      box: (box) => this.setBox(box),
    });
    this.list = new VirtualList(
      element("list"),
      (kind, width) => ({
        heading: { columns: 1, height: 52 },
        failed: { columns: 1, height: width < 600 ? 138 : 96 },
      })[kind] ?? { columns: Math.max(1, Math.floor(width / 240)), height: 262 },
      (item) => this[`build_${item.kind}`](item),
    );
    this.bind();
  }

  /** Read the catalogue, and again every few seconds where it is served live. */
  async load() {
    if (this.loading) return this.loading;
    this.loading = this.read();
    await this.loading;
    if (this.root.live) setInterval(() => document.hidden || this.read(), POLL_MS);
  }

  async read() {
    try {
      const headers = this.tag ? { "If-None-Match": this.tag } : {};
      const answer = await fetch(this.root.address("catalog/gallery.json"), { cache: this.root.live ? "no-store" : "no-cache", headers });
      if (answer.status === 304) return void (await answer.text());
      if (answer.status === 404 || answer.status === 403) return this.isShown && say(NOTHING_YET);
      if (!answer.ok) throw new Error(`${answer.status} ${answer.statusText}`);
      const catalogue = await answer.json();
      this.tag = answer.headers.get("ETag");
      this.set(catalogue);
    } catch (error) {
      if (this.isShown && !this.entries) say(`The catalogue could not be read: ${error.message}`);
    }
  }

  set({ outputs = [], failed = [] }) {
    const isFirst = this.entries === null;
    this.entries = prepared(outputs);
    for (const entry of this.entries) if (entry.line) entry.drawn = trackOf(entry.line, { entry });
    this.failed = failed.map(failedUpload);
    const cruises = grouped(this.entries, ({ cruise }) => cruise);
    const chosen = isFirst ? (readState().cruise ?? "") : element("find-cruise").value;
    element("find-cruise").replaceChildren(
      make("option", { value: "" }, `All ${cruises.size}`),
      ...[...cruises].map(([cruise, { length }]) => make("option", { value: cruise }, `${cruise || "(no folder)"} · ${length}`)),
    );
    element("find-cruise").value = chosen;
    element("failed-count").textContent = failed.length || "";
    if (this.isShown) this.find();
  }

  /** Show the gallery as the address says. */
  show() {
    document.title = "echodrop gallery";
    say();
    const state = readState();
    for (const [name, id] of Object.entries(FIELDS)) element(id).value = state[name] ?? "";
    element("find").elements.show.value = state.show ?? "";
    const box = (state.box ?? "").split(",");
    EDGES.forEach((id, at) => (element(id).value = box[at] ?? ""));
    if (this.entries) this.find();
    else this.load();
  }

  // ---- finding -----------------------------------------------------------------------------

  bind() {
    const find = () => this.entries && this.find();
    element("find").addEventListener("input", find);
    element("find").addEventListener("submit", (event) => event.preventDefault());
    element("find").addEventListener("reset", () => {
      EDGES.forEach((id) => (element(id).value = ""));
      setTimeout(find);
    });
    EDGES.forEach((id) => element(id).addEventListener("input", find));
    element("draw-box").addEventListener("click", () => this.drawBox(!this.map.drawsBox));
    element("fit-map").addEventListener("click", () => this.map.fit());
  }

  drawBox(on) {
    this.map.drawsBox = on;
    element("draw-box").setAttribute("aria-pressed", on);
    element("gallery-map").style.cursor = on ? "crosshair" : "grab";
  }

  setBox(box) {
    EDGES.forEach((id, at) => (element(id).value = box[at].toFixed(3)));
    this.drawBox(false);
    this.find();
  }

  find() {
    const question = Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, element(id).value]));
    question.show = element("find").elements.show.value;
    question.box = boxOf(EDGES.map((id) => element(id).value));
    writeState({ ...question, box: question.box?.join(",") });
    const found = matching(this.entries, question);
    // A failed upload has neither a place nor remarks.
    const failed = matching(this.failed, { ...question, show: "failed", box: null });
    const isFailed = question.show === "failed";
    this.list.set(isFailed ? [{ heading: null, items: failed }] : this.groups(found));
    const tracks = found.map(({ drawn }) => drawn).filter(Boolean);
    const isOther = tracks.length !== this.map.tracks.length;
    Object.assign(this.map, { tracks, box: question.box, highlight: null });
    if (isOther && !question.box) this.map.fit();
    this.map.redraw();
    element("summary").textContent = isFailed
      ? plural(failed.length, "failed upload")
      : `${plural(found.length, "output")}${found.length === this.entries.length ? "" : ` of ${this.entries.length.toLocaleString("en")}`}`;
    const isEmpty = !(isFailed ? failed : found).length;
    say(isEmpty ? (this.entries.length || isFailed ? "Nothing here fits. Clear the fields to see everything." : "The catalogue has no outputs yet: drop a file into the inbox.") : "");
  }

  groups(entries) {
    return [...grouped(entries, ({ cruise }) => cruise)].map(([cruise, items]) => ({
      heading: { kind: "heading", cruise, items },
      items: items.map((entry) => Object.assign(entry, { kind: "output" })),
    }));
  }

  /** The entry of a viewer store, and those of its cruise before and after it. */
  neighbours(viewer) {
    const entry = this.entries?.find((each) => each.viewer === viewer);
    if (!entry) return null;
    const cruise = this.entries.filter((each) => each.cruise === entry.cruise && each.viewer);
    const at = cruise.indexOf(entry);
    return [entry, cruise[at + 1], cruise[at - 1]];
  }

  // ---- rows --------------------------------------------------------------------------------

  address(entry) {
    if (entry.viewer) return stateAddress({ view: entry.viewer });
    return this.root.address(entry.picture ?? entry.manifest);
  }

  open(entry) {
    location.href = this.address(entry);
  }

  build_heading({ cruise, items }) {
    const dated = items.filter(({ from }) => Number.isFinite(from));
    const times = dated.length ? `${timeText(dated.at(-1).from, 0, 10)} – ${timeText(dated[0].from, 0, 10)}` : "times not known";
    return make("div", { className: "heading", role: "listitem" }, make("h2", {}, cruise || "(no folder)"), make("span", {}, `${plural(items.length, "output")} · ${times}`));
  }

  build_output(entry) {
    const picture = entry.thumbnail
      ? make("img", { src: this.root.address(entry.thumbnail), alt: "", width: 320, height: 180, decoding: "async" })
      : make("span", { className: "blank" }, entry.viewer || entry.picture ? "" : "No picture");
    const badge = (kind, text, title) => make("span", { className: `badge ${kind}`, title }, text);
    const badges = [
      entry.missing ? badge("warn", "Incomplete", entry.missing) : badge("good", entry.outcome ?? "Completed", ""),
      ...(entry.quality.length ? [badge("note", plural(entry.quality.length, "remark"), entry.quality.join("\n"))] : []),
      ...(entry.corrections ? [badge("plain", plural(entry.corrections, "correction"), "")] : []),
    ];
    const when = Number.isFinite(entry.from) ? timeText(entry.from, 0, 16) : "time not known";
    const card = make(
      "a",
      { className: "card", href: this.address(entry) },
      picture,
      make("strong", {}, entry.name),
      make("span", { className: "when" }, `${when} · ${entry.model ?? ""}`),
      make("span", { className: "when" }, (entry.channels ?? []).join(", ")),
      make("span", { className: "badges" }, ...badges),
    );
    for (const kind of ["pointerenter", "focus", "pointerleave", "blur"])
      card.addEventListener(kind, () => {
        this.map.highlight = ["pointerenter", "focus"].includes(kind) ? (entry.drawn ?? null) : null;
        this.map.redraw();
      });
    return make("div", { className: "cell", role: "listitem" }, card);
  }

  build_failed({ key, outcome, reason, at, report }) {
    return make(
      "div",
      { className: "failed", role: "listitem" },
      make("p", {}, make("strong", {}, key), make("span", { className: "badge bad" }, outcome)),
      make("p", { className: "reason", title: reason }, reason),
      make("p", { className: "when" }, at ? `${timeText(Date.parse(at), 0, 16)} UTC` : "", ...(report ? [" · ", make("a", { href: this.root.address(report) }, "report")] : [])),
    );
  }
}

/** A failed upload with what a search needs; its time is that of the failure. */
function failedUpload(upload) {
  const [path, time] = [upload.report ?? upload.key, Date.parse(upload.at)];
  return {
    ...upload,
    kind: "failed",
    text: `${upload.key} ${upload.outcome} ${upload.reason}`.toLowerCase(),
    cruise: path.slice(0, Math.max(path.lastIndexOf("/"), 0)),
    from: time,
    to: time,
  };
}

function grouped(items, of) {
  const groups = new Map();
  for (const item of items) {
    const key = of(item);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return groups;
}
