// The director's events and the doctor's findings.

import { interval, make, Panel, table } from "./dom.js";
import { VirtualList } from "./list.js";
import { countUntil, latest } from "./store.js";

const SIGNS = {
  new: "+", state: "→", expired: "−", evicted: "−", rules: "§",
  dropped: "✕", rejected: "✕", refused: "✕", shed: "✕", failed: "!", lost: "!",
};

export class Events {
  constructor(panel, player) {
    this.player = player;
    this.store = player.store;
    this.seen = -1;
    this.only = false;
    this.items = [];
    this.findings = make("div", { class: "findings" });
    this.none = make("p", { class: "empty" }, "No events yet.");
    this.list = new VirtualList({
      label: "Events of the director", height: 40, write: (row, item) => this.#row(row, item), choose: (item) => this.#choose(item),
    });
    const only = make("input", { type: "checkbox", id: "only", onchange: (event) => { this.only = event.target.checked; this.seen = -1; this.update(); } });
    panel.append(this.findings, make("p", { class: "buttons" }, only, make("label", { for: "only" }, "Selected connection only")), this.none, this.list.element);
  }

  update() {
    const { player, store } = this;
    const count = store.findings.filter((finding) => finding.t <= player.t).length;
    if (count !== this.found) {
      this.found = count;
      this.findings.replaceChildren(...store.findings.slice(0, count).map((finding) => this.#finding(finding)));
    }
    const key = `${store.version} ${this.only ? player.connection?.key : ""}`;
    if (key !== this.seen) {
      this.seen = key;
      this.items = this.only && player.connection ? player.connection.events : store.events;
    }
    this.none.hidden = this.items.length > 0;
    this.list.set(this.items, countUntil(this.items, player.t) - 1);
  }

  #row(row, item) {
    const connection = item.connection ? this.store.connections.get(item.connection) : null;
    row.append(
      make("div", null, make("span", { class: "sign", "aria-hidden": "true" }, SIGNS[item.event] || "·"), make("strong", null, item.event), ` ${item.text}`),
      make("div", { class: "small" }, `${item.t.toFixed(6)} s`, connection ? `  ${connection.key}` : "", item.why ? make("em", null, `  ${item.why}`) : null),
    );
  }

  #choose(item) {
    const { player } = this;
    if (item.connection && player.connection?.key !== item.connection) player.choose(item.connection);
    player.setTime(item.t);
  }

  #finding(finding) {
    return make("section", { class: "finding" },
      make("h3", null, `! ${finding.host || "the lab"}: ${finding.title}`),
      make("p", null, finding.evidence || ""),
      finding.repair ? make("pre", null, finding.repair) : null);
  }
}

// ---- the hosts: the picture of the network as a table ----

export class Hosts extends Panel {
  constructor(panel, player) {
    super(panel, player);
    this.host = null;
  }

  update() {
    const { player, store } = this;
    const neighbours = [...store.neighbours.values()].map((list) => countUntil(list, player.t));
    const key = `${neighbours} ${countUntil(store.links, player.t)} ${this.host}`;
    if (key === this.key) return;
    this.key = key;
    const ports = new Map((latest(store.links, player.t)?.ports || []).map((port) => [`${port.switch} ${port.port}`, port]));
    const cables = new Map(store.document.links.map((link) => [link.a, link]));
    const rows = store.document.hosts.flatMap((host) => host.interfaces.map((port, place) => {
      const cable = cables.get(port.name);
      const load = cable && ports.get(`${cable.b} ${cable.port}`);
      return [
        host.name, host.role === "realserver" ? "real server" : host.role, port.name, port.addresses.join(", "), port.mac || "",
        cable ? `${cable.b} port ${cable.port}` : port.switch || "none", place === 0 && host.ports ? host.ports.join(", ") : "",
        load ? `${load.rx_bytes ?? ""} / ${load.tx_bytes ?? ""}` : "",
      ];
    }));
    const shown = this.host ? rows.filter((row) => row[0] === this.host) : rows;
    const known = [];
    for (const [host, list] of store.neighbours) {
      if (this.host && host !== this.host) continue;
      for (const entry of latest(list, player.t)?.entries || []) {
        known.push([host, entry.ip, entry.mac || "none", store.macs.get(entry.mac) || entry.owner || "", store.document.vips.includes(entry.ip) ? "VIP" : ""]);
      }
    }
    this.panel.replaceChildren(
      this.host ? make("p", { class: "buttons" }, make("button", { type: "button", onclick: () => this.show(null) }, "Show all hosts")) : make("p", { class: "hint" }, "The picture of the network as tables."),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Hosts" },
        table(this.host || "Hosts and their interfaces", ["host", "role", "interface", "addresses", "MAC address", "switch", "ports", "bytes in / out"], shown)),
      known.length ? table("Neighbour (ARP) tables of the hosts", ["host", "address", "MAC address", "owner", "note"], known) : make("p", { class: "hint" }, "No neighbour entries at this instant."),
    );
  }

  show(host) {
    this.host = host;
    this.update();
  }
}

// ---- the checks of the lab or exercise ----

export class Checks extends Panel {
  update() {
    const { player, store } = this;
    const report = latest(store.reports, player.t);
    const key = report ? report.id : "none";
    if (key === this.key) return;
    this.key = key;
    if (!report) {
      this.panel.replaceChildren(make("p", { class: "empty" }, "No check had run at this instant."));
      return;
    }
    const good = report.checks.filter((check) => check.ok).length;
    this.panel.replaceChildren(
      make("h3", null, `${good} of ${report.checks.length} checks passed`),
      table("Checks", ["check", "result", "expected", "found"], report.checks.map((check) => [
        check.name, make("strong", { class: check.ok ? "ok" : "failed" }, check.ok ? "✓ ok" : "✕ failed"), check.expected, check.found,
      ])),
    );
  }
}

export function freshness(store, player) {
  const behind = store.end - player.t;
  return behind < 0.001 ? "" : `${interval(behind)} before the end`;
}
