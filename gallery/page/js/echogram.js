// Draws one channel's values into pixels.

import { DECIBELS, LINEAR } from "./store.js";

const MOST_SAMPLES = 8;

/**
 * Paint a channel of the levels given, the finest first; a coarser one stands in where chunks are not here.
 * @param {ImageData} image  painted whole; pixels without a value stay transparent
 * @param {object} view  from, to (ms), top, bottom (m)
 * @param {object} scale  low, high (dB), table (256 pixels)
 * @returns {[number, number][]} the columns without a ping: first, and the one after the last
 */
export function paint(image, levels, channel, view, scale) {
  const { width, height } = image;
  const pixels = new Uint32Array(image.data.buffer);
  pixels.fill(0);
  const factor = 255.999 / (scale.high - scale.low);
  const colour = (decibels) => {
    const at = (decibels - scale.low) * factor;
    return scale.table[at < 0 ? 0 : at > 255 ? 255 : at | 0];
  };
  const msPerPixel = (view.to - view.from) / width;
  const metresPerPixel = (view.bottom - view.top) / height;
  const sources = levels.map((level) => level.channel(channel));
  const columns = sources.map(() => ({ ping: -1, chunks: [] }));
  const gaps = [];
  for (let x = 0; x < width; x += 1) {
    const time = view.from + (x + 0.5) * msPerPixel;
    const rows = sources.map((source) => (source.times.length ? source.rowAt(time, msPerPixel) : -1));
    if (rows[0] < 0) {
      const { times } = sources[0];
      if (time < times[0] || time > times.at(-1)) continue; // before the first ping and after the last
      if (gaps.at(-1)?.[1] === x) gaps.at(-1)[1] = x + 1;
      else gaps.push([x, x + 1]);
      continue;
    }
    let filled = 0;
    for (let at = 0; at < sources.length && filled < height; at += 1) {
      if (rows[at] < 0) continue;
      const { level, starts, steps, pings } = sources[at];
      const ping = pings[rows[at]];
      if (columns[at].ping !== ping) columns[at] = { ping, chunks: sources[at].column(ping) };
      const { chunks } = columns[at];
      const offset = (ping % level.chunkPings) * level.chunkSamples;
      const perPixel = metresPerPixel / steps[rows[at]];
      const first = (view.top - starts[rows[at]]) / steps[rows[at]];
      filled = 0;
      for (let y = 0; y < height; y += 1) {
        const pixel = y * width + x;
        if (at > 0 && pixels[pixel]) {
          filled += 1;
          continue;
        }
        const from = Math.floor(first + y * perPixel);
        const count = Math.max(1, Math.floor(first + (y + 1) * perPixel) - from);
        if (from + count <= 0 || from >= level.sampleCount) {
          filled += 1;
          continue;
        }
        if (count === 1) {
          const bits = chunks[(from / level.chunkSamples) | 0];
          if (!bits) continue;
          filled += 1;
          const decibels = DECIBELS[bits[offset + (from % level.chunkSamples)]];
          if (decibels === decibels) pixels[pixel] = colour(decibels); // NaN is not equal to itself
          continue;
        }
        let [sum, used, here] = [0, 0, false];
        const stride = Math.max(1, Math.floor(count / MOST_SAMPLES));
        for (let sample = Math.max(from, 0); sample < Math.min(from + count, level.sampleCount); sample += stride) {
          const bits = chunks[(sample / level.chunkSamples) | 0];
          if (!bits) continue;
          here = true;
          const value = LINEAR[bits[offset + (sample % level.chunkSamples)]];
          if (value !== value) continue;
          sum += value;
          used += 1;
        }
        filled += here ? 1 : 0;
        if (used) pixels[pixel] = colour(10 * Math.log10(sum / used));
      }
    }
  }
  return gaps;
}

/**
 * The finest value that is here, at a time and a depth.
 * @returns {{level, ping, sample, decibels, time, vertical} | null}  null in a gap or outside of the samples
 */
export function valueAt(levels, channel, time, vertical, margin) {
  for (const level of levels) {
    const source = level.channel(channel);
    const row = source.times.length ? source.rowAt(time, margin) : -1;
    if (row < 0) return null;
    const sample = source.sampleAt(vertical, row);
    if (sample < 0 || sample >= level.sampleCount) return null;
    const ping = source.pings[row];
    const bits = source.column(ping)[Math.floor(sample / level.chunkSamples)];
    if (!bits) continue;
    return {
      level,
      ping,
      sample,
      decibels: DECIBELS[bits[(ping % level.chunkPings) * level.chunkSamples + (sample % level.chunkSamples)]],
      time: source.times[row],
      vertical: source.starts[row] + (sample + 0.5) * source.steps[row],
    };
  }
  return null;
}
