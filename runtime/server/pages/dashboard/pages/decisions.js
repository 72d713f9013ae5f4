// The decision records: a list with filters, and one of them in full.
import { call } from "../api.js";
import { latest } from "../live.js";
import { Code, Copy, Failed, Note, Table, useJson, Waiting } from "../parts.js";
import { Decisions } from "../rows.js";
import { html, useEffect, useState } from "../vendor.js";
import { count, dollars, moment, ms, percent, reason, score, spaced, why } from "../words.js";

const PAGE = 50;
const MOST_LIVE = 80; // rows of a list that grows by itself
const MOST_EXPORTED = 10_000;
const REASONS =
  "default pinned rule task complexity confidence context modality capability queue_depth kv_cache gpu ttft engine_down requires budget quality session fallback".split(
    " ",
  );
/** @type {Record<string, string>} */
const NAMES = { target: "answered by", reason: "why", status: "status", since: "from", until: "until" };

/** @param {Record<string, string>} filters */
function query(filters, more = {}) {
  const times = /** @type {Record<string, string>} */ ({});
  for (const name of ["since", "until"]) {
    const text = filters[name];
    if (text) times[name] = String(new Date(text).getTime() / 1000);
  }
  return new URLSearchParams({ ...filters, ...times, ...more }).toString();
}

/** @param {{asked: URLSearchParams}} props */
export function DecisionList({ asked }) {
  const filters = Object.fromEntries([...asked].filter(([name, value]) => name in NAMES && value));
  const filtered = Object.keys(filters).length > 0;
  const [paused, setPaused] = useState(false);
  const [rows, setRows] = useState(/** @type {any[] | null} */ (null));
  const [more, setMore] = useState(false);
  const [error, setError] = useState(/** @type {any} */ (null));
  const where = query(filters);
  const read = async (/** @type {string} */ before = "") => {
    try {
      const found = await call(`hearth/decisions?${query(filters, { limit: String(PAGE), ...(before ? { before } : {}) })}`);
      setRows((known) => (before ? [...(known ?? []), ...found.data.map(brief)] : found.data.map(brief)));
      setMore(found.has_more ?? found.data.length === PAGE);
      setError(null);
    } catch (fault) {
      setError(fault);
    }
  };
  useEffect(() => {
    setRows(null);
    read();
  }, [where]);
  useEffect(() => {
    if (paused || !rows || filtered) return;
    const known = new Set(rows.map((each) => each.id));
    const fresh = latest.value.filter((each) => !known.has(each.id) && each.id > (rows[0]?.id ?? ""));
    if (!fresh.length) return;
    const most = Math.max(MOST_LIVE, rows.length);
    if (fresh.length + rows.length > most) setMore(true);
    setRows([...fresh, ...rows].slice(0, most));
  }, [latest.value, paused]);
  const set = (/** @type {string} */ name, /** @type {string} */ value) => {
    const next = new URLSearchParams({ ...filters, [name]: value });
    for (const [each, text] of [...next]) if (!text) next.delete(each);
    location.hash = `#/decisions${[...next].length ? `?${next}` : ""}`;
  };
  return html`<h1>Decisions</h1>
    <form class="filters" onSubmit=${(/** @type {Event} */ e) => e.preventDefault()}>
      <label>Answered by <input value=${filters.target ?? ""} placeholder="local/… or provider/model" onChange=${(/** @type {any} */ e) => set("target", e.target.value.trim())} /></label>
      <label>Why <select value=${filters.reason ?? ""} onChange=${(/** @type {any} */ e) => set("reason", e.target.value)}>
        <option value="">any reason</option>${REASONS.map((each) => html`<option value=${each} selected=${filters.reason === each}>${reason(each)}</option>`)}</select></label>
      <label>Status <select value=${filters.status ?? ""} onChange=${(/** @type {any} */ e) => set("status", e.target.value)}>
        ${[
          ["", "any status"],
          ["2xx", "answered"],
          ["4xx", "4xx: refused or left"],
          ["5xx", "5xx: failed"],
        ].map(([value, words]) => html`<option value=${value} selected=${(filters.status ?? "") === value}>${words}</option>`)}</select></label>
      <label>From <input type="datetime-local" value=${filters.since ?? ""} onChange=${(/** @type {any} */ e) => set("since", e.target.value)} /></label>
      <label>Until <input type="datetime-local" value=${filters.until ?? ""} onChange=${(/** @type {any} */ e) => set("until", e.target.value)} /></label>
      <div class="buttons"><button type="button" aria-pressed=${paused} disabled=${filtered} onClick=${() => setPaused(!paused)}>${paused ? "Resume" : "Pause"}</button>
      <${Export} where=${filters} /></div>
    </form>
    ${error && html`<${Failed} error=${error} again=${() => read()} />`}
    ${!error && !rows && html`<${Waiting} />`}
    ${rows && !rows.length && (filtered ? html`<${NoneFound} filters=${filters} drop=${set} />` : html`<${Note}><p>No decision is kept yet. The first request makes one: <a href="#/playground">ask in the playground</a>.</p></${Note}>`)}
    ${
      rows &&
      rows.length > 0 &&
      html`<${Decisions} rows=${rows} />
      <p>${more ? html`<button type="button" onClick=${() => read(rows.at(-1).id)}>Older</button>` : html`<span class="quiet">That is all that is kept.</span>`}</p>`
    }`;
}

