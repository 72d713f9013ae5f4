// The catalogue of models: which fit this box, which are on its disk, and who serves them.
import { call } from "../api.js";
import { Failed, Note, Snippet, State, Table, useJson, Waiting } from "../parts.js";
import { status } from "../live.js";
import { html, useState } from "../vendor.js";
import { count, duration, memory, ms, spaced } from "../words.js";

const SHOWN = /** @type {[string, string, (each: any) => boolean][]} */ ([
  ["all", "all", () => true],
  ["fit", "that fit this box", (each) => each.fits],
  ["here", "on its disk", (each) => each.disk_bytes > 0],
]);

export function Models() {
  const { data, error, again } = useJson("hearth/models");
  const [shown, setShown] = useState("all");
  const head = html`<h1>Models</h1><p class="quiet">The models that Hearth knows by name. Any other of the hub, <code>org/name</code>, and any folder can be served too.</p>`;
  if (error) return html`${head}<${Failed} error=${error} again=${again} />`;
  if (!data) return html`${head}<${Waiting} />`;
  const rows = data.data.filter(SHOWN.find(([name]) => name === shown)?.[2]);
  return html`${head}
    <${Served} />
    <${Loaded} />
    <${Adapters} />
    <h2>Catalogue</h2>
    <div class="filters"><label>Models <select value=${shown} onChange=${(/** @type {any} */ e) => setShown(e.target.value)}>${SHOWN.map(([name, words]) => html`<option value=${name} selected=${name === shown}>${words}</option>`)}</select></label></div>
    <p class="quiet">“Fits” is for 4 requests of 8 192 tokens at once; <code>hearth models fit NAME</code> judges others.</p>
    ${
      rows.length
        ? html`<${Table} label="Catalogue of models" heads=${["model", "fits this box", "served by", "on disk", "weights", "window", "can", "licence"]}>${rows.map((/** @type {any} */ each) => html`<${Row} key=${each.name} row=${each} />`)}</${Table}>`
        : data.data.length === 0
          ? html`<${Note}><p>The catalogue is empty. Models are named by their place in the hub or on this disk.</p></${Note}>`
          : html`<${Note}><p>${shown === "here" ? "No model of the catalogue is on this disk yet." : "No model of the catalogue fits this box; smaller ones of the hub may."} <button type="button" onClick=${() => setShown("all")}>Show all</button></p></${Note}>`
    }
    <h2>Another model</h2>
    <p>Fetch it and name it in the settings file: a running Hearth exchanges its engine for it.</p>
    <${Snippet} label="Serving another model" text=${'hearth models pull NAME\n\n[engine]\nmodel = "NAME"'} />`;
}

/** What is served now. */
function Served() {
  const report = status.value;
  if (!report) return null;
  const { engine } = report;
  return html`<p>This box serves ${engine.replicas.map((each) => html`<code>${engine.model}</code> on ${each.name} <${State} state=${each.state} /> `)}
    <a href="#/engine">Engine and its log</a></p>`;
}

/** The models of the settings beside the engine's own, and what an operator can do to them. */
function Loaded() {
  const models = status.value?.models ?? [];
  if (!models.length) return null;
  return html`<h2>Loaded and not loaded</h2>${models.map((each) => html`<${Model} key=${each.name} model=${each} others=${models.filter((other) => other.name !== each.name)} />`)}`;
}

/** The LoRA adapters of the local models. One of somebody else's server has no folder, and is unloaded by its owner. */
function Adapters() {
  const { data, again } = useJson("hearth/adapters");
  const [error, setError] = useState(/** @type {any} */ (null));
  const unload = async (/** @type {string} */ name) => {
    setError(null);
    try {
      await call(`hearth/adapters/${encodeURIComponent(name)}/unload`, { method: "POST", json: {} });
      again();
    } catch (refused) {
      setError(refused);
    }
  };
  if (!data?.data.length) return null;
  const rows = data.data.map(
    (/** @type {any} */ each) => html`<tr key=${each.name}><td><strong>local/${each.name}</strong></td><td>${each.target}</td>
      <td>${each.ready ? "ready" : each.cause || "waits for its engine"}</td><td class="wrap">${each.folder || "of an attached server"}</td>
      <td>${each.folder ? html`<button type="button" aria-label="Unload ${each.name}" onClick=${() => unload(each.name)}>Unload</button>` : null}</td></tr>`,
  );
  return html`<h2>Adapters</h2>
    <${Table} label="LoRA adapters" heads=${["adapter", "of", "state", "folder", "unload"]}>${rows}</${Table}>
    ${error && html`<${Failed} error=${error} needs="This changes the server: it needs an admin key." />`}`;
}

