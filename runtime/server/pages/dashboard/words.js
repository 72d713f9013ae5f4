// Numbers and times in words. Pure.

/** @param {number | null | undefined} ms */
export function ms(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
}

/** @param {number | null | undefined} s */
export function duration(s) {
  if (s === null || s === undefined) return "–";
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/** @param {number | null | undefined} share */
export function percent(share, digits = 0) {
  return share === null || share === undefined ? "–" : `${(100 * share).toFixed(digits)} %`;
}

/** @param {number | null | undefined} usd */
export function dollars(usd) {
  if (usd === null || usd === undefined) return "–";
  if (usd === 0) return "$0";
  const size = Math.abs(usd);
  const text = size < 0.01 ? size.toFixed(5) : size < 1 ? size.toFixed(4).replace(/0{1,2}$/, "") : size.toFixed(2);
  return `${usd < 0 ? "-" : ""}$${text}`;
}

/** Complexity, 0..1. @param {number | null | undefined} value */
export function score(value) {
  return value === null || value === undefined ? "" : String(Math.round(1000 * value) / 1000);
}

/** @param {number | null | undefined} n */
export function count(n) {
  return n === null || n === undefined ? "–" : n.toLocaleString("en").replaceAll(",", " ");
}

/** @param {number} bytes */
export function memory(bytes) {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`;
}

/** @param {number} at unix seconds */
export function clock(at) {
  return new Date(at * 1000).toLocaleTimeString("en-GB");
}

/** @param {number} at unix seconds */
export function moment(at) {
  const day = new Date(at * 1000);
  const today = day.toDateString() === new Date().toDateString();
  return today ? clock(at) : `${day.toISOString().slice(0, 10)} ${clock(at)}`;
}

/** @type {Record<string, string>} */
const REASONS = {
  default: "stays on the box",
  pinned: "asked for by name",
  rule: "a rule",
  task: "its task",
  complexity: "complexity",
  confidence: "low confidence",
  context: "long prompt",
  modality: "image, audio or file",
  capability: "a capability",
  queue_depth: "the queue",
  kv_cache: "the KV cache",
  gpu: "a busy GPU",
  ttft: "predicted wait",
  engine_down: "the engine is down",
  requires: "certificates",
  budget: "the budget",
  quality: "quality",
  session: "its conversation",
  fallback: "a fallback",
};

/** @param {string} name */
export function reason(name) {
  return REASONS[name] ?? name.replaceAll("_", " ");
}

/** Why a request went where it went, or that nobody answered it. @param {{reason?: string, target?: string | null, status?: number}} record */
export function why({ reason: name = "default", target, status = 200 }) {
  if (target || name !== "default") return reason(name);
  return status === 499 ? "its client left first" : status >= 500 ? "nobody could answer" : "refused";
}

/** @param {string} text */
export function spaced(text) {
  return text.replaceAll("_", " ");
}

/** @type {Record<string, string>} */
const SPENT = {
  local: "what costs money stays on the box, marked as degraded",
  queue: "it is refused with the time until the next period; batches wait",
  refuse: "it is refused",
};

/** What happens once a limit is spent. @param {string} mode of `[budget] when_spent` */
export function afterwards(mode) {
  return SPENT[mode] ?? mode;
}
