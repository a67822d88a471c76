// The transcript editor. What is decided lives in `state`; the page shows it; each change is saved a moment later over the
// version that this page saw. When somebody else saved first, nothing here is lost: the two are put together, or one is taken.
import { guard, refuse, send, show } from "./links.js";

const editor = document.getElementById("editor");
const rows = new Map([...document.querySelectorAll("#lines > li")].map((row) => [row.dataset.line, row]));
const texts = new Map([...rows].map(([id, row]) => [id, row.querySelector(".t").firstChild && !("gone" in row.dataset) ? row.querySelector(".t").textContent : ""]));
const published = "published" in editor.dataset;
const INSTEAD = "[withheld]";

// Offsets are in characters, as the server counts them; a browser counts some of them twice.
const chars = (text) => Array.from(text);
const part = (text, from, to) => chars(text).slice(from, to).join("");

let standing = JSON.parse(document.getElementById("standing").textContent);
let base, state;
const copy = (decisions) => ({ cuts: new Map(Object.entries(decisions.cuts ?? {}).map(([id, cut]) => [id, { spans: cut.spans ?? [], text: cut.text ?? null }])), kept: new Set(decisions.kept ?? []), device: decisions.device ?? true });
base = copy(standing.decisions);
state = copy(standing.decisions);

const marks = [...document.querySelectorAll("#lines mark")].map((mark) => {
  const row = mark.closest("li"), [start, end] = mark.dataset.at.split("-").map(Number);
  return { mark, row, line: row.dataset.line, start, end, kind: mark.className, id: `${row.dataset.line}:${start}-${end}`, whole: "whole" in row.dataset };
});

// --- what a decision comes to ---------------------------------------------------------------------------------------------

function shownAs(id, cut) {
  if (cut.text !== null) return cut.text;
  if (!cut.spans.length) return null;
  const text = texts.get(id);
  let made = "", at = 0;
  for (const [start, end] of [...cut.spans].sort((a, b) => a[0] - b[0])) {
    made += part(text, Math.min(at, Math.max(at, start)), Math.max(at, start)) + INSTEAD;
    at = Math.max(at, end);
  }
  return (made + part(text, at)).replaceAll(INSTEAD + INSTEAD, INSTEAD);
}

function isOpen({ id, row, line, start, end }) {
  if (state.kept.has(id) || row.classList.contains("follows")) return false;
  const cut = state.cuts.get(line);
  if (!cut) return true;
  const as = shownAs(line, cut);
  if (as === null) return false;
  return !cut.spans.some(([a, b]) => a <= start && end <= b) && as.includes(part(texts.get(line), start, end));
}

function withhold(id) {
  if (id === "enrolment") state.device = false;
  else state.cuts.set(id, { spans: [], text: null });
}

function put(id) {
  if (id === "enrolment") state.device = true;
  else state.cuts.delete(id);
}

const isCut = (id) => (id === "enrolment" ? !state.device : state.cuts.has(id));

function withholdPart(id, start, end) {
  const row = rows.get(id);
  if ("whole" in row.dataset) return withhold(id);
  const cut = state.cuts.get(id) ?? { spans: [], text: null };
  if (state.cuts.has(id) && !cut.spans.length) return; // all of it is withheld
  state.cuts.set(id, { spans: [...cut.spans, [start, end]], text: null });
}

function decide(mark, how) {
  if (how === "keep") state.kept.add(mark.id);
  else {
    state.kept.delete(mark.id);
    withholdPart(mark.line, mark.start, mark.end);
  }
}

// --- what the page shows ----------------------------------------------------------------------------------------------------

let here = null, now = null;

