// A question by hand: the decision before it is sent, the answer as it streams, and the same request as code.
import { call, events, key, Refusal, request } from "../api.js";
import { Code, Note, Snippet, useJson } from "../parts.js";
import { html, useEffect, useRef, useSignal, useState } from "../vendor.js";
import { count, dollars, ms, reason, score } from "../words.js";

const MOST_IMAGE = 10_000_000;

/** The conversation of this tab, in memory alone: it is gone with the tab. */
const memory = { prompt: "", system: "", model: "auto", other: "", requires: "", ttft: "", image: "" };

/** @param {string} model */
function body(model) {
  const { prompt, system, requires, ttft, image } = memory;
  const content = image
    ? [
        { type: "text", text: prompt },
        { type: "image_url", image_url: { url: image } },
      ]
    : prompt;
  const hearth = {
    ...(requires ? { requires: requires.split(/[ ,]+/).filter(Boolean) } : {}),
    ...(Number(ttft) > 0 ? { ttft_ms: Number(ttft) } : {}),
  };
  return {
    model,
    messages: [...(system ? [{ role: "system", content: system }] : []), { role: "user", content }],
    stream: true,
    ...(Object.keys(hearth).length ? { hearth } : {}),
  };
}

export function Playground() {
  const { data: models } = useJson("v1/models");
  const [, redraw] = useState(0);
  const [plan, setPlan] = useState(/** @type {any} */ (null));
  const [sent, setSent] = useState(0);
  const [ran, setRan] = useState(0);
  const [imageWords, setImageWords] = useState("");
  const waiting = useRef(0);
  const turn = useRef(0);
  const change = (/** @type {string} */ name) => (/** @type {any} */ event) => {
    /** @type {any} */ (memory)[name] = event.target.value;
    redraw((n) => n + 1);
    clearTimeout(waiting.current);
    waiting.current = window.setTimeout(explain, 400);
  };
  const explain = async () => {
    const mine = ++turn.current;
    if (!memory.prompt.trim()) return setPlan(null);
    try {
      const found = await call("hearth/explain", { method: "POST", json: body(memory.model) });
      if (mine === turn.current) setPlan({ found });
    } catch (error) {
      if (mine === turn.current) setPlan({ error });
    }
  };
  useEffect(() => {
    explain();
    return () => clearTimeout(waiting.current);
  }, []);
  const image = async (/** @type {any} */ event) => {
    const file = event.target.files?.[0];
    memory.image = "";
    if (file && file.size > MOST_IMAGE) setImageWords(`${file.name} is larger than 10 MB`);
    else if (file) {
      const bytes = new Uint8Array(await file.arrayBuffer());
      let text = "";
      for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
      memory.image = `data:${file.type};base64,${btoa(text)}`;
      setImageWords(`${file.name} goes with the question`);
    } else setImageWords("");
    explain();
  };
  const known = models?.data?.map((/** @type {any} */ each) => each.id) ?? ["auto", "local"];
  const send = (/** @type {Event} */ event) => {
    event.preventDefault();
    if (memory.prompt.trim()) setSent(sent + 1);
  };
  const choice = (/** @type {string} */ name, /** @type {string} */ label, empty = "") =>
    html`<label>${label} <select value=${/** @type {any} */ (memory)[name]} onChange=${change(name)}>
      ${empty && html`<option value="">${empty}</option>`}${known.map((/** @type {string} */ each) => html`<option value=${each} selected=${/** @type {any} */ (memory)[name] === each}>${each}</option>`)}</select></label>`;
  return html`<h1>Playground</h1>
    <p class="quiet">An ordinary request: it counts, is recorded and costs what any other does. The conversation stays in this tab.</p>
    <form onSubmit=${send}>
      <div class="filters">${choice("model", "Model")} ${choice("other", "Compare with", "nothing")}
        <label>Requires <input value=${memory.requires} placeholder="hipaa zdr" onInput=${change("requires")} /></label>
        <label>First token within, ms <input inputmode="numeric" value=${memory.ttft} onInput=${change("ttft")} /></label></div>
      <label class="wide">System <textarea rows="2" value=${memory.system} onInput=${change("system")}></textarea></label>
      <label class="wide">Question <textarea rows="5" value=${memory.prompt} onInput=${change("prompt")} onKeyDown=${(/** @type {any} */ e) => (e.ctrlKey || e.metaKey) && e.key === "Enter" && send(e)}></textarea></label>
      <label>Image <input type="file" accept="image/png,image/jpeg,image/webp,image/gif" onChange=${image} /></label> <span class="quiet">${imageWords}</span>
      <p class="buttons"><button type="submit" class="main" disabled=${!memory.prompt.trim()}>Ask</button> <span class="quiet">Ctrl+Enter</span></p>
    </form>
    <section aria-labelledby="before" aria-live="polite"><h2 id="before">Before it is sent</h2><${Plan} plan=${plan} /></section>
    ${
      sent > 0 &&
      html`<div class=${memory.other ? "columns" : ""}>
      <${Answer} key=${`a${sent}`} model=${memory.model} ended=${() => setRan(ran + 1)} />
      ${memory.other && html`<${Answer} key=${`b${sent}`} model=${memory.other} ended=${() => setRan(ran + 1)} />`}
    </div>`
    }
    <section aria-labelledby="code"><h2 id="code">The same request as code</h2><${AsCode} asked=${body(memory.model)} /></section>`;
}

