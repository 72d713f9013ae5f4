// The settings in force with where each comes from; changes go to the file, after their difference was looked at.
import { call } from "../api.js";
import { dotted, Field, sections, useChanges } from "../fields.js";
import { Diff, Failed, Note, Snippet, useJson, Waiting } from "../parts.js";
import { html, useState } from "../vendor.js";
import { clock, moment } from "../words.js";

/** @typedef {{key: (string | number)[], value?: any}} More a key that is set, or taken out where it has no value */

const EDITABLE = ["escalation", "routes", "rules", "aliases", "targets", "timeouts", "retries", "budget"];

export function Settings() {
  const { data, error, again } = useJson("hearth/settings");
  const changes = useChanges();
  const [more, setMore] = useState(/** @type {More[]} */ ([]));
  const [draft, setDraft] = useState(/** @type {any} */ (null));
  const [saved, setSaved] = useState(/** @type {any} */ (null));
  if (error && !data) return html`<h1>Settings</h1><${Failed} error=${error} again=${again} needs="Settings are shown to admins." />`;
  if (!data) return html`<h1>Settings</h1><${Waiting} />`;
  const drop = () => {
    changes.clear();
    setMore([]);
    setDraft(null);
  };
  const put = async (/** @type {boolean} */ dry) => {
    setSaved(null);
    const { set, unset } = changes.body(data.values);
    const json = {
      set: [...set, ...more.filter((each) => "value" in each)],
      unset: [...unset, ...more.filter((each) => !("value" in each)).map((each) => each.key)],
      dry,
    };
    try {
      const found = await call("hearth/settings", { method: "PUT", json, headers: { "if-match": `"${data.etag}"` } });
      if (dry) return setDraft(found);
      drop();
      setSaved(found);
      again();
    } catch (fault) {
      setDraft({ fault });
    }
  };
  const add = (/** @type {More} */ each) => setMore([...more.filter((other) => dotted(other.key) !== dotted(each.key)), each]);
  const every = sections(data.values);
  const changed = Object.keys(changes.texts).length > 0 || more.length > 0;
  const field = (/** @type {any} */ row) => html`<${Field} key=${dotted(row.key)} row=${row} changes=${changes} />`;
  return html`<h1>Settings</h1>
    <p>${data.file ? html`<code>${data.file}</code>` : "There is no settings file: defaults and the environment hold."} ${
      (!data.file || !data.writable) && html`<strong>It cannot be written from here: a change is shown to be copied.</strong>`
    }</p>
    ${data.refused && html`<${Note} kind="bad"><p>The last reload was refused, the old settings hold:</p><pre>${data.refused}</pre></${Note}>`}
    ${data.warnings.length > 0 && html`<${Note} kind="warn"><ul>${data.warnings.map((/** @type {string} */ each) => html`<li>${each}</li>`)}</ul></${Note}>`}
    <div aria-live="polite">${saved && html`<${Note}><p>Saved, and in force since ${clock(saved.in_force_since)}.</p></${Note}>`}</div>
    <form onSubmit=${(/** @type {Event} */ event) => {
      event.preventDefault();
      put(true);
    }}>
      ${EDITABLE.map((name) => {
        const rows = every.get(name) ?? [];
        if (name === "rules") return html`<fieldset><legend>[[rules]]</legend><${Rules} row=${rows[0]} add=${add} /></fieldset>`;
        if (name === "targets") return html`<fieldset><legend>[targets]</legend><${Targets} rows=${rows} add=${add} /></fieldset>`;
        return html`<fieldset><legend>[${name}]</legend>${rows.filter((row) => row.key.length > 1).map(field)}${name === "aliases" && html`<${Alias} add=${add} />`}</fieldset>`;
      })}
      ${more.length > 0 && html`<p>Besides: ${more.map((each) => html`<code>${"value" in each ? `${dotted(each.key)} = ${JSON.stringify(each.value)}` : `without ${dotted(each.key)}`}</code> `)}</p>`}
      <p class="buttons"><button type="submit" class="main" disabled=${!changed}>Show the difference</button>
      ${changed && html`<button type="button" onClick=${drop}>Discard changes</button>`}</p>
    </form>
    <div aria-live="polite">${
      draft &&
      html`<${Draft} draft=${draft} save=${() => put(false)} reread=${() => {
        setDraft(null);
        again();
      }} />`
    }</div>
    <h2>Changed in the file only</h2>
    <p class="quiet">Addresses, keys, contracts, prices, the engine and what is kept belong to whoever owns the file.</p>
    ${[...every].filter(([name]) => name === "targets" || !EDITABLE.includes(name)).map(([name, rows]) => html`<details><summary>[${name}]</summary>${rows.map(field)}</details>`)}
    <${Changes} key=${saved?.etag ?? ""} />`;
}

