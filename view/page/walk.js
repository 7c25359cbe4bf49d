// A packet's walk: its headers at every hop, changed fields with their old value, the answer's walk below.

import { endpoint, find, flagWords, interval, make, seconds, setText } from "./dom.js";
import { VirtualList } from "./list.js";
import { countUntil } from "./store.js";

const NARROW = 1250; // pixels: the list of connections is closed at first
const HTTP_PORTS = new Set([80, 8000, 8080]);

// ---- rows of the table: name, value at a hop, the fields whose change is marked ----

const source = (ip, l4) => endpoint(ip.src, l4 ? l4.sport : null);
const destination = (ip, l4) => endpoint(ip.dst, l4 ? l4.dport : null);

const ROWS = [
  ["MAC from", (p) => p.frame && p.frame.src, ["frame.src"]],
  ["MAC to", (p) => p.frame && p.frame.dst, ["frame.dst"]],
  ["outer IP from", (p) => p.outer && p.outer.src, ["outer", "outer.src"]],
  ["outer IP to", (p) => p.outer && p.outer.dst, ["outer", "outer.dst"]],
  ["IP from", (p) => p.ip && source(p.ip, p.l4), ["ip.src", "l4.sport"]],
  ["IP to", (p) => p.ip && destination(p.ip, p.l4), ["ip.dst", "l4.dport"]],
  ["TTL", (p) => p.ip && String(p.ip.ttl), ["ip.ttl"]],
  ["protocol", (p) => p.l4 && p.l4.protocol !== "TCP" && `${p.l4.protocol}${p.l4.kind ? ` ${p.l4.kind}` : ""}`, []],
  ["flags", (p) => isTcp(p) && flagWords(p.l4.flags), ["l4.flags"]],
  ["seq", (p) => isTcp(p) && number(p.l4.seq), ["l4.seq"]],
  ["ack", (p) => isTcp(p) && number(p.l4.ack), ["l4.ack"]],
  ["data", (p) => p.l4 && p.l4.length !== undefined && p.l4.length !== null && `${p.l4.length} bytes`, ["l4.length"]],
  ["asks", (p) => p.arp && p.arp.op === "request" && `who has ${p.arp.target_ip}?`, []],
  ["answers", (p) => p.arp && p.arp.op === "reply" && `${p.arp.sender_ip} is at ${p.arp.sender_mac}`, []],
  ["asks", (p) => p.neighbour && p.neighbour.op === "solicitation" && `who has ${p.neighbour.target}?`, []],
  ["answers", (p) => p.neighbour && p.neighbour.op === "advertisement" && `${p.neighbour.target} is at ${p.neighbour.mac || "the MAC above"}`, []],
  ["for", (p) => p.arp && (p.arp.op === "request" ? p.arp.sender_ip : p.arp.target_ip), []],
];

function isTcp(packet) {
  return packet.l4 && packet.l4.protocol === "TCP";
}

function number(value) {
  return value === null || value === undefined ? null : String(value);
}

// "in" or "out", from the frame's addresses; null where there are none (a tunnel device).
export function directionOf(store, packet) {
  const port = store.hosts.get(packet.host)?.interfaces.find((candidate) => candidate.name === packet.interface);
  if (!packet.frame || !port || !port.mac) return null;
  return packet.frame.src === port.mac ? "out" : "in";
}

