// Shows the viewer where the address names a store, else the gallery.

import { dropState, readRoot, readState, stateAddress } from "./address.js";
import { element, say } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Viewer } from "./viewer.js";

const root = await readRoot();
const viewer = new Viewer(root);
const gallery = new Gallery(root);
let found = {}; // the gallery's state, to come back to

function addNeighbours() {
  const known = viewer.store && gallery.neighbours(readState().view);
  if (known) viewer.addEntry(...known);
}

async function route() {
  dropState();
  const state = readState();
  const isViewer = Boolean(state.view);
  element("gallery").hidden = isViewer;
  element("viewer").hidden = !isViewer;
  if (!isViewer) {
    viewer.close();
    found = state;
    return gallery.show();
  }
  if (gallery.isShown) gallery.hide();
  element("back").href = stateAddress(found);
  await viewer.open();
  // The echogram comes first; the catalogue of a large archive may be megabytes.
  await gallery.load();
  addNeighbours();
}

addEventListener("hashchange", (event) => {
  // The gallery's own state is not in the event's address yet: browsers take it before the last change.
  found = readState().view && !new URL(event.oldURL).hash.includes("view=") ? Object.fromEntries(new URLSearchParams(new URL(event.oldURL).hash.slice(1))) : found;
  route();
});
addEventListener("unhandledrejection", ({ reason }) => say(`Something failed: ${reason?.message ?? reason}`));
route();
