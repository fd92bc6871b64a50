// The sign of each state: a shape and a word, and a colour that only repeats them.

import { svg } from "./dom.js";

export const WORDS = {
  done: "done",
  running: "running",
  asks: "needs you",
  waiting: "waiting",
  skipped: "skipped",
  failed: "failed",
  cancelled: "cancelled",
};

const PEN = { fill: "none", "stroke-linecap": "round", "stroke-linejoin": "round", "stroke-width": 1.8 };
const WHITE = { ...PEN, stroke: "#ffffff", "stroke-width": 2 };

const SHAPES = {
  done: () => [svg("circle", { r: 8, class: "bmad-mark" }), svg("path", { d: "M-3.5 .3 L-.9 3 L3.7 -2.7", ...WHITE })],
  running: () => [
    svg("circle", { r: 6.5, class: "bmad-pen", "stroke-width": 3, "stroke-opacity": 0.3 }),
    svg("path", { d: "M0 -6.5 A6.5 6.5 0 1 1 -5.6 3.3", class: "bmad-pen bmad-turns", "stroke-width": 3 }),
  ],
  asks: () => [
    svg("rect", { x: -7.5, y: -7.5, width: 15, height: 15, rx: 3, class: "bmad-mark" }),
    svg("path", { d: "M0 -4 V.8", ...WHITE, "stroke-width": 2.2 }),
    svg("circle", { cy: 4, r: 1.4, fill: "#ffffff" }),
  ],
  waiting: () => [
    svg("circle", { r: 6.5, class: "bmad-pen", "stroke-width": 1.8 }),
    svg("path", { d: "M0 -3.4 V.3 L2.6 2.1", class: "bmad-pen", "stroke-width": 1.8 }),
  ],
  skipped: () => [
    svg("circle", { r: 6.5, class: "bmad-pen", "stroke-width": 1.8, "stroke-dasharray": "3 2.1" }),
    svg("path", { d: "M-3 0 H3", class: "bmad-pen", "stroke-width": 1.8 }),
  ],
  failed: () => [
    svg("path", { d: "M-8.5 0 L0 -8.5 L8.5 0 L0 8.5 Z", class: "bmad-mark" }),
    svg("path", { d: "M-2.6 -2.6 L2.6 2.6 M2.6 -2.6 L-2.6 2.6", ...WHITE }),
  ],
  cancelled: () => [
    svg("circle", { r: 6.5, class: "bmad-pen", "stroke-width": 1.8 }),
    svg("path", { d: "M0 -6.5 A6.5 6.5 0 0 0 0 6.5 Z", class: "bmad-mark" }),
  ],
};

// The state of a task as it is shown: one that asks a person is no longer just waiting.
export function stateOf(task) {
  return task.asks ? "asks" : (task.state ?? "waiting");
}

// Returns the sign of a state, 18 pixels wide; its word stands beside it.
export function sign(state) {
  const known = Object.hasOwn(SHAPES, state) ? state : "waiting";
  const attributes = { width: 18, height: 18, viewBox: "-9 -9 18 18", class: `bmad-sign bmad-is-${known}`, "aria-hidden": "true" };
  return svg("svg", attributes, SHAPES[known]());
}

// Returns how many tasks are in each state that occurs, in the order in which states are told.
export function countStates(tasks) {
  const found = new Map(Object.keys(WORDS).map((state) => [state, 0]));
  for (const task of Object.values(tasks)) {
    const state = stateOf(task);
    found.set(state, (found.get(state) ?? 0) + 1);
  }
  return [...found].filter(([, count]) => count > 0);
}
