// The instant shown, and how it moves. Everything else is drawn from it.

import { countUntil } from "./store.js";

export const HOP_BY_HOP = "hops";
const SECONDS_PER_HOP = 1.1;

export class Player {
  constructor(store, changed) {
    this.store = store;
    this.changed = changed;
    this.t = 0;
    this.playing = false;
    this.speed = store.document.live ? 1 : HOP_BY_HOP;
    this.following = store.document.live; // shows the latest instant
    this.connection = null;
    this.step = -1; // index into the connection's steps; -1: before its first packet
    this.sinceHop = 0;
    this.wanted = null; // parts of a link whose connection has not arrived yet
  }

  get steps() {
    return this.connection ? this.store.steps(this.connection) : [];
  }

  get current() {
    return this.steps[this.step] || null;
  }

  // Called when items have arrived.
  arrived() {
    if (this.wanted) this.goTo(this.wanted);
    if (this.following) this.#move(this.store.end);
  }

  setTime(t) {
    this.following = false;
    this.wanted = null;
    this.#move(this.#within(t));
  }

  #within(t) {
    return Math.min(Math.max(t, this.store.begin), this.store.end);
  }

  #move(t) {
    this.t = t;
    this.step = stepAt(this.steps, t);
    this.changed();
  }

  choose(key, packet = 0, hop = 0) {
    const connection = this.store.connections.get(key);
    this.wanted = null;
    this.connection = connection || null;
    this.step = -1;
    if (!connection) return this.changed();
    const steps = this.steps;
    const index = steps.findIndex((step) => step.packet === packet && step.hop === hop);
    if (this.following) {
      this.step = stepAt(steps, this.t);
      return this.changed();
    }
    if (index >= 0) return this.goToStep(index);
    return this.#move(connection.first);
  }

  goToStep(index) {
    const step = this.steps[index];
    if (!step) return;
    this.following = false;
    this.step = index;
    this.t = step.t;
    this.sinceHop = 0;
    this.changed();
  }

  // Go `count` hops on or back; without a connection, `count` packets of the run.
  stepBy(count) {
    if (this.steps.length) {
      this.goToStep(Math.min(Math.max(this.step + count, 0), this.steps.length - 1));
      return;
    }
    const { packets } = this.store;
    if (!packets.length) return;
    const place = countUntil(packets, this.t) - 1 + count;
    this.setTime(packets[Math.min(Math.max(place, 0), packets.length - 1)].t);
  }

  // Go to the first hop of the connection's next packet, or of the previous one.
  packetBy(count) {
    const { current, steps } = this;
    if (!current) return this.stepBy(count);
    const goal = current.packet + (count < 0 && current.hop > 0 ? 0 : count);
    const index = steps.findIndex((step) => step.packet === goal && step.hop === 0);
    return index >= 0 ? this.goToStep(index) : undefined;
  }

  play(on = !this.playing) {
    this.playing = on;
    this.sinceHop = 0;
    if (on && !this.following && this.atEnd()) {
      if (this.speed === HOP_BY_HOP && this.steps.length) this.goToStep(0);
      else this.setTime(this.store.begin);
    }
    if (!on) this.following = false;
    this.changed();
  }

  follow() {
    this.following = true;
    this.playing = false;
    this.#move(this.store.end);
  }

  atEnd() {
    if (this.speed === HOP_BY_HOP && this.steps.length) return this.step >= this.steps.length - 1;
    return this.t >= this.store.end;
  }

  // Advance the time; `passed`: seconds since the last frame.
  tick(passed) {
    if (!this.playing || this.following) return;
    if (this.speed === HOP_BY_HOP) {
      this.sinceHop += passed;
      if (this.sinceHop < SECONDS_PER_HOP) return;
      this.sinceHop = 0;
      if (this.atEnd()) this.play(false);
      else this.stepBy(1);
      return;
    }
    const t = this.t + passed * this.speed;
    this.#move(Math.min(t, this.store.end));
    if (t >= this.store.end) {
      if (this.store.document.live && !this.store.ended) this.follow();
      else this.play(false);
    }
  }

  // ---- the link to an instant: #t=1.234567&connection=TCP ...&packet=1&hop=4 ----

  address() {
    const parts = new URLSearchParams();
    if (!this.following) parts.set("t", this.t.toFixed(6));
    if (this.connection) {
      parts.set("connection", this.connection.key);
      const { current } = this;
      if (current && !this.following) {
        parts.set("packet", current.packet + 1);
        parts.set("hop", current.hop + 1);
      }
    }
    return parts;
  }

  goTo(parts) {
    const key = parts.get("connection");
    const t = parts.get("t");
    if (key && !this.store.connections.has(key)) {
      this.wanted = parts;
      return;
    }
    if (t !== null || parts.has("hop")) this.following = false;
    this.connection = key ? this.store.connections.get(key) : null;
    if (key && parts.has("hop")) {
      const packet = Number(parts.get("packet") || 1) - 1;
      const hop = Number(parts.get("hop")) - 1;
      const index = this.steps.findIndex((step) => step.packet === packet && step.hop === hop);
      if (index === -1 && !this.store.ended) {
        this.wanted = parts;
        return;
      }
      this.wanted = null;
      if (index >= 0) {
        this.goToStep(index);
        return;
      }
    }
    if (t !== null && Number(t) > this.store.end && !this.store.ended) {
      this.wanted = parts;
      return;
    }
    this.wanted = null;
    if (t !== null && Number.isFinite(Number(t))) this.#move(this.#within(Number(t)));
    else this.#move(this.following ? this.store.end : this.connection ? this.connection.first : this.t);
  }
}

// The last step not later than t. Steps are only nearly in order of time, because packets overtake each other.
function stepAt(steps, t) {
  const rough = countUntil(steps, t);
  for (let at = Math.min(steps.length - 1, rough + 8); at >= 0; at -= 1) if (steps[at].t <= t) return at;
  return -1;
}