function paint(id) {
  const row = rows.get(id);
  if (!row) return;
  const cut = isCut(id);
  row.querySelector("input").checked = cut;
  row.classList.toggle("cut", cut);
  row.querySelector(".as")?.remove();
  const as = id !== "enrolment" && cut ? shownAs(id, state.cuts.get(id)) : null;
  if (as !== null) row.append(Object.assign(document.createElement("span"), { className: "as", textContent: as }));
  for (const mark of row.querySelectorAll("mark")) mark.classList.toggle("kept", state.kept.has(`${id}:${mark.dataset.at}`));
}

function count() {
  let going = 0;
  for (const [id, row] of rows) going += id !== "enrolment" && (isCut(id) || row.classList.contains("follows"));
  document.getElementById("stays").textContent = standing.lines - going;
  const open = marks.filter(isOpen);
  const parts = [`${going} withheld`];
  const many = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  if (standing.hidden) parts.push(`${many(standing.hidden, "event")} as a whole`);
  if (standing.receipts) parts.push(`of these ${many(standing.receipts, "receipt")}, whose hashes would let a reader guess`);
  if (open.length) parts.push(`${many(open.length, "mark")} to decide`);
  document.getElementById("counts").textContent = parts.join(" · ");
  for (const item of document.querySelectorAll(".kinds li")) {
    const left = open.filter((mark) => mark.kind === item.dataset.kind);
    item.hidden = !left.length;
    const inEvents = left.filter((mark) => mark.whole).length;
    item.querySelector("[data-open-marks]").textContent = inEvents ? `${left.length}, of these ${inEvents} in events’ own words: one by one` : left.length;
    item.querySelector("[data-all=withhold]").hidden = inEvents === left.length; // a whole event goes only by a decision of its own
  }
  document.getElementById("no-marks").hidden = open.length > 0;
  if (now && !isOpen(now)) now = open.find((mark) => marks.indexOf(mark) > marks.indexOf(now)) ?? open[0] ?? null;
  now ??= open[0] ?? null;
  for (const { mark } of marks) mark.classList.toggle("now", mark === now?.mark);
  const one = document.getElementById("one");
  one.hidden = !now || published;
  if (now) {
    one.querySelector("[data-text]").textContent = part(texts.get(now.line), now.start, now.end);
    one.querySelector("[data-where]").textContent = now.whole ? "in an event’s own words: it can go only as a whole" : `in: ${part(texts.get(now.line), Math.max(0, now.start - 30), now.end + 30)}`;
  }
}

function leaks() {
  const box = document.getElementById("leaks"), list = box.querySelector("ul");
  box.hidden = !standing.leaks.length;
  list.replaceChildren(...standing.leaks.map((leak) => {
    const item = document.createElement("li");
    const words = document.createElement("span");
    const where = leak.where === "company" ? "your company’s name, which every bundle has" : leak.where === "publisher" ? "your own name, under which you publish" : leak.where === "enrolment" ? "the device’s enrolment" : leak.whole ? `event ${leak.event}` : "a line";
    words.textContent = `In ${where}: “${leak.said}”. ${leak.whole && leak.event !== null ? "It can be withheld only as a whole. " : ""}${leak.loss}`;
    item.append(words);
    if (leak.event !== null || leak.where === "enrolment") {
      const acts = Object.assign(document.createElement("span"), { className: "acts" });
      const there = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: leak.whole ? "Withhold it as a whole" : "Withhold it there" });
      there.addEventListener("click", () => { follow(leak); changed(); });
      const go = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: "Show me" });
      go.addEventListener("click", () => stand(rows.get(leak.where) ?? rows.get(leak.source)));
      acts.append(there, go);
      item.append(acts);
    }
    return item;
  }));
}

function follow(leak) {
  if (leak.where === "enrolment") return put("enrolment"), withhold("enrolment");
  if (leak.whole) { // an event without words of its own goes under its number
    state.cuts.set(String(leak.event), { spans: [], text: null });
    paint(String(leak.event));
    return;
  }
  withhold(leak.where);
}