// One sentence about what happened to a packet since the previous hop.
export function sentence(store, walk, hop) {
  const packet = walk.packets[hop];
  const before = walk.packets[hop - 1];
  const { host } = packet;
  const role = store.hosts.get(host)?.role;
  if (!before) return `${host} ${role === "client" || role === "realserver" ? "sends the packet" : "is the first to capture the packet"}.`;
  const changed = new Set(packet.changed || []);
  const parts = [];
  const either = (...names) => names.some((name) => changed.has(name));
  if (before.host !== host && !changed.size) return `It arrives at ${host} unchanged.`;
  const where = before.host === host ? `${host} rewrites` : `between ${before.host} and ${host} something rewrites`;
  if (either("outer", "outer.src", "outer.dst") && packet.outer && !before.outer) {
    parts.push(`${host} encapsulates it, unchanged, in another IP packet, from ${packet.outer.src} to ${packet.outer.dst}`);
  } else if (either("outer") && !packet.outer) parts.push(`${host} removes the outer IP header`);
  if (either("ip.dst", "l4.dport")) {
    parts.push(`${where} the destination: ${destination(before.ip, before.l4)} becomes ${destination(packet.ip, packet.l4)}`);
  }
  if (either("ip.src", "l4.sport")) {
    parts.push(`${where} the source: ${source(before.ip, before.l4)} becomes ${source(packet.ip, packet.l4)}`);
  }
  if (!parts.length && either("frame.src", "frame.dst") && packet.frame) {
    const goal = store.macs.get(packet.frame.dst);
    parts.push(`${host} ${role === "director" ? "changes only the MAC addresses: the frame now goes" : "forwards it"} to ${goal || packet.frame.dst}`);
  }
  if (either("ip.ttl") && packet.ip && before.ip && packet.ip.ttl < before.ip.ttl) {
    parts.push(`${parts.length ? "" : `${host} forwards it; `}TTL ${before.ip.ttl} becomes ${packet.ip.ttl}`);
  }
  if (either("l4.seq", "l4.ack", "l4.length")) parts.push("the payload or the sequence numbers change too (ftp helper)");
  return parts.length ? `${parts.join("; ")}.` : `It arrives at ${host} unchanged.`;
}

