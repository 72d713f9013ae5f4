// Recorded decisions made again under other settings, before these are in force.
import { call } from "../api.js";
import { dotted, Field, sections, useChanges } from "../fields.js";
import { Diff, Failed, Note, Table, useJson, Waiting } from "../parts.js";
import { html, useState } from "../vendor.js";
import { count, dollars, ms, percent, reason } from "../words.js";

const SECTIONS = ["escalation", "routes", "rules", "budget"];

export function WhatIf() {
  const { data, error, again } = useJson("hearth/settings");
  const changes = useChanges();
  const [limit, setLimit] = useState(1000);
  const [result, setResult] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState(false);
  const head = html`<h1>What if</h1><p class="quiet">The latest decisions are made again under other settings, by the same code that makes them, with the load that was recorded. Nothing is sent, and nothing changes.</p>`;
  if (error) return html`${head}<${Failed} error=${error} again=${again} needs="This shows settings: it needs an admin key." />`;
  if (!data) return html`${head}<${Waiting} />`;
  const rows = data.values.filter((/** @type {any} */ row) => SECTIONS.includes(row.key[0]) && row.editable);
  const slider = rows.find((/** @type {any} */ row) => dotted(row.key) === "escalation.complexity");
  const ask = async (/** @type {Event} */ event) => {
    event.preventDefault();
    setBusy(true);
    try {
      setResult({ found: await call("hearth/whatif", { method: "POST", json: { ...changes.body(rows), limit } }) });
    } catch (fault) {
      setResult({ fault });
    }
    setBusy(false);
  };
  return html`${head}
    <form onSubmit=${ask}>
      ${
        typeof slider?.value === "number" &&
        html`<label class="wide">Complexity at and above which a prompt leaves: ${changes.texts["escalation.complexity"] ?? slider.value}
        <input type="range" min="0" max="1" step="0.01" value=${changes.texts["escalation.complexity"] ?? slider.value} onInput=${(/** @type {any} */ e) => changes.type("escalation.complexity", e.target.value, slider.value)} /></label>`
      }
      ${[...sections(rows)].map(([name, some]) => html`<details open=${name === "escalation"}><summary>[${name}]</summary>${some.map((/** @type {any} */ row) => html`<${Field} key=${row.key.join(".")} row=${row} changes=${changes} />`)}</details>`)}
      <div class="filters"><label>Over the last <select value=${limit} onChange=${(/** @type {any} */ e) => setLimit(Number(e.target.value))}>${[100, 1000, 10_000].map((each) => html`<option value=${each} selected=${each === limit}>${count(each)} decisions</option>`)}</select></label>
      <div class="buttons"><button type="submit" class="main" disabled=${busy}>${busy ? "Deciding again …" : "Decide again"}</button>
      ${Object.keys(changes.texts).length > 0 && html`<button type="button" onClick=${changes.clear}>Back to what is in force</button>`}</div></div>
    </form>
    <div aria-live="polite">${result?.fault && html`<${Failed} error=${result.fault} />`}${result?.found && html`<${Found} found=${result.found} />`}</div>`;
}

/** @param {{found: any}} props */
function Found({ found }) {
  if (!found.decisions) return html`<${Note}><p>No decision is kept yet to be made again.</p></${Note}>`;
  const lost = Object.entries(found.unanswerable);
  return html`<section aria-labelledby="found"><h2 id="found">${count(found.moved_count)} of ${count(found.replayed)} would go elsewhere</h2>
    ${found.unkept > 0 && html`<p>${count(found.unkept)} of ${count(found.decisions)} are not replayable: they are of an older Hearth.</p>`}
    ${lost.map(([why, n]) => html`<p>${count(/** @type {number} */ (n))} of ${count(found.decisions)} are not replayable: the settings ask for ${why}, which is not kept.</p>`)}
    <${Table} label="Then and now" heads=${["", "#as it was", "#as it would be"]}>
      <tr><td>leave the box</td><td class="n">${percent(found.share_before, 1)}</td><td class="n">${percent(found.share_after, 1)}</td></tr>
      <tr><td>cost${found.unpriced ? `, ${found.unpriced} of them without a price` : ""}</td><td class="n">${dollars(found.cost_usd_before)}</td><td class="n">${dollars(found.cost_usd_after)}</td></tr>
      <tr><td>median first token: the box's as predicted then, a cloud's as seen since</td><td class="n">${ms(found.ttft_ms_before)}</td><td class="n">${ms(found.ttft_ms_after)}</td></tr>
    </${Table}>
    ${
      found.ways.length > 0 &&
      html`<h3>From where to where</h3><ul>${found.ways.map((/** @type {any} */ each) => html`<li>${count(each.count)}: ${each.before ?? "refused"} → ${each.after ?? "refused"}</li>`)}</ul>
    <${Table} label="Decisions that would change" heads=${["decision", "then", "why", "now", "why"]}>${found.moved.slice(0, 100).map((/** @type {any} */ each) => html`<tr><td><a href="#/decisions/${each.id}">${each.id}</a></td><td>${each.before ?? "refused"}</td><td>${each.before ? reason(each.reason_before) : ""}</td><td>${each.after ?? "refused"}</td><td>${each.after ? reason(each.reason_after) : ""}</td></tr>`)}</${Table}>`
    }
    ${found.diff ? html`<h3>As a change of the settings</h3><${Diff} text=${found.diff} /><p><a href="#/settings">Make it on the page of settings</a></p>` : null}
  </section>`;
}
