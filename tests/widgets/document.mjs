// A document for tests in node: elements, text, attributes and events, and nothing that reads
// markup. What needs a real page is tested in a browser.

class Node {
  constructor(document) {
    this.ownerDocument = document;
    this.childNodes = [];
    this.parentNode = null;
  }
  get lastChild() {
    return this.childNodes.at(-1) ?? null;
  }
  get firstChild() {
    return this.childNodes[0] ?? null;
  }
  remove() {
    const all = this.parentNode?.childNodes;
    if (all) all.splice(all.indexOf(this), 1);
    this.parentNode = null;
  }
}

class Text extends Node {
  constructor(document, data) {
    super(document);
    this.data = data;
  }
  get textContent() {
    return this.data;
  }
}

class Element extends Node {
  constructor(document, name, space) {
    super(document);
    this.localName = name;
    this.namespaceURI = space;
    this.attributes = new Map();
    this.listeners = new Map();
    this.style = { setProperty: (key, value) => (this.style[key] = value) };
    this.hidden = false;
    this.writes = 0;
  }
  get children() {
    return this.childNodes.filter((each) => each instanceof Element);
  }
  get textContent() {
    return this.childNodes.map((each) => each.textContent).join("");
  }
  set textContent(words) {
    for (const child of [...this.childNodes]) child.remove();
    if (words !== "") this.append(words);
    this.writes += 1;
  }
  get disabled() {
    return this.hasAttribute("disabled");
  }
  get isConnected() {
    return true;
  }
  hasAttribute(name) {
    return this.attributes.has(name);
  }
  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }
  setAttribute(name, value) {
    this.attributes.set(name, String(value));
    this.writes += 1;
  }
  removeAttribute(name) {
    this.attributes.delete(name);
    this.writes += 1;
  }
  append(...nodes) {
    for (const node of nodes) this.insertBefore(node, null);
  }
  insertBefore(node, before) {
    const child = node instanceof Node ? node : new Text(this.ownerDocument, String(node));
    child.remove();
    const at = before ? this.childNodes.indexOf(before) : this.childNodes.length;
    this.childNodes.splice(at, 0, child);
    child.parentNode = this;
    this.writes += 1;
    return child;
  }
  replaceChildren(...nodes) {
    for (const child of [...this.childNodes]) child.remove();
    this.append(...nodes);
  }
  addEventListener(kind, act) {
    this.listeners.set(kind, [...(this.listeners.get(kind) ?? []), act]);
  }
  removeEventListener(kind, act) {
    this.listeners.set(kind, (this.listeners.get(kind) ?? []).filter((each) => each !== act));
  }
  dispatch(kind, more = {}) {
    const event = { type: kind, target: this, preventDefault() {}, stopPropagation() {}, ...more };
    for (const act of this.listeners.get(kind) ?? []) act(event);
  }
  click() {
    if (!this.disabled) this.dispatch("click");
  }
  focus() {
    this.ownerDocument.activeElement = this;
  }
  // all elements below, in their order
  get all() {
    return this.children.flatMap((each) => [each, ...each.all]);
  }
  // elements below with a class, or with a tag's name
  find(wanted) {
    const has = (each) => ` ${each.getAttribute("class") ?? ""} `.includes(` ${wanted.slice(1)} `);
    return this.all.filter((each) => (wanted.startsWith(".") ? has(each) : each.localName === wanted));
  }
}

export function makeDocument() {
  const document = {
    createElement: (name) => new Element(document, name, "http://www.w3.org/1999/xhtml"),
    createElementNS: (space, name) => new Element(document, name, space),
    createTextNode: (words) => new Text(document, String(words)),
    activeElement: null,
  };
  return document;
}

// Makes a document the one of this process, as a page has it.
export function install() {
  globalThis.document = makeDocument();
  return globalThis.document;
}