/** @param {{plan: any}} props */
function Plan({ plan }) {
  if (!plan) return html`<p class="quiet">Write a question, and the decision for it is shown here as you type. Nothing is sent.</p>`;
  if (plan.error) return html`<${Note} kind="bad"><p>${plan.error.message}</p></${Note}>`;
  const made = plan.found;
  if (made.refusal)
    return html`<${Note} kind="warn"><p>It would be refused (${made.refusal.status} ${made.refusal.code}): ${made.refusal.message}</p></${Note}>`;
  return html`<p>Goes to <strong>${made.target}</strong>: ${made.words} <span class="quiet">(${reason(made.reason)})</span></p>
    <p class="quiet">task ${made.task}, score ${score(made.score)}${made.threshold === null ? "" : ` of ${made.threshold}`}, about ${count(made.prompt_tokens)} tokens${
      made.load?.predicted_ttft_ms ? `, first token here in about ${ms(made.load.predicted_ttft_ms)}` : ""
    }${
      made.candidates?.length > 1
        ? `; then ${made.candidates
            .slice(1)
            .map((/** @type {any} */ each) => each.target)
            .join(", ")}`
        : ""
    }</p>
    ${made.would_change?.length > 0 && html`<details><summary>What would change it</summary><ul>${made.would_change.map((/** @type {any} */ each) => html`<li>${each.input}: ${each.target ?? "refused"}, ${reason(each.reason)}</li>`)}</ul></details>`}`;
}