function box() {
  const place = document.getElementById("line-box"), id = here?.dataset.line;
  place.hidden = !here || published;
  if (!here) return;
  place.querySelector("[data-text]").textContent = texts.get(id);
  const cut = state.cuts.get(id), whole = "whole" in here.dataset;
  place.querySelector("[data-do=withhold]").firstChild.textContent = isCut(id) ? "Show again " : whole ? "Withhold the event " : "Withhold ";
  place.querySelector("[data-do=part]").hidden = whole;
  place.querySelector("[data-do=write]").hidden = whole;
  const instead = document.getElementById("instead"), as = cut ? shownAs(id, cut) : null;
  place.querySelector(".instead").hidden = as === null;
  if (document.activeElement !== instead) instead.value = as ?? "";
}

function paintAll() {
  for (const id of rows.keys()) paint(id);
  count();
  leaks();
  box();
}

// --- moving -------------------------------------------------------------------------------------------------------------------

function stand(row, focus = true) {
  if (!row) return;
  here?.classList.remove("here");
  here?.querySelector("input").setAttribute("tabindex", "-1");
  here = row;
  row.classList.add("here");
  const input = row.querySelector("input");
  input.tabIndex = 0;
  if (focus) input.focus();
  row.scrollIntoView({ block: "nearest" });
  box();
}

// --- saving -------------------------------------------------------------------------------------------------------------------

let timer = 0, saving = false, again = false, stale = null;
const said = document.getElementById("saved");
const decisions = () => ({ cuts: Object.fromEntries(state.cuts), kept: [...state.kept], device: state.device });

function changed() {
  paintAll();
  said.textContent = "Not saved yet";
  clearTimeout(timer);
  timer = setTimeout(save, 700);
}

async function save() {
  clearTimeout(timer);
  timer = 0;
  if (stale || published) return false;
  if (saving) { again = true; return false; }
  saving = true;
  said.textContent = "Saving …";
  const sent = decisions();
  const answer = await send(`${editor.dataset.base}/decisions`, { version: standing.version, ...sent });
  saving = false;
  if (answer.ok) {
    standing = answer;
    base = copy(sent);
    mark_following();
    said.textContent = "Saved";
    count();
    leaks();
  } else if (answer.status === 409) {
    await collide(answer);
    return false;
  } else said.textContent = `Not saved: ${answer.detail} ${answer.what_to_do ?? ""}`;
  if (again) { again = false; return save(); }
  return answer.ok;
}

// Lines of events that go as a whole, though nobody chose the lines themselves; the server knows which hashes give something away.
function mark_following() {
  for (const [id, row] of rows) {
    const event = id.split(".")[0];
    const goes = state.cuts.has(event) || (standing.hidden_events.includes(Number(event)) && base.cuts.has(event) === state.cuts.has(event));
    row.classList.toggle("follows", !isCut(id) && id !== "enrolment" && goes);
  }
}

function nameOf(id) {
  const words = id === "enrolment" ? "the enrolment" : texts.get(id) ?? `event ${id}`;
  return words.length > 60 ? `${words.slice(0, 60)}…` : words;
}

async function collide(answer) {
  const newest = await fetch(`${editor.dataset.base}/standing`, { headers: { accept: "application/json" } }).then((found) => (found.ok ? found.json() : null), () => null);
  stale = newest;
  const place = document.getElementById("stale");
  place.querySelector("[data-words]").textContent = `${answer.detail} ${answer.what_to_do ?? ""}`;
  const list = place.querySelector("[data-changes]");
  list.replaceChildren();
  said.textContent = "Not saved";
  if (newest) {
    const theirs = copy(newest.decisions);
    for (const id of new Set([...base.cuts.keys(), ...theirs.cuts.keys()])) {
      const before = JSON.stringify(base.cuts.get(id)), after = JSON.stringify(theirs.cuts.get(id));
      if (before === after) continue;
      const what = after === undefined ? "shows again" : before === undefined ? "withheld" : "changed";
      list.append(Object.assign(document.createElement("li"), { textContent: `${newest.changed_by} ${what}: ${nameOf(id)}` }));
    }
  }
  for (const button of place.querySelectorAll("button")) button.hidden = !newest;
  place.hidden = false;
  place.querySelector("button").focus();
}

