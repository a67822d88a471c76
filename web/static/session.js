// The technician's session: one line that tells the truth, the terminal, the command box, files.
import { addOutput, dropGhost, ghost, lineOf, markComplete, resetRunning, showCommand } from "./commands.js";
import { connect } from "./socket.js";
import { makeTerminal } from "./terminal.js";
import { showTransfer, watchFiles } from "./transfers.js";
import { clockOf, digits } from "./times.js";
import { toast } from "./toasts.js";

const state = JSON.parse(document.getElementById("state").textContent);
const behind = Date.now() * 1000 - state.now; // this browser's clock against the server's, in microseconds
const now = () => Date.now() * 1000 - behind;
const truth = document.getElementById("truth");
const line = document.getElementById("truth-line");
const veil = document.getElementById("veil");
const box = document.getElementById("box");
const input = document.getElementById("line");
const boxRefusal = document.getElementById("box-refusal");
const banner = document.getElementById("socket-lost");
const words = { look: "see facts", run: "run commands", files: "files", ai: "AI agent", admin: "act as administrator" };
let { card, mine } = state;
let why = state.why_not;
let lostAt = 0;
let shownLine = "";

const waiting = () => card.state === "requested" || card.state === "pending consent";
const active = () => card.state === "active" && !card.consent_over;
const may = (scope) => card.scopes.includes(scope);

function sentence() {
  if (card.state === "requested") return card.connected ? ["wait", "The request is on its way to the device", card.requested_at] : ["wait", "The device is offline; the prompt shows when it is back", card.requested_at];
  if (card.state === "pending consent" && card.postponed_until) return ["wait", `Asked for later; the prompt shows again at ${clockOf(card.postponed_until)}`];
  if (card.state === "pending consent") return ["wait", `Waiting for consent on ${card.device_name}`, card.requested_at];
  if (card.state === "interrupted") return ["warn", card.connected ? "Interrupted; the device is back and takes up the session" : "Interrupted: the device is gone. Nothing is lost; it goes on when it is back"];
  if (card.state === "active" && card.consent_over) return ["warn", "The agreed time is over. Ask for more, or finish"];
  if (card.state === "active") {
    const not = ["run", "files"].filter((scope) => !may(scope)).map((scope) => `no ${scope === "run" ? "commands" : "files"}`);
    return ["ok", `Active until ${clockOf(card.until)} · ${[...card.scopes.filter((scope) => scope !== "look").map((scope) => words[scope]), ...not].join(", ")} · agreed by ${card.who}${card.running ? ` · ${card.running} running` : ""}`];
  }
  return ["", { completed: "Finished", denied: `${card.who || "The person at the device"} said no`, expired: "Nobody answered in time", cancelled: "The request was taken back", revoked: `${card.who || "The person at the device"} stopped the session` }[card.state] ?? card.state];
}

function show() {
  const [style, text, since] = sentence();
  const key = JSON.stringify([style, text, since, mine, why]);
  if (key !== shownLine) {
    shownLine = key;
    truth.dataset.state = style || "over";
    const parts = [document.createElement("b")];
    parts[0].textContent = text;
    if (since) {
      const clock = document.createElement("span");
      clock.className = "num run";
      clock.setAttribute("aria-hidden", "true");
      parts.push(" ", clock);
    }
    if (!mine && why) parts.push(Object.assign(document.createElement("span"), { className: "sub", textContent: ` · watching: ${why}` }));
    line.replaceChildren(...parts);
    consent();
  }
  tick();
  for (const button of document.querySelectorAll("[data-when]")) {
    button.hidden = !(button.dataset.when === "waiting" ? waiting() : card.state === "active" || card.state === "interrupted");
  }
  const typing = mine && active() && may("run") && !lostAt;
  input.disabled = !(mine && active() && may("run"));
  box.querySelector("button").disabled = input.disabled;
  veil.hidden = card.state === "active" && may("run");
  veil.textContent = waiting() ? "The terminal opens when the person at the device agrees." : card.ended_at ? "The session is over. All of it is in the review." : card.state === "interrupted" ? "The terminal comes back with the device." : may("run") ? "" : "Commands were not agreed to.";
  terminal.setLive(Boolean(typing));
  const files = document.getElementById("files");
  const noFiles = document.getElementById("no-files");
  if (files) files.hidden = !(active() && may("files"));
  noFiles.hidden = Boolean(files) && !files.hidden;
  noFiles.textContent = active() && !may("files") ? "Sending and fetching files was not agreed to. Ask for more." : "Sent and fetched files appear here.";
  const link = document.getElementById("device-link").firstElementChild;
  link.className = card.connected ? "st online" : "st offline";
  link.textContent = card.connected ? "Online" : "Offline";
  document.getElementById("technician").textContent = card.technician_name;
}

