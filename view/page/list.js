// A list that creates only its visible rows, so that 100,000 cost as much as 30. To the keyboard and to screen
// readers it is a listbox.

import { make } from "./dom.js";

let lists = 0;

export class VirtualList {
  // write(row, item) fills a row's element; choose(item) is called on Enter, a click or an arrow key.
  constructor({ label, height, write, choose }) {
    this.id = `list${(lists += 1)}`;
    this.height = height;
    this.write = write;
    this.choose = choose;
    this.items = [];
    this.chosen = -1;
    this.rows = new Map(); // index -> element
    this.spare = [];
    this.inner = make("div", {
      class: "inner", role: "listbox", tabindex: "0", "aria-label": label,
      onkeydown: (event) => this.#key(event),
      onclick: (event) => this.#click(event),
    });
    this.element = make("div", { class: "list", onscroll: () => this.#show() }, this.inner);
    new ResizeObserver(() => this.#show()).observe(this.element);
  }

  // `items` may be the same list after it has grown.
  set(items, chosen = -1) {
    const changed = items !== this.items;
    this.items = items;
    this.element.hidden = !items.length;
    if (changed || items.length !== this.length) {
      this.length = items.length;
      this.inner.style.height = `${items.length * this.height}px`;
    }
    if (changed) for (const [index] of this.rows) this.#free(index);
    if (chosen !== this.chosen) {
      this.chosen = chosen;
      this.#reveal();
      for (const [index, row] of this.rows) row.setAttribute("aria-selected", String(index === chosen));
    }
    this.#show();
    this.#active();
  }

  focus() {
    this.inner.focus({ preventScroll: true });
  }

  rewrite() {
    for (const [index, row] of this.rows) this.#write(row, index);
  }

  #reveal() {
    if (this.chosen < 0) return;
    const { scrollTop, clientHeight } = this.element;
    const top = this.chosen * this.height;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
  }

  #show() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - 4);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / this.height) + 4);
    for (const [index] of this.rows) if (index < first || index >= last) this.#free(index);
    for (let index = first; index < last; index += 1) {
      if (this.rows.has(index)) continue;
      const row = this.spare.pop() || make("div", { role: "option" });
      row.id = `${this.id}-${index}`;
      row.style.transform = `translateY(${index * this.height}px)`;
      row.setAttribute("aria-posinset", index + 1);
      row.setAttribute("aria-selected", String(index === this.chosen));
      this.#write(row, index);
      this.rows.set(index, row);
      this.inner.append(row);
    }
    for (const row of this.rows.values()) row.setAttribute("aria-setsize", this.items.length);
  }

  #write(row, index) {
    row.replaceChildren();
    row.className = "row";
    this.write(row, this.items[index], index);
  }

  #free(index) {
    const row = this.rows.get(index);
    this.rows.delete(index);
    row.remove();
    this.spare.push(row);
  }

  #active() {
    if (this.rows.has(this.chosen)) this.inner.setAttribute("aria-activedescendant", `${this.id}-${this.chosen}`);
    else this.inner.removeAttribute("aria-activedescendant");
  }

  #click(event) {
    const row = event.target.closest("[role=option]");
    if (!row) return;
    const index = Number(row.id.split("-")[1]);
    this.choose(this.items[index], index);
  }

  #key(event) {
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.height) - 1);
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (!(event.key in moves) || event.ctrlKey || event.altKey || event.metaKey || !this.items.length) return;
    event.preventDefault();
    event.stopPropagation();
    const from = this.chosen < 0 && moves[event.key] > 0 ? -1 : Math.max(this.chosen, 0);
    const to = Math.min(Math.max(from + moves[event.key], 0), this.items.length - 1);
    this.choose(this.items[to], to);
  }
}
