// A link that was just made: shown once, in the dialog that asked for it.
const csrf = () => document.querySelector("meta[name=csrf]").content;

export async function send(action, body) {
  try {
    const headers = { accept: "application/json", "content-type": "application/json", "x-csrftoken": csrf() };
    const answer = await fetch(action, { method: "POST", headers, body: JSON.stringify(body) });
    return { ok: answer.ok, ...(await answer.json()) };
  } catch {
    return { ok: false, detail: "The server does not answer.", what_to_do: "Check your connection and try again; nothing typed is lost." };
  }
}

export function guard(form) {
  const hours = form.elements.expires_hours.value;
  return { passcode: form.elements.passcode.value, expires_hours: hours ? Number(hours) : null };
}

export function refuse(form, { detail = "Something went wrong.", what_to_do = "", field = "" }) {
  const place = form.querySelector(".refusal");
  place.replaceChildren(Object.assign(document.createElement("b"), { textContent: detail }), what_to_do);
  place.hidden = false;
  form.querySelector(`[name="${CSS.escape(field)}"]`)?.focus();
}

export function show(form, link, withPasscode) {
  const made = form.parentElement.querySelector(".made-link");
  made.querySelector("[data-link-text]").textContent = link;
  made.querySelector("[data-with-passcode]").hidden = !withPasscode;
  form.hidden = true;
  made.hidden = false;
  made.querySelector("[data-copy-from]").focus();
}
