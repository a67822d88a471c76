// The page's event stream: what arrives for a row on the page takes its place, what is new waits or finds its column,
// a lost stream says so, and what was missed is fetched when it is back.
import { leave, toast } from "./toasts.js";
import { digits } from "./times.js";

const body = document.body;
const banner = document.getElementById("lost");
const kind = body.dataset.live.split(":")[0];
const refreshed = { devices: "#list, #counts", device: "#device", sessions: "#board", queue: "#queue" }[kind];
let lostAt = 0;
let fresh = new Set();

// A browser opens six connections to a server: only one hidden tab keeps its stream, and only where it may notify.
if ("Notification" in window && Notification.permission === "granted") {
  navigator.locks?.request("caisey-background", { ifAvailable: true }, (lock) => {
    if (!lock) return undefined;
    body.setAttribute("hx-config", "sse.pauseOnBackground:false, sse.reconnectMaxDelay:5000");
    return new Promise(() => {});
  });
}

function lost() {
  if (lostAt || document.hidden) return;
  lostAt = Date.now();
  setTimeout(tick, 1500); // a blink is no news
}

function tick() {
  if (!lostAt) return;
  banner.hidden = false;
  banner.querySelector("[data-lost]").textContent = digits((Date.now() - lostAt) / 1000);
  setTimeout(tick, 1000);
}

document.addEventListener("htmx:sse:before:connection", ({ detail: { connection } }) => connection.attempt > 0 && lost());
document.addEventListener("htmx:sse:error", lost);
document.addEventListener("htmx:sse:after:connection", ({ detail: { connection } }) => {
  lostAt = 0;
  banner.hidden = true;
  if (connection.attempt > 0) for (const part of refreshed?.split(", ") ?? []) refresh(part);
});

export function refresh(part) {
  fresh.clear();
  showFresh();
  return htmx.ajax("GET", location.href, { target: part, select: part, swap: "outerMorph" });
}

// A part that has no place on the page yet.
function arrive(element) {
  if (element.dataset.place) return place(element, element.dataset.place);
  if (element.dataset.rank) return enqueue(element);
  if (element.matches("tr[data-item]") && !location.search) {
    fresh.add(element.id);
    showFresh();
  }
}

function showFresh() {
  const button = document.getElementById("fresh");
  if (!button) return;
  button.hidden = !fresh.size;
  button.textContent = `${fresh.size} new: show`;
}

// Cards of the board change columns; a column under the pointer waits until it has left.
function place(card, name) {
  const column = document.querySelector(`[data-column="${name}"] ul`);
  if (!column || (!card.isConnected && location.search)) return;
  if (column.matches(":hover") && name === "done") return column.addEventListener("pointerleave", () => place(card, name), { once: true });
  const focused = card.contains(document.activeElement) ? document.activeElement : null;
  if (name === "done") column.prepend(card);
  else column.append(card);
  card.classList.add("changed");
  focused?.focus();
  htmx.process(card);
}

function enqueue(item) {
  const list = document.getElementById("assigned");
  if (!list) return;
  document.getElementById(item.id)?.remove();
  list.insertBefore(item, [...list.children].find((other) => Number(other.dataset.rank) > Number(item.dataset.rank)) ?? null);
  item.classList.add("changed");
}

document.addEventListener("htmx:before:swap", ({ detail: { tasks } }) => {
  for (const task of tasks) {
    if (task.type !== "partial" || task.target) continue;
    const element = task.fragment.firstElementChild;
    if (element && task.swapSpec.style !== "delete") arrive(element);
  }
});

document.addEventListener("htmx:after:swap", () => {
  for (const card of document.querySelectorAll("[data-column] [data-place]")) {
    if (card.closest("[data-column]").dataset.column !== card.dataset.place) place(card, card.dataset.place);
  }
  for (const column of document.querySelectorAll("[data-column]")) {
    column.querySelector("[data-count]").textContent = String(column.querySelectorAll("li").length);
  }
  for (const notice of document.querySelectorAll("#toasts [data-notice]:not([data-told])")) announce(notice);
});

function announce(notice) {
  notice.dataset.told = "";
  leave(notice, 15000);
  if (!document.hidden || !("Notification" in window) || Notification.permission !== "granted") return;
  const shown = new Notification(notice.dataset.title, { body: notice.dataset.text, tag: notice.dataset.notice });
  shown.onclick = () => { focus(); location.assign(notice.dataset.link); };
}

document.getElementById("fresh")?.addEventListener("click", () => refresh("#list"));
document.addEventListener("htmx:response:error", ({ detail: { ctx } }) => {
  ctx.swap = "none";
  toast(ctx.response.status === 401 ? "You are signed out. Load the page again." : "That did not work. Load the page again.", { bad: true });
});