export class Walk {
  constructor(panel, player) {
    this.player = player;
    this.store = player.store;
    this.key = null;
    this.filter = "";
    this.connections = [];
    this.seen = -1;
    const step = (label, action) => make("button", { type: "button", onclick: action }, label);
    this.title = make("h3");
    this.position = make("p", { class: "position" });
    this.buttons = make("div", { class: "buttons" },
      step("◂ packet", () => player.packetBy(-1)), step("◂ hop", () => player.stepBy(-1)), this.position,
      step("hop ▸", () => player.stepBy(1)), step("packet ▸", () => player.packetBy(1)));
    this.happened = make("p", { class: "sentence" });
    this.there = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The packet at every hop" });
    this.back = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "The packet of the other direction at every hop" });
    this.list = new VirtualList({
      label: "Connections", height: 44, write: (row, connection) => this.#row(row, connection), choose: (connection) => player.choose(connection.key),
    });
    this.text = new VirtualList({
      label: "Packets of this connection as text", height: 22, write: (row, step) => this.#line(row, step),
      choose: (_, index) => player.goToStep(index),
    });
    this.count = make("span", { class: "hint" });
    const filter = make("input", {
      type: "search", id: "filter", placeholder: "client, port, server, state", autocomplete: "off",
      oninput: (event) => { this.filter = event.target.value.trim().toLowerCase(); this.seen = -1; this.update(); },
    });
    this.summary = make("summary", null, "Connections");
    this.chooser = make("details", { class: "chooser", open: window.innerWidth > NARROW },
      this.summary, make("label", { for: "filter", class: "hidden" }, "Filter"), filter, this.list.element,
      make("p", { class: "buttons" }, step("Newest", () => this.newest()), this.count));
    this.details = make("details", { ontoggle: () => this.#text() }, make("summary", null, "All packets of this connection, as text"), this.text.element);
    panel.append(
      make("div", { class: "split" },
        this.chooser,
        make("section", { class: "walk", "aria-label": "The packet" },
          make("header", null, this.title, this.buttons),
          this.happened, this.there, this.back, this.details)),
    );
  }

  update() {
    this.#connections();
    const { player, store } = this;
    const { connection, current } = player;
    const key = connection ? `${connection.key} ${player.step} ${connection.packets}` : `none of ${store.version > 0} ${store.connections.size > 0}`;
    if (key === this.key) return;
    this.key = key;
    if (!connection) {
      setText(this.title, "No connection selected");
      setText(this.position, "");
      setText(this.happened, store.connections.size
        ? "Select a connection, or the newest (key w), to follow its packets."
        : store.version ? "No packets yet." : "Reading the captures …");
      this.buttons.hidden = true;
      this.there.replaceChildren();
      this.back.replaceChildren();
      this.details.hidden = true;
      this.there.hidden = this.back.hidden = true;
      return;
    }
    this.details.hidden = this.buttons.hidden = false;
    const server = connection.server ? `, served by ${store.labelOf(connection.server)}` : "";
    setText(this.title, store.fold(connection.served ? `${connection.client} to ${connection.virtual}${server}` : connection.key));
    if (!current) {
      setText(this.position, "before its first packet");
      setText(this.happened, `The connection begins at ${seconds(connection.first)}. Step on with → or “hop ▸”.`);
      this.there.replaceChildren();
      this.back.replaceChildren();
      this.there.hidden = this.back.hidden = true;
    } else {
      const { walk, packet, hop } = current;
      setText(this.position, `packet ${packet + 1} of ${connection.walks.length}, hop ${hop + 1} of ${walk.packets.length}`);
      setText(this.happened, store.fold(sentence(store, walk, hop)));
      this.there.hidden = false;
      this.there.replaceChildren(this.#matrix(walk, hop, packet));
      bringInto(this.there);
      this.#answer(connection, walk, packet);
    }
    this.#text();
  }

  // The packet of the other direction: the answer to a request, the request before a reply.
  #answer(connection, walk, packet) {
    const wanted = walk.direction === "request" ? "reply" : "request";
    const later = connection.walks.findIndex((other, place) => place > packet && other.direction === wanted);
    let earlier = packet - 1;
    while (earlier >= 0 && connection.walks[earlier].direction !== wanted) earlier -= 1;
    const place = wanted === "reply" ? (later >= 0 ? later : earlier) : earlier >= 0 ? earlier : later;
    this.back.hidden = place < 0 || !walk.direction;
    if (this.back.hidden) this.back.replaceChildren();
    else this.back.replaceChildren(this.#matrix(connection.walks[place], -1, place));
  }

  #matrix(walk, now, place) {
    const { packets } = walk;
    const { store } = this;
    const start = packets[0].t;
    const kind = walk.direction === "request" ? "Request" : walk.direction === "reply" ? "Reply" : "Packet";
    const marked = (hop) => (hop === now ? "now" : null);
    const heads = packets.map((packet, hop) => {
      const direction = directionOf(store, packet);
      return make("th", { scope: "col", class: marked(hop), "aria-current": hop === now ? "step" : null },
        make("button", { type: "button", onclick: () => this.player.goToStep(this.#indexOf(place, hop)) },
          make("span", { class: "host" }, packet.host), ` ${packet.interface.replace(`${packet.host}-`, "")}`,
          direction ? make("span", { class: "direction" }, direction === "out" ? " ▸ out" : " ▸ in") : null));
    });
    const rows = [];
    for (const [name, value, fields] of ROWS) {
      const values = packets.map((packet) => store.fold(value(packet) || "") || null);
      if (values.every((shown) => shown === null)) continue;
      rows.push(make("tr", null, make("th", { scope: "row" }, name), values.map((shown, hop) => {
        const changed = hop > 0 && fields.some((field) => (packets[hop].changed || []).includes(field)) && shown !== values[hop - 1];
        if (!changed) return make("td", { class: marked(hop) }, shown || "");
        return make("td", { class: ["changed", marked(hop)].filter(Boolean).join(" ") },
          values[hop - 1] ? make("del", null, make("span", { class: "hidden" }, "was "), values[hop - 1]) : null,
          shown ? make("ins", null, make("span", { class: "mark", "aria-hidden": "true" }, "◆ "), make("span", { class: "hidden" }, "changed to "), shown)
            : make("ins", null, make("span", { class: "mark", "aria-hidden": "true" }, "◆ "), "removed"));
      })));
    }
    rows.push(make("tr", { class: "times" }, make("th", { scope: "row" }, "after"),
      packets.map((packet, hop) => make("td", { class: marked(hop) }, hop ? interval(packet.t - start) : "0"))));
    const caption = make("caption", null, make("span", null, make("strong", { class: (walk.direction || "packet") }, `${walk.direction === "reply" ? "◂ " : ""}${kind}${walk.direction === "request" ? " ▸" : ""}`),
      ` packet ${place + 1}${packets.length === 1 ? ", captured once" : ""}${store.prefix && walk.connection.key.includes(store.prefix) ? `, … is ${store.prefix}` : ""}`));
    return make("table", { class: "matrix" }, caption,
      make("thead", null, make("tr", null, make("th", { scope: "col" }, "captured at"), heads)), make("tbody", null, rows));
  }

  #indexOf(packet, hop) {
    return this.player.steps.findIndex((step) => step.packet === packet && step.hop === hop);
  }

  #connections() {
    const { store, player } = this;
    if (store.version !== this.seen) {
      this.seen = store.version;
      const all = [...store.connections.values()];
      this.connections = this.filter ? all.filter((connection) => this.#words(connection).includes(this.filter)) : all;
      setText(this.count, `${this.connections.length} of ${all.length}`);
    }
    const before = this.chosen;
    this.chosen = player.connection ? this.connections.indexOf(player.connection) : -1;
    this.list.set(this.connections, this.chosen);
    const states = `${countUntil(store.events, player.t)} ${store.version}`;
    if (states !== this.states || before !== this.chosen) this.list.rewrite();
    this.states = states;
  }

  #words(connection) {
    const { key, server } = connection;
    const name = server ? this.store.serverName(server) || "" : "";
    return `${key} ${server || ""} ${name} ${this.store.stateOf(connection, this.player.t) || ""}`.toLowerCase();
  }

  #row(row, connection) {
    const { store, player } = this;
    const { key, client, virtual, server, served, first, packets } = connection;
    const state = store.stateOf(connection, player.t);
    const name = server ? store.serverName(server) || server : "";
    row.classList.toggle("later", first > player.t);
    row.append(
      make("div", null, served ? make("span", { class: "mono" }, store.fold(client)) : store.fold(key), make("span", { class: "right" }, name ? `▸ ${name}` : "")),
      make("div", { class: "small" }, served ? `${seconds(first)}  to ${store.fold(virtual)}` : seconds(first),
        make("span", { class: "right" }, first > player.t ? "not yet" : state || `${packets} captured`)),
    );
  }

  #text() {
    if (this.details.open) this.text.set(this.player.steps, this.player.step);
  }

  #line(row, { sighting, packet }) {
    row.append(make("span", { class: "mono" }, `${sighting.t.toFixed(6)}  ${sighting.interface.padEnd(9)} ${String(packet + 1).padStart(4)}  ${sighting.text}`));
  }

  focusList() {
    this.chooser.open = true;
    this.list.focus();
  }

  // Follow the connection that began last, from its first packet.
  newest() {
    const { player, store } = this;
    const served = [...store.connections.values()].filter((connection) => connection.walks.length && connection.served);
    if (!served.length) return;
    const last = served.reduce((best, other) => (other.first >= best.first ? other : best));
    player.following = false;
    player.choose(last.key);
  }

  focusFilter() {
    this.chooser.open = true;
    find("filter").focus();
  }
}

// Scroll sideways only, until the current hop is visible.
function bringInto(scroller) {
  const now = scroller.querySelector("th.now");
  if (!now) return;
  const head = scroller.querySelector("thead th").offsetWidth;
  const left = now.offsetLeft - head - now.offsetWidth;
  const right = now.offsetLeft + 2 * now.offsetWidth - scroller.clientWidth;
  if (scroller.scrollLeft > left) scroller.scrollLeft = left;
  else if (scroller.scrollLeft < right) scroller.scrollLeft = right;
}

// The connection that a page shows first: to a service, over HTTP if possible, with captured packets.
export function firstToShow(store) {
  const all = [...store.connections.values()].filter((connection) => connection.walks.length && connection.served);
  const web = all.find(({ walks, virtual }) => walks.length > 4 && HTTP_PORTS.has(Number(virtual.split(":").pop())));
  return web || all[0] || null;
}