/** @param {string} name */
const plain = (name) => name.replace(/^local\//, "");

/**
 * What will happen is asked first and shown; a second press does it.
 * @param {{model: import("../types").ModelStatus, others: import("../types").ModelStatus[]}} props
 */
function Model({ model, others }) {
  const [asked, setAsked] = useState(/** @type {any} */ (null));
  const [error, setError] = useState(/** @type {any} */ (null));
  const [to, setTo] = useState(plain(others[0]?.name ?? ""));
  const command = async (/** @type {string} */ verb, /** @type {boolean} */ dry) => {
    const json = { dry, ...(verb === "swap" ? { to } : {}) };
    setError(null);
    try {
      const answer = await call(`hearth/models/${encodeURIComponent(plain(model.name))}/${verb}`, { method: "POST", json });
      setAsked(dry ? { verb, words: answer.words } : null);
    } catch (refused) {
      setAsked(null);
      setError(refused);
    }
  };
  const up = ["fetching", "loading", "ready"].includes(model.state);
  const where = model.gpus.length ? `GPU ${model.gpus.join(", ")}` : "this machine";
  return html`<section class="card" aria-label="Model ${model.name}">
    <h3>${model.name} <span class="quiet">${model.model}</span> <${State} state=${model.state} /></h3>
    ${(model.cause || model.why) && html`<p>${model.cause || model.why}${model.wait_s === null ? "" : `, for ${duration(model.wait_s)} at most`}</p>`}
    <dl class="facts">
      <div><dt>loaded</dt><dd>${spaced(model.load)}</dd></div>
      <div><dt>memory</dt><dd>${model.memory ? `${memory(model.memory)} of ${where}` : "none"}</dd></div>
      <div><dt>in flight</dt><dd>${count(model.in_flight)}${model.waiting ? `, ${count(model.waiting)} waiting` : ""}</dd></div>
      <div><dt>predicted first token</dt><dd>${model.predicted_ttft_ms === null ? "–" : ms(model.predicted_ttft_ms)}</dd></div>
    </dl>
    <div class="buttons">
      <button type="button" onClick=${() => command(up ? "unload" : "load", true)}>${up ? "Unload" : "Load"} …</button>
      ${
        model.state === "ready" && others.length
          ? html`<label>Swap for <select value=${to} onChange=${(/** @type {any} */ e) => setTo(e.target.value)}>${others.map((each) => html`<option value=${plain(each.name)}>${each.name}</option>`)}</select></label>
        <button type="button" onClick=${() => command("swap", true)}>Swap …</button>`
          : null
      }
    </div>
    <div aria-live="polite">
      ${
        asked &&
        html`<${Note}><p>${asked.words}.</p><div class="buttons"><button type="button" onClick=${() => command(asked.verb, false)}>Do it</button>
        <button type="button" onClick=${() => setAsked(null)}>Leave it</button></div></${Note}>`
      }
      ${error && html`<${Failed} error=${error} needs="This changes the server: it needs an admin key." />`}
    </div>
  </section>`;
}

/** @param {{row: any}} props */
function Row({ row }) {
  const [first = "", ...rest] = row.why;
  return html`<tr><td><strong>${row.name}</strong><br /><span class="quiet">${row.title}${row.hub ? html`<br /><code>${row.hub}</code>` : null}</span></td>
    <td>${row.fits === null ? html`<span class="tag">not known</span>` : html`<span class="tag ${row.fits ? "good" : "bad"}">${row.fits ? "fits" : "does not fit"}</span>`}
      <details class="wrap"><summary>Why</summary><p>${first}</p><ul>${rest.map((/** @type {string} */ each) => html`<li>${each}</li>`)}</ul></details></td>
    <td>${row.served_by.map((/** @type {string} */ each) => (each === "local" ? html`<strong>this box</strong> ` : html`<a href="#/targets">${each}</a> `))}${row.served_by.length ? null : "nobody"}</td>
    <td>${row.disk_bytes ? `${memory(row.disk_bytes)}${row.whole ? "" : ", unfinished"}` : "no"}</td><td>${memory(row.weights_bytes)}</td><td>${count(row.context)}</td>
    <td>${[...row.modalities, ...(row.tools ? ["tools"] : [])].join(", ")}</td><td class="wrap">${row.licence}${row.gated ? ", gated" : ""}</td></tr>`;
}
