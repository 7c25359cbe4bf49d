// The picture of the network: hosts, switches, the VIP's owner, the paths of request and reply, the packet.

import { bits, draw, flagWords, stillness } from "./dom.js";
import { layOut, legPath, legs, ROW, WIDTH } from "./layout.js";
import { countUntil, latest } from "./store.js";

const ROLE = { client: "client", router: "router", director: "director", realserver: "real server" };
const FORWARDED = { nat: "rewritten", tun: "tunnelled", dr: "new MAC" };
const LANE = 10; // pixels beside the cable
const DOTS = 14;
const DOTS_A_FRAME = 2;
const LEAST_SCALE = 0.85; // text is too small below that
const ROW_LENGTH = 22; // characters in a box

export class Network {
  constructor(element, player, { openHost }) {
    this.element = element;
    this.player = player;
    this.store = player.store;
    this.openHost = openHost;
    this.open = new Set();
    this.key = null;
    this.shown = {};
    this.dotted = 0;
    this.nextDot = 0;
  }

  update() {
    const { player, store } = this;
    this.element.hidden = !store.hosts.size; // the run lacks their description
    if (this.element.hidden) return;
    const pinned = player.connection && player.connection.server ? store.serverName(player.connection.server) : null;
    const knowing = [...store.neighbours.keys()].filter((host) => this.#vipEntry(host, Infinity));
    const key = JSON.stringify([[...this.open], store.hosts.size > 12 ? pinned : null, knowing]);
    if (key !== this.key) {
      this.key = key;
      this.shown = {};
      this.#build(pinned, new Set(knowing));
    }
    const roles = store.directors.map((host) => store.roleWords(host, player.t));
    this.#once("facts", `${this.#instant(store.tables)} ${this.#vips()} ${store.findings.length} ${roles}`, () => this.#facts());
    this.#once("links", this.#instant(store.links), () => this.#load());
    this.#once("ways", this.#waysKey(), () => this.#ways());
    this.#once("marker", this.#markerKey(), () => this.#marker());
  }

  #once(name, key, write) {
    if (this.shown[name] === key) return;
    this.shown[name] = key;
    write();
  }

