// Colour maps: EK500 (Simrad's, in steps), viridis, two of cmocean, greys.

const STOPS = {
  EK500: "9f9f9f 5f5f5f 0000ff 00007f 00bf00 007f00 ffff00 ff7f00 ff00bf ff0000 a6533c 783c28",
  viridis:
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725",
  thermal:
    "042333 092e56 1c3482 40349f 5c3e9a 744992 8b538d a35b86 bd637c d66c6c eb7958 f78c45 fca63c fac140 f3dd4b e8fa5b",
  deep: "fdfecc dbf1b9 b7e5ab 92d8a4 71caa3 5dbaa4 52a8a3 4b97a0 45869c 407598 3e6495 3f528f 41407b 3c335f 332744 281a2c",
  greys: "ffffff 000000",
};
const IN_STEPS = new Set(["EK500"]);
const BELOW = { EK500: "ffffff" };

export const NAMES = Object.keys(STOPS);

const channels = (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
const pixel = ([red, green, blue]) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/** 256 pixels (as an ImageData has them) from the scale's low end to its high end; [0] is also what is below. */
export function colourTable(name) {
  const stops = STOPS[name].split(" ").map(channels);
  const table = Uint32Array.from({ length: 256 }, (_, index) => {
    if (IN_STEPS.has(name)) return pixel(stops[Math.floor((index / 256) * stops.length)]);
    const place = (index / 255) * (stops.length - 1);
    const [before, part] = [Math.min(Math.floor(place), stops.length - 2), place - Math.min(Math.floor(place), stops.length - 2)];
    return pixel(stops[before].map((from, at) => Math.round(from + part * (stops[before + 1][at] - from))));
  });
  if (BELOW[name]) table[0] = pixel(channels(BELOW[name]));
  return table;
}
