// Passkeys: the browser's own ceremony between a form's button and the form's sending. The server judges what comes.
function tell(form, words) {
  const place = form.querySelector("[data-passkey-trouble]");
  place.textContent = words;
  place.hidden = !words;
}

const missing = "This browser has no passkeys. Use another one, or another way.";
const usable = () => Boolean(window.PublicKeyCredential?.parseCreationOptionsFromJSON);

async function answer(form, field, ask) {
  tell(form, "");
  if (!usable()) return tell(form, missing);
  try {
    const made = await ask();
    form.elements[field].value = JSON.stringify(made.toJSON());
  } catch (error) {
    if (error.name === "InvalidStateError") return tell(form, "This device has a passkey for your account already.");
    return tell(form, error.name === "NotAllowedError" ? "Nothing was chosen, or it took too long. Try again." : "The passkey could not be used here.");
  }
  HTMLFormElement.prototype.submit.call(form);
}

for (const form of document.querySelectorAll("form[data-passkey-create]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const publicKey = () => PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(form.dataset.passkeyCreate));
    answer(form, "answer", () => navigator.credentials.create({ publicKey: publicKey() }));
  });
}

for (const form of document.querySelectorAll("form[data-passkey-get]")) {
  const button = form.querySelector("[data-passkey-button]");
  button.hidden = !usable();
  button.addEventListener("click", () => {
    const publicKey = () => PublicKeyCredential.parseRequestOptionsFromJSON(JSON.parse(form.dataset.passkeyGet));
    answer(form, form.dataset.passkeyField, () => navigator.credentials.get({ publicKey: publicKey() }));
  });
}
