// Where `auto` would go now and why, what runs, what happened lately.
import { call, key } from "../api.js";
import { Chart } from "../chart.js";
import { connection, latest, readAt, status } from "../live.js";
import { Failed, Gauge, Note, Snippet, State, Table, useAsk, useJson, Waiting } from "../parts.js";
import { Decisions } from "../rows.js";
import { html, useEffect, useState } from "../vendor.js";
import { afterwards, clock, count, dollars, duration, ms, percent, reason, spaced } from "../words.js";

/** @typedef {import("../types").StatusReport} StatusReport */

const MINUTE = 60_000;

/** Whether `auto` stays, in words. @param {StatusReport} report */
export function stays(report) {
  const ready = report.engine.replicas.filter((each) => each.state === "ready").length;
  if (report.draining) return { yes: false, words: "Hearth is stopping: nothing new is taken" };
  if (!ready) {
    const soon = Math.min(...report.engine.replicas.map((each) => each.ready_in_s ?? Number.POSITIVE_INFINITY));
    const state = report.engine.replicas[0]?.state ?? "absent";
    const when = Number.isFinite(soon) ? `, ready in about ${duration(soon)}` : "";
    return { yes: false, words: `the engine is ${spaced(state)}${when}` };
  }
  if (report.load.over.length) return { yes: false, words: report.load.words };
  const limits = report.thresholds;
  if (!limits) return { yes: true, words: "" };
  const parts = [`${report.load.waiting} of ${limits.queue} queued`];
  if (report.load.kv_cache !== null) parts.push(`KV cache ${percent(report.load.kv_cache)} of ${percent(limits.kv_cache)}`);
  if (report.load.predicted_ttft_ms) parts.push(`first token in ${ms(report.load.predicted_ttft_ms)} of ${ms(limits.ttft_ms)}`);
  return { yes: true, words: parts.join(" · ") };
}

export function Overview() {
  const report = status.value;
  if (!report) return html`<h1>Overview</h1><${Waiting} />`;
  const { yes, words } = stays(report);
  const targets = report.targets.filter((each) => each.state === "available");
  const lost = connection.value.state === "lost";
  return html`<h1>Overview</h1>
    <section aria-labelledby="now">
      <h2 id="now">Would <code>auto</code> stay on this box now?</h2>
      <p class="verdict"><strong class="tag big ${lost ? "" : yes ? "good" : "warn"}">${yes ? "YES" : "NO"}</strong> ${lost ? `at ${clock(readAt.value / 1000)}, not known since. ` : ""}${words}</p>
      ${
        !yes &&
        html`<p class="quiet">${
          targets.length
            ? `Requests that may leave go to ${targets.map((each) => each.label).join(", ")} meanwhile.`
            : "No cloud target can take them: requests wait, or are refused with a time to try again."
        }</p>`
      }
      <${Gauges} report=${report} />
      <${Troubled} targets=${report.targets} />
    </section>
    ${!report.engine.replicas.some((each) => each.state === "ready") && html`<${Starting} report=${report} />`}
    <${History} report=${report} />
    <section aria-labelledby="running">
      <h2 id="running">Running now</h2>
      <${Running} report=${report} />
    </section>
    <section aria-labelledby="last">
      <h2 id="last">Last decisions</h2>
      ${latest.value.length ? html`<${Decisions} rows=${latest.value.slice(0, 10)} /><p><a href="#/decisions">All decisions</a></p>` : html`<${First} report=${report} />`}
    </section>`;
}

