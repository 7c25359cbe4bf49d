// What is known of the run: its document, and its items in the order of their time. The same for a lab
// that runs, a run's folder and a single file.

export class Store {
  constructor(document) {
    this.document = document;
    this.version = 0; // counts changes
    this.lastId = 0;
    this.begin = 0; // seconds: the times of the first item and of the latest
    this.end = 0;
    this.ended = false;
    this.missed = 0;
    this.connections = new Map(); // key -> Connection
    this.walks = new Map(); // id -> Walk
    this.packets = [];
    this.events = [];
    this.tables = [];
    this.choices = []; // of schedulers
    this.links = [];
    this.findings = [];
    this.reports = [];
    this.neighbours = new Map(); // host -> items
    this.hosts = new Map(document.hosts.map((host) => [host.name, host]));
    this.macs = new Map();
    for (const host of document.hosts) {
      for (const port of host.interfaces) if (port.mac) this.macs.set(port.mac, port.name);
    }
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
      return;
    }
    if (item.kind === "missed") {
      this.missed += item.count;
      return;
    }
    if (item.t > this.end) this.end = item.t;
    if (item.t < this.begin) this.begin = item.t;
    switch (item.kind) {
      case "packet":
        return this.#addPacket(item);
      case "event":
        insert(this.events, item);
        if (item.connection) {
          const connection = this.#connection(item.connection, item.t);
          insert(connection.events, item);
          if (item.state) insert(connection.states, item);
          if (item.server) connection.server = item.server;
        }
        return undefined;
      case "tables":
        return insert(this.tables, item);
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
        return undefined; // of a later version
    }
  }

  #addPacket(packet) {
    insert(this.packets, packet);
    if (packet.arp) this.#learn(packet);
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

  // A captured ARP reply for a VIP tells what the host that receives it holds from then on.
  #learn({ host, interface: name, t, id, frame, arp }) {
    if (arp.op !== "reply" || !this.document.vips.includes(arp.sender_ip) || !frame) return;
    const port = this.hosts.get(host)?.interfaces.find((one) => one.name === name);
    if (!port || port.mac !== frame.dst) return;
    this.#know({ id, t, kind: "neighbours", host, entries: [{ ip: arp.sender_ip, mac: arp.sender_mac }], learnt: true });
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
        key, protocol, client, virtual, server: null, first: t, packets: 0,
        walks: [], events: [], states: [], choices: [], steps: null,
      };
      this.connections.set(key, connection);
    }
    return connection;
  }

  // All hops of all packets of a connection, in the order in which they are stepped through.
  steps(connection) {
    if (!connection.steps) {
      connection.steps = connection.walks.flatMap((walk, packet) =>
        walk.packets.map((sighting, hop) => ({ t: sighting.t, sighting, walk, packet, hop })),
      );
    }
    return connection.steps;
  }

  // The name of a real server for its "ADDRESS:PORT", with the port where the name alone is not enough.
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

  // The connection's entry in the director's table at that time, or null.
  entryOf(connection, t) {
    const tables = latest(this.tables, t);
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
  return "Other packets";
}

// Keeps `list` ordered by t; items come nearly in order.
function insert(list, item) {
  let place = list.length;
  while (place > 0 && list[place - 1].t > item.t) place -= 1;
  if (place === list.length) list.push(item);
  else list.splice(place, 0, item);
}

// How many items of `list` are not later than t.
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