  #instant(list) {
    return String(countUntil(list, this.player.t));
  }

  // ---- the fixed parts: boxes, bars, cables ----

  #build(pinned, knowing) {
    const { store } = this;
    const run = store.document;
    const lines = (host) => this.#lines(host, knowing).length;
    const layout = layOut(run, { open: this.open, pinned: store.hosts.size > 12 ? pinned : null, lines });
    this.layout = layout;
    const focused = this.element.contains(document.activeElement) && document.activeElement.getAttribute("data-name");
    this.cables = new Map();
    this.loads = new Map();
    this.boxes = new Map();
    this.wayLayer = draw("g", { class: "ways", "aria-hidden": "true" });
    this.markerLayer = draw("g", { class: "markers", "aria-hidden": "true" });
    this.dotLayer = draw("g", { "aria-hidden": "true" });
    this.dotPool = Array.from({ length: DOTS }, () => draw("circle", { r: 4, class: "dot", opacity: 0 }));
    this.dotLayer.append(...this.dotPool);
    const svg = draw("svg", {
      viewBox: `0 0 ${layout.width} ${layout.height}`, role: "group",
      "aria-label": "The network, from the clients on the left to the real servers on the right. Each host is a button that shows its details.",
    });
    svg.append(
      draw("defs", null, ["request", "forwarded", "reply"].map((name) =>
        draw("marker", { id: `arrow-${name}`, viewBox: "0 0 10 10", refX: 9, refY: 5, markerWidth: 9, markerHeight: 9, markerUnits: "userSpaceOnUse", orient: "auto" },
          draw("path", { d: "M0 0L10 5L0 10z", class: `head ${name}` })))),
    );
    const cables = draw("g", { "aria-hidden": "true" });
    const seen = new Set();
    for (const stub of layout.stubs.values()) {
      const id = `${stub.box.name} ${stub.switch}`;
      const line = draw("line", { class: "cable", x1: stub.edge, y1: stub.y, x2: stub.bar.x, y2: stub.y });
      if (!seen.has(id)) cables.append(line);
      seen.add(id);
      this.cables.set(stub.interface, line);
    }
    for (const bar of layout.bars.values()) {
      cables.append(
        draw("line", { class: "bar", x1: bar.x, x2: bar.x, y1: bar.top, y2: bar.bottom }),
        draw("text", { class: "barname", x: bar.x, y: bar.top - 9 - 12 * (bar.network || "").split(", ").length }, bar.name),
        ...(bar.network || "").split(", ").map((network, place, all) => draw("text", { class: "barname", x: bar.x, y: bar.top - 8 - 12 * (all.length - 1 - place) }, store.fold(network))),
      );
    }
    if (store.prefix) cables.append(draw("text", { class: "folded", x: 14, y: 20 }, `… is ${store.prefix}`));
    this.loadLayer = draw("g", { "aria-hidden": "true" });
    svg.append(cables, this.wayLayer, this.loadLayer);
    for (const box of [...layout.boxes].sort((a, b) => a.x - b.x || a.y - b.y)) svg.append(box.host ? this.#host(box, knowing) : this.#group(box));
    svg.append(this.dotLayer, this.markerLayer);
    svg.style.maxHeight = `max(56vh, ${Math.round(layout.height * LEAST_SCALE)}px)`; // a taller picture scrolls
    this.element.replaceChildren(svg);
    if (focused) this.element.querySelector(`[data-name="${CSS.escape(focused)}"]`)?.focus();
  }

  // The lines of a host's box: [{text, class}] or two columns.
  #lines(host, knowing) {
    const vips = this.store.document.vips;
    const lines = [];
    for (const port of host.interfaces) {
      if (port.name === "lo") continue;
      const own = port.addresses.filter((address) => !vips.includes(address.split("/")[0]));
      const short = port.name.replace(`${host.name}-`, "");
      own.forEach((address, place) => lines.push({ kind: "address", left: place ? "" : short, text: this.store.fold(address) }));
      if (port.mac && own.length) lines.push({ kind: "mac", text: port.mac });
    }
    if (host.role === "realserver") lines.push({ kind: "load" });
    if (host.role === "director" || this.#hasVip(host)) {
      lines.push({ kind: "vip" });
      for (const [place, vip] of vips.entries()) if (place && host.role === "director") lines.push({ kind: "othervip", text: `★ VIP ${this.store.fold(vip)}` });
    }
    if (knowing.has(host.name)) lines.push({ kind: "knows" }, { kind: "knownmac" });
    return lines;
  }

  #hasVip(host) {
    return host.interfaces.some((port) => port.addresses.some((address) => this.store.document.vips.includes(address.split("/")[0])));
  }

  #host(box, knowing) {
    const { host } = box;
    const top = box.y - box.height / 2;
    const node = draw("g", {
      class: `host ${host.role}`, role: "button", tabindex: 0, "data-name": host.name,
      onclick: () => this.openHost(host.name),
      onkeydown: (event) => press(event, () => this.openHost(host.name)),
    });
    const parts = { role: draw("text", { class: "role", x: box.x + WIDTH - 10, y: top + 18 }, ROLE[host.role] || host.role) };
    node.append(
      draw("rect", { class: "box", x: box.x, y: top, width: WIDTH, height: box.height, rx: 6 }),
      draw("text", { class: "name", x: box.x + 10, y: top + 18 }, host.name),
      parts.role,
    );
    let y = top + 25;
    for (const line of this.#lines(host, knowing)) {
      y += ROW;
      const wide = line.text && line.text.length > 17;
      if (line.left && !wide) node.append(draw("text", { class: "port", x: box.x + 10, y: y - 4 }, line.left));
      const text = draw("text", { class: line.kind, x: box.x + (line.text && !wide && line.kind !== "othervip" ? 44 : 10), y: y - 4 }, line.text || "");
      if (line.kind === "vip") {
        parts.pill = draw("rect", { class: "pill", x: box.x + 7, y: y - 17, width: WIDTH - 14, height: 17, rx: 8.5, visibility: "hidden" });
        node.append(parts.pill);
      }
      parts[line.kind] = text;
      node.append(text);
    }
    parts.finding = draw("g", { class: "pin", visibility: "hidden" },
      draw("rect", { x: box.x + 6, y: top + box.height - 9, width: WIDTH - 12, height: 19, rx: 4 }),
      draw("text", { x: box.x + WIDTH / 2, y: top + box.height + 5 }, ""));
    node.append(parts.finding);
    this.boxes.set(host.name, { node, parts, host });
    return node;
  }

  #group(box) {
    const top = box.y - box.height / 2;
    const toggle = () => {
      if (!this.open.delete(box.name)) this.open.add(box.name);
      this.update();
    };
    const node = draw("g", {
      class: "host group", role: "button", tabindex: 0, "aria-expanded": String(box.open), "data-name": box.name,
      "aria-label": `${box.members.length} real servers, ${box.title}${box.without ? ` without ${box.without}` : ""}`,
      onclick: toggle, onkeydown: (event) => press(event, toggle),
    });
    for (const offset of box.open ? [] : [6, 3]) {
      node.append(draw("rect", { class: "box behind", x: box.x + offset, y: top + offset, width: WIDTH, height: box.height, rx: 6 }));
    }
    node.append(
      draw("rect", { class: "box", x: box.x, y: top, width: WIDTH, height: box.height, rx: 6 }),
      draw("text", { class: "name", x: box.x + 10, y: top + 18 }, `${box.open ? "▾" : "▸"} ${box.title}`),
    );
    if (!box.open) {
      const sum = draw("text", { class: "load", x: box.x + 10, y: top + 25 + ROW - 4 }, `${box.members.length} real servers`);
      node.append(sum);
      this.boxes.set(box.name, { node, parts: { sum }, group: box });
    } else {
      const rows = box.hosts.map((host, place) => {
        const y = top + 25 + ROW * (place + 1) - 4;
        const name = `${host.name} ${this.store.fold(host.interfaces[0]?.addresses[0]?.split("/")[0] || "")}`;
        const text = draw("text", { class: "member", x: box.x + 10, y }, name);
        const count = draw("text", { class: "member count", x: box.x + WIDTH - 8, y }, "");
        node.append(text, count);
        return { host, name, count };
      });
      this.boxes.set(box.name, { node, parts: { rows }, group: box });
    }
    return node;
  }

  // ---- the parts that change over time ----

  #vipEntry(host, t) {
    const item = latest(this.store.neighbours.get(host) || [], t);
    return item ? item.entries.find((entry) => this.store.document.vips.includes(entry.ip)) || null : null;
  }

  // The hosts that own a VIP: from the neighbour tables of routers and clients, or else from the plan.
  owners() {
    const owners = new Set();
    for (const host of this.store.neighbours.keys()) {
      const entry = this.#vipEntry(host, this.player.t);
      if (!entry || !entry.mac) continue;
      const name = this.store.macs.get(entry.mac) || entry.owner;
      const owner = [...this.store.hosts.values()].find((host) => host.interfaces.some((port) => port.name === name));
      if (owner) owners.add(owner.name);
    }
    if (!owners.size) {
      const directors = [...this.store.hosts.values()].filter((host) => host.role === "director");
      for (const host of directors) if (directors.length === 1 || this.#hasVip(host)) owners.add(host.name);
    }
    return owners;
  }

  #vips() {
    const entries = [...this.store.neighbours.keys()].map((host) => (this.#vipEntry(host, this.player.t) || {}).mac);
    return [...this.owners(), ...entries].join(" ");
  }

  #facts() {
    const { store, player } = this;
    const owners = this.owners();
    const [vip] = store.document.vips;
    const tables = store.tablesAt(player.t);
    const servers = new Map(); // host -> sums over its services
    for (const service of tables ? tables.services : []) {
      for (const server of service.servers) {
        const name = store.servers.get(server.address);
        if (!name) continue;
        const sum = servers.get(name) || { ports: new Set(), weight: server.weight, active: 0, inactive: 0 };
        sum.ports.add(server.port);
        sum.active += server.active;
        sum.inactive += server.inactive;
        servers.set(name, sum);
      }
    }
    const findings = store.findings.filter((finding) => finding.t <= player.t);
    for (const { node, parts, host, group } of this.boxes.values()) {
      if (group) {
        const counts = group.members.map((name) => servers.get(name)).filter(Boolean);
        const active = counts.reduce((sum, count) => sum + count.active, 0);
        if (parts.sum) parts.sum.textContent = `${group.members.length}${group.without ? ` (not ${group.without})` : " servers"}, ${active} active`;
        for (const row of parts.rows || []) {
          const count = servers.get(row.host.name);
          const sums = count ? `${count.active}+${count.inactive}` : "";
          const weighted = count ? `w${count.weight} ${sums}` : "";
          row.count.textContent = row.name.length + weighted.length <= ROW_LENGTH ? weighted : sums;
        }
        continue;
      }
      const words = [`${host.name}, ${ROLE[host.role] || host.role}`, ...host.interfaces.flatMap((port) => port.addresses)];
      const role = store.roleOf(host.name, player.t);
      if (role) {
        parts.role.textContent = role.master ? "director, master" : "director, backup";
        words.push(store.roleWords(host.name, player.t));
      } else parts.role.textContent = ROLE[host.role] || host.role;
      if (parts.load) {
        const count = servers.get(host.name);
        const ports = count ? [...count.ports] : host.ports || [];
        const text = `:${ports.join(" :")}${count ? `  weight ${count.weight}, ${count.active} active` : ""}`;
        parts.load.textContent = text.length > 27 ? text.replace("weight ", "w") : text;
        words.push(text);
      }
      if (parts.vip) {
        const owner = owners.has(host.name);
        const on = host.interfaces.find((port) => port.addresses.some((address) => store.document.vips.includes(address.split("/")[0])));
        parts.pill.setAttribute("visibility", owner ? "visible" : "hidden");
        parts.vip.setAttribute("class", owner ? "vip owner" : "vip");
        const text = owner ? `★ VIP ${store.fold(vip)}` : on ? `VIP on ${on.name.replace(`${host.name}-`, "")}, silent` : "";
        parts.vip.textContent = text;
        if (text) words.push(owner ? `owns the VIP ${vip}` : text);
        node.classList.toggle("owner", owner);
        parts.othervip?.setAttribute("visibility", owner ? "visible" : "hidden");
      }
      if (parts.knows) {
        const entry = this.#vipEntry(host.name, player.t);
        const known = entry && entry.mac;
        parts.knows.textContent = known ? `${store.fold(entry.ip)} is at ${store.macs.get(entry.mac) || ""}` : "";
        parts.knownmac.textContent = known ? entry.mac : "";
        if (known) words.push(`holds ${entry.mac} for ${entry.ip}`);
      }
      const here = findings.filter((finding) => finding.host === host.name);
      parts.finding.setAttribute("visibility", here.length ? "visible" : "hidden");
      parts.finding.lastChild.textContent = here.length ? `! ${here[0].cause}${here.length > 1 ? ` and ${here.length - 1}` : ""}` : "";
      node.classList.toggle("faulty", here.length > 0);
      for (const finding of here) words.push(`finding: ${finding.title}`);
      node.setAttribute("aria-label", words.join(", "));
    }
  }

  #load() {
    const item = latest(this.store.links, this.player.t);
    const ports = new Map((item ? item.ports : []).map((port) => [`${port.switch} ${port.port}`, port]));
    for (const link of this.store.document.links) {
      const line = this.cables.get(link.a);
      const stub = this.layout.stubs.get(link.a);
      if (!line || !stub) continue;
      const port = ports.get(`${link.b} ${link.port}`);
      const rate = port ? (port.rx_rate || 0) + (port.tx_rate || 0) : 0;
      line.style.strokeWidth = rate > 100 ? String(Math.min(14, 2 + 2 * Math.log10(rate / 100))) : "2";
      line.classList.toggle("loaded", rate > 100);
      let text = this.loads.get(link.a);
      if (!text && rate > 100 && stub.box.host) {
        text = draw("text", { class: "rate", x: (stub.edge + stub.bar.x) / 2, y: stub.y + LANE + 38 });
        this.loads.set(link.a, text);
        this.loadLayer.append(text);
      }
      if (text) text.textContent = rate > 100 ? bits(rate) : "";
    }
  }

  // ---- the paths ----

  #waysKey() {
    const { connection, current } = this.player;
    if (!connection) return "plan";
    return `${connection.key} ${current ? current.packet : -1} ${connection.server} ${this.#hosts().map(String)}`;
  }

  // Hosts on the path of the request and of the reply: as captured, or else by the forwarding method.
  #hosts() {
    const { player, store } = this;
    const { connection, current } = player;
    const { path } = store.document;
    const server = (connection && connection.server && store.serverName(connection.server))
      || [...store.hosts.values()].find((host) => host.role === "realserver")?.name;
    const client = connection && [...store.hosts.values()].find((host) =>
      host.interfaces.some((port) => port.addresses.some((address) => connection.client?.startsWith(`${address.split("/")[0]}:`))))?.name;
    const actual = { rs: server, site: this.#routerOf(server), c1: client || "c1" };
    const planned = (names) => names.map((name) => actual[name] || name);
    const longest = (direction) => {
      if (!connection) return null;
      const near = current ? Math.max(0, current.packet - 20) : 0;
      let best = [];
      for (const walk of connection.walks.slice(near, near + 40)) {
        if (walk.direction === direction && walk.packets.length > best.length) best = walk.packets;
      }
      const hosts = best.map((packet) => packet.host).filter((host, place, all) => host !== all[place - 1]);
      return hosts.length > 1 ? hosts : null;
    };
    if (connection && connection.walks.length && !connection.served) return [[], []]; // ARP and others
    return [longest("request") || planned(path.request), longest("reply") || planned(path.reply)];
  }

  // In VS-TUN each real server is at a remote site, behind a router.
  #routerOf(server) {
    const { hosts } = this.store;
    const switches = new Set((hosts.get(server)?.interfaces || []).map((port) => port.switch));
    return [...hosts.values()].find((host) =>
      host.role === "router" && host.interfaces.some((port) => switches.has(port.switch)))?.name;
  }

  #ways() {
    const { layout, store } = this;
    const [request, reply] = this.#hosts();
    const isDirector = (name) => store.hosts.get(name)?.role === "director";
    const at = request.findIndex(isDirector);
    const there = legs(layout, at < 0 ? request : request.slice(0, at + 1));
    const on = at < 0 ? [] : legs(layout, request.slice(at));
    const shared = on.some((leg) => there.some((other) => other.to === leg.from));
    this.lanes = { request: -LANE, forwarded: shared ? 0 : -LANE, reply: LANE };
    this.forwardedFrom = at < 0 ? null : request[at];
    const back = legs(layout, reply);
    this.wayLayer.replaceChildren(
      ...this.#way("reply", back, "reply"),
      ...this.#way("forwarded", on, FORWARDED[store.document.lab] || "forwarded"),
      ...this.#way("request", there, "request"),
    );
  }

  #way(kind, legsOfWay, label) {
    const lane = this.lanes[kind];
    const parts = legsOfWay.map((leg) => draw("path", { class: `way ${kind}`, d: legPath(leg, lane), "marker-end": `url(#arrow-${kind})` }));
    const [first] = legsOfWay;
    if (first) {
      const x = (first.from.edge + first.from.bar.x) / 2;
      const y = first.from.y + lane + (kind === "request" || lane < 0 ? -13 : 23);
      parts.push(draw("text", { class: `waylabel ${kind}`, x, y }, label));
    }
    return parts;
  }

  // ---- the packet ----

  #markerKey() {
    const { current } = this.player;
    return current ? `${current.sighting.id} ${this.key}` : "none";
  }

  #laneOf(packet, walk) {
    if (packet.direction === "reply") return this.lanes.reply;
    if (packet.direction !== "request") return 0;
    const place = walk ? walk.packets.indexOf(packet) : -1;
    const past = place >= 0 && walk.packets.slice(0, place + 1).filter((hop) => hop.host === this.forwardedFrom);
    const behind = past && past.length && (packet.host !== this.forwardedFrom || past.length > 1);
    return behind ? this.lanes.forwarded : this.lanes.request;
  }

  #marker() {
    const { current } = this.player;
    for (const { node } of this.boxes.values()) node.classList.remove("here");
    if (!current) return this.markerLayer.replaceChildren();
    const { sighting, walk } = current;
    const box = this.layout.boxOf.get(sighting.host);
    const stub = this.layout.stubs.get(sighting.interface);
    const owner = box && this.boxes.get(box.name);
    if (owner) owner.node.classList.add("here");
    if (!box) return this.markerLayer.replaceChildren();
    const text = briefly(sighting);
    const half = Math.max(20, text.length * 3.7 + 8);
    const beside = Math.max(30, half + (sighting.outer ? 8 : 3)); // clear of the host's own addresses
    const x = stub ? stub.edge + (stub.right ? beside : -beside) : box.x + WIDTH / 2;
    const y = stub ? stub.y + this.#laneOf(sighting, walk) : box.y + box.height / 2;
    const known = this.markerLayer.firstChild;
    const marker = draw("g", { class: `marker ${sighting.direction || ""}` },
      sighting.outer ? draw("rect", { class: "outer", x: -half - 5, y: -15, width: 2 * half + 10, height: 30, rx: 7 }) : null,
      draw("rect", { class: "inner", x: -half, y: -10, width: 2 * half, height: 20, rx: 5 }),
      draw("text", { x: 0, y: 4 }, text));
    const place = `translate(${x}px, ${y}px)`;
    marker.style.transform = place;
    this.markerLayer.replaceChildren(marker);
    if (known && known.dataset.place && !stillness.matches) {
      marker.animate([{ transform: known.dataset.place }, { transform: place }], { duration: 320, easing: "ease-in-out" });
    }
    marker.dataset.place = place;
    this.#reveal(marker);
    return undefined;
  }

  #reveal(marker) {
    const frame = this.element;
    const across = marker.getBoundingClientRect().left - frame.getBoundingClientRect().left;
    if (frame.scrollWidth > frame.clientWidth + 1 && (across < 20 || across > frame.clientWidth - 80)) frame.scrollLeft += across - frame.clientWidth / 2;
    if (frame.scrollHeight <= frame.clientHeight + 1) return;
    const offset = marker.getBoundingClientRect().top - frame.getBoundingClientRect().top;
    if (offset < 20 || offset > frame.clientHeight - 40) frame.scrollTop += offset - frame.clientHeight / 2;
  }

  // Packets captured since the last frame, as dots on their cables; only a few if there are many.
  dots() {
    const { packets } = this.store;
    const now = countUntil(packets, this.player.t);
    const before = this.dotted;
    this.dotted = now;
    const moving = this.player.following || (this.player.playing && this.player.speed !== "hops");
    if (!moving || now <= before || !this.lanes) return;
    for (const packet of packets.slice(Math.max(before, now - DOTS_A_FRAME), now)) {
      const stub = this.layout.stubs.get(packet.interface);
      if (!stub) continue;
      const dot = this.dotPool[(this.nextDot = (this.nextDot + 1) % DOTS)];
      const y = stub.y + (packet.direction === "reply" ? LANE : -LANE);
      const out = packet.frame && packet.frame.src === this.#macOf(packet);
      const [from, to] = out ? [stub.edge, stub.bar.x] : [stub.bar.x, stub.edge];
      dot.setAttribute("class", `dot ${packet.direction || ""}`);
      const start = stillness.matches ? to : from;
      dot.animate(
        [
          { transform: `translate(${start}px, ${y}px)`, opacity: 1 },
          { transform: `translate(${to}px, ${y}px)`, opacity: 1, offset: 0.6 },
          { transform: `translate(${to}px, ${y}px)`, opacity: 0 },
        ],
        { duration: 600 },
      );
    }
  }

  #macOf(packet) {
    return this.store.hosts.get(packet.host)?.interfaces.find((port) => port.name === packet.interface)?.mac;
  }
}

// The label of the packet's marker.
function briefly({ arp, neighbour, l4 }) {
  if (arp) return `ARP ${arp.op === "request" ? "?" : "!"}`;
  if (neighbour) return `ND ${neighbour.op === "solicitation" ? "?" : "!"}`;
  if (!l4) return "packet";
  return l4.protocol === "TCP" ? flagWords(l4.flags) : l4.protocol;
}

function press(event, action) {
  if (event.key !== "Enter" && event.key !== " ") return;
  event.preventDefault();
  event.stopPropagation();
  action();
}
