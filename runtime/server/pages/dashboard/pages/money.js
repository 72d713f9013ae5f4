// What clouds cost, what they would have, and how reliable they were. Every number says what it counts.
import { Failed, Note, Table, useJson, Waiting } from "../parts.js";
import { status } from "../live.js";
import { html, useState } from "../vendor.js";
import { afterwards, count, dollars, duration, ms, percent, reason } from "../words.js";

const GROUPINGS = ["target", "model", "key", "route", "day"];

export function Money() {
  const [by, setBy] = useState("target");
  const [days, setDays] = useState(30);
  const { data, error, again } = useJson(`hearth/cost?by=${by}&days=${days}`);
  return html`<h1>Money</h1>
    <${Today} />
    <${Budget} />
    <h2>Cost</h2>
    <div class="filters"><label>By <select value=${by} onChange=${(/** @type {any} */ e) => setBy(e.target.value)}>${GROUPINGS.map((each) => html`<option value=${each} selected=${each === by}>${each}</option>`)}</select></label>
      <label>Over <select value=${days} onChange=${(/** @type {any} */ e) => setDays(Number(e.target.value))}>${[1, 7, 30, 90].map((each) => html`<option value=${each} selected=${each === days}>${each === 1 ? "today" : `${each} days`}</option>`)}</select></label></div>
    ${error && html`<${Failed} error=${error} again=${again} />`}
    ${!data && !error && html`<${Waiting} />`}
    ${data && html`<${Report} report=${data} />`}`;
}

function Today() {
  const { data, error, again } = useJson("hearth/summary?window=24h");
  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!data) return null;
  return html`<section aria-labelledby="today"><h2 id="today">Last 24 hours</h2>
    <p class="figures"><span><b>${count(data.total.requests)}</b> requests</span> <span><b>${count(data.local_requests)}</b> answered on the box</span>
      <span><b>${dollars(data.total.cost_usd)}</b> spent${data.total.unpriced ? `, and ${count(data.total.unpriced)} requests whose cost is not known` : ""}</span>
      <span>first token <b>${ms(data.ttft_p50_ms)}</b> median, <b>${ms(data.ttft_p95_ms)}</b> at the 95th percentile</span></p>
    <p>Today, in ${data.timezone}: ${dollars(data.today.cost_usd)} for ${count(data.today.requests)} requests.</p>
    <${Saved} baseline=${data.baseline} why=${data.unmeasured} />
    ${
      Object.keys(data.reasons).length > 0 &&
      html`<p>Why they left: ${Object.entries(data.reasons)
        .sort((a, b) => b[1] - a[1])
        .map(([name, n], at) => html`${at > 0 && " · "}<a href="#/decisions?reason=${name}">${reason(name)} ${count(/** @type {number} */ (n))}</a>`)}</p>`
    }
  </section>`;
}

/** One counterfactual, named with its price and the day of that. @param {{baseline: any, why: string}} props */
function Saved({ baseline, why }) {
  if (!baseline) return html`<p class="quiet">Savings are not measured: ${why || "no baseline is set"}.</p>`;
  return html`<p>${baseline.saving_usd === null ? "" : html`<b>${dollars(baseline.saving_usd)}</b> saved (${percent(baseline.share)}) over ${count(baseline.compared)} requests whose cost is known. `}${baseline.words}. <span class="quiet">Per million tokens, ${dollars(baseline.input)} read and ${dollars(baseline.output)} written.</span></p>`;
}

function Budget() {
  const budget = /** @type {any} */ (status.value)?.budget;
  if (!budget?.limits.length) return null;
  const shared = budget.limits.some((/** @type {any} */ each) => each.others_spent_usd !== null);
  return html`<section aria-labelledby="budget"><h2 id="budget">Budget</h2>
    <p class="quiet">Once a limit is spent, ${afterwards(budget.when_spent)}.${shared && " The Hearths of the fleet share the limits: spent is what this one did, by others what the others did."}</p>
    <${Table} label="Limits of the budget" heads=${["of", "period", "#spent", ...(shared ? ["#by others"] : []), "#reserved", "#limit", "#left", "#ends in"]}>${budget.limits.map(
      (
        /** @type {any} */ each,
      ) => html`<tr><td>${each.target ?? (each.key ? `key ${each.key}` : "all targets")}</td><td>${each.period} ${each.name}</td><td class="n">${dollars(each.spent_usd)}${each.spent ? html` <span class="tag bad">spent</span>` : null}</td>${shared && html`<td class="n">${dollars(each.others_spent_usd)}</td>`}<td class="n">${dollars(each.reserved_usd)}</td>
      <td class="n">${each.limit_usd === null ? "none" : dollars(each.limit_usd)}</td><td class="n">${dollars(each.left_usd)}</td><td class="n">${duration(each.ends_in_s)}</td></tr>`,
    )}</${Table}></section>`;
}

/** @param {{report: any}} props */
function Report({ report }) {
  const row = (
    /** @type {any} */ each,
  ) => html`<tr key=${each.name}><td>${each.name === "none" ? "nobody" : each.name}</td><td class="n">${count(each.requests)}</td><td class="n">${count(each.failed)}</td><td class="n">${count(each.prompt_tokens)}</td><td class="n">${count(each.cached_tokens)}</td><td class="n">${count(each.completion_tokens)}</td>
    <td class="n">${dollars(each.cost_usd)}</td><td class="n">${each.unpriced ? `${count(each.unpriced)} (${percent(each.unpriced_share)})` : "0"}</td><td class="n">${dollars(each.baseline_usd)}</td><td class="n">${dollars(each.saving_usd)}</td></tr>`;
  if (!report.total.requests) return html`<${Note}><p>No request was answered from ${report.from} to ${report.to}.</p></${Note}>`;
  const days = report.rows.flatMap((/** @type {any} */ each) => (each.days ?? []).map((/** @type {any} */ day) => ({ name: each.name, ...day })));
  return html`<p class="quiet">${report.from} to ${report.to}, days in ${report.timezone}. “–”: not known; it is never counted as 0.</p>
    <${Table} label="Cost" heads=${[report.by, "#requests", "#failed", "#tokens read", "#cached", "#tokens written", "#cost", "#without a price", "#at the baseline", "#saved"]}>${report.rows.map(row)}${row({ ...report.total, name: "all" })}</${Table}>
    <${Saved} baseline=${report.baseline} why=${report.unmeasured} />
    <p class="quiet">Not counted: ${report.not_counted.join("; ")}.</p>
    ${report.notes.map((/** @type {string} */ each) => html`<p class="quiet">${each}</p>`)}
    ${
      days.length > 0 &&
      html`<h2>Reliability by day</h2><${Table} label="Reliability by day" heads=${["target", "day", "#attempts", "#went well", "#failed over", "#429", "#first token median", "#95th percentile", "#breaker open"]}>${days.map(
        (/** @type {any} */ each) =>
          html`<tr><td>${each.name}</td><td>${each.day}</td><td class="n">${count(each.attempts)}</td><td class="n">${percent(each.success, 1)}</td><td class="n">${count(each.failovers)}</td><td class="n">${count(each.rate_limited)}</td><td class="n">${ms(each.ttft_p50_ms)}</td><td class="n">${ms(each.ttft_p95_ms)}</td><td class="n">${duration(each.breaker_open_s)}</td></tr>`,
      )}</${Table}>`
    }`;
}
