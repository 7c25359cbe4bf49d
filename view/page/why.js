// Why this server: the scheduler's state as a picture and as a table, and the reasons in its own words.

import { draw, figure, make, Panel, table } from "./dom.js";
import { latest } from "./store.js";

const PATTERNS = 6; // fills that differ without colour; with more servers, the labels tell them apart
const SHADES = 8;

export class Why extends Panel {
  update() {
    const { player, store } = this;
    const own = player.connection && latest(player.connection.choices, Infinity);
    const choice = own || latest(store.choices, player.t);
    const key = choice ? `${choice.id}` : "none";
    if (key === this.key) return;
    this.key = key;
    if (!choice) {
      this.panel.replaceChildren(make("p", { class: "empty" }, "No connection has been scheduled yet. After the first, this panel shows why its server was chosen."));
      return;
    }
    const picture = choice.picture || {};
    const drawing = { turns, counts, slots, sets, recent }[picture.kind];
    this.panel.replaceChildren(
      make("div", { class: "split why" },
        make("section", { "aria-label": "Why" },
          make("h3", null, `Why ${choice.chosen ? store.labelOf(choice.chosen) : "no server"}?`),
          make("p", { class: "hint" }, `${choice.connection || choice.service}, scheduler ${choice.name}, at ${choice.t.toFixed(3)} s`),
          make("ol", { class: "sentences" }, (choice.sentences || []).map((sentence) => make("li", null, sentence)))),
        make("section", { "aria-label": "The scheduler's state" }, drawing ? drawing(store, choice, picture) : make("p", null, "There is no picture for this scheduler."))),
    );
  }
}

function nameOf(store, server) {
  return store.serverName(server) || server;
}

// Patterns instead of colours alone.
function fills() {
  const shapes = [
    "", "M0 0L8 8M-2 6L2 10M6 -2L10 2", "M4 0V8", "M0 4H8", "M0 8L8 0M-2 2L2 -2M6 10L10 6", "M4 0V8M0 4H8",
  ];
  return draw("defs", null, shapes.map((d, index) =>
    draw("pattern", { id: `fill${index}`, width: 8, height: 8, patternUnits: "userSpaceOnUse" },
      draw("rect", { width: 8, height: 8, class: `ground g${index}` }), draw("path", { d, class: "hatch" }))));
}

// ---- rr, wrr: the order of turns ----

function turns(store, choice, { turns: order, at }) {
  const servers = [...new Set(order)];
  const size = 300;
  const middle = size / 2;
  const outer = 138;
  const inner = 74;
  const angle = (place) => (place / order.length) * 2 * Math.PI - Math.PI / 2;
  const point = (radius, place) => `${(middle + radius * Math.cos(angle(place))).toFixed(2)} ${(middle + radius * Math.sin(angle(place))).toFixed(2)}`;
  const svg = draw("svg", {
    viewBox: `0 0 ${size} ${size}`, role: "img", class: "wheel",
    "aria-label": `${order.length} turns in a ring; the current one is turn ${at + 1}, ${nameOf(store, order[at] || "")}`,
  }, fills());
  order.forEach((server, place) => {
    const gap = order.length > 60 ? 0 : 0.012 * order.length / (2 * Math.PI);
    const [from, to] = [place + gap, place + 1 - gap];
    const large = to - from > order.length / 2 ? 1 : 0;
    const lifted = place === at ? 8 : 0;
    const whole = order.length === 1;
    svg.append(whole
      ? draw("circle", { cx: middle, cy: middle, r: (outer + inner) / 2, class: "turn whole now" })
      : draw("path", {
        class: place === at ? "turn now" : "turn", fill: `url(#fill${servers.indexOf(server) % PATTERNS})`,
        d: `M${point(inner, from)}A${inner} ${inner} 0 ${large} 1 ${point(inner, to)}L${point(outer + lifted, to)}A${outer + lifted} ${outer + lifted} 0 ${large} 0 ${point(outer + lifted, from)}Z`,
      }));
    if (order.length <= 24 || place === at) {
      const [x, y] = point((outer + inner) / 2, place + 0.5).split(" ");
      const text = nameOf(store, server);
      svg.append(
        draw("rect", { class: "plate", x: x - text.length * 3.7 - 4, y: y - 9, width: text.length * 7.4 + 8, height: 18, rx: 4 }),
        draw("text", { class: "turnname", x, y: Number(y) + 4.5 }, text));
    }
  });
  svg.append(
    draw("path", { class: "hand", d: `M${middle} ${middle}L${point(inner - 8, at + 0.5)}` }),
    draw("circle", { class: "hub", cx: middle, cy: middle, r: 5 }),
    draw("text", { class: "hubname", x: middle, y: middle + (Math.sin(angle(at + 0.5)) > 0 ? -22 : 30) }, `turn ${at + 1} of ${order.length}`),
  );
  const share = servers.map((server) => [store.labelOf(server), order.filter((turn) => turn === server).length, server === choice.chosen ? "◀ this one" : ""]);
  return figure(svg, table("Turns of each real server in one round", ["real server", "turns", "chosen"], share));
}

