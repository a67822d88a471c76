// A long list of which the browser holds only the parts that were looked at. What is not loaded is a gap of the same height, so
// that the scroll bar tells the truth; a gap that comes near is fetched.
const PART = 100;
const MOST_PARTS = 14; // loaded at once; those farthest from what is looked at become gaps again

export function makeList(list, address, { arrived }) {
  let matches = Number(list.dataset.matches);
  let filter = new URLSearchParams();
  let turn = 0;
  const loading = new Map();
  const near = new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach((one) => load(Number(one.target.dataset.part))), { root: list, rootMargin: "700px 0px" });
  const height = () => list.querySelector("li[id]")?.offsetHeight || 32;
  const count = (part) => Math.min(PART, matches - part * PART);
  const gapOf = (part) => list.querySelector(`li.gap[data-part="${part}"]`);
  const rowsOf = (part) => [...list.querySelectorAll(`li[id][data-part="${part}"]`)];

  function gap(part) {
    const made = Object.assign(document.createElement("li"), { className: "gap" });
    made.dataset.part = part;
    made.setAttribute("aria-hidden", "true");
    made.style.height = `${count(part) * height()}px`;
    near.observe(made);
    return made;
  }

  function mark(rows, part) {
    for (const row of rows) row.dataset.part = part;
    return rows;
  }

  async function ask(more) {
    const query = new URLSearchParams([...filter, ...Object.entries(more)]);
    const response = await fetch(`${address}/entries?${query}`, { headers: { accept: "text/html" } });
    if (!response.ok) throw new Error(response.status);
    const page = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("ol");
    return { rows: [...page.children], start: Number(page.dataset.start), matches: Number(page.dataset.matches), total: Number(page.dataset.total), at: page.dataset.at };
  }

  function put(part, rows) {
    const place = gapOf(part);
    if (!place) return;
    near.unobserve(place);
    place.replaceWith(...mark(rows, part));
    arrived(list);
    const parts = [...new Set([...list.querySelectorAll("li[id]")].map((row) => Number(row.dataset.part)))];
    if (parts.length > MOST_PARTS) {
      const middle = Math.floor((list.scrollTop + list.clientHeight / 2) / (PART * height()));
      const far = parts.filter((one) => !rowsOf(one).some((row) => row.contains(document.activeElement) || row.querySelector("[aria-current]"))).sort((a, b) => Math.abs(b - middle) - Math.abs(a - middle))[0];
      const [first, ...rest] = rowsOf(far);
      for (const row of rest) row.remove();
      first.replaceWith(gap(far));
    }
  }

  function load(part) {
    if (loading.has(part) || !gapOf(part)) return loading.get(part);
    const mine = turn;
    const work = ask({ start: part * PART }).then((answer) => mine === turn && put(part, answer.rows), () => near.observe(gapOf(part) ?? list)).finally(() => loading.delete(part));
    loading.set(part, work);
    return work;
  }

  // All of the list anew, with the part that holds what was asked for.
  async function lay(more = {}) {
    const mine = ++turn;
    const answer = await ask(more);
    if (mine !== turn) return null;
    loading.clear();
    near.disconnect();
    matches = answer.matches;
    const here = answer.start / PART;
    const parts = Array.from({ length: Math.ceil(matches / PART) }, (_, part) => part);
    list.replaceChildren(...answer.rows);
    mark(answer.rows, here);
    list.prepend(...parts.filter((part) => part < here).map(gap));
    list.append(...parts.filter((part) => part > here).map(gap));
    if (answer.at) list.scrollTop = list.querySelector(`#${answer.at}`).offsetTop - list.offsetTop - list.clientHeight / 3;
    arrived(list);
    return answer;
  }

  mark([...list.querySelectorAll("li[id]")], 0);
  list.append(...Array.from({ length: Math.max(0, Math.ceil(matches / PART) - 1) }, (_, part) => gap(part + 1)));
  return {
    lay,
    rows: () => [...list.querySelectorAll("li[id]")],
    filter(query, more) { filter = query; return lay(more); },
    // The row after or before one, fetched if need be.
    async step(row, by) {
      let next = by > 0 ? row.nextElementSibling : row.previousElementSibling;
      if (next?.matches(".gap")) {
        await load(Number(next.dataset.part));
        next = by > 0 ? row.nextElementSibling : row.previousElementSibling;
      }
      return next?.id ? next : null;
    },
  };
}
