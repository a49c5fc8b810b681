// The login page: an address, a code, tokens. Nothing but this file and the modules that it imports runs here.
//
// Tokens are variables of this module and nothing else. Whatever else ran on this origin could read local storage,
// session storage and (without HttpOnly) cookies, now or at any later time; a variable can't be read from outside, and
// is gone with the tab. The price is that reloading the page means signing in again.
//
// The session storage of the tab has what was asked for last, until it is used or too old. After a reload, the code
// of the message can still be entered. Without that code it is worth nothing.
//
// The database of the browser has a key that no script can read. The tokens are bound to it, where the server does that.
// Signing out forgets it.
//
// The local storage has a device token for each address that its user wants to be remembered here: see devices.js.

import { plain, readCode } from "./codes.js";
import { canRemember, deviceToken, forgetDevice, rememberDevice } from "./devices.js";
import { canProve, codeChallenge, newVerifier } from "./proof.js";
import {
  askUserinfo, discardKey, hasKey, keyInUse, NO_KEY, parsed, place, postForm, postJson, releaseKey, reuseKey, settings,
} from "./server.js";
import { fill, opaqueCard, tokenCard } from "./tokens.js";
import { attempts, duration, explain } from "./words.js";

const $ = (id) => document.getElementById(id);

/**
 * What was asked for last: channel, address, otp_token, the verifier and the thumbprint of the key that it needs, when it
 * and the code end, and when another can be had.
 */
let challenge = null;
/** The verifier of every code that is asked for one address, also where an answer was lost. */
let drawn = null;
/** The address that a code could not be sent to, the last time. */
let undelivered = null;
/** The address that this device is remembered for, once somebody has signed in with it. */
let remembered = null;
/** The address for which the user was asked whether to remember this device. */
let askedToRemember = null;
/** The last answer of the token endpoint. */
let tokens = null;
/** One request at a time: a second press of a button does nothing. */
let busy = false;

/** Does something while `form` says that it is busy. */
async function once(form, button, label, work) {
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
    complain("That did not work: the answer makes no sense. Please try again.");
  } finally {
    busy = false;
    // Unless something else has been written on it meanwhile.
    if (button.textContent === label) button.textContent = before;
    form.removeAttribute("aria-busy");
    tick();
  }
}

// Saying something.

function say(text) {
  $("notice").textContent = text;
}

/** Shows an error at its field, and moves there. */
function complain(text, field) {
  $("error").textContent = text;
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  if (text && field) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    field.select();
  }
}

function show(step) {
  for (const id of ["address-step", "code-step", "signed-in-step"]) $(id).hidden = id !== step;
  document.body.dataset.step = step;
  $("hint").hidden = !settings.hint || step === "signed-in-step";
}

// The first step: an address.

const channel = () => document.querySelector("input[name=channel]:checked").value;
const addressField = () => (channel() === "sms" ? $("phone") : $("email"));
const addressMember = (at, address) => ({ [at === "sms" ? "phone_number" : "email"]: address });

