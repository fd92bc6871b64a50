// Elements from plain data. Text goes into text nodes and attributes only: what an LLM wrote is
// never markup, never an address, never a handler.

const SVG = "http://www.w3.org/2000/svg";
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const REFUSED = /^(on.*|href|xlink:href|src.*|action|formaction|data|style)$/i;

// Returns text as it can be shown: control characters as visible signs, bidi overrides in words.
export function visible(text) {
  return String(text).replace(/\r\n?/g, "\n").replace(HIDDEN, (char) => {
    const code = char.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    if ((code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) {
      return `[U+${code.toString(16).toUpperCase()}]`;
    }
    return "\ufffd";
  });
}

// Sets attributes where they differ; null, undefined and false take one away. Handlers, addresses
// and whole styles are refused: there is no case for them, and they are how markup gets in.
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (REFUSED.test(name)) throw new Error(`The attribute ${name} is not set from data.`);
    if (value === null || value === undefined || value === false) {
      if (element.hasAttribute(name)) element.removeAttribute(name);
    } else {
      const said = value === true ? "" : visible(value);
      if (element.getAttribute(name) !== said) element.setAttribute(name, said);
    }
  }
  return element;
}

// Sets the words of an element, if they are others: nothing is touched that stays the same.
export function say(element, words) {
  const said = visible(words);
  if (element.textContent !== said) element.textContent = said;
  return element;
}

// Shows or hides an element.
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
  return element;
}

function filled(element, attributes, children) {
  set(element, attributes);
  for (const child of children.flat()) {
    if (child === null || child === undefined || child === false) continue;
    element.append(typeof child === "object" ? child : visible(child));
  }
  return element;
}

// Returns an HTML element; children are nodes or words.
export function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

// Returns an SVG element; children are nodes or words.
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

// Returns a button; `press` is called with the event. It says what it does in words of its own.
export function button(words, press, attributes = {}) {
  const made = h("button", { type: "button", class: "bmad-button", ...attributes }, words);
  made.addEventListener("click", press);
  return made;
}

// Replaces the children of an element by others in one go, keeping those that are there already.
export function fill(element, children) {
  const wanted = children.flat().filter((child) => child !== null && child !== undefined && child !== false);
  wanted.forEach((child, n) => {
    if (element.childNodes[n] !== child) element.insertBefore(child, element.childNodes[n] ?? null);
  });
  while (element.childNodes.length > wanted.length) element.lastChild.remove();
  return element;
}
