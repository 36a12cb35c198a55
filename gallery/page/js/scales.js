// Round values for the labels of axes.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const TIME_STEPS = [
  ...[0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 5, 10, 30].map((n) => n * DAY),
];

const multiples = (from, to, step) => {
  const first = Math.ceil(from / step);
  return Array.from({ length: Math.max(0, Math.floor(to / step) - first + 1) }, (_, at) => (first + at) * step);
};

/** Ticks of a time axis (UTC, ms): at, label. */
export function timeTicks(from, to, most) {
  const step = TIME_STEPS.find((each) => (to - from) / each <= most) ?? TIME_STEPS.at(-1);
  const [first, last] = step < SECOND ? [11, 21] : step < MINUTE ? [11, 19] : step < DAY ? [11, 16] : [0, 10];
  return multiples(from, to, step).map((at) => ({
    at,
    // A day's first tick says which day it is.
    label: step < DAY && at % DAY === 0 ? new Date(at).toISOString().slice(0, 10) : new Date(at).toISOString().slice(first, last),
  }));
}

/** Ticks of a plain axis: at, label. */
export function ticks(from, to, most) {
  const rough = (to - from) / Math.max(most, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((each) => each >= rough);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return multiples(from, to, step).map((at) => ({ at, label: at.toFixed(digits) }));
}
