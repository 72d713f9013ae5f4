// Parts that several pages are made of.
import { call, key, Refusal, setKey } from "./api.js";
import { html, useEffect, useRef, useState } from "./vendor.js";

/**
 * Asks the server when the page is shown and whenever `again` is called or `deps` change.
 * @param {() => Promise<any>} ask
 * @param {unknown[]} deps
 */
export function useAsk(ask, deps) {
  const [found, setFound] = useState(/** @type {{data?: any, error?: any}} */ ({}));
  const [turn, setTurn] = useState(0);
  const latest = useRef(0);
  useEffect(() => {
    const mine = ++latest.current;
    ask().then(
      (data) => mine === latest.current && setFound({ data }),
      (error) => mine === latest.current && setFound((/** @type {any} */ before) => ({ ...before, error })),
    );
    return () => {
      latest.current++;
    };
  }, [...deps, turn, key.value]);
  return { ...found, again: () => setTurn((/** @type {number} */ n) => n + 1) };
}

/** The answer to a GET. @param {string} path @param {unknown[]} [deps] */
export function useJson(path, deps = []) {
  return useAsk(() => call(path), [path, ...deps]);
}

/** @param {{kind?: string, children?: any}} props */
export function Note({ kind = "info", children }) {
  return html`<div class="note ${kind}" role=${kind === "bad" ? "alert" : undefined}>${children}</div>`;
}

/** What could not be read, or done where nothing reads it again: in words, with what to do. @param {{error: any, again?: () => void, needs?: string}} props */
export function Failed({ error, again, needs = "" }) {
  if (error instanceof Refusal && error.denied) return html`<${SignIn} words=${error.message} needs=${needs} />`;
  return html`<${Note} kind="bad">
    <p><strong>${again ? "This cannot be shown" : "This was not done"}${error?.status ? ` (${error.status})` : ""}:</strong> ${error?.message ?? String(error)}</p>
    ${again && html`<button type="button" onClick=${again}>Try again</button>`}
  </${Note}>`;
}

/** Asks for a key. @param {{words: string, needs?: string}} props */
export function SignIn({ words, needs = "" }) {
  const [typed, setTyped] = useState("");
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    setKey(typed.trim());
  };
  return html`<form class="signin" onSubmit=${submit}>
    <p>${needs || "This needs a key."} <span class="quiet">${words}</span></p>
    <p class="quiet">On this machine <code>hearth ui</code> opens this page signed in. The key stays in this tab.</p>
    <label>Key <input type="password" autocomplete="off" value=${typed} onInput=${(/** @type {any} */ e) => setTyped(e.target.value)} /></label>
    <button type="submit" disabled=${!typed.trim()}>Sign in</button>
  </form>`;
}

export const Waiting = () => html`<p class="quiet" role="status">Reading …</p>`;

/** A button that copies a text. @param {{text: string, children?: any}} props */
export function Copy({ text, children = "Copy" }) {
  const [done, setDone] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setDone("Copied");
    } catch {
      setDone("Select the text and copy it: this browser allows no copying here");
    }
    setTimeout(() => setDone(""), 2500);
  };
  return html`<button type="button" class="small" onClick=${copy}>${done || children}</button>`;
}

/** A text that can be copied. @param {{text: string, label: string}} props */
export function Snippet({ text, label }) {
  return html`<figure class="snippet">
    <figcaption>${label} <${Copy} text=${text} /></figcaption>
    <pre tabindex="0" aria-label=${label}>${text}</pre>
  </figure>`;
}

/** A difference of the settings file. @param {{text: string}} props */
export function Diff({ text }) {
  if (!text) return html`<p class="quiet">Nothing changes.</p>`;
  const kinds = { "+": "plus", "-": "minus", "@": "at" };
  return html`<pre class="diff" tabindex="0" aria-label="Difference of the settings file">${text
    .split("\n")
    .map((/** @type {string} */ line) => html`<span class=${kinds[/** @type {"+"} */ (line[0] ?? "")] ?? ""}>${line}${"\n"}</span>`)}</pre>`;
}

/**
 * A value beside its threshold: a bar to the threshold, a mark where `auto` returns, and the same in words.
 * @param {{name: string, value: number | null | undefined, limit: number, release?: number, words: string, off?: boolean}} props
 */
export function Gauge({ name, value, limit, release = 0, words, off = false }) {
  const share = value === null || value === undefined || limit <= 0 ? 0 : Math.min(1.25, value / limit);
  const over = !off && value !== null && value !== undefined && value >= limit;
  return html`<div class="gauge ${over ? "over" : ""}">
    <span class="gauge-name">${name}</span>
    <span class="gauge-bar" aria-hidden="true">
      <span class="gauge-fill" style=${{ width: `${share * 80}%` }}></span>
      <span class="gauge-limit"></span>
      ${release > 0 && html`<span class="gauge-release" style=${{ left: `${release * 80}%` }}></span>`}
    </span>
    <span class="gauge-words">${words}${over ? html` <strong>over</strong>` : null}</span>
  </div>`;
}

/**
 * A table that scrolls by itself on a narrow page. heads: "#" before one of a column of numbers, whose cells have the class "n".
 * @param {{label: string, heads: string[], children?: any}} props
 */
export function Table({ label, heads, children }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${label}>
    <table><thead><tr>${heads.map((head) => (head ? html`<th scope="col" class=${head[0] === "#" ? "n" : ""}>${head.replace("#", "")}</th>` : html`<td></td>`))}</tr></thead>
    <tbody>${children}</tbody></table>
  </div>`;
}

/** The status of a request. @param {{code: number}} props */
export function Code({ code }) {
  const kind = code >= 500 ? "bad" : code >= 400 ? "warn" : "good";
  const words = code === 499 ? "client left" : code >= 400 ? "failed" : "ok";
  return html`<span class="tag ${kind}">${code} ${words}</span>`;
}

/** @param {{state: string, children?: any}} props */
export function State({ state, children }) {
  const kinds = /** @type {Record<string, string>} */ ({
    ready: "good",
    closed: "good",
    available: "good",
    running: "good",
    generating: "good",
    done: "good",
    live: "good",
    given_up: "bad",
    open: "bad",
    absent: "bad",
    failed: "bad",
    lost: "bad",
  });
  return html`<span class="tag ${kinds[state] ?? "warn"}">${children ?? state.replaceAll("_", " ")}</span>`;
}
