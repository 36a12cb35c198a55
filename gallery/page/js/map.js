// A small map: land, tracks, boxes and a marker, in degrees on a plane that is true at its middle.

import { clamp, colour, fitCanvas, onceAFrame, turned } from "./dom.js";
import { listen } from "./gestures.js";
import { ticks } from "./scales.js";

const MOST_PIXELS_A_DEGREE = 200_000;
const NEAR_PIXELS = 9;
const TURNS = [-360, 0, 360]; // the world is drawn beside itself, for the antimeridian

let coastline;

/** Rings of land as paths in degrees, each with its box; vendor/coastline.json says how they are packed. */
function readCoastline() {
  coastline ??= fetch("vendor/coastline.json")
    .then((answer) => answer.json())
    .then(({ degrees, rings }) => rings.map((text) => unpackRing(text, degrees)));
  return coastline;
}

function unpackRing(text, degrees) {
  const path = new Path2D();
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  const at = [0, 0];
  let [axis, value, shift, first] = [0, 0, 0, true];
  for (let index = 0; index < text.length; index += 1) {
    const bits = text.charCodeAt(index) - 63;
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    at[axis] += value & 1 ? ~(value >> 1) : value >> 1;
    [value, shift, axis] = [0, 0, 1 - axis];
    if (axis) continue;
    const [x, y] = [at[0] * degrees, at[1] * degrees];
    if (first) path.moveTo(x, y);
    else path.lineTo(x, y);
    first = false;
    box[0] = Math.min(box[0], x);
    box[1] = Math.min(box[1], y);
    box[2] = Math.max(box[2], x);
    box[3] = Math.max(box[3], y);
  }
  path.closePath();
  return { path, box };
}

/** Longitudes and latitudes of a track as a line without jumps at the antimeridian: x, y, x, y … */
export function unwrapped(points) {
  const line = new Float64Array(points.length * 2);
  let turns = 0;
  points.forEach(([longitude, latitude], at) => {
    if (at) {
      const jump = longitude - points[at - 1][0];
      if (jump > 180) turns -= 360;
      if (jump < -180) turns += 360;
    }
    line[2 * at] = longitude + turns;
    line[2 * at + 1] = latitude;
  });
  return line;
}

/** A track of a map: its line (x, y, x, y …) and the box around it. */
export function trackOf(line, more = {}) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (let at = 0; at < line.length; at += 2) {
    box[0] = Math.min(box[0], line[at]);
    box[1] = Math.min(box[1], line[at + 1]);
    box[2] = Math.max(box[2], line[at]);
    box[3] = Math.max(box[3], line[at + 1]);
  }
  return { line, box, ...more };
}

/** The smallest box around tracks: it may cross the antimeridian. */
function around(tracks) {
  const spans = tracks
    .map(({ box: [west, , east] }) => [turned(west), turned(west) + east - west])
    .sort(([one], [other]) => one - other);
  // The box starts after the widest gap between tracks.
  let [end, widest, west] = [spans[0][1], -1, spans[0][0]];
  for (const [from, to] of [...spans.slice(1), [spans[0][0] + 360, 0]]) {
    if (from - end > widest) [widest, west] = [from - end, from];
    end = Math.max(end, to);
  }
  const least = (at, choose) => tracks.reduce((found, { box }) => choose(found, box[at]), tracks[0].box[at]);
  return [west, least(1, Math.min), west + 360 - Math.max(widest, 0), least(3, Math.max)];
}

