// For a teacher: all running exercises on this machine as tiles, the longest-running first, solved ones last.

import { draw, find, make, setText } from "./dom.js";
import { act } from "./source.js";

const EVERY = 3000; // ms
const STUCK = 20 * 60; // seconds
const diagnoses = new Map(); // run -> the doctor's findings, as nodes

async function refresh() {
  try {
    const answer = await fetch("../wall");
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    show(await answer.json());
    find("trouble").hidden = true;
  } catch (error) {
    find("trouble").hidden = false;
    setText(find("trouble"), `The list of exercises cannot be read: ${error.message}. Trying again.`);
  }
  setTimeout(refresh, EVERY);
}

function show(runs) {
  const now = Date.now() / 1000;
  const finished = (run) => run.checks > 0 && run.checks_passed === run.checks;
  const order = [...runs].sort((a, b) => finished(a) - finished(b) || a.since - b.since);
  const done = runs.filter(finished).length;
  setText(find("about"), runs.length ? `Running exercises: ${runs.length}, solved: ${done}` : "No exercise is running on this machine.");
  const focused = document.activeElement?.dataset.run;
  find("tiles").replaceChildren(...order.map((run) => tile(run, now, finished(run))));
  if (focused) document.querySelector(`[data-run="${CSS.escape(focused)}"]`)?.focus();
}

function tile(run, now, done) {
  const minutes = Math.max(0, Math.floor((now - run.since) / 60));
  const stuck = !done && now - run.since > STUCK;
  const share = run.checks ? run.checks_passed / run.checks : 0;
  return make("li", { class: `tile${done ? " done" : ""}${stuck ? " stuck" : ""}` },
    make("h2", null, make("span", null, run.user), make("span", null, run.exercise)),
    make("p", null, run.symptom || ""),
    draw("svg", { class: "meter", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
      draw("rect", { x: 0, y: 0, width: 100, height: 12 }), draw("rect", { class: "full", x: 0, y: 0, width: 100 * share, height: 12 })),
    make("p", null, `${run.checks_passed} of ${run.checks} checks${done ? ", ✓ solved" : ""}`),
    make("p", { class: "hint" }, `${minutes} min${stuck ? ", ! stuck?" : ""}, ${run.hints} hint${run.hints === 1 ? "" : "s"}`),
    run.has_doctor ? diagnosis(run) : null);
}

// The diagnosis appears only on a button, because students may see the teacher's screen.
function diagnosis(run) {
  const output = make("div", { role: "status" }, diagnoses.get(run.run) || []);
  const ask = async () => {
    if (diagnoses.delete(run.run)) return output.replaceChildren();
    output.replaceChildren("asking ...");
    let nodes;
    try {
      const { findings } = await act("doctor", { run: run.run }, "../act");
      nodes = findings.length
        ? [make("ul", null, findings.map(({ host, title, evidence }) => make("li", null, make("strong", null, `${host}: ${title}`), `: ${evidence}`)))]
        : [make("p", null, "The doctor found nothing wrong.")];
    } catch (error) {
      nodes = [make("p", { class: "failed" }, error.message)];
    }
    diagnoses.set(run.run, nodes);
    const shown = document.querySelector(`[data-run="${CSS.escape(run.run)}"]`)?.nextElementSibling || output;
    return shown.replaceChildren(...nodes);
  };
  return make("div", null,
    make("button", { type: "button", "data-run": run.run, "aria-label": `What is wrong with ${run.exercise} of ${run.user}?`, onclick: ask }, "What is wrong?"), output);
}

refresh();
