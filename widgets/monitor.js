// A run that is watched: its graph, its calls, its money, and the buttons that tell it what to do.
// Python sends a whole state and then what changed; a button sends what is wanted, and nothing here
// changes before the run says that it saw it.

import { button, fill, h, say, set, show } from "./lib/dom.js";
import { count, counted, seconds, usd } from "./lib/format.js";
import { makeGraph } from "./lib/graph.js";
import { Frames } from "./lib/patch.js";
import { countStates, sign, WORDS } from "./lib/signs.js";
import { makeTimeline } from "./lib/timeline.js";

const PATIENCE_MS = 3000;
const CALLS = 8;
const MOST_TEXTS = 6;
const STATUS = { running: "Running", completed: "Completed", paused: "Paused", cancelled: "Cancelled", failed: "Failed", interrupted: "Interrupted" };
const WHY = { limit: "by its limit", human: "until a person answers", checkpoint: "by a checkpoint", pause: "", user: "by an interrupt" };

// Returns the sentence that says how a run stands.
export function headline(state, status) {
  const counts = new Map(countStates(state.tasks));
  const all = Object.keys(state.tasks).length;
  const done = counts.get("done") ?? 0;
  const others = ["failed", "cancelled", "skipped"].filter((name) => counts.get(name)).map((name) => `${count(counts.get(name))} ${name}`);
  const asked = Object.values(state.questions).filter((each) => each.text !== undefined).length;
  const so = status === "completed" ? `${counted(done, "task")} done` : `${count(done)} of ${counted(all, "task")} done`;
  const why = status === "paused" && WHY[state.run.reason] ? ` ${WHY[state.run.reason]}` : "";
  const word = state.run.is_pausing ? "Pausing: what is in flight may end;" : `${STATUS[status] ?? status}${why}:`;
  const asks = asked && status === "running" ? [asked === 1 ? "one needs your answer" : `${count(asked)} need your answer`] : [];
  return `${word} ${[so, ...others, ...asks].join(", ")}`;
}

// Returns the line of figures below it.
export function figures(state, live, elapsed, status) {
  const sums = state.sums;
  const parts = [`${counted(sums.made ?? 0, "call")} made`];
  if (sums.flying) parts.push(`${count(sums.flying)} in flight`);
  if (sums.stored) parts.push(`${counted(sums.stored, "answer")} from the store`);
  if (sums.failed) parts.push(`${counted(sums.failed, "call")} failed`);
  parts.push(money(sums));
  parts.push(seconds(elapsed >= 20 ? Math.round(elapsed) : elapsed));
  if (status === "running") {
    if (live.left_s !== undefined) parts.push(`~${seconds(live.left_s)} left`);
    parts.push("Interrupt keeps what is done");
  }
  return parts.join(" · ");
}

function money(sums) {
  const parts = [];
  if (sums.spent_usd || !sums.invented_usd) parts.push(usd(sums.spent_usd ?? 0));
  if (sums.invented_usd) parts.push(`${usd(sums.invented_usd)} simulated`);
  return parts.join(" + ");
}

function makeSpend() {
  const rows = [
    ["spent_usd", "held_usd", ""],
    ["invented_usd", "invented_held_usd", " (simulated money)"],
  ].map(([spent, held, note]) => {
    const used = h("i", { class: "bmad-used" });
    const kept = h("i", { class: "bmad-held" });
    const words = ["", "", ""].map(() => h("span", {}));
    const bar = h("div", { class: "bmad-meter", role: "img" }, used, kept);
    const line = h("div", { class: "bmad-purse" }, bar, h("div", { class: "bmad-amounts" }, words));
    return { spent, held, note, used, kept, words, bar, line };
  });
  const element = h("div", {}, h("p", { class: "bmad-label" }, "Spend against budget"), rows.map((row) => row.line));
  return {
    element,
    draw(state) {
      const budget = state.run.budget_usd;
      show(element, budget !== undefined);
      if (budget === undefined) return;
      rows.forEach(({ spent, held, note, used, kept, words, bar, line }, n) => {
        const gone = state.sums[spent] ?? 0;
        const away = state.sums[held] ?? 0;
        const invented = (state.sums.invented_usd ?? 0) + (state.sums.invented_held_usd ?? 0) > 0;
        show(line, n === 0 ? gone + away > 0 || !invented : invented);
        const share = (amount) => `${Math.min(100, budget ? (100 * amount) / budget : 100)}%`;
        used.style.setProperty("width", share(gone));
        kept.style.setProperty("width", share(away));
        say(words[0], `${usd(gone)} spent${note}`);
        say(words[1], away ? `${usd(away)} held for ${counted(state.sums.flying ?? 0, "call")} in flight` : "");
        say(words[2], `${usd(Math.max(0, budget - gone - away))} left of ${usd(budget)}`);
        set(bar, { "aria-label": `${usd(gone)} spent and ${usd(away)} held of ${usd(budget)}${note}` });
      });
    },
  };
}

