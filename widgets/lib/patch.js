// Frames of a live view: a whole state, then only what changed.

// Returns `whole` after a change, in place: a JSON merge patch (RFC 7396).
export function merged(whole, change) {
  for (const [key, value] of Object.entries(change)) {
    if (value === null) delete whole[key];
    else if (isObject(value)) {
      const inner = Object.hasOwn(whole, key) && isObject(whole[key]) ? whole[key] : {};
      set(whole, key, merged(inner, value));
    } else set(whole, key, value);
  }
  return whole;
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// a task may be called __proto__
function set(whole, key, value) {
  Object.defineProperty(whole, key, { value, writable: true, enumerable: true, configurable: true });
}

// The state that frames add up to. `lost` is called where a frame is missing: then a whole one is
// waited for, and nothing wrong is shown meanwhile.
export class Frames {
  constructor(lost) {
    this.lost = lost;
    this.number = -1;
    this.state = { run: {}, graph: {}, tasks: {}, calls: {}, questions: {}, sums: {} };
    this.live = {};
    this.clock = { s: 0, runs: false, at: 0 };
  }

  // Takes a frame; returns whether the state is another now.
  take(frame, now) {
    if (frame.whole) {
      if (frame.n < this.number) return false;
      this.state = structuredClone(frame.whole);
      this.live = structuredClone(frame.live);
    } else {
      if (frame.n <= this.number) return false;
      if (frame.n !== this.number + 1) {
        this.lost();
        return false;
      }
      merged(this.state, frame.change);
      merged(this.live, frame.live);
    }
    this.number = frame.n;
    this.clock = { s: frame.clock_s, runs: frame.runs, at: now };
    return true;
  }

  // Seconds for which the run was running, at a moment of this page.
  seconds(now) {
    return this.clock.s + (this.clock.runs ? Math.max(0, now - this.clock.at) / 1000 : 0);
  }
}
