// This Hearth and the others: who is alive, what each last said of its engine, whose version or settings differ, the store.
import { Failed, Note, Snippet, State, Table, useJson, Waiting } from "../parts.js";
import { html, useEffect } from "../vendor.js";
import { count, duration, ms, reason } from "../words.js";

const AGAIN_MS = 5000;
const EXAMPLE = `[fleet]
name = "a"
peers = ["dns:hearth.internal:8000"]
key = "env:HEARTH_FLEET_KEY"`;

/** @type {Record<string, string>} */
const STATES = {
  alive: "heard within three seconds",
  stale: "not heard for three seconds: it is not asked",
  unknown: "never heard",
  refused: "not taken as a peer",
};

/** @type {Record<string, string>} */
const HEARD = { store: "heard through the store", asks: "asks this Hearth" };

/** @type {Record<string, string>} */
const OTHER = { version: "another version", settings: "other settings", model: "another model" };

export function Fleet() {
  const { data, error, again } = useJson("hearth/fleet");
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && again(), AGAIN_MS);
    return () => clearInterval(timer);
  }, []);
  const head = html`<h1>Fleet</h1><p class="quiet">Hearths on other boxes with engines of the same model. One that is full asks another before it asks a cloud.</p>`;
  if (error && (!data || error.denied)) return html`${head}<${Failed} error=${error} again=${again} />`;
  if (!data) return html`${head}<${Waiting} />`;
  /** @type {import("../types").FleetReport} */
  const report = data;
  return html`${head}
    ${error && html`<${Note} kind="warn"><p>This was not read again: ${error.message}. What is shown is older.</p></${Note}>`}
    ${report.peers.length ? html`<${Others} report=${report} />` : report.attached.length ? null : html`<${Alone} report=${report} />`}
    ${report.attached.length ? html`<${Attached} engines=${report.attached} />` : null}
    <${Store} store=${report.store} />`;
}

/** @param {{store: import("../types").StoreStanding | null}} props */
function Store({ store }) {
  const away = store?.away_s ?? null;
  return html`<h2>Store</h2>${
    store === null
      ? html`<p class="quiet">No store is configured: budgets, limits and breakers are each Hearth's own. <code>[fleet] store</code> names one.</p>`
      : away === null
        ? html`<p><${State} state="live">answers</${State}> The store ${store.url} answers; ${count(store.hearths)} Hearths are alive.</p>`
        : html`<p><${State} state="lost">away</${State}> The store ${store.url} has been away for ${duration(away)}: ${store.trouble}. ${count(store.hearths)} Hearths were alive when it was last heard.</p>`
  }`;
}

/** @param {{engines: import("../types").AttachedStanding[]}} props */
function Attached({ engines }) {
  return html`<h2>Engines that others send to</h2>
    <${Table} label="Engines that others send to" heads=${["engine", "#Hearths", "others", "#running", "#waiting", "#prompt tokens waiting", "#KV tokens", "heard"]}>
      ${engines.map(
        (each) => html`<tr key=${each.replica}><th scope="row">${each.replica}<br /><span class="quiet">${each.address}</span></th>
        <td class="n">${count(each.hearths)}</td><td>${each.names.filter(Boolean).join(", ") || "–"}</td>
        <td class="n">${count(each.running)}</td><td class="n">${count(each.waiting)}</td><td class="n">${count(each.prompt_tokens)}</td><td class="n">${count(each.kv_tokens)}</td>
        <td>${each.assumed ? html`<${State} state="stale">assumed</${State}>` : each.age_s === null ? "–" : `${duration(each.age_s)} ago`}</td></tr>`,
      )}
    </${Table}>
    <p class="quiet">What the other Hearths have in flight there, as they tell over the store. Assumed: nothing is heard, and each of them is taken to have as much as this one.</p>`;
}

/** @param {{report: import("../types").FleetReport}} props */
function Alone({ report }) {
  const named = report.own.name ? `This Hearth is ${report.own.name}, and` : "This Hearth";
  return html`<${Note}><p>${named} has no peers: everything is answered here or by a target. <code>[fleet] peers</code> and <code>key</code> of the settings file name the others; they are read at the start.</p></${Note}>
    <${Snippet} label="hearth.toml" text=${EXAMPLE} />`;
}

/** @param {{report: import("../types").FleetReport}} props */
function Others({ report }) {
  const differing = report.peers.filter((each) => each.differs.length > 0);
  const gone = report.peers.filter((each) => each.state !== "alive");
  return html`${gone.map((each) => html`<${Note} kind="warn"><p><strong>${called(each)}</strong> is ${each.state}: ${STATES[each.state] ?? ""}${each.trouble ? `. ${each.trouble}` : ""}</p></${Note}>`)}
    ${differing.map((each) => html`<${Note} kind="warn"><p><strong>${called(each)}</strong> has ${each.differs.map((name) => OTHER[name] ?? name).join(" and ")} than this Hearth: it may decide otherwise.</p></${Note}>`)}
    <${Table} label="Hearths" heads=${["Hearth", "state", "heard", "engine", "#running", "#waiting", "#first token", "over its threshold", "version", "settings"]}>
      <${Row} key="own" name=${`${report.own.name || "this Hearth"} (here)`} address="" state="alive" heard="now" summary=${report.own} differs=${[]} />
      ${report.peers.map((each) => html`<${Row} key=${each.address || each.via + called(each)} name=${called(each)} address=${each.address || (HEARD[each.via] ?? each.via)} state=${each.state} heard=${each.heard_ago_s === null ? "never" : `${duration(each.heard_ago_s)} ago`} summary=${each.summary} differs=${each.differs} />`)}
    </${Table}>
    <p class="quiet">The first token is that of a usual prompt, as the owner of the engine predicts it. A summary chooses whom to ask; the owner decides by its own ledger. Settings are a digest of those that decide: names, addresses and keys rightly differ.</p>`;
}

/** @param {{name: string, address: string, state: string, heard: string, summary: import("../types").PeerSummary | null, differs: string[]}} props */
function Row({ name, address, state, heard, summary, differs }) {
  const marked = (/** @type {string} */ what, /** @type {string} */ text) => (differs.includes(what) ? html`<strong>${text} (differs)</strong>` : text);
  return html`<tr><th scope="row">${name}${address && address !== name ? html`<br /><span class="quiet">${address}</span>` : null}</th>
    <td><${State} state=${state === "alive" ? "live" : state === "stale" ? "stale" : "lost"}>${state}</${State}></td><td>${heard}</td>
    ${
      summary
        ? html`<td>${marked("model", summary.model || "–")}${summary.ready ? null : html`<br /><span class="quiet">not up</span>`}</td>
      <td class="n">${count(summary.running)}</td><td class="n">${count(summary.waiting)}</td><td class="n">${ms(summary.predicted_ttft_ms)}</td>
      <td>${summary.over ? reason(summary.over) : "no"}</td><td>${marked("version", summary.version || "–")}</td><td>${marked("settings", summary.settings || "–")}</td>`
        : html`<td colspan="7" class="quiet">nothing is known of it</td>`
    }</tr>`;
}

/** @param {import("../types").PeerStanding} peer */
function called(peer) {
  return peer.summary?.name || peer.address || "a Hearth without a name";
}
