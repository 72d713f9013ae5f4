// The colour scheme: as the browser has it, light, or dark. The choice is kept in this browser.
import { signal } from "./vendor.js";

const STORED = "hearth.scheme";

/** auto | light | dark */
export const scheme = signal(localStorage.getItem(STORED) ?? "auto");
/** Grows with every change of colours: charts are painted on a canvas and must be drawn again. */
export const painted = signal(0);

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => painted.value++);
document.documentElement.dataset.scheme = scheme.value;

/** @param {string} chosen */
export function paint(chosen) {
  scheme.value = chosen;
  localStorage.setItem(STORED, chosen);
  document.documentElement.dataset.scheme = chosen;
  painted.value += 1;
}
