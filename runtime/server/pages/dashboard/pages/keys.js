// Created keys: made here, shown once, revoked.
import { call } from "../api.js";
import { Copy, Failed, Note, State, Table, useJson, Waiting } from "../parts.js";
import { html, useState } from "../vendor.js";
import { dollars, moment } from "../words.js";

export function Keys() {
  const { data, error, again } = useJson("hearth/keys");
  const [fresh, setFresh] = useState(/** @type {any} */ (null));
  const [fault, setFault] = useState(/** @type {any} */ (null));
  const act = async (/** @type {() => Promise<any>} */ what) => {
    setFault(null);
    try {
      const found = await what();
      setFresh(found.secret ? found : null);
      again();
      return true;
    } catch (error) {
      setFault(error);
      return false;
    }
  };
  if (error && !data) return html`<h1>Keys</h1><${Failed} error=${error} again=${again} needs="Keys are created and shown by admins." />`;
  if (!data) return html`<h1>Keys</h1><${Waiting} />`;
  const revoke = (/** @type {any} */ row) => {
    if (confirm(`Revoke the key “${row.terms.name}”? What uses it is refused from now on.`))
      act(() => call(`hearth/keys/${row.id}`, { method: "DELETE", json: {} }));
  };
  return html`<h1>Keys</h1>
    <div aria-live="polite">
      ${fresh && html`<${Note} kind="warn"><p>The secret of “${fresh.key.terms.name}”. It is shown this once and kept nowhere:</p><p><code>${fresh.secret}</code> <${Copy} text=${fresh.secret} /></p></${Note}>`}
      ${fault && html`<${Failed} error=${fault} />`}
    </div>
    <${Create} make=${(/** @type {any} */ terms) => act(() => call("hearth/keys", { method: "POST", json: terms }))} first=${!data.data.length} />
    ${
      data.data.length
        ? html`<${Table} label="Keys" heads=${["name", "id", "scopes", "limits", "created", "state", ""]}>${data.data.map(
            (
              /** @type {any} */ row,
            ) => html`<tr key=${row.id}><td>${row.terms.name}</td><td><code>${row.id}</code></td><td>${row.terms.scopes.join(", ")}</td><td class="long">${held(row.terms)}</td><td>${moment(row.created)}${row.rotated ? html`<br /><span class="quiet">new secret ${moment(row.rotated)}</span>` : null}</td>
          <td>${row.revoked ? html`<${State} state="absent">revoked ${moment(row.revoked)}</${State}>` : row.terms.expires && row.terms.expires * 1000 < Date.now() ? html`<${State} state="absent">expired</${State}>` : html`<${State} state="ready">in force</${State}>`}</td>
          <td>${
            !row.revoked &&
            html`<div class="buttons"><button type="button" class="small" onClick=${() => act(() => call(`hearth/keys/${row.id}/rotate`, { method: "POST", json: { grace_s: 3600 } }))} title="A new secret; the old one is good for an hour more">New secret</button>
          <button type="button" class="small" onClick=${() => revoke(row)}>Revoke</button></div>`
          }</td></tr>`,
          )}</${Table}>`
        : html`<p class="quiet">No key was created yet. The first one closes the door: from then on every request needs a key.</p>`
    }`;
}

/** The limits of a key in words. @param {any} terms */
function held(terms) {
  const parts = [];
  for (const name of ["targets", "models", "priorities"]) if (terms[name]?.length) parts.push(`${name}: ${terms[name].join(", ")}`);
  if (terms.requires?.length) parts.push(`requires ${terms.requires.join(", ")}`);
  if (terms.daily_usd) parts.push(`${dollars(terms.daily_usd)} a day`);
  if (terms.monthly_usd) parts.push(`${dollars(terms.monthly_usd)} a month`);
  if (terms.requests_per_minute) parts.push(`${terms.requests_per_minute} requests a minute`);
  if (terms.tokens_per_minute) parts.push(`${terms.tokens_per_minute} tokens a minute`);
  if (terms.parallel) parts.push(`${terms.parallel} at a time`);
  if (terms.expires) parts.push(`until ${moment(terms.expires)}`);
  return parts.join("; ") || "none";
}