/** @param {{report: StatusReport}} props */
function Gauges({ report }) {
  const limits = report.thresholds;
  if (!limits) return null;
  const { load } = report;
  const busy = report.engine.gpus.length ? Math.max(...report.engine.gpus.map((each) => each.utilization)) : null;
  const back = (/** @type {(value: number) => string} */ show, /** @type {number} */ limit) => show(limit * limits.release);
  const by = (/** @type {string} */ name) => (limits.auto.includes(name) ? " (auto)" : "");
  return html`<div class="gauges">
    <${Gauge} name="First token" value=${load.predicted_ttft_ms} limit=${limits.ttft_ms} release=${limits.release}
      words=${`${load.predicted_ttft_ms ? `predicted ${ms(load.predicted_ttft_ms)}` : "nothing to predict from yet"}, leaves above ${ms(limits.ttft_ms)}, returns below ${back(ms, limits.ttft_ms)}`} />
    <${Gauge} name="Queue" value=${load.waiting} limit=${limits.queue} release=${limits.release} off=${limits.auto.includes("queue_depth")}
      words=${`${load.waiting} waiting, ${load.running} running; leaves at ${limits.queue}${by("queue_depth")}`} />
    <${Gauge} name="KV cache" value=${load.kv_cache} limit=${limits.kv_cache} release=${limits.release} off=${limits.auto.includes("kv_cache")}
      words=${`${load.kv_cache === null ? "not known yet" : `${percent(load.kv_cache)} in use`}; leaves at ${percent(limits.kv_cache)}${by("kv_cache")}, returns below ${back(percent, limits.kv_cache)}`} />
    ${
      busy !== null &&
      html`<${Gauge} name="GPU" value=${busy} limit=${limits.gpu} release=${limits.release} off=${limits.auto.includes("gpu_utilization")}
      words=${`${percent(busy)} busy; leaves at ${percent(limits.gpu)}${by("gpu_utilization")}, sustained for 5 s with requests running`} />`
    }
    <p class="quiet">A prompt also leaves when it scores ${limits.complexity} or more, or is longer than ${count(limits.context_tokens)} tokens.
      ${limits.auto.length ? " “Auto” thresholds lead only until the prediction has learned." : ""}</p>
  </div>`;
}

/** Targets that cannot take what leaves, or stand behind the others. @param {{targets: StatusReport["targets"]}} props */
function Troubled({ targets }) {
  const rows = targets.filter((each) => each.state !== "available" || each.breaker !== "closed" || each.notes.length);
  const told = (/** @type {StatusReport["targets"][0]} */ each) =>
    each.state !== "available"
      ? ` is not used: ${each.why}`
      : each.breaker !== "closed"
        ? ` ${each.held_s ? "is held back by hand" : `is not used, its breaker is ${spaced(each.breaker)}`}${each.held_s || each.retry_in_s ? `, for ${duration(each.held_s ?? each.retry_in_s)} more` : ""}${each.last_failure ? `; last failure: ${each.last_failure}` : ""}`
        : `: ${each.notes.join("; ")}`;
  return (
    rows.length > 0 && html`<${Note} kind="warn"><ul>${rows.map((each) => html`<li><a href="#/targets">${each.label}</a>${told(each)}</li>`)}</ul></${Note}>`
  );
}

/** @param {{report: StatusReport}} props */
function Starting({ report }) {
  const targets = report.targets.filter((each) => each.state === "available");
  return html`<section aria-labelledby="starting"><h2 id="starting">The engine is not ready</h2>
    ${report.engine.replicas.map(
      (each) =>
        html`<p>${each.name}: <${State} state=${each.state} /> for ${duration(each.for_s)}${
          each.ready_in_s ? `, ready in about ${duration(each.ready_in_s)}` : ""
        }${each.cause ? html`<br /><strong>${each.cause}</strong>` : null}</p>`,
    )}
    ${report.engine.log_tail.length > 0 && html`<pre class="log" tabindex="0" aria-label="Last lines of the engine's log">${report.engine.log_tail.slice(-5).join("\n")}</pre>`}
    <p>Answers until then come from: ${targets.length ? targets.map((each) => each.label).join(", ") : "nowhere; requests for auto are refused with a time to try again"}. <a href="#/engine">Engine and log</a></p>
  </section>`;
}

