// Everything the page knows about the run: its document, and its items in order of time. The same for a
// running lab, a run's folder and a single file.

export class Store {
  constructor(document) {
    this.document = document;
    this.version = 0; // counts changes
    this.lastId = 0;
    this.begin = 0; // seconds: times of the earliest and the latest item
    this.end = 0;
    this.ended = false;
    this.behind = false; // whether the server has more items than have arrived
    this.troubles = []; // sentences about what could not be read
    this.missed = 0; // packets not shown
    this.missedConnections = 0; // connections whose events are not shown
    this.connections = new Map(); // key -> Connection
    this.walks = new Map(); // id -> Walk
    this.packets = [];
    this.events = [];
    this.tables = [];
    this.tablesOf = new Map(); // host of a director ("" where there is one) -> its tables
    this.roles = new Map(); // host of a director -> its reports of owning the VIP: [{t, master}]
    this.masters = new Set(); // at the latest instant
    this.choices = []; // schedulers' choices
    this.links = [];
    this.findings = [];
    this.reports = [];
    this.neighbours = new Map(); // host -> items
    this.hosts = new Map(document.hosts.map((host) => [host.name, host]));
    this.macs = new Map();
    for (const host of document.hosts) {
      for (const port of host.interfaces) if (port.mac) this.macs.set(port.mac, port.name);
    }
    this.prefix = commonPrefix(document);
    this.servers = new Map(); // address -> name of the real server
    for (const host of document.hosts) {
      if (host.role !== "realserver") continue;
      for (const address of host.interfaces.flatMap((port) => port.addresses)) {
        const plain = address.split("/")[0];
        if (!document.vips.includes(plain)) this.servers.set(plain, host.name);
      }
    }
  }

  add(items) {
    for (const item of items) this.#add(item);
    this.version += 1;
  }

  #add(item) {
    if (item.id && item.id <= this.lastId) return; // sent again after a reconnection
    if (item.id) this.lastId = item.id;
    if (item.kind === "end") {
      this.ended = true;
      this.behind = false;
      return;
    }
    if (item.kind === "behind") {
      this.behind = item.now;
      return;
    }
    if (item.kind === "missed") {
      if (item.what === "packets") this.missed += item.count;
      else if (item.what === "connections") this.missedConnections += item.count;
      else this.troubles.push(`${item.why}${item.count > 1 ? ` (${item.count})` : ""}`);
      return;
    }
    if (item.t > this.end) this.end = item.t;
    if (item.t < this.begin) this.begin = item.t;
    switch (item.kind) {
      case "packet":
        return this.#addPacket(item);
      case "event":
        insert(this.events, item);
        if (typeof item.master === "boolean") this.#takeRole(item);
        if (item.connection) {
          const connection = this.#connection(item.connection, item.t);
          insert(connection.events, item);
          if (item.state && this.#forwards(item.host)) insert(connection.states, item);
          if (item.server) connection.server = item.server;
        }
        return undefined;
      case "tables":
        insert(this.tables, item);
        if (!this.tablesOf.has(item.host || "")) this.tablesOf.set(item.host || "", []);
        return insert(this.tablesOf.get(item.host || ""), item);
      case "scheduler":
        insert(this.choices, item);
        if (item.connection) insert(this.#connection(item.connection, item.t).choices, item);
        return undefined;
      case "links":
        return insert(this.links, item);
      case "neighbours":
        return this.#know(item);
      case "finding":
        return insert(this.findings, item);
      case "report":
        return insert(this.reports, item);
      default:
        return undefined; // a later version's
    }
  }

  #addPacket(packet) {
    insert(this.packets, packet);
    if (packet.arp || packet.neighbour) this.#learn(packet);
    const connection = this.#connection(packet.connection || group(packet), packet.t);
    connection.packets += 1;
    connection.steps = null;
    let walk = packet.walk === null || packet.walk === undefined ? null : this.walks.get(packet.walk);
    if (!walk) {
      walk = { connection, packets: [], t: packet.t, direction: packet.direction || null };
      if (packet.walk !== null && packet.walk !== undefined) this.walks.set(packet.walk, walk);
      insert(connection.walks, walk);
    }
    const hops = walk.packets;
    let place = hops.length;
    while (place > 0 && (hops[place - 1].hop ?? -1) > (packet.hop ?? -1)) place -= 1;
    hops.splice(place, 0, packet);
  }

