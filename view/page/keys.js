// The keyboard: every key has a button that does the same. `?` lists them.

import { find, make } from "./dom.js";

// Each action: [keys, their names in the help, what they do, function].
export function bindKeys(actions) {
  const byKey = new Map(actions.flatMap(([keys, , , run]) => keys.map((key) => [key, run])));
  let on = true;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented || !on) return;
    const { target } = event;
    if (target.matches("input:not([type=range]):not([type=checkbox]), select, textarea") || find("help").open) return;
    if (event.key === " " && target.matches("button, summary, [role=button], [role=tab], input")) return;
    if (event.key.startsWith("Arrow") && target.matches("[role=tab], .scroll, input")) return;
    if (["ArrowUp", "ArrowDown"].includes(event.key) && target.matches("[role=listbox]")) return;
    if (["Home", "End"].includes(event.key) && target.matches("[role=listbox], input, [role=tab]")) return;
    const run = byKey.get(event.shiftKey && event.key.startsWith("Arrow") ? `Shift+${event.key}` : event.key);
    if (!run) return;
    event.preventDefault();
    run();
  });
  const help = find("help");
  const toggle = make("input", { type: "checkbox", id: "keys-on", checked: true, onchange: (event) => { on = event.target.checked; } });
  help.append(
    make("h2", { id: "help-title" }, "Keys"),
    make("table", null, make("caption", { class: "hidden" }, "Keys and what they do"),
      make("thead", null, make("tr", null, make("th", { scope: "col" }, "key"), make("th", { scope: "col" }, "does"))),
      make("tbody", null, actions.map(([, shown, text]) =>
        make("tr", null, make("th", { scope: "row" }, shown.map((key) => make("kbd", null, key))), make("td", null, text))))),
    make("p", { class: "buttons" }, toggle, make("label", { for: "keys-on" }, "Use single-key shortcuts (Tab, Enter and the arrows within a list always work)")),
    make("button", { type: "button", class: "primary", onclick: () => help.close() }, "Close"),
  );
}