function makeTexts() {
  const list = h("div", { class: "bmad-texts" });
  const more = h("p", { class: "bmad-label" });
  const element = h("div", {}, h("p", { class: "bmad-label" }, "Answers that are coming in"), list, more);
  const made = new Map();
  return {
    element,
    draw(state, live) {
      const calls = Object.entries(live.texts ?? {});
      show(element, calls.length > 0);
      const shown = calls.slice(0, MOST_TEXTS);
      for (const [id, text] of shown) {
        if (!made.has(id)) {
          const name = h("span", { class: "bmad-label" });
          const words = h("p", { class: "bmad-text bmad-tail", dir: "auto" });
          made.set(id, { box: h("div", { class: "bmad-coming" }, name, words), name, words });
        }
        const each = made.get(id);
        const call = state.calls[id] ?? {};
        say(each.name, `${call.part || call.task || ""} · ${call.llm ?? ""}${call.simulated ? " · simulated" : ""}`);
        say(each.words, text);
        each.words.scrollTop = each.words.scrollHeight;
      }
      const ids = new Set(shown.map(([id]) => id));
      for (const id of made.keys()) if (!ids.has(id)) made.delete(id);
      fill(list, shown.map(([id]) => made.get(id).box));
      show(more, calls.length > MOST_TEXTS);
      say(more, `${count(calls.length - MOST_TEXTS)} more`);
    },
  };
}

// What people are asked: a box per question, kept while it is open so that no typed word is lost.
function makeQuestions(send) {
  const element = h("div", { class: "bmad-asks", "aria-live": "polite" });
  const made = new Map();

  function box(task, asked) {
    const said = h("p", { class: "bmad-label", role: "status" });
    const fields = (asked.form ?? []).map((name) => h("input", { type: "text", class: "bmad-input", placeholder: name, "aria-label": `${name}, for ${task}`, "data-name": name }));
    const comment = h("input", { type: "text", class: "bmad-input", placeholder: "comment (may be empty)", "aria-label": `comment, for ${task}` });
    const free = h("input", { type: "text", class: "bmad-input bmad-wide", placeholder: "your answer", "aria-label": `answer, for ${task}` });
    const give = (choice) => {
      const answer = { choice, comment: asked.options?.length ? comment.value ?? "" : "" };
      const form = Object.fromEntries(fields.map((field) => [field.getAttribute("data-name"), field.value ?? ""]));
      send({ kind: "answer", task, ...answer, fields: form });
      say(said, `Sent: ${choice}. The run has not seen it yet.`);
    };
    const main = (n) => ({ class: n === 0 ? "bmad-button bmad-main" : "bmad-button" });
    const buttons = asked.options?.length
      ? asked.options.map((option, n) => button(label(option), () => give(option), { ...main(n), "aria-label": `${label(option)}: ${task}` }))
      : [free, button("Answer", () => give(free.value ?? ""), main(0))];
    return h("div", { class: "bmad-question" },
      h("p", {}, sign("asks"), " ", h("strong", {}, task), " asks: ", asked.text),
      asked.shown ? h("details", {}, h("summary", {}, "What it is about"), h("p", { class: "bmad-text", dir: "auto" }, asked.shown)) : null,
      asked.until_utc ? h("p", { class: "bmad-dim" }, `Answer by ${asked.until_utc.slice(0, 19).replace("T", " ")} UTC.`) : null,
      h("div", { class: "bmad-bar" }, buttons, fields, asked.options?.length ? comment : null), said);
  }

  return {
    element,
    draw(state, status) {
      const over = ["completed", "failed", "cancelled"].includes(status);
      const open = over ? [] : Object.entries(state.questions).filter(([, asked]) => asked.text !== undefined);
      for (const [task, asked] of open) if (!made.has(task)) made.set(task, box(task, asked));
      const names = new Set(open.map(([task]) => task));
      for (const task of made.keys()) if (!names.has(task)) made.delete(task);
      fill(element, open.map(([task]) => made.get(task)));
      show(element, open.length > 0);
    },
  };
}

