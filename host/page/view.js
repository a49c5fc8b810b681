// What the page shows: its steps, what it says, and what it is busy with.

import { settings } from "./server.js";
import { words } from "./words.js";

export const $ = (id) => document.getElementById(id);

/** One request at a time: a second press of a button does nothing. */
export let busy = false;

/** Does something while `form` says that it is busy. `then` is done at the end in any case. */
async function once(form, button, label, work, then) {
  if (busy) return;
  busy = true;
  const before = button.textContent;
  button.textContent = label;
  form.setAttribute("aria-busy", "true");
  say("");
  complain("");
  try {
    await work();
  } catch (error) {
    // An answer that is not of this server, most likely: of something in between.
    console.error(error);
    complain(words.nonsense);
  } finally {
    busy = false;
    // Unless something else has been written on it meanwhile.
    if (button.textContent === label) button.textContent = before;
    form.removeAttribute("aria-busy");
    then();
  }
}

export function onSubmit(form, label, work, then) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    once($(form), $(form).querySelector(":scope > button[type=submit]"), label, work, then);
  });
}

export function onClick(button, form, label, work, then) {
  $(button).addEventListener("click", () => once($(form), $(button), label, work, then));
}

export function say(text) {
  $("notice").textContent = text;
}

/** Shows an error at its field, and moves there. */
export function complain(text, field) {
  $("error").textContent = text;
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  if (text && field) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    field.select();
  }
}

export function show(step) {
  for (const id of ["address-step", "code-step", "signed-in-step"]) $(id).hidden = id !== step;
  document.body.dataset.step = step;
  $("hint").hidden = !settings.hint || step === "signed-in-step";
}