/** @param {{row: import("../fields.js").Row | undefined, add: (each: More) => void}} props */
function Rules({ row, add }) {
  const [text, setText] = useState("");
  const [fault, setFault] = useState("");
  const rules = row?.value ?? [];
  const make = () => {
    try {
      add({ key: ["rules", rules.length], value: JSON.parse(text) });
      setText("");
      setFault("");
    } catch {
      setFault("That is no JSON.");
    }
  };
  return html`<p class="quiet">The first rule that matches decides, before scores.</p>
    ${rules.map((/** @type {any} */ rule, /** @type {number} */ place) => html`<p class="row"><code>${JSON.stringify(rule)}</code> <button type="button" class="small" onClick=${() => add({ key: ["rules", place] })}>Remove rule ${place + 1}</button></p>`)}
    <label class="wide">A new rule, as JSON <input value=${text} placeholder='{"when": {"task": "code"}, "to": ["local"]}' onInput=${(/** @type {any} */ e) => setText(e.target.value)} spellcheck=${false} /></label>
    <button type="button" disabled=${!text.trim()} onClick=${make}>Add the rule</button> <span role="status">${fault}</span>`;
}

/** @param {{rows: import("../fields.js").Row[], add: (each: More) => void}} props */
function Targets({ rows, add }) {
  const [made, setMade] = useState({ name: "", provider: "", model: "" });
  const names = [...new Set(rows.filter((row) => row.key.length > 1).map((row) => String(row.key[1])))];
  const { name, provider, model } = made;
  const field = (/** @type {"name" | "provider" | "model"} */ each) =>
    html`<label>${each} <input value=${made[each]} onInput=${(/** @type {any} */ e) => setMade({ ...made, [each]: e.target.value.trim() })} /></label>`;
  return html`${names.map((each) => html`<p class="row"><code>${each}</code> <button type="button" class="small" onClick=${() => add({ key: ["targets", each] })}>Remove ${each}</button></p>`)}
    <p class="quiet">A new target takes its key from <code>PROVIDER_API_KEY</code>; an address, a key or a contract of its own is set in the file.</p>
    <div class="filters">${field("name")} ${field("provider")} ${field("model")}
    <button type="button" disabled=${!(name && provider && model)} onClick=${() => add({ key: ["targets", name], value: { provider, model } })}>Add the target</button></div>`;
}

/** @param {{add: (each: More) => void}} props */
function Alias({ add }) {
  const [name, setName] = useState("");
  const [to, setTo] = useState("");
  return html`<div class="filters"><label>A name that clients ask for <input value=${name} placeholder="gpt-4o" onInput=${(/** @type {any} */ e) => setName(e.target.value.trim())} /></label>
    <label>means <input value=${to} placeholder="auto" onInput=${(/** @type {any} */ e) => setTo(e.target.value.trim())} /></label>
    <button type="button" disabled=${!(name && to)} onClick=${() => add({ key: ["aliases", name], value: to })}>Add the name</button></div>`;
}

/** @param {{draft: any, save: () => void, reread: () => void}} props */
function Draft({ draft, save, reread }) {
  const { fault } = draft;
  if (!fault) {
    return html`<section class="card" aria-label="The difference"><h2>The difference</h2><${Diff} text=${draft.diff} />${draft.diff && html`<button type="button" class="main" onClick=${save}>Save</button>`}</section>`;
  }
  const found = fault.body ?? {};
  return html`<section class="card" aria-label="Not saved"><h2>Not saved</h2>
    <${Failed} error=${fault} needs="Changing settings needs an admin key." />
    ${found.theirs !== undefined && html`<h3>Their change</h3>${found.theirs === null ? html`<p class="quiet">Not known any more.</p>` : html`<${Diff} text=${found.theirs} />`}<h3>Yours</h3><${Diff} text=${found.yours} /><button type="button" onClick=${reread}>Read the file again</button>`}
    ${found.diff && html`<${Snippet} label="The difference, to copy into the file" text=${found.diff} />`}
  </section>`;
}

/** What admins changed lately. */
function Changes() {
  const { data, error } = useJson("hearth/audit?limit=1000");
  if (error) return null;
  const rows = data?.data?.filter((/** @type {any} */ each) => each.kind === "change").slice(0, 20) ?? [];
  return html`<h2>Changes by admins</h2>${
    rows.length
      ? html`<ul>${rows.map((/** @type {any} */ each) => html`<li>${moment(each.body.at)}: ${each.body.words} <span class="quiet">by key ${each.body.caller.slice(0, 12) || "of this machine"}</span>${each.body.diff ? html`<details><summary>Difference</summary><${Diff} text=${each.body.diff} /></details>` : null}</li>`)}</ul>`
      : html`<p class="quiet">None among the last thousand records of the audit log.</p>`
  }`;
}