/** The fields of a key's terms: what is typed, by member. @type {[string, string, string][]} */
const LISTS = [
  ["targets", "Targets that may answer", "all; or anthropic/*, local/*"],
  ["models", "Models it may ask for", "all; or auto, local"],
  ["requires", "Required certificates", "none; or hipaa"],
];
/** @type {[string, string][]} */
const NUMBERS = [
  ["daily_usd", "Dollars a day"],
  ["monthly_usd", "Dollars a month"],
  ["requests_per_minute", "Requests a minute"],
  ["tokens_per_minute", "Tokens a minute"],
  ["parallel", "Requests at a time"],
  ["days", "Expires after days"],
];
const PRIORITIES = ["interactive", "default", "batch"];

/** @param {{make: (terms: any) => Promise<boolean>, first: boolean}} props */
function Create({ make, first }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["generate", "read"]);
  const [priorities, setPriorities] = useState(/** @type {string[]} */ ([]));
  const [more, setMore] = useState(/** @type {Record<string, string>} */ ({}));
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {any} */
    const terms = { name: name.trim(), scopes, priorities };
    for (const [each] of LISTS) terms[each] = (more[each] ?? "").split(/[ ,]+/).filter(Boolean);
    for (const [each] of NUMBERS) if (more[each]?.trim()) terms[each] = Number(more[each]);
    if (terms.days) terms.expires = Date.now() / 1000 + 86_400 * terms.days;
    delete terms.days;
    if (!(await make(terms))) return;
    setName("");
    setMore({});
    setPriorities([]);
  };
  const field = (/** @type {string} */ each, /** @type {string} */ words, hint = "no limit") =>
    html`<label>${words} <input inputmode=${hint === "no limit" ? "decimal" : undefined} pattern=${hint === "no limit" ? "[0-9]*[.]?[0-9]*" : undefined} title=${hint === "no limit" ? "A number, or nothing for no limit" : undefined} value=${more[each] ?? ""} placeholder=${hint} spellcheck=${false} onInput=${(/** @type {any} */ e) => setMore({ ...more, [each]: e.target.value })} /></label>`;
  const boxes = (/** @type {string[]} */ all, /** @type {string[]} */ chosen, /** @type {(next: string[]) => void} */ set) =>
    all.map(
      (each) =>
        html`<label class="check"><input type="checkbox" checked=${chosen.includes(each)} onChange=${(/** @type {any} */ e) => set(e.target.checked ? [...chosen, each] : chosen.filter((other) => other !== each))} /> ${each}</label>`,
    );
  return html`<form class="card" onSubmit=${submit} aria-label="Create a key"><h2>Create a key</h2>
    ${first && html`<p class="quiet">It is the first one: afterwards requests without a key are refused, yours on this page too.</p>`}
    <div class="filters"><label>Name <input value=${name} required maxlength="100" onInput=${(/** @type {any} */ e) => setName(e.target.value)} /></label>
      <div role="group" aria-label="Scopes" class="row"><span class="quiet">Scopes</span> ${boxes(["generate", "read", "admin"], scopes, setScopes)}</div>
      <div role="group" aria-label="Priorities it may ask for" class="row"><span class="quiet">Priorities${priorities.length ? "" : " (any)"}</span> ${boxes(PRIORITIES, priorities, setPriorities)}</div></div>
    <div class="filters grid">${LISTS.map(([each, words, hint]) => field(each, words, hint))}${NUMBERS.map(([each, words]) => field(each, words))}</div>
    <button type="submit" class="main" disabled=${!name.trim() || !scopes.length}>Create</button></form>`;
}
