// The first step: an address.

import {
  adopt, challenge, isFor, isLive, key, noteFailure, ofOtherTab, requestCode, wasUndelivered,
} from "./challenge.js";
import { secondsUntil } from "./clock.js";
import { plain } from "./codes.js";
import { deviceToken } from "./devices.js";
import { settings } from "./server.js";
import { $, complain, show } from "./view.js";
import { explain, words } from "./words.js";

/** Prepares the step. */
export function prepareAddress() {
  if (settings.example) {
    $("phone-help").textContent = words.phoneSuchAs(settings.example);
  } else if (settings.countryCode) {
    $("phone-help").textContent = words.phoneAssumes(settings.countryCode);
  }
  for (const radio of document.querySelectorAll("input[name=channel]")) {
    radio.addEventListener("change", () => {
      complain("");
      showField();
    });
  }
}

const channel = () => document.querySelector("input[name=channel]:checked").value;
export const addressField = () => (channel() === "sms" ? $("phone") : $("email"));

export function showAddress() {
  show("address-step");
  if (isLive(challenge)) {
    document.querySelector(`input[value=${challenge.channel}]`).checked = true;
    addressField().value = challenge.address;
  }
  for (const at of ["sms", "email"]) {
    const radio = document.querySelector(`input[value=${at}]`);
    radio.parentElement.hidden = !settings.sources[at];
    if (!settings.sources[at] && radio.checked) {
      document.querySelector(`input[value=${at === "sms" ? "email" : "sms"}]`).checked = true;
    }
  }
  $("channels").hidden = !settings.sources.sms || !settings.sources.email;
  showField();
  addressField().focus();
}

function showField() {
  $("phone-field").hidden = channel() !== "sms";
  $("email-field").hidden = channel() !== "email";
}

/** Has a code sent to what was entered. Returns what to say on the next step, or nothing where there is an error. */
export async function sendCode() {
  const at = channel();
  const field = addressField();
  const address = typed(at, field);
  if (!address) {
    complain(at === "sms" ? words.enterPhone : words.enterEmail, field);
    return undefined;
  }
  if (!isFor(challenge, at, address)) await adopt(await ofOtherTab(at, address));
  if (isFor(challenge, at, address) && secondsUntil(challenge.resendAt) > 0) {
    return words.sentAlready;
  }
  const answer = await requestCode(at, address);
  if (!answer.ok) {
    complain(explain(answer, at, wasUndelivered(at, address), await deviceToken(key(at, address))), field);
    noteFailure(answer, at, address);
    return undefined;
  }
  return words.onItsWay;
}

/** What a field has, in characters that the server reads. */
function typed(at, field) {
  const text = at === "sms" ? plain(field.value) : field.value;
  return text.replace(/\p{Cf}/gu, "").trim();
}
