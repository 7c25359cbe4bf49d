// A button for each command that the page can run, with the command's text next to it.

import { make } from "./dom.js";
import { act } from "./source.js";

export class Act {
  constructor(panel, run, say) {
    panel.append(
      make("p", { class: "hint" }, "Each button runs the command beside it; you can type the same at the lab's prompt."),
      make("div", { class: "actions" }, (run.actions || []).map((action) => form(action, say))),
    );
  }

  update() {}
}

function form(action, say) {
  const fields = (action.arguments || []).map((argument) => {
    const id = `act-${action.name}-${argument.name}`;
    const input = argument.choices
      ? make("select", { id, name: argument.name }, argument.choices.map((choice) => make("option", { value: choice, selected: String(choice) === String(argument.default) }, String(choice))))
      : make("input", { id, name: argument.name, value: argument.default ?? "", size: 8 });
    return make("span", { class: "field" }, make("label", { for: id }, argument.name), input);
  });
  const command = make("code");
  const output = make("output", { class: "output" });
  const button = make("button", { type: "submit", class: "primary" }, action.label);
  const values = () => Object.fromEntries(new FormData(element));
  const show = () => {
    const filled = values();
    command.textContent = (action.command || "").replace(/\{(\w+)\}/g, (all, name) => filled[name] ?? all);
  };
  const run = async (event) => {
    event.preventDefault();
    button.disabled = true;
    output.replaceChildren(make("p", { class: "hint" }, "running ..."));
    try {
      const answer = await act(action.name, values());
      output.replaceChildren(
        make("p", null, make("code", null, `$ ${answer.command}`), answer.code ? make("strong", { class: "failed" }, ` exit code ${answer.code}`) : ""),
        make("pre", { tabindex: "0", "aria-label": "Output" }, answer.output || "(no output)"));
      say(`${action.label}: ${answer.code ? `exit code ${answer.code}` : "done"}`);
    } catch (error) {
      output.replaceChildren(make("p", { class: "failed" }, error.message));
      say(error.message);
    }
    button.disabled = false;
    button.focus();
  };
  const element = make("form", { class: "action", onsubmit: run, oninput: show }, make("div", { class: "buttons" }, button, fields, command), output);
  show();
  return element;
}
