// Positions of hosts and switches: a tree from the clients on the left to the real servers on the right, one
// column for each hop, a switch as a vertical bar between its hosts. Computes numbers; draws nothing.

export const WIDTH = 178; // of a host
const GAP = 142; // least distance between columns of hosts: half of it holds the widest label of a path
const BETWEEN = 14; // boxes of a column
const MARGIN = 14;
const LEAST = 1166;
const LABEL = 120; // width of a switch's label
const FOLD = 8; // more real servers than this are folded into groups

export const ROW = 17; // a line of text in a box
const TITLE = 25;
const ROLES = ["director", "client", "router", "realserver"]; // order on a switch

// `open`: names of the groups to show in full; `pinned`: a real server that has a box of its own;
// `lines(host)`: how many lines of text a host's box has.
export function layOut(run, { open, pinned, lines }) {
  const hosts = run.hosts.filter((host) => host.role !== "switch");
  const ports = hosts.flatMap((host) =>
    host.interfaces.filter((port) => port.switch).map((port) => ({ host: host.name, port, switch: port.switch })),
  );
  const layers = distances(hosts, ports);
  const boxes = [...fold(hosts, ports, open, pinned), ...hosts.filter((host) => host.role !== "realserver").map(single)];
  for (const box of boxes) {
    box.height = TITLE + ROW * (box.host ? lines(box.host) : box.open ? box.members.length : 1) + 6;
    box.layer = Math.min(...box.members.map((name) => layers.get(name) ?? 0));
  }
  const boxOf = new Map(boxes.flatMap((box) => box.members.map((name) => [name, box])));
  const columns = [...new Set(boxes.map((box) => box.layer))].sort((a, b) => a - b);
  const bars = new Map();
  for (const { name, network } of run.switches) {
    const attached = [...new Set(ports.filter((entry) => entry.switch === name).map((entry) => boxOf.get(entry.host)))];
    if (attached.length) bars.set(name, { name, network, attached, layer: layers.get(name) ?? 1, depth: 0 });
  }
  const beyond = [...bars.values()].some((bar) => attachedBefore(bar) === columns.at(-1)) ? 1 : 0; // two directors share one
  const left = LEAST - columns.length * WIDTH - 2 * MARGIN - beyond * (LABEL / 2 - MARGIN);
  const gap = Math.max(GAP, left / Math.max(columns.length - 1 + beyond / 2, 1));
  for (const box of boxes) box.x = MARGIN + columns.indexOf(box.layer) * (WIDTH + gap);
  const height = stack(boxes, bars, columns);
  for (const bar of bars.values()) {
    bar.x = MARGIN + columns.indexOf(attachedBefore(bar)) * (WIDTH + gap) + WIDTH + gap / 2;
    const ys = bar.attached.map((box) => box.y);
    bar.top = Math.min(...ys) - 30;
    bar.bottom = Math.max(...ys) + 20;
  }
  const stubs = new Map(); // name of an interface -> where its cable leaves the box, and where it ends
  for (const { host, port, switch: name } of ports) {
    const box = boxOf.get(host);
    const bar = bars.get(name);
    if (!bar) continue;
    const right = bar.x > box.x;
    stubs.set(port.name, {
      host, interface: port.name, switch: name, bar, box, right, y: box.y, edge: right ? box.x + WIDTH : box.x,
    });
  }
  for (const box of boxes) spread([...stubs.values()].filter((stub) => stub.box === box));
  const rightmost = Math.max(0, ...[...bars.values()].map((bar) => bar.x + LABEL / 2));
  const width = Math.max(MARGIN * 2 + columns.length * WIDTH + (columns.length - 1) * gap, rightmost);
  return { boxes, bars, stubs, boxOf, width, height };
}

function single(host) {
  return { name: host.name, members: [host.name], host, open: false };
}

function distances(hosts, ports) {
  const start = hosts.filter((host) => host.role === "client");
  const layers = new Map((start.length ? start : hosts.slice(0, 1)).map((host) => [host.name, 0]));
  const queue = [...layers.keys()];
  for (const name of queue) {
    for (const port of ports) {
      const other = port.host === name ? port.switch : port.switch === name ? port.host : null;
      if (other === null || layers.has(other)) continue;
      layers.set(other, layers.get(name) + 1);
      queue.push(other);
    }
  }
  return layers;
}

