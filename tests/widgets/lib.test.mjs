import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { button, fill, h, say, set, show, svg, visible } from "../../widgets/lib/dom.js";
import { count, counted, seconds, usd } from "../../widgets/lib/format.js";
import { linear, ticks } from "../../widgets/lib/scale.js";
import { install } from "./document.mjs";

install();
const HOSTILE = '<img src=x onerror="alert(1)"><script>alert(2)</script>';

test("what looks like markup is words", () => {
  const made = h("p", { class: "x", title: HOSTILE }, HOSTILE, h("b", {}, "b"), null, [1, false]);
  assert.equal(made.textContent, `${HOSTILE}b1`);
  assert.deepEqual(made.children.map((each) => each.localName), ["b"]);
  assert.equal(made.getAttribute("title"), HOSTILE);
  assert.equal(svg("title", {}, HOSTILE).children.length, 0);
});

test("handlers, addresses and styles are refused as attributes", () => {
  for (const name of ["onclick", "ONERROR", "href", "xlink:href", "src", "srcdoc", "action", "formaction", "style"]) {
    assert.throws(() => h("a", { [name]: "x" }), /is not set from data/);
  }
});

test("control characters and bidi overrides are made visible", () => {
  assert.equal(visible("a\u0000b\u001b[31m\u202ec\u0085\r\nd\te"), "a\u2400b\u241b[31m[U+202E]c\ufffd\nd\te");
  assert.equal(visible("\ud800x\ud83d\ude00"), "\ufffdx\ud83d\ude00");
});

test("what stays the same is not written again", () => {
  const made = h("p", { class: "x", "data-on": true }, "words");
  const before = made.writes;
  set(made, { class: "x", "data-on": true, "data-off": null });
  say(made, "words");
  assert.equal(made.writes, before);
  say(made, "others");
  set(made, { "data-on": false });
  assert.equal(made.textContent, "others");
  assert.equal(made.hasAttribute("data-on"), false);
  show(made, false);
  assert.equal(made.hidden, true);
});

test("a button says what it does and can be pressed, unless it is disabled", () => {
  let pressed = 0;
  const made = button("Pause", () => (pressed += 1));
  made.click();
  set(made, { disabled: true });
  made.click();
  assert.equal(pressed, 1);
  assert.equal(made.textContent, "Pause");
  assert.equal(made.getAttribute("type"), "button");
});

test("fill keeps the nodes that stay, in the order that is wanted", () => {
  const [a, b, c] = ["a", "b", "c"].map((each) => h("i", {}, each));
  const made = h("div", {}, a, b);
  fill(made, [c, a, null]);
  assert.deepEqual(made.childNodes, [c, a]);
});

test("numbers are written as Python writes them", () => {
  const table = JSON.parse(readFileSync(new URL("./format.json", import.meta.url)));
  for (const [given, wanted] of table.usd) assert.equal(usd(given), wanted, `usd(${given})`);
  for (const [given, wanted] of table.seconds) assert.equal(seconds(given), wanted, `seconds(${given})`);
  for (const [given, wanted] of table.count) assert.equal(count(given), wanted, `count(${given})`);
  for (const [given, noun, wanted] of table.counted) assert.equal(counted(given, noun), wanted);
});

test("an axis has round steps and covers what is on it", () => {
  assert.deepEqual(ticks(38), [0, 5, 10, 15, 20, 25, 30, 35, 40]);
  assert.deepEqual(ticks(0.7, 7), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
  assert.deepEqual(ticks(0), [0, 1]);
  for (const most of [0.01, 0.3, 1, 7.2, 59, 61, 1e4]) {
    const found = ticks(most);
    assert.ok(found.at(-1) >= most * (1 - 1e-9) && found.length <= 9, `${most}: ${found}`);
  }
  const place = linear([0, 10], [100, 200]);
  assert.deepEqual([0, 5, 10].map(place), [100, 150, 200]);
  assert.equal(linear([3, 3], [1, 2])(3), 1);
});
