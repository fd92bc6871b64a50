import assert from "node:assert/strict";
import { test } from "node:test";

import widget from "../../widgets/compare.js";
import { chosen, shuffled, spread } from "../../widgets/lib/cases.js";
import { changes } from "../../widgets/lib/words.js";
import { install } from "./document.mjs";

install();
const HOSTILE = '<img src=x onerror="alert(1)">';

function board() {
  const answer = (column, text, more = {}) => ({ column, text, cost_usd: 0.001, latency_s: 1, ...more });
  return {
    name: "r", columns: [{ label: "sim/a", simulated: true }, { label: "sim/b", simulated: true }],
    cases: [
      { case: "0", title: "apples", prompt: "Name an apple.", reference: "", agreement: 1, answers: [answer(0, "Cox"), answer(1, "Cox")] },
      { case: "1", title: HOSTILE, prompt: HOSTILE, reference: HOSTILE, agreement: 0, answers: [answer(0, HOSTILE), answer(1, "pear")] },
      { case: "2", title: "quince", prompt: "Name a quince.", reference: "", agreement: null, answers: [answer(0, "x"), answer(1, "", { failed: "TimedOut: late" })] },
    ],
  };
}

function model() {
  const values = { board: board(), scores: { 1: { "sim/a": [1, "exact"], "sim/b": [0.25, "exact"] } }, baseline: "sim/a", by: "" };
  const acts = new Map();
  return {
    sent: [], acts,
    get: (name) => values[name],
    set: (name, value) => { values[name] = value; },
    save_changes: () => {},
    send(content) { this.sent.push(content); },
    on: (name, act) => acts.set(name, act),
    off: (name) => acts.delete(name),
  };
}

function opened() {
  const made = model();
  const el = document.createElement("div");
  const end = widget.render({ model: made, el });
  const root = el.children[0];
  const press = (key, target = root) => root.listeners.get("keydown").forEach((act) => act({ key, target }));
  return { made, el, end, root, press, text: () => root.textContent };
}

test("cases are filtered and sorted", () => {
  const { cases } = board();
  const scores = model().get("scores");
  assert.deepEqual(chosen(cases, scores, { text: "PEAR" }).map((each) => each.case), ["1"]);
  assert.deepEqual(chosen(cases, scores, { only: "disagree" }).map((each) => each.case), ["1"]);
  assert.deepEqual(chosen(cases, scores, { only: "failed" }).map((each) => each.case), ["2"]);
  assert.deepEqual(chosen(cases, scores, { only: "wrong" }).map((each) => each.case), ["1"]);
  assert.deepEqual(chosen(cases, scores, { sort: "disagreement" }).map((each) => each.case), ["1", "0", "2"]);
  assert.equal(spread(scores, cases[1]), 0.75);
  assert.equal(spread(scores, cases[0]), 0);
});

test("words are compared as the card does", () => {
  const found = changes("a b c d", "a b x d.");
  assert.deepEqual(found.pieces, [{ kind: "same", text: "a b" }, { kind: "out", text: "c" }, { kind: "added", text: "x" }, { kind: "same", text: "d." }]);
  assert.equal(found.similarity, 0.75);
  assert.equal(changes("", "").similarity, 1);
});

test("the order of hidden answers is another one, and stays", () => {
  const answers = Array.from({ length: 4 }, (_, column) => ({ column }));
  const orders = new Set(Array.from({ length: 40 }, (_, n) => shuffled(answers, `r ${n}`).map((each) => each.column).join("")));
  assert.ok(orders.size > 8, `${orders.size} orders`);
  assert.deepEqual(shuffled(answers, "r 1"), shuffled(answers, "r 1"));
});

test("what looks like markup stays words, in every place", () => {
  const { root, press, text } = opened();
  press("ArrowDown");
  assert.ok(text().includes(HOSTILE));
  const names = [];
  const walk = (node) => { names.push(node.localName); node.children.forEach(walk); };
  walk(root);
  assert.ok(!names.includes("img") && !names.includes("script"));
});

test("hidden names stand nowhere, a number key rates blind, and then the name shows", () => {
  const { made, press, text } = opened();
  press("ArrowDown");
  press("b");
  for (const name of ["sim/a", "sim/b"]) assert.ok(!text().includes(name), name);
  assert.ok(!text().includes("score 1.00"));
  press("1");
  assert.equal(made.sent.length, 1);
  assert.equal(made.sent[0].best, true);
  assert.equal(made.sent[0].blind, true);
  assert.equal(made.sent[0].case, "1");
  made.acts.get("msg:custom")({ kind: "rated", case: "1", label: made.sent[0].label });
  assert.ok(text().includes(made.sent[0].label));
});

test("a failed answer is not rated, and keys in the filter are letters", () => {
  const { made, press, text } = opened();
  press("End");
  press("2");
  assert.deepEqual(made.sent, []);
  assert.ok(text().includes("TimedOut: late"));
  press("b", { localName: "input" });
  assert.ok(text().includes("sim/a"));
});

test("a refusal is said, and the end takes everything away", () => {
  const { made, el, end, text } = opened();
  made.acts.get("msg:custom")({ kind: "refused", what: "A score of 9 is none." });
  assert.ok(text().includes("Not stored: A score of 9 is none."));
  end();
  assert.equal(el.children.length, 0);
  assert.equal(made.acts.size, 0);
});

test("500 cases are there at once", () => {
  const made = model();
  const big = board();
  big.cases = Array.from({ length: 500 }, (_, n) => ({ ...big.cases[0], case: String(n), title: `case ${n}` }));
  made.set("board", big);
  const el = document.createElement("div");
  widget.render({ model: made, el })();
});