function settle(how) {
  const theirs = copy(stale.decisions);
  if (how === "together") { // what was changed here counts; of two changes to one line the one that shows less
    for (const id of new Set([...base.cuts.keys(), ...state.cuts.keys()])) {
      const mine = state.cuts.get(id), changedHere = JSON.stringify(mine) !== JSON.stringify(base.cuts.get(id));
      if (!changedHere) continue;
      const changedThere = JSON.stringify(theirs.cuts.get(id)) !== JSON.stringify(base.cuts.get(id));
      if (mine && !(changedThere && theirs.cuts.get(id) && !theirs.cuts.get(id).spans.length && theirs.cuts.get(id).text === null)) theirs.cuts.set(id, mine);
      else if (!mine && !changedThere) theirs.cuts.delete(id);
    }
    for (const id of state.kept) theirs.kept.add(id);
    theirs.device &&= state.device;
  }
  base = copy(stale.decisions);
  standing = stale;
  state = theirs;
  stale = null;
  document.getElementById("stale").hidden = true;
  mark_following();
  paintAll();
  if (how === "together") save();
}

// --- what people do -----------------------------------------------------------------------------------------------------------

function selected() {
  const selection = getSelection();
  if (selection.isCollapsed || !selection.rangeCount) return null;
  const range = selection.getRangeAt(0), row = (range.startContainer.parentElement ?? range.startContainer).closest?.("#lines > li");
  const text = row?.querySelector(".t");
  if (!text || !text.contains(range.startContainer) || !text.contains(range.endContainer)) return null;
  const before = document.createRange();
  before.selectNodeContents(text);
  before.setEnd(range.startContainer, range.startOffset);
  const start = chars(before.toString()).length, end = start + chars(range.toString()).length;
  return end > start ? { id: row.dataset.line, start, end } : null;
}

function act(what) {
  if (published) return;
  const id = here?.dataset.line;
  if (what === "part") {
    const chosen = selected();
    if (!chosen) { said.textContent = "Select a part of one line first"; return; }
    withholdPart(chosen.id, chosen.start, chosen.end);
    getSelection().removeAllRanges();
    stand(rows.get(chosen.id));
  } else if (!id || here.querySelector("input").disabled) return;
  else if (what === "withhold") isCut(id) ? put(id) : withhold(id);
  else if (what === "write") {
    if ("whole" in here.dataset) return;
    const cut = state.cuts.get(id) ?? { spans: [], text: null };
    state.cuts.set(id, { ...cut, text: shownAs(id, cut) ?? texts.get(id) });
    changed();
    const instead = document.getElementById("instead");
    instead.focus();
    instead.select();
    return;
  }
  mark_following();
  changed();
}

function move(step) {
  const all = [...rows.values()];
  stand(all[Math.min(all.length - 1, Math.max(0, (here ? all.indexOf(here) : -1) + step))]);
}

function next() {
  const open = marks.filter(isOpen);
  now = open.find((mark) => marks.indexOf(mark) > marks.indexOf(now)) ?? open[0] ?? null;
  count();
  if (now) stand(now.row);
}

function answer(how) {
  if (!now || published) return;
  const decided = now;
  if (how !== "next") decide(decided, how);
  mark_following();
  next();
  if (how !== "next") changed();
}

