// Golden sets, demotions and their evidence.
import { Failed, Note, useJson, Waiting } from "../parts.js";
import { html } from "../vendor.js";

export function Quality() {
  const { data, error, again } = useJson("hearth/quality");
  const head = html`<h1>Quality</h1><p class="quiet">Golden sets are asked of every model; one that drifts is put behind the others until it recovers.</p>`;
  if (error?.status === 404 || error?.status === 405) return html`${head}<${Note}><p>This Hearth evaluates nothing yet.</p></${Note}>`;
  if (error) return html`${head}<${Failed} error=${error} again=${again} />`;
  if (!data) return html`${head}<${Waiting} />`;
  return html`${head}<pre tabindex="0" aria-label="State of the evaluation">${JSON.stringify(data, null, 2)}</pre>`;
}
