// The frame: state and connection in words, the pages, the colour scheme; and the routes behind the hash.
import { key, keyFromAddress, setKey } from "./api.js";
import { paint, scheme } from "./colours.js";
import { connection, now, readAt, retry, start, status } from "./live.js";
import { Note, SignIn, State } from "./parts.js";
import { html, render, signal, useEffect } from "./vendor.js";
import { clock, count, spaced } from "./words.js";

/** @type {[string, string][]} */
const PAGES = [
  ["", "Overview"],
  ["decisions", "Decisions"],
  ["playground", "Playground"],
  ["what-if", "What if"],
  ["models", "Models"],
  ["engine", "Engine"],
  ["targets", "Targets"],
  ["fleet", "Fleet"],
  ["money", "Money"],
  ["quality", "Quality"],
  ["keys", "Keys"],
  ["settings", "Settings"],
];

keyFromAddress();
const route = signal(place());

function place() {
  const [path = "", asked = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decodeURIComponent), asked: new URLSearchParams(asked) };
}

addEventListener("hashchange", () => {
  if (location.hash.startsWith("#key=")) keyFromAddress();
  if (location.hash === "#main") return;
  const before = route.value.parts.join("/");
  route.value = place();
  if (route.value.parts.join("/") !== before) {
    document.getElementById("main")?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
});

/** Pages that were loaded, by module; null for one that could not be read. @type {import("./vendor.js").Signal<Record<string, any>>} */
const loaded = signal({});
/** @type {Record<string, [string, string]>} */
const MODULES = {
  "": ["overview", "Overview"],
  decisions: ["decisions", "DecisionList"],
  playground: ["playground", "Playground"],
  "what-if": ["what-if", "WhatIf"],
  models: ["models", "Models"],
  engine: ["engine", "Engine"],
  targets: ["targets", "Targets"],
  fleet: ["fleet", "Fleet"],
  money: ["money", "Money"],
  quality: ["quality", "Quality"],
  keys: ["keys", "Keys"],
  settings: ["settings", "Settings"],
};

/** @param {string} name */
async function load(name) {
  try {
    const module = await import(`./pages/${name}.js`);
    loaded.value = { ...loaded.value, [name]: module };
  } catch {
    loaded.value = { ...loaded.value, [name]: null };
    setTimeout(() => MODULES[route.value.parts[0] ?? ""]?.[0] === name && load(name), 3000);
  }
}

function Page() {
  const { parts, asked } = route.value;
  const name = parts[0] ?? "";
  const wanted = MODULES[name];
  useEffect(() => {
    if (wanted && !loaded.value[wanted[0]]) load(wanted[0]);
  }, [name]);
  if (!wanted) return html`<h1>No such page</h1><p>There is no page “${parts.join("/")}”. <a href="#/">Overview</a></p>`;
  const module = loaded.value[wanted[0]];
  if (!module) {
    return html`<h1>${PAGES.find(([path]) => path === name)?.[1]}</h1><p class="quiet" role="status">${module === null ? "This page could not be read: trying again." : "Reading …"}</p>`;
  }
  if (name === "decisions" && parts[1]) return html`<${module.DecisionDetail} key=${parts[1]} id=${parts[1]} />`;
  return html`<${module[wanted[1]]} asked=${asked} />`;
}

/** The connection in words. */
function Connection() {
  const { state, since, retryAt, words } = connection.value;
  const s = (/** @type {number} */ from, /** @type {number} */ to) => Math.max(0, Math.round((to - from) / 1000));
  const told = {
    live: "live",
    connecting: "connecting",
    denied: "a key is needed",
    closing: "Hearth is stopping",
    lost: `no connection for ${s(since, now.value)} s; trying again in ${s(now.value, retryAt)} s`,
  }[state];
  return html`<span class="connection"><${State} state=${state === "live" ? "live" : state === "lost" ? "lost" : "waiting"}>${told ?? words}</${State}></span>`;
}

function Frame() {
  const report = status.value;
  const here = route.value.parts[0] ?? "";
  const { state, words } = connection.value;
  useEffect(() => {
    const name = PAGES.find(([path]) => path === here)?.[1] ?? "Hearth";
    document.title = `${name} · Hearth`;
  }, [here]);
  const engine = report?.draining ? "draining" : (report?.engine.replicas.find((each) => each.state === "ready") ?? report?.engine.replicas[0])?.state;
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ e) => {
    e.preventDefault();
    document.getElementById("main")?.focus();
  }}>Skip to the page</a>
    <header class="top">
      <span class="brand"><svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2c2 5 7 7 7 13a7 7 0 0 1-14 0c0-3 2-5 3-7 1 2 2 3 3 3 1-3 0-6 1-9z" /></svg>Hearth</span>
      ${
        report &&
        html`<span class="quiet">${report.version}</span> <span>${report.engine.model} <${State} state=${state === "lost" ? "unknown" : (engine ?? "absent")}>${state === "lost" ? "was " : ""}${spaced(engine ?? "absent")}</${State}></span>
        ${state !== "lost" && html`<span>${count(report.in_flight)} in flight</span>`}`
      }
      <${Connection} />
      <span class="end">
        <a href="metrics">/metrics</a>
        <label class="scheme"><span class="hidden">Colours</span><select value=${scheme.value} onChange=${(/** @type {any} */ e) => paint(e.target.value)}>
          ${["auto", "light", "dark"].map((each) => html`<option value=${each} selected=${scheme.value === each}>${each} colours</option>`)}</select></label>
        ${key.value && html`<button type="button" class="small" onClick=${() => setKey("")}>Sign out</button>`}
      </span>
    </header>
    <nav aria-label="Pages" class="pages">${PAGES.map(([path, name]) => html`<a href="#/${path}" aria-current=${here === path ? "page" : undefined}>${name}</a>`)}</nav>
    <div class="banners" aria-live="polite">
      ${state === "lost" && html`<${Note} kind="bad"><p>The connection to Hearth is lost: ${words}. ${readAt.value ? `The numbers on this page are from ${clock(readAt.value / 1000)}.` : ""} <button type="button" onClick=${retry}>Try now</button></p></${Note}>`}
      ${state === "closing" && html`<${Note} kind="warn"><p>Hearth is stopping. This page connects again when it is back.</p></${Note}>`}
      ${report?.settings.error && html`<${Note} kind="bad"><p>The last reload was refused, the old settings hold:</p><pre>${report.settings.error}</pre></${Note}>`}
      ${report && report.notes.length > 0 && html`<${Note} kind="warn"><ul>${report.notes.map((each) => html`<li>${each}</li>`)}</ul></${Note}>`}
      ${report && report.not_in_force.length > 0 && html`<details class="note info"><summary>${report.not_in_force.length} settings are not in force</summary><ul>${report.not_in_force.map((each) => html`<li>${each}</li>`)}</ul></details>`}
    </div>
    <main id="main" tabindex="-1">${state === "denied" && !report ? html`<h1>Sign in</h1><${SignIn} words=${words} needs="This Hearth asks for a key." />` : html`<${Page} />`}</main>
`;
}

const opened = MODULES[route.value.parts[0] ?? ""];
if (opened) load(opened[0]);
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(html`<${Frame} />`, root);
}
start();