/** A record as the list shows it. @param {any} record */
function brief(record) {
  return { ...record, attempts: record.attempts?.length ?? 0, degraded: record.degraded ?? [], target: record.target ?? null };
}

/** @param {{filters: Record<string, string>, drop: (name: string, value: string) => void}} props */
function NoneFound({ filters, drop }) {
  return html`<${Note}><p>No kept decision fits: ${Object.entries(filters)
    .map(([name, value]) => `${NAMES[name]} ${value}`)
    .join(", ")}.</p>
    <p>${Object.keys(filters).map((name) => html`<button type="button" onClick=${() => drop(name, "")}>Drop “${NAMES[name]}”</button> `)}</p></${Note}>`;
}

/** @param {{where: Record<string, string>}} props */
function Export({ where }) {
  const [words, setWords] = useState("Export as JSONL");
  const save = async () => {
    const lines = [];
    let before = "";
    try {
      while (lines.length < MOST_EXPORTED) {
        setWords(`Reading … ${lines.length}`);
        const { data } = await call(`hearth/decisions?${query(where, { limit: "500", ...(before ? { before } : {}) })}`);
        lines.push(...data.map((/** @type {any} */ each) => JSON.stringify(each)));
        if (data.length < 500) break;
        before = data.at(-1).id;
      }
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([`${lines.join("\n")}\n`], { type: "application/jsonl" }));
      link.download = "decisions.jsonl";
      link.click();
      URL.revokeObjectURL(link.href);
      setWords(`Exported ${lines.length}${lines.length >= MOST_EXPORTED ? ", the latest alone" : ""}`);
    } catch (error) {
      setWords(`Not exported: ${/** @type {Error} */ (error).message}`);
    }
    setTimeout(() => setWords("Export as JSONL"), 4000);
  };
  return html`<button type="button" onClick=${save}>${words}</button>`;
}

