// Axes: round steps, and a place for each value.

// Returns round values from 0 up to at least `most`, at most `wanted` steps of them.
export function ticks(most, wanted = 8) {
  if (!(most > 0) || !Number.isFinite(most)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((each) => each * power).find((each) => each >= rough * (1 - 1e-9));
  const steps = Math.max(1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: steps + 1 }, (_, n) => Number((n * step).toPrecision(12)));
}

// Returns a function from values in `domain` to places in `range`.
export function linear(domain, range) {
  const [from, to] = domain;
  const [start, end] = range;
  const ratio = to === from ? 0 : (end - start) / (to - from);
  return (value) => start + (value - from) * ratio;
}