function label(option) {
  return option.charAt(0).toUpperCase() + option.slice(1);
}

// Pause, Resume, Cancel: each says what it did until the run itself says more.
function makeControls(send) {
  const said = h("span", { class: "bmad-label", role: "status", "aria-live": "polite" });
  let waits = "";
  const press = (kind, words) => () => {
    waits = kind;
    say(said, words);
    send({ kind });
  };
  const pause = button("Pause", press("pause", "Pause is wished; the run has not seen it yet."));
  const resume = button("Resume", press("resume", "Going on…"));
  const cancel = button("Cancel run", press("cancel", "Cancel is wished; the run has not seen it yet."), { class: "bmad-button bmad-danger" });
  const where = h("code", {});
  const element = h("div", { class: "bmad-bar bmad-controls" }, pause, resume, cancel, said, h("span", { class: "bmad-label bmad-else" }, "or ", where, " in a terminal"));
  return {
    element,
    said,
    draw(state, status, can) {
      const over = ["completed", "failed", "cancelled"].includes(status);
      show(element, !over);
      const stopped = status === "paused" || status === "interrupted";
      set(pause, { disabled: status !== "running" || state.run.is_pausing });
      set(resume, { disabled: !stopped || !can.resume, title: stopped && !can.resume ? "This kernel cannot go on with it; see the command." : null });
      set(cancel, { disabled: over });
      say(where, `bmad ${status === "running" ? "pause" : "resume"} ${state.run.id ?? ""}`);
      const seen = { pause: status !== "running" || state.run.is_pausing, resume: status === "running" && !state.run.is_pausing, cancel: over }[waits];
      if (waits && seen) {
        waits = "";
        say(said, "");
      }
    },
  };
}

function makeTable() {
  const body = h("tbody");
  const head = h("tr", {}, ["Task", "state", "LLM", "calls", "cost", "seconds"].map((name, n) => h("th", { scope: "col", class: n > 2 ? "bmad-number" : null }, name)));
  const note = h("p", { class: "bmad-label" });
  const element = h("details", { class: "bmad-table" }, h("summary", {}, "The same numbers as a table"), h("table", {}, h("thead", {}, head), body), note);
  const rows = new Map();
  return {
    element,
    draw(state, now) {
      if (!element.open) return;
      const calls = {};
      for (const call of Object.values(state.calls)) {
        const each = (calls[call.task] ??= { made: 0, from: Infinity, to: 0 });
        each.made += 1;
        each.from = Math.min(each.from, call.start_s ?? 0);
        each.to = Math.max(each.to, call.state === "in_flight" ? now : (call.end_s ?? 0));
      }
      const names = Object.keys(state.tasks).sort((a, b) => (state.tasks[a].n ?? 0) - (state.tasks[b].n ?? 0));
      for (const name of names.slice(0, 100)) {
        const task = state.tasks[name];
        const row = rows.get(name) ?? h("tr", {}, h("th", { scope: "row" }, name), [0, 0, 1, 1, 1].map((right) => h("td", { class: right ? "bmad-number" : null })));
        rows.set(name, row);
        const made = calls[name];
        const cells = [task.asks ? WORDS.asks : (task.state ?? ""), (task.llm ?? "") + (task.simulated ? " (simulated)" : ""), count(made?.made ?? 0), task.cost_usd === undefined ? "–" : usd(task.cost_usd), made ? seconds(made.to - made.from) : "–"];
        cells.forEach((words, n) => say(row.children[n + 1], words));
      }
      fill(body, names.slice(0, 100).map((name) => rows.get(name)));
      say(note, names.length > 100 ? `${count(names.length - 100)} more in run.tasks.` : "");
    },
  };
}

