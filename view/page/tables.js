// The director's tables at the instant shown, and a connection's states as a diagram.

import { draw, endpoint, figure, interval, make, Panel, table } from "./dom.js";
import { countUntil, latest } from "./store.js";

const MOST = 200; // rows of a table; the filter of the connections finds the others

// Columns shown only if a server has a value in them.
const COUNTED = [
  ["connections", (server) => server.connections],
  ["packets in", (server) => server.packets_in],
  ["packets out", (server) => server.packets_out],
  ["bytes in", (server) => server.bytes_in],
  ["bytes out", (server) => server.bytes_out],
  ["connections/s", (server) => server.rates?.connections ?? server.rate],
  ["packets/s", (server) => server.rates && server.rates.packets_in + server.rates.packets_out],
];

export class Tables {
  constructor(panel, player) {
    this.player = player;
    this.store = player.store;
    this.key = null;
    this.panel = panel;
  }

  update() {
    const { player, store } = this;
    const chosen = player.connection ? player.connection.key : "";
    const { directors } = store;
    const roles = directors.map((host) => store.roleWords(host, player.t));
    const key = `${countUntil(store.tables, player.t)} ${chosen} ${roles}`;
    if (key === this.key) return;
    this.key = key;
    if (directors.length < 2) {
      this.panel.replaceChildren(...this.#director(latest(store.tables, player.t), chosen));
      return;
    }
    this.panel.replaceChildren(make("div", { class: "directors" }, directors.map((host, place) => make("section", { "aria-label": `Director ${host}` },
      make("h3", null, `${host}${roles[place] ? `: ${roles[place]}` : ""}`),
      this.#director(latest(store.tablesOf.get(host) || [], player.t), chosen)))));
  }

  // The tables of one director, as nodes.
  #director(item, chosen) {
    if (!item) return [make("p", { class: "hint" }, "The director's tables had not been read at this instant.")];
    return [
      make("p", { class: "hint" }, `Read from the director at ${item.t.toFixed(3)} s.`),
      ...item.services.map((service) => this.#service(service, item.host)),
      ...this.#connections(item, chosen),
      ...this.#counters(item.counters || {}),
    ];
  }

  #service(service, director) {
    const where = service.mark ? `firewall mark ${service.mark}` : `${service.protocol} ${endpoint(service.address, service.port)}`;
    const persistent = service.persistent ? `, persistent ${service.persistent} s` : "";
    const shown = service.servers.slice(0, MOST);
    const rest = service.servers.length - shown.length;
    const more = COUNTED.filter(([, value]) => shown.some((server) => value(server)));
    const caption = `Service ${where}, scheduler ${service.scheduler}${persistent}${rest > 0 ? ` (${rest} more servers)` : ""}`;
    const built = table(
      caption,
      ["real server", "address", "method", "weight", "active", "inactive", ...more.map(([name]) => name)],
      shown.map((server) => {
        const full = endpoint(server.address, server.port);
        return [
          this.store.serverName(full) || full, full, server.method,
          server.weight === 0 ? make("strong", null, "0, quiesced") : server.weight,
          server.active, server.inactive, ...more.map(([, value]) => value(server) ?? ""),
        ];
      }),
    );
    return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": director ? `${director}: ${caption}` : caption }, built);
  }

  #connections(item, chosen) {
    const plain = item.connections.filter((entry) => !entry.template);
    const templates = item.connections.filter((entry) => entry.template);
    const order = (list) => [...list].sort((a, b) => (b.key === chosen) - (a.key === chosen));
    const build = (caption, list, total = 0) => table(
      `${caption}: ${total || list.length}${(total || list.length) > Math.min(list.length, MOST) ? `, ${Math.min(list.length, MOST)} shown` : ""}`,
      ["client", "virtual", "real server", "state", "expires in"],
      order(list).slice(0, MOST).map((entry) => {
        const client = this.store.connections.has(entry.key)
          ? make("button", { type: "button", class: "link", onclick: () => this.player.choose(entry.key) }, `${entry.key === chosen ? "▸ " : ""}${entry.client}`)
          : entry.client;
        return [client, entry.virtual, this.store.labelOf(entry.server), entry.state, interval(entry.expires)];
      }),
    );
    return [build("Connections", plain, templates.length ? 0 : item.connections_total), ...(templates.length ? [build("Templates (persistence)", templates)] : [])];
  }

  #counters(counters) {
    const rows = flatten(counters);
    return rows.length ? [table("Counters", ["counter", "value"], rows)] : [];
  }
}

function flatten(value, prefix = "") {
  return Object.entries(value).flatMap(([name, one]) =>
    one !== null && typeof one === "object" ? flatten(one, `${prefix}${name} `) : [[`${prefix}${name}`, typeof one === "number" ? one : String(one)]]);
}

// ---- the states of a connection ----

const PLACES = {
  NONE: [0, 1], LISTEN: [0, 2], SYN_RECV: [1, 1], SYN_SENT: [1, 0], SYNACK: [1, 2], ESTABLISHED: [2, 1],
  FIN_WAIT: [3, 0], CLOSE_WAIT: [3, 2], TIME_WAIT: [4, 0], LAST_ACK: [4, 2], CLOSE: [4, 1],
};
const [ACROSS, DOWN, BOX, TALL] = [180, 92, 126, 36];

export class States extends Panel {
  update() {
    const { player, store } = this;
    const { connection } = player;
    const protocol = connection ? connection.protocol : "TCP";
    const state = connection ? store.stateOf(connection, player.t) : null;
    const past = connection ? connection.states.slice(0, countUntil(connection.states, player.t)) : [];
    const key = `${connection ? connection.key : ""} ${state} ${past.length}`;
    if (key === this.key) return;
    this.key = key;
    const edges = (store.document.states || {})[protocol] || (store.document.states || {}).TCP || [];
    const been = new Set(past.map((one) => one.state));
    const passed = new Set(past.map((one, place) => (place ? `${past[place - 1].state} ${one.state}` : "")));
    const tables = store.tablesAt(player.t);
    const entry = connection && store.entryOf(connection, player.t);
    const heading = connection ? `${connection.key}: ${state || "not in the table yet"}` : "Select a connection to see its state";
    this.panel.replaceChildren(
      make("h3", null, heading),
      make("p", { class: "hint" }, entry ? `The entry expires ${interval(entry.expires)} after ${tables.t.toFixed(3)} s, when the table was read.` : "Thick arrows are the transitions of this connection; its current state has a double frame."),
      make("div", { class: "split states-split" },
        figure(diagram(edges, state, been, passed), table("State transitions", ["from", "to"], edges)),
        past.length ? table("States of this connection so far", ["state", "at", "after", "event"], past.map((one, place) => [
          `${one.state}${place === past.length - 1 ? " ◀ now" : ""}`, `${one.t.toFixed(6)} s`, place ? interval(one.t - past[place - 1].t) : "", one.text,
        ]), { class: "past" }) : make("p", { class: "empty" }, "No state changes so far.")),
    );
  }
}

function diagram(edges, present, been, passed) {
  const names = [...new Set(edges.flat())];
  const places = new Map();
  let extra = 0;
  for (const name of names) places.set(name, PLACES[name] || [extra++, 3]);
  const rows = extra ? 4 : 3;
  const at = (name) => {
    const [column, row] = places.get(name);
    return [column * ACROSS + BOX / 2 + 12, row * DOWN + TALL / 2 + 14];
  };
  const svg = draw("svg", {
    viewBox: `0 0 ${4 * ACROSS + BOX + 24} ${(rows - 1) * DOWN + TALL + 28}`, role: "img", class: "states",
    "aria-label": `State diagram of a connection; current state: ${present || "none"}`,
  }, draw("defs", null, ["plain", "passed"].map((name) => draw("marker", { id: `state-${name}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
    draw("path", { d: "M0 0L10 5L0 10z", class: `head ${name}` })))));
  const sorted = [...edges].sort((a, b) => passed.has(a.join(" ")) - passed.has(b.join(" ")));
  for (const [from, to] of sorted) {
    const [x1, y1] = at(from);
    const [x2, y2] = at(to);
    const length = Math.hypot(x2 - x1, y2 - y1) || 1;
    const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
    const cut = (towards) => Math.min((BOX / 2) / Math.max(Math.abs(towards[0]), 1e-6), (TALL / 2) / Math.max(Math.abs(towards[1]), 1e-6)) + 3;
    const border = cut([ux, uy]);
    const bend = 12 + (length > 1.5 * ACROSS ? 26 : 0);
    const [mx, my] = [(x1 + x2) / 2 - uy * bend, (y1 + y2) / 2 + ux * bend];
    const kind = passed.has(`${from} ${to}`) ? "passed" : "plain";
    svg.append(draw("path", { class: `edge ${kind}`, d: `M${x1 + ux * border - uy * 5} ${y1 + uy * border + ux * 5}Q${mx} ${my} ${x2 - ux * border - uy * 5} ${y2 - uy * border + ux * 5}`, "marker-end": `url(#state-${kind})` }));
  }
  for (const name of names) {
    const [x, y] = at(name);
    const kind = name === present ? "state now" : been.has(name) ? "state been" : "state";
    if (name === present) svg.append(draw("rect", { class: "ring", x: x - BOX / 2 - 5, y: y - TALL / 2 - 5, width: BOX + 10, height: TALL + 10, rx: 11 }));
    svg.append(
      draw("rect", { class: kind, x: x - BOX / 2, y: y - TALL / 2, width: BOX, height: TALL, rx: 7 }),
      draw("text", { class: kind, x, y: y + 4.5 }, name));
  }
  return svg;
}
