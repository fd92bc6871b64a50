// The explorer of a comparison: a list of cases, and one case up close.

import { button, fill, h, say, set, show } from "./lib/dom.js";
import { count, counted, seconds, usd } from "./lib/format.js";
import { ONLY, SORTS, chosen, shuffled, spread } from "./lib/cases.js";
import { SHARED, changes } from "./lib/words.js";

const RATINGS = [0, 0.25, 0.5, 0.75, 1];
const HELP = "↑ ↓ case · / filter · b names on or off · 1 to 9 the best answer · Esc back to the list";

function option(value, words) {
  return h("option", { value }, words);
}

function choice(name, values, change) {
  const box = h("select", { class: "bmad-choice" }, Object.entries(values).map(([value, words]) => option(value, words)));
  box.addEventListener("change", () => change(box.value));
  return [h("label", { class: "bmad-label bmad-pick" }, name, " ", box), box];
}

function differences(base, text) {
  const found = changes(base, text);
  if (base === text) return h("div", { class: "bmad-text" }, text);
  if (found.similarity < SHARED) return h("div", {}, h("div", { class: "bmad-dim" }, "differs throughout"), h("div", { class: "bmad-text", dir: "auto" }, text));
  const tags = { same: "span", added: "ins", out: "del" };
  return h("div", { class: "bmad-text", dir: "auto" }, found.pieces.map((each) => [h(tags[each.kind], {}, each.text), " "]));
}

class Explorer {
  constructor(model, el) {
    this.model = model;
    this.wish = { text: "", only: "", sort: "given" };
    this.blind = false;
    this.named = new Set();
    this.at = 0;
    this.rows = new Map();
    this.root = h("section", { class: "bmad bmad-compare", "aria-label": "Explorer of a comparison", "data-lm-suppress-shortcuts": "true" });
    this.title = h("div", { class: "bmad-title" });
    this.said = h("div", { class: "bmad-dim", role: "status", "aria-live": "polite" });
    this.list = h("tbody", {});
    this.head = h("tr", {});
    this.frame = h("div", { class: "bmad-cases", tabindex: "0", role: "group", "aria-label": "Cases; arrow keys move" }, h("table", {}, h("thead", {}, this.head), this.list));
    this.close = h("div", { class: "bmad-close", "aria-live": "off" });
    this.root.append(h("div", {}, this.title, this.said), this.tools(), this.frame, this.close, h("div", { class: "bmad-label" }, HELP));
    // Heard at the window, before the application: Notebook 7 takes arrow keys away at its document.
    this.ears = document.defaultView ?? this.root;
    this.hear = (event) => this.key(event);
    this.ears.addEventListener("keydown", this.hear, true);
    this.frame.addEventListener("click", (event) => this.point(event));
    this.listens = [["change:scores", () => this.refresh()], ["change:baseline", () => this.refresh()], ["change:board", () => this.rebuild()], ["msg:custom", (content) => this.told(content)]];
    for (const [name, act] of this.listens) model.on(name, act);
    el.append(this.root);
    this.rebuild();
  }

  get board() {
    return this.model.get("board");
  }

  get scores() {
    return this.model.get("scores");
  }

  get entry() {
    return this.shown[this.at] ?? null;
  }

  tools() {
    this.filter = h("input", { type: "search", class: "bmad-filter", placeholder: "Filter: words of a case or an answer", "aria-label": "Filter" });
    this.filter.addEventListener("input", () => this.want({ text: this.filter.value }));
    const [only] = choice("show", ONLY, (value) => this.want({ only: value }));
    const [sort] = choice("order", SORTS, (value) => this.want({ sort: value }));
    const [base, box] = choice("baseline", {}, (value) => {
      this.model.set("baseline", value);
      this.model.save_changes();
      this.refresh();
    });
    this.bases = box;
    this.baseLabel = base;
    this.hide = button("Hide names", () => this.flip(), { "aria-pressed": "false" });
    return h("div", { class: "bmad-bar" }, this.filter, only, sort, base, this.hide);
  }