/** Asks once, when it is first shown. @param {{model: string, ended: () => void}} props */
function Answer({ model, ended }) {
  const text = useSignal("");
  const thought = useSignal("");
  const [state, setState] = useState(/** @type {any} */ ({ phase: "waiting" }));
  const stop = useRef(/** @type {AbortController | null} */ (null));
  useEffect(() => {
    const mine = new AbortController();
    stop.current = mine;
    const began = performance.now();
    /** @type {any} */
    const seen = { phase: "waiting", tokens: 0 };
    const show = () => setState({ ...seen });
    const ask = async () => {
      const answer = await request("v1/chat/completions", {
        method: "POST",
        json: { ...body(model), stream_options: { include_usage: true } },
        signal: mine.signal,
      });
      for (const name of ["decision", "target", "reason", "attempts", "degraded"]) seen[name] = answer.headers.get(`x-hearth-${name}`);
      seen.status = answer.status;
      let finished = false;
      for await (const { data } of events(answer)) {
        if (data === "[DONE]") {
          finished = true;
          continue;
        }
        if (!data) continue;
        const chunk = JSON.parse(data);
        if (chunk.error) throw new Refusal(0, chunk.error.message);
        const delta = chunk.choices?.[0]?.delta ?? {};
        seen.finish = chunk.choices?.[0]?.finish_reason ?? seen.finish;
        seen.usage = chunk.usage ?? seen.usage;
        const reasoning = delta.reasoning_content ?? delta.reasoning;
        if ((delta.content || reasoning) && seen.ttft === undefined) {
          seen.ttft = performance.now() - began;
          seen.phase = "generating";
          show();
        }
        if (reasoning) thought.value += reasoning;
        if (delta.content) text.value += delta.content;
      }
      if (!finished && !seen.finish) throw new Refusal(0, "the answer broke off");
      seen.phase = "done";
    };
    ask()
      .catch((error) => {
        seen.phase = mine.signal.aborted ? "stopped" : "failed";
        seen.error = mine.signal.aborted ? null : error;
      })
      .finally(() => {
        seen.total = performance.now() - began;
        show();
        ended();
      });
    return () => mine.abort();
  }, []);
  const { usage, error } = state;
  const speed = usage && state.total > state.ttft ? (1000 * usage.completion_tokens) / (state.total - state.ttft) : null;
  return html`<section class="answer" aria-label="Answer of ${model}">
    <h2>Answer of ${model} ${state.phase === "waiting" || state.phase === "generating" ? html`<button type="button" onClick=${() => stop.current?.abort()}>Stop</button>` : null}</h2>
    <p role="status">${state.phase === "waiting" ? "waiting for the first token" : state.phase}${state.target ? html` · <strong>${state.target}</strong> · ${reason(state.reason)}` : null}</p>
    ${thought.value && html`<details><summary>Reasoning</summary><p class="text">${thought.value}</p></details>`}
    ${(text.value || !error) && html`<div class="text" tabindex="0" role="region" aria-label="Text of the answer">${fenced(text.value)}</div>`}
    ${error && html`<${Note} kind="bad"><p>${error.status ? html`<${Code} code=${error.status} /> ` : null}${error.message}</p></${Note}>`}
    ${
      state.total &&
      html`<p class="quiet">${state.ttft === undefined ? "" : `first token ${ms(state.ttft)}, `}${ms(state.total)} in all${
        usage ? `, ${count(usage.prompt_tokens)} + ${count(usage.completion_tokens)} tokens` : ""
      }${speed ? `, ${speed.toFixed(1)} tokens/s` : ""}${state.degraded ? `; degraded: ${state.degraded}` : ""}</p>`
    }
    ${state.decision && state.total && html`<${After} id=${state.decision} />`}
  </section>`;
}

/** The decision as it was made. @param {{id: string}} props */
function After({ id }) {
  const { data } = useJson(`hearth/decisions/${id}`);
  return html`<p>${data ? `${data.words}. Cost: ${data.cost_usd === null ? "no price is known" : dollars(data.cost_usd)}. ` : ""}<a href="#/decisions/${id}">The decision in full</a></p>`;
}

/** Text with its code fences told apart; nothing of it is ever markup. @param {string} text */
function fenced(text) {
  return text.split(/^```/m).map((part, place) => {
    if (place % 2 === 0) return part;
    const end = part.indexOf("\n");
    return html`<code class="fence">${end < 0 ? part : part.slice(end + 1)}</code>`;
  });
}

/** @param {{asked: any}} props */
function AsCode({ asked }) {
  const shown = memory.image ? JSON.parse(JSON.stringify(asked).replace(memory.image, "data:image/…")) : asked;
  const base = location.href.replace(/\/?(#.*)?$/, "");
  const head = key.value ? ` \\\n  -H "authorization: Bearer $HEARTH_API_KEY"` : "";
  const curl = `curl ${base}/v1/chat/completions -H 'content-type: application/json'${head} \\\n  -d '${JSON.stringify(shown).replaceAll("'", "'\\''")}'`;
  const { hearth, ...plain } = shown;
  const python = `from openai import OpenAI\n\nclient = OpenAI(base_url="${base}/v1", api_key="${key.value ? "…" : "none"}")\nstream = client.chat.completions.create(\n${Object.entries(
    plain,
  )
    .map(([name, value]) => `    ${name}=${literal(value)},\n`)
    .join(
      "",
    )}${hearth ? `    extra_body={"hearth": ${literal(hearth)}},\n` : ""})\nfor chunk in stream:\n    print(chunk.choices[0].delta.content or "", end="")`;
  return html`<details><summary>curl and Python</summary><${Snippet} label="curl" text=${curl} /><${Snippet} label="Python" text=${python} /></details>`;
}

/** @param {unknown} value */
function literal(value) {
  return JSON.stringify(value).replace(/\btrue\b/g, (found, at, all) => ((all.slice(0, at).match(/(?<!\\)"/g)?.length ?? 0) % 2 ? found : "True"));
}
