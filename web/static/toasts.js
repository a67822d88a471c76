// Short messages at the edge, read aloud by screen readers.
const area = document.getElementById("toasts");

export function toast(text, { bad = false, label = "", act = null } = {}) {
  const item = document.createElement("li");
  item.className = bad ? "toast bad" : "toast";
  const words = document.createElement("span");
  words.textContent = text;
  item.append(words);
  if (act) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: label });
    button.addEventListener("click", () => { item.remove(); act(); });
    item.append(button);
  }
  area.append(item);
  leave(item, act || bad ? 9000 : 4000);
}

// Goes by itself, but not while somebody reads or uses it.
export function leave(item, patience) {
  setTimeout(() => (item.matches(":hover, :focus-within") ? leave(item, 2000) : item.remove()), patience);
}

document.addEventListener("click", (event) => event.target.closest("[data-dismiss]")?.closest(".toast").remove());
