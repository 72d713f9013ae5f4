// The server as the page calls it: the key, JSON, and a reader of server-sent events.
import { signal } from "./vendor.js";

const STORED = "hearth.key";

/** The key that is sent with each request; "" without one. It lives in this tab alone. */
export const key = signal(sessionStorage.getItem(STORED) ?? "");

/** @param {string} value */
export function setKey(value) {
  key.value = value;
  if (value) sessionStorage.setItem(STORED, value);
  else sessionStorage.removeItem(STORED);
}

/** Takes a key out of the address, `#key=…`, before anybody sees it there. */
export function keyFromAddress() {
  const found = /^#key=(.+)$/.exec(location.hash);
  if (!found) return;
  setKey(decodeURIComponent(found[1] ?? ""));
  history.replaceState(null, "", `${location.pathname}${location.search}#/`);
}

/** An answer that is no success. status: 0 where the server was not reached. body: as it was sent, if it was JSON. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {any} [body]
   */
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
  get denied() {
    return this.status === 401 || this.status === 403;
  }
}

/**
 * @param {string} path relative, so that a path prefix holds
 * @param {RequestInit & {json?: unknown}} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  const { json, ...rest } = options;
  const headers = new Headers(rest.headers);
  if (key.value) headers.set("authorization", `Bearer ${key.value}`);
  if (json !== undefined) headers.set("content-type", "application/json");
  const body = json === undefined ? rest.body : JSON.stringify(json);
  /** @type {Response} */
  let answer;
  try {
    answer = await fetch(path, { ...rest, headers, ...(body === undefined ? {} : { body }) });
  } catch (error) {
    if (rest.signal?.aborted) throw error;
    throw new Refusal(0, "Hearth does not answer at this address");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  /** @type {any} */
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    found = undefined;
  }
  throw new Refusal(answer.status, found?.error?.message ?? (text.slice(0, 300) || answer.statusText), found);
}

/**
 * @param {string} path
 * @param {RequestInit & {json?: unknown}} [options]
 * @returns {Promise<any>}
 */
export async function call(path, options) {
  return (await request(path, options)).json();
}

/**
 * The events of a stream. A comment is an event with the name "".
 * @param {Response} answer
 * @returns {AsyncGenerator<{event: string, data: string}>}
 */
export async function* events(answer) {
  if (!answer.body) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value.replaceAll("\r\n", "\n");
    for (let end = rest.indexOf("\n\n"); end >= 0; end = rest.indexOf("\n\n")) {
      const block = rest.slice(0, end);
      rest = rest.slice(end + 2);
      let event = "";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event:")) event = line.slice(6).trim();
        else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
      }
      yield { event, data: data.join("\n") };
    }
  }
}
