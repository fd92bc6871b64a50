// Calls over time: a lane per task, a bar per call. Of a large run the lanes that matter now.

import { fill, h, say, set, svg } from "./dom.js";
import { count, seconds } from "./format.js";
import { linear, ticks } from "./scale.js";

const WIDTH = 918;
const NAMES = 150;
const ROW = 11;
const PAD = 5;
const MOST_LANES = 16;
const MOST_ROWS = 6;
const MOST_BARS = 60;

// Returns the lanes that are shown, each with its calls in rows so that none lies over another.
export function lanesOf(state, most = MOST_LANES) {
  const byTask = new Map();
  for (const [id, call] of Object.entries(state.calls)) {
    const name = call.task || call.llm;
    if (!byTask.has(name)) byTask.set(name, []);
    byTask.get(name).push({ id, ...call });
  }
  let names = [...byTask.keys()];
  const left = Math.max(0, names.length - most);
  if (left) {
    const urgency = new Map(names.map((name) => [name, urgencyOf(byTask.get(name))]));
    names = names.sort((a, b) => urgency.get(b) - urgency.get(a)).slice(0, most);
  }
  const place = (name) => state.tasks[name]?.n ?? 0;
  const lanes = names.sort((a, b) => place(a) - place(b)).map((name) => ({ name, ...rowsOf(byTask.get(name)) }));
  return { lanes, left };
}

// what runs, then what failed, then what ended last
function urgencyOf(calls) {
  return Math.max(...calls.map((call) => (call.state === "in_flight" ? 2e9 : call.state === "failed" ? 1e9 : 0) + (call.end_s ?? call.start_s ?? 0)));
}

function rowsOf(all) {
  const calls = all.sort((a, b) => (a.start_s ?? 0) - (b.start_s ?? 0)).slice(-MOST_BARS);
  const ends = [];
  for (const call of calls) {
    const start = call.start_s ?? 0;
    let row = ends.findIndex((end) => end <= start + 1e-9);
    if (row < 0) row = ends.length < MOST_ROWS ? ends.length : ends.indexOf(Math.min(...ends));
    ends[row] = call.end_s ?? Infinity;
    call.row = row;
  }
  return { calls, rows: Math.max(1, ends.length) };
}

export function makeTimeline() {
  const picture = svg("svg", { width: "100%", class: "bmad-timeline", role: "img" });
  const note = h("p", { class: "bmad-label" });
  const grid = svg("g");
  const body = svg("g");
  const marker = svg("line", { class: "bmad-now" });
  const clock = svg("text", { class: "bmad-clock" });
  fill(picture, [grid, body, marker, clock]);
  const lanes = new Map();
  let shape = "";

  function frame(axis, bottom, x) {
    const parts = axis.map((tick, n) => {
      const at = x(tick);
      const line = svg("line", { x1: at, x2: at, y1: 20, y2: bottom, class: "bmad-gridline" });
      const anchor = n === axis.length - 1 ? "end" : "middle";
      return [line, svg("text", { x: at, y: bottom + 15, "text-anchor": anchor, class: "bmad-tick" }, seconds(tick))];
    });
    fill(grid, parts.flat());
    set(picture, { viewBox: `0 0 ${WIDTH} ${bottom + 20}` });
  }

  return {
    element: h("div", {}, picture, note),
    draw(state, now, runs) {
      const { lanes: shown, left } = lanesOf(state);
      const axis = ticks(Math.max(now, 0.5));
      const x = linear([0, axis.at(-1)], [NAMES + 10, WIDTH - 12]);
      let top = 22;
      const kept = new Set();
      for (const lane of shown) {
        const each = lanes.get(lane.name) ?? newLane(lane.name, lanes, body);
        kept.add(lane.name);
        drawLane(each, lane, top, x, now);
        top += lane.rows * ROW + 2 * PAD;
      }
      for (const [name, each] of lanes) {
        if (!kept.has(name)) {
          each.group.remove();
          lanes.delete(name);
        }
      }
      const size = `${axis.at(-1)} ${axis.length} ${top}`;
      if (size !== shape) frame(axis, top, x);
      shape = size;
      set(marker, { x1: x(now), x2: x(now), y1: 16, y2: top });
      const late = x(now) > WIDTH - 60;
      set(clock, { x: late ? WIDTH - 2 : Math.max(x(now), NAMES + 40), y: 12, "text-anchor": late ? "end" : "middle" });
      say(clock, `${runs ? "now" : "stopped"}, ${seconds(now)}`);
      const more = left ? ` ${count(left)} more tasks have calls; those that run, failed or ended last are shown.` : "";
      say(note, `One bar is one call. Solid: answered. Pale with a solid start: running. Outline with a cross: failed. Short mark: from the store.${more}`);
      set(picture, { "aria-label": `Timeline of ${count(Object.keys(state.calls).length)} calls; the table below has its numbers` });
    },
  };
}

function newLane(name, lanes, body) {
  const title = svg("title", {}, name);
  const words = svg("text", { x: NAMES, "text-anchor": "end", class: "bmad-lane" });
  const group = svg("g", {}, title, words);
  body.append(group);
  const made = { group, words, bars: new Map() };
  say(words, name.length > 22 ? `${name.slice(0, 21)}…` : name);
  lanes.set(name, made);
  return made;
}

function drawLane(lane, { calls, rows }, top, x, now) {
  set(lane.words, { y: top + PAD + (rows * ROW) / 2 + 4 });
  const kept = new Set();
  for (const call of calls) {
    let bar = lane.bars.get(call.id);
    if (bar === undefined) {
      bar = { body: svg("rect", { rx: 2 }), start: svg("rect", { class: "bmad-start" }), cross: svg("path", { class: "bmad-cross" }), tip: svg("title") };
      bar.group = svg("g", {}, bar.tip, bar.body, bar.start, bar.cross);
      lane.bars.set(call.id, bar);
      lane.group.append(bar.group);
    }
    kept.add(call.id);
    drawBar(bar, call, top + PAD + call.row * ROW, x, now);
  }
  for (const [id, bar] of lane.bars) {
    if (!kept.has(id)) {
      bar.group.remove();
      lane.bars.delete(id);
    }
  }
}

function drawBar(bar, call, y, x, now) {
  const start = x(call.start_s ?? 0);
  const flies = call.state === "in_flight";
  const stored = call.stored === true;
  const end = x(flies ? now : (call.end_s ?? call.start_s ?? 0));
  const failed = !flies && call.state !== "answered";
  const wide = stored ? 3 : Math.max(failed ? 10 : 2, end - start);
  const kind = flies ? "flies" : stored ? "stored" : failed ? "failed" : "answered";
  set(bar.body, { x: start, y, width: wide, height: 8, class: `bmad-bar-${kind}` });
  set(bar.start, { x: start, y, width: flies ? 3 : 0, height: 8 });
  set(bar.cross, { d: failed ? `M${start + wide - 7} ${y + 2} l4 4 m0 -4 l-4 4` : null });
  const took = flies ? now - (call.start_s ?? 0) : (call.end_s ?? 0) - (call.start_s ?? 0);
  const said = [call.part, call.llm, stored ? "from the store" : call.state.replace("_", " "), call.error, seconds(took)];
  say(bar.tip, said.filter(Boolean).join(", "));
}
