// What is left of the cases of a comparison, and in which order: pure functions of plain data.

export const ONLY = { "": "all cases", disagree: "answers differ", failed: "a call failed", wrong: "a score below 1" };
export const SORTS = { given: "as given", disagreement: "most different first", spread: "largest spread first", score: "worst score first", title: "by name" };

function numbers(scores, entry) {
  return Object.values(scores[entry.case] ?? {}).map(([score]) => score);
}

// Returns the best score less the worst of a case; 0 without two scores.
export function spread(scores, entry) {
  const found = numbers(scores, entry);
  return found.length > 1 ? Math.max(...found) - Math.min(...found) : 0;
}

function mean(scores, entry) {
  const found = numbers(scores, entry);
  return found.length ? found.reduce((sum, each) => sum + each, 0) / found.length : 2;
}

function has(entry, words) {
  return [entry.title, entry.prompt, ...entry.answers.map((each) => each.text)].some((text) => text.toLowerCase().includes(words));
}

const TESTS = {
  "": () => true,
  disagree: (entry) => entry.agreement !== null && entry.agreement < 1,
  failed: (entry) => entry.answers.some((each) => each.failed),
  wrong: (entry, scores) => numbers(scores, entry).some((score) => score < 1),
};

// Returns the cases that contain the words and are of the kind, in the order that is asked for.
export function chosen(cases, scores, { text = "", only = "", sort = "given" }) {
  const words = text.trim().toLowerCase();
  const found = cases.filter((entry) => TESTS[only](entry, scores) && (!words || has(entry, words)));
  const agree = (entry) => entry.agreement ?? 1;
  const orders = {
    given: () => 0,
    disagreement: (a, b) => agree(a) - agree(b) || spread(scores, b) - spread(scores, a),
    spread: (a, b) => spread(scores, b) - spread(scores, a),
    score: (a, b) => mean(scores, a) - mean(scores, b),
    title: (a, b) => a.title.localeCompare(b.title, undefined, { numeric: true }),
  };
  return found.sort(orders[sort]);
}

// Returns the answers of a case in an order that tells nothing, and that stays: sorted by a hash
// of run, case and place.
export function shuffled(answers, seed) {
  const hash = (text) => {
    let value = 0x811c9dc5;
    for (const char of text) value = Math.imul(value ^ char.codePointAt(0), 0x01000193) >>> 0;
    value = Math.imul(value ^ (value >>> 15), 0x85ebca6b) >>> 0;
    return (value ^ (value >>> 13)) >>> 0;
  };
  return answers.map((each) => [hash(`${each.column} ${seed}`), each]).sort((a, b) => a[0] - b[0]).map(([, each]) => each);
}
