// Golden sets, how each target does on them, demotions with their evidence, and the cases that flipped.
import { Failed, Note, Table, useJson, Waiting } from "../parts.js";
import { html } from "../vendor.js";
import { count, dollars, moment, percent } from "../words.js";

const MODES = /** @type {Record<string, string>} */ ({
  act: "A target that gets worse is put behind the others for the set's task, until it recovers.",
  advise: "A target that gets worse is named here, and stays where it is.",
  off: "Nothing is evaluated by itself.",
});

export function Quality() {
  const { data, error, again } = useJson("hearth/quality");
  const head = html`<h1>Quality</h1><p class="quiet">Golden sets, your own prompts with checks, are asked of every model at night.</p>`;
  if (error) return html`${head}<${Failed} error=${error} again=${again} />`;
  if (!data) return html`${head}<${Waiting} />`;
  return html`${head}
    <p>${MODES[data.mode] ?? data.mode} ${data.sets.length > 0 && data.next_night ? `The next night begins ${moment(data.next_night)}. ` : ""}${dollars(data.spent_usd)} of ${dollars(data.daily_usd)} are spent on it today.</p>
    ${data.faults.map((/** @type {string} */ each) => html`<${Note} kind="bad"><p>${each}</p></${Note}>`)}
    ${data.running.map((/** @type {any} */ each) => html`<${Note}><p>A run is under way: ${each.id}.</p></${Note}>`)}
    <${Streams} streams=${data.streams} />
    <${Sets} sets=${data.sets} />
    ${data.sets.length > 0 && html`<${Latest} />`}
    ${data.judge.judge && html`<${Judge} judge=${data.judge} />`}
    <${Events} events=${data.events} />`;
}

/** @param {{streams: any[]}} props */
function Streams({ streams }) {
  if (!streams.length) return null;
  return html`<h2>Targets</h2><${Table} label="Targets on golden sets" heads=${["target", "set", "task", "state", "passes", "usually", "worse below", "evidence", "demoted at", "why"]}>${streams.map(
    (
      each,
    ) => html`<tr key=${`${each.target} ${each.set}`}><td>${each.target}</td><td>${each.set}</td><td>${each.task || "all"}</td><td><span class="tag ${each.state === "demoted" ? "bad" : each.state === "watched" ? "good" : ""}">${each.state}</span></td>
      <td>${each.rate === null && each.compared ? `${percent(each.versus)} against its own` : percent(each.rate)}</td><td>${percent(each.usual)}</td><td>${percent(each.floor)}</td><td>${count(Math.round(each.evidence))}</td><td>${count(Math.round(each.bar))}</td><td>${each.words}</td></tr>`,
  )}</${Table}>
  <p class="quiet">Evidence grows with each run below “worse below” and is worth a demotion at its bar, after two nights. A target is learning until it has five runs.</p>`;
}

/** @param {{sets: any[]}} props */
function Sets({ sets }) {
  if (!sets.length)
    return html`<${Note}><p>There is no golden set yet. <code>hearth eval import --from shipped general</code> writes one to begin with; its file belongs into <code>golden/</code> beside the settings.</p></${Note}>`;
  return html`<h2>Sets</h2><${Table} label="Golden sets" heads=${["set", "task", "cases", "targets", "file"]}>${sets.map(
    (each) =>
      html`<tr key=${each.name}><td>${each.name}</td><td>${each.task || "all"}</td><td>${count(each.cases)}</td><td>${each.targets.join(", ")}</td><td>${each.path}${each.warnings.map((/** @type {string} */ words) => html`<br /><span class="quiet">${words}</span>`)}</td></tr>`,
  )}</${Table}>`;
}

