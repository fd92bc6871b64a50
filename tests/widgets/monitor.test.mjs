import assert from "node:assert/strict";
import { test } from "node:test";

import { about, layerCounts } from "../../widgets/lib/graph.js";
import { Frames, merged } from "../../widgets/lib/patch.js";
import { countStates } from "../../widgets/lib/signs.js";
import { lanesOf } from "../../widgets/lib/timeline.js";
import monitor, { figures, headline } from "../../widgets/monitor.js";
import { install } from "./document.mjs";

install();
globalThis.requestAnimationFrame = (act) => (act(), 0);
const HOSTILE = '<img src=x onerror="alert(1)">';

function whole() {
  return {
    run: { id: "e4f1", workflow: "review", status: "running", reason: "", started_utc: "2026-11-30T14:31:07", budget_usd: 0.05 },
    graph: {
      drawn: true, layers: 2, width: 480, height: 60, box: [200, 50], places: { a: [0, 0], [HOSTILE]: [250, 0] },
      lines: [["a", HOSTILE, "M0 0 L1 1"]],
    },
    tasks: {
      a: { n: 0, layer: 0, state: "done", llm: "sim/careful", simulated: true, verb: "prompt", cost_usd: 0.001 },
      [HOSTILE]: { n: 1, layer: 1, state: "running", llm: "own/x", verb: "prompt" },
    },
    calls: {
      c1: { task: "a", llm: "sim/careful", state: "answered", start_s: 0, end_s: 2, simulated: true },
      c2: { task: HOSTILE, llm: "own/x", state: "in_flight", start_s: 2 },
    },
    questions: {},
    sums: { made: 2, flying: 1, stored: 0, failed: 0, spent_usd: 0.01, held_usd: 0.02, invented_usd: 0.001, invented_held_usd: 0 },
  };
}

function opened(state = whole()) {
  const handlers = new Map();
  const sent = [];
  const traits = { snapshot: { n: 0, whole: state, live: {}, clock_s: 3, runs: true }, hears: false, can_resume: true };
  const model = {
    get: (name) => traits[name],
    on: (name, act) => handlers.set(name, act),
    off: (name) => handlers.delete(name),
    send: (message) => sent.push(message),
  };
  const el = document.createElement("div");
  const close = monitor.render({ model, el });
  const tell = (message) => handlers.get("msg:custom")(message);
  const change = (n, part, more = {}) => tell({ kind: "frame", frame: { n, change: part, live: {}, clock_s: 4, runs: true, ...more } });
  const wanted = (words) => el.find("button").find((each) => each.textContent === words);
  return { el, sent, tell, change, close, handlers, wanted };
}

test("a merge patch merges objects, replaces all else and takes away what is null", () => {
  assert.deepEqual(merged({ a: { b: 1, c: [1] }, d: 2 }, { a: { b: null, c: [2], e: {} }, d: { f: 1 } }), { a: { c: [2], e: {} }, d: { f: 1 } });
  const odd = merged({}, JSON.parse('{"__proto__": {"polluted": 1}}'));
  assert.equal({}.polluted, undefined);
  assert.deepEqual(Object.keys(odd), ["__proto__"]);
});

test("a frame that is missing is asked for, and nothing wrong is shown meanwhile", () => {
  let lost = 0;
  const frames = new Frames(() => (lost += 1));
  assert.ok(frames.take({ n: 3, whole: whole(), live: {}, clock_s: 1, runs: true }, 0));
  assert.ok(frames.take({ n: 4, change: { sums: { made: 9 } }, live: {}, clock_s: 2, runs: true }, 1000));
  assert.ok(!frames.take({ n: 6, change: { sums: { made: 11 } }, live: {}, clock_s: 3, runs: true }, 2000));
  assert.ok(!frames.take({ n: 4, change: { sums: { made: 0 } }, live: {}, clock_s: 3, runs: true }, 2000));
  assert.deepEqual([lost, frames.state.sums.made, frames.number], [1, 9, 4]);
  assert.ok(frames.take({ n: 7, whole: whole(), live: {}, clock_s: 9, runs: false }, 3000));
  assert.equal(frames.seconds(99_000), 9);
});

test("the headline and the figures say how a run stands", () => {
  const state = whole();
  assert.equal(headline(state, "running"), "Running: 1 of 2 tasks done");
  state.questions.q = { text: "Go on?", options: [] };
  assert.equal(headline(state, "running"), "Running: 1 of 2 tasks done, one needs your answer");
  state.run.reason = "limit";
  assert.equal(headline(state, "paused"), "Paused by its limit: 1 of 2 tasks done");
  assert.equal(
    figures(state, { left_s: 25 }, 38.2, "running"),
    "2 calls made · 1 in flight · $0.01 + $0.001 simulated · 38 s · ~25 s left · Interrupt keeps what is done",
  );
});

