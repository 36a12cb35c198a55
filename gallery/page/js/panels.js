// Draws the panels of the viewer on its canvas: values, gaps, sea floor, axes, cursor.

import { colour, fitCanvas } from "./dom.js";
import { paint } from "./echogram.js";
import { ticks, timeTicks } from "./scales.js";

export const LEFT = 58;
export const RIGHT = 12;
export const TITLE = 22;
const BELOW = 40;
const SMALL = "11px system-ui, sans-serif";

export class Panels {
  constructor(canvas) {
    this.canvas = canvas;
    this.ratio = 1;
    this.pixels = new OffscreenCanvas(1, 1);
  }

  /** Places of the panels of these channels, one above the other: channel, y, height. */
  arrange(channels) {
    Object.assign(this, fitCanvas(this.canvas));
    this.plot = this.width - LEFT - RIGHT;
    const each = (this.height - BELOW) / channels.length;
    this.panels = channels.map((channel, at) => ({ channel, y: at * each + TITLE, height: each - TITLE }));
    return this.panels;
  }

  draw(store, levels, view, scale, cursor) {
    this.view = view;
    for (const panel of this.panels) {
      this.drawValues(panel, levels, scale);
      this.drawFloor(panel, levels[0].channel(panel.channel));
      this.drawTitle(panel, store.channels[panel.channel]);
      this.drawDepths(panel, store.vertical);
    }
    this.drawTimes();
    if (cursor) this.drawCursor(cursor);
  }

  x = (time) => LEFT + ((time - this.view.from) / (this.view.to - this.view.from)) * this.plot;
  y = (depth, panel) => panel.y + ((depth - this.view.top) / (this.view.bottom - this.view.top)) * panel.height;

  drawValues({ channel, y, height }, levels, scale) {
    const { context, ratio, plot } = this;
    context.fillStyle = colour("panel");
    context.fillRect(LEFT, y, plot, height);
    const image = context.createImageData(Math.max(1, Math.round(plot * ratio)), Math.max(1, Math.round(height * ratio)));
    for (const [first, last] of paint(image, levels, channel, this.view, scale))
      this.drawGap(LEFT + first / ratio, LEFT + last / ratio, y, height);
    // Through a canvas of its own, since pixels without a value keep what is drawn already.
    Object.assign(this.pixels, { width: image.width, height: image.height });
    this.pixels.getContext("2d").putImageData(image, 0, 0);
    context.imageSmoothingEnabled = false;
    context.drawImage(this.pixels, LEFT, y, plot, height);
    context.strokeStyle = colour("line");
    context.lineWidth = 1;
    context.strokeRect(LEFT - 0.5, y - 0.5, plot + 1, height + 1);
  }

  /** Call `draw` with everything outside of a rectangle left as it is. */
  within(x, y, width, height, draw) {
    const { context } = this;
    context.save();
    context.beginPath();
    context.rect(x, y, width, height);
    context.clip();
    context.beginPath();
    draw(context);
    context.restore();
  }

  drawGap(from, to, y, height) {
    this.within(from, y, to - from, height, (context) => {
      context.fillStyle = colour("gap");
      context.fillRect(from, y, to - from, height);
      context.strokeStyle = colour("hatch");
      context.lineWidth = 1;
      for (let x = Math.floor((from - height) / 7) * 7; x < to; x += 7) {
        context.moveTo(x, y + height);
        context.lineTo(x + height, y);
      }
      context.stroke();
    });
  }

  drawFloor(panel, { times, floor }) {
    if (!floor) return;
    this.within(LEFT, panel.y, this.plot, panel.height, (context) => {
      let isDown = false;
      times.forEach((time, row) => {
        const isKnown = Number.isFinite(floor[row]) && floor[row] > 0;
        if (isKnown) context[isDown ? "lineTo" : "moveTo"](this.x(time), this.y(floor[row], panel));
        isDown = isKnown;
      });
      for (const [line, thickness] of [["paper", 4], ["floor", 1.8]]) {
        context.strokeStyle = colour(line);
        context.lineWidth = thickness;
        context.stroke();
      }
    });
  }

  drawTitle({ y }, { label, pulse }) {
    const { context } = this;
    context.textAlign = "left";
    context.font = "600 12px system-ui, sans-serif";
    context.fillStyle = colour("ink");
    context.fillText(label, LEFT, y - 7);
    const end = LEFT + context.measureText(`${label}  `).width;
    context.font = SMALL;
    context.fillStyle = colour("faint");
    context.fillText(pulse ?? "", end, y - 7);
  }

  drawDepths(panel, name) {
    const { context } = this;
    context.font = SMALL;
    context.fillStyle = context.strokeStyle = colour("faint");
    context.textAlign = "right";
    context.beginPath();
    for (const { at, label } of ticks(this.view.top, this.view.bottom, panel.height / 34)) {
      const place = Math.round(this.y(at, panel)) + 0.5;
      context.moveTo(LEFT - 4, place);
      context.lineTo(LEFT, place);
      context.fillText(label, LEFT - 7, place + 3.5);
    }
    context.stroke();
    if (panel.height < 70) return;
    context.save();
    context.translate(14, panel.y + panel.height / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(`${name}, m`, 0, 0);
    context.restore();
  }

  drawTimes() {
    const { context, plot, width } = this;
    const base = this.height - BELOW;
    context.font = SMALL;
    context.fillStyle = context.strokeStyle = colour("faint");
    context.textAlign = "center";
    context.beginPath();
    let free = 0;
    for (const { at, label } of timeTicks(this.view.from, this.view.to, plot / 84)) {
      const x = Math.round(this.x(at)) + 0.5;
      context.moveTo(x, base);
      context.lineTo(x, base + 4);
      const half = context.measureText(label).width / 2;
      const middle = Math.min(Math.max(x, LEFT + half), width - 4 - half);
      if (middle - half < free) continue;
      context.fillText(label, middle, base + 16);
      free = middle + half + 8;
    }
    context.stroke();
    const [first, last] = [this.view.from, this.view.to].map((time) => new Date(time).toISOString().slice(0, 10));
    context.fillText(`${first}${last === first ? "" : ` – ${last}`}, UTC`, LEFT + plot / 2, base + 32);
  }

  drawCursor({ x, y }) {
    const { context } = this;
    context.lineWidth = 1;
    context.globalAlpha = 0.6;
    for (const [line, shift] of [["paper", 1.5], ["ink", 0.5]]) {
      context.strokeStyle = colour(line);
      context.beginPath();
      for (const panel of this.panels) {
        context.moveTo(Math.round(x) + shift, panel.y);
        context.lineTo(Math.round(x) + shift, panel.y + panel.height);
      }
      context.moveTo(LEFT, Math.round(y) + shift);
      context.lineTo(LEFT + this.plot, Math.round(y) + shift);
      context.stroke();
    }
    context.globalAlpha = 1;
  }
}
