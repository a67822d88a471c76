// The list of shares: a new link is shown in the dialog that made it.
import { guard, refuse, send, show } from "./links.js";

addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-link]")) return;
  event.preventDefault();
  const button = form.querySelector("[type=submit]");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const wanted = guard(form);
  const answer = await send(form.action, wanted);
  button.removeAttribute("aria-busy");
  if (!answer.ok) return refuse(form, answer);
  show(form, answer.link, Boolean(wanted.passcode));
  form.closest("dialog").addEventListener("close", () => location.reload(), { once: true });
});
