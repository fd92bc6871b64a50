// A graph of tasks: a box per task at the place that Python worked out, or a bar per layer where
// there are too many. Boxes are changed in place, so that a click and the focus stay where they are.

import { fill, h, say, set, show, svg } from "./dom.js";
import { count, counted, usd } from "./format.js";
import { sign, stateOf, WORDS } from "./signs.js";

const ORDER = ["done", "running", "asks", "failed", "cancelled", "skipped", "waiting"];
const MOST_LAYERS = 40;

// Returns `{element, draw(state)}`.
export function makeGraph() {
  const element = h("div", { class: "bmad-graph" });
  let drawn = null;
  let draw = () => {};
  return {
    element,
    draw(state) {
      if (!state.graph.layers) return;
      const key = state.graph.drawn ? JSON.stringify(state.graph.places) : "";
      if (state.graph.drawn && drawn !== key) {
        draw = boxes(element, state.graph);
        drawn = key;
      } else if (!state.graph.drawn && drawn !== "layers") {
        draw = layers(element);
        drawn = "layers";
      }
      draw(state);
    },
  };
}

// The second line of a box: who does it.
export function who(task) {
  const llm = (task.llm ?? "").split("/").at(-1) || (task.verb ?? "");
  return llm + (task.simulated ? " · simulated" : "");
}

// The third line of a box: how far it is, and what else is to be said.
export function about(task) {
  const cost = task.cost_usd === undefined || !task.llm ? "" : usd(task.cost_usd);
  const parts = task.parts ? `${counted(task.parts, "part")} done` : "";
  return [WORDS[stateOf(task)], task.note, parts, cost].filter(Boolean).join(" · ");
}

function boxes(element, graph) {
  const [wide, high] = graph.box;
  const lines = svg("svg", { width: graph.width, height: graph.height, class: "bmad-lines", "aria-hidden": "true" });
  const edges = graph.lines.map(([from, to, path]) => {
    const line = svg("path", { d: path, class: "bmad-line" });
    const [x, y] = graph.places[to];
    const head = svg("path", { d: `M${x - 7} ${y + high / 2 - 4} l6 4 l-6 4`, class: "bmad-line" });
    lines.append(line, head);
    return { from, to, line };
  });
  const list = h("ul", { class: "bmad-boxes" });
  const made = new Map();
  for (const [name, [x, y]] of Object.entries(graph.places)) {
    const icon = h("span", { class: "bmad-icon" });
    const title = h("span", { class: "bmad-name" }, name);
    const llm = h("span", { class: "bmad-about" });
    const words = h("span", { class: "bmad-about" });
    const box = h("li", { class: "bmad-box" }, icon, h("span", { class: "bmad-words" }, title, llm, words));
    for (const [key, value] of Object.entries({ left: x, top: y, width: wide, height: high })) {
      box.style.setProperty(key, `${value}px`);
    }
    list.append(box);
    made.set(name, { box, icon, llm, words, state: "" });
  }
  const stage = h("div", { class: "bmad-stage" }, lines, list);
  stage.style.setProperty("width", `${graph.width}px`);
  stage.style.setProperty("height", `${graph.height}px`);
  fill(element, [stage]);
  return (state) => {
    for (const [name, each] of made) {
      const task = state.tasks[name] ?? {};
      const now = stateOf(task);
      if (now !== each.state) {
        each.state = now;
        set(each.box, { class: `bmad-box bmad-is-${now}` });
        fill(each.icon, [sign(now)]);
      }
      say(each.llm, who(task));
      say(each.words, about(task));
      set(each.box, { title: [name, task.title, WORDS[now], task.llm, task.note, task.error].filter(Boolean).join(", ") });
    }
    for (const { from, to, line } of edges) {
      const skipped = [from, to].some((name) => stateOf(state.tasks[name] ?? {}) === "skipped");
      set(line, { class: skipped ? "bmad-line bmad-dashed" : "bmad-line" });
    }
  };
}

// A bar per layer, as high as it has tasks, divided by state; layers are joined beyond forty.
function layers(element) {
  const note = h("p", { class: "bmad-dim" });
  const chart = h("div", { class: "bmad-layers", role: "img" });
  fill(element, [chart, note]);
  const columns = [];
  return (state) => {
    const graph = state.graph;
    const step = Math.ceil(graph.layers / MOST_LAYERS);
    const bins = layerCounts(state.tasks, graph.layers, step);
    const most = Math.max(1, ...bins.map((bin) => ORDER.reduce((sum, name) => sum + bin[name], 0)));
    while (columns.length < bins.length) {
      const parts = Object.fromEntries(ORDER.map((name) => [name, h("i", { class: `bmad-part bmad-is-${name}` })]));
      const bar = h("div", { class: "bmad-stack" }, [...ORDER].reverse().map((name) => parts[name]));
      const label = h("span", { class: "bmad-label" });
      const column = h("div", { class: "bmad-column" }, bar, label);
      chart.append(column);
      columns.push({ parts, label, column });
    }
    bins.forEach((bin, n) => {
      const { parts, label, column } = columns[n];
      const all = ORDER.reduce((sum, name) => sum + bin[name], 0);
      for (const name of ORDER) {
        const share = `${(100 * bin[name]) / most}%`;
        if (parts[name].style.height !== share) parts[name].style.setProperty("height", share);
        show(parts[name], bin[name] > 0);
      }
      say(label, count(all));
      set(column, { title: ORDER.filter((name) => bin[name]).map((name) => `${count(bin[name])} ${WORDS[name]}`).join(", ") });
    });
    const joined = step > 1 ? `, ${step} layers to a bar` : "";
    say(note, `${counted(graph.tasks, "task")} with ${counted(graph.lines ?? 0, "line")} are too many to draw one by one: a bar for each layer${joined}, by state.`);
    set(chart, { "aria-label": bins.map((bin, n) => `Bar ${n + 1}: ${ORDER.filter((name) => bin[name]).map((name) => `${bin[name]} ${WORDS[name]}`).join(", ")}`).join(". ") });
  };
}

export function layerCounts(tasks, layerCount, step = 1) {
  const bins = Array.from({ length: Math.ceil(layerCount / step) }, () => Object.fromEntries(ORDER.map((name) => [name, 0])));
  for (const task of Object.values(tasks)) {
    const bin = bins[Math.floor((task.layer ?? 0) / step)];
    if (bin) bin[stateOf(task)] += 1;
  }
  return bins;
}
