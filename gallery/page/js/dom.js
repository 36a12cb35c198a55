// Short helpers for elements, canvases and texts.

export const element = (id) => document.getElementById(id);

/** A new element; `content` is text or elements, never HTML. */
export function make(tag, properties = {}, ...content) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...content);
  return made;
}

/** A colour of style.css, which differs between light and dark. */
export const colour = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** Call `draw` once before the next frame, however often it is requested. */
export function onceAFrame(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => {
      due = false;
      draw();
    });
  };
}

/** Fit a canvas to its place on the page: its context in CSS pixels, with width, height and ratio. */
export function fitCanvas(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const { clientWidth: width, clientHeight: height } = canvas;
  const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height, ratio };
}

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

/** A longitude from -180 to 180. */
export const turned = (longitude) => ((((longitude + 180) % 360) + 360) % 360) - 180;

/** Degrees of a position as sailors write them: 44.378° N 124.612° W. */
export function positionText(latitude, longitude) {
  const part = (value, positive, negative) =>
    `${Math.abs(value).toFixed(4)}° ${value < 0 ? negative : positive}`;
  return `${part(latitude, "N", "S")} ${part(turned(longitude), "E", "W")}`;
}

/** `2007-07-24 04:24:00` of milliseconds since 1970. */
export const timeText = (ms, from = 0, to = 19) =>
  new Date(ms).toISOString().replace("T", " ").slice(from, to);

/** Show a sentence about what went wrong, or take it away. */
export function say(text = "") {
  const message = element("message");
  message.textContent = text;
  message.hidden = !text;
}
