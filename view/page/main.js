// The page: assembles its parts, advances the time, and draws what has changed once per frame.

import { find, make, seconds, setText } from "./dom.js";
import { Act } from "./act.js";
import { Checks, Events, freshness, Hosts } from "./events.js";
import { bindKeys } from "./keys.js";
import { Network } from "./network.js";
import { HOP_BY_HOP, Player } from "./player.js";
import { openRun } from "./source.js";
import { countUntil, Store } from "./store.js";
import { States, Tables } from "./tables.js";
import { firstToShow, sentence, Walk } from "./walk.js";
import { Why } from "./why.js";

const TITLES = {
  nat: "VS-NAT: network address translation", tun: "VS-TUN: IP tunnelling", dr: "VS-DR: direct routing", ha: "High availability",
};
const SPEEDS = [[HOP_BY_HOP, "hop by hop"], [0.001, "1/1000"], [0.01, "1/100"], [0.1, "1/10"], [1, "real time"], [10, "10 times"]];
const BINS = 240; // bars in the histogram of packets over time
const ADDRESS_EVERY = 400; // ms
const REDRAW_EVERY = 66; // ms while time runs: faster is not readable

class Page {
  constructor(run) {
    this.store = new Store(run);
    this.player = new Player(this.store, () => this.plan());
    this.planned = false;
    this.before = 0;
    this.addressed = 0;
    this.drawn = -Infinity;
    this.lost = false; // whether the connection to the server is lost
    this.fresh = true; // until the user selects an instant
    this.heading(run);
    this.incomplete();
    this.network = new Network(find("network"), this.player, { openHost: (host) => this.openHost(host) });
    const panel = (name) => find(`panel-${name}`);
    this.walk = new Walk(panel("packet"), this.player);
    this.hosts = new Hosts(panel("hosts"), this.player);
    this.panels = {
      packet: this.walk,
      why: new Why(panel("why"), this.player),
      tables: new Tables(panel("tables"), this.player),
      states: new States(panel("states"), this.player),
      events: new Events(panel("events"), this.player),
      hosts: this.hosts,
      checks: new Checks(panel("checks"), this.player),
      act: new Act(panel("act"), run, (text) => this.say(text)),
    };
    if (run.view_only || !run.live || !(run.actions || []).length) find("tab-act").hidden = true;
    this.tabs = [...document.querySelectorAll("[role=tab]")]; // hidden ones too
    this.open("packet");
    this.controls();
    this.keys();
    if (location.hash.length > 1) this.take(location.hash);
    window.addEventListener("hashchange", () => {
      if (location.hash.slice(1) !== this.written) this.take(location.hash);
    });
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.plan());
  }

  heading(run) {
    const title = TITLES[run.lab] || run.lab;
    document.title = `${run.name}: ${title}`;
    setText(find("title"), title);
    const exercise = run.exercise ? `, exercise ${run.exercise}` : "";
    setText(find("about"), `${run.name}${exercise}, engine ${run.engine}, scheduler ${run.scheduler}`);
    setText(find("hidden"), run.hidden || "");
    find("hidden").hidden = !run.hidden;
  }

  incomplete() {
    const { document: run, troubles } = this.store;
    const text = [run.incomplete, ...troubles.map((trouble) => `${trouble}.`)].filter(Boolean).join(" ");
    if (find("incomplete").textContent === text) return;
    setText(find("incomplete"), text);
    find("incomplete").hidden = !text;
  }

  // ---- items and frames ----

  take(hash) {
    const parts = new URLSearchParams(hash.replace(/^#/, ""));
    this.fresh = false;
    if (parts.has("view") && this.panels[parts.get("view")]) this.open(parts.get("view"));
    this.player.goTo(parts);
    this.plan();
  }

  arrived(items) {
    this.store.add(items);
    this.incomplete();
    if (this.fresh && !this.store.document.live && !this.player.connection) {
      const first = this.store.ended || this.store.events.length > 20 ? firstToShow(this.store) : null;
      if (first) this.player.choose(first.key);
    }
    this.player.arrived();
    this.plan();
  }

  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    this.planned = false;
    const passed = this.before ? Math.min((now - this.before) / 1000, 0.25) : 0;
    this.player.tick(passed);
    this.before = this.player.playing ? now : 0;
    const flowing = this.player.following || (this.player.playing && this.player.speed !== HOP_BY_HOP);
    if (!flowing || now - this.drawn >= REDRAW_EVERY) {
      this.drawn = now;
      this.network.update();
      this.panels[this.shown].update();
      this.transport();
    } else if (!this.player.playing) this.plan();
    this.network.dots();
    if (now - this.addressed > ADDRESS_EVERY) this.address(now);
    else if (!this.addressing) this.addressing = setTimeout(() => { this.addressing = 0; this.address(performance.now()); }, ADDRESS_EVERY);
    if (this.player.playing) this.plan();
  }

  address(now) {
    this.addressed = now;
    if (this.player.wanted || (this.fresh && this.player.following)) return;
    const parts = this.player.address();
    if (this.shown !== "packet") parts.set("view", this.shown);
    const text = parts.toString();
    if (text === this.written) return;
    this.written = text;
    try {
      history.replaceState(null, "", `#${text}`);
    } catch {
      // too frequent, or not allowed here: the button “Copy link” still gives the address
    }
  }

  say(text) {
    setText(find("status"), text);
  }

  // ---- time ----

  controls() {
    const { player } = this;
    const on = (id, run) => find(id).addEventListener("click", () => { this.touched(); run(); });
    on("start", () => player.setTime(this.store.begin));
    on("back", () => this.step(-1));
    on("play", () => player.play());
    on("forward", () => this.step(1));
    on("end", () => (this.store.document.live ? player.follow() : player.setTime(this.store.end)));
    on("live", () => player.follow());
    on("copy", () => this.copy());
    on("theme", () => this.theme());
    on("keys", () => find("help").showModal());
    find("live").hidden = !this.store.document.live;
    const speed = find("speed");
    speed.append(...SPEEDS.map(([value, text]) => make("option", { value: String(value), selected: value === player.speed }, text)));
    speed.addEventListener("change", () => {
      player.speed = speed.value === HOP_BY_HOP ? HOP_BY_HOP : Number(speed.value);
      this.plan();
    });
    find("scrub").addEventListener("input", (event) => {
      this.touched();
      player.setTime(Number(event.target.value));
    });
    for (const tab of this.tabs) {
      tab.addEventListener("click", () => this.open(tab.id.slice(4)));
      tab.addEventListener("keydown", (event) => this.tabKey(event));
    }
    const kept = recall("theme");
    if (kept) document.documentElement.dataset.theme = kept;
  }

  touched() {
    this.fresh = false;
  }

  step(count) {
    this.touched();
    this.player.playing = false;
    this.player.stepBy(count);
    this.announce();
  }

  packet(count) {
    this.touched();
    this.player.playing = false;
    this.player.packetBy(count);
    this.announce();
  }

  announce() {
    const { current } = this.player;
    if (!current) return;
    const { walk, hop, sighting, packet } = current;
    this.say(`Packet ${packet + 1}, hop ${hop + 1} of ${walk.packets.length}, ${sighting.interface}. ${sentence(this.store, walk, hop)}`);
  }

  transport() {
    const { player, store } = this;
    const scrub = find("scrub");
    if (scrub.max !== String(store.end)) scrub.max = String(store.end);
    if (scrub.min !== String(store.begin)) scrub.min = String(store.begin);
    scrub.value = String(player.t);
    scrub.setAttribute("aria-valuetext", `${player.t.toFixed(3)} of ${store.end.toFixed(3)} seconds`);
    setText(find("time"), seconds(player.t));
    setText(find("of"), `of ${seconds(store.end)}${missed(store)}`);
    const playing = player.playing;
    setText(find("play"), playing ? "❚❚ Pause" : "▶ Play");
    const live = store.document.live && !store.ended;
    const reading = !store.version || store.behind;
    setText(find("mode"), this.lost ? "connection lost" : reading ? "reading …" : player.following ? "● live" : live ? `paused, ${freshness(store, player)}` : store.document.live ? "ended" : "replay");
    find("mode").className = player.following && !this.lost && !reading ? "mode live" : "mode";
    find("live").hidden = !store.document.live || player.following;
    if (store.version !== this.binned) this.histogram();
  }

  histogram() {
    const { store } = this;
    const now = performance.now();
    if (this.binnedAt && now - this.binnedAt < 500 && !store.ended) return;
    this.binnedAt = now;
    this.binned = store.version;
    const { packets, begin, end } = store;
    const edge = (bin) => begin + ((end - begin) * bin) / BINS;
    const counts = Array.from({ length: BINS }, (_, bin) => {
      const from = countUntil(packets, edge(bin));
      return countUntil(packets, edge(bin + 1)) - from;
    });
    const most = Math.log1p(Math.max(1, ...counts));
    const d = counts.map((count, bin) => (count ? `M${bin + 0.5} 20V${(20 - (19 * Math.log1p(count)) / most).toFixed(1)}` : "")).join("");
    find("bars").setAttribute("d", d);
    find("tab-checks").hidden = !store.reports.length;
    setText(find("found"), store.findings.length ? ` (${store.findings.length} findings)` : "");
  }

  async copy() {
    this.address(performance.now());
    const link = location.href;
    try {
      await navigator.clipboard.writeText(link);
      this.say("The link to this instant is copied.");
    } catch {
      this.say(`The link to this instant: ${link}`);
    }
    setText(find("copied"), "copied");
    setTimeout(() => setText(find("copied"), ""), 2000);
  }

  theme() {
    const root = document.documentElement;
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remember("theme", root.dataset.theme);
  }

  // ---- panels ----

  open(name, focus = false) {
    this.shown = name;
    for (const tab of this.tabs) {
      const own = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(own));
      tab.tabIndex = own ? 0 : -1;
      find(`panel-${tab.id.slice(4)}`).hidden = !own;
      if (own && focus) tab.focus();
    }
    this.plan();
  }

  openHost(host) {
    this.open("hosts");
    this.hosts.show(host);
    this.say(`${host}: its interfaces are in the panel below.`);
  }

  tabKey(event) {
    const shown = this.tabs.filter((tab) => !tab.hidden);
    const at = shown.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: shown.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.open(shown[(to + shown.length) % shown.length].id.slice(4), true);
  }

  keys() {
    const { player } = this;
    const names = Object.keys(this.panels);
    const faster = (count) => {
      const speed = find("speed");
      speed.selectedIndex = Math.min(Math.max(speed.selectedIndex + count, 0), speed.options.length - 1);
      speed.dispatchEvent(new Event("change"));
      this.say(`Speed: ${speed.selectedOptions[0].text}`);
    };
    bindKeys([
      [[" "], ["Space"], "play or pause", () => { this.touched(); player.play(); }],
      [["ArrowRight"], ["→"], "next hop", () => this.step(1)],
      [["ArrowLeft"], ["←"], "previous hop", () => this.step(-1)],
      [["Shift+ArrowRight", "n"], ["Shift →", "n"], "next packet of the connection", () => this.packet(1)],
      [["Shift+ArrowLeft", "p"], ["Shift ←", "p"], "previous packet", () => this.packet(-1)],
      [["Home"], ["Home"], "go to the start", () => { this.touched(); player.setTime(this.store.begin); }],
      [["End"], ["End"], "go to the end, or live", () => { this.touched(); find("end").click(); }],
      [["+", "="], ["+"], "faster", () => faster(1)],
      [["-"], ["-"], "slower", () => faster(-1)],
      [["c"], ["c"], "select a connection (then ↑ and ↓)", () => { this.open("packet"); this.walk.focusList(); }],
      [["w"], ["w"], "watch the newest connection", () => { this.touched(); this.open("packet"); this.walk.newest(); }],
      [["f"], ["f"], "filter the connections", () => { this.open("packet"); this.walk.focusFilter(); }],
      [names.map((_, index) => String(index + 1)), ["1 to 8"], "open a panel: packet, why, tables, states, events, hosts, checks, act", () => {}],
      [["l"], ["l"], "copy a link to this instant", () => this.copy()],
      [["d"], ["d"], "switch between dark and light", () => this.theme()],
      [["?"], ["?"], "show this list", () => find("help").showModal()],
    ]);
    document.addEventListener("keydown", (event) => {
      const tab = names[Number(event.key) - 1];
      if (!tab || event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input:not([type=range]), select")) return;
      if (!find("keys-on").checked || find("help").open || find(`tab-${tab}`).hidden) return;
      this.open(tab, true);
    });
  }
}

// What sampling has skipped, in words.
function missed({ missed: packets, missedConnections: connections }) {
  const parts = [packets && `${packets} packets`, connections && `the events of ${connections} connections`].filter(Boolean);
  return parts.length ? `, not shown: ${parts.join(" and ")} (sampled)` : "";
}

function recall(name) {
  try {
    return localStorage.getItem(`lvs-lab ${name}`);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(`lvs-lab ${name}`, value);
  } catch {
    // private windows and local files may have no storage
  }
}

async function begin() {
  let page = null;
  const early = [];
  const take = (items) => (page ? page.arrived(items) : early.push(...items));
  const trouble = (text) => {
    find("trouble").hidden = !text;
    setText(find("trouble"), text || "");
    if (!page) return;
    page.lost = Boolean(text);
    page.plan();
  };
  try {
    const run = await openRun(take, trouble);
    page = new Page(run);
    window.page = page; // for the console, and for tests
    if (early.length) page.arrived(early);
    page.plan();
  } catch (error) {
    trouble(`The page cannot show this run: ${error.message}`);
  }
}

begin();