  // A captured ARP reply or neighbour advertisement for a VIP shows the receiving host's neighbour entry from
  // then on. An unsolicited one changes an existing entry only.
  #learn({ host, interface: name, t, id, frame, arp, neighbour }) {
    if (this.document.hidden) return; // an exercise
    const [ip, mac] = arp ? [arp.sender_ip, arp.sender_mac] : [neighbour.target, neighbour.mac];
    if (!frame || !mac || !this.document.vips.includes(ip)) return;
    const port = this.hosts.get(host)?.interfaces.find((candidate) => candidate.name === name);
    if (!port || frame.src === port.mac) return;
    const answers = port.mac === frame.dst && (arp ? arp.op === "reply" : neighbour.op === "advertisement");
    const held = latest(this.neighbours.get(host) || [], t)?.entries.some((entry) => entry.ip === ip);
    if (!answers && !(held && (arp || neighbour.op === "advertisement"))) return;
    this.#know({ id, t, kind: "neighbours", host, entries: [{ ip, mac }], learnt: true });
  }

  // ---- two directors ----

  #takeRole(item) {
    const host = item.host || "";
    if (!this.roles.has(host)) this.roles.set(host, []);
    insert(this.roles.get(host), item);
    if (item.master) this.masters.add(host);
    else this.masters.delete(host);
  }

  // Whether that director forwards, according to the roles that the directors report.
  #forwards(host) {
    return !host || !this.masters.size || this.masters.has(host);
  }

  // The directors that have reported a role or tables, in order of name.
  get directors() {
    return [...new Set([...this.tablesOf.keys(), ...this.roles.keys()])].sort();
  }

  // The role that a director last reported: {master, t}; null if it is alone, or has reported none yet.
  roleOf(host, t) {
    return latest(this.roles.get(host) || [], t);
  }

  // The same in words; "" if there is none.
  roleWords(host, t) {
    const role = this.roleOf(host, t);
    return role ? `${role.master ? "master" : "backup"} (reported at ${role.t.toFixed(3)} s)` : "";
  }

  // The tables of the director that forwards: of several masters, the latest to become one.
  tablesAt(t) {
    const masters = [...this.tablesOf.keys()].filter((host) => this.roleOf(host, t)?.master);
    if (!masters.length) return latest(this.tables, t);
    masters.sort((a, b) => this.roleOf(b, t).t - this.roleOf(a, t).t);
    return latest(this.tablesOf.get(masters[0]), t);
  }

  // A text whose IPv6 addresses are shortened by the run's common prefix.
  fold(text) {
    return this.prefix ? String(text).split(this.prefix).join("…") : text;
  }

  #know(item) {
    const { host } = item;
    if (!this.neighbours.has(host)) this.neighbours.set(host, []);
    insert(this.neighbours.get(host), item);
  }

  #connection(key, t) {
    let connection = this.connections.get(key);
    if (!connection) {
      const [protocol, client, virtual] = key.split(" ");
      connection = {
        key, protocol, client, virtual, served: /^\w+ \S+:\d+ \S+:\d+$/.test(key), server: null, first: t, packets: 0,
        walks: [], events: [], states: [], choices: [], steps: null,
      };
      this.connections.set(key, connection);
    }
    return connection;
  }

  // All hops of all packets of a connection, in stepping order.
  steps(connection) {
    if (!connection.steps) {
      connection.steps = connection.walks.flatMap((walk, packet) =>
        walk.packets.map((sighting, hop) => ({ t: sighting.t, sighting, walk, packet, hop })),
      );
    }
    return connection.steps;
  }

  // The name of the real server at "ADDRESS:PORT", or null.
  serverName(server) {
    const address = server.replace(/:\d+$/, "").replace(/^\[|\]$/g, "");
    return this.servers.get(address) || null;
  }

  labelOf(server) {
    const name = this.serverName(server);
    return name ? `${name} (${server})` : server;
  }

  stateOf(connection, t) {
    const event = latest(connection.states, t);
    if (event) return event.state;
    const entry = this.entryOf(connection, t);
    return entry ? entry.state : null;
  }

  // The connection's entry in the director's table at time t, or null.
  entryOf(connection, t) {
    const tables = this.tablesAt(t);
    if (!tables) return null;
    if (this.indexed !== tables) {
      this.indexed = tables;
      this.entries = new Map(tables.connections.map((entry) => [entry.key, entry]));
    }
    return this.entries.get(connection.key) || null;
  }
}

function group(packet) {
  if (packet.arp) return `ARP ${packet.arp.op === "request" ? packet.arp.target_ip : packet.arp.sender_ip}`;
  if (packet.neighbour) return `Neighbour discovery ${packet.neighbour.target}`;
  if (packet.l4?.kind && packet.ip) return `${packet.l4.protocol} ${packet.l4.kind}`;
  return "Other packets";
}

// The first two groups of most IPv6 addresses of a run, such as "2001:db8:"; "" if no two share them.
function commonPrefix(document) {
  const addresses = [
    ...document.vips,
    ...document.hosts.flatMap((host) => host.interfaces.flatMap((port) => port.addresses)),
  ].filter((address) => /^2[0-9a-f]{3}:/.test(address));
  const starts = new Map();
  for (const address of addresses) {
    const [first, second] = address.split(":");
    if (second) starts.set(`${first}:${second}:`, (starts.get(`${first}:${second}:`) || 0) + 1);
  }
  const [prefix, count] = [...starts].sort((a, b) => b[1] - a[1])[0] || ["", 0];
  return count > 1 ? prefix : "";
}

// Insert into `list`, which is ordered by t; items arrive nearly in order.
function insert(list, item) {
  let place = list.length;
  while (place > 0 && list[place - 1].t > item.t) place -= 1;
  if (place === list.length) list.push(item);
  else list.splice(place, 0, item);
}

// The number of items in `list` that are not later than t.
export function countUntil(list, t) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (list[middle].t <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function latest(list, t) {
  const count = countUntil(list, t);
  return count ? list[count - 1] : null;
}
