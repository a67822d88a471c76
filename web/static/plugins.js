// A plugin's settings: sent without leaving the page, so that a secret that was typed stays typed; rows without a round trip.
import { signInAgain } from "./dialogs.js";

const csrf = () => document.querySelector("meta[name=csrf]").content;

async function send(form, act) {
  const body = new URLSearchParams(new FormData(form));
  body.set("_act", act);
  try {
    const headers = { accept: "application/json", "x-csrftoken": csrf() };
    const response = await fetch(form.action, { method: "POST", body, headers });
    return { done: response.ok, ...(await response.json()) };
  } catch {
    return { done: false, detail: "The server does not answer.", what_to_do: "Check your connection and try again; nothing typed is lost." };
  }
}

function settle(form) {
  for (const place of form.querySelectorAll(".refusal, .tested, .complaint")) place.hidden = true;
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    const kept = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && !id.startsWith("c-"));
    if (kept.length) input.setAttribute("aria-describedby", kept.join(" "));
    else input.removeAttribute("aria-describedby");
  }
}

function complain(form, { field, reason }) {
  const place = form.querySelector(`[data-complaint="${CSS.escape(field)}"]`);
  if (!place) return null;
  place.textContent = reason;
  place.hidden = false;
  const input = place.closest("[data-field]").querySelector("input:not([type=hidden]), select, textarea");
  if (input?.name !== field) return place;
  input.setAttribute("aria-invalid", "true");
  input.setAttribute("aria-describedby", `${input.getAttribute("aria-describedby") ?? ""} c-${field}`.trim());
  return input;
}

function refuse(form, { detail = "Something went wrong.", what_to_do = "", field = "", errors = [], request_id = "", sign_in_again = false }) {
  const place = form.querySelector(".refusal");
  const reason = document.createElement("b");
  reason.textContent = detail;
  place.replaceChildren(reason, request_id && detail.startsWith("Something") ? `${what_to_do} Request ${request_id}.` : what_to_do);
  if (sign_in_again) place.append(" ", signInAgain());
  place.hidden = false;
  const wrong = errors.map((one) => complain(form, one)).filter(Boolean);
  wrong[0]?.focus?.();
  const anyway = form.querySelector("[data-anyway]");
  if (anyway) anyway.hidden = field !== "anyway";
}

function tell(form, { ok, message }) {
  const place = form.querySelector(".tested");
  const words = document.createElement("span");
  words.textContent = message;
  place.replaceChildren(words);
  place.classList.toggle("good", ok);
  place.hidden = false;
}

addEventListener("submit", async (event) => {
  const { target: form, submitter } = event;
  const act = submitter?.value ?? "";
  if (!form.matches("[data-settings]")) return;
  event.preventDefault();
  if (act.startsWith("add:") || act.startsWith("remove:")) return;
  if (submitter.getAttribute("aria-busy") === "true") return;
  settle(form);
  submitter.setAttribute("aria-busy", "true");
  const answer = await send(form, act);
  submitter.removeAttribute("aria-busy");
  if (!answer.done) return refuse(form, answer);
  if (act === "test") return tell(form, answer);
  sessionStorage.setItem("said", JSON.stringify(answer));
  location.assign(answer.go);
});

// --- rows: a new one is made of its list's pattern ---

function add(name) {
  const pattern = document.querySelector(`template[data-pattern="${CSS.escape(name)}"]`);
  const rows = document.querySelector(`[data-rows="${CSS.escape(name)}"]`);
  const taken = new Set([...rows.children].map((row) => row.dataset.row.slice(name.length + 1)));
  let number = 0;
  while (taken.has(`n${number}`)) number += 1;
  const holder = document.createElement("template");
  holder.innerHTML = pattern.innerHTML.replaceAll(pattern.dataset.key, `n${number}`);
  rows.append(holder.content);
  rows.lastElementChild.querySelector("input:not([type=hidden]), select, textarea")?.focus();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-add], [data-remove]");
  if (!button) return;
  event.preventDefault();
  if (button.dataset.add) return add(button.dataset.add);
  const row = button.closest("[data-row]");
  const next = row.nextElementSibling?.querySelector("[data-remove]") ?? row.parentElement.parentElement.querySelector("[data-add]");
  row.remove();
  next?.focus();
});
