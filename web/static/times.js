// Times in the viewer's zone: relative ones grow older, clocks run, the exact time stands in the title.
const units = [[86400, "d"], [3600, "h"], [60, "min"]];
const dateTime = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const moment = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

export function age(seconds) {
  for (const [size, unit] of units) if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return seconds >= 5 ? `${Math.floor(seconds)} s` : "now";
}

export function digits(seconds) {
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${two(m)}:${two(s)}`;
}

export function span(seconds) {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds / 60) % 60} min`;
}

export const clockOf = (us) => clock.format(new Date(us / 1000));

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function show(element, now) {
  const at = Date.parse(element.dateTime);
  const seconds = Math.max(0, (now - at) / 1000);
  if (element.dataset.zoned !== element.dateTime) {
    element.title = full.format(at);
    element.dataset.zoned = element.dateTime;
    if ("clock" in element.dataset) set(element, clock.format(at));
    if ("date" in element.dataset) set(element, dateTime.format(at));
    if ("moment" in element.dataset) set(element, moment.format(at));
  }
  if ("ago" in element.dataset) set(element, seconds < 5 ? "now" : `${age(seconds)} ago`);
  if ("due" in element.dataset) {
    set(element, at > now ? `in ${age((at - now) / 1000)}` : `${age(seconds)} late`);
    element.classList.toggle("late", at <= now);
  }
  if ("run" in element.dataset) {
    set(element, digits(seconds));
    element.classList.toggle("amber", element.dataset.run === "watched" && seconds > 120 && seconds <= 300);
    element.classList.toggle("red", element.dataset.run === "watched" && seconds > 300);
  }
}

export function showTimes(root = document) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time")) show(element, now);
}

export function keepTimes() {
  showTimes();
  document.addEventListener("htmx:after:swap", () => showTimes());
  setInterval(() => document.hidden || showTimes(), 1000);
  document.addEventListener("visibilitychange", () => document.hidden || showTimes());
}
