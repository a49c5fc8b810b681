// The second step: a code.

import {
  addressMember, announceUse, challenge, forget, key, noteAttempts, noteFailure, requestCode, wasUndelivered,
} from "./challenge.js";
import { secondsUntil } from "./clock.js";
import { readCode } from "./codes.js";
import { canRemember, deviceToken, forgetDevice, rememberDevice } from "./devices.js";
import { hasKey, NO_KEY, postJson, settings } from "./server.js";
import { clearFields, showTokens } from "./step_tokens.js";
import { $, busy, complain, say, show } from "./view.js";
import { attempts, counted, duration, explain, words } from "./words.js";

/** The address for which the user was asked whether to remember this device. */
let askedToRemember = null;

export function showCode() {
  // Back leads to the address, and forward here again.
  if (history.state?.step !== "code") history.pushState({ step: "code" }, "");
  show("code-step");
  const [before, after] = words.sent(shape());
  $("sent-before").textContent = before;
  $("sent-to").textContent = challenge.address;
  $("sent-after").textContent = after;
  $("code").value = "";
  $("code").inputMode = isNumeric() ? "numeric" : "text";
  $("attempts").textContent = attempts(challenge.attemptsLeft);
  offerSignUp(false);
  offerToRemember();
  tickCode();
  $("code").focus();
}

/** A device that is remembered is not asked again. */
async function offerToRemember() {
  const address = key(challenge.channel, challenge.address);
  const isKnown = Boolean(await deviceToken(address));
  // A tick stays through a new code.
  if (isKnown || askedToRemember !== address) $("remember").checked = isKnown;
  askedToRemember = address;
  $("remember-field").hidden = !canRemember || isKnown;
}

const isNumeric = () => /^[0-9]+$/.test(settings.alphabets[challenge.channel]);
const shape = () => counted(isNumeric() ? words.digits : words.characters, challenge.length);

export function offerSignUp(offered) {
  $("sign-up").hidden = !offered;
  document.querySelector("#code-step > button[type=submit]").hidden = offered;
}

export async function redeem(signUp) {
  const code = readCode($("code").value, challenge.length, settings.alphabets[challenge.channel]);
  if (code === null) {
    offerSignUp(false);
    complain(words.codeHas(shape()), $("code"));
    return;
  }
  const { otpToken, verifier } = challenge;
  const address = key(challenge.channel, challenge.address);
  const [device, isToBeRemembered] = [await deviceToken(address), $("remember").checked];
  if (!(await hasKey())) {
    complain(explain(NO_KEY));
    return;
  }
  const answer = await postJson("token", {
    grant_type: settings.grants[challenge.channel],
    client_id: settings.client,
    auth_source_id: settings.sources[challenge.channel],
    otp_token: otpToken,
    otp: code,
    ...(verifier ? { code_verifier: verifier } : {}),
    ...addressMember(challenge.channel, challenge.address),
    ...(device ? { device_token: device } : {}),
    ...(isToBeRemembered ? { remember_device: true } : {}),
    ...(signUp ? { auto_signup: true } : {}),
    ...(settings.scope ? { scope: settings.scope } : {}),
  });
  if (answer.ok) {
    announceUse(otpToken);
    forget();
    clearFields();
    const { device_token: token } = answer.body;
    if (token) await rememberDevice(address, token);
    else if (device) await forgetDevice(address);
    showTokens(answer.body, token ? address : null);
    return;
  }
  if (answer.description === "User not found" && settings.signUp) {
    offerSignUp(true);
    $("create").focus();
    return;
  }
  offerSignUp(false);
  if (!challenge) return;
  if (answer.attemptsRemaining !== undefined) {
    noteAttempts(answer.attemptsRemaining);
    $("attempts").textContent = attempts(answer.attemptsRemaining);
  }
  const isOver = answer.description === "Unknown or expired otp_token" || answer.attemptsRemaining === 0;
  complain(explain(answer), $("code"));
  if (isOver && !$("resend").disabled) $("resend").focus();
}

export async function resend() {
  const { channel: at, address } = challenge;
  const answer = await requestCode(at, address);
  if (!answer.ok) {
    complain(explain(answer, at, wasUndelivered(at, address)));
    noteFailure(answer, at, address);
    return;
  }
  showCode();
  say(words.onItsWayAgain);
}

/** Shows how long the code is good, and when the next can be had. */
export function tickCode() {
  if (!challenge || $("code-step").hidden || busy) return;
  const wait = secondsUntil(challenge.resendAt);
  const button = $("resend");
  if (button.disabled && wait === 0 && !$("notice").textContent) say(words.canResend);
  button.disabled = wait > 0;
  button.textContent = wait > 0 ? words.resendIn(wait) : words.page.resend;
  $("lifetime").textContent = lifetime();
}

/** What is known of how long the code is good: an older server says how long its otp_token is, and no more. */
function lifetime() {
  const left = secondsUntil(challenge.codeEndsAt ?? challenge.endsAt);
  if (left === 0) return words.tooOld;
  return challenge.codeEndsAt === null ? "" : words.goodFor(duration(left));
}
