// Every target as it is now, and what an operator can do to it.
import { call } from "../api.js";
import { status } from "../live.js";
import { Failed, Note, State, Waiting } from "../parts.js";
import { html, useState } from "../vendor.js";
import { count, dollars, duration, ms, spaced } from "../words.js";

export function Targets() {
  const report = status.value;
  if (!report) return html`<h1>Targets</h1><${Waiting} />`;
  return html`<h1>Targets</h1>
    <p class="quiet">What may leave this box goes to one of these. The engine's own state is on the page <a href="#/engine">Engine</a>.</p>
    ${!report.targets.length && html`<${Note}><p>No target is configured: everything is answered on this box. A target is a section <code>[targets.NAME]</code> of the settings file with <code>provider</code> and <code>model</code>.</p></${Note}>`}
    ${report.targets.map((each) => html`<${Target} key=${each.name} target=${each} />`)}`;
}

/** @param {{target: import("../types").TargetStatus}} props */
function Target({ target }) {
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const [busy, setBusy] = useState("");
  const here = target.state === "available";
  const steer = async (/** @type {string} */ verb, /** @type {object} */ json) => {
    setBusy(verb);
    try {
      setAnswer({ found: await call(`hearth/targets/${encodeURIComponent(target.name)}/${verb}`, { method: "POST", json }) });
    } catch (error) {
      setAnswer({ error });
    }
    setBusy("");
  };
  const price = target.usd_per_million;
  return html`<section class="card" aria-label="Target ${target.name}">
    <h2>${target.name} <span class="quiet">${target.label}</span> <${State} state=${target.state} />
      ${here && html` <${State} state=${target.breaker}>breaker ${spaced(target.breaker)}</${State}>`}</h2>
    ${target.why && html`<p><strong>Absent:</strong> ${target.why}</p>`}
    ${target.held_s ? html`<p>Held back by hand for ${duration(target.held_s)} more.</p>` : target.retry_in_s ? html`<p>Next try in ${duration(target.retry_in_s)}.</p>` : null}
    ${target.last_failure && html`<p>Last failure: ${target.last_failure}</p>`}
    ${target.notes.map((each) => html`<p class="quiet">${each}</p>`)}
    <dl class="facts">
      <div><dt>in flight</dt><dd>${count(target.in_flight)}</dd></div>
      <div><dt>first token, nine in ten</dt><dd>${target.ttft_ms === null ? "not measured yet" : `within ${ms(target.ttft_ms)}`}</dd></div>
      <div><dt>price per million tokens</dt><dd>${price ? `${dollars(price[0])} read, ${dollars(price[1])} written` : "not known: its answers count as unpriced"}</dd></div>
      <div><dt>price as of</dt><dd>${target.price_date || "–"} ${target.price_source ? html`<span class="quiet">${target.price_source}</span>` : null}</dd></div>
      <div><dt>certified for</dt><dd>${target.certified.join(", ") || "nothing"}</dd></div>
      <div><dt>key</dt><dd>${target.key === null ? "not configured here" : target.key ? "present" : "none"}</dd></div>
    </dl>
    ${
      here &&
      html`<div class="buttons">
      <button type="button" disabled=${busy} onClick=${() => steer("probe", {})} title="One small request, with its record and its cost">${busy === "probe" ? "Asking …" : "Probe now"}</button>
      <button type="button" disabled=${busy} onClick=${() => steer("hold", { seconds: 600 })} title="Nothing is sent to it meanwhile">Hold back for 10 min</button>
      <button type="button" disabled=${busy} onClick=${() => steer("close", {})} title="It is used again at once">Close breaker</button>
    </div>`
    }
    <div aria-live="polite">
      ${answer?.found && html`<${Note} kind=${answer.found.ok === false ? "warn" : "info"}><p>${answer.found.words}.${answer.found.decision ? html` <a href="#/decisions/${answer.found.decision}">The decision</a>` : null}</p></${Note}>`}
      ${answer?.error && html`<${Failed} error=${answer.error} needs="This changes the server: it needs an admin key." />`}
    </div>
  </section>`;
}
