// Where the data is, and the part of the page's address that says what the page shows.

/** The folder or bucket of the outputs: its address, and a query that each request carries. */
export class Root {
  constructor(address, live = false) {
    this.url = new URL(address, document.baseURI);
    if (!this.url.pathname.endsWith("/")) this.url.pathname += "/";
    this.url.hash = "";
    this.live = live;
  }

  /** The address of a path of gallery.json; keys may have any character. */
  address(path) {
    const url = new URL(this.url);
    url.pathname += path.split("/").map(encodeURIComponent).join("/");
    return url.href;
  }
}

/** `?root=` if given, else what config.json beside the page says, else the page's own folder. */
export async function readRoot() {
  const given = new URLSearchParams(location.search).get("root");
  if (given) return new Root(given);
  try {
    const answer = await fetch("config.json", { cache: "no-cache" });
    const config = answer.ok ? await answer.json() : {};
    return new Root(config.root ?? "./", config.live ?? false);
  } catch {
    return new Root("./");
  }
}

/** The state in the address, as an object of strings. */
export function readState() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** The address of a state; empty fields are left out. */
export function stateAddress(state) {
  const kept = Object.entries(state).filter(([, value]) => value !== "" && value != null);
  return `#${new URLSearchParams(kept).toString().replaceAll("%2F", "/").replaceAll("%3A", ":").replaceAll("%2C", ",")}`;
}

let waiting;

/** Put a state into the address, without a step of the browser's history; soon, since browsers limit it. */
export function writeState(state) {
  clearTimeout(waiting);
  waiting = setTimeout(() => history.replaceState(null, "", stateAddress(state)), 200);
}

/** Forget a state that is still to be written. */
export function dropState() {
  clearTimeout(waiting);
}