// Builds the whole view; returns its element and what draws it anew.
export function build(send) {
  const origin = h("span", {});
  const alive = h("span", { class: "bmad-alive" });
  const title = h("p", { class: "bmad-title", role: "status" });
  const line = h("p", { class: "bmad-dim" });
  const deaf = h("p", { class: "bmad-dim", hidden: "" }, "In this front end buttons act when the cell ends. Interrupt pauses the run now; so does the command beside the buttons.");
  show(deaf, false);
  const legend = h("p", { class: "bmad-legend" });
  const trouble = h("p", { class: "bmad-dim" });
  const graph = makeGraph();
  const questions = makeQuestions(send);
  const controls = makeControls(send);
  const spend = makeSpend();
  const texts = makeTexts();
  const timeline = makeTimeline();
  const table = makeTable();
  const header = h("header", {}, h("p", { class: "bmad-label bmad-origin" }, origin, alive), title, line, deaf, trouble);
  const calls = h("div", {}, h("p", { class: "bmad-label" }, "Calls over time"), timeline.element, table.element);
  const drawing = h("div", {}, graph.element, legend);
  const element = h("section", { class: "bmad bmad-monitor", "aria-label": "Run monitor" }, header, drawing, questions.element, controls.element, spend.element, texts.element, calls);
  return {
    element,
    deaf,
    trouble,
    table,
    draw(frames, now, can) {
      const { state, live } = frames;
      const status = live.interrupted ? "interrupted" : (state.run.status ?? "running");
      const elapsed = frames.seconds(now);
      const started = state.run.started_utc ? ` · started ${state.run.started_utc.slice(11, 19)} UTC` : "";
      say(origin, `workflow ${state.run.workflow ?? ""} · run ${state.run.id ?? ""}${started}`);
      say(alive, status === "running" ? "● live" : (STATUS[status] ?? status).toLowerCase());
      say(title, headline(state, status));
      say(line, figures(state, live, elapsed, status));
      graph.draw(state);
      const counts = countStates(state.tasks);
      const key = counts.map(([name, n]) => `${name} ${n}`).join();
      if (legend.key !== key) fill(legend, counts.map(([name, n]) => h("span", { class: "bmad-count" }, sign(name), ` ${count(n)} ${WORDS[name]}`)));
      legend.key = key;
      questions.draw(state, status);
      controls.draw(state, status, can);
      spend.draw(state);
      texts.draw(state, live);
      show(calls, Object.keys(state.calls).length > 0);
      timeline.draw(state, elapsed, status === "running");
      table.draw(state, elapsed);
    },
  };
}

function render({ model, el }) {
  const view = build((message) => model.send(message));
  const frames = new Frames(() => model.send({ kind: "again" }));
  const can = () => ({ resume: model.get("can_resume") === true });
  let waiting = 0;
  const soon = globalThis.requestAnimationFrame ?? ((act) => setTimeout(act, 16));
  const draw = () => {
    if (waiting) return;
    waiting = soon(() => {
      waiting = 0;
      view.draw(frames, performance.now(), can());
    });
  };
  const take = (frame) => {
    if (frame && frame.n !== undefined && frames.take(frame, performance.now())) draw();
  };
  const told = (message) => {
    if (message.kind === "frame") take(message.frame);
    if (message.kind === "trouble") say(view.trouble, message.text);
    if (message.kind === "heard") hears(true);
  };
  let heard = false;
  let calling = 0;
  const hears = (said) => {
    heard = heard || said === true || model.get("hears") === true;
    if (heard) {
      clearTimeout(calling);
      show(view.deaf, false);
    }
    draw();
  };
  // the way for messages beside a blocked cell may still be opening: a few are lost at first
  let calls = 0;
  const call = () => {
    model.send({ kind: "hello" });
    calls += 1;
    if (!heard && calls < CALLS) calling = setTimeout(call, 250 * calls);
  };
  model.on("msg:custom", told);
  model.on("change:hears", hears);
  model.on("change:can_resume", draw);
  view.table.element.addEventListener("toggle", draw);
  take(model.get("snapshot"));
  draw();
  el.append(view.element);
  call();
  const deaf = setTimeout(() => show(view.deaf, !heard && frames.clock.runs), PATIENCE_MS);
  const tick = setInterval(() => frames.clock.runs && draw(), 500);
  return () => {
    model.off("msg:custom", told);
    model.off("change:hears", hears);
    model.off("change:can_resume", draw);
    clearTimeout(deaf);
    clearTimeout(calling);
    clearInterval(tick);
  };
}

export default { render };