function tick() {
  const clock = line.querySelector(".run");
  if (clock) {
    const seconds = Math.max(0, (now() - card.requested_at) / 1e6);
    clock.textContent = digits(seconds);
    clock.className = `num run ${seconds > 300 ? "red" : seconds > 120 ? "amber" : ""}`;
  }
  if (lostAt) banner.querySelector("[data-seconds]").textContent = `${Math.floor((Date.now() - lostAt) / 1000)} s`;
}

function consent() {
  const place = document.getElementById("consent");
  const lines = card.granted_at
    ? [`${card.who} agreed at ${clockOf(card.granted_at)}`, `Until ${clockOf(card.until)}`, card.scopes.map((scope) => words[scope]).join(", ")]
    : [waiting() ? "Nobody has answered yet." : "There was no consent.", `Asked for: ${card.scopes.map((scope) => words[scope]).join(", ")}`];
  place.replaceChildren(...lines.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
}

const terminal = makeTerminal(document.getElementById("terminal"), {
  type: (data) => socket.send({ type: "type", data }),
  resized: (columns, rows) => socket?.send({ type: "resize", columns, rows }),
});
const interrupt = (command) => socket.send({ type: "interrupt", command }) || toast("Not connected. Try again in a moment.", { bad: true });

for (const one of state.commands) showCommand(one, interrupt);
for (const one of state.transfers) showTransfer(one);
markComplete();

let last = null; // whose output was written last
let fresh = true; // the terminal shows history first
const socket = connect(`${location.pathname}/live`, {
  message(json) {
    if (json.type === "hello") {
      ({ card, mine } = json);
      why = json.why_not;
      lostAt = 0;
      banner.hidden = true;
      fresh = false;
      show();
    } else if (json.type === "status") {
      const before = card.state;
      card = json.card;
      show();
      if (before !== "active" && card.state === "active" && mine) terminal.focus();
    } else if (json.type === "command") showCommand(json.card, interrupt);
    else if (json.type === "transfer") showTransfer(json.card);
    else if (json.type === "person") toast(json.text);
    else if (json.type === "refused") refuse(json);
  },
  output(command, bytes) {
    if (command === null) terminal.write(bytes);
    else {
      if (last !== command) terminal.say(lineOf(command));
      terminal.writeOutput(bytes);
      if (fresh) resetOnce();
      addOutput(command, bytes);
    }
    last = command;
  },
  lost(at) {
    lostAt = at;
    banner.hidden = false;
    show();
  },
  back: () => toast("Connected again. Nothing is lost."),
  refused: (reason) => toast(reason || "This session cannot be watched.", { bad: true }),
});

let wasReset = false;
function resetOnce() {
  if (!wasReset) resetRunning();
  wasReset = true;
}

function refuse({ ref, reason, what_to_do: advice }) {
  const typed = ref ? dropGhost(ref) : "";
  if (typed && !input.value) input.value = typed;
  if (!ref) return toast(`${reason} ${advice}`, { bad: true });
  boxRefusal.replaceChildren(Object.assign(document.createElement("b"), { textContent: reason }), advice);
  boxRefusal.hidden = false;
  return input.focus();
}

const past = state.commands.map((one) => one.line);
let at = past.length;
box.addEventListener("submit", (event) => {
  event.preventDefault();
  const text = input.value;
  boxRefusal.hidden = true;
  if (!text.trim()) return;
  const ref = crypto.randomUUID?.() ?? String(Math.random());
  if (!socket.send({ type: "run", ref, line: text })) return refuse({ ref: " ", reason: "Not connected.", what_to_do: "The command was not sent. Try again in a moment." });
  ghost(ref, text);
  past.push(text);
  at = past.length;
  input.value = "";
  fit();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    box.requestSubmit();
  } else if ((event.key === "ArrowUp" || event.key === "ArrowDown") && !input.value.includes("\n")) {
    event.preventDefault();
    at = Math.max(0, Math.min(past.length, at + (event.key === "ArrowUp" ? -1 : 1)));
    input.value = past[at] ?? "";
  }
});
const fit = () => { input.rows = Math.min(8, input.value.split("\n").length); };
input.addEventListener("input", fit);
addEventListener("keydown", (event) => {
  if (!event.ctrlKey || event.key !== "`") return;
  event.preventDefault();
  if (document.activeElement === input) terminal.focus();
  else input.focus();
});

document.querySelector("[data-fold]").addEventListener("click", (event) => {
  const folded = document.getElementById("panes").toggleAttribute("data-folded");
  event.currentTarget.setAttribute("aria-expanded", String(!folded));
});
watchFiles(state.largest_file);
show();
setInterval(tick, 1000);
