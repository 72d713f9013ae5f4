// The types behind vendor.js: what `scripts/ui_vendor.py` bundles.
export { h, render, Fragment } from "preact";
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
export { batch, computed, effect, signal, useComputed, useSignal } from "@preact/signals";
export type { Signal } from "@preact/signals";
export const html: (strings: TemplateStringsArray, ...values: any[]) => any;
