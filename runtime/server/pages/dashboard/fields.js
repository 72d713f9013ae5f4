// The fields of settings that can be changed, and the change they make together. Shared by what-if and settings.
import { html, useState } from "./vendor.js";

/** @typedef {{key: (string | number)[], value: any, from: string, variable: boolean, editable: boolean, words: string, choices: any[]}} Row */

/** @param {(string | number)[]} key */
export function dotted(key) {
  return key.map((part, at) => (typeof part === "number" ? `[${part}]` : `${at ? "." : ""}${/^[\w-]+$/.test(part) ? part : JSON.stringify(part)}`)).join("");
}

/** A value as it is typed. @param {any} value */
export function typed(value) {
  return value === null || value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value);
}

/** What was typed, as a value: JSON where the old value was no text and it is some, else the text. @param {string} text @param {any} before */
export function meant(text, before) {
  if (typeof before === "string" && !/^-?[\d.]+$/.test(text)) return text;
  try {
    return JSON.parse(text);
  } catch {
    return Array.isArray(before) ? text.split(/[ ,]+/).filter(Boolean) : text;
  }
}

/** The changes of a form: texts by dotted key. */
export function useChanges() {
  const [texts, setTexts] = useState(/** @type {Record<string, string>} */ ({}));
  return {
    texts,
    /** @param {string} name @param {string} text @param {any} before */
    type(name, text, before) {
      const next = { ...texts };
      if (text === typed(before)) delete next[name];
      else next[name] = text;
      setTexts(next);
    },
    clear: () => setTexts({}),
    /** @param {Row[]} rows */
    body(rows) {
      const set = [];
      const unset = [];
      for (const row of rows) {
        const text = texts[dotted(row.key)];
        if (text === undefined) continue;
        if (text === "" && row.from !== "default") unset.push(row.key);
        else if (text !== "") set.push({ key: row.key, value: meant(text, row.value) });
      }
      return { set, unset };
    },
  };
}

/** @param {{row: Row, changes: ReturnType<typeof useChanges>}} props */
export function Field({ row, changes }) {
  const name = dotted(row.key);
  const text = changes.texts[name] ?? typed(row.value);
  const id = `field-${name}`;
  const on = (/** @type {any} */ event) => changes.type(name, event.target.value, row.value);
  const flag = typeof row.value === "boolean" ? [true, false] : row.choices;
  return html`<div class="setting">
    <label for=${row.editable && !row.variable ? id : undefined}><code>${name}</code></label>
    ${
      !row.editable || row.variable
        ? html`<span><code>${text || "–"}</code></span>`
        : flag.length
          ? html`<select id=${id} value=${text} onChange=${on}>${flag.map((each) => html`<option value=${String(each)} selected=${text === String(each)}>${String(each)}</option>`)}</select>`
          : html`<input id=${id} value=${text} onInput=${on} spellcheck=${false} />`
    }
    <span class="quiet">${row.words.split("`").map((part, at) => (at % 2 ? html`<code>${part}</code>` : part))}${row.words ? " · " : ""}${row.variable ? html`set by <code>${row.from}</code>, which goes before the file` : row.from === "default" ? "default" : row.from}</span>
  </div>`;
}

/** Rows by their section, in order. @param {Row[]} rows */
export function sections(rows) {
  /** @type {Map<string, Row[]>} */
  const found = new Map();
  for (const row of rows) {
    const name = String(row.key[0]);
    found.set(name, [...(found.get(name) ?? []), row]);
  }
  return found;
}