  want(part) {
    const before = this.entry;
    this.wish = { ...this.wish, ...part };
    this.choose(before);
  }

  rebuild() {
    this.options = this.board.columns.map((each) => option(each.label, each.label));
    this.rows.clear();
    this.choose(null);
  }

  choose(before) {
    this.shown = chosen(this.board.cases, this.scores, this.wish);
    this.at = Math.max(0, this.shown.indexOf(before));
    this.refresh();
  }

  refresh() {
    const { columns, cases } = this.board;
    say(this.title, `${counted(columns.length, "column")} × ${counted(cases.length, "case")}`);
    const left = this.shown.length === cases.length ? "All cases are shown" : `${count(this.shown.length)} of ${counted(cases.length, "case")} fit`;
    say(this.said, this.blind ? `${left}; names are hidden until an answer is rated.` : `${left}.`);
    show(this.baseLabel, !this.blind);
    fill(this.bases, this.blind ? [] : this.options);
    if (!this.blind) this.bases.value = this.model.get("baseline");
    fill(this.head, [h("th", { scope: "col" }, "Case"), ...columns.map((each) => h("th", { scope: "col" }, this.blind ? "hidden" : each.label, each.simulated && !this.blind ? h("div", { class: "bmad-label" }, "simulated") : null)), h("th", { scope: "col", class: "bmad-number" }, "spread")]);
    fill(this.list, this.shown.map((entry) => this.row(entry)));
    this.mark();
  }

  row(entry) {
    let made = this.rows.get(entry.case);
    if (!made) {
      made = h("tr", {}, h("th", { scope: "row", class: "bmad-name", dir: "auto" }, entry.title), this.board.columns.map(() => h("td", {})), h("td", { class: "bmad-number" }));
      this.rows.set(entry.case, made);
    }
    const cells = [...made.children].slice(1);
    const scores = this.scores[entry.case] ?? {};
    this.board.columns.forEach((column, n) => {
      const answer = entry.answers.find((each) => each.column === n);
      const score = scores[column.label];
      const words = !answer ? "–" : answer.failed ? "✕ failed" : this.blind ? "·" : score ? score[0].toFixed(2) : answer.text.slice(0, 60);
      say(cells[n], words);
      set(cells[n], { class: answer?.failed ? "bmad-failed" : score ? "bmad-score" : "bmad-short" });
    });
    const apart = spread(this.scores, entry);
    say(cells.at(-1), this.blind || !apart ? "" : apart.toFixed(2));
    return made;
  }

  mark() {
    for (const [name, row] of this.rows) {
      const here = this.entry?.case === name;
      set(row, { class: here ? "bmad-here" : null, "aria-current": here ? "true" : null });
      if (here) row.scrollIntoView?.({ block: "nearest" });
    }
    this.upClose();
  }

  upClose() {
    const entry = this.entry;
    if (!entry) {
      fill(this.close, [h("div", { class: "bmad-dim" }, "No case fits. Empty the filter to see all.")]);
      return;
    }
    const hidden = this.blind && !this.named.has(entry.case);
    const answers = this.blind ? shuffled(entry.answers, `${this.board.name} ${entry.case}`) : entry.answers;
    const base = entry.answers.find((each) => this.board.columns[each.column].label === this.model.get("baseline"));
    fill(this.close, [
      h("details", {}, h("summary", { class: "bmad-dim" }, "Prompt: ", entry.prompt.slice(0, 160)), h("div", { class: "bmad-text", dir: "auto" }, entry.prompt)),
      entry.reference ? h("div", { class: "bmad-dim", dir: "auto" }, "Reference: ", entry.reference) : null,
      h("div", { class: "bmad-answers" }, answers.map((each, n) => this.answer(entry, each, n, hidden, base))),
    ]);
  }