// Boxes for the real servers: one each, or groups of those on one switch.
function fold(hosts, ports, open, pinned) {
  const servers = hosts.filter((host) => host.role === "realserver");
  if (servers.length <= FOLD) return servers.map(single);
  const sites = new Map();
  for (const server of servers) {
    const place = (ports.find((port) => port.host === server.name) || {}).switch || "";
    if (!sites.has(place)) sites.set(place, []);
    sites.get(place).push(server);
  }
  const groups = Math.max(1, Math.floor(FOLD / sites.size));
  const boxes = [];
  for (const members of sites.values()) {
    const size = Math.max(5, Math.ceil(members.length / groups));
    for (let at = 0; at < members.length; at += size) {
      const part = members.slice(at, at + size);
      const names = part.map((host) => host.name);
      const name = span(names, sites.size > 1); // a group's key in `open`, the same whichever server is pinned
      const rest = part.filter((host) => host.name !== pinned);
      if (rest.length < part.length) boxes.push(single(part.find((host) => host.name === pinned)));
      if (rest.length) {
        const members = rest.map((host) => host.name);
        const title = span(members, sites.size > 1);
        const between = names.indexOf(pinned) > 0 && names[names.length - 1] !== pinned;
        boxes.push({ name, title, without: between ? pinned : null, members, hosts: rest, host: null, open: open.has(name) });
      }
    }
  }
  return boxes;
}

// A short label for consecutive names.
function span(names, alternate) {
  const between = alternate && names.length > 2 ? `, ${names[1]} ... ` : " to "; // servers alternate between sites
  return names.length > 1 ? `${names[0]}${between}${names[names.length - 1]}` : names[0];
}

function attachedBefore(bar) {
  return Math.min(...bar.attached.map((box) => box.layer));
}

// Vertical positions: a box is centred on what is attached behind it. Returns the total height.
function stack(boxes, bars, columns) {
  const order = (box) => ROLES.indexOf(box.host ? box.host.role : "realserver");
  const placed = new Set();
  const behind = (box) => {
    const found = [];
    for (const bar of bars.values()) {
      if (!bar.attached.includes(box) || bar.layer !== box.layer + 1 || placed.has(bar)) continue;
      placed.add(bar);
      found.push(...bar.attached.filter((other) => other !== box && other.layer > box.layer && !placed.has(other)));
    }
    for (const other of found) placed.add(other);
    return found.sort((a, b) => order(a) - order(b));
  };
  const tree = (box) => {
    const children = behind(box).map(tree);
    const needed = children.reduce((sum, child) => sum + child.size, 0) + BETWEEN * Math.max(children.length - 1, 0);
    return { box, children, needed, size: Math.max(box.height, needed) };
  };
  const put = (node, top) => {
    node.box.y = top + node.size / 2;
    let at = top + (node.size - node.needed) / 2;
    for (const child of node.children) {
      put(child, at);
      at += child.size + BETWEEN;
    }
  };
  const first = boxes.filter((box) => box.layer === columns[0]);
  for (const box of first) placed.add(box);
  // All clients share one switch, so what is behind it belongs to all of them.
  const [root] = first;
  const behindAll = root ? tree(root).children : [];
  const total = (parts, size) => parts.reduce((sum, part) => sum + size(part), 0) + BETWEEN * (parts.length - 1);
  const right = behindAll.length ? total(behindAll, (node) => node.size) : 0;
  const left = first.length ? total(first, (box) => box.height) : 0;
  const height = Math.max(left, right) + 2 * MARGIN + 40;
  let at = (height - right) / 2 + 12;
  for (const node of behindAll) {
    put(node, at);
    at += node.size + BETWEEN;
  }
  at = (height - left) / 2 + 12;
  for (const box of first) {
    box.y = at + box.height / 2;
    at += box.height + BETWEEN;
  }
  for (const box of boxes) if (box.y === undefined) box.y = height / 2; // attached to nothing
  return height;
}

// Spread several cables on one side of a box vertically.
function spread(stubs) {
  for (const right of [false, true]) {
    const side = stubs.filter((stub) => stub.right === right);
    if (side.length < 2 || new Set(side.map((stub) => stub.switch)).size < 2) continue;
    side.forEach((stub, place) => { stub.y = stub.box.y + (place - (side.length - 1) / 2) * 26; });
  }
}

// The path through these hosts, as legs from cable to cable: [{from, to}], the stubs at both ends.
export function legs(layout, hosts) {
  const result = [];
  for (let at = 0; at + 1 < hosts.length; at += 1) {
    const of = (name) => [...layout.stubs.values()].filter((stub) => stub.host === name);
    const leaving = of(hosts[at]);
    const arriving = of(hosts[at + 1]);
    const from = leaving.find((stub) => arriving.some((other) => other.switch === stub.switch));
    if (from) result.push({ from, to: arriving.find((other) => other.switch === from.switch) });
  }
  return result;
}

// A leg as SVG path data, `lane` pixels beside the cables.
export function legPath({ from, to }, lane) {
  const end = to.edge + (to.right ? 3 : -3);
  const x = from.bar.x + lane;
  return `M${from.edge} ${from.y + lane}H${x}V${to.y + lane}H${end}`;
}
