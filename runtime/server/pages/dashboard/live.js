// What the page knows of the server, kept up to date by one event stream per visible tab.
import { call, events, key, Refusal, request } from "./api.js";
import { batch, signal } from "./vendor.js";

/** The latest status report. @type {import("./vendor.js").Signal<import("./types").StatusReport | null>} */
export const status = signal(null);
/** The latest decisions, newest first. @type {import("./vendor.js").Signal<import("./types").DecisionBrief[]>} */
export const latest = signal([]);
/** Lines of the engine's log while a page wants them. @type {import("./vendor.js").Signal<string[]>} */
export const log = signal([]);
/** live | connecting | lost | denied | closing | full. since, retryAt: unix ms. */
export const connection = signal({ state: "connecting", since: Date.now(), retryAt: 0, words: "" });
/** When the numbers on the page were read, unix ms. */
export const readAt = signal(0);
/** Unix ms, a tick a second. */
export const now = signal(Date.now());
/** True while a page shows the log. */
const wantsLog = signal(false);

const SILENT_MS = 20_000;
const KEPT_DECISIONS = 200;
const KEPT_LINES = 5000;
/** @type {AbortController | null} */
let open = null;
let failures = 0;
let timer = 0;

setInterval(() => {
  now.value = Date.now();
  if (connection.value.state === "live" && Date.now() - readAt.value > SILENT_MS) {
    lost("no data for 20 s: a proxy on the way may hold the stream back");
    open?.abort();
  }
}, 1000);

/** @param {string} words */
function lost(words) {
  const wait = Math.min(30_000, 1000 * 2 ** failures);
  failures += 1;
  const since = connection.value.state === "lost" ? connection.value.since : Date.now();
  connection.value = { state: "lost", since, retryAt: Date.now() + wait, words };
  clearTimeout(timer);
  timer = window.setTimeout(connect, wait);
}

/** Reads the latest decisions, which the stream does not repeat. */
async function readLatest() {
  try {
    const { data } = await call("hearth/decisions?limit=50");
    if (latest.value.length < data.length) latest.value = data.map((/** @type {any} */ each) => ({ ...each, attempts: each.attempts.length }));
  } catch {
    return; // the stream says what is wrong
  }
}

/** @param {{event: string, data: string}} found */
function take({ event, data }) {
  readAt.value = Date.now();
  if (event === "status") {
    status.value = JSON.parse(data);
    if (latest.value.length === 0) latest.value = status.value?.decisions ?? [];
  } else if (event === "decisions") {
    const { rows } = JSON.parse(data);
    const known = new Set(latest.value.map((each) => each.id));
    const fresh = rows.filter((/** @type {{id: string}} */ each) => !known.has(each.id)).reverse();
    latest.value = [...fresh, ...latest.value].slice(0, KEPT_DECISIONS);
  } else if (event === "log") {
    const { lines, left_out } = JSON.parse(data);
    const note = left_out ? [`… ${left_out} lines were left out …`] : [];
    log.value = [...log.value, ...note, ...lines].slice(-KEPT_LINES);
  } else if (event === "resync") {
    latest.value = [];
    readLatest();
  } else if (event === "closing") {
    connection.value = { ...connection.value, state: "closing", since: Date.now(), words: "Hearth is stopping" };
  }
}

/** Opens the stream, and again whenever it ends, until the tab is hidden. */
export async function connect() {
  clearTimeout(timer);
  open?.abort();
  if (document.hidden) return;
  const mine = new AbortController();
  open = mine;
  const topics = wantsLog.value ? "status,decisions,log" : "status,decisions";
  try {
    if (latest.value.length === 0) readLatest();
    const answer = await request(`hearth/events?topics=${topics}`, { signal: mine.signal });
    for await (const found of events(answer)) {
      batch(() => {
        if (connection.value.state !== "live" && found.event !== "closing") {
          failures = 0;
          connection.value = { state: "live", since: Date.now(), retryAt: 0, words: "" };
        }
        take(found);
      });
    }
    if (!mine.signal.aborted) lost("the connection ended");
  } catch (error) {
    if (mine.signal.aborted) return;
    if (error instanceof Refusal && error.denied) {
      connection.value = { state: "denied", since: Date.now(), retryAt: 0, words: error.message };
    } else {
      lost(error instanceof Refusal ? error.message : "the connection was cut");
    }
  }
}

/** Adds the log to the stream, or takes it off. @param {boolean} wanted */
export function followLog(wanted) {
  if (wantsLog.value === wanted) return;
  wantsLog.value = wanted;
  connect();
}

/** Tries again at once. */
export function retry() {
  failures = 0;
  connection.value = { state: "connecting", since: Date.now(), retryAt: 0, words: "" };
  connect();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) open?.abort();
  else connect();
});

/** Starts once, and again with each key. */
export function start() {
  key.subscribe(() => {
    connection.value = { state: "connecting", since: Date.now(), retryAt: 0, words: "" };
    connect();
  });
}
