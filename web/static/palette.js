// One search for devices, clients, sessions, members, pages and acts.
import { open } from "./dialogs.js";

const base = document.querySelector("meta[name=base]").content;
const dialog = document.getElementById("palette");
const input = dialog.querySelector("input");
const list = document.getElementById("found");
let hits = [];
let asked = 0;
let timer = 0;

function places() {
  const pages = [...document.querySelectorAll(".side nav a, #bell")].map((link) => ({ kind: "page", title: link.textContent.trim(), detail: "Page", link: link.href }));
  const acts = [...document.querySelectorAll(".top .btn[data-open], .truth .btn[data-open]:not([hidden]), [data-theme-switch]")].map((button) => ({
    kind: "act", title: button.textContent.trim() || button.getAttribute("aria-label"), detail: "On this page", button,
  }));
  return [...pages, ...acts];
}

function show(found) {
  hits = found;
  list.replaceChildren(...found.map((hit, index) => {
    const item = Object.assign(document.createElement("li"), { id: `hit-${index}`, role: "option" });
    item.setAttribute("aria-selected", String(index === 0));
    const detail = Object.assign(document.createElement("span"), { className: "sub", textContent: hit.detail });
    item.append(Object.assign(document.createElement("b"), { textContent: hit.title }), Object.assign(document.createElement("span"), { className: "sr", textContent: hit.kind }), detail);
    return item;
  }));
  if (!found.length && input.value) list.append(Object.assign(document.createElement("li"), { className: "sub", role: "option", textContent: `Nothing is called “${input.value}”.` }));
  mark(0);
}

function mark(index) {
  if (!hits.length) return input.removeAttribute("aria-activedescendant");
  [...list.children].forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  list.children[index].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", `hit-${index}`);
}

const marked = () => [...list.children].findIndex((item) => item.getAttribute("aria-selected") === "true");

async function search() {
  const words = input.value.trim();
  const mine = places().filter((place) => words.toLowerCase().split(/\s+/).every((word) => place.title.toLowerCase().includes(word)));
  if (!words) return show(mine);
  const records = document.querySelector(`.side nav a[href="${base}/search"]`) ? [{ kind: "act", title: `Search records for “${words}”`, detail: "Commands and outputs of all sessions", link: `${base}/search?q=${encodeURIComponent(words)}` }] : [];
  const turn = ++asked;
  try {
    const response = await fetch(`${base}/find?q=${encodeURIComponent(words)}`, { headers: { accept: "application/json" } });
    const found = response.ok ? await response.json() : [];
    if (turn === asked) show([...found, ...mine, ...records]);
  } catch {
    if (turn === asked) show([...mine, ...records]);
  }
}

function go(hit) {
  if (!hit) return;
  dialog.close();
  if (hit.link) location.assign(hit.link);
  else if (hit.button.dataset.open) open(hit.button);
  else hit.button.click();
}

export function openPalette() {
  input.value = "";
  show(places());
  dialog.showModal();
  input.focus();
}

input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 80); });
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (hits.length) mark((marked() + (event.key === "ArrowDown" ? 1 : hits.length - 1)) % hits.length);
  } else if (event.key === "Enter") {
    event.preventDefault();
    go(hits[marked()]);
  }
});
list.addEventListener("click", (event) => go(hits[[...list.children].indexOf(event.target.closest("li"))]));
document.addEventListener("click", (event) => event.target.closest("[data-palette]") && openPalette());