/** @param {{id: string}} props */
export function DecisionDetail({ id }) {
  const { data: record, error, again } = useJson(`hearth/decisions/${encodeURIComponent(id)}`);
  if (error) {
    return html`<h1>Decision</h1>${
      error.status === 404
        ? html`<${Note}><p>No decision <code>${id}</code> is kept: it is older than the records that are kept (<code>[records]</code>), or the id is wrong.</p><p><a href="#/decisions">All decisions</a></p></${Note}>`
        : html`<${Failed} error=${error} again=${again} />`
    }`;
  }
  if (!record) return html`<h1>Decision</h1><${Waiting} />`;
  const attempts = record.attempts ?? [];
  const total = Math.max(record.total_ms, ...attempts.map((/** @type {any} */ each) => each.ended_ms), 1);
  const kept = record.kept;
  return html`<h1>Decision <code>${record.id}</code> <${Copy} text=${record.id}>Copy id</${Copy}></h1>
    <p class="verdict"><${Code} code=${record.status ?? 200} /> ${record.target ? html`answered by <strong>${record.target}</strong>` : "answered by nobody"} · ${why(record)}</p>
    ${record.words && html`<p>${record.target ? "" : "What was planned: "}${record.words}</p>`}
    ${record.degraded?.length > 0 && html`<${Note} kind="warn">Degraded: ${record.degraded.map(spaced).join(", ")}</${Note}>`}
    ${record.advice && html`<${Note}>Mode “act” would have sent it away: ${reason(record.advice)}.</${Note}>`}
    <dl class="facts">
      ${[
        ["asked for", record.model],
        ["when", moment(record.at)],
        ["wire", spaced(record.dialect)],
        ["first token", ms(record.ttft_ms)],
        ["total", ms(record.total_ms)],
        [
          "tokens",
          `${count(record.prompt_tokens ?? 0)} read, ${count(record.cached_tokens ?? 0)} of them cached, ${count(record.completion_tokens ?? 0)} written`,
        ],
        ["cost", record.cost_usd === null || record.cost_usd === undefined ? "no price is known" : dollars(record.cost_usd)],
        ["task", record.task ?? "not classified"],
        ["score", score(record.score) || "not computed"],
        ["requires", record.requires?.join(", ") || "none"],
        ["personal data", record.personal?.join(", ") || "none found, or not looked for"],
        ["conversation", record.session ?? "none"],
      ].map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}
    </dl>
    <h2>Candidates</h2>
    ${
      record.considered?.length
        ? html`<${Table} label="Candidates" heads=${["target", "reason", "why", "#these tokens there"]}>${record.considered.map(
            (/** @type {any} */ each) =>
              html`<tr><td>${each.target}</td><td>${reason(each.reason ?? "")}</td><td>${each.words}</td><td class="n">${dollars(each.cost_usd)}</td></tr>`,
          )}</${Table}>`
        : html`<p class="quiet">None were considered.</p>`
    }
    <h2>Attempts</h2>
    ${
      attempts.length
        ? html`<ol class="attempts">${attempts.map(
            (/** @type {any} */ each) => html`<li>
          <div class="row"><strong>${each.target}</strong> <${Code} code=${each.status ?? (each.outcome && each.outcome !== "ok" ? 500 : 200)} /> ${each.outcome ?? "ok"}
            <span class="quiet">${ms(each.started_ms)} to ${ms(each.ended_ms)}${each.first_token_ms ? `, first token at ${ms(each.first_token_ms)}` : ""}${dollars(each.cost_usd) === "–" ? "" : `, ${dollars(each.cost_usd)}`}</span></div>
          <span class="timeline" aria-hidden="true"><span class="${each.outcome && each.outcome !== "ok" ? "bad" : ""}" style=${{ left: `${(100 * each.started_ms) / total}%`, width: `${Math.max(0.5, (100 * (each.ended_ms - each.started_ms)) / total)}%` }}></span></span>
          ${each.message && html`<p class="quiet">${each.message}</p>`}</li>`,
          )}</ol>`
        : html`<p class="quiet">No target was tried.</p>`
    }
    <h2>The box as it was</h2>
    ${kept?.engine ? html`<${AsItWas} kept=${kept} />` : html`<p class="quiet">${kept ? "The load of the engine was not part of this decision." : "This record does not hold it."}</p>`}
    <p class="buttons"><a class="button" href="#/what-if">What would have happened under other settings</a></p>`;
}

/** @param {{kept: any}} props */
function AsItWas({ kept }) {
  const { engine, limits = [] } = kept;
  const ratios = Object.entries(engine.ratios ?? {});
  return html`<dl class="facts">
      <div><dt>replicas ready</dt><dd>${engine.ready ?? 1}</dd></div>
      <div><dt>predicted first token</dt><dd>${ms(1000 * (engine.predicted_ttft_s ?? 0))}${limits[3] ? ` of ${ms(limits[3])}` : ""}</dd></div>
      <div><dt>over its threshold</dt><dd>${engine.over ? reason(engine.over) : "nothing"}</dd></div>
      ${ratios.map(([name, ratio]) => html`<div><dt>${reason(name)}</dt><dd>${percent(/** @type {number} */ (ratio))} of its threshold</dd></div>`)}
    </dl>
    ${kept.score !== undefined && kept.score !== null && html`<p class="quiet">Score ${score(kept.score)}.</p>`}`;
}
