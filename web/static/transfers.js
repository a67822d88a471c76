// Files to and from the device, with progress.
const list = document.getElementById("transfers");
const refusal = document.getElementById("files-refusal");
const csrf = () => document.querySelector("meta[name=csrf]").content;
const rows = new Map();

const size = (count) => {
  for (const unit of ["B", "KiB", "MiB"]) {
    if (count < 1024) return unit === "B" ? `${count} B` : `${count.toFixed(1)} ${unit}`;
    count /= 1024;
  }
  return `${count.toFixed(1)} GiB`;
};

function refuse(problem) {
  const reason = Object.assign(document.createElement("b"), { textContent: problem.detail ?? "That did not work." });
  refusal.replaceChildren(reason, problem.what_to_do ?? "");
  refusal.hidden = false;
}

export function showTransfer(card) {
  let row = rows.get(card.id);
  if (!row) {
    row = document.createElement("li");
    rows.set(card.id, row);
    list.prepend(row);
  }
  if (card.state === "running" && row.dataset.state && row.dataset.state !== "running") return; // the answer came after the news
  row.dataset.state = card.state;
  const name = Object.assign(document.createElement("b"), { className: "mono", textContent: card.path });
  const upload = card.direction === "upload";
  const words = {
    running: `${upload ? "Sending" : "Fetching"} · ${size(card.done)} of ${card.size ? size(card.size) : "?"}`,
    finished: `${upload ? "Sent" : "Fetched"} · ${size(card.size)}`,
    failed: card.reason || "This failed.",
    cancelled: "Stopped",
  }[card.state];
  const state = Object.assign(document.createElement("span"), { className: card.state === "failed" ? "bad" : "sub", textContent: words });
  row.replaceChildren(name, state);
  if (card.state === "running") {
    const bar = Object.assign(document.createElement("progress"), { max: card.size || 1, value: card.done });
    bar.setAttribute("aria-label", `Progress of ${card.path}`);
    const stop = Object.assign(document.createElement("button"), { type: "button", className: "btn sm", textContent: "Stop" });
    stop.addEventListener("click", () => fetch(`${location.pathname}/files/${card.id}/cancel`, { method: "POST", headers: { "x-csrftoken": csrf(), accept: "application/json" } }));
    row.append(bar, stop);
  }
  if (card.state === "finished") {
    const hash = Object.assign(document.createElement("span"), { className: "sub mono", textContent: `SHA-256 ${card.content.slice(0, 16)}…`, title: card.content });
    row.append(hash);
  }
  if (card.state === "finished" && card.direction === "download") {
    row.append(Object.assign(document.createElement("a"), { className: "btn sm", href: `${location.pathname}/files/${card.id}`, textContent: "Save", download: "" }));
  }
}

export function watchFiles(largest) {
  document.getElementById("upload")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const form = event.target;
    const file = form.elements.file.files[0];
    refusal.hidden = true;
    if (!file) return refuse({ detail: "No file is chosen.", what_to_do: "Choose one." });
    if (file.size > largest) return refuse({ detail: `The file is larger than ${size(largest)}.`, what_to_do: "Send a smaller one, or in parts." });
    const folder = form.elements.path.value || "/tmp/";
    const path = folder.endsWith("/") ? folder + file.name : folder;
    const request = new XMLHttpRequest();
    const button = form.querySelector("button");
    const words = button.querySelector("span");
    request.open("POST", `${location.pathname}/files?${new URLSearchParams({ path, replace: String(form.elements.replace.checked) })}`);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("x-csrftoken", csrf());
    request.setRequestHeader("accept", "application/json");
    request.upload.onprogress = ({ loaded, total }) => { words.textContent = `Sending ${Math.floor((100 * loaded) / total)} %`; };
    request.onloadend = () => {
      words.textContent = "Send";
      button.removeAttribute("aria-busy");
      const answer = request.responseText ? JSON.parse(request.responseText) : { detail: "The server does not answer.", what_to_do: "Try again." };
      if (request.status >= 200 && request.status < 300) { showTransfer(answer); form.reset(); }
      else refuse(answer);
    };
    button.setAttribute("aria-busy", "true");
    request.send(file);
  });
  document.getElementById("download")?.addEventListener("submit", async (event) => {
    event.preventDefault();
    refusal.hidden = true;
    const form = event.target;
    const headers = { "content-type": "application/json", accept: "application/json", "x-csrftoken": csrf() };
    const response = await fetch(`${location.pathname}/files/download`, { method: "POST", headers, body: JSON.stringify({ path: form.elements.path.value }) });
    const answer = await response.json();
    if (!response.ok) return refuse(answer);
    showTransfer(answer);
    form.reset();
  });
}
