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
    } catch (error) {
      setFault(error);
    }
  };
  if (error && !data) return html`<h1>Keys</h1><${Failed} error=${error} again=${again} needs="Keys are made and shown by admins." />`;
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
        ? html`<${Table} label="Keys" heads=${["name", "id", "may", "held to", "made", "", ""]}>${data.data.map(
            (
              /** @type {any} */ row,
            ) => html`<tr key=${row.id}><td>${row.terms.name}</td><td><code>${row.id}</code></td><td>${row.terms.scopes.join(", ")}</td><td class="long">${held(row.terms)}</td><td>${moment(row.created)}</td>
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
  if (terms.requires?.length) parts.push(`demands ${terms.requires.join(", ")}`);
  if (terms.daily_usd !== null) parts.push(`${dollars(terms.daily_usd)} a day`);
  if (terms.monthly_usd !== null) parts.push(`${dollars(terms.monthly_usd)} a month`);
  if (terms.requests_per_minute) parts.push(`${terms.requests_per_minute} requests a minute`);
  if (terms.tokens_per_minute) parts.push(`${terms.tokens_per_minute} tokens a minute`);
  if (terms.parallel) parts.push(`${terms.parallel} at a time`);
  if (terms.expires) parts.push(`until ${moment(terms.expires)}`);
  return parts.join("; ") || "nothing";
}

/** @param {{make: (terms: any) => void, first: boolean}} props */
function Create({ make, first }) {
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState(["generate", "read"]);
  const [more, setMore] = useState(/** @type {Record<string, string>} */ ({}));
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    /** @type {any} */
    const terms = { name: name.trim(), scopes };
    for (const [each, text] of Object.entries(more)) if (Number(text) > 0) terms[each] = Number(text);
    if (more.days && Number(more.days) > 0) {
      delete terms.days;
      terms.expires = Date.now() / 1000 + 86_400 * Number(more.days);
    }
    make(terms);
    setName("");
  };
  const field = (/** @type {string} */ each, /** @type {string} */ words) =>
    html`<label>${words} <input inputmode="numeric" value=${more[each] ?? ""} placeholder="no limit" onInput=${(/** @type {any} */ e) => setMore({ ...more, [each]: e.target.value })} /></label>`;
  return html`<form class="card" onSubmit=${submit} aria-label="Create a key"><h2>Create a key</h2>
    ${first && html`<p class="quiet">It is the first one: afterwards requests without a key are refused, yours on this page too.</p>`}
    <div class="filters"><label>Name <input value=${name} required maxlength="100" onInput=${(/** @type {any} */ e) => setName(e.target.value)} /></label>
      ${["generate", "read", "admin"].map((each) => html`<label class="check"><input type="checkbox" checked=${scopes.includes(each)} onChange=${(/** @type {any} */ e) => setScopes(e.target.checked ? [...scopes, each] : scopes.filter((other) => other !== each))} /> ${each}</label>`)}
      ${field("requests_per_minute", "Requests a minute")} ${field("parallel", "At a time")} ${field("days", "Good for days")}</div>
    <button type="submit" class="main" disabled=${!name.trim() || !scopes.length}>Create</button></form>`;
}
