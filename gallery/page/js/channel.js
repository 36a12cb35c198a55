// Where and when one channel's values are: its pings at one level of a viewer store, by time.

export class Channel {
  constructor(level, at) {
    const { times, pingCount, starts, steps, sampleCount } = level;
    Object.assign(this, { level, at });
    // Channels that ping in turn share the ping axis: a row without ranges is another channel's ping.
    const rows = Array.from({ length: pingCount }, (_, ping) => ping)
      .filter((ping) => Number.isFinite(starts[at * pingCount + ping]) && steps[at * pingCount + ping] > 0)
      .sort((one, other) => times[one] - times[other]);
    const pick = (values) => Float64Array.from(rows, (ping) => values[at * pingCount + ping]);
    this.pings = Int32Array.from(rows);
    this.times = Float64Array.from(rows, (ping) => times[ping]);
    this.starts = pick(starts);
    this.steps = pick(steps);
    this.floor = level.floor && pick(level.floor);
    this.lasts = durations(this.times);
    this.middleStep = median(this.steps) || 1;
    this.from = this.times[0];
    this.to = this.times.at(-1) + this.lasts.at(-1);
    this.top = this.starts.reduce((top, start) => Math.min(top, start), Infinity);
    this.bottom = this.starts.reduce((bottom, start, row) => Math.max(bottom, start + sampleCount * this.steps[row]), 0);
  }

  /** The row of the first ping not before a time. */
  rowAfter(time) {
    let [low, high] = [0, this.times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.times[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  countBetween(from, to) {
    return Math.max(1, this.rowAfter(to) - this.rowAfter(from));
  }

  /** The row of the ping that a moment belongs to, or -1 in a gap; `margin` is a pixel, in ms. */
  rowAt(time, margin) {
    const row = this.rowAfter(time + margin / 2) - 1;
    return row >= 0 && time - this.times[row] <= Math.max(1.5 * this.lasts[row], margin) ? row : -1;
  }

  /** The number of the sample at a depth in a row's ping; it may be outside of those that there are. */
  sampleAt(depth, row) {
    return Math.floor((depth - this.starts[row]) / this.steps[row]);
  }

  /** The chunks that a view needs: key, level, at. */
  chunksOf({ from, to, top, bottom }) {
    const { level } = this;
    const [first, last] = [Math.max(0, this.rowAfter(from) - 1), Math.min(this.times.length - 1, this.rowAfter(to))];
    const part = (depth, row) =>
      Math.floor(Math.min(Math.max(this.sampleAt(depth, row), 0), level.sampleCount - 1) / level.chunkSamples);
    const keys = new Map();
    for (let row = first; row <= last; row += 1) {
      const column = Math.floor(this.pings[row] / level.chunkPings);
      for (let at = part(top, row); at <= part(bottom, row); at += 1) {
        const key = this.key(column, at);
        if (!keys.has(key)) keys.set(key, { key, level, at: [this.at, column, at] });
      }
    }
    return [...keys.values()];
  }

  /** The chunks of one ping, by place along the samples; undefined where not here yet. */
  column(ping) {
    const { level } = this;
    const column = Math.floor(ping / level.chunkPings);
    return Array.from({ length: Math.ceil(level.sampleCount / level.chunkSamples) }, (_, at) => level.store.chunk(this.key(column, at)));
  }

  key(column, part) {
    return `${this.level.path}/${this.at}/${column}/${part}`;
  }
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  return sorted[sorted.length >> 1];
}

/** The usual interval near each ping, ms. A ping is shown until the next, but for at most 1.5 of that. */
function durations(times) {
  if (times.length < 2) return new Float64Array(times.length).fill(1000);
  const intervals = times.slice(1).map((time, at) => time - times[at]);
  return times.map((_, at) => median(intervals.subarray(Math.max(0, at - 5), at + 5)));
}
