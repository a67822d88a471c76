// Everything that all pages share. Each part binds to the document, so what arrives later needs no set-up.
import "./live.js";
import "./dialogs.js";
import "./palette.js";
import "./lists.js";
import { keepTimes } from "./times.js";
import { toast } from "./toasts.js";

keepTimes();

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-theme-switch], [data-copy-from], [data-ask-notify], a[data-read]");
  if (!button) return;
  if (button.matches("[data-theme-switch]")) {
    const root = document.documentElement;
    const dark = getComputedStyle(root).colorScheme === "dark" || (!root.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    root.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  } else if (button.matches("[data-copy-from]")) {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copyFrom).textContent);
    toast("Copied.");
  } else if (button.matches("a[data-read]")) {
    const body = new URLSearchParams({ notice: button.dataset.read });
    const headers = { accept: "application/json", "x-csrftoken": document.querySelector("meta[name=csrf]").content };
    fetch(`${document.querySelector("meta[name=base]").content}/notices/read`, { method: "POST", body, headers, keepalive: true });
  } else if ((await Notification.requestPermission()) === "granted") {
    button.hidden = true;
    toast("You will be notified, also while this tab is in the background.");
  }
});

for (const button of document.querySelectorAll("[data-ask-notify]")) {
  button.hidden = !("Notification" in window) || Notification.permission !== "default";
}

// Filters that are empty do not belong in an address.
addEventListener("submit", (event) => {
  if (!event.target.matches("[data-clean]")) return;
  for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
});
document.addEventListener("htmx:config:request", ({ detail: { ctx } }) => {
  ctx.request.headers["x-csrftoken"] = document.querySelector("meta[name=csrf]").content;
  if (ctx.sourceElement.matches("[data-clean]")) {
    for (const [name, value] of [...ctx.request.body]) if (!value) ctx.request.body.delete(name);
  }
});
