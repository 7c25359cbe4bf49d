// Elements and formats. Text from a run is only ever inserted as text nodes, so markup in it is inert.

const SVG = "http://www.w3.org/2000/svg";

// make("td", {class: "n", onclick: f}, "text", node, ...): an HTML element.
export function make(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

// The same for SVG.
export function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function find(id) {
  return document.getElementById(id);
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A table with a caption; rows are lists of strings or nodes; the first cell of a row is its header.
export function table(caption, heads, rows, attributes) {
  return make(
    "table",
    attributes,
    make("caption", null, caption),
    make("thead", null, make("tr", null, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", null, rows.map((cells) => make("tr", null, cells.map(cell)))),
  );
}

function cell(content, place) {
  const number = typeof content === "number";
  const shown = number ? String(content) : content === null || content === undefined ? "" : content;
  return place === 0 ? make("th", { scope: "row" }, shown) : make("td", number ? { class: "number" } : null, shown);
}

// A picture with the same content as a table below it, folded at first.
export function figure(picture, twin) {
  return make("figure", null, picture, make("details", null, make("summary", null, "As a table"), twin));
}

export function seconds(value) {
  return `${value.toFixed(3)} s`;
}

export function interval(value) {
  if (value >= 60) return `${Math.floor(value / 60)} min ${String(Math.floor(value % 60)).padStart(2, "0")} s`;
  return value >= 1 ? `${value.toFixed(1)} s` : `${(value * 1000).toFixed(value < 0.01 ? 2 : 0)} ms`;
}

export function bits(bytesPerSecond) {
  const rate = bytesPerSecond * 8;
  if (rate >= 1e9) return `${(rate / 1e9).toFixed(1)} Gbit/s`;
  if (rate >= 1e6) return `${(rate / 1e6).toFixed(rate < 1e8 ? 1 : 0)} Mbit/s`;
  return rate >= 1e3 ? `${(rate / 1e3).toFixed(0)} kbit/s` : `${rate.toFixed(0)} bit/s`;
}

// ADDRESS:PORT, with brackets around an IPv6 address.
export function endpoint(address, port) {
  const host = address.includes(":") ? `[${address}]` : address;
  return port === null || port === undefined ? address : `${host}:${port}`;
}

const FLAGS = { S: "SYN", A: "ACK", F: "FIN", R: "RST", P: "PSH", U: "URG", E: "ECE", C: "CWR" };

export function flagWords(flags) {
  return [...(flags || "")].map((letter) => FLAGS[letter] || letter).join(" ") || "no flag";
}

export const stillness = window.matchMedia("(prefers-reduced-motion: reduce)");

// The content of a panel; `key` identifies what it shows, so that nothing is drawn twice.
export class Panel {
  constructor(panel, player) {
    this.player = player;
    this.store = player.store;
    this.panel = panel;
    this.key = null;
  }
}
