// Keeps the page as the agent sees things: asks for the next version and waits for it; sends the person's answers.
const main = document.getElementById("main");
const lost = document.getElementById("lost");
let version = main.dataset.version;

async function follow() {
  for (;;) {
    try {
      const answer = await fetch(`view?after=${version}`, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(String(answer.status));
      lost.hidden = true;
      const next = answer.headers.get("x-version");
      if (next !== version) {
        const focused = document.activeElement && document.activeElement.id;
        main.innerHTML = await answer.text();
        version = next;
        if (focused) document.getElementById(focused)?.focus();
        document.title = main.querySelector("h1")?.textContent ?? document.title;
      }
    } catch {
      lost.hidden = false;
      await new Promise((wake) => setTimeout(wake, 1000));
    }
  }
}

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const data = new URLSearchParams(new FormData(form, event.submitter));
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: data });
    if (!answer.ok) throw new Error(String(answer.status));
  } catch {
    lost.hidden = false;
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});

follow();
