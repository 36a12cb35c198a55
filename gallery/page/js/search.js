// Finds outputs by text, time, place, cruise and what is remarkable about them.

import { unwrapped } from "./map.js";

/** The outputs of gallery.json with what a search needs, the newest first. */
export function prepared(outputs) {
  return outputs
    .map((entry) => ({
      ...entry,
      text: [entry.name, entry.cruise, entry.model, entry.output, ...(entry.channels ?? [])].join(" ").toLowerCase(),
      from: Date.parse(entry.first),
      to: Date.parse(entry.last ?? entry.first),
      line: lineOf(entry),
      reach: entry.track?.length ? lineOf(entry) : cornersOf(entry),
      quality: entry.quality ?? [],
    }))
    .sort((one, other) => (other.from || 0) - (one.from || 0));
}

function lineOf({ track, box }) {
  if (track?.length) return unwrapped(track);
  if (!box) return null;
  const [west, south, end, north] = cornersOf({ box });
  return Float64Array.of(west, south, end, south, end, north, west, north, west, south);
}

/** Two corners of a box: as a part of a line they stand for all of it. */
function cornersOf({ box }) {
  if (!box) return null;
  const [west, south, east, north] = box;
  return Float64Array.of(west, south, east < west ? east + 360 : east, north);
}

/** The entries that fit: find (text), from and to (dates), cruise, show ("missing" or "quality"), box. */
export function matching(entries, { find = "", from, to, cruise, show, box }) {
  const words = find.toLowerCase().split(/\s+/).filter(Boolean);
  const [start, end] = [from ? Date.parse(from) : -Infinity, to ? Date.parse(to) + 86_400_000 : Infinity];
  return entries.filter(
    (entry) =>
      words.every((word) => entry.text.includes(word)) &&
      (!from || entry.to >= start) &&
      (!to || entry.from < end) &&
      (!cruise || entry.cruise === cruise) &&
      (show !== "missing" || entry.missing) &&
      (show !== "quality" || entry.quality.length) &&
      (!box || (entry.reach !== null && passes(entry.reach, box))),
  );
}

/** Whether a part of a line comes into a box; a part counts by its own box. */
function passes(line, [west, south, east, north]) {
  const end = east < west ? east + 360 : east;
  for (let at = 0; at < line.length; at += 2) {
    const next = Math.min(at + 2, line.length - 2);
    const [low, high] = [Math.min(line[at + 1], line[next + 1]), Math.max(line[at + 1], line[next + 1])];
    if (high < south || low > north) continue;
    const [left, right] = [Math.min(line[at], line[next]), Math.max(line[at], line[next])];
    if ([-360, 0, 360].some((turn) => right + turn >= west && left + turn <= end)) return true;
  }
  return false;
}

/** Four fields of degrees as a box, or null unless each is a number in its limits. */
export function boxOf(fields) {
  const values = fields.map((text) => (text.trim() ? Number(text) : NaN));
  const [west, south, east, north] = values;
  const fits = values.every(Number.isFinite) && Math.abs(west) <= 180 && Math.abs(east) <= 180 && south >= -90 && north <= 90 && south < north;
  return fits ? values : null;
}
