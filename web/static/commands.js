// Command cards: what was asked, how it stands, its output, exit code and duration.
import { span, clockOf } from "./times.js";

const SHOWN = 64 * 1024;
const list = document.getElementById("commands");
const nothing = document.getElementById("no-commands");
const cards = new Map();
const ghosts = new Map();
const words = { accepted: "waits", running: "running", finished: "", "not run": "not run", lost: "outcome unknown" };

const make = (tag, props = {}, ...inside) => {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...inside);
  return element;
};
export const plain = (text) => text.replace(/\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][\s\S]*?(?:\x07|\x1b\\|$)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "").replace(/\r\n/g, "\n");

function build(card, interrupt) {
  const line = make("code", { className: "line-text", textContent: card.line });
  const state = make("span", { className: "badge" });
  const stop = make("button", { type: "button", className: "btn sm", textContent: "Stop", hidden: true });
  const output = make("pre", { tabIndex: 0, hidden: true });
  output.setAttribute("role", "region");
  output.setAttribute("aria-label", `Output of ${card.line}`);
  const more = make("a", { className: "sub", textContent: "All output", hidden: true, target: "_blank", rel: "noopener" });
  const meta = make("span", { className: "sub" });
  const item = make("li", { className: "command" }, make("div", { className: "command-head" }, line, stop), make("div", { className: "command-state" }, state, meta, more), output);
  stop.addEventListener("click", () => interrupt(card.id));
  return { item, state, stop, output, more, meta, text: "", decoder: new TextDecoder(), card };
}

export function showCommand(card, interrupt) {
  for (const [ref, ghost] of ghosts) {
    if (ghost.dataset.line === card.line && !cards.has(card.id)) {
      ghost.remove();
      ghosts.delete(ref);
      break;
    }
  }
  let entry = cards.get(card.id);
  if (!entry) {
    entry = build(card, interrupt);
    cards.set(card.id, entry);
    list.append(entry.item);
    nothing.hidden = true;
    if (card.output) append(entry, card.output);
  }
  entry.card = { ...card, output: "" };
  const { state, exit_code: code, duration_ns: took } = card;
  entry.item.dataset.state = state;
  entry.state.textContent = state === "finished" ? (code === null ? "ended" : `exit ${code}`) : words[state];
  entry.state.className = `badge ${state === "finished" ? (code === 0 ? "ok" : "bad") : state === "running" ? "run" : state === "accepted" ? "" : "bad"}`;
  entry.stop.hidden = !(state === "running" || state === "accepted");
  entry.meta.textContent = [took === null ? "" : span(took / 1e9), card.by, clockOf(card.at), card.reason].filter(Boolean).join(" · ");
  entry.item.scrollIntoView({ block: "nearest" });
  return entry;
}

function append(entry, text) {
  if (entry.text.length >= SHOWN) return (entry.more.hidden = false);
  const near = entry.output.scrollTop + entry.output.clientHeight > entry.output.scrollHeight - 20;
  entry.text += plain(text).slice(0, SHOWN - entry.text.length);
  entry.output.textContent = entry.text;
  entry.output.hidden = !entry.text.trim();
  entry.more.href = `${location.pathname}/commands/${entry.card.id}/output`;
  if (near) entry.output.scrollTop = entry.output.scrollHeight;
}

// `bytes` of a command that has no card yet (seen again after a reload) are in the card's own text already.
export function addOutput(id, bytes) {
  const entry = cards.get(id);
  if (entry && !entry.complete) append(entry, entry.decoder.decode(bytes, { stream: true }));
}

// Cards that came with the page have their output; the socket repeats it for the terminal alone.
export function markComplete() {
  for (const entry of cards.values()) entry.complete = entry.card.state === "finished" || entry.card.state === "lost" || entry.card.state === "not run";
}

// Output that the socket sends again replaces what the page came with.
export function resetRunning() {
  for (const entry of cards.values()) if (!entry.complete) entry.text = "";
}

export const lineOf = (id) => cards.get(id)?.card.line ?? "";

export function ghost(ref, line) {
  const item = make("li", { className: "command ghost" }, make("div", { className: "command-head" }, make("code", { className: "line-text", textContent: line })), make("div", { className: "command-state sub", textContent: "is being recorded" }));
  item.dataset.line = line;
  ghosts.set(ref, item);
  list.append(item);
  nothing.hidden = true;
  item.scrollIntoView({ block: "nearest" });
}

export function dropGhost(ref) {
  const item = ghosts.get(ref);
  ghosts.delete(ref);
  item?.remove();
  nothing.hidden = Boolean(list.children.length);
  return item?.dataset.line ?? "";
}
