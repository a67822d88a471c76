// The review: filter, search, jump to a time, move with the arrow keys, read one event with all its output.
import { toast } from "./toasts.js";
import { clockOf } from "./times.js";

const LINES = 40;
const rows = [...document.querySelectorAll("#entries > li")];
const detail = document.getElementById("detail");
const articles = new Map([...document.querySelectorAll("#detail > article")].map((article) => [article.dataset.of, article]));
const matches = document.getElementById("matches");
const shown = () => rows.filter((row) => !row.hidden);

function choose(row, { asked = true } = {}) {
  if (!row) return;
  document.querySelector("#entries [aria-current]")?.removeAttribute("aria-current");
  row.querySelector("a").setAttribute("aria-current", "true");
  for (const [id, article] of articles) article.hidden = id !== row.id;
  fold(articles.get(row.id));
  if (!asked) return; // an address with a fragment would scroll the page away from its verdict
  row.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `#${row.id}`);
}

function fold(article) {
  const output = article.querySelector("[data-folds]:not([data-folded])");
  if (!output) return;
  output.dataset.folded = "";
  const pre = output.querySelector("pre");
  const text = pre.textContent;
  const lines = text.split("\n");
  output.dataset.all = text;
  if (lines.length <= LINES + 1) return;
  pre.textContent = lines.slice(0, LINES).join("\n");
  const more = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: `Show ${lines.length - LINES} more lines` });
  more.addEventListener("click", () => { pre.textContent = text; more.remove(); pre.focus(); });
  output.append(more);
}

function filter() {
  const groups = new Set([...document.querySelectorAll(".tools [data-group]:checked")].map((box) => box.dataset.group));
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) {
    const text = words.length ? (row.textContent + (articles.get(row.id).querySelector("[data-all]")?.dataset.all ?? "") + articles.get(row.id).textContent).toLowerCase() : "";
    row.hidden = !groups.has(row.dataset.group) || !words.every((word) => text.includes(word));
  }
  const count = shown().length;
  matches.textContent = count === rows.length ? "" : `${count} of ${rows.length} events`;
}

const nearest = (us) => shown().reduce((best, row) => (!best || Math.abs(row.dataset.at - us) < Math.abs(best.dataset.at - us) ? row : best), null);

if (rows.length) {
  document.querySelector(".tools").addEventListener("input", (event) => event.target.id !== "jump" && filter());
  document.getElementById("jump").addEventListener("input", (event) => {
    const typed = event.target.value.trim();
    if (/^\d{1,2}:\d{2}/.test(typed)) choose(shown().find((row) => clockOf(Number(row.dataset.at)) >= typed.padStart(typed.indexOf(":") === 1 ? typed.length + 1 : 0, "0")) ?? shown().at(-1));
  });
  document.getElementById("entries").addEventListener("click", (event) => {
    const link = event.target.closest("a.entry");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    choose(link.parentElement);
    if (matchMedia("(max-width: 760px)").matches) detail.scrollIntoView({ block: "start" });
  });
  document.querySelector(".bars").addEventListener("click", (event) => {
    const bar = event.target.closest(".lane-bar");
    if (!bar) return;
    const { left, width } = bar.getBoundingClientRect();
    const bars = bar.closest(".bars").dataset;
    choose(nearest(Number(bars.first) + (Number(bars.length) * (event.clientX - left)) / width));
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input, textarea, select, pre, dialog") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const all = shown();
    const at = all.findIndex((row) => row.querySelector("[aria-current]"));
    const row = all[Math.max(0, Math.min(all.length - 1, at + by))];
    choose(row);
    row?.querySelector("a").focus({ preventScroll: true });
  });
  detail.addEventListener("click", async (event) => {
    const copy = event.target.closest("[data-copy]");
    const link = event.target.closest("[data-copy-link]");
    if (copy) {
      await navigator.clipboard.writeText(copy.closest(".output").dataset.all);
      toast("Copied.");
    } else if (link) {
      event.preventDefault();
      await navigator.clipboard.writeText(link.href);
      toast("Link copied.");
    }
  });
  const named = () => document.getElementById(location.hash.slice(1));
  addEventListener("hashchange", () => rows.includes(named()) && choose(named()));
  if (rows.includes(named())) choose(named());
  else choose(rows.find((row) => row.dataset.group === "commands") ?? rows[0], { asked: false });
}