document.getElementById("lines").addEventListener("click", (event) => {
  const row = event.target.closest("li"), mark = event.target.closest("mark");
  if (!row) return;
  if (event.target.matches("input")) { stand(row); isCut(row.dataset.line) ? put(row.dataset.line) : withhold(row.dataset.line); mark_following(); changed(); return; }
  if (!getSelection().isCollapsed) { stand(row, false); return; }
  stand(row);
  if (mark) { now = marks.find((one) => one.mark === mark); state.kept.delete(now.id); changed(); }
});
document.getElementById("marks").addEventListener("click", (event) => {
  const all = event.target.closest("[data-all]"), one = event.target.closest("[data-one]");
  if (one) return answer(one.dataset.one);
  if (!all || published) return;
  const kind = all.closest("li").dataset.kind;
  for (const mark of marks.filter((mark) => mark.kind === kind && isOpen(mark) && !(mark.whole && all.dataset.all === "withhold"))) decide(mark, all.dataset.all);
  mark_following();
  changed();
});
document.getElementById("leaks-all").addEventListener("click", () => { for (const leak of standing.leaks) if (leak.event !== null || leak.where === "enrolment") follow(leak); mark_following(); changed(); });
document.getElementById("line-box").addEventListener("click", (event) => { const button = event.target.closest("[data-do]"); if (button) act(button.dataset.do); });
document.getElementById("line-box").addEventListener("mousedown", (event) => { if (event.target.closest("[data-do=part]")) event.preventDefault(); }); // the selection stays
document.getElementById("instead").addEventListener("input", (event) => {
  const id = here.dataset.line, cut = state.cuts.get(id) ?? { spans: [], text: null };
  state.cuts.set(id, { ...cut, text: event.target.value });
  changed();
});
document.getElementById("stale").addEventListener("click", (event) => {
  if (event.target.closest("[data-together]")) settle("together");
  else if (event.target.closest("[data-theirs]")) settle("theirs");
});
document.getElementById("find-line").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  let first = null;
  for (const [id, row] of rows) {
    const found = wanted !== "" && texts.get(id).toLowerCase().includes(wanted);
    row.classList.toggle("found", found);
    if (found) first ??= row;
  }
  if (first) stand(first, false);
});
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input:not([type=checkbox]), textarea, select")) {
    if (event.key === "Escape" && here) stand(here);
    return;
  }
  const acts = { ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), w: () => act("withhold"), s: () => act("part"), e: () => act("write"), n: next, y: () => answer("withhold"), k: () => answer("keep") };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});
addEventListener("beforeunload", (event) => { if (timer || saving || stale) event.preventDefault(); });

// --- preview and publication ------------------------------------------------------------------------------------------------------

document.getElementById("preview")?.addEventListener("click", async (event) => {
  if (!timer && !saving) return;
  event.preventDefault();
  const tab = open("about:blank", "_blank");
  await settled();
  if (tab) tab.location = event.target.closest("a").href;
});

async function settled() {
  if (timer) await save();
  while (saving) await new Promise((done) => setTimeout(done, 50));
}

document.getElementById("publish-open")?.addEventListener("click", async () => {
  await settled();
  if (stale) return;
  const dialog = document.getElementById("publish");
  dialog.querySelector("[data-stay]").textContent = standing.lines - standing.withheld;
  dialog.querySelector("[data-withheld]").textContent = standing.withheld;
  dialog.querySelector("[data-hidden]").textContent = standing.hidden ? `, ${standing.hidden} events as a whole` : "";
  dialog.querySelector(".refusal").hidden = true;
  dialog.showModal();
});
document.querySelector("[data-publish]").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target, button = form.querySelector("[type=submit]");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const wanted = guard(form);
  const seen = form.elements.acknowledged.checked ? Number(form.elements.acknowledged.value) : 0;
  const answer = await send(`${editor.dataset.base}/publish`, { version: standing.version, acknowledged: seen, ...wanted });
  button.removeAttribute("aria-busy");
  if (!answer.ok) return refuse(form, answer);
  show(form, answer.link, Boolean(wanted.passcode));
  form.closest("dialog").addEventListener("close", () => location.reload(), { once: true });
});

mark_following();
paintAll();
said.textContent = published ? "Published: it does not change any more" : "";
stand(rows.values().next().value, false);