export class TrackMap {
  /** @param {object} on  choose(track), name(track | null), box([west, south, east, north]) */
  constructor(canvas, on = {}) {
    this.canvas = canvas;
    this.tracks = []; // of trackOf
    this.highlight = null;
    this.marker = null;
    this.box = null;
    this.drawsBox = false;
    this.redraw = onceAFrame(() => this.draw());
    this.center = [0, 20];
    this.scale = null;
    new ResizeObserver(() => this.redraw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    listen(canvas, {
      move: (dx, dy) => this.moveTo(this.center[0] - dx / this.scaleX, this.center[1] + dy / this.scale),
      zoom: (x, y, fx, fy) => this.zoom(x, y, Math.sqrt(fx * fy)),
      reset: () => this.fit(),
      point: (x, y) => on.name && x !== null && this.name(x, y, on.name),
      tap: (x, y) => on.choose && this.near(x, y) && on.choose(this.near(x, y)),
      press: () => this.drawsBox,
      box: (x0, y0, x1, y1, done) => {
        const [west, east] = [Math.min(x0, x1), Math.max(x0, x1)].map((x) => this.longitude(x));
        const [north, south] = [Math.min(y0, y1), Math.max(y0, y1)].map((y) => this.latitude(y));
        this.box = [west, south, east, north];
        this.redraw();
        if (done) on.box(this.box.map((value, at) => (at % 2 ? value : turned(value))));
      },
    });
    readCoastline().then((rings) => {
      this.rings = rings;
      this.redraw();
    });
  }

  get scaleX() {
    return this.scale * Math.max(0.1, Math.cos((this.center[1] * Math.PI) / 180));
  }
  x = (longitude) => this.width / 2 + (longitude - this.center[0]) * this.scaleX;
  y = (latitude) => this.height / 2 - (latitude - this.center[1]) * this.scale;
  longitude = (x) => this.center[0] + (x - this.width / 2) / this.scaleX;
  latitude = (y) => this.center[1] - (y - this.height / 2) / this.scale;

  moveTo(longitude, latitude) {
    this.center = [turned(longitude), clamp(latitude, -85, 85)];
    this.redraw();
  }

  zoom(x, y, factor) {
    const before = [this.longitude(x), this.latitude(y)];
    this.scale = clamp(this.scale * factor, this.width / 400, MOST_PIXELS_A_DEGREE);
    this.moveTo(this.center[0] + before[0] - this.longitude(x), this.center[1] + before[1] - this.latitude(y));
  }

  /** Show all tracks, or the world where there is none. */
  fit() {
    const [west, south, east, north] = this.tracks.length ? around(this.tracks) : [-180, -60, 180, 75];
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.center = [turned((west + east) / 2), clamp((south + north) / 2, -85, 85)];
    const narrow = Math.max(0.1, Math.cos((this.center[1] * Math.PI) / 180));
    // A track leaves a margin, and one at a single place still shows 4 km.
    const [degreesX, degreesY] = [Math.max((east - west) * narrow, 0.04), Math.max(north - south, 0.04)];
    this.scale = clamp(0.85 * Math.min(width / degreesX, height / degreesY), width / 400, MOST_PIXELS_A_DEGREE);
    this.redraw();
  }

  draw() {
    const { context, width, height } = fitCanvas(this.canvas);
    if (!width || !height) return;
    Object.assign(this, { width, height });
    if (this.scale === null) this.fit();
    context.fillStyle = colour("water");
    context.fillRect(0, 0, width, height);
    for (const turn of TURNS) this.drawLand(context, turn);
    this.drawGrid(context);
    for (const turn of TURNS) this.drawTracks(context, turn);
    if (this.box) {
      const [x, y] = [this.x(this.box[0]), this.y(this.box[3])];
      const east = this.box[2] < this.box[0] ? this.box[2] + 360 : this.box[2];
      context.fillStyle = colour("veil");
      context.strokeStyle = colour("accent");
      context.lineWidth = 1.5;
      for (const method of ["fillRect", "strokeRect"]) context[method](x, y, this.x(east) - x, this.y(this.box[1]) - y);
    }
    if (this.marker) {
      const nearest = this.marker[0] + 360 * Math.round((this.center[0] - this.marker[0]) / 360);
      context.beginPath();
      context.arc(this.x(nearest), this.y(this.marker[1]), 5, 0, 7);
      context.fillStyle = colour("mark");
      context.strokeStyle = colour("paper");
      context.lineWidth = 2;
      context.fill();
      context.stroke();
    }
  }

  drawLand(context, turn) {
    if (!this.rings) return;
    context.save();
    context.translate(this.x(turn), this.y(0));
    context.scale(this.scaleX, -this.scale);
    context.fillStyle = colour("land");
    context.strokeStyle = colour("coast");
    context.lineWidth = 0.8 / this.scale;
    const [west, east] = [this.longitude(0) - turn, this.longitude(this.width) - turn];
    const [south, north] = [this.latitude(this.height), this.latitude(0)];
    for (const { path, box } of this.rings) {
      if (box[2] < west || box[0] > east || box[3] < south || box[1] > north) continue;
      context.fill(path);
      context.stroke(path);
    }
    context.restore();
  }

  drawGrid(context) {
    context.strokeStyle = colour("grid");
    context.fillStyle = colour("faint");
    context.lineWidth = 1;
    context.font = "10px system-ui, sans-serif";
    context.beginPath();
    const mark = (value, positive, negative) => {
      const degrees = turned(value);
      const text = `${+Math.abs(degrees).toFixed(6)}°`;
      return degrees % 180 === 0 ? text : text + (degrees < 0 ? negative : positive);
    };
    for (const { at } of ticks(this.longitude(0), this.longitude(this.width), this.width / 90)) {
      context.moveTo(this.x(at), 0);
      context.lineTo(this.x(at), this.height);
      context.fillText(mark(at, "E", "W"), this.x(at) + 3, this.height - 4);
    }
    for (const { at } of ticks(Math.max(this.latitude(this.height), -90), Math.min(this.latitude(0), 90), this.height / 60)) {
      context.moveTo(0, this.y(at));
      context.lineTo(this.width, this.y(at));
      context.fillText(mark(at, "N", "S"), 3, this.y(at) - 3);
    }
    context.stroke();
  }

  drawTracks(context, turn) {
    context.lineJoin = "round";
    const stroke = (tracks, line, width, dot) => {
      context.strokeStyle = context.fillStyle = colour(line);
      context.lineWidth = width;
      context.beginPath();
      for (const { line: points, box } of tracks) {
        const [left, right, top, bottom] = [this.x(box[0] + turn), this.x(box[2] + turn), this.y(box[3]), this.y(box[1])];
        if (right < 0 || left > this.width || bottom < 0 || top > this.height) continue;
        if (right - left + bottom - top < 3) {
          context.rect(left - dot / 2, top - dot / 2, dot, dot); // too short to see as a line
          continue;
        }
        for (let at = 0; at < points.length; at += 2)
          context[at ? "lineTo" : "moveTo"](this.x(points[at] + turn), this.y(points[at + 1]));
      }
      context.stroke();
    };
    stroke(this.tracks, "track", 1.6, this.tracks.length < 500 ? 4 : 2.5);
    if (this.highlight) stroke([this.highlight], "mark", 3, 6);
  }

  /** The track at a place of the canvas, or undefined. */
  near(x, y) {
    let [found, distance] = [undefined, NEAR_PIXELS];
    for (const track of this.tracks) {
      const { line, box } = track;
      for (const turn of TURNS) {
        const isFar = this.x(box[0] + turn) > x + NEAR_PIXELS || this.x(box[2] + turn) < x - NEAR_PIXELS;
        if (isFar || this.y(box[3]) > y + NEAR_PIXELS || this.y(box[1]) < y - NEAR_PIXELS) continue;
        for (let at = 0; at < line.length; at += 2) {
          const from = Math.max(at - 2, 0);
          const [x0, y0, x1, y1] = [this.x(line[from] + turn), this.y(line[from + 1]), this.x(line[at] + turn), this.y(line[at + 1])];
          const here = toSegment(x, y, x0, y0, x1, y1);
          if (here < distance) [found, distance] = [track, here];
        }
      }
    }
    return found;
  }

  name(x, y, report) {
    const track = this.near(x, y) ?? null;
    this.canvas.style.cursor = this.drawsBox ? "crosshair" : track ? "pointer" : "grab";
    if (track === this.highlight) return;
    this.highlight = track;
    report(track);
    this.redraw();
  }
}

function toSegment(x, y, x0, y0, x1, y1) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const part = clamp(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1), 0, 1);
  return Math.hypot(x - x0 - part * dx, y - y0 - part * dy);
}
