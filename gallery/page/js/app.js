// Shows the viewer where the address names a store, else the gallery.

import { dropState, readRoot, readState, stateAddress } from "./address.js";
import { element, say } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Viewer } from "./viewer.js";

const root = await readRoot();
const viewer = new Viewer(root);
const gallery = new Gallery(root);
let found = {}; // the gallery's state, to come back to

let routes = 0;

async function route() {
  dropState();
  const state = readState();
  const mine = (routes += 1);
  gallery.isShown = !state.view;
  element("gallery").hidden = !gallery.isShown;
  element("viewer").hidden = gallery.isShown;
  if (gallery.isShown) {
    viewer.close();
    return gallery.show();
  }
  element("back").href = stateAddress(found);
  await viewer.open();
  // The echogram comes first; the catalogue of a large archive may be megabytes.
  await gallery.load();
  const known = mine === routes && viewer.store && gallery.neighbours(state.view);
  if (known) viewer.addEntry(...known);
}

addEventListener("hashchange", ({ oldURL }) => {
  const before = Object.fromEntries(new URLSearchParams(new URL(oldURL).hash.slice(1)));
  if (!before.view) found = before;
  route();
});
addEventListener("unhandledrejection", ({ reason }) => say(`Something failed: ${reason?.message ?? reason}`));
route();