test("tasks and layers are counted by state", () => {
  const tasks = { a: { state: "done", layer: 0 }, b: { state: "waiting", asks: true, layer: 3 }, c: { state: "waiting", layer: 3 } };
  assert.deepEqual(countStates(tasks), [["done", 1], ["asks", 1], ["waiting", 1]]);
  const bins = layerCounts(tasks, 4, 2);
  assert.deepEqual([bins.length, bins[0].done, bins[1].asks, bins[1].waiting], [2, 1, 1, 1]);
  assert.equal(about({ state: "done", llm: "a/b", cost_usd: 0.5, parts: 3 }), "done · 3 parts done · $0.50");
});

test("of many tasks the lanes are those that run, failed, or ended last; no bar hides another", () => {
  const calls = {};
  const tasks = {};
  for (let n = 0; n < 1000; n += 1) {
    calls[`c${n}`] = { task: `t${n}`, state: n === 3 ? "failed" : n === 7 ? "in_flight" : "answered", start_s: n, end_s: n === 7 ? undefined : n + 1 };
    tasks[`t${n}`] = { n };
  }
  const { lanes, left } = lanesOf({ calls, tasks }, 16);
  assert.equal(left, 984);
  assert.deepEqual(lanes.slice(0, 3).map((lane) => lane.name), ["t3", "t7", "t986"]);
  const rows = lanesOf({ tasks: {}, calls: { a: { task: "t", start_s: 0, end_s: 2 }, b: { task: "t", start_s: 1, end_s: 3 }, c: { task: "t", start_s: 2.5, end_s: 4 } } }).lanes[0];
  assert.deepEqual([rows.rows, rows.calls.map((call) => call.row)], [2, [0, 1, 0]]);
});

test("a view shows the state, changes in place, and says nothing that is markup", () => {
  const view = opened();
  assert.equal(view.el.find("img").length, 0);
  assert.ok(view.el.textContent.includes(HOSTILE));
  const boxes = view.el.find(".bmad-box");
  assert.equal(boxes.length, 2);
  const writes = boxes[0].writes;
  view.change(1, { tasks: { [HOSTILE]: { state: "failed", error: HOSTILE } }, sums: { flying: 0 } });
  assert.ok(boxes[1].getAttribute("class").includes("bmad-is-failed"));
  assert.equal(boxes[0].writes, writes);
  assert.equal(view.el.find(".bmad-box")[1], boxes[1]);
  assert.equal(view.el.find("img").length, 0);
  view.close();
  assert.equal(view.handlers.size, 0);
});

test("buttons send what is wanted, and only what can be wanted now", () => {
  const view = opened();
  view.wanted("Pause").click();
  view.wanted("Resume").click();
  assert.deepEqual(view.sent.filter((each) => each.kind !== "hello"), [{ kind: "pause" }]);
  assert.ok(view.el.textContent.includes("has not seen it yet"));
  view.change(1, { run: { status: "paused", reason: "pause" } }, { runs: false });
  assert.ok(!view.el.textContent.includes("has not seen it yet"));
  assert.ok(view.wanted("Pause").disabled && !view.wanted("Resume").disabled);
  view.wanted("Resume").click();
  view.wanted("Cancel run").click();
  assert.deepEqual(view.sent.filter((each) => each.kind !== "hello").slice(1), [{ kind: "resume" }, { kind: "cancel" }]);
  view.close();
});

test("a question keeps what was typed while the view goes on, and sends it", () => {
  const view = opened();
  view.change(1, { questions: { ok: { text: HOSTILE, options: ["accept", "stop"], form: ["size"], until_utc: "", shown: "x" } } });
  const [size, comment] = view.el.find("input");
  size.value = "3";
  comment.value = "Good.";
  view.change(2, { sums: { made: 5 } });
  assert.equal(view.el.find("input")[0], size);
  view.wanted("Accept").click();
  assert.deepEqual(view.sent.at(-1), { kind: "answer", task: "ok", choice: "accept", comment: "Good.", fields: { size: "3" } });
  view.change(3, { questions: { ok: { text: null, options: null, form: null, until_utc: null, shown: null } } });
  assert.equal(view.wanted("Accept"), undefined);
  view.close();
});

test("a large run has a bar per layer, and its lanes stay few", () => {
  const state = whole();
  state.graph = { drawn: false, layers: 100, tasks: 1000, lines: 5000 };
  state.tasks = {};
  for (let n = 0; n < 1000; n += 1) state.tasks[`t${n}`] = { n, layer: n % 100, state: n < 500 ? "done" : "waiting" };
  const view = opened(state);
  assert.equal(view.el.find(".bmad-column").length, 34);
  assert.ok(view.el.textContent.includes("1,000 tasks with 5,000 lines are too many to draw one by one"));
  view.close();
});

test("a view says hello until it is heard, and says so where it is not", async () => {
  const view = opened();
  await new Promise((done) => setTimeout(done, 400));
  assert.ok(view.sent.filter((each) => each.kind === "hello").length >= 2);
  view.tell({ kind: "heard" });
  const before = view.sent.length;
  await new Promise((done) => setTimeout(done, 700));
  assert.equal(view.sent.length, before);
  view.close();
});
