// A line chart with its threshold, its latest value in words, and its numbers as a table.
import { painted } from "./colours.js";
import { html, useEffect, useRef } from "./vendor.js";
import uPlot from "./vendor-plot.js";
import { clock } from "./words.js";

/** A colour of the page's style as the scheme makes it. @param {HTMLElement} element where it is computed @param {string} name */
function colour(element, name) {
  element.style.color = `var(${name})`;
  return getComputedStyle(element).color;
}

/**
 * @param {{title: string, times: number[], lines: {name: string, values: (number | null)[], colour: string}[],
 *   limit?: number, show: (value: number | null) => string, most?: number}} props
 */
export function Chart({ title, times, lines, limit, show, most }) {
  const place = useRef(/** @type {HTMLElement | null} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const paint = painted.value;
  const known = lines.some((line) => line.values.some((value) => value !== null));
  useEffect(() => {
    const element = place.current;
    if (!element || !known) return;
    const axis = { stroke: colour(element, "--ink-2"), grid: { stroke: colour(element, "--line"), width: 1 }, ticks: { show: false } };
    const font = `11px ${getComputedStyle(element).fontFamily}`;
    const options = {
      width: element.clientWidth || 300,
      height: 150,
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: true },
        y: {
          range: (/** @type {any} */ _, /** @type {number} */ _low, /** @type {number} */ high) => [
            0,
            most ?? Math.max((limit ?? 0) * 1.15, (high || 0) * 1.1, 1e-9),
          ],
        },
      },
      axes: [
        { ...axis, font, size: 24, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((at) => clock(at).slice(0, 5)) },
        { ...axis, font, size: 58, values: (/** @type {any} */ _, /** @type {number[]} */ ticks) => ticks.map((value) => show(value)) },
      ],
      series: [
        {},
        ...lines.map((line) => ({
          label: line.name,
          stroke: colour(element, line.colour),
          width: 2,
          dash: line.colour === "--chart-2" ? [2, 4] : [],
          spanGaps: false,
          points: { show: line.values.filter((value) => value !== null).length < 3 },
        })),
        ...(limit === undefined ? [] : [{ label: "threshold", stroke: colour(element, "--limit"), width: 2, dash: [8, 5], points: { show: false } }]),
      ],
    };
    const data = [times, ...lines.map((line) => line.values), ...(limit === undefined ? [] : [times.map(() => limit)])];
    chart.current = new uPlot(options, data, element);
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: element.clientWidth || 300, height: 150 }));
    watch.observe(element);
    return () => {
      watch.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [paint, known, limit, lines.length, most]);
  useEffect(() => {
    const data = [times, ...lines.map((line) => line.values), ...(limit === undefined ? [] : [times.map(() => limit)])];
    chart.current?.setData(data);
  }, [times]);
  const last = lines.map((line) => `${line.name} ${show(line.values.at(-1) ?? null)}`).join(", ");
  const words = `${last}${limit === undefined ? "" : `; threshold ${show(limit)}`}`;
  const every = Math.max(1, Math.ceil(times.length / 12));
  return html`<figure class="chart">
    <figcaption><strong>${title}</strong> <span class="quiet caption">${words}</span></figcaption>
    ${
      known
        ? html`<div ref=${place} class="plot" role="img" aria-label="${title}: ${words}"></div>`
        : html`<p class="quiet plot empty">No value in this time.</p>`
    }
    <p class="legend">${lines.map((line) => html`<span class="key key-${line.colour.slice(2)}">${line.name}</span>`)}
      ${limit !== undefined && html`<span class="key key-limit">threshold</span>`}</p>
    <details><summary>Numbers</summary><div class="scroll" tabindex="0" role="region" aria-label="Numbers of ${title}"><table>
      <thead><tr><th scope="col">time</th>${lines.map((line) => html`<th scope="col">${line.name}</th>`)}</tr></thead>
      <tbody>${times.map((at, place) =>
        place % every === 0 ? html`<tr><td>${clock(at)}</td>${lines.map((line) => html`<td>${show(line.values[place] ?? null)}</td>`)}</tr>` : null,
      )}</tbody></table></div></details>
  </figure>`;
}
