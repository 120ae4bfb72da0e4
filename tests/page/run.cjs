// SPDX-License-Identifier: Apache-2.0
// run.cjs PAGE.html: runs the script of a report page on a bare document that only counts what is put into it, presses
// every button, types into every field and clicks every row. Any exception fails; so does markup made out of text.
"use strict";
const fs = require("fs");
const html = fs.readFileSync(process.argv[2], "utf8");
const made = [];

class Node {}
class Element extends Node {
  constructor(tag) { super(); this.tag = tag; this.attributes = {}; this.children = []; this.listeners = {}; this.style = {}; this.value = ""; this.parent = null; made.push(this); }
  get className() { return this.attributes.class || ""; }
  get nextSibling() { const all = this.parent ? this.parent.children : []; return all[all.indexOf(this) + 1] || null; }
  set innerHTML(_) { throw new Error("innerHTML is set"); }
  setAttribute(name, value) { this.attributes[name] = String(value); if (String(value).includes("NaN")) throw new Error(`<${this.tag} ${name}="${value}">`); }
  removeAttribute(name) { delete this.attributes[name]; }
  append(...children) { for (const c of children) this.adopt(c, this.children.length); }
  adopt(child, at) {
    if (!(child instanceof Node) && typeof child !== "string") throw new Error(`a ${typeof child} is appended to <${this.tag}>`);
    if (typeof child === "string" && /undefined|NaN|\[object/.test(child)) throw new Error(`<${this.tag}> shows "${child}"`);
    if (child instanceof Element) child.parent = this;
    this.children.splice(at, 0, child);
  }
  replaceChildren(...children) { this.children = []; this.append(...children); }
  after(other) { this.parent.adopt(other, this.parent.children.indexOf(this) + 1); }
  remove() { this.parent.children.splice(this.parent.children.indexOf(this), 1); }
  addEventListener(kind, f) { this.listeners[kind] = f; }
  all(test) { return this.children.flatMap(c => c instanceof Element ? [...(test(c) ? [c] : []), ...c.all(test)] : []); }
}

const data = /<script type="application\/json" id="report">([^]*?)<\/script>/.exec(html)[1];
const script = /<script>\n([^]*?)<\/script>/.exec(html)[1];
const page = new Element("main"), source = { textContent: data };
const document = { getElementById: id => id === "page" ? page : source, createElement: tag => new Element(tag), createElementNS: (_, tag) => new Element(tag), title: "" };
new Function("document", "Node", script)(document, Node);

const report = JSON.parse(data), rows = () => page.all(e => e.tag === "tr").length;
for (const button of page.all(e => e.tag === "button")) { button.listeners.click(); button.listeners.click(); }
for (const row of page.all(e => e.tag === "tr" && e.listeners.click)) row.listeners.click();
const full = rows();
for (const field of page.all(e => e.tag === "input")) {
  field.value = "no such name"; field.checked = true;
  (field.listeners.input || field.listeners.change)();
}
const few = rows();
const titles = page.all(e => e.tag === "h2").map(e => e.children[0]);
for (const wanted of ["All nodes", "Tensors", "Where the error comes from", "What is hard to quantize", "Sizes by layer", "How it was made"])
  if (!titles.includes(wanted)) throw new Error(`no section "${wanted}" among ${titles}`);
if (full < report.nodes.length + report.tensors.length || few >= full) throw new Error(`${full} rows, ${few} when filtered`);
if (!page.all(e => e.tag === "circle").length || !page.all(e => e.tag === "rect").length) throw new Error("no charts");
console.log(`${made.length} elements, ${full} rows, ${titles.length} sections`);