// ---- lc, wlc, sed, nq: counts ----

function counts(store, choice, { rows, formula }) {
  const shown = rows.slice(0, 40);
  const most = Math.max(1, ...shown.map((row) => row.active + row.inactive));
  const line = 30;
  const width = 620;
  const left = 130;
  const scale = (count) => (count / most) * 330;
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${shown.length * line + 34}`, role: "img", class: "counts",
    "aria-label": `Connections of each real server; chosen: ${nameOf(store, choice.chosen || "")}`,
  }, fills());
  svg.append(draw("text", { class: "axis", x: left, y: 16 }, "active █  inactive ░"), draw("text", { class: "axis end", x: width - 8, y: 16 }, "value"));
  shown.forEach((row, place) => {
    const y = 26 + place * line;
    const chosen = row.server === choice.chosen;
    svg.append(
      chosen ? draw("rect", { class: "chosen", x: 2, y: y - 2, width: width - 4, height: line - 2, rx: 4 }) : draw("g"),
      draw("text", { class: "countname", x: left - 10, y: y + 18 }, `${chosen ? "▸ " : ""}${nameOf(store, row.server)}  w${row.weight}`),
      draw("rect", { class: "active", x: left, y: y + 4, width: scale(row.active), height: 18 }),
      draw("rect", { class: "inactive", x: left + scale(row.active), y: y + 4, width: scale(row.inactive), height: 18, fill: "url(#fill1)" }),
      draw("text", { class: "count", x: left + scale(row.active + row.inactive) + 6, y: y + 18 }, `${row.active} + ${row.inactive}`),
      draw("text", { class: "value", x: width - 8, y: y + 18 }, format(row.value)),
    );
  });
  const twin = table("Counts", ["real server", "weight", "active", "inactive", "value", "chosen"], rows.map((row) => [
    store.labelOf(row.server), row.weight, row.active, row.inactive, format(row.value), row.server === choice.chosen ? "◀ this one" : "",
  ]));
  return make("div", null, formula ? make("p", { class: "formula" }, `value = ${formula}; the smallest is chosen`) : null,
    figure(svg, twin), rows.length > shown.length ? make("p", { class: "hint" }, `The picture shows ${shown.length} of ${rows.length} servers; the table shows all.`) : null);
}

function format(value) {
  if (value === null || value === undefined) return "-";
  return Number.isInteger(value) ? String(value) : Number(value).toFixed(2);
}

// ---- sh, dh, mh: slots ----

function slots(store, choice, { slots: count, owners, slot, strip }) {
  if (!strip || !strip.length) return shares(store, choice, count, owners, slot);
  const cells = strip;
  const across = cells.length > 1024 ? Math.ceil(Math.sqrt(cells.length * 4)) : 32;
  const edge = 640 / across;
  const rows = Math.ceil(cells.length / across);
  const at = slot ?? null;
  const paths = owners.map(() => "");
  cells.forEach((owner, place) => {
    if (owner === null || owner === undefined || owner < 0) return;
    paths[owner] += `M${((place % across) * edge).toFixed(2)} ${(Math.floor(place / across) * edge).toFixed(2)}h${edge.toFixed(2)}v${edge.toFixed(2)}h-${edge.toFixed(2)}z`;
  });
  const svg = draw("svg", {
    viewBox: `-3 -3 646 ${rows * edge + 6}`, role: "img", class: "slots",
    "aria-label": where(slot, count, nameOf(store, choice.chosen || "")),
  }, fills());
  const small = edge <= 14; // too small for patterns and numbers: shades, and the table below
  paths.forEach((d, index) => svg.append(draw("path", small
    ? { d, class: `slot shade${index % SHADES}` } : { d, class: "slot", fill: `url(#fill${index % PATTERNS})` })));
  if (!small) {
    cells.forEach((owner, place) => {
      if (!owners[owner]) return;
      const label = nameOf(store, owners[owner][0]).replace(/^rs/, "");
      svg.append(draw("text", { class: "slotname", x: (place % across) * edge + edge / 2, y: Math.floor(place / across) * edge + edge / 2 + 4 }, label.slice(0, 3)));
    });
  }
  if (at !== null) svg.append(draw("rect", { class: "slotnow", x: (at % across) * edge - 1.5, y: Math.floor(at / across) * edge - 1.5, width: Math.max(edge, 6) + 3, height: Math.max(edge, 6) + 3, rx: 2 }));
  return make("div", null, make("p", { class: "formula" }, where(slot, count, "framed")), figure(svg, slotTable(store, choice, owners, slot)));
}

// The slot is unknown where something else decided, such as persistence.
function where(slot, count, more) {
  return slot === null || slot === undefined ? `${count} hash slots.` : `The address hashes to slot ${slot} of ${count}: ${more}.`;
}

function slotTable(store, choice, owners, slot) {
  return table("Slots of each real server", ["real server", "slots", "chosen"], owners.map(([server, share]) => [
    store.labelOf(server), share, server !== choice.chosen ? "" : slot === null ? "◀ this one" : `◀ slot ${slot}`,
  ]));
}

// Too many slots to distinguish: the number of slots of each server.
function shares(store, choice, count, owners, slot) {
  const line = 26;
  const most = Math.max(1, ...owners.map(([, share]) => share));
  const shown = owners.slice(0, 40);
  const svg = draw("svg", {
    viewBox: `0 0 620 ${shown.length * line + 8}`, role: "img", class: "counts",
    "aria-label": `Hash slots of each real server, of ${count}. ${where(slot, count, nameOf(store, choice.chosen || ""))}`,
  });
  shown.forEach(([server, share], place) => {
    const y = 4 + place * line;
    const chosen = server === choice.chosen;
    svg.append(
      chosen ? draw("rect", { class: "chosen", x: 2, y, width: 616, height: line - 2, rx: 4 }) : draw("g"),
      draw("text", { class: "countname", x: 120, y: y + 17 }, `${chosen ? "▸ " : ""}${nameOf(store, server)}`),
      draw("rect", { class: "active", x: 130, y: y + 3, width: (share / most) * 400, height: line - 8 }),
      draw("text", { class: "count", x: 136 + (share / most) * 400, y: y + 17 }, String(share)));
  });
  return make("div", null, make("p", { class: "formula" }, where(slot, count, nameOf(store, choice.chosen || ""))), figure(svg, slotTable(store, choice, owners, slot)));
}

// ---- a custom scheduler: its recent choices ----

function recent(store, choice, { chosen, rows }) {
  const servers = [...new Set([...rows.map((row) => row.server), ...chosen])];
  const [line, left, edge, width] = [30, 130, 15, 760];
  const svg = draw("svg", {
    viewBox: `0 0 ${width} ${servers.length * line + 26}`, role: "img", class: "counts",
    "aria-label": `The last ${chosen.length} choices, the latest on the right: ${chosen.slice(-8).map((server) => nameOf(store, server)).join(", ")}`,
  });
  svg.append(draw("text", { class: "axis", x: left, y: 14 }, `the last ${chosen.length} choices, the latest on the right`));
  servers.forEach((server, row) => {
    const y = 24 + row * line;
    svg.append(
      draw("line", { class: "cable", x1: left, x2: left + chosen.length * edge, y1: y + line / 2, y2: y + line / 2 }),
      draw("text", { class: "countname", x: left - 10, y: y + 19 }, `${server === choice.chosen ? "▸ " : ""}${nameOf(store, server)}`));
    chosen.forEach((other, place) => {
      if (other === server) svg.append(draw("rect", { class: place === chosen.length - 1 ? "active latest" : "active", x: left + place * edge + 1, y: y + 5, width: edge - 2, height: line - 10, rx: 2 }));
    });
  });
  const counted = new Map(rows.map((row) => [row.server, row]));
  return figure(svg, table("Choices of the scheduler", ["real server", "of these choices", "weight", "active", "inactive", "chosen"], servers.map((server) => {
    const row = counted.get(server) || {};
    return [store.labelOf(server), chosen.filter((other) => other === server).length, row.weight, row.active, row.inactive, server === choice.chosen ? "◀ this one" : ""];
  })));
}

// ---- lblc, lblcr: sets ----

function sets(store, choice, { rows, key }) {
  return table("Servers that each address is bound to", ["address", "real servers"], rows.map((row) => [
    row.key, make("span", null, row.servers.map((server) => {
      const now = server === choice.chosen && (!key || key === row.key);
      return make("span", { class: now ? "chip now" : "chip" }, `${now ? "▸ " : ""}${nameOf(store, server)}`);
    })),
  ]), { class: "sets" });
}
