// The review: filter, search, jump to a time, move with the arrow keys, read one event with all its output.
import { makeList } from "./timeline.js";
import { toast } from "./toasts.js";
import { showTimes } from "./times.js";

const LINES = 40;
const KEPT = 60; // events that were read
const review = document.getElementById("review");
const list = document.getElementById("entries");
const detail = document.getElementById("detail");
const find = document.getElementById("find");
const matches = document.getElementById("matches");
const articles = new Map();
let asked = 0;
let words = (new URLSearchParams(location.search).get("mark") ?? "").toLowerCase().split(/[\s"*]+/).filter(Boolean);

function fold(article) {
  const output = article.querySelector("[data-folds]:not([data-folded])");
  if (!output) return;
  output.dataset.folded = "";
  const pre = output.querySelector("pre");
  const text = pre.textContent;
  const lines = text.split("\n");
  output.dataset.all = text;
  const hit = words.length ? lines.findIndex((line) => words.every((word) => line.toLowerCase().includes(word))) : -1;
  if (lines.length <= LINES + 1 || hit >= LINES) return;
  pre.textContent = lines.slice(0, LINES).join("\n");
  const more = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: `Show ${lines.length - LINES} more lines` });
  more.addEventListener("click", () => { pre.textContent = text; more.remove(); pre.focus(); paint(); });
  output.append(more);
}

// What was searched for is painted where it stands; nothing of the text changes.
function paint({ scroll = false } = {}) {
  if (!CSS.highlights) return;
  const ranges = [];
  for (const place of words.length ? detail.querySelectorAll("h2, pre, .pre") : []) {
    const texts = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const lower = texts.currentNode.data.toLowerCase();
      for (const word of words) {
        for (let at = lower.indexOf(word); at >= 0 && ranges.length < 500; at = lower.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(texts.currentNode, at);
          range.setEnd(texts.currentNode, at + word.length);
          ranges.push(range);
        }
      }
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
  const first = scroll && ranges.find((range) => range.startContainer.parentElement.closest("pre"));
  if (first) {
    const pre = first.startContainer.parentElement.closest("pre");
    pre.scrollTop += first.getBoundingClientRect().top - pre.getBoundingClientRect().top - pre.clientHeight / 3;
  }
}

function showArticle(article) {
  detail.replaceChildren(article);
  detail.removeAttribute("aria-busy");
  showTimes(detail);
  fold(article);
  paint({ scroll: true });
}

async function read(id) {
  const turn = ++asked;
  if (articles.has(id)) return showArticle(articles.get(id));
  detail.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(`${review.dataset.address}/events/${id.slice(1)}`, { headers: { accept: "text/html" } });
    if (!response.ok) throw new Error(response.status);
    const article = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("article");
    articles.set(id, article);
    if (articles.size > KEPT) articles.delete(articles.keys().next().value);
    if (turn === asked) showArticle(article);
  } catch {
    if (turn === asked) toast("This event could not be fetched. Check your connection and choose it again.", { bad: true });
  }
}

function choose(row) {
  if (!row) return;
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  row.querySelector("a").setAttribute("aria-current", "true");
  row.scrollIntoView({ block: "nearest" });
  history.replaceState(null, "", `${location.pathname}${location.search}#${row.id}`);
  return read(row.id);
}

if (list) {
  const timeline = makeList(list, review.dataset.address, { arrived: showTimes });
  const boxes = [...document.querySelectorAll(".tools [data-group]")];
  const chosen = () => list.querySelector("[aria-current]")?.closest("li");
  let timer = 0;

  async function lay(work) {
    list.setAttribute("aria-busy", "true");
    try {
      const answer = await work();
      if (answer) matches.textContent = answer.matches === answer.total ? "" : `${answer.matches.toLocaleString()} of ${answer.total.toLocaleString()} events`;
      return answer;
    } catch {
      matches.textContent = "The timeline could not be fetched. Try again in a moment.";
      return null;
    } finally {
      list.removeAttribute("aria-busy");
    }
  }

  async function filter() {
    const query = new URLSearchParams(find.value.trim() ? { q: find.value.trim() } : {});
    const groups = boxes.filter((box) => box.checked).map((box) => box.dataset.group);
    if (groups.length < boxes.length) for (const group of groups.length ? groups : ["none"]) query.append("group", group);
    words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const mark = chosen()?.id;
    if (!(await lay(() => timeline.filter(query)))) return;
    document.getElementById(mark)?.querySelector("a")?.setAttribute("aria-current", "true");
    for (const article of articles.values()) if (article.querySelector("pre + .btn")) articles.delete(`${article.dataset.of}`);
    paint();
  }

  async function go(more, { all = false } = {}) {
    const answer = await lay(() => (all ? timeline.filter(new URLSearchParams(), more) : timeline.lay(more)));
    if (answer?.at) await choose(document.getElementById(answer.at));
  }

  // The day is that of the session's begin in the viewer's zone; an earlier time of day is on the day after.
  function timeOf(typed) {
    const parts = typed.match(/^(\d{1,2}):(\d{2})(?::(\d{2}))?$/);
    if (!parts) return null;
    const first = new Date(Number(document.querySelector(".bars").dataset.first) / 1000);
    const wanted = new Date(first);
    wanted.setHours(Number(parts[1]), Number(parts[2]), Number(parts[3] ?? 0), 0);
    if (wanted.getTime() + 60_000 < first.getTime()) wanted.setDate(wanted.getDate() + 1);
    return wanted.getTime() * 1000;
  }

  for (const box of boxes) box.addEventListener("change", filter);
  find.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(filter, 180); });
  document.getElementById("jump").addEventListener("input", (event) => {
    const time = timeOf(event.target.value.trim());
    if (time !== null) go({ time });
  });
  list.addEventListener("click", (event) => {
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
    const { first, length } = bar.closest(".bars").dataset;
    go({ time: Math.round(Number(first) + (Number(length) * (event.clientX - left)) / width) });
  });
  document.addEventListener("keydown", async (event) => {
    if (event.target.closest("input, textarea, select, pre, dialog, summary, .replay") || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const now = chosen();
    const row = now ? await timeline.step(now, by) : timeline.rows()[0];
    if (!row) return;
    row.querySelector("a").focus({ preventScroll: true });
    choose(row);
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
  const named = () => (/^#e\d+$/.test(location.hash) ? Number(location.hash.slice(2)) : null);
  const goNamed = () => {
    const row = document.getElementById(`e${named()}`);
    if (row?.closest("#entries")) return choose(row);
    for (const box of boxes) box.checked = true; // what an address names is shown, whatever was filtered
    find.value = "";
    go({ at: named() }, { all: true });
  };
  addEventListener("hashchange", () => named() !== null && goNamed());
  const first = detail.querySelector("article");
  if (first) {
    articles.set(first.dataset.of, first);
    fold(first);
    document.getElementById(first.dataset.of)?.querySelector("a").setAttribute("aria-current", "true");
  }
  if (named() !== null) goNamed();
}