  answer(entry, answer, n, hidden, base) {
    const column = this.board.columns[answer.column];
    const letter = String.fromCharCode(65 + n);
    const name = hidden ? letter : this.blind ? `${letter}: ${column.label}` : column.label;
    const score = (this.scores[entry.case] ?? {})[column.label];
    const facts = hidden ? [] : [score ? `score ${score[0].toFixed(2)} (${score[1]})` : "not scored", `${usd(answer.cost_usd)}${column.simulated ? " simulated" : ""}`, `${seconds(answer.latency_s)}${column.simulated ? " simulated" : ""}`];
    const body = answer.failed ? h("div", { class: "bmad-failed" }, "✕ ", answer.failed) : hidden || !base || base === answer || base.failed ? h("div", { class: "bmad-text", dir: "auto" }, answer.text || "(empty answer)") : differences(base.text, answer.text);
    const more = answer.more ? h("div", { class: "bmad-dim" }, `… ${count(answer.more)} characters more, in ${this.board.name}.answers`) : null;
    const rate = (wish) => this.model.send({ case: entry.case, label: column.label, blind: hidden, ...wish });
    const buttons = answer.failed ? null : h("div", { class: "bmad-bar" },
      button("Best", () => rate({ best: true }), { "aria-label": `${name} is the best answer` }),
      RATINGS.map((value) => button(String(value), () => rate({ score: value }), { class: "bmad-button bmad-small", "aria-label": `Rate ${name} ${value}` })));
    const edge = !hidden && base === answer ? " bmad-base" : "";
    return h("article", { class: `bmad-answer${edge}`, "aria-label": `Answer of ${name}` },
      h("div", { class: "bmad-who" }, h("b", {}, name), edge ? h("span", { class: "bmad-label" }, " baseline") : null, column.simulated && !hidden ? h("span", { class: "bmad-label" }, " simulated") : null),
      body, more, h("div", { class: "bmad-label" }, facts.filter(Boolean).join(" · ")), buttons);
  }

  told(content) {
    if (content?.kind === "rated") {
      this.named.add(content.case);
      say(this.said, `Stored: ${content.label} was rated.`);
      this.upClose();
    } else if (content?.kind === "refused") {
      say(this.said, `Not stored: ${content.what}`);
    }
  }

  flip() {
    this.blind = !this.blind;
    this.named.clear();
    set(this.hide, { "aria-pressed": String(this.blind) });
    say(this.hide, this.blind ? "Show names" : "Hide names");
    this.refresh();
  }

  move(by) {
    this.at = Math.min(this.shown.length - 1, Math.max(0, this.at + by));
    this.mark();
  }

  point(event) {
    for (let node = event.target; node && node !== this.frame; node = node.parentNode) {
      const n = this.shown.findIndex((entry) => this.rows.get(entry.case) === node);
      if (n >= 0) {
        this.at = n;
        this.mark();
      }
    }
  }

  best(n) {
    const entry = this.entry;
    if (!entry) return;
    const answers = this.blind ? shuffled(entry.answers, `${this.board.name} ${entry.case}`) : entry.answers;
    const answer = answers[n];
    if (!answer || answer.failed) return;
    const hidden = this.blind && !this.named.has(entry.case);
    this.model.send({ case: entry.case, label: this.board.columns[answer.column].label, best: true, blind: hidden });
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || (event.shiftKey && event.key === "Enter")) return;
    if (this.root.contains?.(event.target) === false) return;
    event.stopImmediatePropagation?.();
    const name = event.target?.localName;
    const typing = name === "input" || name === "select";
    const acts = {
      ArrowDown: () => this.move(1), ArrowUp: () => this.move(-1), j: () => this.move(1), k: () => this.move(-1),
      PageDown: () => this.move(10), PageUp: () => this.move(-10), Home: () => this.move(-Infinity), End: () => this.move(Infinity),
      "/": () => this.filter.focus?.(), b: () => this.flip(),
    };
    if (event.key === "Escape") this.frame.focus?.();
    else if (typing) return;
    else if (/^[1-9]$/.test(event.key)) this.best(Number(event.key) - 1);
    else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault?.();
  }

  end() {
    for (const [name, act] of this.listens) this.model.off(name, act);
    this.ears.removeEventListener?.("keydown", this.hear, true);
    this.root.remove();
  }
}

function render({ model, el }) {
  const view = new Explorer(model, el);
  return () => view.end();
}

export default { render };