/** @param {{report: StatusReport}} props */
function History({ report }) {
  const [minutes, setMinutes] = useState(15);
  const asked = useAsk(() => call("hearth/series"), []);
  const [rows, setRows] = useState(/** @type {any} */ (null));
  useEffect(() => setRows(asked.data?.series ?? null), [asked.data]);
  useEffect(() => {
    const timer = setInterval(asked.again, 5000);
    return () => clearInterval(timer);
  }, []);
  if (asked.error && !rows)
    return html`<section aria-labelledby="hour"><h2 id="hour">Last hour</h2><${Failed} error=${asked.error} again=${asked.again} /></section>`;
  if (!rows) return html`<${Waiting} />`;
  const from = Math.max(0, rows.at.length - minutes * 12);
  const cut = (/** @type {string} */ name) => rows[name].slice(from);
  const times = cut("at");
  const sum = (/** @type {string} */ name) => rows[name].reduce((/** @type {number} */ a, /** @type {number} */ b) => a + (b ?? 0), 0);
  const limits = report.thresholds;
  const hour = { requests: sum("requests"), left: sum("left"), failed: sum("failed") };
  /** @type {[string, number][]} */
  const left = Object.entries(asked.data?.reasons ?? {});
  left.sort((one, other) => other[1] - one[1]);
  const firsts = rows.ttft_ms.filter((/** @type {number | null} */ value) => value !== null).sort((/** @type {number} */ a, /** @type {number} */ b) => a - b);
  const at = (/** @type {number} */ share) => firsts[Math.min(firsts.length - 1, Math.floor(share * firsts.length))] ?? null;
  return html`<section aria-labelledby="hour">
    <h2 id="hour">Last hour</h2>
    <p class="figures">
      <span><b>${count(hour.requests)}</b> requests</span> <span><b>${count(hour.requests - hour.left - hour.failed)}</b> on the box</span>
      <span><b>${count(hour.left)}</b> left the box</span> <span><b>${count(hour.failed)}</b> failed</span>
      ${firsts.length > 0 && html`<span>first token <b>${ms(at(0.5))}</b> median, <b>${ms(at(0.95))}</b> at the 95th percentile of 5 s steps</span>`}
      <span><b>${dollars(sum("cost_usd"))}</b> spent, the box counted where its price is set</span>
    </p>
    ${
      left.length > 0 &&
      html`<p>Why they left: ${left.map(([name, n], at) => html`${at > 0 && " · "}<a href="#/decisions?reason=${name}">${reason(name)} ${count(n)}</a>`)}</p>`
    }
    <${Budget} report=${report} />
    <${Elsewhere} />
    <div class="row"><div role="group" aria-label="Length of the charts" class="choice">
      ${[15, 60].map((each) => html`<button type="button" aria-pressed=${minutes === each} onClick=${() => setMinutes(each)}>${each === 60 ? "1 h" : "15 min"}</button>`)}
    </div></div>
    <div class="charts">
      <${Chart} title="Time to a first token" times=${times} limit=${limits?.ttft_ms} show=${ms}
        lines=${[{ name: "predicted", values: cut("predicted_ttft_ms"), colour: "--chart-1" }, { name: "measured", values: cut("ttft_ms"), colour: "--chart-2" }]} />
      <${Chart} title="Queue" times=${times} limit=${limits?.queue} show=${(/** @type {number | null} */ n) => (n === null ? "–" : String(Math.round(n * 10) / 10))}
        lines=${[{ name: "waiting", values: cut("waiting"), colour: "--chart-1" }, { name: "running", values: cut("running"), colour: "--chart-2" }]} />
      <${Chart} title="KV cache" times=${times} limit=${limits?.kv_cache} show=${percent} most=${1}
        lines=${[{ name: "in use", values: cut("kv_cache"), colour: "--chart-1" }]} />
      ${
        report.engine.gpus.length > 0 &&
        html`<${Chart} title="GPU" times=${times} limit=${limits?.gpu} show=${percent} most=${1}
        lines=${[{ name: "busy", values: cut("gpu"), colour: "--chart-1" }, { name: "memory", values: cut("gpu_memory"), colour: "--chart-2" }]} />`
      }
    </div>
  </section>`;
}

