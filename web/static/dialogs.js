// Dialogs: opened by a button that says what they are about; their form is sent without leaving the page, and a refusal
// is shown beside what was typed.
import { toast } from "./toasts.js";

const csrf = () => document.querySelector("meta[name=csrf]").content;

async function send(action, body) {
  try {
    const headers = { accept: "application/json", "x-csrftoken": csrf() };
    const response = await fetch(action, { method: "POST", body, headers });
    const json = response.headers.get("content-type")?.includes("json") ? await response.json() : {};
    return { ok: response.ok, ...json };
  } catch {
    return { ok: false, detail: "The server does not answer.", what_to_do: "Check your connection and try again; nothing typed is lost." };
  }
}

export function signInAgain() {
  const link = document.createElement("a");
  const base = document.querySelector("meta[name=base]").content;
  link.href = `${base}/sign-in?to=${encodeURIComponent(`${base}/account`)}`;
  link.target = "_blank";
  link.textContent = "Sign in again in a new tab";
  return link;
}

function refuse(form, { detail = "Something went wrong.", what_to_do = "", field = "", request_id = "", sign_in_again = false }) {
  const place = form.querySelector(".refusal");
  const reason = document.createElement("b");
  reason.textContent = detail;
  place.replaceChildren(reason, request_id && detail.startsWith("Something") ? `${what_to_do} Request ${request_id}.` : what_to_do);
  if (sign_in_again) place.append(" ", signInAgain());
  place.hidden = false;
  const input = field && form.querySelector(`[name="${CSS.escape(field)}"]`);
  if (input) {
    input.setAttribute("aria-invalid", "true");
    input.focus();
  }
}

function settle(form) {
  form.querySelector(".refusal").hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

async function takeBack(steps) {
  for (const step of steps) {
    const answer = await send(step.action, new URLSearchParams(step.fields));
    if (!answer.ok) return toast(`${answer.detail} ${answer.what_to_do}`, { bad: true });
  }
  toast("Taken back.");
}

function tell(answer) {
  const act = answer.undo?.length ? () => takeBack(answer.undo) : null;
  toast(answer.said, { label: "Undo", act });
}

addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-ask]")) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  if (button.getAttribute("aria-busy") === "true") return;
  settle(form);
  button.setAttribute("aria-busy", "true");
  const answer = await send(form.action, new URLSearchParams(new FormData(form)));
  button.removeAttribute("aria-busy");
  if (!answer.ok) return refuse(form, answer);
  form.closest("dialog")?.close();
  form.reset();
  document.dispatchEvent(new CustomEvent("caisey:done", { detail: { form } }));
  if (!answer.go) return tell(answer);
  sessionStorage.setItem("said", JSON.stringify(answer));
  if (answer.go === location.pathname) location.reload();
  else location.assign(answer.go);
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener) return open(opener);
  const closer = event.target.closest("[data-close]");
  if (closer) return closer.closest("dialog").close();
  if (event.target.matches("dialog")) event.target.close(); // the backdrop
});

export function open(opener) {
  const dialog = document.getElementById(opener.dataset.open);
  const form = dialog.querySelector("form[method=post]");
  if (form) {
    if (opener.dataset.action) form.action = opener.dataset.action;
    if (form.matches("[data-ask]")) settle(form);
    if (opener.dataset.fillName) form.elements.name.value = opener.dataset.fillName;
    const about = form.querySelector("[data-about]");
    if (about) about.textContent = opener.dataset.about ?? "";
    choose(form, opener);
  }
  dialog.showModal();
}

// The assign dialog is about the ticked rows of the list, or the one device whose button was pressed.
function choose(form, opener) {
  const chosen = form.querySelector("[data-chosen]");
  if (!chosen) return;
  for (const old of form.querySelectorAll("input[type=hidden][name=devices]")) old.remove();
  let names = [...document.querySelectorAll("input[form=assign-form]:checked")].map((box) => box.dataset.name);
  if (opener.dataset.device) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "devices", value: opener.dataset.device }));
    names = [opener.dataset.name];
  }
  chosen.textContent = names.length > 6 ? `${names.slice(0, 6).join(", ")} and ${names.length - 6} more` : names.join(", ");
}

// What was done before this page was loaded again is told here.
const said = sessionStorage.getItem("said");
if (said) {
  sessionStorage.removeItem("said");
  tell(JSON.parse(said));
}
