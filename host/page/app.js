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

import { challenge, isLive, onUsedElsewhere, recall } from "./challenge.js";
import { hasKey, NO_KEY, releaseKey, settings } from "./server.js";
import { addressField, prepareAddress, sendCode, showAddress } from "./step_address.js";
import { offerSignUp, redeem, resend, showCode, tickCode } from "./step_code.js";
import {
  clearFields, forgetThisDevice, refresh, signOut, tickTokens, tokens, userinfo,
} from "./step_tokens.js";
import { $, busy, complain, onClick, onSubmit, say } from "./view.js";
import { explain, words, writeWords } from "./words.js";

async function begin() {
  writeWords();
  $("hint").textContent = settings.hint ?? "";
  prepareAddress();
  onSubmit("address-step", words.sending, addressEntered, tick);
  onSubmit("code-step", words.checking, () => redeem(false), tick);
  onClick("create", "code-step", words.creating, () => redeem(true), tick);
  onClick("resend", "code-step", words.sending, resend, tick);
  onClick("refresh", "signed-in-step", words.refreshing, refresh, tick);
  onClick("userinfo", "signed-in-step", words.asking, userinfo, tick);
  onClick("forget-device", "signed-in-step", words.forgetting, forgetThisDevice, tick);
  onClick("sign-out", "signed-in-step", words.signingOut, signOut, tick);
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
  onUsedElsewhere(leaveCode);
  await recall();
  // A reload stays at its step. A user who comes again, and was sent a code, has come to enter it.
  const step = history.state?.step ?? "code";
  if (history.state?.step !== "code" || !isLive(challenge)) history.replaceState({ step: "address" }, "");
  if (step === "code" && isLive(challenge)) showCode();
  else showAddress();
  // Said before somebody types.
  if (settings.dpop === "required" && !(await hasKey())) complain(explain(NO_KEY));
}

async function addressEntered() {
  const said = await sendCode();
  if (!said) return;
  showCode();
  say(said);
}

function changeAddress() {
  say("");
  complain("");
  showAddress();
  addressField().select();
}

/** The code was used in another tab. */
function leaveCode() {
  clearFields();
  if (!tokens) releaseKey();
  if ($("code-step").hidden) return;
  showAddress();
  say(words.usedElsewhere);
}

function tick() {
  tickCode();
  tickTokens();
}

begin();
