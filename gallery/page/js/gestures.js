// Wheel, drag, pinch and keys of a canvas, as moves and zooms.

const STEP = 1.25;

/**
 * Report gestures on a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {object} to  move(dx, dy) in pixels; zoom(x, y, factorX, factorY); reset();
 *   and where wanted: point(x, y) or point(null); tap(x, y); middle() of zooms by keys; keyed() after a key; press(x, y) returns true to draw a box instead of moving, box(x0, y0, x1, y1, done)
 * @param {(event: WheelEvent) => [number, number]} wheelAxes  how much a wheel zooms each axis
 */
export function listen(canvas, to, wheelAxes = () => [1, 1]) {
  const pointers = new Map();
  let start = null;
  let drawing = false;
  const place = (event) => [event.offsetX, event.offsetY];

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    if (pointers.size > 1) return;
    start = place(event);
    drawing = to.press?.(...start) ?? false;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    const now = place(event);
    to.point?.(...now);
    if (!before) return;
    pointers.set(event.pointerId, now);
    if (drawing) return to.box(...start, ...now, false);
    if (pointers.size === 1) return to.move(now[0] - before[0], now[1] - before[1]);
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    // An axis zooms by how far the fingers are apart along it, unless they are almost beside each other.
    const factor = (axis) => {
      const [was, is] = [Math.abs(before[axis] - other[axis]), Math.abs(now[axis] - other[axis])];
      return was < 40 || is < 40 ? 1 : is / was;
    };
    to.zoom((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, factor(0), factor(1));
  });
  const end = (event) => {
    const now = place(event);
    if (!pointers.delete(event.pointerId) || pointers.size) return;
    if (drawing) to.box(...start, ...now, true);
    else if (event.type === "pointerup" && Math.hypot(now[0] - start[0], now[1] - start[1]) < 5) to.tap?.(...now);
    drawing = false;
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  // A finger leaves where it is lifted; what it pointed at stays.
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && to.point?.(null));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1;
    const factor = Math.exp(-(event.deltaY || event.deltaX) * lines * 0.0015);
    const [x, y] = wheelAxes(event);
    to.zoom(...place(event), factor ** x, factor ** y);
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => to.zoom(...place(event), 2, 2));
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { clientWidth: width, clientHeight: height } = canvas;
    const part = event.shiftKey ? 0.5 : 0.1;
    const middle = to.middle?.() ?? [width / 2, height / 2];
    const zoom = (factor) => to.zoom(...middle, ...wheelAxes({}).map((axis) => factor ** axis));
    const does = {
      ArrowLeft: () => to.move(width * part, 0),
      ArrowRight: () => to.move(-width * part, 0),
      ArrowUp: () => to.move(0, height * part),
      ArrowDown: () => to.move(0, -height * part),
      "+": () => zoom(STEP),
      "=": () => zoom(STEP),
      "-": () => zoom(1 / STEP),
      _: () => zoom(1 / STEP),
      PageUp: () => to.zoom(...middle, 1, STEP),
      PageDown: () => to.zoom(...middle, 1, 1 / STEP),
      0: () => to.reset(),
    }[event.key];
    if (!does) return;
    event.preventDefault();
    does();
    to.keyed?.();
  });
}