/** The latest run: the cases that came out otherwise than before, old and new answer side by side. */
function Latest() {
  const { data, error, again } = useJson("hearth/quality/runs/latest/report");
  if (error?.status === 404) return html`<p class="quiet">No run has ended yet: <code>hearth eval run</code> begins one.</p>`;
  if (error) return html`<${Failed} error=${error} again=${again} />`;
  if (!data) return html`<${Waiting} />`;
  return html`<h2>Latest run</h2>
    <${Table} label="Latest run" heads=${["target", "set", "passed", "before", "not passed", "cost"]}>${data.streams.map(
      (
        /** @type {any} */ each,
      ) => html`<tr key=${`${each.target} ${each.set}`}><td>${each.target}</td><td>${each.set}</td><td>${each.total ? `${each.passed} of ${each.verdicts}` : `${each.open_ended} open-ended`}</td><td>${each.passed_before === null ? "–" : `${each.passed_before} of ${each.verdicts_before}`}</td>
        <td>${Object.entries(each.grades)
          .filter(([name, n]) => name !== "pass" && n)
          .map(([name, n]) => `${name} ${n}`)
          .join(", ")}</td><td>${dollars(each.usd)}</td></tr>`,
    )}</${Table}>
    ${
      data.flips.length > 0 &&
      html`<h3>Flipped since the run before</h3><${Table} label="Flipped cases" heads=${["target", "case", "was", "is", "answer before", "answer now", "why"]}>${data.flips.map(
        (/** @type {any} */ each) =>
          html`<tr key=${`${each.target} ${each.set} ${each.case} ${each.repeat}`}><td>${each.target}</td><td>${each.set} ${each.case}</td><td>${each.before}</td><td>${each.now}</td><td class="long">${each.answer_before}</td><td class="long">${each.answer}</td><td>${each.words}</td></tr>`,
      )}</${Table}>`
    }`;
}

/** The judge's trust and weeks.
 * @param {{judge: any}} props */
function Judge({ judge }) {
  return html`<h2>Judge</h2><p>${judge.judge} <span class="tag ${judge.trusted ? "good" : judge.drifted ? "bad" : ""}">${judge.trusted ? "agrees with its anchors" : judge.drifted ? "has changed" : "advice alone"}</span> ${judge.trouble}</p>
    ${
      judge.weeks.length > 0 &&
      html`<${Table} label="Judged weeks" heads=${["week", "pairs", "no verdict", "flips", "agreement", "kappa", "biases", "cost", "void"]}>${judge.weeks.map(
        (/** @type {any} */ each) =>
          html`<tr key=${each.week}><td>${each.week}</td><td>${count(each.pairs)}</td><td>${percent(each.bias.failed)}</td><td>${percent(each.bias.flips)}</td><td>${percent(each.agreement?.share)}</td><td>${each.agreement ? each.agreement.kappa.value.toFixed(2) : "–"}</td><td>${each.bias.flagged.join(", ")}</td><td>${dollars(each.spent_usd)}</td><td>${each.void}</td></tr>`,
      )}</${Table}>
      <${Table} label="Win rates of the latest week" heads=${["answer of", "against", "task", "wins", "corrected"]}>${judge.weeks[0].rates.map(
        (/** @type {any} */ each) =>
          html`<tr><td>${each.a}</td><td>${each.b}</td><td>${each.task || "all"}</td><td>${range(each.rate)}</td><td>${range(each.corrected)}</td></tr>`,
      )}</${Table}>`
    }`;
}

/** @param {any} it */
const range = (it) => (it ? `${percent(it.value)} (${percent(it.low)} to ${percent(it.high)})` : "–");

/** @param {{events: any[]}} props */
function Events({ events }) {
  if (!events.length) return null;
  return html`<h2>Events</h2><${Table} label="Events" heads=${["when", "what", "target", "set", "words"]}>${events.map(
    (each) => html`<tr><td>${moment(each.at)}</td><td>${each.kind}</td><td>${each.target}</td><td>${each.set ?? ""}</td><td>${each.words ?? ""}</td></tr>`,
  )}</${Table}>`;
}