function showAddress() {
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

async function sendCode() {
  const at = channel();
  const field = addressField();
  const address = typed(at, field);
  if (!address) {
    complain(at === "sms" ? "Please enter your phone number." : "Please enter your e-mail address.", field);
    return;
  }
  if (!isFor(challenge, at, address)) await adopt(await ofOtherTab(at, address));
  if (isFor(challenge, at, address) && secondsUntil(challenge.resendAt) > 0) {
    showCode();
    say("A code was sent there a moment ago. Please enter it.");
    return;
  }
  const answer = await requestCode(at, address);
  if (!answer.ok) {
    complain(explain(answer, at, undelivered === key(at, address), await deviceToken(key(at, address))), field);
    noteFailure(answer, at, address);
    return;
  }
  showCode();
  say("The code is on its way.");
}

/** What a field has, in characters that the server reads. */
function typed(at, field) {
  const text = at === "sms" ? plain(field.value) : field.value;
  return text.replace(/\p{Cf}/gu, "").trim();
}

/** An address without what only spells it. The server knows more of that; here it saves a message. */
function key(at, address) {
  return `${at} ${at === "sms" ? address.replace(/[\s().-]/g, "") : address.toLowerCase()}`;
}

async function requestCode(at, address) {
  if (!(await hasKey())) return NO_KEY;
  const verifier = verifierFor(at, address);
  const device = await deviceToken(key(at, address));
  const answer = await postJson("send", {
    client_id: settings.client,
    ...(device ? { device_token: device } : {}),
    auth_source_id: settings.sources[at],
    usage: "login",
    ...(verifier ? { code_challenge: await codeChallenge(verifier), code_challenge_method: "S256" } : {}),
    ...addressMember(at, address),
  });
  if (answer.ok) {
    const { otp_token, expires_in, code_expires_in, code_length, resend_after } = answer.body;
    await adopt({
      channel: at,
      address,
      otpToken: otp_token,
      verifier,
      jkt: keyInUse(),
      length: code_length,
      endsAt: after(expires_in),
      codeEndsAt: code_expires_in === undefined ? null : after(code_expires_in),
      resendAt: after(resend_after),
    });
    undelivered = null;
  } else if (isFor(challenge, at, address) && answer.retryAfter) {
    challenge.resendAt = after(answer.retryAfter);
    remember();
  }
  return answer;
}

/** The same for each code of one login: with another, the server would send another code. */
function verifierFor(at, address) {
  if (!canProve) return undefined;
  if (isFor(challenge, at, address) && challenge.verifier) return challenge.verifier;
  if (drawn?.of !== key(at, address)) drawn = { of: key(at, address), verifier: newVerifier() };
  return drawn.verifier;
}

/** A code that could not be sent is why there is none, if the next request comes too early. */
function noteFailure(answer, at, address) {
  if (answer.error === "temporarily_unavailable") undelivered = key(at, address);
}

// What was asked for, as it is kept: in the tab, and by other tabs.

const isLive = (kept) => Boolean(kept) && secondsUntil(kept.endsAt) > 0;
const isFor = (kept, at, address) => isLive(kept) && key(kept.channel, kept.address) === key(at, address);

const tabs = new BroadcastChannel(place);

async function adopt(other) {
  if (!isLive(other) || typeof other.otpToken !== "string" || !settings.sources[other.channel]) return;
  // Without the key that the code was asked with, it can't be redeemed.
  if (other.jkt && !(await reuseKey(other.jkt))) return;
  challenge = other;
  remember();
}

/** Keeps what was asked for through a reload. A browser that keeps nothing costs just that. */
function remember() {
  try {
    if (isLive(challenge)) sessionStorage.setItem(place, JSON.stringify(challenge));
    else sessionStorage.removeItem(place);
  } catch (error) {
    console.warn(error);
  }
}

async function recall() {
  try {
    await adopt(parsed(sessionStorage.getItem(place)));
  } catch (error) {
    console.warn(error);
  }
  remember();
}

/** Asks the other tabs of this browser what they asked for: a message that was sent for one can be used in each. */
async function ofOtherTab(at, address) {
  return new Promise((resolve) => {
    waiting = (found) => isFor(found, at, address) && resolve(found);
    tabs.postMessage({ wanted: key(at, address) });
    setTimeout(resolve, 100, null);
  });
}
let waiting = () => {};

tabs.addEventListener("message", ({ data }) => {
  if (data.wanted && isLive(challenge) && key(challenge.channel, challenge.address) === data.wanted) {
    tabs.postMessage({ found: challenge });
  }
  if (data.found) waiting(data.found);
  if (data.used && challenge?.otpToken === data.used) {
    forget();
    if (!tokens) releaseKey();
    if ($("code-step").hidden) return;
    showAddress();
    say("This code was used in another tab.");
  }
});

/** Forgets what was asked for, and shows no trace of it to the next user of this tab. */
function forget() {
  challenge = null;
  drawn = null;
  remember();
  for (const id of ["phone", "email", "code"]) $(id).value = "";
  for (const id of ["sent-to", "attempts"]) $(id).textContent = "";
}

// The second step: a code.

function showCode() {
  // Back leads to the address, and forward here again.
  if (history.state?.step !== "code") history.pushState({ step: "code" }, "");
  show("code-step");
  $("code-length").textContent = shape();
  $("sent-to").textContent = challenge.address;
  $("code").value = "";
  $("code").inputMode = isNumeric() ? "numeric" : "text";
  $("attempts").textContent = attempts(challenge.attemptsLeft);
  offerSignUp(false);
  offerToRemember();
  tick();
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
const shape = () => `${challenge.length} ${isNumeric() ? "digits" : "characters"}`;

function offerSignUp(offered) {
  $("sign-up").hidden = !offered;
  document.querySelector("#code-step > button[type=submit]").hidden = offered;
}

async function redeem(signUp) {
  const code = readCode($("code").value, challenge.length, settings.alphabets[challenge.channel]);
  if (code === null) {
    offerSignUp(false);
    complain(`The code has ${shape()}.`, $("code"));
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
    tabs.postMessage({ used: otpToken });
    forget();
    keep(answer.body);
    const { device_token: token } = answer.body;
    if (token) await rememberDevice(address, token);
    else if (device) await forgetDevice(address);
    remembered = token ? address : null;
    $("forget-device").hidden = !remembered;
    show("signed-in-step");
    $("profile").hidden = true;
    $("signed-in").focus();
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
    challenge.attemptsLeft = answer.attemptsRemaining;
    remember();
    $("attempts").textContent = attempts(answer.attemptsRemaining);
  }
  const isOver = answer.description === "Unknown or expired otp_token" || answer.attemptsRemaining === 0;
  complain(explain(answer), $("code"));
  if (isOver && !$("resend").disabled) $("resend").focus();
}

async function resend() {
  const { channel: at, address } = challenge;
  const answer = await requestCode(at, address);
  if (!answer.ok) {
    complain(explain(answer, at, undelivered === key(at, address)));
    noteFailure(answer, at, address);
    return;
  }
  showCode();
  say("A code is on its way once more. It may be the same as before.");
}

// The third step: tokens.

function keep(answer) {
  tokens = { ...answer, endsAt: after(answer.expires_in) };
  const isBound = tokens.token_type === "DPoP";
  const shown = isBound ? "What this page shows to APIs, with a proof of its key." : "What this page shows to APIs.";
  const cards = [["ID token", "Tells this page who signed in.", tokens.id_token],
    ["Access token", shown, tokens.access_token]]
    .filter(([, , token]) => token)
    .map(([name, purpose, token]) => tokenCard(name, purpose, token));
  if (tokens.refresh_token) cards.push(opaqueCard("Refresh token", tokens.refresh_token));
  $("tokens").replaceChildren(...cards);
  $("bound").hidden = !isBound;
  tick();
}

async function refresh() {
  const form = { grant_type: "refresh_token", client_id: settings.client, refresh_token: tokens.refresh_token };
  const answer = await postForm("token", form);
  if (answer.ok) {
    keep(answer.body);
    say("The tokens are fresh.");
  } else if (answer.error === "invalid_grant") {
    await leave();
    complain(explain(answer));
  } else {
    complain(explain(answer));
  }
}

async function userinfo() {
  const answer = await askUserinfo(tokens);
  if (!answer.ok) {
    complain(explain(answer));
    return;
  }
  fill($("profile-claims"), answer.body);
  $("profile").hidden = false;
  $("profile-title").focus();
}

async function signOut() {
  const token = tokens.refresh_token ?? tokens.access_token;
  const answer = await postForm("revoke", { client_id: settings.client, token });
  // Whoever is told that they are signed out has to be: after an error they still are not.
  if (!answer.ok) {
    complain(`You are still signed in. ${explain(answer)}`);
    return;
  }
  await leave();
  say("You are signed out.");
}

/** The tokens stay: this is about the next time. */
async function forgetThisDevice() {
  await forgetDevice(remembered);
  $("forget-device").hidden = true;
  $("signed-in").focus();
  say("This browser does not remember you any more.");
}

async function leave() {
  tokens = null;
  forget();
  await discardKey();
  $("tokens").replaceChildren();
  $("profile-claims").replaceChildren();
  showAddress();
}

// Time.

// Instants are times of the clock, which goes on while the page is reloaded.
const after = (seconds) => Date.now() + seconds * 1000;
const secondsUntil = (instant) => Math.max(0, Math.ceil((instant - Date.now()) / 1000));

function tick() {
  if (challenge && !$("code-step").hidden && !busy) {
    const wait = secondsUntil(challenge.resendAt);
    const button = $("resend");
    if (button.disabled && wait === 0 && !$("notice").textContent) say("You can ask for a new code now.");
    button.disabled = wait > 0;
    button.textContent = wait > 0 ? `New code in ${wait} s` : "Send a new code";
    $("lifetime").textContent = lifetime();
  }
  if (tokens) {
    const left = secondsUntil(tokens.endsAt);
    $("remaining").textContent = left > 0
      ? `The access token is good for ${duration(left)}.`
      : "The access token has expired. Refresh the tokens to go on.";
  }
}

/** What is known of how long the code is good: an older server says how long its otp_token is, and no more. */
function lifetime() {
  const left = secondsUntil(challenge.codeEndsAt ?? challenge.endsAt);
  if (left === 0) return "The code is too old now. Please ask for a new one.";
  return challenge.codeEndsAt === null ? "" : `The code is good for ${duration(left)}.`;
}

// What the user does.

async function begin() {
  $("hint").textContent = settings.hint ?? "";
  if (settings.example) {
    $("phone-help").textContent = `Such as ${settings.example}, or with + and the country code.`;
  } else if (settings.countryCode) {
    $("phone-help").textContent = `With the country code; without it, +${settings.countryCode} is assumed.`;
  }
  for (const radio of document.querySelectorAll("input[name=channel]")) {
    radio.addEventListener("change", () => {
      complain("");
      showField();
    });
  }
  onSubmit("address-step", "Sending…", sendCode);
  onSubmit("code-step", "Checking…", () => redeem(false));
  onClick("create", "code-step", "Creating…", () => redeem(true));
  onClick("resend", "code-step", "Sending…", resend);
  onClick("refresh", "signed-in-step", "Refreshing…", refresh);
  onClick("userinfo", "signed-in-step", "Asking…", userinfo);
  onClick("forget-device", "signed-in-step", "Forgetting…", forgetThisDevice);
  onClick("sign-out", "signed-in-step", "Signing out…", signOut);
  $("change").addEventListener("click", () => {
    if (busy) return;
    if (history.state?.step === "code") history.back();
    else changeAddress();
  });
  addEventListener("popstate", () => {
    if (tokens || busy) return;
    if (history.state?.step === "code" && isLive(challenge)) showCode();
    else changeAddress();
  });
  // Whoever corrects the code has not proved the new one.
  $("code").addEventListener("input", () => offerSignUp(false));
  $("userinfo").hidden = !settings.endpoints.userinfo;
  $("sign-out").hidden = !settings.endpoints.revoke;
  setInterval(tick, 500);
  await recall();
  // A reload stays at its step. A user who comes again, and was sent a code, has come to enter it.
  const step = history.state?.step ?? "code";
  if (history.state?.step !== "code" || !isLive(challenge)) history.replaceState({ step: "address" }, "");
  if (step === "code" && isLive(challenge)) showCode();
  else showAddress();
  // Said before somebody types.
  if (settings.dpop === "required" && !(await hasKey())) complain(explain(NO_KEY));
}

function changeAddress() {
  say("");
  complain("");
  showAddress();
  addressField().select();
}

function onSubmit(form, label, work) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    once($(form), $(form).querySelector(":scope > button[type=submit]"), label, work);
  });
}

function onClick(button, form, label, work) {
  $(button).addEventListener("click", () => once($(form), $(button), label, work));
}

begin();
