// The source of the run and its items: elements of this page (the single file), or the server.

const AT_A_TIME = 1000; // items added between two frames

// Returns the run document. Calls `take` with lists of items as they arrive, `say` with an error or null.
export async function openRun(take, say) {
  const embedded = document.getElementById("run");
  if (embedded) {
    readLines(document.getElementById("items").textContent, take);
    return JSON.parse(embedded.textContent);
  }
  const answer = await fetch("run");
  if (!answer.ok) throw new Error(`The server answered ${answer.status}: ${await answer.text()}`);
  const run = await answer.json();
  listen(take, say);
  return run;
}

// Parse a JSON list with one item per line in parts, so that the page stays responsive.
function readLines(text, take) {
  let at = 0;
  const next = () => {
    const items = [];
    while (items.length < AT_A_TIME && at < text.length) {
      let end = text.indexOf("\n", at);
      if (end === -1) end = text.length;
      const line = text.slice(at, end).trim().replace(/,$/, "");
      at = end + 1;
      if (line === "" || line === "[" || line === "]") continue;
      const parsed = JSON.parse(line);
      if (Array.isArray(parsed)) items.push(...parsed);
      else items.push(parsed);
    }
    if (items.length) take(items);
    if (at < text.length) setTimeout(next);
  };
  setTimeout(next);
}

function listen(take, say) {
  const waiting = [];
  let planned = false;
  const next = () => {
    const items = waiting.splice(0, AT_A_TIME);
    planned = waiting.length > 0;
    if (planned) setTimeout(next);
    take(items);
  };
  const queue = (items) => {
    for (const item of items) waiting.push(item);
    if (planned) return;
    planned = true;
    setTimeout(next);
  };
  let last = "";
  const connect = () => {
    const stream = new EventSource(last ? `items?after=${encodeURIComponent(last)}` : "items");
    stream.onopen = () => {
      say(null);
      queue([{ kind: "behind", now: false }]); // until the server says otherwise
    };
    stream.onmessage = (message) => {
      last = message.lastEventId || last;
      const items = JSON.parse(message.data);
      queue(items);
      if (items.some((item) => item.kind === "end")) stream.close();
    };
    stream.onerror = () => {
      say("Connection lost: the lab has ended, or the network is interrupted. The page shows what had arrived, and keeps trying to reconnect.");
      if (stream.readyState !== EventSource.CLOSED) return; // it reconnects by itself
      setTimeout(connect, 2000);
    };
  };
  connect();
}

export async function act(action, values, where = "act") {
  const answer = await fetch(where, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ action, arguments: values }),
  }).catch(() => {
    throw new Error("No answer: the server of this page has ended, or the network is interrupted.");
  });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}: ${(await answer.text()).slice(0, 500)}`);
  return answer.json();
}
