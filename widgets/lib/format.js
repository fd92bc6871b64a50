// How numbers are written: the same as bmad_nb/render/base.py does it, held by one table of tests.

export const MINUS = "\u2212";
export const NONE = "\u2013";

// US dollars, two significant digits where they are small; null is an unknown price.
export function usd(amount) {
  if (amount === null || amount === undefined || !Number.isFinite(amount)) return "price unknown";
  const sign = amount < 0 ? MINUS : "";
  const size = Math.abs(amount);
  if (size === 0) return "$0";
  if (size >= 0.995) return `${sign}$${grouped(size.toFixed(2))}`;
  if (size < 1e-9) return `${sign}<$0.000000001`;
  const digits = size >= 0.01 ? 4 : 1 - Math.floor(Math.log10(size) + 1e-12);
  const [whole, part] = size.toFixed(digits).split(".");
  return `${sign}$${whole}.${part.replace(/0+$/, "").padEnd(2, "0")}`;
}

// A duration in seconds, as people say it; null is a dash.
export function seconds(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (value === 0) return "0 s";
  if (value < 0.005) return "<0.01 s";
  if (value < 59.5) return `${value.toFixed(value < 0.995 ? 2 : value < 19.95 ? 1 : 0)} s`;
  const all = Math.round(value);
  const minutes = Math.floor(all / 60);
  return minutes < 60 ? `${minutes} min ${all % 60} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// A whole number with thousands apart; null is a dash.
export function count(value) {
  return value === null || value === undefined ? NONE : grouped(String(value));
}

// A count with its noun.
export function counted(value, noun) {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

function grouped(digits) {
  return digits.replace(/\B(?=(\d{3})+(?!\d))(?<!\.\d*)/g, ",");
}