/** What was spent of each limit, in a fleet by all Hearths. @param {{report: StatusReport}} props */
function Budget({ report }) {
  const limits = report.budget?.limits.filter((each) => each.limit_usd !== null) ?? [];
  if (!report.budget || !limits.length) return null;
  const spent = limits.some((each) => each.spent);
  return html`<p>Budget: ${limits.map(
    (each, at) =>
      html`${at > 0 && " · "}${each.target ?? (each.key ? `key ${each.key}` : "all targets")}, ${each.period} ${each.name}: <b>${dollars(each.spent_usd + (each.others_spent_usd ?? 0))}</b> of ${dollars(each.limit_usd)}${each.others_spent_usd ? ` (${dollars(each.spent_usd)} here)` : ""}${each.spent ? html` <span class="tag bad">spent</span>` : null}`,
  )}. ${spent && html`<strong>From now on, ${afterwards(report.budget.when_spent)}.</strong> `}<a href="#/money">Money</a></p>`;
}

/** What the tokens of the last day cost, and what they would have cost at the baseline: the server's own sentence. */
function Elsewhere() {
  const { data, again } = useJson("hearth/summary?window=24h");
  useEffect(() => {
    const timer = setInterval(again, MINUTE);
    return () => clearInterval(timer);
  }, []);
  if (!data?.total.requests) return null;
  return html`<p>Last 24 hours: <b>${dollars(data.total.cost_usd)}</b>. ${
    data.baseline ? `${data.baseline.words}.` : html`<span class="quiet">What the same tokens cost elsewhere is not known: ${data.unmeasured}.</span>`
  } <a href="#/money">Money</a></p>`;
}

/** @param {{report: StatusReport}} props */
function Running({ report }) {
  const rows = report.running;
  const [answer, setAnswer] = useState(/** @type {any} */ (null));
  const cancel = async (/** @type {string} */ id) => {
    try {
      setAnswer({ found: await call(`hearth/running/${id}/cancel`, { method: "POST", json: {} }) });
    } catch (error) {
      setAnswer({ error });
    }
  };
  return html`<div aria-live="polite">
      ${answer?.found && html`<p>${answer.found.words}. <a href="#/decisions/${answer.found.id}">The decision</a></p>`}
      ${answer?.error && html`<${Failed} error=${answer.error} needs="Ending a request of somebody else needs an admin key." />`}
    </div>
    ${
      rows.length
        ? html`<${Table} label="Requests that run now" heads=${["request", "asked for", "where", "phase", "#prompt tokens", "#answer tokens", "#tokens/s", "#for", ""]}>
    ${rows.map(
      (each) => html`<tr key=${each.id}><td><code>${each.id}</code></td><td>${each.model}</td><td>${each.target || "–"}</td>
      <td><${State} state=${each.phase} /></td><td class="n">${count(each.prompt_tokens)}</td><td class="n">${each.tokens === null ? "not streamed" : count(each.tokens)}</td>
      <td class="n">${each.tokens_per_s ?? "–"}</td><td class="n">${duration(each.for_s)}</td>
      <td><button type="button" class="small" aria-label="Cancel ${each.id}" onClick=${() => cancel(each.id)}>Cancel</button></td></tr>`,
    )}
  </${Table}>`
        : html`<p class="quiet">Nothing runs.</p>`
    }`;
}

/** @param {{report: StatusReport}} props */
function First({ report }) {
  const base = report.address.startsWith("http") ? report.address : location.href.replace(/\/?#.*$/, "");
  const shown = key.value ? ` \\\n  -H "authorization: Bearer $HEARTH_KEY"` : "";
  const line = `curl ${base}/v1/chat/completions -H 'content-type: application/json'${shown} \\\n  -d '{"model": "auto", "messages": [{"role": "user", "content": "Hello"}]}'`;
  return html`<${Note}><p>No request has come yet. Send one, or ask in the <a href="#/playground">playground</a>${shown && html`, with a key of this Hearth in <code>HEARTH_KEY</code>`}:</p><${Snippet} label="A first request" text=${line} /></${Note}>`;
}
