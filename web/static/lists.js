// Keys: search, help, moving in lists; and the rows that are ticked for assignment.
import { open } from "./dialogs.js";
import { openPalette } from "./palette.js";

const base = document.querySelector("meta[name=base]").content;
const typing = (element) => element.closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable], .xterm");
const items = () => [...document.querySelectorAll("main [data-item]")].filter((item) => item.offsetParent);
let goes = 0;

function mark(item) {
  document.querySelector("[data-item].marked")?.classList.remove("marked");
  if (!item) return;
  item.classList.add("marked");
  item.querySelector("a.host")?.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const all = items();
  const at = all.findIndex((item) => item.matches(".marked") || item.contains(document.activeElement));
  mark(all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))]);
}

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return openPalette();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || document.querySelector("dialog[open]")) return;
  if (goes && Date.now() - goes < 1000) {
    goes = 0;
    const to = { d: "/", s: "/sessions", q: "/queue", c: "/clients" }[event.key];
    if (to) return location.assign(base + to);
  }
  if (event.key === "g") goes = Date.now();
  else if (event.key === "/") { event.preventDefault(); openPalette(); }
  else if (event.key === "?") open({ dataset: { open: "keys" } });
  else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (document.getElementById("review") || !items().length) return;
    event.preventDefault();
    step(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter" && !event.target.closest("a, button, summary")) {
    (document.querySelector("[data-item].marked") ?? (document.getElementById("queue") && items()[0]))?.querySelector("a.host")?.click();
  } else if (event.key === "x") {
    const box = document.querySelector("[data-item].marked input[name=devices]");
    if (box) box.click();
  } else if (event.key === "Escape") clear();
});
document.addEventListener("focusin", (event) => {
  const item = event.target.closest("main [data-item]");
  if (item && event.target.matches("a.host")) mark(item);
});

const boxes = () => [...document.querySelectorAll("input[form=assign-form]")];
const bar = document.getElementById("chosen-bar");

function count() {
  if (!bar) return;
  const chosen = boxes().filter((box) => box.checked).length;
  bar.hidden = !chosen;
  bar.querySelector("[data-count]").textContent = String(chosen);
  for (const all of document.querySelectorAll("[data-all]")) {
    const group = [...all.closest("tbody").querySelectorAll("input[form=assign-form]")];
    all.checked = group.length > 0 && group.every((box) => box.checked);
    all.indeterminate = !all.checked && group.some((box) => box.checked);
  }
}

function clear() {
  for (const box of boxes()) box.checked = false;
  count();
}

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) {
    for (const box of event.target.closest("tbody").querySelectorAll("input[form=assign-form]")) box.checked = event.target.checked;
  }
  count();
});
document.addEventListener("click", (event) => event.target.closest("[data-clear]") && clear());
document.addEventListener("caisey:done", ({ detail: { form } }) => form.id === "assign-form" && clear());
document.addEventListener("htmx:after:swap", count);
