// A list of decisions as a table. Shared by the overview and the page of decisions.
import { Code, Table } from "./parts.js";
import { html } from "./vendor.js";
import { count, dollars, moment, ms, spaced, why } from "./words.js";

/** @param {{rows: import("./types").DecisionBrief[]}} props */
export function Decisions({ rows }) {
  return html`<${Table} label="Decisions" heads=${["time", "asked for", "answered by", "why", "status", "#first token", "#total", "#tokens in + out", "#cost", "degraded"]}>
    ${rows.map(
      (
        each,
      ) => html`<tr key=${each.id}><td><a href="#/decisions/${each.id}">${moment(each.at)}</a></td><td>${each.model}</td><td>${each.target ?? "nobody"}</td>
      <td>${why(each)}</td><td><${Code} code=${each.status} /></td><td class="n">${ms(each.ttft_ms)}</td><td class="n">${ms(each.total_ms)}</td>
      <td class="n">${count(each.prompt_tokens)} + ${count(each.completion_tokens)}</td><td class="n">${dollars(each.cost_usd)}</td><td>${each.degraded.map(spaced).join(", ")}</td></tr>`,
    )}
  </${Table}>`;
}
