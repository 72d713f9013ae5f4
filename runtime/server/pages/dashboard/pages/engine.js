// The engine: its replicas, its GPUs, what it serves, and its log.
import { call } from "../api.js";
import { followLog, log, status } from "../live.js";
import { Failed, Note, State, Table, useAsk, useJson, Waiting } from "../parts.js";
import { html, useEffect, useRef, useState } from "../vendor.js";
import { count, duration, memory, percent, spaced } from "../words.js";

export function Engine() {
  const report = status.value;
  const models = useJson("v1/models");
  if (!report) return html`<h1>Engine</h1><${Waiting} />`;
  const { engine } = report;
  const local = models.data?.data?.filter((/** @type {any} */ each) => each.owned_by === "local") ?? [];
  return html`<h1>Engine</h1>
    <p>${engine.model} ${engine.device === "attached" ? "on attached servers" : `on ${engine.device}`}</p>
    ${engine.replicas.map(
      (
        each,
      ) => html`<section class="card" aria-label="Replica ${each.name}"><h2>${each.name} <${State} state=${each.state} />${each.asleep ? html` <span class="tag">asleep</span>` : null}</h2>
      ${each.cause && html`<${Note} kind=${each.state === "ready" ? "info" : "bad"}><p>${each.state === "ready" ? "Last failure: " : ""}${each.cause}</p></${Note}>`}
      <dl class="facts">
        <div><dt>in this state for</dt><dd>${duration(each.for_s)}${each.ready_in_s ? `, ready in about ${duration(each.ready_in_s)}` : ""}</dd></div>
        <div><dt>serves</dt><dd>${each.models.join(", ") || "–"}</dd></div>
        <div><dt>context window</dt><dd>${each.max_model_len === null ? "–" : `${count(each.max_model_len)} tokens`}</dd></div>
        <div><dt>in flight</dt><dd>${each.in_flight}</dd></div>
        <div><dt>reported by the engine</dt><dd>${each.running === null ? "nothing yet" : `${each.running} running, ${each.waiting} waiting, KV cache ${percent(each.kv_cache)}`}</dd></div>
        <div><dt>restarts</dt><dd>${each.restarts}</dd></div>
        <div><dt>process</dt><dd>${each.pid ?? (each.address || "–")}</dd></div>
      </dl></section>`,
    )}
    ${
      engine.gpus.length > 0 &&
      html`<h2>GPUs</h2><${Table} label="GPUs" heads=${["GPU", "name", "memory", "busy"]}>${engine.gpus.map(
        (gpu) =>
          html`<tr><td>${gpu.index}</td><td>${gpu.name}</td><td>${memory(gpu.memory_used)} of ${memory(gpu.memory_total)}</td><td>${percent(gpu.utilization)}</td></tr>`,
      )}</${Table}>`
    }
    <h2>Models</h2>
    ${local.length ? html`<ul>${local.map((/** @type {any} */ each) => html`<li><code>${each.id}</code>${each.max_model_len ? `, ${count(each.max_model_len)} tokens` : ""}</li>`)}</ul>` : html`<p class="quiet">${models.error ? models.error.message : "None yet."}</p>`}
    <p class="quiet"><a href="#/models">The catalogue</a> says which others fit this box, and how one is served.</p>
    ${report.chores.length > 0 && html`<h2>Background tasks</h2>`}
    <p>${report.chores.map((each) => html`<${State} state=${each.state}>${each.name} ${spaced(each.state)}${each.restarts ? `, ${each.restarts} restarts` : ""}</${State}> `)}</p>
    <${Log} />`;
}

const ROW = 18; // pixels of a line

function Log() {
  const first = useAsk(() => call("hearth/log?limit=1000"), []);
  const [paused, setPaused] = useState(/** @type {string[] | null} */ (null));
  const [wanted, setWanted] = useState("");
  const [level, setLevel] = useState("");
  const [top, setTop] = useState(0);
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    if (!first.data) return;
    log.value = first.data.data;
    followLog(true);
    return () => {
      followLog(false);
      log.value = [];
    };
  }, [first.data]);
  const all = paused ?? log.value;
  const lines = all.filter((line) => (!wanted || line.toLowerCase().includes(wanted.toLowerCase())) && (!level || line.includes(level)));
  useEffect(() => {
    if (!paused && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length, log.value, paused]);
  if (first.error)
    return html`<h2>Log</h2><${Failed} error=${first.error} again=${first.again} needs="The engine's log may hold prompts: it needs an admin key." />`;
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${all.join("\n")}\n`], { type: "text/plain" }));
    link.download = "engine.log";
    link.click();
    URL.revokeObjectURL(link.href);
  };
  // Only the lines in view are in the page, however many are kept.
  const begin = Math.max(0, Math.floor(top / ROW) - 20);
  const shown = lines.slice(begin, begin + 70);
  return html`<h2>Log</h2>
    <div class="filters"><label>Search <input value=${wanted} onInput=${(/** @type {any} */ e) => setWanted(e.target.value)} /></label>
      <label>Level <select value=${level} onChange=${(/** @type {any} */ e) => setLevel(e.target.value)}>${["", "INFO", "WARNING", "ERROR"].map((each) => html`<option value=${each}>${each || "every"}</option>`)}</select></label>
      <div class="buttons"><button type="button" aria-pressed=${paused !== null} onClick=${() => setPaused(paused ? null : log.value)}>${paused ? "Resume" : "Pause"}</button>
      <button type="button" onClick=${save}>Download</button> <span class="quiet">${count(lines.length)} of ${count(all.length)} lines</span></div></div>
    <div class="log tall snug" ref=${box} tabindex="0" role="log" aria-label="Log of the engine" aria-live="off" onScroll=${(/** @type {any} */ e) => setTop(e.target.scrollTop)}>
      ${lines.length ? html`<div style=${{ height: `${lines.length * ROW}px`, position: "relative" }}><pre class="window" style=${{ top: `${begin * ROW}px` }}>${shown.join("\n")}</pre></div>` : html`<p class="quiet">${all.length ? "No line fits." : "The engine has written nothing yet."}</p>`}
    </div>`;
}
