// A list of any length: rows of cards under headings, of which only those in sight are in the page.

import { onceAFrame } from "./dom.js";

const BEYOND = 400; // pixels above and below that are ready

export class VirtualList {
  /** @param {(item, width) => {columns, height}} layout  how items of this kind are laid out */
  constructor(container, layout, build) {
    Object.assign(this, { container, layout, build, groups: [], rows: [], shown: new Map() });
    this.show = onceAFrame(() => this.render());
    container.addEventListener("scroll", this.show, { passive: true });
    addEventListener("scroll", this.show, { passive: true });
    new ResizeObserver(() => this.arrange()).observe(container);
    this.spacer = document.createElement("div");
    container.append(this.spacer);
  }

  /** Set what the list has: groups of items; a group's first item is its heading. */
  set(groups) {
    this.groups = groups;
    this.clear();
    this.arrange();
  }

  clear() {
    for (const element of this.shown.values()) element.remove();
    this.shown.clear();
  }

  arrange() {
    const width = this.container.clientWidth;
    if (!width) return;
    this.rows = [];
    let top = 0;
    const put = (items, layout) => {
      this.rows.push({ top, items, ...layout });
      top += layout.height;
    };
    for (const { heading, items } of this.groups) {
      if (heading) put([heading], this.layout("heading", width));
      const layout = this.layout(items[0]?.kind, width);
      for (let at = 0; at < items.length; at += layout.columns) put(items.slice(at, at + layout.columns), layout);
    }
    this.spacer.style.height = `${top}px`;
    this.clear();
    this.show();
  }

  render() {
    const { container, rows } = this;
    // The list scrolls by itself on a wide page, and with the page on a narrow one.
    const box = container.getBoundingClientRect();
    const from = container.scrollTop + Math.max(0, -box.top) - BEYOND;
    const to = container.scrollTop + Math.min(box.height, innerHeight - box.top) + BEYOND;
    let [low, high] = [0, rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].top + rows[middle].height < from) low = middle + 1;
      else high = middle;
    }
    const inSight = [];
    for (let at = low; at < rows.length && rows[at].top < to; at += 1)
      rows[at].items.forEach((item, place) => inSight.push([item, place, rows[at]]));
    const kept = new Set(inSight.map(([item]) => item));
    for (const [item, element] of this.shown)
      if (!kept.has(item)) {
        element.remove();
        this.shown.delete(item);
      }
    // In order, for the Tab key and screen readers.
    let before = this.spacer;
    for (const [item, place, { top, columns, height }] of inSight) {
      if (!this.shown.has(item)) {
        const element = this.build(item);
        const [left, width] = [`${(place / columns) * 100}%`, `${100 / columns}%`];
        Object.assign(element.style, { position: "absolute", top: `${top}px`, height: `${height}px`, left, width });
        this.shown.set(item, element);
        before.after(element);
      }
      before = this.shown.get(item);
    }
  }
}
